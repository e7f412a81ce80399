//! What each call does, inside a transaction that somebody else began.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::{Expired, Fence, Log, Record, SessionRecord, Snapshot, StoreError};

/// A room as the calls need it.
pub(super) struct Room {
    pub(super) id: i64,
    epoch: u32,
    first: u32,
    next: u32,
    closed: bool,
    pub(super) fence: Fence,
}

pub(super) fn room(db: &Connection, name: &str) -> Result<Room, StoreError> {
    db.prepare(
        "SELECT id, epoch, first, next, fence, closed_at IS NOT NULL FROM rooms WHERE name = ?1",
    )?
    .query_row([name], |row| {
        Ok(Room {
            id: row.get(0)?,
            epoch: row.get(1)?,
            first: row.get(2)?,
            next: row.get(3)?,
            fence: Fence(time(row, 4)?),
            closed: row.get(5)?,
        })
    })
    .optional()?
    .ok_or_else(|| StoreError::NoSuchRoom(name.to_owned()))
}

/// The room, for whoever has the newest lease on it.
pub(super) fn fenced_room(db: &Connection, name: &str, fence: Fence) -> Result<Room, StoreError> {
    let room = room(db, name)?;
    if room.fence == fence {
        return Ok(room);
    }
    Err(StoreError::Fenced {
        room: name.to_owned(),
        newest: room.fence,
    })
}

/// SQLite's integers are signed; times beyond them are the end of time.
pub(super) fn millis(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::unsigned_abs)
}

pub(super) fn create(db: &Connection, name: &str, at: u64) -> Result<u32, StoreError> {
    // Rows are numbered by AUTOINCREMENT, which never gives a number twice.
    let created = db
        .prepare(
            "INSERT INTO rooms (name, epoch, created_at)
             SELECT ?1, 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rooms'), 0)
                    % 4294967295, ?2
             ON CONFLICT (name) DO NOTHING
             RETURNING epoch",
        )?
        .query_row(params![name, millis(at)], |row| row.get(0))
        .optional()?;
    created.ok_or_else(|| StoreError::RoomExists(name.to_owned()))
}

pub(super) fn append(
    db: &Connection,
    name: &str,
    fence: Fence,
    expected: u32,
    at: u64,
    bodies: &[String],
) -> Result<u32, StoreError> {
    let Room { id, next, .. } = fenced_room(db, name, fence)?;
    if next != expected {
        return Err(StoreError::Conflict {
            room: name.to_owned(),
            expected,
            actual: next,
        });
    }
    let mut insert =
        db.prepare("INSERT INTO events (room, offset, at, body) VALUES (?1, ?2, ?3, ?4)")?;
    let mut offset = next;
    for body in bodies {
        insert.execute(params![id, offset, millis(at), body])?;
        offset = offset
            .checked_add(1)
            .ok_or_else(|| StoreError::Failed(format!("the log of room {name} is full")))?;
    }
    db.prepare("UPDATE rooms SET next = ?2 WHERE id = ?1")?
        .execute(params![id, offset])?;
    Ok(offset)
}

pub(super) fn read(db: &Connection, name: &str, from: u32) -> Result<Log, StoreError> {
    let room = room(db, name)?;
    let Room {
        id,
        epoch,
        next,
        closed,
        ..
    } = room;
    if from < room.first {
        return Err(StoreError::Trimmed {
            room: name.to_owned(),
            first: room.first,
        });
    }
    let records = db
        .prepare(
            "SELECT offset, at, body FROM events WHERE room = ?1 AND offset >= ?2 ORDER BY offset",
        )?
        .query_map(params![id, from], |row| {
            Ok(Record {
                offset: row.get(0)?,
                at: time(row, 1)?,
                body: row.get(2)?,
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let whole = records
        .iter()
        .map(|record| record.offset)
        .eq(from..next.max(from));
    if !whole {
        return Err(StoreError::Failed(format!(
            "the log of room {name} has gaps"
        )));
    }
    Ok(Log {
        epoch,
        records,
        next,
        closed,
    })
}

pub(super) fn snapshot(db: &Connection, name: &str) -> Result<Option<Snapshot>, StoreError> {
    let Room { id, .. } = room(db, name)?;
    let found = db
        .prepare(
            "SELECT snapshot_offset, snapshot FROM rooms WHERE id = ?1 AND snapshot IS NOT NULL",
        )?
        .query_row([id], |row| {
            Ok(Snapshot {
                offset: row.get(0)?,
                body: row.get(1)?,
            })
        })
        .optional()?;
    Ok(found)
}

pub(super) fn put_snapshot(
    db: &Connection,
    name: &str,
    fence: Fence,
    snapshot: &Snapshot,
) -> Result<(), StoreError> {
    let Room { id, next, .. } = fenced_room(db, name, fence)?;
    if snapshot.offset > next {
        return Err(StoreError::Conflict {
            room: name.to_owned(),
            expected: snapshot.offset,
            actual: next,
        });
    }
    db.prepare(
        "UPDATE rooms SET snapshot_offset = ?2, snapshot = ?3
         WHERE id = ?1 AND coalesce(snapshot_offset, 0) <= ?2",
    )?
    .execute(params![id, snapshot.offset, snapshot.body])?;
    Ok(())
}

pub(super) fn trim(
    db: &Connection,
    name: &str,
    fence: Fence,
    before: u32,
) -> Result<u32, StoreError> {
    let Room { id, .. } = fenced_room(db, name, fence)?;
    let first = db
        .prepare(
            "UPDATE rooms SET first = max(first, min(?2, coalesce(snapshot_offset, 0)))
             WHERE id = ?1 RETURNING first",
        )?
        .query_row(params![id, before], |row| row.get(0))?;
    db.prepare("DELETE FROM events WHERE room = ?1 AND offset < ?2")?
        .execute(params![id, first])?;
    Ok(first)
}

pub(super) fn close(db: &Connection, name: &str, fence: Fence, at: u64) -> Result<(), StoreError> {
    let Room { id, .. } = fenced_room(db, name, fence)?;
    db.prepare("UPDATE rooms SET closed_at = ?2 WHERE id = ?1 AND closed_at IS NULL")?
        .execute(params![id, millis(at)])?;
    Ok(())
}

pub(super) fn open_rooms(db: &Connection) -> Result<Vec<String>, StoreError> {
    let names = db
        .prepare("SELECT name FROM rooms WHERE closed_at IS NULL ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(names)
}

pub(super) fn put_session(db: &Connection, session: &SessionRecord) -> Result<(), StoreError> {
    db.prepare(
        "INSERT INTO sessions (key, name, room, expires_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (key) DO UPDATE SET
            name = excluded.name, room = excluded.room, expires_at = excluded.expires_at",
    )?
    .execute(params![
        session.key,
        session.name,
        session.room,
        millis(session.expires_at)
    ])?;
    Ok(())
}

pub(super) fn session(
    db: &Connection,
    key: &str,
    now: u64,
) -> Result<Option<SessionRecord>, StoreError> {
    let found = db
        .prepare(
            "SELECT key, name, room, expires_at FROM sessions WHERE key = ?1 AND expires_at > ?2",
        )?
        .query_row(params![key, millis(now)], |row| {
            Ok(SessionRecord {
                key: row.get(0)?,
                name: row.get(1)?,
                room: row.get(2)?,
                expires_at: time(row, 3)?,
            })
        })
        .optional()?;
    Ok(found)
}

pub(super) fn expire(db: &Connection, now: u64, closed_before: u64) -> Result<Expired, StoreError> {
    let sessions = db.execute("DELETE FROM sessions WHERE expires_at <= ?1", [millis(now)])?;
    let rooms = db.execute(
        "DELETE FROM rooms WHERE closed_at < ?1",
        [millis(closed_before)],
    )?;
    Ok(Expired {
        sessions: sessions as u64,
        rooms: rooms as u64,
    })
}

pub(super) fn probe(db: &Connection) -> Result<(), StoreError> {
    db.prepare(
        "INSERT INTO probes (id, count) VALUES (1, 1)
         ON CONFLICT (id) DO UPDATE SET count = (count + 1) % 1000000",
    )?
    .execute([])?;
    Ok(())
}
