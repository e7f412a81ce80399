//! `parlour voice`: hear a voice, try an ear and a translation, without a server.

use std::{ops::ControlFlow, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Ears, SpeechError, engines, wav};
use crate::{
    config::{ModelSettings, SpeechSettings},
    wire::speech::{HEARING_RATE, Language, Listen, Speak, Transcript, Translate},
    worker::WorkerError,
};

/// What is done by hand.
#[derive(Clone, Debug, Subcommand)]
pub enum VoiceCommand {
    /// Say a text into a WAV file
    Say {
        text: String,
        /// Its language, ISO 639-1
        #[arg(long, default_value = "en")]
        language: String,
        /// Which voice; the first of the language if none is named
        #[arg(long)]
        voice: Option<String>,
        /// Speak in the manner of whoever speaks in this WAV file
        #[arg(long)]
        like: Option<PathBuf>,
        /// The file that is written
        #[arg(long, short)]
        out: PathBuf,
    },
    /// Tell what is said in a WAV file
    Hear {
        file: PathBuf,
        /// What it may be, ISO 639-1
        #[arg(long, value_delimiter = ',', default_value = "en,de,ru")]
        languages: Vec<String>,
        /// Tell all that was found, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell a text in another language, by one of `--translations`
    Translate {
        text: String,
        /// Its language, ISO 639-1
        #[arg(long)]
        from: String,
        #[arg(long)]
        to: String,
    },
}

/// With which engines.
#[derive(Clone, Debug, Args)]
pub struct VoiceOptions {
    #[command(flatten)]
    pub settings: SpeechSettings,
    #[command(flatten)]
    pub models: ModelSettings,
    #[command(subcommand)]
    pub command: VoiceCommand,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    #[error(transparent)]
    Engine(#[from] WorkerError),
    #[error(transparent)]
    Speech(#[from] SpeechError),
    #[error(transparent)]
    Wav(#[from] wav::WavError),
}

/// Does it.
///
/// # Errors
/// When a model or a file cannot be used.
pub fn run(options: &VoiceOptions) -> Result<(), VoiceError> {
    match &options.command {
        VoiceCommand::Say {
            text,
            language,
            voice,
            like,
            out,
        } => {
            let mut mouth = engines::open_mouth(&options.settings, &options.models)?;
            let print = match like {
                None => None,
                Some(file) => hear(options, file, vec![language.clone()])?.print,
            };
            let request = Speak {
                text: text.clone(),
                language: Language(language.clone()),
                voice: voice.clone(),
                like: print,
            };
            let voices = mouth.voices().into_iter();
            let speaks = voices
                .filter(|known| known.language == request.language)
                .find(|known| voice.as_ref().is_none_or(|name| *name == known.name));
            let mut sound = Vec::new();
            let mut unlike = false;
            mouth.speak(&request, &mut |clause, samples| {
                unlike |= clause.unlike;
                sound.extend(samples);
                ControlFlow::Continue(())
            })?;
            if unlike {
                eprintln!("the timbre was not taken on: the voice keeps its own");
            }
            let rate = speaks.map_or(HEARING_RATE, |voice| voice.rate);
            wav::write(out, &sound, rate)?;
        }
        VoiceCommand::Hear {
            file,
            languages,
            json,
        } => {
            let heard = hear(options, file, languages.clone())?;
            if *json {
                let told = serde_json::to_string(&heard);
                println!("{}", told.expect("a transcript has no maps"));
            } else {
                println!("{}", heard.text);
            }
        }
        VoiceCommand::Translate { text, from, to } => {
            let mut interpreter = engines::open_interpreter(&options.settings, &options.models)?;
            let request = Translate {
                text: text.clone(),
                from: Language(from.clone()),
                to: Language(to.clone()),
            };
            println!("{}", interpreter.translate(&request, &|| false)?);
        }
    }
    Ok(())
}

fn hear(
    options: &VoiceOptions,
    file: &std::path::Path,
    languages: Vec<String>,
) -> Result<Transcript, VoiceError> {
    let sound = wav::read(file, HEARING_RATE)?;
    let mut ear = engines::open_ear(&options.settings, &options.models)?;
    let mut listening = Ears::listen(
        &mut ear,
        &Listen {
            languages: languages.into_iter().map(Language).collect(),
            partials: false,
        },
    )?;
    Ears::push(&mut ear, &mut listening, &sound)?;
    Ok(Ears::finish(&mut ear, listening)?)
}
