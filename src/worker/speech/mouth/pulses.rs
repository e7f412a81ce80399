//! PURE: what a voice's cords give: a train of pulses with every harmonic at the same loudness.

use std::f64::consts::TAU;

use super::spectrum::HOP;

/// Below this a frame has no voice, Hz.
const VOICELESS: f32 = 40.0;

/// Harmonics reach up to here, Hz.
const HIGHEST: f32 = 11_000.0;

/// The sum of all harmonics of a fundamental that is given once a frame, [`HOP`] samples each,
/// with a straight line between the middles of frames:
/// `Σ cos(h t) for h = 1..H  =  sin((H + ½) t) / (2 sin(t / 2)) − ½` (Dirichlet's kernel).
/// Where a frame has no voice it is silent.
pub(super) fn train(f0: &[f32], rate: u32) -> Vec<f32> {
    let mut phase = 0.0_f64;
    let mut pulses = Vec::with_capacity(f0.len() * HOP);
    let hop = HOP as f32;
    let at = |frame: isize| f0[frame.clamp(0, f0.len() as isize - 1) as usize];
    for frame in 0..f0.len() as isize {
        for sample in 0..HOP {
            let middle = (sample as f32 + 0.5) / hop - 0.5;
            let (from, weight) = if middle < 0.0 {
                (frame - 1, middle + 1.0)
            } else {
                (frame, middle)
            };
            let pitch = at(from) * (1.0 - weight) + at(from + 1) * weight;
            let voiced = pitch > VOICELESS;
            let pitch = pitch.max(VOICELESS);
            phase = (phase + f64::from(pitch) / f64::from(rate)).fract();
            if !voiced {
                pulses.push(0.0);
                continue;
            }
            let t = (phase * TAU) as f32;
            let harmonics = (HIGHEST / pitch).floor() + 0.5;
            let below = 2.0 * (t * 0.5).sin();
            let sum = if below.abs() <= 2e-3 {
                harmonics
            } else {
                (harmonics * t).sin() / below
            };
            pulses.push(sum - 0.5);
        }
    }
    pulses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_as_many_pulses_as_the_fundamental_says() {
        let pulses = train(&[200.0; 80], 24_000);
        assert_eq!(pulses.len(), 24_000);
        let peaks = pulses
            .windows(2)
            .filter(|pair| pair[0] < 25.0 && pair[1] >= 25.0);
        assert!((199..=201).contains(&peaks.count()));
    }

    #[test]
    fn without_a_voice_there_is_silence() {
        assert!(
            train(&[0.0; 10], 24_000)
                .iter()
                .all(|sample| *sample == 0.0)
        );
    }
}
