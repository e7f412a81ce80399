//! The servers that are measured, each as a process of its own.

use std::{net::SocketAddr, process::Stdio};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{crowd::Dialect, fanout::FanOut};
use crate::bench::{
    processes::{Server, ready, scratch},
    usage::{Usage, usage},
};

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

impl Running {
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.pid)
    }
}
