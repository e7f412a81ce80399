//! What machines and the clock do.

use super::{turns::answer, *};

impl Table {
    pub(super) fn machine_asks(&self, round: u32, text: &str) -> Result<Vec<Event>, Refusal> {
        self.asking(round, |game| game.setup.bench != Bench::Person)?;
        let text = machine_line(text, MACHINE_TEXT_LIMIT)?;
        Ok(vec![Event::Questioned { round, text }])
    }

    pub(super) fn machine_answers(
        &self,
        round: u32,
        chair: Chair,
        text: &str,
    ) -> Result<Vec<Event>, Refusal> {
        let game = self.at_round(round)?;
        game.machine_on(chair).ok_or(Refusal::NotYourTurn)?;
        let limit = usize::try_from(game.setup.line_limit).unwrap_or(usize::MAX);
        answer(game, round, chair, || machine_line(text, limit))
    }

    pub(super) fn weigh(&self, round: u32, opinion: Opinion) -> Result<Vec<Event>, Refusal> {
        let game = self.at_round(round)?;
        if game.step() != (Step::Weighing { round }) {
            return Err(Refusal::NotYourTurn);
        }
        // A chair that was closed meanwhile is left out, one that is missing was forgotten.
        let beliefs = game
            .open_chairs()
            .map(|chair| {
                let mut beliefs = opinion.beliefs.iter();
                let belief = beliefs.find(|belief| belief.chair == chair);
                let mut belief = belief.cloned().ok_or(Refusal::NoSuchChair)?;
                belief.human = belief.human.min(100);
                Ok(belief)
            })
            .collect::<Result<_, Refusal>>()?;
        let reasoning = machine_line(&opinion.reasoning, MACHINE_TEXT_LIMIT)?;
        Ok(vec![Event::Weighed {
            round,
            opinion: Opinion { reasoning, beliefs },
        }])
    }

    pub(super) fn tick(&self, now: UnixMillis) -> Vec<Event> {
        match self.running() {
            // What is pending happens before anybody is late.
            Some(game)
                if self.consequence().is_none() && game.due().is_some_and(|due| now >= due) =>
            {
                game.late()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn give_up(&self) -> Result<Vec<Event>, Refusal> {
        let game = self.playing()?;
        let machine = |effect: &Effect| !matches!(effect, Effect::Wait { .. });
        if game.effects().iter().any(machine) {
            Ok(vec![game.finished(Finish::Broken)])
        } else {
            Err(Refusal::NotYourTurn)
        }
    }
}
