//! A room's log in memory: every stored event, the game that they tell, and what the player
//! may see of them. Nothing here decides.

use crate::{
    play::{
        UnixMillis,
        imitation::{Event, Game, Mode, Seat},
    },
    store::Log,
    wire::browser::{Doing, Stamped, ToClient},
};

use super::messages::Held;

/// What cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("event {offset} of the log is damaged: {problem}")]
pub(crate) struct Damaged {
    offset: u32,
    problem: String,
}

struct Entry {
    at: UnixMillis,
    event: Event,
    /// What the player could see of it when it happened.
    lived: Option<Event>,
}

impl Entry {
    fn was_veiled(&self) -> bool {
        self.lived.as_ref() != Some(&self.event)
    }
}

/// The log and its game.
pub(crate) struct Journal {
    room: String,
    epoch: u32,
    game: Game,
    entries: Vec<Entry>,
}

impl Journal {
    pub(crate) fn new(room: String, epoch: u32) -> Self {
        Self {
            room,
            epoch,
            game: Game::default(),
            entries: Vec::new(),
        }
    }

    /// The journal that a stored log tells.
    ///
    /// # Errors
    /// When a record is no event: a game with a hole in it is not played on.
    pub(crate) fn read(room: String, log: &Log) -> Result<Self, Damaged> {
        let mut journal = Self::new(room, log.epoch);
        for record in &log.records {
            let event = serde_json::from_str(&record.body).map_err(|error| Damaged {
                offset: record.offset,
                problem: error.to_string(),
            })?;
            if record.offset != journal.len() {
                return Err(Damaged {
                    offset: record.offset,
                    problem: format!("event {} should come here", journal.len()),
                });
            }
            journal.push(record.at, event);
        }
        Ok(journal)
    }

    /// Takes in an event that the store has.
    pub(crate) fn push(&mut self, at: UnixMillis, event: Event) {
        self.game.apply(at, &event);
        let lived = self.game.shown(&event);
        self.entries.push(Entry { at, event, lived });
    }

    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    pub(crate) fn game(&self) -> &Game {
        &self.game
    }

    /// Events so far, which is also the next offset.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn is_blind(&self) -> bool {
        self.game
            .rules()
            .is_none_or(|rules| rules.mode == Mode::Blind)
    }

    /// When the question of the running round was asked.
    pub(crate) fn asked_at(&self) -> Option<UnixMillis> {
        self.entries
            .iter()
            .rev()
            .find(|entry| matches!(entry.event, Event::Asked { .. }))
            .map(|entry| entry.at)
    }

    /// The events from `offset` on, as far as the player may see them now.
    pub(crate) fn stamped(&self, offset: u32) -> impl Iterator<Item = Stamped<Event>> {
        (0u32..)
            .zip(&self.entries)
            .skip(offset as usize)
            .map(|(offset, entry)| Stamped {
                offset,
                at: entry.at,
                event: self.game.shown(&entry.event),
            })
    }

    /// The events from `offset` on as the player lives through them: what was veiled when it
    /// happened stays so until [`Self::unveiled`] tells it, also when the end came at once.
    pub(crate) fn lived(&self, offset: u32) -> impl Iterator<Item = Stamped<Event>> {
        (0u32..)
            .zip(&self.entries)
            .skip(offset as usize)
            .map(|(offset, entry)| Stamped {
                offset,
                at: entry.at,
                event: entry.lived.clone(),
            })
    }

    /// Where a client stands that holds `held`: the gap, or everything when the offsets that
    /// it knows mean nothing here.
    pub(crate) fn joined(&self, held: Option<Held>, doing: Doing) -> ToClient {
        let offset = match held {
            Some(held) if held.epoch == self.epoch && held.offset <= self.len() => held.offset,
            _ => 0,
        };
        ToClient::Joined {
            room: self.room.clone(),
            epoch: self.epoch,
            offset,
            seat: self.game.player_seat().unwrap_or(Seat::A),
            events: self.stamped(offset).collect(),
            doing,
        }
    }

    /// After the end: everything that the player could not see in full when it happened.
    pub(crate) fn unveiled(&self) -> Option<ToClient> {
        if !self.game.is_over() {
            return None;
        }
        let events: Vec<Stamped<Event>> = self
            .stamped(0)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.was_veiled())
            .map(|(stamped, _)| stamped)
            .collect();
        (!events.is_empty()).then(|| ToClient::Unveiled {
            room: self.room.clone(),
            events,
        })
    }
}
