//! Whisper's picture of a sound: a log-mel spectrogram.
//!
//! As `whisper/audio.py` of OpenAI's whisper computes it: frames of 25 ms every 10 ms under
//! a periodic Hann window, the sound mirrored at its ends; squared magnitudes; mel bands
//! on Slaney's scale with Slaney's areas (Slaney, *Auditory Toolbox*, 1998, as librosa's
//! `filters.mel` has them); decimal logarithms, cut 8 below the largest, then `(x + 4) / 4`.

use std::{f32::consts::PI, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex};

use crate::wire::speech::HEARING_RATE;

/// Samples of a frame, and of the transform.
const WINDOW: usize = 400;
/// Samples from frame to frame: 10 ms.
pub(super) const HOP: usize = 160;
/// Frequencies of a frame.
const BINS: usize = WINDOW / 2 + 1;
/// The smallest power that has a logarithm.
const FLOOR: f32 = 1e-10;
/// Decades below the loudest that count.
const RANGE: f32 = 8.0;

/// A band: its first frequency, and the weights from there on.
struct Band {
    from: usize,
    weights: Vec<f32>,
}

/// Makes spectrograms of so many bands.
pub(super) struct MelBank {
    bands: Vec<Band>,
    hann: Vec<f32>,
    transform: Arc<dyn RealToComplex<f32>>,
}

impl MelBank {
    pub(super) fn new(bands: usize) -> Self {
        let hann = (0..WINDOW)
            .map(|at| 0.5 - 0.5 * (2.0 * PI * at as f32 / WINDOW as f32).cos())
            .collect();
        Self {
            bands: filters(bands),
            hann,
            transform: RealFftPlanner::new().plan_fft_forward(WINDOW),
        }
    }

    /// `[bands, frames]`, band after band, of a sound (−1 to 1, at [`HEARING_RATE`]) that
    /// silence follows up to the last frame. What is longer is left out.
    pub(super) fn spectrogram(&self, sound: &[f32], frames: usize) -> Vec<f32> {
        let sound = &sound[..sound.len().min(frames * HOP)];
        // Frames that only silence is in are all alike.
        let heard = (sound.len() + WINDOW / 2).div_ceil(HOP).min(frames);
        let mut logs = vec![FLOOR.log10(); self.bands.len() * frames];
        let mut frame = self.transform.make_input_vec();
        let mut spectrum = self.transform.make_output_vec();
        let mut scratch = self.transform.make_scratch_vec();
        for at in 0..heard {
            let start = (at * HOP) as isize - (WINDOW / 2) as isize;
            for (offset, (slot, window)) in frame.iter_mut().zip(&self.hann).enumerate() {
                // Mirrored before its beginning; silent behind its end.
                let index = (start + offset as isize).unsigned_abs();
                *slot = sound.get(index).copied().unwrap_or_default() * window;
            }
            self.transform
                .process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
                .expect("the buffers were made by the transform itself");
            for (number, band) in self.bands.iter().enumerate() {
                let bins = &spectrum[band.from..band.from + band.weights.len()];
                let energy: f32 = bins
                    .iter()
                    .zip(&band.weights)
                    .map(|(bin, weight)| bin.norm_sqr() * weight)
                    .sum();
                logs[number * frames + at] = energy.max(FLOOR).log10();
            }
        }
        let loudest = logs.iter().copied().fold(f32::MIN, f32::max);
        for value in &mut logs {
            *value = (value.max(loudest - RANGE) + 4.0) / 4.0;
        }
        logs
    }
}

/// Slaney's mel scale: linear up to 1 kHz, logarithmic above.
fn mel(hertz: f32) -> f32 {
    match hertz < 1000.0 {
        true => hertz * 3.0 / 200.0,
        false => 15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4_f32.ln(),
    }
}

fn hertz(mel: f32) -> f32 {
    match mel < 15.0 {
        true => mel * 200.0 / 3.0,
        false => 1000.0 * ((mel - 15.0) * 6.4_f32.ln() / 27.0).exp(),
    }
}

/// Triangles between neighbours on the mel scale, each of the same area.
fn filters(bands: usize) -> Vec<Band> {
    let top = mel(HEARING_RATE as f32 / 2.0);
    let edges: Vec<f32> = (0..bands + 2)
        .map(|at| hertz(top * at as f32 / (bands + 1) as f32))
        .collect();
    let of_bin = |bin: usize| bin as f32 * HEARING_RATE as f32 / WINDOW as f32;
    edges
        .windows(3)
        .map(|edge| {
            let [low, middle, high] = [edge[0], edge[1], edge[2]];
            let weight = |bin: usize| {
                let at = of_bin(bin);
                let rising = (at - low) / (middle - low);
                let falling = (high - at) / (high - middle);
                rising.min(falling).max(0.0) * 2.0 / (high - low)
            };
            let from = (0..BINS).find(|bin| weight(*bin) > 0.0).unwrap_or_default();
            let weights = (from..BINS)
                .map(weight)
                .take_while(|weight| *weight > 0.0)
                .collect();
            Band { from, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f32, samples: usize) -> Vec<f32> {
        let step = 2.0 * PI * frequency / HEARING_RATE as f32;
        (0..samples)
            .map(|at| 0.5 * (step * at as f32).sin())
            .collect()
    }

    #[test]
    fn a_tone_is_loudest_in_the_band_that_it_lies_in() {
        let bank = MelBank::new(80);
        for frequency in [200.0, 440.0, 1000.0, 3000.0, 6000.0] {
            let picture = bank.spectrogram(&tone(frequency, 16_000), 100);
            let loudest = (0..80)
                .max_by(|a, b| picture[a * 100 + 50].total_cmp(&picture[b * 100 + 50]))
                .unwrap();
            let top = mel(8000.0);
            let centre = hertz(top * (loudest + 1) as f32 / 81.0);
            assert!(
                (mel(centre) - mel(frequency)).abs() <= top / 81.0,
                "{frequency}: {centre}"
            );
        }
    }

    #[test]
    fn every_band_has_slaneys_area() {
        // The triangles' areas are 1 in hertz; few bins stand for the lowest ones.
        for (number, band) in filters(80).iter().enumerate().skip(30) {
            let area: f32 = band.weights.iter().sum::<f32>() * 40.0;
            assert!((area - 1.0).abs() < 0.15, "{number}: {area}");
        }
        assert!(filters(80).iter().all(|band| !band.weights.is_empty()));
    }

    #[test]
    fn the_values_known_from_whisper_come_out() {
        // `whisper.audio.mel_filters(80)`: its first entries, and where the largest lie.
        let bands = filters(80);
        assert_eq!(bands[0].from, 1);
        assert!(
            (bands[0].weights[0] - 0.024_862_6).abs() < 1e-5,
            "{}",
            bands[0].weights[0]
        );
        assert!(
            (bands[1].weights[0] - 0.001_990_82).abs() < 1e-5,
            "{}",
            bands[1].weights[0]
        );
    }

    #[test]
    fn silence_is_flat_and_behind_the_sound_only_silence_is() {
        let bank = MelBank::new(80);
        let silent = bank.spectrogram(&[], 10);
        assert!(silent.iter().all(|it| (it - silent[0]).abs() < 1e-6));
        let short = bank.spectrogram(&tone(440.0, 800), 50);
        let floor = short.iter().copied().fold(f32::MAX, f32::min);
        assert!((20..50).all(|frame| short[5 * 50 + frame] == floor));
    }

    #[test]
    fn what_follows_the_last_frame_is_left_out() {
        let bank = MelBank::new(80);
        let long = tone(440.0, 16_000);
        assert_eq!(bank.spectrogram(&long, 50).len(), 80 * 50);
        assert_eq!(
            bank.spectrogram(&long, 50),
            bank.spectrogram(&long[..8000], 50)
        );
    }
}
