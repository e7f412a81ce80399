//! What one worker has in hand, and what it says of it in Redis.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::RedisResult;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    line::Line,
    post::{ANSWERS_LIVE, Fields},
    rules::{self, Verdict},
    scripts::{DEADLINE, JOB, Keys, NOBODY, Script},
};
use crate::wire::fleet::{Answer, Job, Says};

/// Answers that one server's stream keeps; a server that reads never lets so many wait.
const ANSWERS_KEPT: usize = 1 << 16;

/// A job in the stream that it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) stream: String,
    pub(super) entry: String,
}

/// A job that was begun.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) place: Place,
    pub(super) attempt: u32,
    pub(super) job: Job,
    answers: String,
    once: String,
}

#[derive(Debug)]
struct Running {
    /// Unknown until the job is opened.
    attempt: Option<u32>,
    stop: CancellationToken,
}

/// Every job that this worker has.
pub(super) struct Claims {
    pub(super) line: Line,
    pub(super) keys: Keys,
    /// This worker's name among the consumers.
    pub(super) me: String,
    running: Mutex<HashMap<Place, Running>>,
    count: watch::Sender<usize>,
}

impl Claims {
    pub(super) fn new(line: Line, keys: Keys, me: String) -> Self {
        Self {
            line,
            keys,
            me,
            running: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Running>> {
        // Every change is complete before anything can panic.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self, count: usize) {
        self.count.send_replace(count);
    }

    /// How many jobs are in hand.
    pub(super) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Notes a job that was delivered; `None` if it is in hand already. The token says that
    /// nobody wants it of this worker any more.
    pub(super) fn take(&self, place: &Place) -> Option<CancellationToken> {
        let mut running = self.lock();
        if running.contains_key(place) {
            return None;
        }
        let stop = CancellationToken::new();
        running.insert(
            place.clone(),
            Running {
                attempt: None,
                stop: stop.clone(),
            },
        );
        self.counted(running.len());
        Some(stop)
    }

    /// The job is out of hand.
    pub(super) fn put_down(&self, place: &Place) {
        let mut running = self.lock();
        running.remove(place);
        self.counted(running.len());
    }

    /// Nobody wants a job of this worker any more.
    pub(super) fn stop(&self, place: &Place) {
        if let Some(running) = self.lock().get(place) {
            running.stop.cancel();
        }
    }

    /// As [`Self::stop`], all of them.
    pub(super) fn stop_all(&self) {
        for running in self.lock().values() {
            running.stop.cancel();
        }
    }

    /// Reads a delivered job; gives it with the time that it has if it is to be begun. What can
    /// be said of another one is said at once.
    pub(super) async fn open(&self, place: Place, fields: &Fields) -> Option<(Claim, Duration)> {
        let begun: Vec<u64> = self
            .line
            .insist(Script::Begin, &[&place.stream], &[&place.entry, &self.me])
            .await;
        let &[attempt, now] = begun.as_slice() else {
            return None;
        };
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        if let Some(running) = self.lock().get_mut(&place) {
            running.attempt = Some(attempt);
        }
        let read = fields
            .get(JOB)
            .and_then(|job| serde_json::from_str::<Job>(job).ok());
        let deadline = fields.get(DEADLINE).and_then(|time| time.parse().ok());
        let (Some(job), Some(deadline)) = (read, deadline) else {
            // Whoever wrote it is told by its deadline; there is no name to answer to.
            tracing::warn!(?place, "a job cannot be read; it is thrown away");
            let _: bool = self
                .line
                .insist(
                    Script::Withdraw,
                    &[&place.stream, &self.keys.once(NOBODY, 0)],
                    &[&place.entry, &self.keys.control_prefix(), ""],
                )
                .await;
            return None;
        };
        let claim = Claim {
            answers: self.keys.answers(&job.id.server),
            once: self.keys.once(&job.id.server, job.id.number),
            place,
            attempt,
            job,
        };
        match rules::verdict(attempt, claim.job.attempts, deadline, now) {
            Verdict::Begin(left) => return Some((claim, left)),
            Verdict::Late => {
                self.end(&claim, Says::Late).await;
            }
            Verdict::GivenUp => {
                let attempts = claim.job.attempts;
                tracing::warn!(job = %claim.job.id, attempts, "a job is given up");
                self.end(&claim, Says::GivenUp { attempts }).await;
            }
        }
        None
    }

    /// Says something of a job; false if it is another's by now, or nobody's.
    pub(super) async fn say(&self, claim: &Claim, says: Says) -> bool {
        self.write(claim, says, "").await
    }

    /// Says the last word on a job, with which it leaves the stream.
    pub(super) async fn end(&self, claim: &Claim, says: Says) -> bool {
        self.write(claim, says, "last").await
    }

    async fn write(&self, claim: &Claim, says: Says, last: &str) -> bool {
        let answer = Answer {
            job: claim.job.id.number,
            attempt: claim.attempt,
            says,
        };
        let answer = serde_json::to_string(&answer).expect("an answer has only texts as names");
        self.line
            .insist(
                Script::Say,
                &[&claim.place.stream, &claim.answers, &claim.once],
                &[
                    &claim.place.entry,
                    &self.me,
                    &claim.attempt.to_string(),
                    &answer,
                    &ANSWERS_KEPT.to_string(),
                    &ANSWERS_LIVE.as_millis().to_string(),
                    last,
                ],
            )
            .await
    }

    /// Gives a job back, for another attempt, or, where this one does not count, for this one.
    pub(super) async fn release(&self, place: &Place, attempt: u32, counts: bool) {
        let used = attempt.saturating_sub(u32::from(!counts));
        let _: bool = self
            .line
            .insist(
                Script::Release,
                &[&place.stream],
                &[
                    &place.entry,
                    &self.me,
                    &attempt.to_string(),
                    &used.to_string(),
                ],
            )
            .await;
    }

    /// Renews all claims; lets go of those that are another's by now.
    pub(super) async fn renew(&self) -> RedisResult<()> {
        let mut streams: HashMap<String, Vec<String>> = HashMap::new();
        for (place, running) in self.lock().iter() {
            if let Some(attempt) = running.attempt {
                streams
                    .entry(place.stream.clone())
                    .or_default()
                    .extend([place.entry.clone(), attempt.to_string()]);
            }
        }
        for (stream, entries) in streams {
            let mut arguments = vec![self.me.as_str()];
            arguments.extend(entries.iter().map(String::as_str));
            let lost: Vec<String> = self.line.run(Script::Renew, &[&stream], &arguments).await?;
            for entry in lost {
                tracing::debug!(entry, "a claim is lost");
                self.stop(&Place {
                    stream: stream.clone(),
                    entry,
                });
            }
        }
        Ok(())
    }
}
