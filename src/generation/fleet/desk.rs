//! What a server has asked and not heard the end of: where each request is, and what becomes
//! of it when something is heard.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    client::FleetClient,
    rules,
    splice::{Current, Splice, Torn},
};
use crate::{
    generation::{GenerationError, Output, buffer::Buffer},
    wire::{
        fleet::{Answer, Card, Request, Says},
        worker::{Refusal, TextScore},
    },
};

/// Who waits for a request's answer.
pub(super) enum Reader {
    Stream(Buffer, Splice),
    Weigh(oneshot::Sender<Result<Vec<f32>, GenerationError>>),
    Score(oneshot::Sender<Result<TextScore, GenerationError>>),
}

impl Reader {
    fn fail(self, error: GenerationError) {
        // A closed channel is a reader that has left: nobody to tell.
        match self {
            Self::Stream(buffer, _) => buffer.end(Err(error)),
            Self::Weigh(sender) => drop(sender.send(Err(error))),
            Self::Score(sender) => drop(sender.send(Err(error))),
        }
    }
}

/// A job's entry in the stream of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) version: u16,
    pub(super) id: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Here, until somebody can take it.
    Held,
    /// On its way to Redis, or back from there.
    Moving,
    Queued(Entry),
}

pub(super) struct Waiting {
    reader: Reader,
    request: Arc<Request>,
    needs: u16,
    deadline: Instant,
    place: Place,
    current: Current,
}

/// A request to be added to a stream.
pub(super) struct Outgoing {
    pub(super) number: u64,
    pub(super) version: u16,
    pub(super) request: Arc<Request>,
    pub(super) left: Duration,
}

#[derive(Default)]
pub(super) struct State {
    next: u64,
    /// By number, and so by deadline.
    waiting: BTreeMap<u64, Waiting>,
    /// Jobs that nobody waits for any more.
    unwanted: Vec<(u64, Entry)>,
    workers: Vec<Card>,
}

impl State {
    pub(super) fn workers(&self) -> &[Card] {
        &self.workers
    }

    pub(super) fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Holds a request that may take so long; gives its number.
    pub(super) fn take_in(&mut self, reader: Reader, request: Request, time: Duration) -> u64 {
        self.next += 1;
        let waiting = Waiting {
            reader,
            needs: rules::needs(&request),
            request: Arc::new(request),
            deadline: Instant::now() + time,
            place: Place::Held,
            current: Current::default(),
        };
        self.waiting.insert(self.next, waiting);
        self.next
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        self.waiting.remove(&number)
    }

    /// As [`Self::remove`], for a job that has not ended in Redis.
    pub(super) fn abandon(&mut self, number: u64) -> Option<Waiting> {
        let mut waiting = self.waiting.remove(&number)?;
        if let Place::Queued(entry) = std::mem::replace(&mut waiting.place, Place::Held) {
            self.unwanted.push((number, entry));
        }
        Some(waiting)
    }
}

impl FleetClient {
    /// Takes in which workers there are; `None` when nobody can say.
    pub(super) fn see(&self, workers: Option<Vec<Card>>) {
        let mut state = self.lock();
        if let Some(workers) = workers {
            state.workers = workers;
        }
        let here = self.0.line.reach().is_here();
        let ready = here && rules::route(&state.workers, 0).is_some();
        drop(state);
        self.0.ready.send_if_modified(|was| {
            let changed = *was != ready;
            *was = ready;
            changed
        });
    }

    /// Requests that somebody can take now, at most `count`, oldest first.
    pub(super) fn outgoing(&self, count: usize) -> Vec<Outgoing> {
        let mut guard = self.lock();
        let State {
            waiting, workers, ..
        } = &mut *guard;
        let now = Instant::now();
        let mut out = Vec::new();
        for (number, waiting) in waiting {
            if out.len() == count {
                break;
            }
            if waiting.place != Place::Held {
                continue;
            }
            let Some(version) = rules::route(workers, waiting.needs) else {
                continue;
            };
            waiting.place = Place::Moving;
            out.push(Outgoing {
                number: *number,
                version,
                request: Arc::clone(&waiting.request),
                left: waiting.deadline.saturating_duration_since(now),
            });
        }
        out
    }

    /// Notes where a request that was sent out is: in the stream, or here again.
    pub(super) fn placed(&self, number: u64, entry: Option<Entry>) {
        let mut state = self.lock();
        match (state.waiting.get_mut(&number), entry) {
            (Some(waiting), Some(entry)) => waiting.place = Place::Queued(entry),
            (Some(waiting), None) => waiting.place = Place::Held,
            // Its reader has left meanwhile.
            (None, Some(entry)) => {
                state.unwanted.push((number, entry));
                self.0.wake.notify_one();
            }
            (None, None) => {}
        }
    }

    /// Requests in a stream that no worker reads any more while another one is read. They are
    /// moving from now on.
    pub(super) fn stranded(&self) -> Vec<(u64, Entry)> {
        let mut guard = self.lock();
        let State {
            waiting, workers, ..
        } = &mut *guard;
        let mut stranded = Vec::new();
        for (number, waiting) in waiting {
            let Place::Queued(entry) = &waiting.place else {
                continue;
            };
            let read = |card: &Card| card.protocols.contains(&entry.version);
            if waiting.current.begun()
                || workers.iter().any(read)
                || rules::route(workers, waiting.needs).is_none()
            {
                continue;
            }
            stranded.push((*number, entry.clone()));
            waiting.place = Place::Moving;
        }
        stranded
    }

    /// Jobs to be taken back.
    pub(super) fn unwanted(&self) -> Vec<(u64, Entry)> {
        std::mem::take(&mut self.lock().unwanted)
    }

    /// The same, when it could not be done.
    pub(super) fn still_unwanted(&self, jobs: impl IntoIterator<Item = (u64, Entry)>) {
        self.lock().unwanted.extend(jobs);
    }

    /// Entries in the stream of each version.
    pub(super) fn queued(&self) -> BTreeMap<u16, Vec<String>> {
        let mut queued: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for waiting in self.lock().waiting.values() {
            if let Place::Queued(entry) = &waiting.place {
                queued
                    .entry(entry.version)
                    .or_default()
                    .push(entry.id.clone());
            }
        }
        queued
    }

    /// Redis does not hold these entries, and all answers to them have been heard.
    pub(super) fn lost(&self, version: u16, entries: &[String]) {
        let mut state = self.lock();
        let gone = |waiting: &Waiting| match &waiting.place {
            Place::Queued(entry) => entry.version == version && entries.contains(&entry.id),
            Place::Held | Place::Moving => false,
        };
        let numbers: Vec<u64> = state
            .waiting
            .iter()
            .filter(|(_, waiting)| gone(waiting))
            .map(|(number, _)| *number)
            .collect();
        let lost: Vec<Waiting> = numbers
            .into_iter()
            .filter_map(|number| state.remove(number))
            .collect();
        drop(state);
        for waiting in lost {
            waiting.reader.fail(GenerationError::WorkerLost);
        }
    }

    /// A request is turned away before any worker has seen it.
    pub(super) fn refuse(&self, number: u64, refusal: Refusal) {
        let waiting = self.lock().remove(number);
        if let Some(waiting) = waiting {
            waiting.reader.fail(refusal.into());
        }
    }

    /// Takes in what a worker says.
    pub(super) fn hear(&self, answer: Answer) {
        let mut state = self.lock();
        let number = answer.job;
        // Nobody may wait for it any more.
        let Some(waiting) = state.waiting.get_mut(&number) else {
            return;
        };
        if !waiting.current.admits(&answer) {
            tracing::debug!(number, attempt = answer.attempt, "a late word is ignored");
            return;
        }
        let error = match (&mut waiting.reader, answer.says) {
            (
                Reader::Stream(buffer, splice),
                Says::Piece {
                    at,
                    text,
                    told,
                    logprobs,
                },
            ) => match splice.piece(at, &text, told, logprobs) {
                Ok((news, logprobs)) => {
                    buffer.push(&news, logprobs);
                    return;
                }
                Err(Torn) => {
                    // Other weights, or a lost word: as when a worker is lost.
                    let torn = state.abandon(number);
                    drop(state);
                    self.0.wake.notify_one();
                    if let Some(waiting) = torn {
                        waiting.reader.fail(GenerationError::WorkerLost);
                    }
                    return;
                }
            },
            (Reader::Stream(_, splice), Says::Done { at, .. }) if !splice.is_whole(at) => {
                GenerationError::WorkerLost
            }
            (Reader::Stream(buffer, _), Says::Done { finish, usage, .. }) => {
                buffer.end(Ok(Output::Done { finish, usage }));
                state.remove(number);
                return;
            }
            (Reader::Weigh(_), Says::Weighed { log_probs }) => {
                if let Some(Reader::Weigh(sender)) = state.remove(number).map(|w| w.reader) {
                    // Closed when whoever asked has given up.
                    let _ = sender.send(Ok(log_probs));
                }
                return;
            }
            (Reader::Score(_), Says::Scored { score }) => {
                if let Some(Reader::Score(sender)) = state.remove(number).map(|w| w.reader) {
                    let _ = sender.send(Ok(score));
                }
                return;
            }
            (_, Says::Refused { refusal }) => refusal.into(),
            (_, Says::Failed { message }) => GenerationError::Failed(message),
            (_, Says::GivenUp { attempts }) => GenerationError::GivenUp { attempts },
            (_, Says::Late) => self.late(waiting),
            (
                _,
                Says::Piece { .. } | Says::Done { .. } | Says::Weighed { .. } | Says::Scored { .. },
            ) => GenerationError::Failed("an answer to another kind of request".into()),
        };
        let waiting = state.remove(number);
        drop(state);
        if let Some(waiting) = waiting {
            waiting.reader.fail(error);
        }
    }

    fn late(&self, waiting: &Waiting) -> GenerationError {
        let here = self.0.line.reach().is_here();
        GenerationError::Late {
            waited: self.0.options.time,
            problem: match &waiting.place {
                _ if !here => "Redis is away",
                Place::Held | Place::Moving => "no worker of the fleet can take it",
                Place::Queued(_) if waiting.current.begun() => "it was not finished",
                Place::Queued(_) => "it waited for a worker",
            },
        }
    }

    /// Ends what is overdue and says when to look again.
    pub(super) fn expire(&self) -> Option<Instant> {
        let mut expired = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        let next = loop {
            let Some((number, waiting)) = state.waiting.first_key_value() else {
                break None;
            };
            if waiting.deadline > now {
                break Some(waiting.deadline);
            }
            let (number, error) = (*number, self.late(waiting));
            expired.extend(state.abandon(number).map(|waiting| (waiting, error)));
        };
        drop(state);
        if !expired.is_empty() {
            self.0.wake.notify_one();
        }
        for (waiting, error) in expired {
            waiting.reader.fail(error);
        }
        next
    }

    pub(super) fn fail_all(&self) {
        let mut state = self.lock();
        let numbers: Vec<u64> = state.waiting.keys().copied().collect();
        let all: Vec<Waiting> = numbers
            .into_iter()
            .filter_map(|number| state.abandon(number))
            .collect();
        drop(state);
        self.0.ready.send_replace(false);
        for waiting in all {
            waiting.reader.fail(GenerationError::WorkerLost);
        }
    }
}
