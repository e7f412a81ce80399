//! WAV files in and out, for those who try a voice or an ear by hand.

use std::path::Path;

use super::resample::{ResampleError, resample};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    #[error("{path}: {error}")]
    File { path: String, error: hound::Error },
    #[error("{path}: {error}")]
    Resample { path: String, error: ResampleError },
}

impl WavError {
    fn file(path: &Path) -> impl Fn(hound::Error) -> Self + '_ {
        |error| Self::File {
            path: path.display().to_string(),
            error,
        }
    }
}

/// The sound of a file, its channels mixed, at `rate` samples per second.
///
/// # Errors
/// When the file cannot be read or is no WAV file.
pub fn read(path: &Path, rate: u32) -> Result<Vec<i16>, WavError> {
    let mut reader = hound::WavReader::open(path).map_err(WavError::file(path))?;
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>(),
        hound::SampleFormat::Int => {
            let scale = (1_i64 << (spec.bits_per_sample - 1)) as f32;
            let samples = reader.samples::<i32>();
            samples
                .map(|sample| sample.map(|value| value as f32 / scale))
                .collect()
        }
    }
    .map_err(WavError::file(path))?;
    let channels = usize::from(spec.channels).max(1);
    let mixed: Vec<f32> = samples
        .chunks_exact(channels)
        .map(|frame| frame.iter().sum::<f32>() / channels as f32)
        .collect();
    let resampled = resample(mixed, spec.sample_rate, rate);
    let resampled = resampled.map_err(|error| WavError::Resample {
        path: path.display().to_string(),
        error,
    })?;
    Ok(resampled
        .into_iter()
        .map(|value| (value * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16)
        .collect())
}

/// Writes mono samples as a file of 16 bits, in place of one that is there.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, samples: &[i16], rate: u32) -> Result<(), WavError> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || {
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in samples {
            writer.write_sample(*sample)?;
        }
        writer.finalize()
    };
    write().map_err(WavError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a tone of 440 Hz.
    fn tone(rate: u32) -> Vec<i16> {
        let step = std::f32::consts::TAU * 440.0 / rate as f32;
        (0..rate)
            .map(|at| ((at as f32 * step).sin() * 10_000.0) as i16)
            .collect()
    }

    /// How often it passes from below to above nothing.
    fn rises(sound: &[i16]) -> usize {
        let pairs = sound.iter().zip(&sound[1..]);
        pairs.filter(|(a, b)| **a < 0 && **b >= 0).count()
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_at_another_rate_keeps_its_pitch_and_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tone.wav");
        let written = tone(24_000);
        write(&path, &written, 24_000).expect("written");
        assert_eq!(read(&path, 24_000).expect("read"), written);
        let other = read(&path, 16_000).expect("read");
        assert_eq!(other.len(), 16_000);
        assert!(rises(&other).abs_diff(440) <= 1, "{}", rises(&other));
        let loudest = other.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(
            loudest.is_some_and(|it| (9_500..10_500).contains(&it)),
            "{loudest:?}"
        );
    }

    #[test]
    fn what_is_no_wav_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letter.wav");
        std::fs::write(&path, "dear ghost").expect("written");
        let error = read(&path, 16_000).expect_err("no WAV file").to_string();
        assert!(error.contains("letter.wav"), "{error}");
    }
}
