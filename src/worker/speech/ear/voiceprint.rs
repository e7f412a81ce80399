//! How somebody speaks, measured from the sound: enough to carry onto another voice.
//!
//! - **Pitch**: YIN (de Cheveigné and Kawahara, *YIN, a fundamental frequency estimator for
//!   speech and music*, JASA 111, 2002), steps 1 to 5, every 10 ms, 65 to 500 Hz. A frame is
//!   voiced where YIN finds it periodic and it is not far below the loudest. Told are the
//!   median and the 10th to the 90th percentile, which single octave errors do not move.
//! - **Tempo**: syllable nuclei (de Jong and Wempe, *Praat script to detect syllable nuclei
//!   and measure speech rate automatically*, Behavior Research Methods 41, 2009): voiced
//!   peaks of intensity within 25 dB of the loudest, with a dip of 2 dB before the next one,
//!   per second of speech, pauses from 0.3 s on left out.
//! - **Tilt**: the power of voiced frames in octave bands from 177 Hz to 5.7 kHz, per hertz, as
//!   the slope of a straight line through their decibels.

use realfft::{RealFftPlanner, num_complex::Complex};

use crate::wire::speech::{HEARING_RATE, VoicePrint};

const RATE: f32 = HEARING_RATE as f32;
/// Samples from frame to frame: 10 ms.
const HOP: usize = 160;
/// Samples over which YIN compares: 32 ms, two periods of the lowest pitch.
const WINDOW: usize = 512;
const LOWEST: f32 = 65.0;
const HIGHEST: f32 = 500.0;
/// Longest period, samples.
const LONGEST: usize = (RATE / LOWEST) as usize;
/// Length of the transforms: a window and the longest period fit.
const TRANSFORM: usize = 1024;
/// How aperiodic a voiced frame may be, YIN's absolute threshold.
const APERIODIC: f32 = 0.15;
/// Decibels below the loudest frame at which nothing counts: de Jong and Wempe's.
const QUIET: f32 = 25.0;
/// Decibels between two syllables.
const DIP: f32 = 2.0;
/// Frames of silence that make a pause: 0.3 s.
const PAUSE: usize = 30;
/// Frames that intensity is smoothed over: 60 ms, a period of Praat's 50 Hz.
const SMOOTH: usize = 6;
/// Voiced frames that a print needs: 0.3 s.
const LEAST_VOICED: usize = 30;
/// Centre of the lowest octave band, Hz, and how many there are.
const LOWEST_BAND: f32 = 250.0;
const BANDS: i32 = 5;

/// Measures a sound (−1 to 1, at [`HEARING_RATE`]); none where too little is voiced.
pub fn measure(sound: &[f32]) -> Option<VoicePrint> {
    let frames = Frames::of(sound);
    let mut pitches: Vec<f32> = frames.pitches.iter().copied().flatten().collect();
    if pitches.len() < LEAST_VOICED {
        return None;
    }
    pitches.sort_by(f32::total_cmp);
    let at = |share: f32| pitches[((pitches.len() - 1) as f32 * share).round() as usize];
    Some(VoicePrint {
        pitch_hz: at(0.5),
        range_semitones: 12.0 * (at(0.9) / at(0.1)).log2(),
        tempo: frames.tempo(),
        tilt: tilt(&frames.spectrum, at(0.5))?,
        timbre: None,
    })
}

/// A sound, frame by frame.
struct Frames {
    /// Of voiced frames, Hz.
    pitches: Vec<Option<f32>>,
    /// Decibels, smoothed.
    intensities: Vec<f32>,
    /// Mean power of voiced frames at each frequency of the transform.
    spectrum: Vec<f32>,
}

impl Frames {
    fn of(sound: &[f32]) -> Self {
        let starts: Vec<usize> = (0..)
            .map(|at| at * HOP)
            .take_while(|start| start + WINDOW + LONGEST <= sound.len())
            .collect();
        let powers: Vec<f32> = starts
            .iter()
            .map(|start| mean_square(&sound[*start..start + WINDOW]))
            .collect();
        let loudest = powers.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let least = loudest * 10_f32.powf(-QUIET / 10.0);
        let mut yin = Yin::new();
        let mut spectrum = vec![0.0; TRANSFORM / 2 + 1];
        let mut pitches = Vec::with_capacity(starts.len());
        for (start, power) in starts.iter().zip(&powers) {
            let pitch = match *power >= least {
                true => yin.pitch(&sound[*start..start + WINDOW + LONGEST]),
                false => None,
            };
            if pitch.is_some() {
                yin.add_power(&sound[*start..start + WINDOW], &mut spectrum);
            }
            pitches.push(pitch);
        }
        Self {
            pitches,
            intensities: intensities(sound),
            spectrum,
        }
    }

    /// Syllable nuclei per second of speech.
    fn tempo(&self) -> f32 {
        let loudest = self.intensities.iter().copied().fold(f32::MIN, f32::max);
        let least = loudest - QUIET;
        let speaking = spoken(&self.intensities, least);
        let voiced = |at: usize| {
            let near = at.saturating_sub(2)..(at + 3).min(self.pitches.len());
            self.pitches
                .get(near)
                .unwrap_or_default()
                .iter()
                .any(Option::is_some)
        };
        let nuclei = peaks(&self.intensities)
            .into_iter()
            .filter(|at| self.intensities[*at] >= least && voiced(*at))
            .count();
        let seconds = speaking as f32 * HOP as f32 / RATE;
        nuclei as f32 / seconds.max(HOP as f32 / RATE)
    }
}

fn mean_square(samples: &[f32]) -> f32 {
    samples.iter().map(|it| it * it).sum::<f32>() / samples.len() as f32
}

/// Decibels of each step of 10 ms, over as many steps around it as smooth them.
fn intensities(sound: &[f32]) -> Vec<f32> {
    let powers: Vec<f32> = sound.chunks_exact(HOP).map(mean_square).collect();
    (0..powers.len())
        .map(|at| {
            let from = at.saturating_sub(SMOOTH / 2);
            let around = &powers[from..(at + SMOOTH / 2 + 1).min(powers.len())];
            let mean = around.iter().sum::<f32>() / around.len() as f32;
            10.0 * mean.max(1e-12).log10()
        })
        .collect()
}

/// Steps that are speech, or a silence too short for a pause between two that are.
fn spoken(intensities: &[f32], least: f32) -> usize {
    let (mut steps, mut silent) = (0, None);
    for intensity in intensities {
        match (*intensity >= least, silent) {
            (true, Some(gap)) if gap < PAUSE => {
                steps += gap + 1;
                silent = Some(0);
            }
            (true, _) => {
                steps += 1;
                silent = Some(0);
            }
            (false, Some(gap)) => silent = Some(gap + 1),
            // Nothing was said yet.
            (false, None) => {}
        }
    }
    steps
}

/// Where intensity is highest between two dips.
fn peaks(intensities: &[f32]) -> Vec<usize> {
    let mut peaks = Vec::new();
    // The highest since the last dip, and the lowest since the last peak.
    let (mut peak, mut low): (Option<usize>, f32) = (None, f32::INFINITY);
    for (at, now) in intensities.iter().copied().enumerate() {
        match peak {
            Some(highest) if now > intensities[highest] => peak = Some(at),
            Some(highest) if now <= intensities[highest] - DIP => {
                peaks.push(highest);
                (peak, low) = (None, now);
            }
            Some(_) => {}
            None if now >= low + DIP => peak = Some(at),
            None => low = low.min(now),
        }
    }
    peaks.extend(peak);
    peaks
}

/// YIN's transforms and their memory.
struct Yin {
    forward: std::sync::Arc<dyn realfft::RealToComplex<f32>>,
    inverse: std::sync::Arc<dyn realfft::ComplexToReal<f32>>,
    hann: Vec<f32>,
}

impl Yin {
    fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let step = 2.0 * std::f32::consts::PI / WINDOW as f32;
        Self {
            forward: planner.plan_fft_forward(TRANSFORM),
            inverse: planner.plan_fft_inverse(TRANSFORM),
            hann: (0..WINDOW)
                .map(|at| 0.5 - 0.5 * (step * at as f32).cos())
                .collect(),
        }
    }

    fn transform(&self, samples: impl Iterator<Item = f32>) -> Vec<Complex<f32>> {
        let mut input = self.forward.make_input_vec();
        for (slot, sample) in input.iter_mut().zip(samples) {
            *slot = sample;
        }
        let mut output = self.forward.make_output_vec();
        self.forward
            .process(&mut input, &mut output)
            .expect("the buffers were made by the transform itself");
        output
    }

    fn add_power(&self, samples: &[f32], spectrum: &mut [f32]) {
        let windowed = samples.iter().zip(&self.hann).map(|(it, by)| it * by);
        for (sum, bin) in spectrum.iter_mut().zip(self.transform(windowed)) {
            *sum += bin.norm_sqr();
        }
    }

    /// The pitch of `WINDOW + LONGEST` samples, if they are voiced.
    fn pitch(&mut self, samples: &[f32]) -> Option<f32> {
        // Sums of products with what comes later: all at once, by the convolution theorem.
        let (start, whole) = (
            self.transform(samples[..WINDOW].iter().copied()),
            self.transform(samples.iter().copied()),
        );
        let mut product: Vec<_> = start
            .iter()
            .zip(&whole)
            .map(|(a, b)| a.conj() * b)
            .collect();
        // They are real; what rounding left over must not be there.
        product[0].im = 0.0;
        product[TRANSFORM / 2].im = 0.0;
        let mut products = self.inverse.make_output_vec();
        self.inverse
            .process(&mut product, &mut products)
            .expect("the buffers were made by the transform itself");
        let mut later: f32 = samples[..WINDOW].iter().map(|it| it * it).sum();
        let first = later;
        // Cumulative mean normalised differences.
        let (mut differences, mut sum) = (vec![1.0_f32], 0.0);
        for lag in 1..=LONGEST {
            let (leaves, enters) = (samples[lag - 1], samples[lag + WINDOW - 1]);
            later += enters * enters - leaves * leaves;
            let product = products[lag] / TRANSFORM as f32;
            let difference = (first + later - 2.0 * product).max(0.0);
            sum += difference;
            differences.push(match sum > 0.0 {
                true => difference * lag as f32 / sum,
                false => 1.0,
            });
        }
        let shortest = (RATE / HIGHEST) as usize;
        let mut lag = (shortest..LONGEST).find(|lag| differences[*lag] < APERIODIC)?;
        while lag < LONGEST && differences[lag + 1] < differences[lag] {
            lag += 1;
        }
        let around = [lag - 1, lag, (lag + 1).min(LONGEST)].map(|lag| differences[lag]);
        Some(RATE / (lag as f32 + vertex(around)))
    }
}

/// Where the parabola through three neighbours is lowest, from the middle one.
fn vertex([before, middle, after]: [f32; 3]) -> f32 {
    let bend = before - 2.0 * middle + after;
    match bend > 0.0 {
        true => (0.5 * (before - after) / bend).clamp(-0.5, 0.5),
        false => 0.0,
    }
}

/// Decibels per octave of a power spectrum of a voice of this pitch, from the first band
/// that has an overtone.
fn tilt(spectrum: &[f32], pitch: f32) -> Option<f32> {
    let width = RATE / TRANSFORM as f32;
    let points: Vec<(f32, f32)> = (0..BANDS)
        .filter_map(|octave| {
            let centre = LOWEST_BAND * 2_f32.powi(octave);
            let edges = [centre / 2_f32.sqrt(), centre * 2_f32.sqrt()];
            let [low, high] = edges.map(|edge| (edge / width).round() as usize);
            let bins = spectrum.get(low..high)?;
            let density = bins.iter().sum::<f32>() / bins.len() as f32;
            let heard = edges[1] > 1.5 * pitch && density > 0.0;
            heard.then(|| (octave as f32, 10.0 * density.log10()))
        })
        .collect();
    let count = points.len() as f32;
    let mean = |part: fn(&(f32, f32)) -> f32| points.iter().map(part).sum::<f32>() / count;
    let (x, y) = (mean(|it| it.0), mean(|it| it.1));
    let slope = points.iter().map(|it| (it.0 - x) * (it.1 - y)).sum::<f32>();
    let spread = points.iter().map(|it| (it.0 - x).powi(2)).sum::<f32>();
    (points.len() > 1).then(|| slope / spread)
}

#[cfg(test)]
mod tests {
    use std::f32::consts::PI;

    use super::*;

    /// A voice: overtones that fall by `tilt` dB per octave, on a pitch that is told for
    /// each moment, under a loudness that is.
    fn voice(
        seconds: f32,
        tilt: f32,
        pitch: impl Fn(f32) -> f32,
        loud: impl Fn(f32) -> f32,
    ) -> Vec<f32> {
        let mut phase = 0.0_f32;
        (0..(seconds * RATE) as usize)
            .map(|at| {
                let time = at as f32 / RATE;
                phase += pitch(time) / RATE;
                let overtones = (1..=(7000.0 / pitch(time)) as i32).map(|number| {
                    let number = number as f32;
                    number.powf(tilt / 6.0206) * (2.0 * PI * phase * number).sin()
                });
                0.1 * loud(time) * overtones.sum::<f32>()
            })
            .collect()
    }

    #[test]
    fn the_pitch_of_a_steady_voice_is_found() {
        for pitch in [80.0, 120.0, 210.0, 330.0] {
            let print = measure(&voice(1.0, -9.0, |_| pitch, |_| 1.0)).unwrap();
            assert!(
                (print.pitch_hz / pitch - 1.0).abs() < 0.01,
                "{pitch}: {print:?}"
            );
            assert!(print.range_semitones < 0.5, "{pitch}: {print:?}");
        }
    }

    #[test]
    fn the_range_is_that_of_a_glide() {
        // An octave in two seconds: four fifths of it lie between the percentiles.
        let glide = |time: f32| 120.0 * 2_f32.powf(time / 2.0);
        let print = measure(&voice(2.0, -9.0, glide, |_| 1.0)).unwrap();
        assert!((print.range_semitones - 9.6).abs() < 0.4, "{print:?}");
        assert!(
            (print.pitch_hz / (120.0 * 2_f32.sqrt()) - 1.0).abs() < 0.03,
            "{print:?}"
        );
    }

    #[test]
    fn the_tilt_is_that_of_the_overtones() {
        for pitch in [110.0, 220.0] {
            for tilt in [-3.0, -6.0, -12.0, -15.0] {
                let wavering = |time: f32| pitch * (1.0 + 0.05 * (9.0 * time).sin());
                let print = measure(&voice(2.0, tilt, wavering, |_| 1.0)).unwrap();
                assert!(
                    (print.tilt - tilt).abs() < 1.0,
                    "{pitch}, {tilt}: {print:?}"
                );
            }
        }
    }

    #[test]
    fn syllables_are_counted_without_the_pauses() {
        for rate in [2.5_f32, 4.0, 6.0] {
            // A second of silence in the middle changes nothing.
            let loud = |time: f32| {
                if (2.0..3.0).contains(&time) {
                    return 0.0;
                }
                0.05 + 0.5 * (1.0 - (2.0 * PI * rate * time).cos())
            };
            let print = measure(&voice(5.0, -9.0, |_| 140.0, loud)).unwrap();
            assert!((print.tempo - rate).abs() < 0.5, "{rate}: {print:?}");
        }
    }

    #[test]
    fn loudness_changes_nothing() {
        let soft = measure(&voice(1.0, -9.0, |_| 150.0, |_| 0.02)).unwrap();
        let loud = measure(&voice(1.0, -9.0, |_| 150.0, |_| 1.0)).unwrap();
        assert!((soft.pitch_hz - loud.pitch_hz).abs() < 0.5);
        assert!((soft.tilt - loud.tilt).abs() < 0.1);
    }

    #[test]
    fn silence_noise_and_crumbs_have_no_print() {
        assert_eq!(measure(&[]), None);
        assert_eq!(measure(&[0.0; 32_000]), None);
        assert_eq!(measure(&voice(0.2, -9.0, |_| 150.0, |_| 1.0)), None);
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..32_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state as f32 / u32::MAX as f32 - 0.5
            })
            .collect();
        assert_eq!(measure(&noise), None);
    }
}
