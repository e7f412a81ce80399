//! PURE: short-time Fourier transforms with the frames that hibari was trained with.

use std::sync::Arc;

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex};

/// Samples in a frame, and from one frame to the next.
pub(super) const FRAME: usize = 1200;
pub(super) const HOP: usize = 300;

/// Frequencies of a frame.
pub(super) const BINS: usize = FRAME / 2 + 1;

/// One frequency of one frame.
pub(super) type Bin = Complex<f32>;

/// Both directions of the transform.
pub(super) struct Frames {
    forward: Arc<dyn RealToComplex<f32>>,
    backward: Arc<dyn ComplexToReal<f32>>,
    /// Periodic Hann.
    window: Vec<f32>,
}

impl Frames {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        Self {
            forward: planner.plan_fft_forward(FRAME),
            backward: planner.plan_fft_inverse(FRAME),
            window: hann(FRAME),
        }
    }

    /// Takes a signal of `frames` frames apart, lets `colour` change each spectrum and joins
    /// them again, overlapping, divided by the sum of squared windows. Frames are centred on
    /// multiples of [`HOP`]; the signal is mirrored at its ends. A unit cosine peaks at 1.
    pub(super) fn through(
        &self,
        signal: &[f32],
        frames: usize,
        mut colour: impl FnMut(usize, &mut [Bin]),
    ) -> Vec<f32> {
        let half = FRAME / 2;
        let mut joined = vec![0.0_f32; (frames + FRAME / HOP) * HOP];
        let mut weights = vec![0.0_f32; joined.len()];
        let mut frame = self.forward.make_input_vec();
        let mut bins = self.forward.make_output_vec();
        let scale = 1.0 / HOP as f32;
        for index in 0..frames {
            let start = index * HOP;
            for (offset, value) in frame.iter_mut().enumerate() {
                let at = mirrored((start + offset) as isize - half as isize, signal.len());
                *value = at.map_or(0.0, |at| signal[at]) * self.window[offset] * scale;
            }
            self.forward
                .process(&mut frame, &mut bins)
                .expect("both buffers come from the plan");
            colour(index, &mut bins);
            // A real signal has real values there.
            bins[0].im = 0.0;
            bins[BINS - 1].im = 0.0;
            self.backward
                .process(&mut bins, &mut frame)
                .expect("both buffers come from the plan, and the ends are real");
            for (offset, value) in frame.iter().enumerate() {
                let window = self.window[offset];
                joined[start + offset] += value * window / FRAME as f32;
                weights[start + offset] += window * window;
            }
        }
        (half..half + frames * HOP)
            .map(|at| joined[at] / weights[at].max(1e-11))
            .collect()
    }
}

/// A place before the beginning or behind the end, seen in a mirror at the first or last sample.
fn mirrored(at: isize, length: usize) -> Option<usize> {
    let last = length as isize - 1;
    let at = if at < 0 { -at } else { at };
    let at = if at > last { 2 * last - at } else { at };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// Hann's window of so many samples, periodic.
pub(super) fn hann(length: usize) -> Vec<f32> {
    let turn = std::f32::consts::TAU / length as f32;
    (0..length)
        .map(|at| 0.5 - 0.5 * (turn * at as f32).cos())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_colours_comes_back_as_it_was() {
        let signal: Vec<f32> = (0..HOP * 20)
            .map(|at| (at as f32 * 0.05).sin() * 0.5)
            .collect();
        let back = Frames::new().through(&signal, 20, |_, _| {});
        for (at, (was, is)) in signal.iter().zip(&back).enumerate() {
            assert!(
                (was / HOP as f32 - is).abs() < 1e-5,
                "sample {at}: {was} {is}"
            );
        }
    }
}
