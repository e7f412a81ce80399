//! How servers on one Redis hold rooms and hand them over.

use std::time::Duration;

use clap::Args;

/// How servers on one Redis hold rooms and hand them over.
#[derive(Clone, Debug, Args)]
pub struct TenureSettings {
    /// Milliseconds after which other servers on one Redis may take the rooms of a server that
    /// is not heard of; it renews its hold four times in that time
    #[arg(long, env = "PARLOUR_ROOM_LEASE_MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(200..=600_000))]
    room_lease_ms: u64,
    /// Milliseconds that a server on a shared Redis which is told to stop goes on, not ready
    /// and without taking new rooms, so that proxies notice; longer than they take between two
    /// questions for its health
    #[arg(long, env = "PARLOUR_NOTICE_MS", default_value_t = 2500, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    notice_ms: u64,
}

impl TenureSettings {
    /// How long a server holds a room that does not renew its lease.
    pub fn room_lease(&self) -> Duration {
        Duration::from_millis(self.room_lease_ms)
    }

    /// How long the stop of a server is announced, where others can take its rooms.
    pub(super) fn notice(&self) -> Duration {
        Duration::from_millis(self.notice_ms)
    }
}
