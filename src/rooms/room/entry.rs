//! People who come at the same time and have to be entered in the log before they sit.

use super::{Arrival, Origin, Room, Stage, Wanted, now};
use crate::{
    play::UnixMillis,
    rooms::{messages::Join, seeds::OsDice},
};

/// Those who come, each decided as if all before them were entered already.
pub(super) struct Entry<P: Stage> {
    at: UnixMillis,
    ahead: P,
    wanted: Vec<Wanted<P>>,
    events: Vec<P::Event>,
}

impl<P: Stage> Entry<P> {
    pub(super) fn of(room: &Room<P>) -> Self {
        Self {
            at: now(),
            ahead: room.journal.game().clone(),
            wanted: Vec::new(),
            events: Vec::new(),
        }
    }

    /// One more, who comes in by `command` or is told why not.
    pub(super) fn add(&mut self, room: &Room<P>, join: Join, command: P::Command) {
        match self.ahead.decide(command.clone(), self.at, &mut OsDice) {
            Ok(events) => {
                for event in &events {
                    self.ahead.apply(self.at, event);
                }
                self.events.extend(events);
                self.wanted.push(Wanted {
                    command,
                    from: Origin::Arrival(join),
                });
            }
            Err(refusal) => room.refuse_join(&join, P::code(&refusal), &refusal.to_string()),
        }
    }

    /// What has to be written before they can be seated.
    pub(super) fn arrival(self) -> Arrival<P> {
        if self.events.is_empty() {
            Arrival::Seated
        } else {
            Arrival::First(self.wanted, self.events)
        }
    }
}
