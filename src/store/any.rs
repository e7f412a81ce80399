//! Whichever home the settings name.

use std::time::Duration;

use super::{
    Expired, Fence, Lease, Log, SessionRecord, Snapshot, Store, StoreError,
    board::{Kind, Outcome, Standing},
    home::Home,
    redis::{Options, RedisStore, neighbours::Neighbours},
    sqlite::SqliteStore,
};
use crate::config::RedisSettings;

/// A store in either home. Clones share it.
#[derive(Clone, Debug)]
pub enum AnyStore {
    /// A file of this server alone.
    Sqlite(SqliteStore),
    /// Shared by all servers of a house.
    Redis(RedisStore),
}

impl AnyStore {
    /// Opens the shared home if the settings name one, else the file in `home`.
    ///
    /// # Errors
    /// As [`RedisStore::open`]'s and [`SqliteStore::open`]'s.
    pub async fn open(shared: &RedisSettings, home: &Home) -> Result<Self, StoreError> {
        let Some(url) = &shared.redis_url else {
            let store = SqliteStore::open(&home.database())?;
            // Nobody but us uses the folder, so whoever held a room is no more.
            store.vacate().await?;
            return Ok(store.into());
        };
        let options = Options {
            prefix: shared.redis_prefix.clone(),
            ..Options::new(url.clone())
        };
        Ok(RedisStore::open(options).await?.into())
    }

    /// The home's name, for people and metrics.
    pub fn home(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Redis(_) => "redis",
        }
    }

    /// Whether other servers may use it at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// The other servers of the house, where there may be any.
    pub fn neighbours(&self) -> Option<Neighbours<'_>> {
        match self {
            Self::Sqlite(_) => None,
            Self::Redis(store) => Some(Neighbours(store)),
        }
    }

    /// What an answer is worth, in the word of [`super::redis::Durability::name`].
    pub fn durability(&self) -> &'static str {
        match self {
            // Flushed before each answer.
            Self::Sqlite(_) => super::redis::Durability::Disk.name(),
            Self::Redis(store) => store.durability().name(),
        }
    }
}

impl From<SqliteStore> for AnyStore {
    fn from(store: SqliteStore) -> Self {
        Self::Sqlite(store)
    }
}

impl From<RedisStore> for AnyStore {
    fn from(store: RedisStore) -> Self {
        Self::Redis(store)
    }
}

/// The same call in whichever home it is.
macro_rules! in_either {
    ($store:expr, $call:ident($($argument:expr),*)) => {
        match $store {
            Self::Sqlite(store) => store.$call($($argument),*).await,
            Self::Redis(store) => store.$call($($argument),*).await,
        }
    };
}

impl Store for AnyStore {
    async fn create(&self, room: &str, at: u64) -> Result<u32, StoreError> {
        in_either!(self, create(room, at))
    }

    async fn append(
        &self,
        room: &str,
        fence: Fence,
        expected: u32,
        at: u64,
        bodies: Vec<String>,
    ) -> Result<u32, StoreError> {
        in_either!(self, append(room, fence, expected, at, bodies))
    }

    async fn read(&self, room: &str, from: u32) -> Result<Log, StoreError> {
        in_either!(self, read(room, from))
    }

    async fn snapshot(&self, room: &str) -> Result<Option<Snapshot>, StoreError> {
        in_either!(self, snapshot(room))
    }

    async fn put_snapshot(
        &self,
        room: &str,
        fence: Fence,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        in_either!(self, put_snapshot(room, fence, snapshot))
    }

    async fn trim(&self, room: &str, fence: Fence, before: u32) -> Result<u32, StoreError> {
        in_either!(self, trim(room, fence, before))
    }

    async fn close(&self, room: &str, fence: Fence, at: u64) -> Result<(), StoreError> {
        in_either!(self, close(room, fence, at))
    }

    async fn acquire(&self, room: &str, owner: &str, ttl: Duration) -> Result<Lease, StoreError> {
        in_either!(self, acquire(room, owner, ttl))
    }

    async fn renew(&self, room: &str, fence: Fence, ttl: Duration) -> Result<bool, StoreError> {
        in_either!(self, renew(room, fence, ttl))
    }

    async fn ask(&self, room: &str, ttl: Duration) -> Result<(), StoreError> {
        in_either!(self, ask(room, ttl))
    }

    async fn release(&self, room: &str, fence: Fence) -> Result<(), StoreError> {
        in_either!(self, release(room, fence))
    }

    async fn holder(&self, room: &str) -> Result<Option<Lease>, StoreError> {
        in_either!(self, holder(room))
    }

    async fn add_results(
        &self,
        room: &str,
        game: u32,
        outcomes: &[Outcome],
    ) -> Result<bool, StoreError> {
        in_either!(self, add_results(room, game, outcomes))
    }

    async fn top(&self, kind: Kind, limit: u32) -> Result<Vec<Standing>, StoreError> {
        in_either!(self, top(kind, limit))
    }

    async fn forget_player(&self, kind: Kind, id: &str) -> Result<bool, StoreError> {
        in_either!(self, forget_player(kind, id))
    }

    async fn open_rooms(&self) -> Result<Vec<String>, StoreError> {
        in_either!(self, open_rooms())
    }

    async fn vacant(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        in_either!(self, vacant(limit))
    }

    async fn put_session(&self, session: &SessionRecord) -> Result<(), StoreError> {
        in_either!(self, put_session(session))
    }

    async fn session(&self, key: &str, now: u64) -> Result<Option<SessionRecord>, StoreError> {
        in_either!(self, session(key, now))
    }

    async fn expire(&self, now: u64, closed_before: u64) -> Result<Expired, StoreError> {
        in_either!(self, expire(now, closed_before))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        in_either!(self, probe())
    }
}
