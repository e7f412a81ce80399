//! What each machine is told of a game: enough for its turn, and nothing that it must not
//! know (the bot reads its own answers only, the judge does not know who is who).

use std::time::Duration;

use super::{
    bot::AnswerBrief,
    judge::{Past, QuestionBrief, VerdictBrief},
};
use crate::{
    persona::Exchange,
    play::{
        imitation::{Game, Kind, Mode},
        party::Machine,
    },
};

pub(crate) mod table;

fn kind(game: &Game) -> Kind {
    game.rules().map_or(Kind::Direct, |rules| rules.kind)
}

fn is_watched(game: &Game) -> bool {
    game.rules()
        .is_some_and(|rules| rules.mode == Mode::Explanatory)
}

/// The rounds that both have answered, without the running one.
fn earlier(game: &Game) -> Vec<Exchange> {
    game.rounds()
        .iter()
        .filter(|round| round.verdict.is_some())
        .filter_map(Exchange::of)
        .collect()
}

pub(crate) fn question(game: &Game) -> QuestionBrief {
    QuestionBrief {
        kind: kind(game),
        seed: game.seed().unwrap_or_default(),
        round: game.round(),
        earlier: Past::Two(earlier(game)),
    }
}

/// None when nothing was asked.
pub(crate) fn answer(game: &Game, typing: f32, asked_ago: Duration) -> Option<AnswerBrief> {
    let seat = game.bot_seat()?;
    let (current, before) = game.rounds().split_last()?;
    Some(AnswerBrief {
        kind: kind(game),
        seed: game.seed().unwrap_or_default(),
        round: game.round(),
        chair: None,
        machine: Machine::Model,
        room: String::new(),
        question: current.question.clone(),
        earlier: before
            .iter()
            .filter_map(|round| Some((round.question.clone(), round.answer(seat)?.to_owned())))
            .collect(),
        limit: game.rules()?.answer_limit,
        watched: is_watched(game),
        typing,
        asked_ago,
    })
}

/// None when the running round is not complete.
pub(crate) fn verdict(game: &Game) -> Option<VerdictBrief> {
    let current = game.rounds().last()?;
    Some(VerdictBrief {
        kind: kind(game),
        seed: game.seed().unwrap_or_default(),
        round: game.round(),
        earlier: earlier(game),
        grounds: game
            .rounds()
            .iter()
            .filter_map(|round| Some(round.verdict.as_ref()?.grounds.clone()))
            .collect(),
        exchange: Exchange::of(current)?,
        watched: is_watched(game),
    })
}
