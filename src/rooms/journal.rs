//! A room's log in memory: every stored event, the game that they tell, and what each
//! watcher may see of them. Nothing here decides.
//!
//! What somebody sees of an event is settled when it happens and once more when its game
//! ends, never in between: whoever comes later sees what those saw who were there.
//!
//! Of a play that writes snapshots the journal may hold the end of the log alone.

use crate::{
    play::UnixMillis,
    store::{AnyStore, Log, Snapshot, Store, StoreError},
    wire::browser::Stamped,
};

use super::{
    messages::Held,
    play::{Mark, Play},
};

/// What cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("event {offset} of the log is damaged: {problem}")]
pub(crate) struct Damaged {
    offset: u32,
    problem: String,
}

/// What the store has of a room.
pub(crate) struct Stored {
    /// What was before the log; none where that is whole.
    snapshot: Option<Snapshot>,
    pub(crate) log: Log,
}

impl Stored {
    /// All that there is.
    ///
    /// # Errors
    /// As [`Store::read`], but [`StoreError::Trimmed`].
    pub(crate) async fn load(store: &AnyStore, room: &str) -> Result<Self, StoreError> {
        let mut from = 0;
        loop {
            // Before the log: what is not in it must be in the snapshot.
            let snapshot = match from {
                0 => None,
                _ => store.snapshot(room).await?,
            };
            match store.read(room, from).await {
                Ok(log) => return Ok(Self { snapshot, log }),
                // Once more where it is trimmed meanwhile.
                Err(StoreError::Trimmed { first, .. }) if first > from => from = first,
                Err(error) => return Err(error),
            }
        }
    }
}

/// One event in everybody's eyes.
struct Sight<P: Play> {
    /// What all see who are not named below.
    all: Option<P::Event>,
    /// What single ones see instead.
    own: Vec<(P::Viewer, Option<P::Event>)>,
}

impl<P: Play> Sight<P> {
    fn of(game: &P, offset: u32, event: &P::Event) -> Self {
        let all = game.shown(P::ONLOOKER, offset, event);
        let own = game
            .insiders(event)
            .into_iter()
            .map(|viewer| (viewer, game.shown(viewer, offset, event)))
            .filter(|(_, shown)| *shown != all)
            .collect();
        Self { all, own }
    }

    fn by(&self, viewer: P::Viewer) -> Option<&P::Event> {
        self.own
            .iter()
            .find(|(known, _)| *known == viewer)
            .map_or(self.all.as_ref(), |(_, own)| own.as_ref())
    }

    fn singles_out(&self, viewer: P::Viewer) -> bool {
        self.own.iter().any(|(known, _)| *known == viewer)
    }
}

struct Entry<P: Play> {
    at: UnixMillis,
    event: P::Event,
    /// When it happened.
    lived: Sight<P>,
    /// After the end of its game.
    after: Option<Sight<P>>,
}

impl<P: Play> Entry<P> {
    fn now(&self) -> &Sight<P> {
        self.after.as_ref().unwrap_or(&self.lived)
    }
}

/// The log and its game.
pub(crate) struct Journal<P: Play> {
    room: String,
    epoch: u32,
    game: P,
    /// Offset of the first entry.
    first: u32,
    entries: Vec<Entry<P>>,
    /// Offset of the first event of the game that goes on.
    begun: Option<u32>,
    /// First and last offsets of the games that are over.
    over: Vec<(u32, u32)>,
    /// First offset that newcomers are told of.
    beginning: u32,
}

impl<P: Play> Journal<P> {
    pub(crate) fn new(room: String, epoch: u32) -> Self {
        Self {
            room,
            epoch,
            game: P::default(),
            first: 0,
            entries: Vec::new(),
            begun: None,
            over: Vec::new(),
            beginning: 0,
        }
    }

    /// The journal that a stored log tells.
    ///
    /// # Errors
    /// When a record is no event: a game with a hole in it is not played on.
    pub(crate) fn read(room: String, Stored { snapshot, log }: &Stored) -> Result<Self, Damaged> {
        let mut journal = Self::new(room, log.epoch);
        let mut told = 0;
        if let Some(Snapshot { offset, body }) = snapshot {
            let damaged = |problem| Damaged {
                offset: *offset,
                problem,
            };
            if *offset > log.next {
                return Err(damaged(format!(
                    "its snapshot is of later than {}",
                    log.next
                )));
            }
            journal.game = P::restore(body).map_err(damaged)?;
            journal.first = log.records.first().map_or(log.next, |record| record.offset);
            journal.beginning = journal.first;
            told = *offset;
        }
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
            if record.offset < told {
                journal.enter(record.at, event);
            } else {
                journal.push(record.at, event);
            }
        }
        Ok(journal)
    }

    /// Takes in an event that the store has.
    pub(crate) fn push(&mut self, at: UnixMillis, event: P::Event) {
        self.game.apply(at, &event);
        self.enter(at, event);
    }

    /// Takes in an event that the game knows.
    fn enter(&mut self, at: UnixMillis, event: P::Event) {
        let offset = self.len();
        let mark = P::mark(&event);
        if mark == Mark::Begins {
            self.begun = Some(offset);
        }
        if mark == Mark::Anew {
            self.beginning = offset;
        }
        let lived = Sight::of(&self.game, offset, &event);
        self.entries.push(Entry {
            at,
            event,
            lived,
            after: None,
        });
        if mark == Mark::Ends {
            let first = self.begun.take().unwrap_or(offset);
            self.over.push((first, offset));
            let known = first.saturating_sub(self.first) as usize;
            for (offset, entry) in (first..).zip(&mut self.entries[known..]) {
                entry.after = Some(Sight::of(&self.game, offset, &entry.event));
            }
        }
    }

    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn game(&self) -> &P {
        &self.game
    }

    /// Events so far, which is also the next offset.
    pub(crate) fn len(&self) -> u32 {
        let held = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.first.saturating_add(held)
    }

    /// Offset of the first event that is still held.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// First offset that newcomers are told of.
    pub(crate) fn beginning(&self) -> u32 {
        self.beginning
    }

    /// Lets go of what stands before this offset.
    pub(crate) fn forget(&mut self, before: u32) {
        let before = before.clamp(self.first, self.len());
        self.entries.drain(..(before - self.first) as usize);
        self.first = before;
        self.beginning = self.beginning.max(before);
    }

    /// The offset at or after `from` of the first event that `wanted` wants.
    pub(crate) fn find(&self, from: u32, wanted: impl Fn(&P::Event) -> bool) -> Option<u32> {
        let found = self.from(from).find(|(_, entry)| wanted(&entry.event));
        found.map(|(offset, _)| offset)
    }

    /// When the last event happened that `wanted` wants.
    pub(crate) fn last_at(&self, wanted: impl Fn(&P::Event) -> bool) -> Option<UnixMillis> {
        self.entries
            .iter()
            .rev()
            .find(|entry| wanted(&entry.event))
            .map(|entry| entry.at)
    }

    /// Everything that happened, as the server knows it.
    pub(crate) fn events(&self) -> impl Iterator<Item = &P::Event> {
        self.entries.iter().map(|entry| &entry.event)
    }

    /// How many games are over.
    pub(crate) fn finished(&self) -> usize {
        self.over.len()
    }

    /// When the log begins.
    pub(crate) fn first_at(&self) -> UnixMillis {
        self.entries.first().map_or(0, |entry| entry.at)
    }

    /// The events from `offset` on, as `viewer` may see them now.
    pub(crate) fn stamped(
        &self,
        viewer: P::Viewer,
        offset: u32,
    ) -> impl Iterator<Item = Stamped<P::Event>> {
        self.from(offset).map(move |(offset, entry)| Stamped {
            offset,
            at: entry.at,
            event: if P::FORGETS {
                self.game.shown(viewer, offset, &entry.event)
            } else {
                entry.now().by(viewer).cloned()
            },
        })
    }

    /// One event as `viewer` lives through it: what was veiled when it happened stays so
    /// until [`Self::unveiled`] tells it, also when the end came at once.
    ///
    /// # Panics
    /// When there is no such event.
    pub(crate) fn lived(&self, viewer: P::Viewer, offset: u32) -> Stamped<P::Event> {
        let entry = &self.entries[(offset - self.first) as usize];
        Stamped {
            offset,
            at: entry.at,
            event: entry.lived.by(viewer).cloned(),
        }
    }

    /// With whose eyes `viewer` saw the event: the onlooker's, unless it is another thing to
    /// this one.
    pub(crate) fn eyes(&self, viewer: P::Viewer, offset: u32) -> P::Viewer {
        let held = offset.checked_sub(self.first);
        match held.and_then(|held| self.entries.get(held as usize)) {
            Some(entry) if entry.lived.singles_out(viewer) => viewer,
            _ => P::ONLOOKER,
        }
    }

    /// The game that ended with the event at `offset`: its number among those that are over.
    pub(crate) fn ended_at(&self, offset: u32) -> Option<usize> {
        self.over
            .binary_search_by_key(&offset, |(_, last)| *last)
            .ok()
    }

    /// The games that are over of which somebody who has the first `offset` events may not
    /// have been told what was veiled.
    pub(crate) fn owed(&self, offset: u32) -> impl Iterator<Item = usize> {
        // What was veiled comes before anything that happened later, so whoever has an event
        // after the end has that too.
        (0..)
            .zip(&self.over)
            .filter(move |(_, (first, last))| *first < offset && offset <= last + 1)
            .map(|(game, _)| game)
    }

    /// Everything of a game that is over that `viewer` could not see in full when it happened.
    pub(crate) fn unveiled(
        &self,
        viewer: P::Viewer,
        game: usize,
    ) -> impl Iterator<Item = Stamped<P::Event>> {
        self.of_game(game)
            .filter(move |(_, entry)| entry.lived.by(viewer) != entry.now().by(viewer))
            .map(move |(offset, entry)| Stamped {
                offset,
                at: entry.at,
                event: entry.now().by(viewer).cloned(),
            })
    }

    /// With whose eyes `viewer` sees what is unveiled of that game.
    pub(crate) fn eyes_after(&self, viewer: P::Viewer, game: usize) -> P::Viewer {
        let singled_out = self
            .of_game(game)
            .any(|(_, entry)| entry.lived.singles_out(viewer) || entry.now().singles_out(viewer));
        if singled_out { viewer } else { P::ONLOOKER }
    }

    /// The log up to the end of its last finished game, for who was not there; none before
    /// the first.
    pub(crate) fn published(&self) -> Option<Vec<Stamped<P::Event>>> {
        let (_, last) = self.over.last()?;
        let events =
            self.from(0)
                .take_while(|(offset, _)| offset <= last)
                .map(|(offset, entry)| Stamped {
                    offset,
                    at: entry.at,
                    event: self.game.shown(P::PUBLIC, offset, &entry.event),
                });
        Some(events.collect())
    }

    /// Where a client starts that holds `held`: where it stopped, or at 0 when the offsets
    /// that it knows mean nothing here.
    pub(crate) fn start(&self, held: Option<Held>) -> u32 {
        match held {
            Some(held) if held.epoch == self.epoch && held.offset <= self.len() => {
                held.offset.max(self.beginning)
            }
            _ => self.beginning,
        }
    }

    fn from(&self, offset: u32) -> impl Iterator<Item = (u32, &Entry<P>)> {
        let skipped = offset.saturating_sub(self.first) as usize;
        (self.first..).zip(&self.entries).skip(skipped)
    }

    fn of_game(&self, game: usize) -> impl Iterator<Item = (u32, &Entry<P>)> {
        let (first, last) = self.over.get(game).copied().unwrap_or((1, 0));
        self.from(first)
            .take_while(move |(offset, _)| *offset <= last)
    }
}
