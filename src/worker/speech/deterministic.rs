//! A toy that listens and speaks without models: for tests and benches of everything around.
//!
//! Sound that [`spell`] made is understood as the text that it spells; any other sound as a
//! remark about its length. Texts are said as tones, a word each, with exact times.

use std::{ops::ControlFlow, thread, time::Duration};

use super::{Ears, Interpreter, Mouth, SpeechError};
use crate::{
    wire::speech::{
        Clause, HEARING_RATE, Language, Listen, Speak, SpeechRefusal, SpokenWord, Transcript,
        Translate, VoiceInfo, VoicePrint,
    },
    worker::deterministic,
};

/// What the toy is called, as that of texts is; `deterministic:20ms` takes that long over each
/// clause.
pub use deterministic::NAME;

/// Samples that one byte of text is spelt with.
const PER_BYTE: usize = 160;

/// How far two bytes are apart, so that resampled silence is no text.
const STEP: i16 = 64;

/// Samples per second of the voice.
pub const RATE: u32 = 16_000;

/// Samples that a character of a word sounds, and a pause between words.
const PER_CHARACTER: u32 = 480;
const PAUSE: u32 = 160;

/// What a clause ends with.
const CLAUSE_ENDS: [char; 6] = [',', '.', ';', ':', '!', '?'];

/// Sound that [`Deterministic`] understands as `text`: each byte of its UTF-8 is 10 ms of one
/// value.
pub fn spell(text: &str) -> Vec<i16> {
    let value = |byte: u8| (i16::from(byte) + 1) * STEP;
    text.bytes()
        .flat_map(|byte| std::iter::repeat_n(value(byte), PER_BYTE))
        .collect()
}

fn read(samples: &[i16]) -> Option<String> {
    let bytes: Option<Vec<u8>> = samples
        .chunks_exact(PER_BYTE)
        .map(|chunk| chunk[PER_BYTE / 2])
        .filter(|value| *value != 0)
        .map(|value| {
            let byte = (value % STEP == 0).then(|| value / STEP - 1)?;
            u8::try_from(byte).ok()
        })
        .collect();
    String::from_utf8(bytes?).ok()
}

/// The toy.
#[derive(Clone, Copy, Debug)]
pub struct Deterministic {
    delay: Duration,
}

impl Deterministic {
    pub fn new(delay: Duration) -> Self {
        Self { delay }
    }

    /// How long the toy of that name takes over a clause; `None` if it is another engine's.
    pub fn delay_of(name: &str) -> Option<Duration> {
        deterministic::Deterministic::delay_of(name)
    }
}

fn languages() -> Vec<Language> {
    ["en", "de", "ru"].map(|code| Language(code.into())).into()
}

/// Of the languages that were asked for: Russian by its letters, German by its own, else the
/// first.
fn language_of(text: &str, asked: &[Language]) -> Language {
    let guess = if text.chars().any(|c| ('а'..='я').contains(&c)) {
        "ru"
    } else if text.contains(['ä', 'ö', 'ü', 'ß']) {
        "de"
    } else {
        "en"
    };
    asked
        .iter()
        .find(|language| language.0 == guess)
        .or(asked.first())
        .cloned()
        .unwrap_or_else(|| Language(guess.into()))
}

/// The sound so far, and what was asked.
#[derive(Debug)]
pub struct Sound {
    request: Listen,
    samples: Vec<i16>,
}

impl Sound {
    fn text(&self) -> String {
        if self.samples.iter().all(|sample| *sample == 0) {
            return String::new();
        }
        read(&self.samples).unwrap_or_else(|| {
            let millis = self.samples.len() * 1000 / HEARING_RATE as usize;
            format!("I heard {millis} milliseconds")
        })
    }
}

impl Ears for Deterministic {
    type Listening = Sound;

    fn languages(&self) -> Vec<Language> {
        languages()
    }

    fn listen(&mut self, request: &Listen) -> Result<Sound, SpeechError> {
        let known = languages();
        if let Some(strange) = request.languages.iter().find(|one| !known.contains(one)) {
            let language = strange.0.clone();
            return Err(SpeechRefusal::NoEar { language }.into());
        }
        Ok(Sound {
            request: request.clone(),
            samples: Vec::new(),
        })
    }

    fn push(&mut self, listening: &mut Sound, samples: &[i16]) -> Result<(), SpeechError> {
        listening.samples.extend_from_slice(samples);
        Ok(())
    }

    fn partial(&mut self, listening: &mut Sound) -> Result<Option<String>, SpeechError> {
        Ok(Some(listening.text()))
    }

    fn finish(&mut self, listening: Sound) -> Result<Transcript, SpeechError> {
        thread::sleep(self.delay);
        let text = listening.text();
        let millis = listening.samples.len() * 1000 / HEARING_RATE as usize;
        Ok(Transcript {
            language: language_of(&text, &listening.request.languages),
            certainty: 1.0,
            duration_ms: u32::try_from(millis).unwrap_or(u32::MAX),
            print: (!text.is_empty()).then(|| VoicePrint {
                pitch_hz: 100.0 + (text.len() % 200) as f32,
                range_semitones: 6.0,
                tempo: 4.0,
                tilt: -9.0,
                timbre: None,
            }),
            text,
        })
    }
}

impl Mouth for Deterministic {
    fn voices(&self) -> Vec<VoiceInfo> {
        languages()
            .into_iter()
            .map(|language| VoiceInfo {
                name: format!("{NAME}-{}", language.0),
                language,
                rate: RATE,
            })
            .collect()
    }

    fn speak(
        &mut self,
        request: &Speak,
        say: &mut dyn FnMut(Clause, Vec<i16>) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        let voices = self.voices();
        if let Some(voice) = &request.voice
            && !voices.iter().any(|known| known.name == *voice)
        {
            let voice = voice.clone();
            return Err(SpeechRefusal::UnknownVoice { voice }.into());
        }
        if !voices.iter().any(|one| one.language == request.language) {
            let language = request.language.0.clone();
            return Err(SpeechRefusal::NoVoice { language }.into());
        }
        let pitch = request.like.as_ref().map_or(220.0, |print| print.pitch_hz);
        let words: Vec<&str> = request.text.split_whitespace().collect();
        for words in words.split_inclusive(|word| word.ends_with(CLAUSE_ENDS)) {
            thread::sleep(self.delay);
            let (clause, sound) = tones(words, pitch);
            if say(clause, sound).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A tone for each word, as long as its letters take.
fn tones(words: &[&str], pitch: f32) -> (Clause, Vec<i16>) {
    let mut sound = Vec::new();
    let mut at = 0;
    let words = words.iter().map(|word| {
        let from = at;
        let length = u32::try_from(word.chars().count()).unwrap_or(u32::MAX);
        at += length * PER_CHARACTER;
        sound.extend((from..at).map(|sample| {
            let turns = sample as f32 * pitch / RATE as f32;
            ((turns * std::f32::consts::TAU).sin() * 8000.0) as i16
        }));
        let spoken = SpokenWord {
            text: (*word).to_owned(),
            from,
            to: at,
        };
        sound.extend(std::iter::repeat_n(0, PAUSE as usize));
        at += PAUSE;
        spoken
    });
    let words = words.collect();
    let clause = Clause {
        words,
        samples: at,
        unlike: false,
    };
    (clause, sound)
}

impl Interpreter for Deterministic {
    fn pairs(&self) -> Vec<(Language, Language)> {
        let all = languages();
        let to_others = |from: &Language| {
            let from = from.clone();
            let others = languages().into_iter().filter(move |to| {
                let from = from.clone();
                *to != from
            });
            others.collect::<Vec<_>>()
        };
        all.iter()
            .flat_map(|from| to_others(from).into_iter().map(|to| (from.clone(), to)))
            .collect()
    }

    fn translate(
        &mut self,
        request: &Translate,
        _: &dyn Fn() -> bool,
    ) -> Result<String, SpeechError> {
        thread::sleep(self.delay);
        Ok(format!("{} in {}", request.text, request.to.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_spelt_is_understood_whatever_silence_is_around(text in "[a-zäа-я ,.?]{1,40}", before in 0usize..5) {
            let mut toy = Deterministic::new(Duration::ZERO);
            let mut listening = toy.listen(&Listen { languages: languages(), partials: false }).expect("it listens");
            toy.push(&mut listening, &vec![0; before * PER_BYTE]).expect("it hears");
            toy.push(&mut listening, &spell(&text)).expect("it hears");
            prop_assert_eq!(toy.finish(listening).expect("a transcript").text, text);
        }

        #[test]
        fn words_follow_each_other_within_their_clause(text in "([a-z]{1,5}[ ,.]){1,12}") {
            let mut toy = Deterministic::new(Duration::ZERO);
            let request = Speak { text: text.clone(), language: Language("en".into()), voice: None, like: None };
            let mut said = Vec::new();
            toy.speak(&request, &mut |clause, sound| {
                assert_eq!(clause.samples as usize, sound.len());
                let mut at = 0;
                for word in clause.words {
                    assert!(word.from >= at && word.to > word.from && word.to <= clause.samples);
                    at = word.to;
                    said.push(word.text);
                }
                ControlFlow::Continue(())
            }).expect("it speaks");
            let without = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(without(&said.concat()), without(&text));
        }
    }
}
