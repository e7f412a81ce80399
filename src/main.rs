//! The command line.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use parlour::{
    bench::{self, BenchCommand},
    config::{self, LogSettings, MemberSettings, ModelSettings, RedisSettings, ServeSettings},
    gateway::{
        gate::cli::{self as gate_cli, GateCommand},
        web,
    },
    generation::{
        fleet::{
            FleetError,
            agent::{self, AgentOptions},
        },
        launcher::LaunchOptions,
    },
    models::cli::{self as model_cli, ModelCommand},
    worker::{
        self,
        speech::{
            self,
            cli::{self as voice_cli, VoiceOptions},
        },
    },
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
    /// The generation process. With a socket (`serve` starts it so by itself) it ends when its
    /// standard input closes; with the URL of a Redis it joins a fleet
    Worker(Box<WorkerCommand>),
    /// The speech process, which listens and speaks; `serve` starts it by itself. It ends when
    /// its standard input closes
    Speech(Box<speech::Options>),
    /// Look at, fetch, import and check models
    Model {
        #[command(flatten)]
        settings: ModelSettings,
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Hear a voice, or try an ear, without a server
    Voice(Box<VoiceOptions>),
    /// The password of the séance
    Gate {
        #[command(subcommand)]
        command: GateCommand,
    },
    /// Measure speed and load
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
}

#[derive(Args)]
struct WorkerCommand {
    #[command(flatten)]
    options: worker::Options,
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    member: MemberSettings,
}

impl WorkerCommand {
    fn run(self) -> anyhow::Result<()> {
        let options = self.options;
        if options.socket.is_some() {
            return Ok(worker::run(options)?);
        }
        let url = self.redis.redis_url.ok_or(FleetError::NoUrl);
        let url = url.context("a worker needs a --socket, or a fleet to join")?;
        agent::run(AgentOptions {
            url,
            prefix: self.redis.redis_prefix,
            lease: self.member.lease(),
            drain: self.member.drain(),
            engine: LaunchOptions::new(options.model, options.models, options.settings),
        })?;
        Ok(())
    }
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
        Command::Worker(worker) => worker.run()?,
        Command::Speech(options) => speech::run(*options)?,
        Command::Model { settings, command } => {
            let workshop = worker::Workshop {
                threads: config::default_threads() as usize,
            };
            model_cli::run(&command, &settings, &workshop)?;
        }
        Command::Voice(options) => voice_cli::run(&options)?,
        Command::Gate { command } => gate_cli::run(&command)?,
        Command::Bench { command } => bench::run(command)?,
    }
    Ok(())
}
