//! The speech process: who listens, speaks and translates.

use std::path::PathBuf;

use clap::Args;

use super::worker::default_threads;

/// The engines of the speech process.
#[derive(Clone, Debug, Args)]
pub struct SpeechSettings {
    /// Who listens: a model of the catalogue, or `deterministic`, a toy that needs no weights
    #[arg(long, env = "PARLOUR_EAR", default_value = "whisper-base")]
    pub ear: String,
    /// Who speaks: models of the catalogue, comma separated, or `deterministic`
    #[arg(
        long,
        env = "PARLOUR_VOICES",
        default_value = "hibari",
        value_delimiter = ','
    )]
    pub voices: Vec<String>,
    /// What is translated: pairs of languages that the catalogue has a model for, comma
    /// separated (`de-en,en-de`: a conversation takes both ways), or `deterministic` [default:
    /// nothing]
    #[arg(long, env = "PARLOUR_TRANSLATIONS", value_delimiter = ',')]
    pub translations: Vec<String>,
    /// The model that lends the spirit's voice the timbre of whoever asked, of the catalogue:
    /// `openvoice-v2` [default: none]
    #[arg(long = "clone", env = "PARLOUR_CLONE", value_name = "MODEL")]
    pub clone_model: Option<String>,
    /// The program espeak-ng, which the voices of most languages need [default: the one in PATH]
    #[arg(long, env = "PARLOUR_ESPEAK", value_name = "FILE")]
    pub espeak: Option<PathBuf>,
    /// Threads that the speech process computes with [default: the machine's cores, at most 16]
    #[arg(long, env = "PARLOUR_SPEECH_THREADS", value_parser = clap::value_parser!(u32).range(1..=256))]
    speech_threads: Option<u32>,
}

impl SpeechSettings {
    /// Threads that compute.
    pub fn threads(&self) -> u32 {
        self.speech_threads.unwrap_or_else(default_threads)
    }
}
