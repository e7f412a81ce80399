//! PURE: sounds that are written into a text – `[sighs]`, `*laughs*`, `♪` – for voices that
//! cannot make them: told from the words, and made of breath.
//!
//! A breath is white noise through three resonances of an open mouth (500, 1500 and 2500 Hz,
//! the tube of Fant 1960), swelling and fading. Whatever else stands in brackets is a pause.

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// What is heard where a sound is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sound {
    Sigh,
    Gasp,
    Laugh,
    Breath,
    Cough,
    Pause,
}

/// What a clause consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Word(&'a str),
    /// As it is written, with its brackets.
    Sound(&'a str, Sound),
}

impl<'a> Item<'a> {
    pub(super) fn written(&self) -> &'a str {
        match self {
            Self::Word(text) | Self::Sound(text, _) => text,
        }
    }
}

/// Words, which are parted at spaces, and sounds.
pub(super) fn items(text: &str) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut rest = text;
    while let Some((from, to, sound)) = next(rest) {
        items.extend(rest[..from].split_whitespace().map(Item::Word));
        items.push(Item::Sound(&rest[from..to], sound));
        rest = &rest[to..];
    }
    items.extend(rest.split_whitespace().map(Item::Word));
    items
}

/// The first sound: where it begins, what it ends before, and which one it is.
fn next(text: &str) -> Option<(usize, usize, Sound)> {
    for (from, open) in text.char_indices() {
        let behind = from + open.len_utf8();
        let close = match open {
            '♪' | '♫' => return Some((from, behind, Sound::Pause)),
            '[' => ']',
            '(' => ')',
            '*' => '*',
            _ => continue,
        };
        let Some(length) = text[behind..].find(close) else {
            continue;
        };
        let inside = &text[behind..behind + length];
        let end = behind + length + close.len_utf8();
        let short = inside.split_whitespace().count() <= 2;
        // Square brackets always are a stage direction; others only where they name a sound
        // and nothing else: "(he laughed at me)" is to be read.
        let sound = match (open, named(inside)) {
            ('[', known) => known.unwrap_or(Sound::Pause),
            (_, Some(sound)) if short => sound,
            _ => continue,
        };
        return Some((from, end, sound));
    }
    None
}

/// The sound that words in brackets name, in English, German or Russian.
fn named(inside: &str) -> Option<Sound> {
    let inside = inside.to_lowercase();
    let any = |stems: &[&str]| {
        inside
            .split(|c: char| !c.is_alphabetic())
            .any(|word| stems.iter().any(|stem| word.starts_with(stem)))
    };
    if any(&["sigh", "groan", "seufz", "stöhn", "вздох", "вздых", "стон"]) {
        Some(Sound::Sigh)
    } else if any(&["gasp", "keuch", "ахает"]) {
        Some(Sound::Gasp)
    } else if any(&[
        "laugh",
        "chuckl",
        "giggl",
        "snicker",
        "lach",
        "kicher",
        "смех",
        "смеет",
        "смеёт",
        "хихик",
        "хохо",
    ]) {
        Some(Sound::Laugh)
    } else if any(&[
        "breath",
        "inhal",
        "exhal",
        "whisper",
        "atmet",
        "atmend",
        "atem",
        "flüster",
        "дыш",
        "вдыха",
        "выдыха",
        "выдох",
        "шепч",
        "шепот",
        "шёпот",
    ]) {
        Some(Sound::Breath)
    } else if any(&["cough", "throat", "sniff", "hust", "räusper", "кашл"]) {
        Some(Sound::Cough)
    } else if any(&[
        "pause",
        "silence",
        "music",
        "stille",
        "schweig",
        "musik",
        "пауза",
        "тишин",
        "молч",
        "музык",
    ]) {
        Some(Sound::Pause)
    } else {
        None
    }
}

/// A puff: when it begins and how long it lasts in seconds, how much of that it swells, how
/// loud it is, and how open the mouth is (1 is neutral).
struct Puff(f32, f32, f32, f32, f32);

/// Makes a sound, at so many samples per second. The same sound is the same samples.
pub(super) fn make(sound: Sound, rate: u32) -> Vec<f32> {
    let (length, puffs): (f32, &[Puff]) = match sound {
        Sound::Sigh => (
            1.1,
            &[
                Puff(0.05, 0.3, 0.7, 0.025, 1.15),
                Puff(0.38, 0.65, 0.15, 0.07, 0.85),
            ],
        ),
        Sound::Gasp => (0.5, &[Puff(0.02, 0.32, 0.75, 0.09, 1.3)]),
        Sound::Laugh => (
            1.0,
            &[
                Puff(0.02, 0.14, 0.2, 0.08, 1.1),
                Puff(0.20, 0.13, 0.2, 0.07, 1.1),
                Puff(0.37, 0.12, 0.2, 0.06, 1.05),
                Puff(0.53, 0.12, 0.2, 0.045, 1.0),
                Puff(0.69, 0.16, 0.2, 0.03, 0.95),
            ],
        ),
        Sound::Breath => (0.7, &[Puff(0.05, 0.55, 0.5, 0.04, 1.0)]),
        Sound::Cough => (
            0.6,
            &[
                Puff(0.03, 0.12, 0.08, 0.12, 0.9),
                Puff(0.26, 0.18, 0.08, 0.08, 0.85),
            ],
        ),
        Sound::Pause => (0.6, &[]),
    };
    let rate = rate as f32;
    let mut samples = vec![0.0; (length * rate) as usize];
    let mut noise = StdRng::seed_from_u64(sound as u64 + 1);
    for Puff(start, length, swell, loudness, openness) in puffs {
        let mut mouth = [500.0, 1500.0, 2500.0].map(|f| Resonance::new(f * openness, 180.0, rate));
        let from = (start * rate) as usize;
        let count = (length * rate) as usize;
        let mut puff: Vec<f32> = (0..count)
            .map(|_| {
                let white: f32 = noise.random_range(-1.0..1.0);
                mouth.iter_mut().map(|part| part.next(white)).sum()
            })
            .collect();
        let power = puff.iter().map(|sample| sample * sample).sum::<f32>() / count.max(1) as f32;
        let gain = loudness / power.sqrt().max(1e-9);
        for (at, sample) in puff.iter_mut().enumerate() {
            *sample *= gain * swelling(at as f32 / count as f32, *swell);
        }
        for (sample, puff) in samples[from..].iter_mut().zip(&puff) {
            *sample += puff;
        }
    }
    samples
}

/// Half a cosine up to `swell` of the time, half a cosine down to its end.
fn swelling(at: f32, swell: f32) -> f32 {
    let phase = if at < swell {
        at / swell
    } else {
        (1.0 - at) / (1.0 - swell)
    };
    0.5 - 0.5 * (std::f32::consts::PI * phase).cos()
}

/// A resonance: two poles.
struct Resonance {
    feedback: [f32; 2],
    gain: f32,
    past: [f32; 2],
}

impl Resonance {
    /// At a frequency and with a bandwidth, Hz.
    fn new(frequency: f32, bandwidth: f32, rate: f32) -> Self {
        let radius = (-std::f32::consts::PI * bandwidth / rate).exp();
        let angle = std::f32::consts::TAU * frequency / rate;
        Self {
            feedback: [2.0 * radius * angle.cos(), -radius * radius],
            gain: 1.0 - radius,
            past: [0.0; 2],
        }
    }

    fn next(&mut self, sample: f32) -> f32 {
        let [one, two] = self.past;
        let now = self.gain * sample + self.feedback[0] * one + self.feedback[1] * two;
        self.past = [now, one];
        now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sounds_are_told_from_words() {
        use Item::{Sound as Made, Word};
        assert_eq!(
            items(
                "[sighs] I (laughs) was *never* (once) here. [clears throat][x] ♪ la *lacht leise*"
            ),
            [
                Made("[sighs]", Sound::Sigh),
                Word("I"),
                Made("(laughs)", Sound::Laugh),
                Word("was"),
                Word("*never*"),
                Word("(once)"),
                Word("here."),
                Made("[clears throat]", Sound::Cough),
                Made("[x]", Sound::Pause),
                Made("♪", Sound::Pause),
                Word("la"),
                Made("*lacht leise*", Sound::Laugh),
            ]
        );
    }

    #[test]
    fn every_sound_is_heard_begins_and_ends_softly_and_a_pause_is_silent() {
        for sound in [
            Sound::Sigh,
            Sound::Gasp,
            Sound::Laugh,
            Sound::Breath,
            Sound::Cough,
        ] {
            let samples = make(sound, 24_000);
            let peak = samples.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
            assert!((0.02..0.9).contains(&peak), "{sound:?}: {peak}");
            assert!(samples[0].abs() < 1e-3 && samples[samples.len() - 1].abs() < 1e-3);
            assert_eq!(samples, make(sound, 24_000));
        }
        assert!(
            make(Sound::Pause, 24_000)
                .iter()
                .all(|sample| *sample == 0.0)
        );
    }

    proptest! {
        #[test]
        fn nothing_in_square_brackets_is_a_word(inside in "[a-z ]{0,20}", before in "[a-z ]{0,9}") {
            let text = format!("{before}[{inside}] end");
            for item in items(&text) {
                if let Item::Word(word) = item {
                    prop_assert!(word == "end" || before.contains(word));
                }
            }
        }

        #[test]
        fn what_is_written_is_kept(text in "[a-z*()\\[\\]♪ ]{0,40}") {
            let kept: String = items(&text).iter().map(Item::written).collect();
            let without = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(without(&kept), without(&text));
        }
    }
}
