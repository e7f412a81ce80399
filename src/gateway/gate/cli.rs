//! `parlour gate`: what a house's keeper does with its password.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use clap::Subcommand;

use super::password::{self, LONGEST, PasswordError};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum GateCommand {
    /// Print what PARLOUR_PASSWORD has to be. Asks for the password without showing it, or
    /// reads it from standard input
    Hash,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum GateCommandError {
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the two are not the same; nothing was hashed")]
    Differ,
    #[error("the password cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Does it. The hash goes to standard output, all else to standard error.
///
/// # Errors
/// When the password cannot be read or hashed.
pub fn run(command: &GateCommand) -> Result<(), GateCommandError> {
    match command {
        GateCommand::Hash => {
            let password = if io::stdin().is_terminal() {
                ask()?
            } else {
                read()?
            };
            let hash = password::hash(&password)?;
            writeln!(io::stdout().lock(), "{hash}")?;
            eprintln!(
                "Put it in .env between single quotes: PARLOUR_PASSWORD='…'. Whoever opened the \
                 gate before has to say the password again."
            );
            Ok(())
        }
    }
}

/// Twice, as nobody sees what is typed.
fn ask() -> Result<String, GateCommandError> {
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Once more: ")? == password {
        Ok(password)
    } else {
        Err(GateCommandError::Differ)
    }
}

/// The first line.
fn read() -> io::Result<String> {
    // One byte more than a password has, and the end of the line.
    let mut line = String::new();
    let most = u64::try_from(LONGEST + 3).unwrap_or(u64::MAX);
    io::stdin().lock().take(most).read_line(&mut line)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}
