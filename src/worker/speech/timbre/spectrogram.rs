//! PURE: the spectrogram that OpenVoice's networks read: magnitudes of short-time Fourier
//! transforms over 1024 samples at 22,050 a second, 256 apart, under Hann's periodic window. The
//! sound is mirrored by (1024 - 256) / 2 samples at both ends, and a magnitude is
//! √(re² + im² + 10⁻⁶), neither scaled nor logarithmic: `spectrogram_torch` of
//! `mel_processing.py` in OpenVoice (MIT), as VITS has it (Kim et al. 2021).

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

/// Samples per second of what is read and written.
pub(super) const RATE: u32 = 22_050;
/// Samples of a frame, and from one to the next.
const FRAME: usize = 1024;
pub(super) const HOP: usize = 256;
/// Frequencies of a frame.
pub(super) const BINS: usize = FRAME / 2 + 1;
/// Samples that are mirrored at each end.
const MIRRORED: usize = (FRAME - HOP) / 2;
/// Frames that a sound has at least: 0.37 s.
const LEAST: usize = 32;
const FLOOR: f32 = 1e-6;

/// Makes spectrograms.
pub(super) struct Spectrograph {
    forward: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
}

/// Magnitudes, frame by frame.
pub(super) struct Spectrogram {
    magnitudes: Vec<f32>,
}

impl Spectrograph {
    pub(super) fn new() -> Self {
        let turn = std::f32::consts::TAU / FRAME as f32;
        Self {
            forward: RealFftPlanner::new().plan_fft_forward(FRAME),
            window: (0..FRAME)
                .map(|at| 0.5 - 0.5 * (turn * at as f32).cos())
                .collect(),
        }
    }

    /// Of a sound at [`RATE`]: a frame for every [`HOP`] samples begun, at least [`LEAST`].
    /// What is missing is silence.
    pub(super) fn of(&self, sound: &[f32]) -> Spectrogram {
        let frames = sound.len().div_ceil(HOP).max(LEAST);
        let whole = frames * HOP;
        let at = |at: isize| {
            let last = whole as isize - 1;
            let within = if at < 0 { -at } else { at.min(2 * last - at) };
            sound.get(within as usize).copied().unwrap_or(0.0)
        };
        let mut frame = self.forward.make_input_vec();
        let mut bins = self.forward.make_output_vec();
        let mut magnitudes = Vec::with_capacity(frames * BINS);
        for index in 0..frames {
            let start = (index * HOP) as isize - MIRRORED as isize;
            for (offset, value) in frame.iter_mut().enumerate() {
                *value = at(start + offset as isize) * self.window[offset];
            }
            self.forward
                .process(&mut frame, &mut bins)
                .expect("both buffers come from the plan");
            magnitudes.extend(bins.iter().map(|bin| (bin.norm_sqr() + FLOOR).sqrt()));
        }
        Spectrogram { magnitudes }
    }
}

impl Spectrogram {
    pub(super) fn frames(&self) -> usize {
        self.magnitudes.len() / BINS
    }

    /// Frame after frame.
    pub(super) fn by_frame(&self) -> &[f32] {
        &self.magnitudes
    }

    /// Of these frames: frequency after frequency.
    pub(super) fn by_frequency(&self, frames: std::ops::Range<usize>) -> Vec<f32> {
        let mut turned = Vec::with_capacity(frames.len() * BINS);
        for bin in 0..BINS {
            turned.extend(
                frames
                    .clone()
                    .map(|frame| self.magnitudes[frame * BINS + bin]),
            );
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The formula itself, in 64 bits: one magnitude of the frame that begins `MIRRORED`
    /// samples before sample `frame * HOP` of a sound of whole hops.
    fn by_formula(sound: &[f32], frame: usize, bin: usize) -> f32 {
        let last = sound.len() as i64 - 1;
        let (mut re, mut im) = (0.0_f64, 0.0_f64);
        for n in 0..FRAME {
            let mut at = (frame * HOP + n) as i64 - MIRRORED as i64;
            if at < 0 {
                at = -at;
            }
            if at > last {
                at = 2 * last - at;
            }
            let turn = std::f64::consts::TAU * n as f64 / FRAME as f64;
            let value = f64::from(sound[at as usize]) * (0.5 - 0.5 * turn.cos());
            let (sin, cos) = (turn * bin as f64).sin_cos();
            re += value * cos;
            im -= value * sin;
        }
        (re * re + im * im + 1e-6).sqrt() as f32
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn magnitudes_are_those_of_the_formula(
            sound in prop::collection::vec(-1f32..1.0, LEAST * HOP),
            bin in 0..BINS,
        ) {
            let spectrogram = Spectrograph::new().of(&sound);
            prop_assert_eq!(spectrogram.frames(), LEAST);
            for frame in [0, 1, 17, LEAST - 1] {
                let is = spectrogram.by_frame()[frame * BINS + bin];
                let wanted = by_formula(&sound, frame, bin);
                prop_assert!((is - wanted).abs() < 2e-3 + wanted * 1e-4, "{is} {wanted}");
            }
        }
    }

    #[test]
    fn a_tone_of_full_scale_has_a_quarter_of_the_frame_at_its_frequency() {
        let tone: Vec<f32> = (0..HOP * 40)
            .map(|at| (std::f32::consts::TAU * 64.0 * at as f32 / FRAME as f32).sin())
            .collect();
        let spectrogram = Spectrograph::new().of(&tone);
        let middle = &spectrogram.by_frame()[20 * BINS..21 * BINS];
        // Half the amplitude on each side of zero, half of it lost to the window.
        assert!((middle[64] - 256.0).abs() < 0.1, "{}", middle[64]);
        assert!((middle[63] - 128.0).abs() < 0.1 && middle[70] < 0.1);
    }

    #[test]
    fn there_is_a_frame_for_every_hop_and_silence_has_the_floor() {
        let graph = Spectrograph::new();
        for (samples, frames) in [(0, 32), (1, 32), (32 * HOP, 32), (32 * HOP + 1, 33)] {
            let silence = graph.of(&vec![0.0; samples]);
            assert_eq!(silence.frames(), frames);
            let floor = silence.by_frame().iter().all(|it| (it - 1e-3).abs() < 1e-6);
            assert!(floor);
        }
    }

    #[test]
    fn both_orders_hold_the_same() {
        let sound: Vec<f32> = (0..HOP * 40)
            .map(|at| (at as f32 * 0.01).sin() * (at as f32 * 0.07).cos())
            .collect();
        let spectrogram = Spectrograph::new().of(&sound);
        let turned = spectrogram.by_frequency(10..25);
        for bin in [0, 7, BINS - 1] {
            for frame in 10..25 {
                let wanted = spectrogram.by_frame()[frame * BINS + bin];
                assert_eq!(turned[bin * 15 + frame - 10], wanted);
            }
        }
    }
}
