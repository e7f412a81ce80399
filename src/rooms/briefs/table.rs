//! What the machines at a table are told.

use std::time::Duration;

use super::{AnswerBrief, Past, QuestionBrief};
use crate::{
    persona::judge::Heard,
    play::{
        imitation::Kind,
        party::{Chair, Table},
    },
    rooms::opinion::OpinionBrief,
};

/// How fast a machine answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Share of a human's typing time; 0 is at once.
    pub(crate) typing: f32,
    /// How long the question has stood there.
    pub(crate) asked_ago: Duration,
}

fn kind(table: &Table) -> Kind {
    table.setup().map_or(Kind::Direct, |setup| setup.kind)
}

pub(crate) fn question(table: &Table) -> QuestionBrief {
    QuestionBrief {
        kind: kind(table),
        seed: table.seed().unwrap_or_default(),
        round: table.round(),
        earlier: Past::Table(table.rounds().iter().filter_map(Heard::of).collect()),
    }
}

/// None when nothing was asked, or no machine sits there.
pub(crate) fn answer(table: &Table, room: &str, chair: Chair, pace: Pace) -> Option<AnswerBrief> {
    let machine = table.machine_on(chair)?;
    let (current, before) = table.rounds().split_last()?;
    Some(AnswerBrief {
        kind: kind(table),
        seed: table.seed().unwrap_or_default(),
        round: table.round(),
        chair: Some(chair),
        machine,
        room: room.to_owned(),
        question: current.question.clone(),
        earlier: before
            .iter()
            .filter_map(|round| Some((round.question.clone(), round.answer(chair)?.to_owned())))
            .collect(),
        limit: table.setup()?.line_limit,
        // Answers are revealed together.
        watched: false,
        typing: pace.typing,
        asked_ago: pace.asked_ago,
    })
}

/// None when nothing was answered.
pub(crate) fn opinion(table: &Table) -> Option<OpinionBrief> {
    let (current, before) = table.rounds().split_last()?;
    Some(OpinionBrief {
        kind: kind(table),
        seed: table.seed().unwrap_or_default(),
        round: table.round(),
        chairs: table.open_chairs(),
        people: table.people_drawn(),
        heard: Heard::of(current)?,
        earlier: before.iter().filter_map(Heard::of).collect(),
        opinions: before
            .iter()
            .filter_map(|round| round.opinion.clone())
            .collect(),
    })
}
