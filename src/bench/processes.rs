//! Starts the real program as child processes and waits until they can be used.

use std::{net::SocketAddr, path::Path, process::Stdio};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::config::ModelSettings;

/// A server of our own, killed when dropped.
pub(super) struct Server {
    /// `ws://…/ws`
    pub socket: String,
    child: Child,
}

impl Server {
    /// Starts `parlour serve` on a free port and waits until games can be played.
    pub async fn start(data: &Path, model: &str, more: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = program()?;
        command
            .args([
                "serve",
                "--bind",
                "127.0.0.1:0",
                "--typing",
                "0",
                "--model",
                model,
            ])
            .arg("--data")
            .arg(data)
            // All of a bench's sockets come from one machine.
            .env("PARLOUR_SOCKETS_PER_ADDRESS", "0")
            .env("PARLOUR_CONNECTS_PER_MINUTE", "0")
            .envs(more.iter().copied())
            .env("PARLOUR_LOG", "warn")
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the server")?;
        let socket = format!("ws://{}/ws", ready(&mut child).await?);
        Ok(Self { socket, child })
    }

    /// Where it listens.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let address = self.socket.trim_start_matches("ws://");
        Ok(address.trim_end_matches("/ws").parse()?)
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

/// Waits until a server says on its stdout where it listens: `ready on http://ADDRESS`.
pub(super) async fn ready(child: &mut Child) -> anyhow::Result<String> {
    let stdout = child.stdout.take().context("the server has no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix("ready on http://") {
            let address = address.trim().to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(address);
        }
    }
    anyhow::bail!(
        "the server ended before it was ready: {}",
        child.wait().await?
    )
}

/// Starts `parlour worker` on a Unix socket. It is killed when dropped.
pub(super) fn start_worker(socket: &Path, model: &str, slots: u32) -> anyhow::Result<Child> {
    program()?
        .args([
            "worker",
            "--model",
            model,
            "--slots",
            &slots.to_string(),
            "--socket",
        ])
        .arg(socket)
        .env("PARLOUR_LOG", "warn")
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start the worker")
}

/// Starts `parlour worker` with that many slots, tokens of context and threads, and room
/// for all of a bench's requests. It is killed when dropped.
pub(super) fn start_text_worker(
    socket: &Path,
    model: &str,
    models: &ModelSettings,
    [slots, context, threads]: [u32; 3],
    adapters: &Path,
) -> anyhow::Result<Child> {
    let mut command = program()?;
    command
        .args(["worker", "--model", model, "--socket"])
        .arg(socket)
        .arg("--models")
        .arg(models.dir()?)
        .args(["--hub", &models.hub])
        .arg("--adapters")
        .arg(adapters)
        .args(["--slots", &slots.to_string()])
        .args(["--context", &context.to_string()])
        .args(["--threads", &threads.to_string()])
        .env("PARLOUR_LOG", "warn")
        .stdin(Stdio::piped());
    if models.offline {
        command.arg("--offline");
    }
    if let Some(precision) = models.precision {
        command.args(["--precision", precision.name()]);
    }
    command.spawn().context("cannot start the worker")
}

fn program() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.kill_on_drop(true);
    Ok(command)
}

/// A private folder for stores and sockets, removed when dropped.
pub(super) fn scratch() -> anyhow::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("parlour-bench-")
        .tempdir()
        .context("no temporary folder")
}
