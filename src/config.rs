//! Every setting, read once at the start from flags, the environment and `.env`, and
//! checked before anything runs. Nothing else in the program reads the environment.

use std::{
    env, fmt,
    io::IsTerminal,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Arg, Args, Command, ValueEnum, builder::Resettable};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::models::import::Precision;

/// A value that must not reach a log, an error or a screen.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read .env: {0}")]
    Dotenv(#[from] dotenvy::Error),
    #[error("{name}: {problem}")]
    Bad { name: &'static str, problem: String },
}

/// Reads `.env` from the working directory into the environment; what is already set wins.
///
/// # Errors
/// When the file is there and cannot be parsed.
pub fn read_dotenv() -> Result<(), ConfigError> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The command line, in which a variable that is set to nothing is not set: a line
/// `PARLOUR_PRECISION=` of `.env`, or what a compose file makes of a variable that is
/// missing, leaves the default. Call it after [`read_dotenv`].
pub fn without_empty_variables(command: Command) -> Command {
    let is_empty = |arg: &Arg| {
        let value = arg.get_env().and_then(env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| {
            if is_empty(&arg) {
                arg.env(Resettable::Reset)
            } else {
                arg
            }
        })
        .mut_subcommands(without_empty_variables)
}

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

/// Where weights lie and where they come from.
#[derive(Clone, Debug, Args)]
pub struct ModelSettings {
    /// Folder of weights and of the ONNX Runtime library [default: a per-user cache]
    #[arg(long, env = "PARLOUR_MODELS", value_name = "DIR")]
    models: Option<PathBuf>,
    /// Folder of LoRA adapters, one folder each [default: `adapters` in the folder of weights]
    #[arg(long, env = "PARLOUR_ADAPTERS", value_name = "DIR")]
    adapters: Option<PathBuf>,
    /// Hub that catalogue entries of kind `hub` are downloaded from
    #[arg(
        long,
        env = "PARLOUR_HUB",
        value_name = "URL",
        default_value = "https://huggingface.co"
    )]
    pub hub: String,
    /// Never download; say what is missing instead
    #[arg(long, env = "PARLOUR_OFFLINE")]
    pub offline: bool,
    /// Licences that are accepted, by the names that `parlour model list` shows
    #[arg(
        long,
        env = "PARLOUR_ACCEPT_LICENCE",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub accept_licence: Vec<String>,
    /// How chat models are held [default: what is fastest here, measured at first start]
    #[arg(long, env = "PARLOUR_PRECISION", value_parser = precision)]
    pub precision: Option<Precision>,
    /// What computes the chat model
    #[arg(long, env = "PARLOUR_DEVICE", default_value = "cpu")]
    pub device: Device,
    /// ONNX Runtime library to use instead of the catalogue's; one that can use the GPU
    /// for `--device cuda`
    #[arg(long, env = "PARLOUR_ORT", value_name = "PATH")]
    pub ort: Option<PathBuf>,
}

/// What computes a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

fn precision(name: &str) -> Result<Precision, String> {
    Precision::named(name).ok_or_else(|| {
        let known = Precision::ALL.map(Precision::name).join(", ");
        format!("no precision is called {name:?}; known are {known}")
    })
}

/// The folder of adapters within that of weights.
pub(crate) const ADAPTERS: &str = "adapters";

impl ModelSettings {
    /// The folder of adapters.
    ///
    /// # Errors
    /// As [`Self::dir`]'s, when none is set.
    pub fn adapters(&self) -> Result<PathBuf, ConfigError> {
        match &self.adapters {
            Some(dir) => Ok(dir.clone()),
            None => Ok(self.dir()?.join(ADAPTERS)),
        }
    }

    /// The folder of weights.
    ///
    /// # Errors
    /// When none is set and the user has no cache folder.
    pub fn dir(&self) -> Result<PathBuf, ConfigError> {
        match &self.models {
            Some(dir) => Ok(dir.clone()),
            None => dirs::cache_dir()
                .map(|cache| cache.join("parlour").join("models"))
                .ok_or(ConfigError::Bad {
                    name: "PARLOUR_MODELS",
                    problem: "this user has no cache folder; name one".into(),
                }),
        }
    }
}

/// How much one worker does at once.
#[derive(Clone, Debug, Args)]
pub struct WorkerSettings {
    /// Requests that the worker serves at the same time
    #[arg(long, env = "PARLOUR_SLOTS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub slots: u32,
    /// Beginnings of prompts that the worker keeps, so as not to read them again
    #[arg(long, env = "PARLOUR_SHELVES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub shelves: u32,
    /// Adapters that the worker holds ready at once
    #[arg(long, env = "PARLOUR_ADAPTER_PLACES", default_value_t = 32, value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub adapter_places: u32,
    /// Requests that may wait for a slot before the worker refuses
    #[arg(long, env = "PARLOUR_QUEUE", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub queue: u32,
    /// Longest prompt plus output, tokens; the model's own limit if that is lower
    #[arg(long, env = "PARLOUR_CONTEXT", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..))]
    pub context: u32,
    /// How long a step of the model may take because of prompts that are read beside texts
    /// that are written: longer steps read faster, shorter ones write more evenly; milliseconds
    #[arg(long, env = "PARLOUR_STEP_MS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub step_ms: u32,
    /// Tokens guessed ahead while few texts are written; 0 turns guessing off. It changes no token
    #[arg(long, env = "PARLOUR_DRAFT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..=32))]
    pub draft: u32,
    /// Threads that compute [default: the machine's cores, at most 16]
    #[arg(long, env = "PARLOUR_THREADS", value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Option<u32>,
}

impl WorkerSettings {
    /// Threads that compute.
    pub fn threads(&self) -> u32 {
        self.threads.unwrap_or_else(default_threads)
    }
}

/// The machine's cores, at most 16: beyond, memory is what a small model waits for.
pub fn default_threads() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    u32::try_from(cores.min(16)).unwrap_or(16)
}

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

/// Whose workers compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Workers {
    /// One that the server starts, or whose socket is named.
    #[default]
    Local,
    /// Those that have joined over Redis; the server starts none.
    Fleet,
}

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
    /// Who plays the bot: `local`, or the URL of an OpenAI-compatible server
    #[arg(
        long,
        env = "PARLOUR_WITNESS",
        default_value = "local",
        value_name = "local|URL"
    )]
    witness: String,
    /// Model that the witness's server is asked for
    #[arg(long, env = "PARLOUR_WITNESS_MODEL", default_value = "")]
    witness_model: String,
    /// API key of the witness's server
    #[arg(long, env = "PARLOUR_WITNESS_KEY", hide_env_values = true, value_parser = secret)]
    witness_key: Option<Secret>,
    /// Who judges: `local`, or the URL of an OpenAI-compatible server
    #[arg(
        long,
        env = "PARLOUR_JUDGE",
        default_value = "local",
        value_name = "local|URL"
    )]
    judge: String,
    /// Model that the judge's server is asked for
    #[arg(long, env = "PARLOUR_JUDGE_MODEL", default_value = "")]
    judge_model: String,
    /// API key of the judge's server
    #[arg(long, env = "PARLOUR_JUDGE_KEY", hide_env_values = true, value_parser = secret)]
    judge_key: Option<Secret>,
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
    /// Secret that seats at tables are signed with, 16 characters or more; the servers of a
    /// fleet must share it [default: drawn at the first start and kept in the data folder]
    #[arg(long, env = "PARLOUR_SECRET", hide_env_values = true, value_parser = long_secret)]
    pub secret: Option<Secret>,
    /// Milliseconds after which other servers on one Redis may take the rooms of a server that
    /// is not heard of; it renews its hold four times in that time
    #[arg(long, env = "PARLOUR_ROOM_LEASE_MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(200..=600_000))]
    room_lease_ms: u64,
    /// Milliseconds that a server on a shared Redis which is told to stop goes on, not ready
    /// and without taking new rooms, so that proxies notice; longer than they take between two
    /// questions for its health
    #[arg(long, env = "PARLOUR_NOTICE_MS", default_value_t = 2500, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    notice_ms: u64,
    /// Games and tables that may be open at the same time
    #[arg(long, env = "PARLOUR_ROOMS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rooms: u32,
    /// Sockets that may be open at the same time
    #[arg(long, env = "PARLOUR_SOCKETS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets: u32,
    /// Sockets that one address may have open at the same time; 0 is any number
    #[arg(long, env = "PARLOUR_SOCKETS_PER_ADDRESS", default_value_t = 256)]
    pub sockets_per_address: u32,
    /// Sockets that one address may open in a minute; 0 is any number
    #[arg(long, env = "PARLOUR_CONNECTS_PER_MINUTE", default_value_t = 600)]
    pub connects_per_minute: u32,
    /// Proxies whose `X-Forwarded-For` names the client's address: addresses or networks
    /// such as `10.0.0.0/8`, comma separated; without them a proxy counts as one client
    #[arg(long, env = "PARLOUR_TRUST_PROXY", value_delimiter = ',', value_name = "NETWORK", value_parser = network)]
    pub trust_proxy: Vec<IpNet>,
    /// Seconds between two pings of a socket; one that stays silent for three is let go
    #[arg(long, env = "PARLOUR_PING_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    ping_seconds: u64,
    /// Days that finished games and sessions are kept
    #[arg(long, env = "PARLOUR_KEEP_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_days: u32,
    /// Origins besides our own whose pages may open a socket, comma separated
    #[arg(long, env = "PARLOUR_ORIGINS", value_delimiter = ',')]
    pub origins: Vec<String>,
}

fn network(value: &str) -> Result<IpNet, String> {
    let value = value.trim();
    value
        .parse::<IpNet>()
        .or_else(|_| value.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{value:?} is neither an address nor a network such as 10.0.0.0/8"))
}

fn secret(value: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::from(value.to_owned()))
}

fn long_secret(value: &str) -> Result<Secret, &'static str> {
    if value.chars().count() < 16 {
        return Err("a secret that can be guessed signs nothing: 16 characters at least");
    }
    Ok(Secret::from(value.to_owned()))
}

/// Where a seat's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackEnd {
    /// The worker that this server starts.
    Local,
    /// Any server that speaks `POST {url}/chat/completions`.
    OpenAi {
        url: String,
        model: String,
        key: Option<Secret>,
    },
}

impl ServeSettings {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(0.0..=10.0).contains(&self.typing) {
            return Err(ConfigError::Bad {
                name: "PARLOUR_TYPING",
                problem: format!("{} is not between 0 and 10", self.typing),
            });
        }
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
        self.witness()?;
        self.judge()?;
        Ok(())
    }

    /// Who plays the bot.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn witness(&self) -> Result<BackEnd, ConfigError> {
        back_end(
            "PARLOUR_WITNESS",
            &self.witness,
            &self.witness_model,
            &self.witness_key,
        )
    }

    /// Who judges.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn judge(&self) -> Result<BackEnd, ConfigError> {
        back_end(
            "PARLOUR_JUDGE",
            &self.judge,
            &self.judge_model,
            &self.judge_key,
        )
    }

    /// Whether any seat needs a worker of ours.
    ///
    /// # Errors
    /// As [`Self::witness`] and [`Self::judge`].
    pub fn needs_worker(&self) -> Result<bool, ConfigError> {
        Ok(self.witness()? == BackEnd::Local || self.judge()? == BackEnd::Local)
    }

    /// How long a server holds a room that does not renew its lease.
    pub fn room_lease(&self) -> Duration {
        Duration::from_millis(self.room_lease_ms)
    }

    /// How long the stop of a server is announced before its rooms move: only where there are
    /// other servers that can take them.
    pub fn notice(&self) -> Duration {
        let shared = self.redis.redis_url.is_some();
        Duration::from_millis(if shared { self.notice_ms } else { 0 })
    }

    /// How often a socket has to show that it is alive.
    pub fn ping_every(&self) -> Duration {
        Duration::from_secs(self.ping_seconds)
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

fn back_end(
    name: &'static str,
    value: &str,
    model: &str,
    key: &Option<Secret>,
) -> Result<BackEnd, ConfigError> {
    if value == "local" {
        return Ok(BackEnd::Local);
    }
    if !(value.starts_with("http://") || value.starts_with("https://")) {
        return Err(ConfigError::Bad {
            name,
            problem: format!(
                "{value:?} is neither `local` nor a URL such as http://127.0.0.1:8081/v1"
            ),
        });
    }
    Ok(BackEnd::OpenAi {
        url: value.trim_end_matches('/').to_owned(),
        model: model.to_owned(),
        key: key.clone(),
    })
}
