//! The speech process: it listens, speaks and translates, and holds the models for that. It
//! knows no rooms and keeps nothing that was said.
//!
//! Requests come over a Unix socket ([`crate::wire::speech`]). Each engine is blocking and
//! owns one thread: [`Ears`], [`Mouth`] and [`Interpreter`] never wait for each other. What
//! waits for a thread lies on its [`desk`], which is bounded; what does not fit is refused.

pub mod cli;
mod desk;
pub mod deterministic;
pub mod ear;
mod ear_thread;
mod engines;
pub mod interpreter;
pub mod mouth;
mod mouth_thread;
mod network;
mod resample;
mod server;
mod ticket;
pub mod timbre;
pub(crate) mod wav;

use std::{ops::ControlFlow, path::PathBuf};

use clap::Args;

use super::WorkerError;
use crate::{
    config::{ModelSettings, SpeechSettings},
    wire::speech::{
        Clause, Language, Listen, Speak, SpeechRefusal, Transcript, Translate, VoiceInfo,
    },
};

pub use engines::needs_voice;

use deterministic::Deterministic;

/// What a speech process is started with.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Unix socket to listen on; its folder must exist
    #[arg(long)]
    pub socket: PathBuf,
    #[command(flatten)]
    pub settings: SpeechSettings,
    #[command(flatten)]
    pub models: ModelSettings,
}

/// Why an engine did not do it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpeechError {
    #[error(transparent)]
    Refused(#[from] SpeechRefusal),
    #[error("{0}")]
    Failed(String),
}

/// Understands speech.
pub trait Ears: Send + 'static {
    /// One question that is being listened to.
    type Listening;

    /// Languages that it understands.
    fn languages(&self) -> Vec<Language>;

    /// Begins to listen.
    ///
    /// # Errors
    /// When it does not understand what is asked for.
    fn listen(&mut self, request: &Listen) -> Result<Self::Listening, SpeechError>;

    /// Takes in more sound, at [`crate::wire::speech::HEARING_RATE`].
    ///
    /// # Errors
    /// When the engine fails.
    fn push(&mut self, listening: &mut Self::Listening, samples: &[i16])
    -> Result<(), SpeechError>;

    /// What was said so far, if it is worth telling again.
    ///
    /// # Errors
    /// When the engine fails.
    fn partial(&mut self, listening: &mut Self::Listening) -> Result<Option<String>, SpeechError>;

    /// What was said.
    ///
    /// # Errors
    /// When the engine fails.
    fn finish(&mut self, listening: Self::Listening) -> Result<Transcript, SpeechError>;
}

/// Says texts.
pub trait Mouth: Send + 'static {
    fn voices(&self) -> Vec<VoiceInfo>;

    /// Whether its voices take on the timbre of whoever asks.
    fn clones(&self) -> bool {
        false
    }

    /// What ends a text while it is said, from another thread; none where nothing does.
    fn stopper(&self) -> Option<mouth::Stopper> {
        None
    }

    /// Says a text clause by clause, each as soon as it is ready, until `say` breaks it off.
    ///
    /// # Errors
    /// When there is no such voice, or the engine fails.
    fn speak(
        &mut self,
        request: &Speak,
        say: &mut dyn FnMut(Clause, Vec<i16>) -> ControlFlow<()>,
    ) -> Result<(), SpeechError>;
}

/// Translates texts.
pub trait Interpreter: Send + 'static {
    /// From, to.
    fn pairs(&self) -> Vec<(Language, Language)>;

    /// The text in the other language; `cancelled` is asked between its steps.
    ///
    /// # Errors
    /// When it does not know the pair, the engine fails, or nobody wants it any more.
    fn translate(
        &mut self,
        request: &Translate,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<String, SpeechError>;
}

/// Runs the process until its standard input closes or it is told to terminate: whoever
/// starts it holds the other end of that pipe, so that it does not outlive its server.
///
/// # Errors
/// When a model cannot be opened, the socket cannot be bound, or an engine's thread ends.
pub fn run(options: Options) -> Result<(), WorkerError> {
    super::door::check_path(&options.socket)?;
    let mouth = engines::open_mouth(&options.settings, &options.models)?;
    let interpreter = engines::open_interpreter(&options.settings, &options.models)?;
    let ear = &options.settings.ear;
    match Deterministic::delay_of(ear) {
        Some(delay) => server::run(&options, Deterministic::new(delay), mouth, interpreter),
        None => server::run(
            &options,
            engines::open_ear(&options.settings, &options.models)?,
            mouth,
            interpreter,
        ),
    }
}
