//! A table as the client of somebody there knows it.

use parlour::{
    play::party::{Chair, Event, Member},
    wire::browser::{Stamped, TableDoing, ToClient},
};

/// What somebody knows of a table, by the rules of the protocol alone.
#[derive(Clone, Debug)]
pub struct Known {
    pub room: String,
    pub epoch: u32,
    pub you: Member,
    pub seat: String,
    pub events: Vec<Stamped<Event>>,
    pub doing: TableDoing,
    pub present: Vec<Member>,
}

impl Known {
    /// What a first `seated` tells; none of another message.
    pub fn begin(message: &ToClient) -> Option<Self> {
        let ToClient::Seated {
            room,
            epoch,
            you,
            seat,
            doing,
            present,
            ..
        } = message
        else {
            return None;
        };
        let mut known = Self {
            room: room.clone(),
            epoch: *epoch,
            you: *you,
            seat: seat.clone(),
            events: Vec::new(),
            doing: doing.clone(),
            present: present.clone(),
        };
        known.take(message);
        Some(known)
    }

    /// Takes in a message as a client must; panics at a gap or a repeat.
    pub fn take(&mut self, message: &ToClient) {
        match message {
            ToClient::Seated {
                room,
                epoch,
                offset,
                you,
                seat,
                events,
                doing,
                present,
            } => {
                assert_eq!(*room, self.room);
                if *offset == 0 {
                    self.events.clear();
                }
                assert_eq!(*offset as usize, self.events.len(), "a gap or a repeat");
                self.epoch = *epoch;
                self.you = *you;
                self.seat.clone_from(seat);
                self.doing = doing.clone();
                self.present.clone_from(present);
                for stamped in events {
                    self.push(stamped);
                }
            }
            ToClient::TableEvent { room, stamped } => {
                assert_eq!(*room, self.room);
                self.push(stamped);
            }
            ToClient::TableDoing { doing, .. } => self.doing = doing.clone(),
            ToClient::Present { present, .. } => self.present.clone_from(present),
            ToClient::TableUnveiled { events, .. } => {
                for stamped in events {
                    assert!(stamped.event.is_some(), "unveiled is unveiled");
                    self.events[stamped.offset as usize] = stamped.clone();
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, stamped: &Stamped<Event>) {
        let expected = self.events.len();
        assert_eq!(stamped.offset as usize, expected, "a gap or a repeat");
        self.events.push(stamped.clone());
    }

    pub fn told(&self) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter_map(|stamped| stamped.event.as_ref())
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.told().filter(|event| wanted(event)).count()
    }

    /// How many games have ended.
    pub fn finished(&self) -> usize {
        self.count(|event| matches!(event, Event::Finished { .. }))
    }

    /// One's chair in the game that started last.
    pub fn chair(&self) -> Option<Chair> {
        self.told()
            .filter_map(|event| match event {
                Event::Started { yours, .. } => Some(*yours),
                _ => None,
            })
            .last()
            .flatten()
    }
}
