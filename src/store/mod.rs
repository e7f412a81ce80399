//! What must survive: the logs of rooms and the sessions of people. One contract,
//! [`Store`], with one home now (an embedded SQLite file); bodies are opaque text to the
//! store.

pub mod home;
pub mod sqlite;

use std::future::Future;

/// One event of a room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Place in the log, from 0 without gaps.
    pub offset: u32,
    /// When it happened, milliseconds since the Unix epoch.
    pub at: u64,
    /// JSON.
    pub body: String,
}

/// A room's log from some offset on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Changes when offsets of before no longer mean the same.
    pub epoch: u32,
    pub records: Vec<Record>,
    /// Offset that the next event will get.
    pub next: u32,
}

/// The state of a room after its first `offset` events, so that a rebuild need not read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub offset: u32,
    /// JSON.
    pub body: String,
}

/// Who somebody is, across sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Hash of the token that the client holds; the token itself is never stored.
    pub key: String,
    pub name: String,
    /// The room that the session sits in.
    pub room: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub expires_at: u64,
}

/// Why the store did not do it. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote meanwhile.
    #[error("the log of room {room} stands at {actual}, not {expected}")]
    Conflict {
        room: String,
        expected: u32,
        actual: u32,
    },
    #[error("there is a room {0} already")]
    RoomExists(String),
    #[error("there is no room {0}")]
    NoSuchRoom(String),
    /// The disk is full or gone, or the file is damaged.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What was thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub sessions: u64,
    pub rooms: u64,
}

/// What every home of the store promises. Handles are cheap to clone and share one home.
///
/// For all methods:
/// - What was answered with `Ok` survives the end of the process and the loss of power.
/// - What was answered with an error was not done, not even in part. One case is open: when
///   the caller drops the future, the work may or may not be done.
/// - Calls made one after another through one handle take effect in that order.
/// - When more calls wait than the home's queue holds, a call waits for its place.
pub trait Store: Clone + Send + Sync + 'static {
    /// Opens an empty log for a new room and gives its epoch. A room of that name that was
    /// created, expired and created again has another epoch.
    ///
    /// # Errors
    /// [`StoreError::RoomExists`]; nothing of the older room is touched.
    fn create(&self, room: &str, at: u64) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// Adds `bodies` to the log if it has exactly `expected` records, all of them or none,
    /// and gives the offset that the next one will get. Of several that expect the same
    /// offset exactly one succeeds, on whatever handle or process.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] with the true length, [`StoreError::NoSuchRoom`].
    fn append(
        &self,
        room: &str,
        expected: u32,
        at: u64,
        bodies: Vec<String>,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// The log from offset `from` on, in order and without gaps, as it stood at one instant.
    /// Empty when `from` is at or past the end.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`].
    fn read(&self, room: &str, from: u32) -> impl Future<Output = Result<Log, StoreError>> + Send;

    /// The newest snapshot, if any was put.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`].
    fn snapshot(
        &self,
        room: &str,
    ) -> impl Future<Output = Result<Option<Snapshot>, StoreError>> + Send;

    /// Keeps a snapshot in place of an older one; one that is older than the kept one is
    /// dropped. The log stays whole.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`]; [`StoreError::Conflict`] when it claims more records than
    /// the log has.
    fn put_snapshot(
        &self,
        room: &str,
        snapshot: &Snapshot,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Marks a room as finished: it is no longer listed as open, can be read still, and
    /// expires. Closing again changes nothing, not even the time.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`].
    fn close(&self, room: &str, at: u64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The rooms that are not closed, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    fn open_rooms(&self) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Keeps a session in place of the one with the same key.
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    fn put_session(
        &self,
        session: &SessionRecord,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The session of that key, unless it has expired by `now` (at `expires_at` it has).
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    fn session(
        &self,
        key: &str,
        now: u64,
    ) -> impl Future<Output = Result<Option<SessionRecord>, StoreError>> + Send;

    /// Throws away sessions that have expired by `now`, and rooms that were closed before
    /// `closed_before` with everything that belongs to them. Open rooms never expire.
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    fn expire(
        &self,
        now: u64,
        closed_before: u64,
    ) -> impl Future<Output = Result<Expired, StoreError>> + Send;

    /// Whether something can be stored now; stores something to know.
    ///
    /// # Errors
    /// [`StoreError::Failed`] with the reason.
    fn probe(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}
