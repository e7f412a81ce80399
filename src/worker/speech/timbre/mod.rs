//! Timbres: what tells one, and what gives a sound another.
//!
//! The networks are those of OpenVoice's tone colour converter (Qin et al. 2023, *OpenVoice:
//! Versatile Instant Voice Cloning*), version 2, as exports on the hub have them: one tells of a
//! spectrogram a timbre of 256 numbers; the other takes a spectrogram, the timbre that it has
//! and the one that it is to have, and makes sound, frame by frame, so that nothing moves in
//! time. The curve of the pitch is the sound's own.
//!
//! Everything blocks. A sound of any rate goes in and comes out; between, it is at 22,050
//! samples a second.

mod pieces;
mod spectrogram;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use ort::{inputs, value::Tensor};

use self::{
    pieces::Joiner,
    spectrogram::{BINS, HOP, RATE, Spectrogram, Spectrograph},
};
use super::{
    mouth::Stopper,
    network::Network,
    resample::{ResampleError, resample},
};
use crate::{models::FetchedClone, wire::speech::Timbre};

/// Numbers of a timbre.
const NUMBERS: usize = 256;

/// How much chance there is in what is made: the default of OpenVoice's own program.
const CHANCE: f32 = 0.3;

/// Seconds of a sound of which a timbre is told. More tells little more, and takes time.
const TOLD_FROM: usize = 10;

/// Seconds of what was said last, of which a voice's own timbre is told.
const REMEMBERED: usize = 4;

/// Below this a sound is silence.
const SILENCE: f32 = 0.004;

/// Why there is no timbre, or no sound of that timbre.
#[derive(Debug, thiserror::Error)]
pub enum TimbreError {
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("the network failed: {0}")]
    Network(#[from] ort::Error),
    #[error("the network gave {0}")]
    Layout(String),
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// [`Stopper::stop`] was called.
    #[error("it was stopped")]
    Stopped,
}

/// Tells timbres.
pub struct Extractor {
    network: Network,
    spectrograph: Spectrograph,
}

impl Extractor {
    /// Opens the graph that tells timbres, to compute on so many threads.
    ///
    /// # Errors
    /// When a file or the library cannot be used, or it tells no timbres.
    pub fn open(files: &FetchedClone, threads: usize) -> Result<Self, TimbreError> {
        Self::stoppable(files, threads, &Stopper::default())
    }

    fn stoppable(
        files: &FetchedClone,
        threads: usize,
        stopper: &Stopper,
    ) -> Result<Self, TimbreError> {
        let library = &files.runtime.path;
        let mut extractor = Self {
            network: open(library, &files.extractor, threads, stopper)?,
            spectrograph: Spectrograph::new(),
        };
        // A first run is slow, and tells whether it fits.
        let told = extractor.timbre_at(&trial());
        told.map_err(|error| unusable(&files.extractor, error))?;
        Ok(extractor)
    }

    /// The timbre of a sound between -1 and 1, by its first [`TOLD_FROM`] seconds.
    ///
    /// # Errors
    /// When the network fails or is stopped.
    pub fn timbre_of(&mut self, sound: &[f32], rate: u32) -> Result<Timbre, TimbreError> {
        let most = TOLD_FROM * rate as usize;
        let sound = sound[..sound.len().min(most)].to_vec();
        self.timbre_at(&resample(sound, rate, RATE)?)
    }

    /// Of a sound at [`RATE`].
    fn timbre_at(&mut self, sound: &[f32]) -> Result<Timbre, TimbreError> {
        let spectrogram = self.spectrograph.of(sound);
        let shape = [1, spectrogram.frames(), BINS];
        let outputs = self.network.run(inputs![
            "input" => Tensor::from_array((shape, spectrogram.by_frame().to_vec()))?,
        ])?;
        let (_, numbers) = outputs[0].try_extract_tensor::<f32>()?;
        if numbers.len() != NUMBERS || !numbers.iter().all(|it| it.is_finite()) {
            let told = format!("no timbre of {NUMBERS} numbers but {}", numbers.len());
            return Err(TimbreError::Layout(told));
        }
        Ok(Timbre(numbers.to_vec()))
    }
}

/// Gives sounds another timbre.
pub struct Converter {
    extractor: Extractor,
    network: Network,
    stopper: Stopper,
    /// What was said last in the voice's own timbre, at [`RATE`].
    said: Vec<f32>,
}

impl Converter {
    /// Opens both graphs, to compute on so many threads until `stopper` ends it.
    ///
    /// # Errors
    /// When a file or the library cannot be used, or it gives no timbre.
    pub fn open(
        files: &FetchedClone,
        threads: usize,
        stopper: Stopper,
    ) -> Result<Self, TimbreError> {
        let extractor = Extractor::stoppable(files, threads, &stopper)?;
        let library = &files.runtime.path;
        let mut converter = Self {
            extractor,
            network: open(library, &files.converter, threads, &stopper)?,
            stopper,
            said: Vec::new(),
        };
        let trial = trial();
        let own = converter.extractor.timbre_at(&trial)?;
        let spectrogram = converter.extractor.spectrograph.of(&trial);
        converter
            .make(&spectrogram, [&own, &own])
            .map_err(|error| unusable(&files.converter, error))?;
        Ok(converter)
    }

    /// Forgets what was said: another voice speaks, or it speaks in another way.
    pub(super) fn begin(&mut self) {
        self.said.clear();
    }

    /// A sound between -1 and 1 with a timbre that is not its own: as long as it was, and
    /// everything at the time at which it was. The timbre that it has is told of it and of what
    /// came before it since [`Self::begin`], because a short clause alone tells little.
    ///
    /// # Errors
    /// When a network fails, makes no sound of it, or is stopped.
    pub fn convert(
        &mut self,
        sound: &[f32],
        rate: u32,
        towards: &Timbre,
    ) -> Result<Vec<f32>, TimbreError> {
        if towards.0.len() != NUMBERS {
            let told = format!("a timbre of {} numbers to take on", towards.0.len());
            return Err(TimbreError::Layout(told));
        }
        if loudest(sound) < SILENCE {
            return Ok(sound.to_vec());
        }
        let ours = resample(sound.to_vec(), rate, RATE)?;
        self.said.extend(&ours);
        let most = REMEMBERED * RATE as usize;
        let recent = self.said.len().saturating_sub(most.max(ours.len()));
        self.said.drain(..recent);
        let converted = self.in_timbre(&ours, towards);
        if self.stopper.is_stopped() {
            return Err(TimbreError::Stopped);
        }
        let mut made = resample(converted?, RATE, rate)?;
        made.resize(sound.len(), 0.0);
        if loudest(&made) < SILENCE {
            return Err(TimbreError::Layout("silence".into()));
        }
        Ok(made)
    }

    fn in_timbre(&mut self, sound: &[f32], towards: &Timbre) -> Result<Vec<f32>, TimbreError> {
        let own = self.extractor.timbre_at(&self.said)?;
        let spectrogram = self.extractor.spectrograph.of(sound);
        let mut made = self.make(&spectrogram, [&own, towards])?;
        made.resize(sound.len(), 0.0);
        Ok(made)
    }

    /// The sound of a spectrogram, whose timbre is the first one, in the second one's.
    fn make(
        &mut self,
        spectrogram: &Spectrogram,
        [own, towards]: [&Timbre; 2],
    ) -> Result<Vec<f32>, TimbreError> {
        let mut joiner = Joiner::default();
        for piece in pieces::cut(spectrogram.frames()) {
            if self.stopper.is_stopped() {
                return Err(TimbreError::Stopped);
            }
            let frames = piece.from.len();
            let magnitudes = spectrogram.by_frequency(piece.from.clone());
            let timbre = |it: &Timbre| Tensor::from_array(([1, NUMBERS, 1], it.0.clone()));
            let outputs = self.network.run(inputs![
                "audio" => Tensor::from_array(([1, BINS, frames], magnitudes))?,
                "audio_length" => Tensor::from_array(([1], vec![frames as i64]))?,
                "src_tone" => timbre(own)?,
                "dest_tone" => timbre(towards)?,
                "tau" => Tensor::from_array(([1], vec![CHANCE]))?,
            ])?;
            // The sound is the first of several outputs, whose names mean nothing.
            let (_, made) = outputs[0].try_extract_tensor::<f32>()?;
            if made.len() != frames * HOP || !made.iter().all(|it| it.is_finite()) {
                let given = format!("{} samples for {frames} frames", made.len());
                return Err(TimbreError::Layout(given));
            }
            joiner.add(&piece, made, HOP);
        }
        Ok(joiner.finish())
    }
}

fn loudest(sound: &[f32]) -> f32 {
    sound.iter().fold(0.0, |most, it| it.abs().max(most))
}

fn open(
    library: &Path,
    path: &Path,
    threads: usize,
    stopper: &Stopper,
) -> Result<Network, TimbreError> {
    let graph = fs::read(path).map_err(|error| unusable(path, error))?;
    Network::open(library, &graph, threads, stopper).map_err(|problem| unusable(path, problem))
}

fn unusable(path: &Path, problem: impl ToString) -> TimbreError {
    TimbreError::File {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// Half a second of a hum, at [`RATE`].
fn trial() -> Vec<f32> {
    let turn = std::f32::consts::TAU * 140.0 / RATE as f32;
    (0..RATE / 2)
        .map(|at| {
            let phase = at as f32 * turn;
            0.3 * phase.sin() + 0.15 * (2.0 * phase).sin() + 0.1 * (5.0 * phase).sin()
        })
        .collect()
}
