//! A request as the engines' threads hold it: the way back to whoever asked, and whether
//! they still want it.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::{SpeechError, mouth::Stopper};
use crate::wire::speech::{FRAME_SAMPLES, FromSpeech, RequestId};

/// How long a connection whose outbox is full is waited for before it is let go.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// What goes out.
#[derive(Debug)]
pub(super) enum Outgoing {
    Message(FromSpeech),
    Sound(RequestId, Vec<i16>),
}

/// The way back to a connection.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) outbox: mpsc::Sender<Outgoing>,
    /// Ends the connection.
    pub(super) hang_up: CancellationToken,
}

impl Line {
    /// Says something from an engine's thread. Who leaves the outbox full does not read: they
    /// are ended with all that they had.
    pub(super) fn say(&self, mut outgoing: Outgoing) {
        let since = Instant::now();
        loop {
            match self.outbox.try_send(outgoing) {
                Ok(()) => return,
                Err(TrySendError::Closed(_)) => break,
                Err(TrySendError::Full(back)) => {
                    if since.elapsed() > PATIENCE || self.hang_up.is_cancelled() {
                        tracing::warn!("the other end does not read; hanging up");
                        break;
                    }
                    outgoing = back;
                    thread::sleep(PAUSE);
                }
            }
        }
        self.hang_up.cancel();
    }
}

/// One request. It ends exactly once.
#[derive(Debug)]
pub(super) struct Ticket {
    id: RequestId,
    line: Line,
    cancelled: AtomicBool,
    ended: AtomicBool,
    /// Ends the work on it, while it is worked on.
    stopper: Mutex<Option<Stopper>>,
}

impl Ticket {
    pub(super) fn new(id: RequestId, line: Line) -> Self {
        Self {
            id,
            line,
            cancelled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            stopper: Mutex::new(None),
        }
    }

    pub(super) fn id(&self) -> RequestId {
        self.id
    }

    /// Takes it back. Work on it ends at once where that can be, else with its next step.
    pub(super) fn cancel(&self) {
        let stopper = self.stopper();
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(stopper) = &*stopper {
            stopper.stop();
        }
    }

    /// Says who works on it: what they are stopped by, or nobody any more. Whoever is told that
    /// nobody does is never stopped for it again.
    pub(super) fn worked_on(&self, by: Option<Stopper>) {
        *self.stopper() = by;
    }

    fn stopper(&self) -> MutexGuard<'_, Option<Stopper>> {
        self.stopper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.line.hang_up.is_cancelled()
    }

    pub(super) fn say(&self, message: FromSpeech) {
        if !self.ended.load(Ordering::Relaxed) {
            self.line.say(Outgoing::Message(message));
        }
    }

    pub(super) fn sound(&self, samples: &[i16]) {
        for frame in samples.chunks(FRAME_SAMPLES) {
            self.line.say(Outgoing::Sound(self.id, frame.to_vec()));
        }
    }

    /// Says that it will not be done, from the connection's own task, which cannot wait for
    /// itself.
    pub(super) fn end_now(&self, error: SpeechError) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let id = self.id;
        let last = match error {
            SpeechError::Refused(refusal) => FromSpeech::Refused { id, refusal },
            SpeechError::Failed(message) => FromSpeech::Failed { id, message },
        };
        if self.line.outbox.try_send(Outgoing::Message(last)).is_err() {
            self.line.hang_up.cancel();
        }
    }

    /// Says the last word. A request that was taken back ends so, whatever came of it.
    pub(super) fn end(&self, result: Result<FromSpeech, SpeechError>) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let id = self.id;
        let last = match result {
            _ if self.is_cancelled() => FromSpeech::Cancelled { id },
            Ok(message) => message,
            Err(SpeechError::Refused(refusal)) => FromSpeech::Refused { id, refusal },
            Err(SpeechError::Failed(message)) => FromSpeech::Failed { id, message },
        };
        self.line.say(Outgoing::Message(last));
    }
}

/// Answers a ping when it is dropped.
#[derive(Debug)]
pub(super) struct PongOnDrop {
    pub(super) nonce: u64,
    pub(super) line: Line,
}

impl Drop for PongOnDrop {
    fn drop(&mut self) {
        self.line
            .say(Outgoing::Message(FromSpeech::Pong { nonce: self.nonce }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        let (outbox, _) = mpsc::channel(1);
        let line = Line {
            outbox,
            hang_up: CancellationToken::new(),
        };
        Ticket::new(RequestId(1), line)
    }

    #[test]
    fn whoever_works_on_it_is_stopped_with_it_and_not_when_they_work_on_the_next() {
        let stopper = Stopper::default();
        let (first, second) = (ticket(), ticket());
        first.worked_on(Some(stopper.clone()));
        first.worked_on(None);
        second.worked_on(Some(stopper.clone()));
        first.cancel();
        assert!(first.is_cancelled() && !stopper.is_stopped());
        second.cancel();
        assert!(second.is_cancelled() && stopper.is_stopped());
    }
}
