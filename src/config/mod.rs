//! Every setting, read once at the start from flags, the environment and `.env`, and
//! checked before anything runs. Nothing else in the program reads the environment.
//!
//! One file for each concern, and what a subcommand takes is put together from these:
//!
//! | file | settings |
//! |---|---|
//! | `log` | what is logged and how |
//! | `models` | weights: folders, hub, licences, precision, device |
//! | `worker` | the generation process: slots, queue, context, threads |
//! | `speech` | the speech process: ear, voices, translations, cloning |
//! | `seance` | the séance: languages, spirit, sitters and their time |
//! | `minds` | who plays the bot and who judges |
//! | `games` | typing pace, rounds, how long a player or a table is waited for |
//! | `connections` | bounds on sockets, trusted proxies, pings |
//! | `gate` | the séance's password |
//! | `fleet` | the shared Redis and the work over it |
//! | `tenure` | how servers on one Redis hold rooms and hand them over |
//! | `serve` | the server's own: address, data folder, secret, rooms, origins |

mod connections;
mod fleet;
mod games;
mod gate;
mod log;
mod minds;
mod models;
mod seance;
mod secret;
mod serve;
mod speech;
mod tenure;
mod worker;

use std::env;

use clap::{Arg, Command, builder::Resettable};

pub use connections::ConnectionSettings;
pub use fleet::{FleetSettings, MemberSettings, RedisSettings, Workers};
pub use games::GameSettings;
pub use gate::GateSettings;
pub use log::LogSettings;
pub use minds::{BackEnd, MindSettings};
pub(crate) use models::ADAPTERS;
pub use models::{Device, ModelSettings};
pub use seance::{SeanceSettings, SpiritSays};
pub use secret::Secret;
pub use serve::ServeSettings;
pub use speech::SpeechSettings;
pub use tenure::TenureSettings;
pub use worker::{WorkerSettings, default_threads};

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
