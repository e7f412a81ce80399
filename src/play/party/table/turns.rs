//! Whose turn it is: what people and machines have in common.

use super::*;

impl Table {
    /// The game, if it is at the round that somebody names.
    pub(super) fn at_round(&self, named: u32) -> Result<&Game, Refusal> {
        let game = self.playing()?;
        let now = game.round();
        if named == now {
            Ok(game)
        } else {
            Err(Refusal::WrongRound { now, named })
        }
    }

    /// The game, if the question of this round is awaited from `bench`.
    pub(super) fn asking(
        &self,
        round: u32,
        asks: impl Fn(&Game) -> bool,
    ) -> Result<&Game, Refusal> {
        let game = self.at_round(round)?;
        match game.step() {
            Step::Asking { .. } if asks(game) => Ok(game),
            _ => Err(Refusal::NotYourTurn),
        }
    }
}

pub(super) fn answer(
    game: &Game,
    round: u32,
    chair: Chair,
    text: impl FnOnce() -> Result<String, Refusal>,
) -> Result<Vec<Event>, Refusal> {
    match game.step() {
        Step::Answering { .. } if game.owes_answer(chair) => Ok(vec![Event::Replied {
            round,
            chair,
            text: Some(text()?),
        }]),
        Step::Answering { .. } => Err(Refusal::AlreadyDone),
        _ => Err(Refusal::NotYourTurn),
    }
}
