//! PURE: pitch and tempo of sound that is there already, without touching its resonances:
//! time-domain pitch-synchronous overlap and add (Moulines and Charpentier 1990).
//!
//! A piece of two periods is cut out around every mark and laid down again, nearer or farther
//! for another pitch, repeated or left out for another tempo.

use super::{
    super::spectrum::{BINS, Frames, HOP},
    Change,
    pitch::{self, Mark},
};

/// How far pieces lie apart where there is no voice, seconds.
const UNVOICED: f64 = 0.005;

/// The longest piece to either side of its mark, seconds.
const LONGEST: f32 = 0.02;

impl Change {
    /// Whether it leaves a sound as it is.
    pub(in super::super) fn is_none(&self) -> bool {
        self.pitch == 1.0 && self.range == 1.0 && self.tempo == 1.0 && self.tilt == 0.0
    }

    /// Changes a sound.
    pub(in super::super) fn bend_sound(&self, samples: Vec<f32>, rate: u32) -> Vec<f32> {
        if self.is_none() {
            return samples;
        }
        let still = self.pitch == 1.0 && self.range == 1.0 && self.tempo == 1.0;
        let moved = if still {
            samples
        } else {
            self.overlap(&samples, rate)
        };
        if self.tilt == 0.0 {
            return moved;
        }
        let gains = self.gains(BINS, rate as f32 / 2.0);
        let frames = moved.len().div_ceil(HOP);
        let mut tilted = Frames::new().through(&moved, frames, |_, bins| {
            for (bin, gain) in bins.iter_mut().zip(&gains) {
                // The transform is scaled for unit cosines.
                *bin *= gain * HOP as f32;
            }
        });
        tilted.truncate(moved.len());
        tilted
    }

    fn overlap(&self, samples: &[f32], rate: u32) -> Vec<f32> {
        let f0 = pitch::track(samples, rate);
        let marks = pitch::marks(samples, rate, &f0);
        let length = (samples.len() as f64 / f64::from(self.tempo)).round() as usize;
        let mut out = vec![0.0_f32; length];
        let mut weights = vec![0.0_f32; length];
        let longest = (LONGEST * rate as f32) as usize;
        let mut at = 0.0_f64;
        let mut index = 0;
        let mut former = None;
        while (at as usize) < length && !marks.is_empty() {
            let wanted = at * f64::from(self.tempo);
            index = nearest(&marks, index, wanted);
            let mark = marks[index];
            let left = index
                .checked_sub(1)
                .map_or(longest, |i| mark.at - marks[i].at);
            let right = marks
                .get(index + 1)
                .map_or(longest, |next| next.at - mark.at);
            let piece = Piece {
                mark: mark.at,
                left: left.clamp(1, longest),
                right: right.clamp(1, longest),
                // The same noise twice is a tone: the second time it is laid down backwards.
                backwards: mark.f0 <= 0.0 && former == Some(index),
            };
            piece.lay(samples, at.round() as usize, &mut out, &mut weights);
            former = if piece.backwards { None } else { Some(index) };
            at += if mark.f0 > 0.0 {
                f64::from(rate) / f64::from(self.pitch_of(mark.f0))
            } else {
                UNVOICED * f64::from(rate)
            };
        }
        for (sample, weight) in out.iter_mut().zip(&weights) {
            *sample /= weight.max(1.0);
        }
        out
    }
}

/// The mark nearest to a place, from the one before on.
fn nearest(marks: &[Mark], from: usize, place: f64) -> usize {
    let away = |index: usize| (marks[index].at as f64 - place).abs();
    let mut index = from;
    while index + 1 < marks.len() && away(index + 1) <= away(index) {
        index += 1;
    }
    index
}

struct Piece {
    mark: usize,
    left: usize,
    right: usize,
    backwards: bool,
}

impl Piece {
    /// Adds the piece around a place, under half a cosine to either side.
    fn lay(&self, samples: &[f32], place: usize, out: &mut [f32], weights: &mut [f32]) {
        let (before, behind) = if self.backwards {
            (self.right, self.left)
        } else {
            (self.left, self.right)
        };
        for offset in -(before as isize)..behind as isize {
            let side = if offset < 0 { before } else { behind };
            let away = offset.unsigned_abs() as f32 / side as f32;
            let weight = 0.5 + 0.5 * (std::f32::consts::PI * away).cos();
            let from = if self.backwards { -offset } else { offset };
            let source = self.mark.checked_add_signed(from);
            let target = place.checked_add_signed(offset);
            let (Some(source), Some(target)) = (source, target) else {
                continue;
            };
            if let (Some(sample), Some(sum), Some(total)) = (
                samples.get(source),
                out.get_mut(target),
                weights.get_mut(target),
            ) {
                *sum += sample * weight;
                *total += weight;
            }
        }
    }
}
