//! Counts for the metrics page. Nothing is decided by them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::{play::imitation::Ending, wire::browser::RefusalCode};

/// Every kind of ending, in the order of the counters.
pub const ENDINGS: [(Ending, &str); 6] = [
    (Ending::Convinced, "convinced"),
    (Ending::RoundsOver, "rounds_over"),
    (Ending::Abstained, "abstained"),
    (Ending::Stopped, "stopped"),
    (Ending::Idle, "idle"),
    (Ending::Broken, "broken"),
];

/// Every reason to refuse, in the order of the counters.
pub const REFUSALS: [(RefusalCode, &str); 8] = [
    (RefusalCode::Malformed, "malformed"),
    (RefusalCode::NotNow, "not_now"),
    (RefusalCode::FullHouse, "full_house"),
    (RefusalCode::NoSuchRoom, "no_such_room"),
    (RefusalCode::NotYours, "not_yours"),
    (RefusalCode::TooFast, "too_fast"),
    (RefusalCode::Locked, "locked"),
    (RefusalCode::Trouble, "trouble"),
];

/// One number that goes up and, if it is a gauge, down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn set(&self, value: usize) {
        self.0
            .store(i64::try_from(value).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Rooms whose game goes on.
    pub rooms: Gauge,
    endings: [AtomicU64; ENDINGS.len()],
    refusals: [AtomicU64; REFUSALS.len()],
    /// Rooms that stopped unexpectedly and were rebuilt from their logs.
    pub rebuilt: AtomicU64,
    /// Rooms that went to another server while people could sit in them.
    pub moved: AtomicU64,
    /// Rooms without a server that this one took.
    pub adopted: AtomicU64,
    /// Sockets let go because they did not read.
    pub too_slow: AtomicU64,
}

impl Tally {
    pub(crate) fn ended(&self, ending: Ending) {
        for ((known, _), count) in ENDINGS.iter().zip(&self.endings) {
            if *known == ending {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn too_slow(&self, sockets: u64) {
        self.too_slow.fetch_add(sockets, Ordering::Relaxed);
    }

    pub(crate) fn moved(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn adopted(&self) {
        self.adopted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rebuilt(&self) {
        self.rebuilt.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, code: RefusalCode) {
        for ((known, _), count) in REFUSALS.iter().zip(&self.refusals) {
            if *known == code {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Games by ending.
    pub fn endings(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ENDINGS
            .iter()
            .zip(&self.endings)
            .map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }

    /// Refusals by code.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REFUSALS
            .iter()
            .zip(&self.refusals)
            .map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }
}
