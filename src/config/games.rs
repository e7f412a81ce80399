//! What the games go by.

use std::time::Duration;

use clap::Args;

use super::ConfigError;

/// By what games and tables go.
#[derive(Clone, Debug, Args)]
pub struct GameSettings {
    /// How much of a human's typing time a bot takes; 0 answers as fast as the model can
    #[arg(long, env = "PARLOUR_TYPING", default_value_t = 0.3)]
    pub typing: f32,
    /// Rounds after which the judge must say or abstain
    #[arg(long, env = "PARLOUR_ROUNDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,
    /// Seconds after which a player who is due to answer is let go
    #[arg(long, env = "PARLOUR_IDLE_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86400))]
    idle_seconds: u64,
    /// Seconds that a table stays open with nobody at it
    #[arg(long, env = "PARLOUR_TABLE_SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=86400))]
    table_seconds: u64,
}

impl GameSettings {
    /// Checks what clap cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(0.0..=10.0).contains(&self.typing) {
            return Err(ConfigError::Bad {
                name: "PARLOUR_TYPING",
                problem: format!("{} is not between 0 and 10", self.typing),
            });
        }
        Ok(())
    }

    /// How long a player may keep everybody waiting.
    pub fn idle_limit(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    /// How long a table stays open with nobody at it.
    pub fn table_keep(&self) -> Duration {
        Duration::from_secs(self.table_seconds)
    }
}
