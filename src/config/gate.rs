//! The gate of the séance.

use std::time::Duration;

use clap::Args;

use super::secret::{Secret, secret};

/// What opens the séance, and for how long.
#[derive(Clone, Debug, Args)]
pub struct GateSettings {
    /// What opens the séance, as `parlour gate hash` prints it: an argon2id hash, never the
    /// password itself [default: no password is asked for]
    #[arg(long, env = "PARLOUR_PASSWORD", value_name = "HASH", hide_env_values = true, value_parser = secret)]
    pub password: Option<Secret>,
    /// Hours that the séance stays open to a browser which said the password
    #[arg(long, env = "PARLOUR_GATE_HOURS", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=8760))]
    gate_hours: u64,
}

impl GateSettings {
    /// How long the gate stays open to who said the password.
    pub fn keep(&self) -> Duration {
        Duration::from_secs(self.gate_hours * 3600)
    }
}
