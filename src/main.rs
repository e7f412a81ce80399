//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use parlour::{
    config::{self, ModelSettings, ServeSettings, WorkerSettings},
    gateway::web,
    worker,
};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The server: pages, sockets, games
    Serve(Box<ServeSettings>),
    /// The generation process, which `serve` starts by itself. Ends when its standard
    /// input closes
    Worker {
        /// Unix socket to listen on
        #[arg(long)]
        socket: PathBuf,
        /// Model of the catalogue, or `deterministic`, or `deterministic:20ms` for a toy
        /// whose steps take that long
        #[arg(long)]
        model: String,
        #[command(flatten)]
        models: ModelSettings,
        #[command(flatten)]
        settings: WorkerSettings,
    },
}

fn main() -> anyhow::Result<()> {
    config::read_dotenv()?;
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();
    match Cli::parse().command {
        Command::Serve(settings) => actix_web::rt::System::new().block_on(web::serve(*settings))?,
        Command::Worker {
            socket,
            model,
            models,
            settings,
        } => worker::run(worker::Options {
            socket,
            model,
            models,
            settings,
        })?,
    }
    Ok(())
}
