//! Which setups can be played.

use super::{Bench, CHAIRS, Machine, ROUNDS, Refusal, SECONDS, Setup, Vacancy};
use crate::play::{
    imitation::{Kind, Mode},
    text::MACHINE_TEXT_LIMIT,
};

/// Longest name of an adapter, characters.
const PERSONA_LIMIT: usize = 100;

/// # Errors
/// [`Refusal::BadSetup`] that says why it cannot be played.
pub(super) fn check(setup: &Setup) -> Result<(), Refusal> {
    let Setup {
        kind: Kind::Direct | Kind::Inverse,
        mode: Mode::Blind | Mode::Explanatory,
        bench: Bench::Machine | Bench::Person | Bench::Everybody,
        people,
        machines,
        rounds,
        seconds,
        vacancy: Vacancy::Machine | Vacancy::Close,
        listed: _,
        open_to_spectators: _,
        line_limit,
    } = setup;
    let bad = |why| Err(Refusal::BadSetup(why));
    if *people == 0 {
        return bad("there must be a chair for a person");
    }
    if machines.is_empty() {
        return bad("there must be a machine");
    }
    let chairs = usize::from(*people).saturating_add(machines.len());
    if chairs > usize::from(*CHAIRS.end()) {
        return bad("there are eight chairs at most");
    }
    let unnamed = |machine: &Machine| match machine {
        Machine::Persona { name } => name.is_empty() || name.chars().count() > PERSONA_LIMIT,
        Machine::Model | Machine::Eliza => false,
    };
    if machines.iter().any(unnamed) {
        return bad("a persona must have a name");
    }
    if !(1..=ROUNDS).contains(rounds) {
        return bad("there must be at least one round, and fifty at most");
    }
    if !(1..=SECONDS).contains(seconds) {
        return bad("there must be a second for an answer, and an hour at most");
    }
    if *line_limit == 0 || usize::try_from(*line_limit).unwrap_or(usize::MAX) > MACHINE_TEXT_LIMIT {
        return bad("a line must have room for a character, and for 4,000 at most");
    }
    Ok(())
}
