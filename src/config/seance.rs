//! The séance: its languages, its spirit, and how long a sitting lasts.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::SpeechSettings;
use crate::play::seance::Setup;

/// How séances are held.
#[derive(Clone, Debug, Args)]
pub struct SeanceSettings {
    /// Start the speech process: questions may be spoken and the spirit has a voice. Without
    /// it questions are typed and answers read
    #[arg(long, env = "PARLOUR_SPEECH")]
    pub speech: bool,
    #[command(flatten)]
    pub engines: SpeechSettings,
    /// Languages that questions are listened for, ISO 639-1, the house's own first
    #[arg(
        long,
        env = "PARLOUR_SEANCE_LANGUAGES",
        default_value = "en,de,ru",
        value_delimiter = ','
    )]
    pub seance_languages: Vec<String>,
    /// Languages that the chat model speaks well, the best first: the spirit thinks in these
    #[arg(
        long,
        env = "PARLOUR_SPIRIT_LANGUAGES",
        default_value = "en",
        value_delimiter = ','
    )]
    pub spirit_languages: Vec<String>,
    /// How much of what the model writes the spirit says at once
    #[arg(long, env = "PARLOUR_SPIRIT_SAYS", default_value = "sentence")]
    pub spirit_says: SpiritSays,
    /// Folder of prompts, `*.toml` as in `models/prompts`: each takes the place of the program's
    /// for its language
    #[arg(long, env = "PARLOUR_PROMPTS", value_name = "DIR")]
    pub prompts: Option<PathBuf>,
    /// The spirit's voice stays its own, and does not take on how the asker speaks
    #[arg(long, env = "PARLOUR_OWN_VOICE")]
    pub own_voice: bool,
    /// People who may ask at the same time
    #[arg(long, env = "PARLOUR_SITTERS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub sitters: u8,
    /// Seconds after which a sitter who does nothing gets up
    #[arg(long, env = "PARLOUR_SITTER_IDLE_SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86400))]
    sitter_idle_seconds: u64,
    /// The same while somebody waits
    #[arg(long, env = "PARLOUR_SITTER_WAITED_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    sitter_waited_seconds: u64,
    /// Longest sitting while somebody waits, seconds
    #[arg(long, env = "PARLOUR_SITTING_SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    sitting_seconds: u64,
}

impl SeanceSettings {
    /// What the speech process is started with: where the voice stays its own it clones none.
    pub fn engines_in_use(&self) -> SpeechSettings {
        let mut engines = self.engines.clone();
        if self.own_voice {
            engines.clone_model = None;
        }
        engines
    }

    /// By what a séance of this house goes.
    pub fn setup(&self) -> Setup {
        Setup {
            sitters: self.sitters,
            idle_ms: self.sitter_idle_seconds * 1000,
            idle_while_waited_ms: self.sitter_waited_seconds * 1000,
            turn_ms: self.sitting_seconds * 1000,
            ..Setup::default()
        }
    }
}

/// How much a spirit says at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SpiritSays {
    /// One sentence, drawn at random.
    #[default]
    Sentence,
    /// The whole of it.
    Answer,
}
