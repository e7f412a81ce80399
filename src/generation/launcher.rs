//! Keeps a worker process alive: starts it, probes it, and starts it anew when it dies
//! or hangs.
//!
//! The worker ends by itself when its standard input closes, and only this process holds
//! the other end of that pipe: no worker outlives its server, however the server dies.

pub(crate) mod text;

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::UnixStream,
    process::{Child, ChildStderr, Command},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::link::{Connection, ConnectionError, Link, Protocol};
use crate::config::ConfigError;

pub use text::{LaunchOptions, Launcher};

/// Bytes that a Unix socket's path may have on Linux.
const MAX_SOCKET_PATH: usize = 107;

/// How long a worker that is asked to end may take before it is killed.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long after a worker's end its last lines of log may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How patient the launcher is.
#[derive(Clone, Debug)]
pub struct Patience {
    /// From the start of the process to its greeting; loading a model takes its time.
    pub start: Duration,
    /// Between two probes.
    pub probe_every: Duration,
    /// How long the answer to a probe may take.
    pub probe: Duration,
    /// The first pause before a restart; each further one is twice as long.
    pub backoff: Duration,
    pub max_backoff: Duration,
    /// A worker that lived this long was healthy: its end starts the pauses over.
    pub healthy: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(600),
            probe_every: Duration::from_secs(2),
            probe: Duration::from_secs(10),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
            healthy: Duration::from_secs(30),
        }
    }
}

/// What is kept alive, whichever kind of process it is.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    /// What the process is called in the log.
    pub(crate) name: &'static str,
    /// Socket of a process that somebody else runs: none is started then.
    pub(crate) existing: Option<PathBuf>,
    /// This one by default.
    pub(crate) program: Option<PathBuf>,
    /// Subcommand and flags, without the socket.
    pub(crate) arguments: Vec<OsString>,
    pub(crate) patience: Patience,
}

/// Why no worker can be started, ever.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot find this program's own file: {0}")]
    Program(io::Error),
    #[error("cannot make the folder {path:?} for the worker's socket: {error}")]
    Folder { path: PathBuf, error: io::Error },
    #[error(
        "the socket's path {0:?} is longer than {MAX_SOCKET_PATH} bytes; set TMPDIR to a shorter folder"
    )]
    SocketPath(PathBuf),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why a worker's life ended.
#[derive(Debug, thiserror::Error)]
enum Death {
    #[error("cannot start it: {0}")]
    Spawn(io::Error),
    #[error("it ended: {0}")]
    Exit(ExitStatus),
    #[error("cannot wait for it: {0}")]
    Wait(io::Error),
    #[error("it did not come up within {0:?}")]
    Start(Duration),
    #[error("it did not answer a probe within {0:?}")]
    Hung(Duration),
    #[error("{0}")]
    Connection(#[from] ConnectionError),
    #[error("told to stop")]
    Stopped,
}

#[derive(Debug, Default)]
struct Facts {
    /// 0 while there is none.
    pid: AtomicU32,
    restarts: AtomicU64,
}

/// Whose process the worker is.
#[derive(Debug)]
enum Process {
    Ours {
        program: PathBuf,
        folder: PrivateFolder,
    },
    Theirs {
        socket: PathBuf,
    },
}

impl Process {
    fn of(orders: &Orders) -> Result<Self, LaunchError> {
        if let Some(socket) = &orders.existing {
            return Ok(Self::Theirs {
                socket: socket.clone(),
            });
        }
        Ok(Self::Ours {
            program: match &orders.program {
                Some(program) => program.clone(),
                None => std::env::current_exe().map_err(LaunchError::Program)?,
            },
            folder: PrivateFolder::new()?,
        })
    }

    fn socket(&self) -> PathBuf {
        match self {
            Self::Ours { folder, .. } => folder.socket(),
            Self::Theirs { socket } => socket.clone(),
        }
    }
}

/// Keeps one process for one client.
struct Keeper<P: Protocol> {
    orders: Orders,
    process: Process,
    link: Link<P>,
    facts: Arc<Facts>,
    stop: CancellationToken,
}

/// Starts a process in the background and keeps it alive until the handle is dropped. Must
/// be called within a Tokio runtime.
///
/// # Errors
/// When something is wrong that no restart would mend.
pub(super) fn keep<P: Protocol>(
    link: Link<P>,
    orders: Orders,
) -> Result<LauncherHandle, LaunchError> {
    let keeper = Keeper {
        process: Process::of(&orders)?,
        link,
        facts: Arc::default(),
        stop: CancellationToken::new(),
        orders,
    };
    let facts = keeper.facts.clone();
    let stop = keeper.stop.clone();
    let task = tokio::spawn(keeper.keep_alive());
    Ok(LauncherHandle { facts, stop, task })
}

impl<P: Protocol> Keeper<P> {
    async fn keep_alive(self) {
        let patience = &self.orders.patience;
        let mut failures = 0u32;
        loop {
            let born = Instant::now();
            let death = self.one_life().await;
            self.facts.pid.store(0, Ordering::Relaxed);
            if matches!(death, Death::Stopped) {
                return;
            }
            if born.elapsed() >= patience.healthy {
                failures = 0;
            }
            let pause = backoff(patience, failures, rand::random_range(0.5..1.0));
            failures += 1;
            tracing::info!(?pause, "{} starts again soon", self.orders.name);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            self.facts.restarts.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn one_life(&self) -> Death {
        match &self.process {
            Process::Ours { program, .. } => self.child(self.command(program)).await,
            Process::Theirs { .. } => tokio::select! {
                biased;
                () = self.stop.cancelled() => Death::Stopped,
                death = self.serve() => {
                    tracing::warn!(%death, "{} is lost", self.orders.name);
                    death
                }
            },
        }
    }

    async fn child(&self, mut command: Command) -> Death {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Death::Spawn(error),
        };
        self.facts
            .pid
            .store(child.id().unwrap_or(0), Ordering::Relaxed);
        // Taken out of the child: waiting for it would close the pipe, and so end it.
        let stdin = child.stdin.take();
        let log = child
            .stderr
            .take()
            .map(|stderr| AbortOnDropHandle::new(tokio::spawn(forward(stderr))));
        let death = tokio::select! {
            biased;
            () = self.stop.cancelled() => Death::Stopped,
            death = self.serve() => death,
            exit = child.wait() => match exit {
                Ok(status) => Death::Exit(status),
                Err(error) => Death::Wait(error),
            },
        };
        // Whoever waited for this worker has been told by now: `serve` let it go.
        drop(stdin);
        let stopped = matches!(death, Death::Stopped);
        end(child, stopped).await;
        if !stopped {
            let last_words = match log {
                Some(log) => tokio::time::timeout(LAST_WORDS, log).await,
                None => Ok(Ok(String::new())),
            };
            let last_words = last_words.ok().and_then(Result::ok).unwrap_or_default();
            tracing::warn!(%death, last_words, "{} is lost", self.orders.name);
        }
        death
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(&self.orders.arguments)
            .arg("--socket")
            .arg(self.process.socket())
            // What the process need not know.
            .env_remove("PARLOUR_WITNESS_KEY")
            .env_remove("PARLOUR_JUDGE_KEY")
            .env_remove("PARLOUR_REDIS_URL")
            .env_remove("PARLOUR_SECRET")
            .env_remove("PARLOUR_PASSWORD")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Connects and probes until something goes wrong.
    async fn serve(&self) -> Death {
        let patience = &self.orders.patience;
        let mut connection = match tokio::time::timeout(patience.start, self.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return error.into(),
            Err(_) => return Death::Start(patience.start),
        };
        tracing::info!("{} is ready", self.orders.name);
        let probe = async {
            loop {
                tokio::time::sleep(patience.probe_every).await;
                // A connection that is lost meanwhile is noticed beside.
                let answered = tokio::time::timeout(patience.probe, self.link.ping()).await;
                if answered.is_err() {
                    return Death::Hung(patience.probe);
                }
            }
        };
        tokio::select! {
            error = connection.lost() => error.into(),
            death = probe => death,
        }
    }

    async fn connect(&self) -> Result<Connection<P>, ConnectionError> {
        // The socket appears when the model is loaded; nothing tells us but trying.
        let socket = loop {
            match UnixStream::connect(self.process.socket()).await {
                Ok(socket) => break socket,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.link.attach(socket).await
    }
}

/// The pause after `failures` short lives; `jitter` spreads restarts of many servers.
fn backoff(patience: &Patience, failures: u32, jitter: f64) -> Duration {
    let doubled = patience
        .backoff
        .saturating_mul(1u32.checked_shl(failures).unwrap_or(u32::MAX));
    doubled.min(patience.max_backoff).mul_f64(jitter)
}

async fn end(mut child: Child, gently: bool) {
    if gently && tokio::time::timeout(FAREWELL, child.wait()).await.is_ok() {
        return;
    }
    if let Err(error) = child.kill().await {
        tracing::warn!(%error, "cannot kill the worker");
    }
}

/// The worker logs to its standard error; its lines become lines of ours. Gives the last.
async fn forward(stderr: ChildStderr) -> String {
    let mut lines = BufReader::new(stderr).split(b'\n');
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_segment().await {
        last = String::from_utf8_lossy(&line).into_owned();
        tracing::info!(target: "parlour::worker", "{last}");
    }
    last
}

/// A folder that only this user can enter, for the socket; removed when dropped.
#[derive(Debug)]
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn new() -> Result<Self, LaunchError> {
        let name = format!("parlour-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        let socket = path.join("worker.sock");
        if socket.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(LaunchError::SocketPath(socket));
        }
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| LaunchError::Folder {
                path: path.clone(),
                error,
            })?;
        Ok(Self(path))
    }

    fn socket(&self) -> PathBuf {
        Path::join(&self.0, "worker.sock")
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // The system's own cleaning of temporary folders takes what stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keeps the worker. Dropping it ends the worker.
#[derive(Debug)]
pub struct LauncherHandle {
    facts: Arc<Facts>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl LauncherHandle {
    /// The process of now; `None` between two.
    pub fn pid(&self) -> Option<u32> {
        match self.facts.pid.load(Ordering::Relaxed) {
            0 => None,
            pid => Some(pid),
        }
    }

    /// Workers that were started after the first.
    pub fn restarts(&self) -> u64 {
        self.facts.restarts.load(Ordering::Relaxed)
    }

    /// Ends the worker and waits until it is gone.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the launcher ended badly");
        }
    }
}

impl Drop for LauncherHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pauses_grow_and_are_bounded(failures in 0u32..200, jitter in 0.5f64..1.0) {
            let patience = Patience::default();
            let pause = backoff(&patience, failures, jitter);
            prop_assert!(pause >= patience.backoff / 2);
            prop_assert!(pause <= patience.max_backoff);
            prop_assert!(pause <= backoff(&patience, failures + 1, jitter));
        }
    }
}
