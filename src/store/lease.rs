//! Who may write into a room: a lease that runs out by the store's own clock, and a fence
//! that tells an older lease from a newer one.

use std::{fmt, time::Duration};

/// The number of a lease. The store draws a greater one for each lease of a room, also
/// when a room of that name was thrown away and created again, and writes for the newest alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

impl Fence {
    /// What writes into a room that nobody ever leased: enough for one server by itself.
    pub const UNLEASED: Self = Self(0);
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A room that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who: one server, by a name that no other one has.
    pub owner: String,
    pub fence: Fence,
    /// How long from now, unless it is renewed. A holder counts from before its call.
    pub remaining: Duration,
}

/// A duration in whole milliseconds, at least one: a lease of no time could not be told
/// from none.
pub(super) fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
