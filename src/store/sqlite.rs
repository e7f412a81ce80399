//! The embedded home of the store contract.

use std::path::Path;

use super::{Expired, Log, SessionRecord, Snapshot, StoreError};

/// A handle on the store; clones share it.
#[derive(Clone, Debug)]
pub struct SqliteStore {}

impl SqliteStore {
    /// Opens the file, creating it and its folder if need be, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let _ = path;
        unimplemented!()
    }

    pub async fn create(&self, room: &str, at: u64) -> Result<u32, StoreError> {
        let _ = (room, at);
        unimplemented!()
    }

    pub async fn append(
        &self,
        room: &str,
        expected: u32,
        at: u64,
        bodies: Vec<String>,
    ) -> Result<u32, StoreError> {
        let _ = (room, expected, at, bodies);
        unimplemented!()
    }

    pub async fn read(&self, room: &str, from: u32) -> Result<Log, StoreError> {
        let _ = (room, from);
        unimplemented!()
    }

    pub async fn snapshot(&self, room: &str) -> Result<Option<Snapshot>, StoreError> {
        let _ = room;
        unimplemented!()
    }

    pub async fn put_snapshot(&self, room: &str, snapshot: &Snapshot) -> Result<(), StoreError> {
        let _ = (room, snapshot);
        unimplemented!()
    }

    pub async fn close(&self, room: &str, at: u64) -> Result<(), StoreError> {
        let _ = (room, at);
        unimplemented!()
    }

    pub async fn open_rooms(&self) -> Result<Vec<String>, StoreError> {
        unimplemented!()
    }

    pub async fn put_session(&self, session: &SessionRecord) -> Result<(), StoreError> {
        let _ = session;
        unimplemented!()
    }

    pub async fn session(&self, key: &str, now: u64) -> Result<Option<SessionRecord>, StoreError> {
        let _ = (key, now);
        unimplemented!()
    }

    pub async fn expire(&self, now: u64, closed_before: u64) -> Result<Expired, StoreError> {
        let _ = (now, closed_before);
        unimplemented!()
    }

    /// Whether the store answers and can be written.
    pub async fn probe(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
