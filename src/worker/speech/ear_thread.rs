//! The thread that listens: to few at once, and to what ends before what goes on.

use std::sync::Arc;

use super::{Ears, SpeechError, desk::Desk, ticket::Ticket};
use crate::wire::speech::{FromSpeech, HEARING_RATE, LONGEST_QUESTION, Listen, SpeechRefusal};

/// Questions that are listened to at the same time.
const HEARINGS: usize = 16;

/// New sound that a partial transcript is made of, samples.
const PARTIAL_EVERY: usize = HEARING_RATE as usize / 2;

/// What the ear is brought.
pub(super) enum ToEar {
    Listen(Arc<Ticket>, Listen),
    Sound(Arc<Ticket>, Vec<i16>),
    End(Arc<Ticket>),
}

struct Hearing<L> {
    ticket: Arc<Ticket>,
    listening: L,
    partials: bool,
    /// Samples taken in.
    taken: usize,
    /// Of these, how many the last partial transcript was made of.
    told: usize,
    last: String,
}

impl<L> Hearing<L> {
    fn owes_partial(&self) -> bool {
        self.partials && self.taken - self.told >= PARTIAL_EVERY
    }
}

struct Ear<'a, E: Ears> {
    ears: E,
    desk: &'a Desk<ToEar>,
    hearings: Vec<Hearing<E::Listening>>,
}

/// Listens until the desk is closed.
pub(super) fn listen<E: Ears>(ears: E, desk: &Desk<ToEar>) {
    let mut ear = Ear {
        ears,
        desk,
        hearings: Vec::new(),
    };
    loop {
        let next = match desk.take_now() {
            Some(job) => job,
            None => {
                ear.sweep();
                if ear.tell_partial() {
                    continue;
                }
                match desk.take() {
                    Some(job) => job,
                    None => return,
                }
            }
        };
        ear.take(next);
    }
}

impl<E: Ears> Ear<'_, E> {
    fn take(&mut self, job: ToEar) {
        match job {
            ToEar::Listen(ticket, request) => self.begin(ticket, &request),
            ToEar::Sound(ticket, samples) => self.hear(&ticket, &samples),
            ToEar::End(ticket) => self.finish(&ticket),
        }
    }

    fn begin(&mut self, ticket: Arc<Ticket>, request: &Listen) {
        self.sweep();
        if self.hearings.len() >= HEARINGS {
            ticket.end(Err(SpeechRefusal::Busy.into()));
            return;
        }
        match self.ears.listen(request) {
            Ok(listening) => self.hearings.push(Hearing {
                ticket,
                listening,
                partials: request.partials,
                taken: 0,
                told: 0,
                last: String::new(),
            }),
            Err(error) => ticket.end(Err(error)),
        }
    }

    fn place(&self, ticket: &Arc<Ticket>) -> Option<usize> {
        self.hearings
            .iter()
            .position(|hearing| Arc::ptr_eq(&hearing.ticket, ticket))
    }

    fn hear(&mut self, ticket: &Arc<Ticket>, samples: &[i16]) {
        let Some(at) = self.place(ticket) else {
            return;
        };
        let hearing = &mut self.hearings[at];
        let longest = (HEARING_RATE * LONGEST_QUESTION) as usize;
        let room = longest.saturating_sub(hearing.taken).min(samples.len());
        hearing.taken += room;
        if let Err(error) = self.ears.push(&mut hearing.listening, &samples[..room]) {
            self.hearings.swap_remove(at).ticket.end(Err(error));
        }
    }

    fn finish(&mut self, ticket: &Arc<Ticket>) {
        let Some(at) = self.place(ticket) else {
            return;
        };
        let hearing = self.hearings.swap_remove(at);
        let id = ticket.id();
        let result = if ticket.is_cancelled() {
            Err(SpeechError::Failed("it was taken back".into()))
        } else {
            self.ears.finish(hearing.listening)
        };
        ticket.end(result.map(|transcript| FromSpeech::Heard { id, transcript }));
    }

    /// Forgets those whom nobody waits for.
    fn sweep(&mut self) {
        self.hearings.retain(|hearing| {
            let wanted = !hearing.ticket.is_cancelled();
            if !wanted {
                hearing
                    .ticket
                    .end(Err(SpeechError::Failed("it was taken back".into())));
            }
            wanted
        });
    }

    /// Makes one partial transcript, of the one that waits longest for it; false if none does.
    fn tell_partial(&mut self) -> bool {
        let due = self
            .hearings
            .iter_mut()
            .filter(|hearing| hearing.owes_partial())
            .max_by_key(|hearing| hearing.taken - hearing.told);
        let Some(hearing) = due else {
            return false;
        };
        self.desk.beat();
        hearing.told = hearing.taken;
        let id = hearing.ticket.id();
        match self.ears.partial(&mut hearing.listening) {
            Ok(Some(text)) if text != hearing.last => {
                hearing.last.clone_from(&text);
                hearing.ticket.say(FromSpeech::Partial { id, text });
            }
            Ok(_) => {}
            // What was said is still to come; the end will tell whether it can be had.
            Err(error) => tracing::warn!(%error, "no partial transcript"),
        }
        true
    }
}
