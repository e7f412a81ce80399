//! PURE: the asker's way of speaking, carried onto a voice.
//!
//! What is carried over: the median of the fundamental frequency, how far it ranges, the
//! tempo, and the tilt of the spectrum, each within bounds in which a voice stays one.

mod overlap;
pub(super) mod pitch;

use crate::wire::speech::VoicePrint;

/// How a voice is to differ from itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// The voice's own median fundamental frequency, Hz.
    pub(super) centre: f32,
    /// Of the fundamental frequency: 2 is an octave up.
    pub(super) pitch: f32,
    /// Of the distances from the median, in octaves: 2 is twice as lively.
    pub(super) range: f32,
    /// 2 is twice as fast.
    pub(super) tempo: f32,
    /// Added to the slope of the spectrum, dB per octave.
    pub(super) tilt: f32,
}

impl Default for Change {
    /// None.
    fn default() -> Self {
        Self {
            centre: 150.0,
            pitch: 1.0,
            range: 1.0,
            tempo: 1.0,
            tilt: 0.0,
        }
    }
}

/// As far as each may go.
const PITCH: (f32, f32) = (0.6, 1.6);
const RANGE: (f32, f32) = (0.5, 1.8);
const TEMPO: (f32, f32) = (0.75, 1.35);
const TILT: (f32, f32) = (-6.0, 6.0);

/// Where the tilt turns, Hz, and between which frequencies it goes on.
const PIVOT: f32 = 1000.0;
const TILTED: (f32, f32) = (150.0, 7000.0);

/// Below this a frame has no voice, Hz.
const VOICELESS: f32 = 40.0;

impl Change {
    /// What takes a voice of its `own` print to the asker's; nothing of what was not measured.
    pub(super) fn towards(like: &VoicePrint, own: &VoicePrint) -> Self {
        let ratio = |asked: f32, own: f32, (least, most): (f32, f32)| {
            let ratio = asked / own;
            if asked > 0.0 && own > 0.0 && ratio.is_finite() {
                ratio.clamp(least, most)
            } else {
                1.0
            }
        };
        let tilt = like.tilt - own.tilt;
        Self {
            centre: own.pitch_hz,
            pitch: ratio(like.pitch_hz, own.pitch_hz, PITCH),
            range: ratio(like.range_semitones, own.range_semitones, RANGE),
            tempo: ratio(like.tempo, own.tempo, TEMPO),
            tilt: if tilt.is_finite() {
                tilt.clamp(TILT.0, TILT.1)
            } else {
                0.0
            },
        }
    }

    /// What a fundamental frequency becomes, Hz; what has no voice stays so.
    pub(super) fn pitch_of(&self, f0: f32) -> f32 {
        if f0 <= VOICELESS {
            return f0;
        }
        (self.centre * self.pitch * (f0 / self.centre).powf(self.range)).clamp(50.0, 900.0)
    }

    /// [`Self::pitch_of`] for every frame.
    pub(super) fn bend(&self, f0: &mut [f32]) {
        for f0 in f0 {
            *f0 = self.pitch_of(*f0);
        }
    }

    /// Factors for so many frequencies, the last of which is `highest`.
    pub(super) fn gains(&self, bins: usize, highest: f32) -> Vec<f32> {
        (0..bins)
            .map(|bin| {
                let frequency = highest * bin as f32 / (bins - 1) as f32;
                let octaves = (frequency.clamp(TILTED.0, TILTED.1) / PIVOT).log2();
                10.0_f32.powf(self.tilt * octaves / 20.0)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
