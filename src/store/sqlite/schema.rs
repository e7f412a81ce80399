//! The file: who may read it, how it is written, what tables it holds.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::Options;
use crate::store::StoreError;

/// "Parl", so that `file` and we know whose file it is.
const APPLICATION_ID: i32 = 0x5061_726c;

/// How long another process may hold the file before a call fails.
const BUSY: Duration = Duration::from_secs(5);

/// Each step brings the schema from its place in the list to the next version, kept in
/// `user_version`. Steps that were released are never changed.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE rooms (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        epoch INTEGER NOT NULL,
        next INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL,
        closed_at INTEGER,
        snapshot_offset INTEGER,
        snapshot TEXT
    ) STRICT;
    CREATE INDEX rooms_open ON rooms (id) WHERE closed_at IS NULL;
    CREATE INDEX rooms_closed ON rooms (closed_at) WHERE closed_at IS NOT NULL;
    CREATE TABLE events (
        room INTEGER NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
        offset INTEGER NOT NULL,
        at INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (room, offset)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sessions (
        key TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        room TEXT,
        expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_expiring ON sessions (expires_at);
    CREATE TABLE probes (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
",
    "
    ALTER TABLE rooms ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rooms ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rooms ADD COLUMN released INTEGER;
    ALTER TABLE rooms ADD COLUMN holder TEXT;
    ALTER TABLE rooms ADD COLUMN held_until INTEGER;
    ALTER TABLE rooms ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE fences (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL) STRICT;
    INSERT INTO fences (id, last) VALUES (1, 0);
    CREATE TABLE board (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        games INTEGER NOT NULL,
        wins INTEGER NOT NULL,
        points INTEGER NOT NULL,
        squares INTEGER NOT NULL,
        rank INTEGER NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX board_ranked ON board (kind, rank DESC, id);
",
    "
    CREATE TABLE counted (
        room INTEGER NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
        game INTEGER NOT NULL,
        PRIMARY KEY (room, game)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO counted (room, game) SELECT id, 1 FROM rooms WHERE counted = 1;
    ALTER TABLE rooms DROP COLUMN counted;
",
    "
    ALTER TABLE rooms ADD COLUMN asked_until INTEGER;
",
];

/// Opens the file and makes it ready.
pub(super) fn connect(path: &Path, options: Options) -> Result<Connection, StoreError> {
    make_private(path)
        .map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    // In WAL mode `FULL` flushes at every commit: an answered append survives power loss.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What people said must be gone when it has expired, from the free pages too.
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    migrate(&mut connection)?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: u32 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(missing) = MIGRATIONS.get(version as usize..) else {
        return Err(StoreError::Failed(format!(
            "the file has schema {version}, this program knows {}: use a newer program",
            MIGRATIONS.len()
        )));
    };
    if missing.is_empty() {
        return Ok(());
    }
    for step in missing {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    change.commit()?;
    Ok(())
}

/// Makes sure that the file exists and that nobody but this user reads it. SQLite gives the
/// files beside it the same permissions.
#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};

    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Fence, sqlite::queries};

    #[test]
    fn a_file_of_an_older_program_is_brought_up_to_date_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for old in 0..MIGRATIONS.len() {
            let path = folder.path().join(old.to_string());
            let raw = Connection::open(&path).unwrap();
            for step in &MIGRATIONS[..old] {
                raw.execute_batch(step).unwrap();
            }
            raw.pragma_update(None, "user_version", old as u32).unwrap();
            if old > 0 {
                raw.execute_batch(
                    "INSERT INTO rooms (name, epoch, next, created_at) VALUES ('r', 7, 1, 5);
                     INSERT INTO events VALUES (1, 0, 5, 'said');",
                )
                .unwrap();
            }
            drop(raw);
            let db = connect(&path, Options::default()).unwrap();
            if old > 0 {
                let log = queries::read(&db, "r", 0).unwrap();
                assert_eq!((log.epoch, log.next), (7, 1));
                let more = vec!["more".to_owned()];
                queries::append(&db, "r", Fence::UNLEASED, 1, 6, &more).unwrap();
            }
        }
    }
}
