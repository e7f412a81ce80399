//! How a judge fills in its forms: with one seed after another until the form can be read,
//! with as much of the game as the model can take in.

use super::{
    messages::TurnError,
    seeds::{self, Draw, Purpose},
    turn::{Mind, TRIES, Voice, forget, is_too_long, write},
};
use crate::{
    persona::Draft,
    wire::worker::{Constraint, Terms},
};

/// What the seeds of one form derive from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeds {
    pub(super) seed: u32,
    pub(super) round: u32,
    /// Forms of the same round that are filled in beside each other begin at different tries.
    pub(super) first_try: u32,
}

/// Runs `make` with one seed after another until what it makes can be read; `spoiled` hears
/// of each that could not.
pub(super) async fn tries<T>(
    seeds: Seeds,
    spoiled: &dyn Fn(),
    make: impl AsyncFn(u64) -> Result<Result<T, String>, TurnError>,
) -> Result<T, TurnError> {
    let Seeds {
        seed,
        round,
        first_try,
    } = seeds;
    let mut last = String::new();
    for attempt in first_try..first_try + TRIES {
        let draw = Draw::Text(Purpose::Verdict);
        match make(seeds::derive(seed, round, draw, attempt)).await? {
            Ok(made) => return Ok(made),
            Err(problem) => {
                tracing::debug!(round, attempt, problem, "a judge's form was thrown back");
                last = problem;
                spoiled();
            }
        }
    }
    Err(TurnError::Spoiled { times: TRIES, last })
}

/// What the model writes into this form; `live` says what of it is shown while it grows.
pub(super) async fn fill_in(
    draft: &Draft,
    schema: &Constraint,
    seed: u64,
    mind: &Mind,
    voice: &Voice,
    live: &dyn Fn(&str) -> Option<String>,
) -> Result<String, TurnError> {
    let sampling = mind.sampling(draft, seed);
    let terms = Terms::default();
    let (backend, schema) = (&mind.backend, Some(schema));
    write(backend, draft, &sampling, schema, &terms, voice, live).await
}

/// What `write` makes of the rounds before; while that is too long, of fewer of them.
pub(super) async fn remembering<R>(
    mut history: &[R],
    write: impl AsyncFn(&[R]) -> Result<String, TurnError>,
) -> Result<String, TurnError> {
    loop {
        match write(history).await {
            Err(error) if is_too_long(&error) => match forget(history) {
                Some(rest) => history = rest,
                None => return Err(error),
            },
            written => return written,
        }
    }
}
