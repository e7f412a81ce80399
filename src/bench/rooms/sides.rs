//! The servers that are measured, each as a process of its own.

use std::{net::SocketAddr, process::Stdio};

use anyhow::Context as _;
use serde::Serialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{crowd::Dialect, fanout::FanOut};
use crate::bench::processes::{Server, ready, scratch};

/// A server to measure.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// The product.
    House,
    /// One of ours that only fans out.
    FanOut(FanOut),
    /// Somebody else's: its name, and the command that starts it.
    Peer { name: String, command: String },
}

/// One that runs. It is killed when dropped.
pub(super) struct Running {
    pub address: SocketAddr,
    pub pid: u32,
    _process: Process,
}

enum Process {
    House { _server: Server, _data: TempDir },
    Other { _child: Child },
}

impl Side {
    pub fn name(&self) -> &str {
        match self {
            Self::House => "parlour",
            Self::FanOut(FanOut::Sockets) => "parlour's sockets",
            Self::FanOut(FanOut::Baseline) => "actix-ws",
            Self::Peer { name, .. } => name,
        }
    }

    pub fn dialect(&self, members: usize) -> Dialect {
        match self {
            Self::House => Dialect::House,
            _ => Dialect::FanOut { members },
        }
    }

    /// Starts it and waits until it listens.
    pub async fn start(&self, sockets: usize) -> anyhow::Result<Running> {
        let mut command = match self {
            Self::House => {
                let data = scratch()?;
                let cap = (sockets + 100).to_string();
                let more = [("PARLOUR_SOCKETS", cap.as_str())];
                let server = Server::start(data.path(), "deterministic", &more).await?;
                return Ok(Running {
                    address: server.address()?,
                    pid: server.pid().context("the server is gone")?,
                    _process: Process::House {
                        _server: server,
                        _data: data,
                    },
                });
            }
            Self::FanOut(which) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["bench", "rooms", "--serve", which.argument()]);
                command
            }
            Self::Peer { command, .. } => {
                let mut words = command.split_whitespace();
                let mut program = Command::new(words.next().context("an empty command")?);
                program.args(words);
                program
            }
        };
        let mut child = command
            .kill_on_drop(true)
            .env("PARLOUR_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.name()))?;
        let address = ready(&mut child).await?;
        Ok(Running {
            address: address.parse()?,
            pid: child.id().context("it ended at once")?,
            _process: Process::Other { _child: child },
        })
    }
}

/// What the system says of a process.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Usage {
    /// Bytes.
    pub resident: u64,
    pub cpu_seconds: f64,
}

impl Running {
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.pid)
    }
}

/// Reads procfs.
pub(super) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let folder = format!("/proc/{}", pid);
    let status = std::fs::read_to_string(format!("{folder}/status"))?;
    let resident: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|size| size.trim().strip_suffix(" kB")?.trim().parse().ok())
        .context("no resident size")?;
    // proc(5): user and system time are fields 14 and 15; the second, a name in
    // parentheses, may hold spaces.
    let stat = std::fs::read_to_string(format!("{folder}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no such stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let cpu_seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(Usage {
        resident: resident * 1024,
        cpu_seconds,
    })
}
