//! `parlour serve`: the server's own settings, and those of all that it starts or joins.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::{
    ConfigError, ConnectionSettings, FleetSettings, GameSettings, GateSettings, MindSettings,
    ModelSettings, RedisSettings, SeanceSettings, Secret, TenureSettings, WorkerSettings, Workers,
};
/// The raw settings of `parlour serve`, as clap reads them.
#[derive(Clone, Debug, Args)]
pub struct ServeSettings {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "PARLOUR_BIND", default_value = "127.0.0.1:8080")]
    pub bind: SocketAddr,
    /// Folder of the embedded store and of the process id
    #[arg(long, env = "PARLOUR_DATA", default_value = "data", value_name = "DIR")]
    pub data: PathBuf,
    /// Chat model of the catalogue that the local worker holds; `deterministic` is a
    /// toy for benches and tests that needs no weights
    #[arg(long, env = "PARLOUR_MODEL", default_value = "smollm2-135m")]
    pub model: String,
    #[command(flatten)]
    pub models: ModelSettings,
    #[command(flatten)]
    pub worker: WorkerSettings,
    #[command(flatten)]
    pub seance: SeanceSettings,
    /// Whose workers compute: one of our own, or those that share a Redis with us
    #[arg(long, env = "PARLOUR_WORKERS", default_value = "local")]
    pub workers: Workers,
    #[command(flatten)]
    pub redis: RedisSettings,
    #[command(flatten)]
    pub fleet: FleetSettings,
    /// Unix socket of a worker that somebody else runs, instead of one of our own
    #[arg(long, env = "PARLOUR_WORKER_SOCKET", value_name = "PATH")]
    pub worker_socket: Option<PathBuf>,
    #[command(flatten)]
    pub minds: MindSettings,
    #[command(flatten)]
    pub games: GameSettings,
    /// Secret that seats at tables are signed with, 16 characters or more; the servers of a
    /// fleet must share it [default: drawn at the first start and kept in the data folder]
    #[arg(long, env = "PARLOUR_SECRET", hide_env_values = true)]
    pub secret: Option<Secret>,
    #[command(flatten)]
    pub tenure: TenureSettings,
    /// Games and tables that may be open at the same time
    #[arg(long, env = "PARLOUR_ROOMS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rooms: u32,
    #[command(flatten)]
    pub connections: ConnectionSettings,
    /// Days that finished games and sessions are kept
    #[arg(long, env = "PARLOUR_KEEP_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_days: u32,
    #[command(flatten)]
    pub gate: GateSettings,
    /// Folder of dead profiles: TOML, JSON and saved HTML [default: those that come with the
    /// program]
    #[arg(long, env = "PARLOUR_PROFILES", value_name = "DIR")]
    pub profiles: Option<PathBuf>,
    /// Origins besides our own whose pages may open a socket, comma separated
    #[arg(long, env = "PARLOUR_ORIGINS", value_delimiter = ',')]
    pub origins: Vec<String>,
}

/// Characters that a secret has at least.
const SECRET: usize = 16;

impl ServeSettings {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.games.check()?;
        if self.workers == Workers::Fleet && self.redis.redis_url.is_none() {
            return Err(ConfigError::Bad {
                name: "PARLOUR_REDIS_URL",
                problem: "PARLOUR_WORKERS=fleet needs it, such as redis://127.0.0.1:6379".into(),
            });
        }
        if self.workers == Workers::Fleet && self.worker_socket.is_some() {
            return Err(ConfigError::Bad {
                name: "PARLOUR_WORKER_SOCKET",
                problem: "the workers are a fleet's; leave one of the two out".into(),
            });
        }
        // Not on the command line, which would repeat what it refuses.
        let secret = self.secret.as_ref().map(Secret::expose);
        if secret.is_some_and(|secret| secret.chars().count() < SECRET) {
            return Err(ConfigError::Bad {
                name: "PARLOUR_SECRET",
                problem: format!(
                    "a secret that can be guessed signs nothing: {SECRET} characters at least"
                ),
            });
        }
        self.minds.check()
    }

    /// How long the stop of a server is announced before its rooms move: only where there are
    /// other servers that can take them.
    pub fn notice(&self) -> Duration {
        match self.redis.redis_url {
            Some(_) => self.tenure.notice(),
            None => Duration::ZERO,
        }
    }
}
