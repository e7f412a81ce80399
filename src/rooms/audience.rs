//! Who watches a room, and what becomes of those who cannot keep up.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use actix::{Recipient, prelude::SendError};

use super::{
    cursor::{Cursor, Sent, View, Written},
    messages::{Guest, Held, ToSession},
    play::Play,
    pulse::{Pulse, SocketId},
    sound::{Clause, Sound},
};
use crate::wire::browser::Bye;

/// How long a full outbox is waited for before its client is let go.
const PATIENCE: Duration = Duration::from_secs(10);

struct Watcher<P: Play> {
    guest: Guest,
    place: P::Place,
    cursor: Cursor<P>,
    behind_since: Option<Instant>,
    clause: Clause,
}

/// The watchers of one room.
pub(crate) struct Audience<P: Play> {
    watchers: BTreeMap<SocketId, Watcher<P>>,
}

impl<P: Play> Default for Audience<P> {
    fn default() -> Self {
        Self {
            watchers: BTreeMap::new(),
        }
    }
}

/// How an update went.
pub(crate) struct Updated<P: Play> {
    /// What those had in hand who are not here any more.
    pub(crate) gone: Vec<P::Place>,
    /// Somebody's outbox is full: update again soon.
    pub(crate) behind: bool,
    /// Watchers let go because they did not read.
    pub(crate) too_slow: u64,
}

impl<P: Play> Audience<P> {
    pub(crate) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// What the one behind that socket has in hand.
    pub(crate) fn place(&self, socket: SocketId) -> Option<&P::Place> {
        self.watchers.get(&socket).map(|watcher| &watcher.place)
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &P::Place> {
        self.watchers.values().map(|watcher| &watcher.place)
    }

    /// The sockets of whoever `wanted` wants.
    pub(crate) fn sockets(&self, wanted: impl Fn(&P::Place) -> bool) -> Vec<SocketId> {
        self.watchers
            .iter()
            .filter(|(_, watcher)| wanted(&watcher.place))
            .map(|(socket, _)| *socket)
            .collect()
    }

    /// Seats a guest; a session has one seat, and its newest socket gets it.
    pub(crate) fn seat(&mut self, guest: Guest, place: P::Place, held: Option<Held>) {
        self.watchers
            .retain(|_, watcher| watcher.guest.key != guest.key);
        self.watchers.insert(
            guest.socket,
            Watcher {
                guest,
                place,
                cursor: Cursor::new(held),
                behind_since: None,
                clause: Clause::default(),
            },
        );
    }

    /// Has a frame of sound played by all who hear it. Who cannot take it now loses it, and so
    /// does who has not been told its words yet.
    pub(crate) fn play(&mut self, sound: &Sound, hears: impl Fn(P::Viewer) -> bool) {
        for watcher in self.watchers.values_mut() {
            let hears = hears(P::viewer(&watcher.place)) && watcher.behind_since.is_none();
            let outbox = &watcher.guest.outbox;
            let give = || hears && outbox.try_send(ToSession::Sound(sound.clone())).is_ok();
            watcher.clause.take(sound, give);
        }
    }

    /// Sends somebody away.
    pub(crate) fn dismiss(&mut self, socket: SocketId, bye: Bye, why: &'static str) {
        if let Some(watcher) = self.watchers.remove(&socket) {
            tell(&watcher.guest, ToSession::Bye { bye, why });
        }
    }

    pub(crate) fn remove(&mut self, socket: SocketId) {
        if let Some(watcher) = self.watchers.remove(&socket) {
            tell(&watcher.guest, ToSession::Unseated);
        }
    }

    /// Brings everybody up to date.
    pub(crate) fn update(&mut self, view: &View<'_, P>, now: Instant) -> Updated<P> {
        let mut updated = Updated {
            gone: Vec::new(),
            behind: false,
            too_slow: 0,
        };
        let mut written = Written::new();
        self.watchers.retain(|_, watcher| {
            let outbox = &watcher.guest.outbox;
            let mut send = |frame| match outbox.try_send(ToSession::Say(frame)) {
                Ok(()) => Sent::Taken,
                Err(SendError::Full(_)) => Sent::Full,
                Err(SendError::Closed(_)) => Sent::Closed,
            };
            let cursor = &mut watcher.cursor;
            let sent = cursor.advance(&watcher.place, view, &mut written, &mut send);
            match sent {
                Sent::Taken => {
                    watcher.behind_since = None;
                    true
                }
                Sent::Closed => {
                    updated.gone.push(watcher.place.clone());
                    false
                }
                Sent::Full => {
                    let since = *watcher.behind_since.get_or_insert(now);
                    let patient = now.duration_since(since) < PATIENCE;
                    if patient {
                        updated.behind = true;
                    } else {
                        updated.too_slow += 1;
                        updated.gone.push(watcher.place.clone());
                        watcher.guest.pulse.doom(Bye::TooSlow);
                    }
                    patient
                }
            }
        });
        updated
    }
}

/// Says something once. A client that cannot even take that is let go: it would wait for an
/// answer that never comes.
pub(crate) fn tell(guest: &Guest, message: ToSession) {
    deliver(&guest.outbox, &guest.pulse, message);
}

/// The same, for whoever has no more than the two of a guest.
pub(crate) fn deliver(outbox: &Recipient<ToSession>, pulse: &Pulse, message: ToSession) {
    let word = match &message {
        ToSession::Bye { bye, .. } => *bye,
        _ => Bye::TooSlow,
    };
    if let Err(SendError::Full(_)) = outbox.try_send(message) {
        pulse.doom(word);
    }
}
