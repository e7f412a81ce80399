//! What servers and workers share: a Redis, and the work over it.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::secret::{Secret, secret};

/// The Redis that several servers and workers share.
#[derive(Clone, Debug, Args)]
pub struct RedisSettings {
    /// Redis that holds games and sessions instead of the embedded store, and that servers and
    /// workers share: redis://[USER:PASSWORD@]HOST:PORT, rediss://… with TLS, redis+unix:///PATH
    #[arg(long, visible_alias = "fleet", env = "PARLOUR_REDIS_URL", value_name = "URL", hide_env_values = true, value_parser = secret)]
    pub redis_url: Option<Secret>,
    /// What the names of all keys there begin with
    #[arg(
        long,
        env = "PARLOUR_REDIS_PREFIX",
        value_name = "TEXT",
        default_value = "parlour:"
    )]
    pub redis_prefix: String,
}

/// Whose workers compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Workers {
    /// One that the server starts, or whose socket is named.
    #[default]
    Local,
    /// Those that have joined over Redis; the server starts none.
    Fleet,
}

/// How servers and workers share work over Redis.
#[derive(Clone, Debug, Args)]
pub struct FleetSettings {
    /// Seconds that a request to the fleet may take, waiting included
    #[arg(long, env = "PARLOUR_REQUEST_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    request_seconds: u64,
    /// Times that a request is begun, when workers are lost under it, before it is given up
    #[arg(long, env = "PARLOUR_ATTEMPTS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,
    /// Requests for one model that may wait in Redis before more are refused
    #[arg(long, env = "PARLOUR_FLEET_QUEUE", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub fleet_queue: u32,
}

impl FleetSettings {
    /// How long a request may take.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }
}

/// How a worker belongs to a fleet.
#[derive(Clone, Debug, Args)]
pub struct MemberSettings {
    /// Milliseconds after which another worker takes over what this one has not shown itself
    /// to be working at; the same for all workers
    #[arg(long, env = "PARLOUR_LEASE_MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    lease_ms: u64,
    /// Seconds that a worker which is told to leave may go on with what it has in hand
    #[arg(long, env = "PARLOUR_DRAIN_SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=3600))]
    drain_seconds: u64,
}

impl MemberSettings {
    /// How long a claim holds that is not renewed.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How long a worker may take to leave.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}
