//! A game as its player's client knows it.

use parlour::{
    play::imitation::{Event, Seat},
    wire::browser::{Doing, Stamped, ToClient},
};

/// What a client knows of a room, by the rules of the protocol alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub room: String,
    pub epoch: u32,
    pub seat: Seat,
    pub events: Vec<Stamped<Event>>,
    pub doing: Doing,
}

impl Seen {
    /// What a first `joined` tells; none of another message.
    pub fn begin(message: &ToClient) -> Option<Self> {
        let ToClient::Joined {
            room,
            epoch,
            seat,
            doing,
            ..
        } = message
        else {
            return None;
        };
        let mut seen = Self {
            room: room.clone(),
            epoch: *epoch,
            seat: *seat,
            events: Vec::new(),
            doing: *doing,
        };
        seen.take(message);
        Some(seen)
    }

    /// Takes in a message as a client must; panics at a gap or a repeat.
    pub fn take(&mut self, message: &ToClient) {
        match message {
            ToClient::Joined {
                room,
                epoch,
                offset,
                seat,
                events,
                doing,
            } => {
                assert_eq!(*room, self.room);
                if *offset == 0 {
                    self.events.clear();
                }
                assert_eq!(
                    *offset as usize,
                    self.events.len(),
                    "neither a gap nor a repeat"
                );
                self.epoch = *epoch;
                self.seat = *seat;
                self.doing = *doing;
                for stamped in events {
                    self.push(stamped);
                }
            }
            ToClient::Event { room, stamped } => {
                assert_eq!(*room, self.room);
                self.push(stamped);
            }
            ToClient::Doing { doing, .. } => self.doing = *doing,
            ToClient::Unveiled { events, .. } => {
                for stamped in events {
                    assert!(stamped.event.is_some(), "unveiled is unveiled");
                    self.events[stamped.offset as usize] = stamped.clone();
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, stamped: &Stamped<Event>) {
        assert_eq!(
            stamped.offset as usize,
            self.events.len(),
            "neither a gap nor a repeat"
        );
        self.events.push(stamped.clone());
    }

    pub fn is_over(&self) -> bool {
        self.ended().is_some()
    }

    pub fn ended(&self) -> Option<&Event> {
        self.events
            .iter()
            .filter_map(|stamped| stamped.event.as_ref())
            .find(|event| matches!(event, Event::Ended { .. }))
    }

    /// The round whose question came last.
    pub fn round(&self) -> u32 {
        self.events
            .iter()
            .filter_map(|stamped| match stamped.event {
                Some(Event::Asked { round, .. }) => Some(round),
                _ => None,
            })
            .max()
            .unwrap_or(0)
    }

    pub fn my_turn(&self) -> bool {
        matches!(
            self.doing,
            Doing::WitnessesAnswer {
                your_turn: true,
                ..
            }
        )
    }
}
