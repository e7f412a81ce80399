//! What must survive: the logs of rooms, the sessions of people, the boards of results. One
//! contract, [`Store`], with two homes: an embedded SQLite file for one server by itself, and
//! Redis for many. Bodies are opaque text to the store.

mod any;
pub mod board;
pub mod home;
mod lease;
pub mod redis;
pub mod sqlite;

use std::{future::Future, time::Duration};

use self::board::{Kind, Outcome, Standing};
pub use self::{
    any::AnyStore,
    lease::{Fence, Lease},
    redis::neighbours,
};

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
    /// Whether the room is finished.
    pub closed: bool,
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

/// Why the store did not do it. Nothing was changed, but for [`StoreError::Unanswered`].
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
    /// Somebody else has had the room since, or ours was given back.
    #[error("the lease on room {room} is not the newest, which is {newest}")]
    Fenced { room: String, newest: Fence },
    /// Somebody else has the room.
    #[error("room {room} is held by {owner}")]
    Held { room: String, owner: String },
    /// A snapshot tells what was before.
    #[error("the log of room {room} begins at {first}")]
    Trimmed { room: String, first: u32 },
    /// The disk or the memory is full, or the home is gone, or what it holds is damaged.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The home was asked and did not answer in time. The one case in which it may be done:
    /// wholly or not at all, and if it is not done now it never will be. Reading tells.
    #[error("the store did not answer: {0}")]
    Unanswered(String),
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
/// - What was answered with `Ok` survives the end of the process and the loss of power. (A
///   home on another machine can be set up to promise less; it says so when it is opened.)
/// - What was answered with an error was not done, not even in part. Two cases are open:
///   [`StoreError::Unanswered`], and when the caller drops the future. Then it was done
///   wholly or not at all.
/// - Any call can fail with [`StoreError::Failed`], and where a home is reached over a
///   connection with [`StoreError::Unanswered`].
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
    /// [`StoreError::NoSuchRoom`], [`StoreError::Fenced`], [`StoreError::Conflict`] with the
    /// true length; whichever comes first in this order.
    fn append(
        &self,
        room: &str,
        fence: Fence,
        expected: u32,
        at: u64,
        bodies: Vec<String>,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// The log from offset `from` on, in order and without gaps, as it stood at one instant.
    /// Empty when `from` is at or past the end.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`]; [`StoreError::Trimmed`] when the log begins later: whoever
    /// asks has to begin with the snapshot.
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
    /// [`StoreError::NoSuchRoom`], [`StoreError::Fenced`]; [`StoreError::Conflict`] when it
    /// claims more records than the log has.
    fn put_snapshot(
        &self,
        room: &str,
        fence: Fence,
        snapshot: &Snapshot,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets the records before `before`, but none that the newest snapshot does not
    /// cover; without a snapshot nothing. Gives the first offset that is left.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`], [`StoreError::Fenced`].
    fn trim(
        &self,
        room: &str,
        fence: Fence,
        before: u32,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// Marks a room as finished: it is no longer listed as open, can be read still, and
    /// expires. Closing again changes nothing, not even the time.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`], [`StoreError::Fenced`].
    fn close(
        &self,
        room: &str,
        fence: Fence,
        at: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes the room for `owner` until `ttl` has passed by the store's clock. From now on
    /// only this lease writes; an older one never does again, whatever its holder believes,
    /// and neither does [`Fence::UNLEASED`]. Who holds the room already gets a new lease in
    /// place of its own. A lease that ran out still writes until somebody takes the room.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`]; [`StoreError::Held`] while somebody else's runs.
    fn acquire(
        &self,
        room: &str,
        owner: &str,
        ttl: Duration,
    ) -> impl Future<Output = Result<Lease, StoreError>> + Send;

    /// Lets the lease run for `ttl` from now on, also one that ran out. Gives whether somebody
    /// asks for the room ([`Self::ask`]).
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`]; [`StoreError::Fenced`] when it is not the newest.
    fn renew(
        &self,
        room: &str,
        fence: Fence,
        ttl: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Leaves word for whoever holds the room that somebody else would have it. It is
    /// forgotten when `ttl` has passed, and when somebody takes the room.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`].
    fn ask(&self, room: &str, ttl: Duration)
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives the room back: anybody may take it at once, and this lease writes no more.
    /// Giving it back again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`]; [`StoreError::Fenced`] when somebody else has taken it.
    fn release(
        &self,
        room: &str,
        fence: Fence,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Who has the room now, if anybody.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`].
    fn holder(&self, room: &str) -> impl Future<Output = Result<Option<Lease>, StoreError>> + Send;

    /// Adds what game number `game` of a room brought its players to the boards, once: later
    /// calls for the same game change nothing and give false. Games may come in any order.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRoom`].
    fn add_results(
        &self,
        room: &str,
        game: u32,
        outcomes: &[Outcome],
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The best `limit` players of a kind, by the lower end of the 95 % interval of their
    /// share of wins ([`Standing::win_interval`]), then by id.
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    fn top(
        &self,
        kind: Kind,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Standing>, StoreError>> + Send;

    /// Takes a player off the board of that kind, with all that was counted; whether there
    /// was anything. Games that were counted are not counted again; what comes later begins
    /// anew.
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    fn forget_player(
        &self,
        kind: Kind,
        id: &str,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The rooms that are not closed, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    fn open_rooms(&self) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Rooms that are not closed, that somebody has held, and that nobody holds now; at most
    /// `limit`, in any order.
    ///
    /// # Errors
    /// [`StoreError::Failed`] alone.
    fn vacant(&self, limit: u32) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Keeps a session in place of the one with the same key. A home may forget it by itself
    /// once `expires_at` has passed by the home's own clock.
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
    /// `closed_before` with everything that belongs to them. Open rooms never expire. On an error some of
    /// them may be gone, each wholly.
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
    /// With the reason.
    fn probe(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}
