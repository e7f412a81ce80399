//! What is known about a socket from outside its actor.
//!
//! An actor of a WebSocket is polled only while little of its output waits, so with a client
//! that does not read neither its mailbox nor its timers run. These atomics are how others
//! judge it, and how they leave word for it.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::wire::browser::Bye;

/// A socket's number, never used twice in one process.
pub type SocketId = u64;

/// Milliseconds on a clock that nobody sets: whoever is judged by pauses is not to suffer when
/// the time of day jumps.
pub fn ticks() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let since = BEGAN.get_or_init(Instant::now).elapsed();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Signs of life of one socket. Times are [`ticks`].
#[derive(Debug)]
pub struct Pulse {
    heard: AtomicU64,
    doom: AtomicU8,
}

const SPARED: u8 = 0;
const TOO_SLOW: u8 = 1;
const ELSEWHERE: u8 = 2;
const RESTARTING: u8 = 3;
const MOVED: u8 = 4;

impl Pulse {
    pub fn new(now: u64) -> Self {
        Self {
            heard: AtomicU64::new(now),
            doom: AtomicU8::new(SPARED),
        }
    }

    /// A frame came in.
    pub fn beat(&self, now: u64) {
        self.heard.fetch_max(now, Ordering::Relaxed);
    }

    /// Milliseconds since the last frame came in.
    pub fn silence(&self, now: u64) -> u64 {
        now.saturating_sub(self.heard.load(Ordering::Relaxed))
    }

    /// Leaves word for a session whose mailbox is full: close as soon as you run. The first
    /// word stands.
    pub(crate) fn doom(&self, bye: Bye) {
        let word = match bye {
            Bye::Elsewhere => ELSEWHERE,
            Bye::Restarting => RESTARTING,
            Bye::Moved => MOVED,
            _ => TOO_SLOW,
        };
        // Losing the race means that another word is there already, which is as good.
        let _ = self
            .doom
            .compare_exchange(SPARED, word, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The word that was left.
    pub(crate) fn doomed(&self) -> Option<Bye> {
        match self.doom.load(Ordering::Relaxed) {
            SPARED => None,
            ELSEWHERE => Some(Bye::Elsewhere),
            RESTARTING => Some(Bye::Restarting),
            MOVED => Some(Bye::Moved),
            _ => Some(Bye::TooSlow),
        }
    }
}
