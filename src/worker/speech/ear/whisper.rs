//! From a sound to its words: whisper's decoding (Radford et al. 2022, section 4.5).
//!
//! The most likely token each time, with times ([`super::timestamps`]); where the outcome
//! looks made up ([`super::hallucination`]), again with dice, ever freer.

use super::{
    EarError,
    decoding::{Decoder, State},
    graphs::{Graphs, MOST_FRAMES, Text},
    hallucination::{self, Signs, Verdict},
    mel::{HOP, MelBank},
    timestamps::Rules,
    tokens::Tokens,
};
use crate::{
    models::EarFiles,
    wire::speech::{HEARING_RATE, Language},
};

/// Frames that are looked at in any case: 10 seconds. Shorter windows make whisper repeat
/// itself, and so does a sound that ends with its window.
const LEAST_FRAMES: usize = 1000;
/// Silence behind the sound, frames: 2 seconds.
const SPARE_FRAMES: usize = 200;
/// How free the dice are at each attempt; whisper's own steps, every other one.
const TEMPERATURES: [f32; 4] = [0.0, 0.4, 0.8, 1.0];
/// Tokens that a text may have, whisper's own limit.
const MOST_TOKENS: usize = 224;
/// Tokens per second of sound that nobody speaks, Russian having the most: about 12.
const TOKENS_PER_SECOND: f32 = 20.0;
/// Tokens that the shortest sound may have.
const LEAST_TOKENS: usize = 16;

/// What was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Understood {
    /// Empty where nothing was said.
    pub(super) text: String,
    pub(super) language: Language,
    /// 0 to 1, among those that were asked for.
    pub(super) certainty: f32,
    /// Whether nothing speaks against it, so that more effort would change nothing.
    pub(super) sure: bool,
}

/// How much trouble may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// One attempt: what is doubtful is told as it is.
    Once,
    /// Again with dice where the outcome is doubtful.
    Best,
}

/// A whisper model.
pub(super) struct Whisper {
    graphs: Graphs,
    pub(super) tokens: Tokens,
    mel: MelBank,
}

/// An attempt.
struct Attempt {
    text: String,
    signs: Signs,
}

impl Whisper {
    pub(super) fn open(files: &EarFiles, threads: usize) -> Result<Self, EarError> {
        let graphs = Graphs::open(&files.runtime.path, &files.graphs, threads)?;
        Ok(Self {
            tokens: Tokens::open(files, graphs.vocabulary)?,
            mel: MelBank::new(graphs.bands),
            graphs,
        })
    }

    /// Understands a sound (−1 to 1, at [`HEARING_RATE`]) in one of these languages, of
    /// which there is at least one. `cancelled` is asked before each step.
    pub(super) fn understand(
        &mut self,
        sound: &[f32],
        languages: &[Language],
        effort: Effort,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Understood, EarError> {
        let candidates = languages
            .iter()
            .map(|language| {
                let token = self.tokens.language(language);
                let token = token.ok_or_else(|| EarError::Language(language.clone()))?;
                Ok((language, token))
            })
            .collect::<Result<Vec<_>, EarError>>()?;
        let frames = self.frames(sound.len());
        let seconds = sound.len() as f32 / HEARING_RATE as f32;
        check(cancelled)?;
        let spectrogram = self.mel.spectrogram(sound, frames);
        let encoded = self.graphs.encode(spectrogram, frames)?;
        check(cancelled)?;

        let (text, first) = self
            .graphs
            .decode(&encoded, &Text::default(), &[self.tokens.start])?;
        let no_speech = softmax(&first)[self.tokens.no_speech as usize];
        let (language, token, certainty) = likeliest(&first, &candidates)?;
        let prompt = [token, self.tokens.transcribe];
        let (text, logits) = self.graphs.decode(&encoded, &text, &prompt)?;
        let start = State { text, logits };
        let mut decoder = Decoder {
            graphs: &mut self.graphs,
            tokens: &self.tokens,
            sound: &encoded,
            rules: Rules::new(self.tokens.end, self.tokens.first_time, seconds),
            limit: limit(seconds),
            cancelled,
        };
        let (mut best, mut sure): (Option<Attempt>, bool) = (None, false);
        let temperatures = match effort {
            Effort::Once => &TEMPERATURES[..1],
            Effort::Best => &TEMPERATURES,
        };
        for temperature in temperatures {
            let written = decoder.write(start.clone(), *temperature)?;
            let attempt = Attempt {
                text: self.tokens.text(&written.tokens)?,
                signs: Signs {
                    log_probability: written.log_probability,
                    no_speech,
                    seconds,
                },
            };
            let verdict = match written.round {
                true => Verdict::MadeUp,
                false => hallucination::judge(&attempt.text, attempt.signs),
            };
            tracing::debug!(?verdict, temperature, ?attempt.signs, "understood");
            match verdict {
                Verdict::Heard => {
                    (best, sure) = (Some(attempt), true);
                    break;
                }
                Verdict::Silence => {
                    (best, sure) = (None, true);
                    break;
                }
                Verdict::Doubtful => {
                    let likelier = |other: &Attempt| {
                        attempt.signs.log_probability > other.signs.log_probability
                    };
                    if best.as_ref().is_none_or(likelier) {
                        best = Some(attempt);
                    }
                }
                Verdict::MadeUp => {}
            }
        }
        Ok(Understood {
            text: best.map(|attempt| attempt.text).unwrap_or_default(),
            language: language.clone(),
            certainty,
            sure,
        })
    }

    /// Frames to look at for a sound of so many samples.
    fn frames(&self, samples: usize) -> usize {
        match self.graphs.elastic {
            true => window(samples),
            false => MOST_FRAMES,
        }
    }
}

/// Frames to look at for a sound of so many samples: an even number of them.
fn window(samples: usize) -> usize {
    let frames = samples.div_ceil(HOP) + SPARE_FRAMES;
    frames.clamp(LEAST_FRAMES, MOST_FRAMES).next_multiple_of(2)
}

/// Tokens that a sound of so many seconds may have.
fn limit(seconds: f32) -> usize {
    (LEAST_TOKENS + (seconds * TOKENS_PER_SECOND) as usize).min(MOST_TOKENS)
}

fn check(cancelled: &dyn Fn() -> bool) -> Result<(), EarError> {
    match cancelled() {
        true => Err(EarError::Cancelled),
        false => Ok(()),
    }
}

/// The likeliest of the candidates by the logits after the start, and how likely it is
/// among them.
fn likeliest<'a>(
    logits: &[f32],
    candidates: &[(&'a Language, u32)],
) -> Result<(&'a Language, u32, f32), EarError> {
    let asked: Vec<f32> = candidates
        .iter()
        .map(|(_, token)| logits[*token as usize])
        .collect();
    let probabilities = softmax(&asked);
    candidates
        .iter()
        .zip(probabilities)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|((language, token), certainty)| (*language, *token, certainty))
        .ok_or(EarError::NoLanguage)
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut shares: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f32 = shares.iter().sum();
    for share in &mut shares {
        *share /= sum;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_ten_seconds_or_two_more_than_the_sound_and_never_above_thirty() {
        let seconds = |seconds: usize| window(seconds * HEARING_RATE as usize);
        assert_eq!((seconds(0), seconds(1), seconds(8)), (1000, 1000, 1000));
        assert_eq!((seconds(9), seconds(20)), (1100, 2200));
        assert_eq!((seconds(29), seconds(60)), (3000, 3000));
        assert!(
            (0..480_000)
                .step_by(997)
                .all(|it| window(it).is_multiple_of(2))
        );
    }

    #[test]
    fn only_the_languages_that_were_asked_for_are_weighed() {
        let (en, de, ru) = (
            Language("en".into()),
            Language("de".into()),
            Language("ru".into()),
        );
        let logits = [9.0, 1.0, 2.0, 0.0];
        let (found, token, certainty) =
            likeliest(&logits, &[(&en, 1), (&de, 2), (&ru, 3)]).unwrap();
        assert_eq!((found, token), (&de, 2));
        assert!((certainty - 0.665).abs() < 0.001, "{certainty}");
        let (found, _, certainty) = likeliest(&logits, &[(&en, 1)]).unwrap();
        assert_eq!((found, certainty), (&en, 1.0));
        assert!(matches!(likeliest(&logits, &[]), Err(EarError::NoLanguage)));
    }
}
