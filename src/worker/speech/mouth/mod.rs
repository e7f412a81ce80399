//! The voice: text becomes sound, clause by clause, with the time of every word.
//!
//! [`Mouth`] has no process and no thread: [`Mouth::speak`] blocks, and gives each clause as
//! soon as it is sound. What is written is cut into clauses (`clauses`), told from sounds in
//! brackets (`sounds`), read as words (`normalise`, `english`, `espeak`), said by a network
//! (`hibari`, `kokoro`, `piper`), by Pico (`pico`) or by espeak-ng itself, bent towards the
//! asker's own way of speaking (`like`), given the asker's timbre where one is asked for
//! ([`super::timbre`]), and measured (`timing`).

pub mod clauses;
mod english;
mod espeak;
mod foreign;
mod graph;
mod hibari;
mod kokoro;
mod like;
mod normalise;
mod oov;
mod own;
mod pico;
mod piper;
mod pulses;
mod said;
mod sounds;
mod spectrum;
mod stop;
mod symbols;
mod timing;
mod voice;

pub use espeak::{Espeak, EspeakError};
pub use stop::Stopper;

use std::{ops::ControlFlow, path::PathBuf};

use super::timbre::{Converter, TimbreError};
use crate::{
    models::{FetchedClone, FetchedVoice},
    wire::speech::{Clause, Language, Speak, VoiceInfo},
};
use clauses::{Clauses, Lengths};
use voice::{Opener, Voice};

/// How long clauses are that take on a timbre, which takes half as long as they sound: the first
/// sound is to come soon, and a process that says nothing for long is taken for a hung one.
const CLONED: Lengths = Lengths {
    first: 20,
    soft: 45,
    hard: 80,
};

/// Why nothing is said.
#[derive(Debug, thiserror::Error)]
pub enum MouthError {
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("there is no voice for the language {0:?}")]
    NoVoice(String),
    #[error("there is no voice {0:?}")]
    UnknownVoice(String),
    #[error("nothing here speaks with voices of the family {0:?}")]
    Family(String),
    #[error("the text cannot be read: {0}")]
    Unreadable(String),
    #[error("the voice failed: {0}")]
    Network(#[from] ort::Error),
    #[error(transparent)]
    Espeak(#[from] EspeakError),
    #[error(transparent)]
    Timbre(#[from] TimbreError),
    /// [`Stopper::stop`] was called.
    #[error("it was stopped")]
    Stopped,
}

/// The files of a voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceFiles {
    /// A voice of hibari's: English only.
    Hibari {
        name: String,
        model: PathBuf,
        /// The network that reads words that no lexicon has: hibari's.
        unknown_words: PathBuf,
    },
    /// A voice of Kokoro's, in English or, with espeak-ng's help, German.
    Kokoro {
        name: String,
        language: Language,
        model: PathBuf,
        /// The voice's own file.
        styles: PathBuf,
        /// hibari's network; English needs it.
        unknown_words: Option<PathBuf>,
    },
    /// A voice of SVOX Pico's.
    Pico {
        name: String,
        language: Language,
        library: PathBuf,
        /// What analyses texts, and what makes the sound.
        lingware: [PathBuf; 2],
    },
    /// A voice of Piper's, with espeak-ng's help.
    Piper {
        name: String,
        language: Language,
        model: PathBuf,
        /// The `.onnx.json` beside it.
        config: PathBuf,
    },
}

impl VoiceFiles {
    /// The voices that a fetched one has: one for each language.
    ///
    /// # Errors
    /// When nothing here speaks like its family, or a file of it is not there.
    pub fn of(voice: &FetchedVoice) -> Result<Vec<Self>, MouthError> {
        let file = |name: &str| {
            let path = voice.folder.join(name);
            if path.is_file() {
                Ok(path)
            } else {
                Err(MouthError::File {
                    path,
                    problem: "it is not there".into(),
                })
            }
        };
        match voice.family.as_str() {
            "hibari" => Ok(vec![Self::Hibari {
                name: voice.name.clone(),
                model: file("hibari.onnx")?,
                unknown_words: file("oov.onnx")?,
            }]),
            "kokoro" => kokoro::STYLES
                .iter()
                .filter(|(language, _)| voice.languages.iter().any(|it| it == language))
                .map(|(language, style)| {
                    Ok(Self::Kokoro {
                        name: format!("{}-{language}", voice.name),
                        language: Language((*language).into()),
                        model: file("kokoro.onnx")?,
                        styles: file(style)?,
                        unknown_words: Some(file("oov.onnx")?),
                    })
                })
                .collect(),
            "pico" => pico::LINGWARE
                .iter()
                .filter(|(language, ..)| voice.languages.iter().any(|it| it == language))
                .map(|(language, analysis, signal)| {
                    Ok(Self::Pico {
                        name: format!("{}-{language}", voice.name),
                        language: Language((*language).into()),
                        library: file(pico::LIBRARY)?,
                        lingware: [file(analysis)?, file(signal)?],
                    })
                })
                .collect(),
            "piper" => {
                let model = piper::graph_in(&voice.folder)?;
                let mut config = model.clone().into_os_string();
                config.push(".json");
                let language = voice.languages.first().cloned().unwrap_or_default();
                Ok(vec![Self::Piper {
                    name: voice.name.clone(),
                    language: Language(language),
                    model,
                    config: config.into(),
                }])
            }
            family => Err(MouthError::Family(family.to_owned())),
        }
    }
}

/// What a mouth is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MouthSettings {
    /// The ONNX Runtime library.
    pub library: PathBuf,
    /// Threads of every voice.
    pub threads: usize,
    /// The program espeak-ng; where none is named it is looked for in `PATH`.
    pub espeak: Option<PathBuf>,
    /// Languages that espeak-ng itself speaks where no other voice does.
    pub languages: Vec<Language>,
}

/// Everything that speaks.
pub struct Mouth {
    voices: Vec<Voice>,
    converter: Option<Converter>,
    stopper: Stopper,
}

impl Mouth {
    /// Opens voices. The first of a language is the one that speaks it unless another is named.
    /// espeak-ng comes last: its voices are called `espeak-` and the language.
    ///
    /// # Errors
    /// When a file or the library cannot be used, or espeak-ng is needed and not here.
    pub fn open(files: &[VoiceFiles], settings: &MouthSettings) -> Result<Self, MouthError> {
        let stopper = Stopper::default();
        let mut opener = Opener::new(settings, stopper.clone());
        let mut voices: Vec<Voice> = Vec::new();
        for files in files {
            voices.push(opener.open(files)?);
        }
        for language in &settings.languages {
            if !voices.iter().any(|voice| voice.info.language == *language) {
                voices.push(opener.espeak_voice(language)?);
            }
        }
        Ok(Self {
            voices,
            converter: None,
            stopper,
        })
    }

    /// Has the voices take on the timbre of whoever asks, computed on so many threads.
    ///
    /// # Errors
    /// When a file or the library cannot be used.
    pub fn clone_with(&mut self, files: &FetchedClone, threads: usize) -> Result<(), MouthError> {
        let converter = Converter::open(files, threads, self.stopper.clone())?;
        self.converter = Some(converter);
        Ok(())
    }

    /// Whether the voices take on the timbre of whoever asks.
    pub fn clones(&self) -> bool {
        self.converter.is_some()
    }

    /// Ends what [`Self::speak`] says, from another thread. It ends nothing that has not begun.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// What voices there are.
    pub fn voices(&self) -> Vec<VoiceInfo> {
        self.voices.iter().map(|voice| voice.info.clone()).collect()
    }

    fn choose(&self, request: &Speak) -> Result<usize, MouthError> {
        let found = match &request.voice {
            Some(name) => self
                .voices
                .iter()
                .position(|voice| voice.info.name == *name),
            None => self
                .voices
                .iter()
                .position(|voice| voice.info.language == request.language),
        };
        found.ok_or_else(|| match &request.voice {
            Some(name) => MouthError::UnknownVoice(name.clone()),
            None => MouthError::NoVoice(request.language.0.clone()),
        })
    }

    /// Says a text. Blocks; `give` takes each clause as soon as it is there and may end it all.
    /// Where the asker's timbre cannot be taken on, the rest of the text is said in the voice's
    /// own, and its clauses tell so.
    ///
    /// # Errors
    /// When there is no such voice, or it fails.
    pub fn speak(
        &mut self,
        request: &Speak,
        give: &mut dyn FnMut(Clause, Vec<i16>) -> ControlFlow<()>,
    ) -> Result<(), MouthError> {
        let index = self.choose(request)?;
        self.stopper.begin()?;
        let voice = &mut self.voices[index];
        let change = voice.change_towards(request.like.as_ref());
        let timbre = request.like.as_ref().and_then(|like| like.timbre.as_ref());
        let mut clone = self.converter.as_mut().zip(timbre);
        let mut lengths = voice.lengths;
        if let Some((converter, _)) = &mut clone {
            converter.begin();
            lengths = CLONED;
        }
        let mut clauses = Clauses::new(&request.language.0, lengths);
        let mut texts = clauses.push(&request.text);
        texts.extend(clauses.finish());
        let mut first = true;
        let mut unlike = false;
        for text in texts {
            let items = sounds::items(&text);
            if items.is_empty() {
                continue;
            }
            let mut said = match voice.say(&items, &change) {
                _ if self.stopper.is_stopped() => return Err(MouthError::Stopped),
                said => said?,
            };
            if std::mem::take(&mut first) {
                said.cut_lead(voice.info.rate);
            }
            if let Some((converter, timbre)) = &mut clone {
                match converter.convert(&said.samples, voice.info.rate, timbre) {
                    Ok(samples) => said.samples = samples,
                    Err(TimbreError::Stopped) => return Err(MouthError::Stopped),
                    Err(error) => {
                        tracing::error!(%error, "the asker's timbre cannot be taken on");
                        clone = None;
                        unlike = true;
                    }
                }
            }
            let (mut clause, sound) = said.finish(&items, voice.info.rate);
            clause.unlike = unlike;
            if give(clause, sound).is_break() {
                break;
            }
        }
        Ok(())
    }
}
