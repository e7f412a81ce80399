//! A voice: what makes its sound, and how it speaks by itself.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use super::{
    MouthError, MouthSettings, VoiceFiles,
    clauses::Lengths,
    english::English,
    espeak::{Espeak, EspeakError},
    foreign,
    graph::Graph,
    hibari,
    hibari::Hibari,
    kokoro,
    kokoro::{Kokoro, Reader},
    like::Change,
    own, pico,
    pico::Pico,
    piper::Piper,
    said::Said,
    sounds,
    sounds::Item,
    stop::Stopper,
    timing,
    timing::Unit,
};
use crate::wire::speech::{Language, VoiceInfo, VoicePrint};

/// Samples per second of espeak-ng.
const ESPEAK_RATE: u32 = 22_050;

/// How long clauses are for voices that are slower: the first sound is to come soon.
const SLOW: Lengths = Lengths {
    first: 20,
    soft: 45,
    hard: 120,
};

/// Somebody who speaks.
pub(super) struct Voice {
    pub(super) info: VoiceInfo,
    /// How it speaks by itself; a voice that cannot be measured is never changed.
    own: Option<VoicePrint>,
    pub(super) lengths: Lengths,
    organ: Organ,
}

/// What makes the sound.
enum Organ {
    Hibari(Box<Hibari>),
    Kokoro(Box<Kokoro>),
    Pico(Pico),
    Piper(Box<Piper>),
    /// espeak-ng itself, with its name of the language.
    Espeak(Espeak, String),
}

/// Opens voices that share what they can.
pub(super) struct Opener<'a> {
    settings: &'a MouthSettings,
    stopper: Stopper,
    english: HashMap<PathBuf, Arc<English>>,
    kokoro: HashMap<PathBuf, Arc<Mutex<Graph>>>,
}

impl<'a> Opener<'a> {
    pub(super) fn new(settings: &'a MouthSettings, stopper: Stopper) -> Self {
        Self {
            settings,
            stopper,
            english: HashMap::new(),
            kokoro: HashMap::new(),
        }
    }

    /// Opens a voice.
    ///
    /// # Errors
    /// When a file or the library cannot be used, or espeak-ng is needed and not here.
    pub(super) fn open(&mut self, files: &VoiceFiles) -> Result<Voice, MouthError> {
        let MouthSettings {
            library, threads, ..
        } = self.settings;
        let mut voice = match files {
            VoiceFiles::Hibari {
                name,
                model,
                unknown_words,
            } => {
                let english = self.english(unknown_words)?;
                let voice = Hibari::open(library, model, *threads, english, &self.stopper)?;
                Voice {
                    info: info(name, &Language("en".into()), hibari::RATE),
                    own: None,
                    lengths: Lengths::default(),
                    organ: Organ::Hibari(Box::new(voice)),
                }
            }
            VoiceFiles::Kokoro {
                name,
                language,
                model,
                styles,
                unknown_words,
            } => {
                let reader = match (language.0.as_str(), unknown_words) {
                    ("en", Some(network)) => Reader::English(self.english(network)?),
                    ("de", _) => Reader::Foreign(self.espeak()?, "de".into()),
                    _ => return Err(MouthError::NoVoice(language.0.clone())),
                };
                let voice = Kokoro::new(self.kokoro(model)?, styles, reader)?;
                Voice {
                    info: info(name, language, kokoro::RATE),
                    own: None,
                    lengths: SLOW,
                    organ: Organ::Kokoro(Box::new(voice)),
                }
            }
            VoiceFiles::Pico {
                name,
                language,
                library,
                lingware: [analysis, signal],
            } => {
                let lingware = [analysis.as_path(), signal.as_path()];
                let voice = Pico::open(library, lingware, &language.0, self.stopper.clone())?;
                Voice {
                    info: info(name, language, pico::RATE),
                    own: None,
                    lengths: pico::WHOLE,
                    organ: Organ::Pico(voice),
                }
            }
            VoiceFiles::Piper {
                name,
                language,
                model,
                config,
            } => {
                let voice = Piper::open(
                    library,
                    model,
                    config,
                    *threads,
                    (self.espeak()?, &self.stopper),
                )?;
                Voice {
                    info: info(name, language, voice.rate()),
                    own: None,
                    lengths: Lengths::default(),
                    organ: Organ::Piper(Box::new(voice)),
                }
            }
        };
        voice.learn()?;
        Ok(voice)
    }

    /// espeak-ng's own voice for a language.
    ///
    /// # Errors
    /// When espeak-ng is not here, or does not know the language.
    pub(super) fn espeak_voice(&self, language: &Language) -> Result<Voice, MouthError> {
        let espeak = self.espeak()?;
        let names = espeak.languages()?;
        let fits = |name: &&String| name.split('-').next() == Some(language.0.as_str());
        let name = match language.0.as_str() {
            "en" => Some("en-us".to_owned()),
            plain if names.iter().any(|name| name == plain) => Some(plain.to_owned()),
            _ => names.iter().find(fits).cloned(),
        };
        let name = name.ok_or_else(|| MouthError::NoVoice(language.0.clone()))?;
        let mut voice = Voice {
            info: info(&format!("espeak-{}", language.0), language, ESPEAK_RATE),
            own: None,
            lengths: Lengths::default(),
            organ: Organ::Espeak(espeak, name),
        };
        voice.learn()?;
        Ok(voice)
    }

    fn espeak(&self) -> Result<Espeak, EspeakError> {
        Espeak::find(self.settings.espeak.as_deref(), self.stopper.clone())
    }

    fn english(&mut self, network: &PathBuf) -> Result<Arc<English>, MouthError> {
        if let Some(english) = self.english.get(network) {
            return Ok(Arc::clone(english));
        }
        let graph = Graph::open(&self.settings.library, network, 1, None, &self.stopper)?;
        let english = Arc::new(English::new(graph));
        self.english.insert(network.clone(), Arc::clone(&english));
        Ok(english)
    }

    fn kokoro(&mut self, model: &PathBuf) -> Result<Arc<Mutex<Graph>>, MouthError> {
        if let Some(graph) = self.kokoro.get(model) {
            return Ok(Arc::clone(graph));
        }
        let MouthSettings {
            library, threads, ..
        } = self.settings;
        let graph = Arc::new(Mutex::new(Kokoro::graph(
            library,
            model,
            *threads,
            &self.stopper,
        )?));
        self.kokoro.insert(model.clone(), Arc::clone(&graph));
        Ok(graph)
    }
}

fn info(name: &str, language: &Language, rate: u32) -> VoiceInfo {
    VoiceInfo {
        name: name.to_owned(),
        language: language.clone(),
        rate,
    }
}

impl Voice {
    /// Has it say something, to know how it speaks. Its first words afterwards are as fast as
    /// all others: a network's first run is slow.
    fn learn(&mut self) -> Result<(), MouthError> {
        let text = own::sample_text(&self.info.language);
        let said = self.say(&sounds::items(text), &Change::default())?;
        let own = own::print_of(&said.samples, self.info.rate);
        self.own = match &self.organ {
            Organ::Pico(_) => own.map(|own| VoicePrint {
                tilt: pico::TILT,
                ..own
            }),
            _ => own,
        };
        Ok(())
    }

    /// What takes it towards an asker.
    pub(super) fn change_towards(&self, like: Option<&VoicePrint>) -> Change {
        match (like, &self.own) {
            (Some(like), Some(own)) => Change::towards(like, own),
            _ => Change::default(),
        }
    }

    /// Says the words between sounds one run after the other, and makes the sounds.
    ///
    /// # Errors
    /// When the voice fails or is stopped.
    pub(super) fn say(&mut self, items: &[Item<'_>], change: &Change) -> Result<Said, MouthError> {
        let mut whole = Said::default();
        let mut at = 0;
        while at < items.len() {
            if let Item::Sound(_, sound) = items[at] {
                let samples = sounds::make(sound, self.info.rate);
                let units = vec![Unit {
                    word: Some(0),
                    length: 1.0,
                }];
                whole.append(Said { samples, units }, at);
                at += 1;
                continue;
            }
            let words: Vec<&str> = items[at..]
                .iter()
                .map_while(|item| match item {
                    Item::Word(word) => Some(*word),
                    Item::Sound(..) => None,
                })
                .collect();
            whole.append(self.run(&words, change)?, at);
            at += words.len();
        }
        Ok(whole)
    }

    /// Says words. What a voice cannot change by itself is changed in its sound.
    fn run(&mut self, words: &[&str], change: &Change) -> Result<Said, MouthError> {
        let at_own_tempo = Change {
            tempo: 1.0,
            ..*change
        };
        let (said, left) = match &mut self.organ {
            Organ::Hibari(voice) => return voice.say(words, change),
            Organ::Kokoro(voice) => (voice.say(words, change.tempo)?, at_own_tempo),
            Organ::Pico(voice) => (voice.say(words, change.tempo)?, at_own_tempo),
            Organ::Piper(voice) => (voice.say(words, change.tempo)?, at_own_tempo),
            Organ::Espeak(program, voice) => (by_espeak(program, voice, words)?, *change),
        };
        let rate = self.info.rate;
        Ok(Said {
            samples: left.bend_sound(said.samples, rate),
            units: said.units,
        })
    }
}

/// espeak-ng's own sound. It tells no durations: they are guessed.
fn by_espeak(espeak: &Espeak, voice: &str, words: &[&str]) -> Result<Said, MouthError> {
    let read = foreign::read(words, voice);
    let read: Vec<&str> = read.iter().map(|(word, _)| word.as_str()).collect();
    let text = read.join(" ");
    if !text.contains(char::is_alphanumeric) {
        return Ok(Said::default());
    }
    let (samples, rate) = espeak.sound(&text, voice)?;
    if rate != ESPEAK_RATE {
        let problem = format!("it speaks at {rate} instead of {ESPEAK_RATE} samples a second");
        return Err(EspeakError::Failed(problem).into());
    }
    Ok(Said {
        samples,
        units: timing::guess(words),
    })
}
