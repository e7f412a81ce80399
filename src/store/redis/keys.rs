//! Names of keys. What belongs to one room carries the room's name in braces, so that a
//! cluster would keep it in one place.

/// The beginning that all keys of one house share.
#[derive(Clone, Debug)]
pub(super) struct Keys(String);

impl Keys {
    pub(super) fn new(prefix: String) -> Self {
        Self(prefix)
    }

    /// Hash: epoch, run, first, next, fence, holder, until, asked, snapshot, closed, …
    pub(super) fn room(&self, room: &str) -> String {
        format!("{}{{{room}}}:room", self.0)
    }

    /// Stream: one entry a record, `<offset>-1`.
    pub(super) fn log(&self, room: &str) -> String {
        format!("{}{{{room}}}:log", self.0)
    }

    /// Sorted set of rooms that are not closed, in the order of their creation.
    pub(super) fn open(&self) -> String {
        format!("{}open", self.0)
    }

    /// Sorted set of rooms that are not closed and were held once, by when their leases end.
    pub(super) fn leases(&self) -> String {
        format!("{}leases", self.0)
    }

    /// Counter that orders them.
    pub(super) fn rooms(&self) -> String {
        format!("{}rooms", self.0)
    }

    /// Sorted set of closed rooms by when they were closed.
    pub(super) fn closed(&self) -> String {
        format!("{}closed", self.0)
    }

    /// Hash.
    pub(super) fn session(&self, key: &str) -> String {
        format!("{}session:{key}", self.0)
    }

    /// Sorted set of sessions by when they end.
    pub(super) fn sessions(&self) -> String {
        format!("{}sessions", self.0)
    }

    /// Sorted set of players, the best with the lowest score.
    pub(super) fn board(&self, kind: &str) -> String {
        format!("{}board:{kind}", self.0)
    }

    /// What the keys of a kind's players begin with; each is a hash.
    pub(super) fn players(&self, kind: &str) -> String {
        format!("{}player:{kind}:", self.0)
    }

    /// Hash: where a session is open, and since which arrival.
    pub(super) fn seat(&self, session: &str) -> String {
        format!("{}seat:{session}", self.0)
    }

    /// Stream: what a server is told.
    pub(super) fn words(&self, server: &str) -> String {
        format!("{}words:{server}", self.0)
    }

    /// Hash of the tables that each server lists.
    pub(super) fn tables(&self) -> String {
        format!("{}tables", self.0)
    }

    /// Sorted set of these servers by when their lists end.
    pub(super) fn tables_until(&self) -> String {
        format!("{}tables:until", self.0)
    }

    /// What a probe writes to.
    pub(super) fn probe(&self) -> String {
        format!("{}probe", self.0)
    }
}
