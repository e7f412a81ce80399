//! The turns of one room that machines have in hand, and what has arrived of them.

use crate::wire::browser::Line;

use super::{
    cursor::Writing,
    messages::{FromTurn, Made, TurnError, TurnId, TurnSays},
    seeds::Purpose,
};

/// Times that a turn's actor may vanish before the turn is given up.
const LOST_LIMIT: u32 = 3;

/// What a turn came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    Made(Made),
    /// Nothing: if the game still needs it, the game cannot go on.
    GivenUp,
}

struct Hand {
    turn: TurnId,
    attempt: u32,
    text: String,
    away: bool,
    lost: u32,
    /// What the turn came to, until the log has it.
    done: Option<Done>,
}

/// What a report makes necessary.
#[derive(Debug)]
pub(crate) enum Follow {
    /// Of an older turn or attempt; nothing changed.
    Stale,
    /// Show what is new.
    Show,
    /// The turn is done: what it made waits in [`Turns::done`].
    Done,
    /// Ask again, under this attempt.
    AskAgain(TurnId, u32),
    /// The turn cannot be done: giving up waits in [`Turns::done`].
    GiveUp(TurnError),
    /// The same, because its actor vanished too often.
    Vanished,
}

/// The turns in hand.
#[derive(Default)]
pub(crate) struct Turns {
    hands: Vec<Hand>,
}

impl Turns {
    pub(crate) fn has(&self, turn: TurnId) -> bool {
        self.hands.iter().any(|hand| hand.turn == turn)
    }

    /// Notes that somebody has been asked.
    pub(crate) fn begin(&mut self, turn: TurnId) {
        self.hands.push(Hand {
            turn,
            attempt: 0,
            text: String::new(),
            away: false,
            lost: 0,
            done: None,
        });
    }

    /// Drops every turn that is not `wanted` and says which they were.
    pub(crate) fn keep(&mut self, wanted: &[TurnId]) -> Vec<TurnId> {
        let mut dropped = Vec::new();
        self.hands.retain(|hand| {
            let keep = wanted.contains(&hand.turn);
            if !keep {
                dropped.push(hand.turn);
            }
            keep
        });
        dropped
    }

    /// What turns came to that is not in the log yet.
    pub(crate) fn done(&self) -> impl Iterator<Item = (TurnId, &Done)> {
        self.hands
            .iter()
            .filter_map(|hand| Some((hand.turn, hand.done.as_ref()?)))
    }

    /// What the turn came to cannot be used.
    pub(crate) fn spoil(&mut self, turn: TurnId) {
        for hand in self.hands.iter_mut().filter(|hand| hand.turn == turn) {
            hand.done = Some(Done::GivenUp);
        }
    }

    pub(crate) fn is_away(&self, purpose: Purpose) -> bool {
        self.hands
            .iter()
            .any(|hand| hand.turn.purpose == purpose && hand.away)
    }

    /// The lines as far as they are written.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Writing> {
        self.hands.iter().map(|hand| Writing {
            line: match hand.turn.purpose {
                Purpose::Question => Line::Question,
                Purpose::Answer => Line::OtherAnswer,
                Purpose::Verdict => Line::Reasoning,
            },
            game: hand.turn.game,
            round: hand.turn.round,
            attempt: hand.attempt,
            text: hand.text.clone(),
        })
    }

    /// Takes in what a turn reports.
    pub(crate) fn hear(&mut self, report: FromTurn) -> Follow {
        let FromTurn {
            turn,
            attempt,
            says,
        } = report;
        let Some(hand) = self.hands.iter_mut().find(|hand| hand.turn == turn) else {
            return Follow::Stale;
        };
        if attempt < hand.attempt || hand.done.is_some() {
            return Follow::Stale;
        }
        if attempt > hand.attempt {
            hand.attempt = attempt;
            hand.text.clear();
        }
        match says {
            TurnSays::Wrote(text) => {
                hand.text.push_str(&text);
                Follow::Show
            }
            TurnSays::Away => {
                hand.away = true;
                Follow::Show
            }
            TurnSays::Back => {
                hand.away = false;
                Follow::Show
            }
            TurnSays::Finished(made) => {
                hand.done = Some(Done::Made(made));
                hand.away = false;
                Follow::Done
            }
            TurnSays::Failed(error) => {
                hand.done = Some(Done::GivenUp);
                Follow::GiveUp(error)
            }
            TurnSays::Lost => {
                hand.lost += 1;
                if hand.lost >= LOST_LIMIT {
                    hand.done = Some(Done::GivenUp);
                    return Follow::Vanished;
                }
                hand.attempt += 1;
                hand.text.clear();
                hand.away = false;
                Follow::AskAgain(turn, hand.attempt)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::party::Chair;

    const TURN: TurnId = TurnId {
        game: 0,
        round: 2,
        purpose: Purpose::Answer,
        chair: None,
    };

    fn says(turn: TurnId, attempt: u32, says: TurnSays) -> FromTurn {
        FromTurn {
            turn,
            attempt,
            says,
        }
    }

    fn wrote(turn: TurnId, attempt: u32, text: &str) -> FromTurn {
        says(turn, attempt, TurnSays::Wrote(text.into()))
    }

    fn text(turns: &Turns) -> Vec<(u32, String)> {
        turns
            .lines()
            .map(|line| (line.attempt, line.text))
            .collect()
    }

    #[test]
    fn late_words_of_an_older_attempt_or_turn_change_nothing() {
        let mut turns = Turns::default();
        turns.begin(TURN);
        turns.hear(wrote(TURN, 0, "half"));
        turns.hear(wrote(TURN, 1, "whole"));
        assert!(matches!(
            turns.hear(wrote(TURN, 0, " a line")),
            Follow::Stale
        ));
        let former = TurnId { round: 1, ..TURN };
        assert!(matches!(turns.hear(wrote(former, 9, "old")), Follow::Stale));
        assert_eq!(text(&turns), [(1, "whole".to_owned())]);
    }

    #[test]
    fn words_of_another_game_or_chair_are_not_taken_for_this_ones() {
        let mut turns = Turns::default();
        turns.begin(TURN);
        let others = [
            TurnId { game: 1, ..TURN },
            TurnId {
                chair: Some(Chair(0)),
                ..TURN
            },
        ];
        for other in others {
            assert!(matches!(turns.hear(wrote(other, 0, "no")), Follow::Stale));
        }
    }

    #[test]
    fn a_finished_turn_finishes_once() {
        let mut turns = Turns::default();
        turns.begin(TURN);
        let finished = || says(TURN, 0, TurnSays::Finished(Made::Answer("so".into())));
        assert!(matches!(turns.hear(finished()), Follow::Done));
        assert!(matches!(turns.hear(finished()), Follow::Stale));
        assert!(matches!(
            turns.hear(says(TURN, 0, TurnSays::Lost)),
            Follow::Stale
        ));
        assert_eq!(turns.done().count(), 1);
    }

    #[test]
    fn a_turn_whose_actor_vanishes_is_asked_again_but_not_for_ever() {
        let mut turns = Turns::default();
        turns.begin(TURN);
        let mut attempt = 0;
        for _ in 1..LOST_LIMIT {
            match turns.hear(says(TURN, attempt, TurnSays::Lost)) {
                Follow::AskAgain(TURN, next) if next > attempt => attempt = next,
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(
            turns.hear(says(TURN, attempt, TurnSays::Lost)),
            Follow::Vanished
        ));
    }

    #[test]
    fn turns_that_nobody_wants_any_more_are_dropped() {
        let mut turns = Turns::default();
        turns.begin(TURN);
        assert_eq!(turns.keep(&[TURN]), []);
        assert_eq!(turns.keep(&[]), [TURN]);
        assert!(!turns.has(TURN));
    }
}
