//! What every turn of a machine has in common: it reports to the room in its own name, it
//! survives the loss of its worker, and it does not try for ever.

use std::{cell::Cell, time::Duration};

use actix::Recipient;
use futures_util::StreamExt;

use super::messages::{FromTurn, Made, TurnError, TurnId, TurnSays};
use crate::{
    generation::{Ask, Backend, GenerationError, Output},
    persona::Draft,
    wire::worker::{Constraint, Refusal, Sampling, Terms},
};

/// Times that one turn is run again because its worker died under it. A worker that comes
/// back only to die of the same prompt would otherwise never leave the game alone.
const LOSSES: u32 = 16;

/// Times that a full queue is tried again, [`BUSY_PAUSE`] apart.
const BUSY_TRIES: u32 = 120;
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// Times that one turn's requests may fail for reasons that may pass.
const FAILURES: u32 = 4;

/// Texts of one turn that may be thrown back.
pub(crate) const TRIES: u32 = 6;

/// A machine that sits on a chair: who writes its texts, and how that model likes to draw.
#[derive(Clone, Debug)]
pub struct Mind {
    pub backend: Backend,
    /// What a draft does not settle: temperature, cut-offs, penalties.
    pub sampling: Sampling,
}

impl Mind {
    pub(crate) fn sampling(&self, draft: &Draft, seed: u64) -> Sampling {
        Sampling {
            stop: draft.stop.clone(),
            max_tokens: draft.max_tokens.min(self.sampling.max_tokens),
            seed,
            ..self.sampling.clone()
        }
    }
}

/// A turn's way to its room. Dropped before [`Self::finish`] or [`Self::fail`], it says
/// that the turn is lost, so that a panic cannot leave a room waiting.
pub(crate) struct Voice {
    room: Recipient<FromTurn>,
    turn: TurnId,
    attempt: Cell<u32>,
    /// Requests that wait for the model now.
    away: Cell<u32>,
    over: Cell<bool>,
}

impl Voice {
    pub(crate) fn new(room: Recipient<FromTurn>, turn: TurnId, attempt: u32) -> Self {
        Self {
            room,
            turn,
            attempt: Cell::new(attempt),
            away: Cell::new(0),
            over: Cell::new(false),
        }
    }

    // A turn says at most one thing per token, and tokens are few: the room's mailbox needs
    // no other bound.
    fn say(&self, says: TurnSays) {
        self.room.do_send(FromTurn {
            turn: self.turn,
            attempt: self.attempt.get(),
            says,
        });
    }

    /// More of the line.
    pub(crate) fn wrote(&self, text: impl Into<String>) {
        self.say(TurnSays::Wrote(text.into()));
    }

    /// What was written so far does not stand.
    pub(crate) fn anew(&self) {
        self.attempt.set(self.attempt.get() + 1);
        self.wrote("");
    }

    pub(crate) fn finish(self, made: Made) {
        self.say(TurnSays::Finished(made));
        self.over.set(true);
    }

    pub(crate) fn fail(self, error: TurnError) {
        self.say(TurnSays::Failed(error));
        self.over.set(true);
    }

    fn away(&self) {
        if self.away.replace(self.away.get() + 1) == 0 {
            self.say(TurnSays::Away);
        }
    }

    fn back(&self) {
        self.away.set(self.away.get() - 1);
        if self.away.get() == 0 {
            self.say(TurnSays::Back);
        }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        if !self.over.get() {
            self.say(TurnSays::Lost);
        }
    }
}

/// How much one request of a turn has put up with.
#[derive(Debug, Default)]
struct Patience {
    losses: u32,
    busy: u32,
    failures: u32,
}

impl Patience {
    /// Waits until the request is worth making again.
    async fn bear(
        &mut self,
        error: GenerationError,
        backend: &Backend,
        voice: &Voice,
    ) -> Result<(), TurnError> {
        let (times, limit, pause) = match &error {
            GenerationError::WorkerLost => {
                self.losses += 1;
                // The first time it is tried again as soon as there is a worker.
                let pause = Duration::from_millis(100) * (self.losses - 1).min(20);
                (self.losses, LOSSES, pause)
            }
            GenerationError::Refused(Refusal::Busy { .. }) => {
                self.busy += 1;
                (self.busy, BUSY_TRIES, BUSY_PAUSE)
            }
            GenerationError::Failed(_) | GenerationError::Remote { .. } => {
                self.failures += 1;
                let pause = Duration::from_millis(250) * 2u32.saturating_pow(self.failures);
                (self.failures, FAILURES, pause)
            }
            GenerationError::Refused(_) | GenerationError::Unsupported(_) => (1, 0, Duration::ZERO),
        };
        if times > limit {
            return Err(TurnError::Generation { times, last: error });
        }
        tracing::info!(turn = ?voice.turn, %error, times, "a request is made again");
        voice.away();
        tokio::time::sleep(pause).await;
        let here = backend.ready().wait_for(|ready| *ready).await.is_ok();
        voice.back();
        if here {
            Ok(())
        } else {
            Err(TurnError::Generation { times, last: error })
        }
    }
}

/// Makes a request until it is answered or patience ends.
pub(crate) async fn persist<T, F>(
    backend: &Backend,
    voice: &Voice,
    mut request: impl FnMut() -> F,
) -> Result<T, TurnError>
where
    F: Future<Output = Result<T, GenerationError>>,
{
    let mut patience = Patience::default();
    loop {
        match request().await {
            Ok(answer) => return Ok(answer),
            Err(error) => patience.bear(error, backend, voice).await?,
        }
    }
}

/// The text of one draft, with its prefill where the back end can go on with one. A text
/// that is lost half-way is written anew with the same seed.
///
/// `live` says which part of the text so far may be shown already; nothing is taken back
/// unless the text starts anew.
pub(crate) async fn write(
    backend: &Backend,
    draft: &Draft,
    sampling: &Sampling,
    constraint: Option<&Constraint>,
    terms: &Terms,
    voice: &Voice,
    live: &dyn Fn(&str) -> Option<String>,
) -> Result<String, TurnError> {
    let mut draft = draft.clone();
    if let Backend::Remote(_) = backend {
        // The protocol of others has no place for a reply that is begun already.
        draft.prefill.clear();
    }
    let mut patience = Patience::default();
    loop {
        let mut stream = backend.ask(Ask {
            prompt: draft.prompt(),
            sampling: sampling.clone(),
            constraint: constraint.cloned(),
            logprobs: None,
            terms: terms.clone(),
        });
        let mut text = draft.prefill.clone();
        let mut shown = String::new();
        let error = loop {
            match stream.next().await {
                Some(Ok(Output::Piece(piece))) => {
                    text.push_str(&piece);
                    show(&text, &mut shown, voice, live);
                }
                Some(Ok(Output::LogProbs(_))) => {}
                Some(Ok(Output::Done { .. })) => return Ok(text),
                Some(Err(error)) => break error,
                None => break GenerationError::Failed("the text has no end".into()),
            }
        };
        if !shown.is_empty() {
            voice.anew();
        }
        patience.bear(error, backend, voice).await?;
    }
}

fn show(text: &str, shown: &mut String, voice: &Voice, live: &dyn Fn(&str) -> Option<String>) {
    if let Some(showable) = live(text)
        && let Some(more) = showable.strip_prefix(shown.as_str())
        && !more.is_empty()
    {
        voice.wrote(more);
        *shown = showable;
    }
}

/// Whether a prompt did not fit the model.
pub(crate) fn is_too_long(error: &TurnError) -> bool {
    matches!(
        error,
        TurnError::Generation {
            last: GenerationError::Refused(Refusal::TooLong { .. }),
            ..
        }
    )
}

/// The later half of a history that did not fit; none when there is nothing left to forget.
pub(crate) fn forget<T>(history: &[T]) -> Option<&[T]> {
    let half = history.len().div_ceil(2);
    (!history.is_empty()).then(|| &history[half..])
}
