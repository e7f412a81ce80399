//! PURE: the same sound at another rate.

use rubato::{
    Fft, FixedSync, Resampler as _, audioadapter::Adapter as _,
    audioadapter_buffers::owned::InterleavedOwned,
};

/// Frames that are resampled at once.
const CHUNK: usize = 1024;

/// A sound that could not be brought to another rate.
#[derive(Debug, thiserror::Error)]
#[error("a sound of {from} samples a second cannot be resampled to {to}: {problem}")]
pub struct ResampleError {
    from: u32,
    to: u32,
    problem: String,
}

/// Brings mono samples from one rate to another, both per second. What was at a time stays there.
///
/// # Errors
/// When there is no such rate.
pub(super) fn resample(sound: Vec<f32>, from: u32, to: u32) -> Result<Vec<f32>, ResampleError> {
    if from == to || sound.is_empty() {
        return Ok(sound);
    }
    let failed = |error: &dyn std::fmt::Display| ResampleError {
        from,
        to,
        problem: error.to_string(),
    };
    let length = sound.len();
    let mut resampler = Fft::<f32>::new(from as usize, to as usize, CHUNK, 1, FixedSync::Both)
        .map_err(|error| failed(&error))?;
    let sound = InterleavedOwned::new_from(sound, 1, length).map_err(|error| failed(&error))?;
    let out = resampler
        .process_all(&sound, length, None)
        .map_err(|error| failed(&error))?;
    Ok((0..out.frames())
        .filter_map(|frame| out.read_sample(0, frame))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A knock in silence.
    fn knock(length: usize, at: usize) -> Vec<f32> {
        let mut sound = vec![0.0; length];
        for (offset, sample) in sound[at..at + 400].iter_mut().enumerate() {
            *sample = (offset as f32 * 0.2).sin() * (1.0 - offset as f32 / 400.0);
        }
        sound
    }

    fn loudest(sound: &[f32]) -> usize {
        let louder = |a: &usize, b: &usize| sound[*a].abs().total_cmp(&sound[*b].abs());
        (0..sound.len()).max_by(louder).expect("there is sound")
    }

    #[test]
    fn there_and_back_nothing_moves_and_nothing_is_lost() {
        for rate in [16_000, 22_050, 24_000] {
            let sound = knock(rate as usize, rate as usize / 3);
            let there = resample(sound.clone(), rate, 22_050).expect("there");
            assert!(there.len().abs_diff(22_050) <= 2, "{}", there.len());
            let back = resample(there, 22_050, rate).expect("back");
            assert!(back.len().abs_diff(sound.len()) <= 2, "{}", back.len());
            let moved = loudest(&back).abs_diff(loudest(&sound));
            assert!(moved <= 2, "{rate}: {moved}");
        }
    }
}
