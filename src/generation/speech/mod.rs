//! The server's side of the speech process: what is said into it and what comes back.
//!
//! [`launch::start`] keeps one process alive, [`client::SpeechClient`] talks to it. Whatever
//! is under way belongs to the process that it was sent to: when that one is lost it ends
//! with [`SpeechError::Lost`] at once. Dropping what is under way cancels it.

pub mod client;
pub mod launch;

use std::pin::Pin;

use futures_util::Stream;
use tokio::sync::mpsc;

use crate::wire::speech::{
    Clause, HEARING_RATE, LONGEST_QUESTION, Language, SpeechRefusal, Transcript, VoiceInfo,
};
use client::InFlight;

/// Why something was not heard, said or translated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpeechError {
    /// The process died or hung while it had the request, or is not up.
    #[error("the speech process is away")]
    Lost,
    #[error(transparent)]
    Refused(#[from] SpeechRefusal),
    #[error("the speech process could not do it: {0}")]
    Failed(String),
}

/// What a speech process can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    pub hears: Vec<Language>,
    pub voices: Vec<VoiceInfo>,
    /// From, to.
    pub translates: Vec<(Language, Language)>,
    /// Whether its voices take on the timbre of whoever asks.
    pub clones: bool,
}

/// What comes of listening.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// What was said so far.
    Partial(String),
    /// The last item.
    Transcript(Transcript),
}

/// A question that is being listened to: any number of [`Heard::Partial`]s, then one
/// transcript or one error, then nothing.
#[derive(Debug)]
pub struct Listening {
    answers: mpsc::Receiver<Result<Heard, SpeechError>>,
    request: Option<InFlight>,
}

/// Where the sound of a question goes in. Dropping it without [`Microphone::end`] leaves the
/// question open.
#[derive(Debug)]
pub struct Microphone {
    client: client::SpeechClient,
    id: crate::wire::speech::RequestId,
    taken: usize,
}

impl Microphone {
    /// More sound, at [`HEARING_RATE`]. What goes beyond the longest question is left out.
    pub fn push(&mut self, samples: &[i16]) {
        let longest = (HEARING_RATE * LONGEST_QUESTION) as usize;
        let room = longest.saturating_sub(self.taken).min(samples.len());
        self.taken += room;
        self.client.send_sound(self.id, &samples[..room]);
    }

    /// All was said.
    pub fn end(self) {
        self.client.send_end(self.id);
    }
}

impl Listening {
    /// The next item.
    pub async fn next(&mut self) -> Option<Result<Heard, SpeechError>> {
        let item = self.answers.recv().await;
        if item.is_none() {
            self.request = None;
        }
        item
    }
}

/// A clause with its sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Voiced {
    pub clause: Clause,
    /// At the rate of the voice.
    pub sound: Vec<i16>,
}

/// A text that is being said: clause after clause, then an error or the end.
#[derive(Debug)]
pub struct Speaking {
    clauses: mpsc::Receiver<Result<Voiced, SpeechError>>,
    #[expect(dead_code, reason = "held for its drop, which cancels")]
    request: Option<InFlight>,
}

impl Stream for Speaking {
    type Item = Result<Voiced, SpeechError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.clauses.poll_recv(context)
    }
}
