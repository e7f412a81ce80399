//! PURE: what a voice said of a clause, and how it is sent.

use super::{sounds::Item, timing, timing::Unit};
use crate::wire::speech::Clause;

/// What a clause that has no sound takes, seconds.
const PAUSE: f32 = 0.3;

/// Of the silence before the very first word so much is left, seconds: who waits for an
/// answer waits for its first sound.
const LEAD: f32 = 0.03;

/// Below this a sample is silence.
const SILENCE: f32 = 0.004;

/// What was said: sound between -1 and 1, and which part of it is whose, in any measure.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) samples: Vec<f32>,
    pub(super) units: Vec<Unit>,
}

impl Said {
    /// Adds what was said of the words from `first` on, in samples instead of its own measure.
    pub(super) fn append(&mut self, other: Self, first: usize) {
        let total: f32 = other.units.iter().map(|unit| unit.length).sum();
        let scale = other.samples.len() as f32 / total.max(f32::MIN_POSITIVE);
        self.units.extend(other.units.iter().map(|unit| Unit {
            word: unit.word.map(|word| word + first),
            length: unit.length * scale,
        }));
        self.samples.extend(other.samples);
    }

    /// Cuts the silence before the first sound. Units are in samples by now.
    pub(super) fn cut_lead(&mut self, rate: u32) {
        let begins = self.samples.iter().position(|s| s.abs() > SILENCE);
        let keep = (LEAD * rate as f32) as usize;
        let cut = begins.unwrap_or(0).saturating_sub(keep);
        self.samples.drain(..cut);
        let mut left = cut as f32;
        for unit in &mut self.units {
            let taken = unit.length.min(left);
            unit.length -= taken;
            left -= taken;
        }
    }

    /// What is sent: words with their times, and samples of 16 bits.
    pub(super) fn finish(mut self, items: &[Item<'_>], rate: u32) -> (Clause, Vec<i16>) {
        if self.samples.is_empty() {
            self.samples = vec![0.0; (PAUSE * rate as f32) as usize];
        }
        let peak = self
            .samples
            .iter()
            .fold(0.0_f32, |peak, s| peak.max(s.abs()));
        let gain = if peak > 0.98 { 0.98 / peak } else { 1.0 };
        let sound: Vec<i16> = self
            .samples
            .iter()
            .map(|sample| (sample * gain * f32::from(i16::MAX)) as i16)
            .collect();
        let words: Vec<&str> = items.iter().map(Item::written).collect();
        let samples = u32::try_from(sound.len()).unwrap_or(u32::MAX);
        let clause = Clause {
            words: timing::place(&words, &self.units, samples),
            samples,
            unlike: false,
        };
        (clause, sound)
    }
}
