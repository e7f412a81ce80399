//! What somebody does whom the rules wait for.

use parlour::{
    play::party::{Act, Ballot, Chair, Event, Role},
    wire::browser::{Doing, FromClient, RefusalCode, TableDoing},
};
use rand::{Rng, RngExt};

use crate::{
    guest::{Cut, Guest, Place, What},
    known::Known,
};

/// What there is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Todo {
    /// An answer in a game of one person.
    Answer(u32),
    Say,
    Ask(u32),
    Reply(u32),
    Act(Act),
    /// Somebody else's turn.
    Wait,
    /// As many games as wanted were played.
    Done,
}

impl Guest {
    /// What this one does next, as far as they know, at a table that plays `games` games
    /// between `people`.
    pub fn todo(&self, dice: &mut impl Rng, games: usize, people: usize) -> Todo {
        match &self.place {
            None => Todo::Wait,
            Some(Place::Game(seen)) => {
                let unveiled = seen.events.iter().all(|stamped| stamped.event.is_some());
                if seen.is_over() && unveiled {
                    Todo::Done
                } else if seen.my_turn() && seen.doing != Doing::Over {
                    Todo::Answer(seen.round())
                } else {
                    Todo::Wait
                }
            }
            Some(Place::Table(known)) => at_table(known, dice, games, people),
        }
    }

    /// Does it. Gives how it was refused, if it was.
    pub async fn act(&mut self, todo: &Todo) -> Result<Result<(), RefusalCode>, Cut> {
        let (what, message) = self.words(todo);
        let id = match &message {
            FromClient::Answer { id, .. } | FromClient::Act { id, .. } => *id,
            _ => return Ok(Ok(())),
        };
        match what {
            Some(what) => self.vow(id, what, &message).await,
            None => self.ask(id, &message).await,
        }
    }

    /// What this one says for it, and what of it must not be lost.
    pub fn words(&mut self, todo: &Todo) -> (Option<What>, FromClient) {
        let id = self.id();
        let line = |act: &dyn Fn(String) -> Act, text: String| {
            let act = act(text.clone());
            (Some(What::Line(text)), FromClient::Act { id, act })
        };
        match todo {
            Todo::Answer(round) => {
                let text = self.line();
                let what = What::Line(text.clone());
                let round = *round;
                (Some(what), FromClient::Answer { id, round, text })
            }
            Todo::Say => line(&|text| Act::Say { text }, self.line()),
            Todo::Ask(round) => line(
                &|text| Act::Question {
                    round: *round,
                    text,
                },
                self.line(),
            ),
            Todo::Reply(round) => line(
                &|text| Act::Answer {
                    round: *round,
                    text,
                },
                self.line(),
            ),
            Todo::Act(Act::Vote { ballot }) => {
                let game = match &self.place {
                    Some(Place::Table(known)) => game(known),
                    _ => 0,
                };
                let act = Act::Vote { ballot: *ballot };
                (Some(What::Vote(game, *ballot)), FromClient::Act { id, act })
            }
            Todo::Act(act) => {
                let act = act.clone();
                (None, FromClient::Act { id, act })
            }
            Todo::Wait | Todo::Done => (None, FromClient::Ping { nonce: id }),
        }
    }
}

fn at_table(known: &Known, dice: &mut impl Rng, games: usize, people: usize) -> Todo {
    let came = known.count(|event| matches!(event, Event::Came { .. }));
    let talk = |dice: &mut dyn Rng| {
        if dice.random_bool(0.3) {
            Todo::Say
        } else {
            Todo::Wait
        }
    };
    match known.doing {
        TableDoing::Gathering | TableDoing::Over if came < people => talk(dice),
        TableDoing::Gathering if is_host(known) => Todo::Act(Act::Start),
        TableDoing::Gathering => talk(dice),
        TableDoing::Over if known.finished() >= games => {
            let unveiled = known.events.iter().all(|stamped| stamped.event.is_some());
            if unveiled { Todo::Done } else { Todo::Wait }
        }
        TableDoing::Over if is_host(known) => Todo::Act(Act::Rematch),
        TableDoing::Over => talk(dice),
        TableDoing::Asking {
            round,
            your_turn: true,
            ..
        } if round > 1 && dice.random_bool(0.3) => Todo::Act(Act::CallVote),
        TableDoing::Asking {
            round,
            your_turn: true,
            ..
        } => Todo::Ask(round),
        TableDoing::Answering {
            round,
            your_turn: true,
            ..
        } => Todo::Reply(round),
        TableDoing::Voting {
            your_turn: true, ..
        } => Todo::Act(Act::Vote {
            ballot: ballot(known, dice),
        }),
        _ => Todo::Wait,
    }
}

fn is_host(known: &Known) -> bool {
    let mut host = None;
    for event in known.told() {
        match event {
            Event::TableOpened { .. } => host = Some(0),
            Event::HostChanged { member } => host = Some(member.0),
            _ => {}
        }
    }
    host == Some(known.you.0)
}

/// The number of the game that started last.
fn game(known: &Known) -> u32 {
    let number = |event: &Event| match event {
        Event::Started { game, .. } => Some(*game),
        _ => None,
    };
    known.told().filter_map(number).last().unwrap_or_default()
}

fn ballot(known: &Known, dice: &mut impl Rng) -> Ballot {
    let count = |event: &Event| match event {
        Event::Started { count, .. } => Some(*count),
        _ => None,
    };
    let count = known.told().filter_map(count).last().unwrap_or(2);
    let own = known.chair();
    let closed = |chair: Chair| {
        known.count(|event| matches!(event, Event::Vacated { chair: gone, .. } if *gone == chair))
            > 0
    };
    let mut chairs: Vec<Chair> = (0..count).map(Chair).collect();
    chairs.retain(|chair| Some(*chair) != own && !closed(*chair));
    Ballot {
        human: chairs[dice.random_range(0..chairs.len())],
        confidence: dice.random_range(60..=100),
    }
}

/// As what a host or a guest comes to a table.
pub fn role(host: bool, judged: bool) -> Role {
    if host && judged {
        Role::Judge
    } else {
        Role::Witness
    }
}
