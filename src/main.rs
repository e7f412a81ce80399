//! The command line.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use parlour::{
    bench::{self, BenchCommand},
    config::{self, LogSettings, ModelSettings, ServeSettings},
    gateway::web,
    models::cli::{self as model_cli, ModelCommand},
    worker,
};

/// A place where people and machines talk and have to work out who is who.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    log: LogSettings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the page, the sockets and the games
    Serve(Box<ServeSettings>),
    /// The generation process; `serve` starts it by itself. Ends when its standard input closes
    Worker(worker::Options),
    /// Look at, fetch, import and check models
    Model {
        #[command(flatten)]
        settings: ModelSettings,
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Measure speed and load
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlour: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    config::read_dotenv()?;
    let command = config::without_empty_variables(Cli::command());
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    cli.log.start()?;
    match cli.command {
        Command::Serve(settings) => {
            web::fetch_what_is_missing(&settings)?;
            actix_web::rt::System::new().block_on(web::serve(*settings))?;
        }
        Command::Worker(options) => worker::run(options)?,
        Command::Model { settings, command } => {
            let workshop = worker::Workshop {
                threads: config::default_threads() as usize,
            };
            model_cli::run(&command, &settings, &workshop)?;
        }
        Command::Bench { command } => bench::run(command)?,
    }
    Ok(())
}
