//! What is logged, and how.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::ConfigError;

/// What is logged and how. Logs go to stderr; stdout is for answers.
#[derive(Clone, Debug, Args)]
pub struct LogSettings {
    /// What is logged, in tracing's filter syntax
    #[arg(long, global = true, env = "PARLOUR_LOG", default_value = "info")]
    log: String,
    /// How it is written
    #[arg(
        long,
        global = true,
        env = "PARLOUR_LOG_FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogSettings {
    /// Starts logging for the whole process.
    ///
    /// # Errors
    /// When the filter cannot be parsed.
    pub fn start(&self) -> Result<(), ConfigError> {
        let filter = EnvFilter::try_new(&self.log).map_err(|error| ConfigError::Bad {
            name: "PARLOUR_LOG",
            problem: error.to_string(),
        })?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        match self.log_format {
            LogFormat::Text => lines.init(),
            LogFormat::Json => lines.json().init(),
        }
        Ok(())
    }
}
