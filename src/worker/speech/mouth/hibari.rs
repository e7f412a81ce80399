//! hibari's voices: a network that plans a spectrum for every 12.5 ms, and the sound of it.
//!
//! The network gives five spectra and the fundamental frequency of every frame; the sound is
//! `S = e^lh · e^(iπ tanh θ) · STFT(pulses(f0)) + e^ln · Z + e^lr · e^iφ`, where `Z` is
//! complex normal noise, and one inverse short-time Fourier transform (hibari 0.2.1,
//! Apache-2.0, `dsp.py` says so). What another voice needs a vocoder for is done here before
//! there is any sound: pitch and range on the fundamental, tilt on the spectra, tempo in the
//! plan of durations.

use std::{path::Path, sync::Arc};

use ort::{inputs, value::Tensor};
use rand::{SeedableRng, rngs::StdRng};

use super::{
    MouthError,
    english::English,
    graph::Graph,
    like::Change,
    pulses,
    said::Said,
    spectrum,
    spectrum::{Frames, HOP},
    stop::Stopper,
    symbols,
    timing::Unit,
};

/// Samples per second.
pub(super) const RATE: u32 = 24_000;

/// Where the graph keeps how many pairs of frames each symbol takes.
const DURATIONS: &str = "/Clip_output_0";

/// The most symbols that the network was made for at once.
const LONGEST: usize = 400;

/// Above this the logarithm of a magnitude is a mistake of the network.
const LOUDEST: f32 = 7.0;

/// An open voice.
pub(super) struct Hibari {
    graph: Graph,
    english: Arc<English>,
    frames: Frames,
    noise: StdRng,
}

impl Hibari {
    /// # Errors
    /// When the file or the library cannot be used.
    pub(super) fn open(
        library: &Path,
        model: &Path,
        threads: usize,
        english: Arc<English>,
        stopper: &Stopper,
    ) -> Result<Self, MouthError> {
        Ok(Self {
            graph: Graph::open(library, model, threads, Some(DURATIONS), stopper)?,
            english,
            frames: Frames::new(),
            noise: StdRng::seed_from_u64(0),
        })
    }

    /// Says words.
    ///
    /// # Errors
    /// When the network fails.
    pub(super) fn say(&mut self, words: &[&str], change: &Change) -> Result<Said, MouthError> {
        let mut said = Said::default();
        let symbols = self.english.symbols(words)?;
        for part in parts(&symbols) {
            self.part(part, change, &mut said)?;
        }
        Ok(said)
    }

    fn part(
        &mut self,
        symbols: &[(char, Option<usize>)],
        change: &Change,
        said: &mut Said,
    ) -> Result<(), MouthError> {
        let known = symbols
            .iter()
            .filter_map(|&(symbol, word)| Some((symbols::number(symbol)?, word)));
        let pad = (symbols::PAD, None);
        let row: Vec<(i64, Option<usize>)> = std::iter::once(pad)
            .chain(known)
            .chain(std::iter::once(pad))
            .collect();
        if row.len() < 3 {
            return Ok(());
        }
        let numbers: Vec<i64> = row.iter().map(|(number, _)| *number).collect();
        let durations = self.graph.durations.clone();
        let ids = Tensor::from_array(([1, numbers.len()], numbers))?;
        let speed = Tensor::from_array(([1], vec![change.tempo]))?;
        let outputs = self.graph.run(inputs!["ids" => ids, "speed" => speed])?;
        let take = |name: &str| -> ort::Result<&[f32]> {
            Ok(outputs[name].try_extract_tensor::<f32>()?.1)
        };
        let mut f0 = take("f0")?.to_vec();
        change.bend(&mut f0);
        let count = f0.len();
        let plan = Plan {
            harmonic: take("lh")?,
            phase: take("theta")?,
            noise: take("ln")?,
            free: take("lr")?,
            free_phase: take("phi")?,
        };
        let gains = change.gains(spectrum::BINS, RATE as f32 / 2.0);
        let pulses = pulses::train(&f0, RATE);
        let samples = self.frames.through(&pulses, count, |frame, bins| {
            plan.colour(frame, count, bins, &gains, &mut self.noise);
        });
        match durations {
            Some(name) => {
                let (_, lengths) = outputs[name.as_str()].try_extract_tensor::<f32>()?;
                said.units
                    .extend(row.iter().zip(lengths).map(|((_, word), length)| Unit {
                        word: *word,
                        length: *length,
                    }));
            }
            None => said.units.extend(row.iter().map(|(_, word)| Unit {
                word: *word,
                length: 1.0,
            })),
        }
        debug_assert_eq!(samples.len(), count * HOP);
        said.samples.extend(samples);
        Ok(())
    }
}

/// What the network plans, each `[bins, frames]`.
struct Plan<'a> {
    harmonic: &'a [f32],
    phase: &'a [f32],
    noise: &'a [f32],
    free: &'a [f32],
    free_phase: &'a [f32],
}

impl Plan<'_> {
    /// Turns the spectrum of pulses into that of speech.
    fn colour(
        &self,
        frame: usize,
        frames: usize,
        bins: &mut [spectrum::Bin],
        gains: &[f32],
        noise: &mut StdRng,
    ) {
        use std::f32::consts::PI;

        use rand_distr::{Distribution, StandardNormal};

        let loudness = |value: f32| value.min(LOUDEST).exp();
        for (bin, value) in bins.iter_mut().enumerate() {
            let at = bin * frames + frame;
            let turn =
                spectrum::Bin::from_polar(loudness(self.harmonic[at]), PI * self.phase[at].tanh());
            let breath =
                spectrum::Bin::new(StandardNormal.sample(noise), StandardNormal.sample(noise));
            let free = spectrum::Bin::from_polar(loudness(self.free[at]), self.free_phase[at]);
            *value = (*value * turn + breath * loudness(self.noise[at]) + free) * gains[bin];
        }
    }
}

/// Cuts symbols at spaces where there are more than the network takes.
fn parts(symbols: &[(char, Option<usize>)]) -> Vec<&[(char, Option<usize>)]> {
    let mut parts = Vec::new();
    let mut rest = symbols;
    while rest.len() > LONGEST {
        let space = rest[..LONGEST]
            .iter()
            .rposition(|(symbol, _)| *symbol == ' ');
        let (part, behind) = rest.split_at(space.map_or(LONGEST, |space| space + 1));
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_spaces_and_nothing_is_lost() {
        let symbols: Vec<(char, Option<usize>)> = (0..1500)
            .map(|at| (if at % 7 == 6 { ' ' } else { 'a' }, Some(at)))
            .collect();
        let parts = parts(&symbols);
        assert!(parts.iter().all(|part| part.len() <= LONGEST));
        assert!(
            parts[..parts.len() - 1]
                .iter()
                .all(|part| part.last().expect("not empty").0 == ' ')
        );
        assert_eq!(parts.concat(), symbols);
    }
}
