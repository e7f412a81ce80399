//! Who watches a room, and what becomes of those who cannot keep up.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::prelude::SendError;

use super::{
    cursor::{Cursor, Sent, View},
    messages::{Guest, Held, ToSession},
    pulse::SocketId,
};
use crate::wire::browser::{Bye, ToClient};

/// How long a full outbox is waited for before its client is let go.
const PATIENCE: Duration = Duration::from_secs(10);

struct Watcher {
    guest: Guest,
    cursor: Cursor,
    behind_since: Option<Instant>,
}

/// The watchers of one room.
#[derive(Default)]
pub(crate) struct Audience {
    watchers: BTreeMap<SocketId, Watcher>,
}

/// How an update went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Updated {
    /// Somebody's outbox is full: update again soon.
    pub(crate) behind: bool,
    /// Watchers let go because they did not read.
    pub(crate) too_slow: u64,
}

impl Audience {
    pub(crate) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    pub(crate) fn has(&self, socket: SocketId) -> bool {
        self.watchers.contains_key(&socket)
    }

    /// Seats a guest; a session has one seat, and its newest socket gets it.
    pub(crate) fn seat(&mut self, guest: Guest, held: Option<Held>) {
        self.watchers
            .retain(|_, watcher| watcher.guest.key != guest.key);
        self.watchers.insert(
            guest.socket,
            Watcher {
                guest,
                cursor: Cursor::new(held),
                behind_since: None,
            },
        );
    }

    pub(crate) fn remove(&mut self, socket: SocketId) {
        if let Some(watcher) = self.watchers.remove(&socket) {
            tell(&watcher.guest, ToSession::Unseated);
        }
    }

    /// Tells one watcher something that has no place in the log.
    pub(crate) fn tell(&self, socket: SocketId, message: ToClient) {
        if let Some(watcher) = self.watchers.get(&socket) {
            tell(&watcher.guest, ToSession::Say(Arc::new(message)));
        }
    }

    /// Brings everybody up to date.
    pub(crate) fn update(&mut self, view: &View<'_>, now: Instant) -> Updated {
        let mut updated = Updated::default();
        self.watchers.retain(|_, watcher| {
            let outbox = &watcher.guest.outbox;
            let sent = watcher.cursor.advance(view, &mut |message| match outbox
                .try_send(ToSession::Say(Arc::new(message)))
            {
                Ok(()) => Sent::Taken,
                Err(SendError::Full(_)) => Sent::Full,
                Err(SendError::Closed(_)) => Sent::Closed,
            });
            match sent {
                Sent::Taken => {
                    watcher.behind_since = None;
                    true
                }
                Sent::Closed => false,
                Sent::Full => {
                    let since = *watcher.behind_since.get_or_insert(now);
                    let patient = now.duration_since(since) < PATIENCE;
                    if patient {
                        updated.behind = true;
                    } else {
                        updated.too_slow += 1;
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
    let word = match &message {
        ToSession::Bye { bye, .. } => *bye,
        _ => Bye::TooSlow,
    };
    if let Err(SendError::Full(_)) = guest.outbox.try_send(message) {
        guest.pulse.doom(word);
    }
}
