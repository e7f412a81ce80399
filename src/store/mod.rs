//! What must survive: the logs of rooms and the sessions of people. One contract, with
//! one home now (an embedded SQLite file); bodies are opaque text to the store.

pub mod sqlite;

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
