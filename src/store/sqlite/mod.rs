//! The embedded home of the store contract: one SQLite file, one thread that owns the
//! connection. What waits in the queue is committed together, so that many rooms share
//! the price of one flush to disk.

mod board;
mod leases;
mod queries;
mod schema;
mod thread;

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use self::thread::{Access, Job, Task};
use super::{
    Expired, Fence, Lease, Log, SessionRecord, Snapshot, Store, StoreError,
    board::{Kind, Outcome, Standing},
};

/// Calls that may wait for the thread; further callers wait for a place.
const QUEUE: usize = 1024;

/// How a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Largest size of the file, in pages of 4 KiB; none leaves it to the disk.
    pub max_pages: Option<u32>,
}

/// A handle on the store; clones share its thread. The file is closed when the last one
/// is dropped.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl SqliteStore {
    /// Opens the file, creating it and its folder if need be (for this user alone), and
    /// brings its schema up to date. Blocks.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Options::default())
    }

    /// As [`Self::open`], with a bound on the file's size.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(path: &Path, options: Options) -> Result<Self, StoreError> {
        let connection = schema::connect(path, options)?;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || thread::serve(connection, waiting))
            .map_err(|error| StoreError::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Self { jobs })
    }

    /// Ends every lease, for whoever knows that no other server uses the file. What holds one
    /// still is told so at its next write.
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    pub async fn vacate(&self) -> Result<(), StoreError> {
        self.call(Access::Write, leases::end_all).await
    }

    async fn call<T, W>(&self, access: Access, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let gone = || StoreError::Failed("its thread has ended".into());
        let (reply, answer) = oneshot::channel();
        let task = Task::new(access, work, reply);
        self.jobs.send(Box::new(task)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Store for SqliteStore {
    async fn create(&self, room: &str, at: u64) -> Result<u32, StoreError> {
        let room = room.to_owned();
        self.call(Access::Write, move |db| queries::create(db, &room, at))
            .await
    }

    async fn append(
        &self,
        room: &str,
        fence: Fence,
        expected: u32,
        at: u64,
        bodies: Vec<String>,
    ) -> Result<u32, StoreError> {
        let room = room.to_owned();
        self.call(Access::Write, move |db| {
            queries::append(db, &room, fence, expected, at, &bodies)
        })
        .await
    }

    async fn read(&self, room: &str, from: u32) -> Result<Log, StoreError> {
        let room = room.to_owned();
        self.call(Access::Read, move |db| queries::read(db, &room, from))
            .await
    }

    async fn snapshot(&self, room: &str) -> Result<Option<Snapshot>, StoreError> {
        let room = room.to_owned();
        self.call(Access::Read, move |db| queries::snapshot(db, &room))
            .await
    }

    async fn put_snapshot(
        &self,
        room: &str,
        fence: Fence,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let (room, snapshot) = (room.to_owned(), snapshot.clone());
        self.call(Access::Write, move |db| {
            queries::put_snapshot(db, &room, fence, &snapshot)
        })
        .await
    }

    async fn trim(&self, room: &str, fence: Fence, before: u32) -> Result<u32, StoreError> {
        let room = room.to_owned();
        self.call(Access::Write, move |db| {
            queries::trim(db, &room, fence, before)
        })
        .await
    }

    async fn close(&self, room: &str, fence: Fence, at: u64) -> Result<(), StoreError> {
        let room = room.to_owned();
        self.call(Access::Write, move |db| {
            queries::close(db, &room, fence, at)
        })
        .await
    }

    async fn acquire(&self, room: &str, owner: &str, ttl: Duration) -> Result<Lease, StoreError> {
        let (room, owner) = (room.to_owned(), owner.to_owned());
        self.call(Access::Write, move |db| {
            leases::acquire(db, &room, &owner, ttl, now())
        })
        .await
    }

    async fn renew(&self, room: &str, fence: Fence, ttl: Duration) -> Result<bool, StoreError> {
        let room = room.to_owned();
        self.call(Access::Write, move |db| {
            leases::renew(db, &room, fence, ttl, now())
        })
        .await
    }

    async fn ask(&self, room: &str, ttl: Duration) -> Result<(), StoreError> {
        let room = room.to_owned();
        self.call(Access::Write, move |db| leases::ask(db, &room, ttl, now()))
            .await
    }

    async fn release(&self, room: &str, fence: Fence) -> Result<(), StoreError> {
        let room = room.to_owned();
        self.call(Access::Write, move |db| leases::release(db, &room, fence))
            .await
    }

    async fn holder(&self, room: &str) -> Result<Option<Lease>, StoreError> {
        let room = room.to_owned();
        self.call(Access::Read, move |db| leases::holder(db, &room, now()))
            .await
    }

    async fn add_results(
        &self,
        room: &str,
        game: u32,
        outcomes: &[Outcome],
    ) -> Result<bool, StoreError> {
        let (room, outcomes) = (room.to_owned(), outcomes.to_vec());
        self.call(Access::Write, move |db| {
            board::add(db, &room, game, &outcomes)
        })
        .await
    }

    async fn top(&self, kind: Kind, limit: u32) -> Result<Vec<Standing>, StoreError> {
        self.call(Access::Read, move |db| board::top(db, kind, limit))
            .await
    }

    async fn forget_player(&self, kind: Kind, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.call(Access::Write, move |db| board::forget(db, kind, &id))
            .await
    }

    async fn open_rooms(&self) -> Result<Vec<String>, StoreError> {
        self.call(Access::Read, queries::open_rooms).await
    }

    async fn vacant(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.call(Access::Read, move |db| leases::vacant(db, limit, now()))
            .await
    }

    async fn put_session(&self, session: &SessionRecord) -> Result<(), StoreError> {
        let session = session.clone();
        self.call(Access::Write, move |db| queries::put_session(db, &session))
            .await
    }

    async fn session(&self, key: &str, now: u64) -> Result<Option<SessionRecord>, StoreError> {
        let key = key.to_owned();
        self.call(Access::Read, move |db| queries::session(db, &key, now))
            .await
    }

    async fn expire(&self, now: u64, closed_before: u64) -> Result<Expired, StoreError> {
        self.call(Access::Write, move |db| {
            queries::expire(db, now, closed_before)
        })
        .await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.call(Access::Write, queries::probe).await
    }
}

/// The home's clock, for leases: milliseconds since the Unix epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
