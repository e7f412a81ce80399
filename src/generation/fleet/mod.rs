//! Many workers on many machines, over Redis Streams.
//!
//! A server's [`FleetClient`] adds requests to a stream per model and protocol version; each
//! worker's [`agent`] takes as many as it has free slots, runs them on an engine of its own and
//! writes what it says to the stream of the server that asked. A claim that is not renewed for
//! a lease is taken over, so many times and no more. What is decided is decided in `rules` and
//! `splice`, which are pure; what must happen at once happens in Redis (`scripts`).
//!
//! A worker joins from below: its agent is to its engine what a server is, and speaks to it
//! over the same socket, so that an engine that dies or hangs takes nothing else with it.

pub mod agent;
mod claims;
pub mod client;
mod desk;
mod intake;
mod line;
mod post;
mod rules;
mod scripts;
mod splice;

pub use client::{FleetClient, FleetHandle};

use std::time::Duration;

use crate::config::{FleetSettings, RedisSettings, Secret};

/// How a server uses the fleet.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    pub url: Secret,
    /// What all names of keys begin with.
    pub prefix: String,
    /// How long a request may take, waiting included.
    pub time: Duration,
    /// Times that one request may be begun.
    pub attempts: u32,
    /// Requests for one model that may wait in Redis before more are refused.
    pub queue: u32,
}

/// Why a fleet cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("PARLOUR_REDIS_URL is not set; a fleet needs Redis, such as redis://127.0.0.1:6379")]
    NoUrl,
    #[error(
        "PARLOUR_REDIS_URL cannot be used; it looks like redis://127.0.0.1:6379, rediss://… or redis+unix://…"
    )]
    Url,
    #[error(transparent)]
    Launch(#[from] super::launcher::LaunchError),
    #[error("cannot run: {0}")]
    Io(#[from] std::io::Error),
}

impl FleetOptions {
    /// # Errors
    /// When no Redis is named.
    pub fn new(redis: &RedisSettings, settings: &FleetSettings) -> Result<Self, FleetError> {
        Ok(Self {
            url: redis.redis_url.clone().ok_or(FleetError::NoUrl)?,
            prefix: redis.redis_prefix.clone(),
            time: settings.time(),
            attempts: settings.attempts,
            queue: settings.fleet_queue,
        })
    }
}
