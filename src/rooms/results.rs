//! What a finished game brings its players on the boards, read off its log. Pure.
//!
//! Only games that were judged bring anything. Witnesses win by the rules of their game;
//! whoever said who is human has won when that was right, and an AI that would not say has
//! not. A person who gave the chair up in the middle has lost, and the machine that took it
//! over is not counted: neither was there for the whole game. Who gave no name is on no
//! board, but counts for those who met them.

use std::collections::BTreeSet;

use super::play::Play;
use crate::{
    play::{
        imitation::{self, Kind as Aim, Seat, Verdict, Winner},
        party::{self, Chair, Finish, Machine, Member, NAMELESS, Voter, Witness, brier},
        seance::Seance,
    },
    store::board::{Kind, Outcome, person_id},
};

/// The id of the house's own model, as a witness and as a judge.
pub(crate) const MODEL: &str = "model";

/// What one finished game brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GameResults {
    /// Games of a room, from 1.
    pub(crate) game: u32,
    /// Empty when nothing was judged.
    pub(crate) outcomes: Vec<Outcome>,
}

/// A kind of game whose results are counted.
pub(crate) trait Counted: Play {
    /// One for each finished game of the log, in their order.
    fn results(events: &mut dyn Iterator<Item = &Self::Event>) -> Vec<GameResults>;
}

/// Nobody wins at a séance.
impl Counted for Seance {
    fn results(_: &mut dyn Iterator<Item = &Self::Event>) -> Vec<GameResults> {
        Vec::new()
    }
}

impl Counted for imitation::Game {
    fn results(events: &mut dyn Iterator<Item = &imitation::Event>) -> Vec<GameResults> {
        use imitation::Event;

        let mut player = None;
        let mut last = None;
        let mut results = Vec::new();
        for event in events {
            match event {
                Event::Opened {
                    player: name,
                    player_seat,
                    key,
                    ..
                } => player = Some((name, *player_seat, key.as_deref())),
                Event::Judged { verdict, .. } => last = Some(verdict),
                Event::Ended { ending, outcome } => {
                    let said = *ending != imitation::Ending::Abstained;
                    let judged = player.zip(last).zip(*outcome);
                    let outcomes = judged.map_or_else(Vec::new, |((player, verdict), outcome)| {
                        of_two(player, verdict, said, outcome)
                    });
                    results.push(GameResults { game: 1, outcomes });
                }
                Event::Asked { .. } | Event::Answered { .. } => {}
            }
        }
        results
    }
}

fn of_two(
    (name, seat, key): (&String, Seat, Option<&str>),
    verdict: &Verdict,
    said: bool,
    outcome: imitation::Outcome,
) -> Vec<Outcome> {
    let score = i16::from(outcome.player_score.min(100));
    let right = verdict.decision == seat;
    let person = person(Kind::Person, name, key).map(|person| Outcome {
        won: outcome.winner == Winner::Player,
        points: score,
        ..person
    });
    let bot = Outcome {
        won: outcome.winner == Winner::Bot,
        points: 100 - score,
        ..machine(&Machine::Model)
    };
    let judge = Outcome {
        won: said && right,
        points: i16::from(brier(verdict.confidence, right)),
        ..the_judge()
    };
    person.into_iter().chain([bot, judge]).collect()
}

impl Counted for party::Table {
    fn results(events: &mut dyn Iterator<Item = &party::Event>) -> Vec<GameResults> {
        use party::Event;

        let mut table = Sitting::default();
        let mut results = Vec::new();
        for event in events {
            match event {
                Event::Came { name, key, .. } => table.people.push((name, key.as_deref())),
                Event::TableOpened { setup } | Event::SetupChanged { setup } => {
                    table.aim = Some(setup.kind);
                }
                Event::Started { game, chairs, .. } => {
                    table.game = *game;
                    table.chairs = chairs.as_deref().unwrap_or_default();
                    table.vacated.clear();
                }
                Event::Vacated { chair, .. } => {
                    table.vacated.insert(*chair);
                }
                Event::Finished {
                    finish,
                    chairs,
                    voters,
                } => {
                    let judged = *finish == Finish::Played && !voters.is_empty();
                    let outcomes = judged.then(|| {
                        let witnesses = chairs.iter().filter_map(|score| table.witness(score));
                        let judges = voters.iter().filter_map(|score| table.voter(score));
                        witnesses.chain(judges).collect()
                    });
                    results.push(GameResults {
                        game: table.game,
                        outcomes: outcomes.unwrap_or_default(),
                    });
                }
                _ => {}
            }
        }
        results
    }
}

/// What of a table's log its results need.
#[derive(Default)]
struct Sitting<'a> {
    /// Name and key, by number.
    people: Vec<(&'a String, Option<&'a str>)>,
    aim: Option<Aim>,
    game: u32,
    /// Who was drawn.
    chairs: &'a [Witness],
    vacated: BTreeSet<Chair>,
}

impl Sitting<'_> {
    fn witness(&self, score: &party::ChairScore) -> Option<Outcome> {
        let drawn = self.chairs.get(usize::from(score.chair.0))?;
        let taken = i16::from(score.taken_for_human.min(100));
        let points = match self.aim? {
            Aim::Direct => taken,
            Aim::Inverse => 100 - taken,
        };
        let gave_up = self.vacated.contains(&score.chair);
        match drawn {
            Witness::Person { member } => Some(Outcome {
                won: score.won && !gave_up,
                points: if gave_up { 0 } else { points },
                ..self.person(Kind::Person, *member)?
            }),
            Witness::Machine { machine: which } => Some(Outcome {
                won: score.won,
                points,
                ..machine(which)
            }),
        }
    }

    fn voter(&self, score: &party::VoterScore) -> Option<Outcome> {
        let voter = match score.voter {
            Voter::Machine => the_judge(),
            Voter::Person { member } => self.person(Kind::Judge, member)?,
        };
        Some(Outcome {
            won: score.right,
            points: i16::from(score.score),
            ..voter
        })
    }

    fn person(&self, kind: Kind, member: Member) -> Option<Outcome> {
        let (name, key) = self.people.get(usize::try_from(member.0).ok()?)?;
        person(kind, name, *key)
    }
}

/// None without a key, which logs of before lack, or a name.
fn person(kind: Kind, name: &str, key: Option<&str>) -> Option<Outcome> {
    let chose = !is_nameless(name);
    key.filter(|_| chose)
        .map(|key| blank(kind, person_id(key), name.to_owned()))
}

/// "Guest", or "Guest 2" where several are.
fn is_nameless(name: &str) -> bool {
    name.strip_prefix(NAMELESS)
        .is_some_and(|rest| rest.chars().all(|c| c == ' ' || c.is_ascii_digit()))
}

fn machine(machine: &Machine) -> Outcome {
    let (id, name) = match machine {
        Machine::Model => (MODEL.to_owned(), "The model".to_owned()),
        Machine::Eliza => ("eliza".to_owned(), "ELIZA".to_owned()),
        Machine::Persona { name } => (format!("persona:{name}"), name.clone()),
    };
    blank(Kind::Bot, id, name)
}

fn the_judge() -> Outcome {
    blank(Kind::Judge, MODEL.to_owned(), "The AI judge".to_owned())
}

fn blank(kind: Kind, id: String, name: String) -> Outcome {
    Outcome {
        kind,
        id,
        name,
        won: false,
        points: 0,
    }
}

#[cfg(test)]
mod tests;
