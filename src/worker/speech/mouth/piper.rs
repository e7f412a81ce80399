//! Piper's voices: VITS networks (Kim et al. 2021) that take espeak-ng's phonemes.
//!
//! Beside `NAME.onnx` lies `NAME.onnx.json`, which says what the phonemes' numbers are and how
//! much the voice varies. A text is `^`, each phoneme, `$`, with `_` between any two.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use ort::{inputs, value::Tensor};
use serde::Deserialize;

use super::{
    MouthError, espeak::Espeak, foreign, graph::Graph, said::Said, stop::Stopper, timing::Unit,
};

/// Where the graph keeps how many frames each number takes.
const DURATIONS: &str = "/Ceil_output_0";

/// What the file beside the graph says.
#[derive(Deserialize)]
struct Config {
    audio: Audio,
    espeak: EspeakVoice,
    inference: Inference,
    phoneme_id_map: HashMap<String, Vec<i64>>,
    #[serde(default = "one")]
    num_speakers: u32,
}

#[derive(Deserialize)]
struct Audio {
    sample_rate: u32,
}

#[derive(Deserialize)]
struct EspeakVoice {
    voice: String,
}

#[derive(Deserialize)]
struct Inference {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

fn one() -> u32 {
    1
}

/// An open voice.
pub(super) struct Piper {
    graph: Graph,
    config: Config,
    espeak: Espeak,
}

impl Piper {
    /// # Errors
    /// When a file or the library cannot be used, or the voice has several speakers.
    pub(super) fn open(
        library: &Path,
        model: &Path,
        config: &Path,
        threads: usize,
        (espeak, stopper): (Espeak, &Stopper),
    ) -> Result<Self, MouthError> {
        let unusable = |problem: String| MouthError::File {
            path: config.to_owned(),
            problem,
        };
        let text = fs::read(config).map_err(|error| unusable(error.to_string()))?;
        let parsed: Config =
            serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
        if parsed.num_speakers > 1 {
            return Err(unusable(
                "voices of several speakers are not supported".into(),
            ));
        }
        if parsed.audio.sample_rate == 0 {
            return Err(unusable("it has no sample rate".into()));
        }
        Ok(Self {
            graph: Graph::open(library, model, threads, Some(DURATIONS), stopper)?,
            config: parsed,
            espeak,
        })
    }

    /// Samples per second.
    pub(super) fn rate(&self) -> u32 {
        self.config.audio.sample_rate
    }

    /// Says words so many times as fast as the voice does.
    ///
    /// # Errors
    /// When espeak-ng or the network fails.
    pub(super) fn say(&mut self, words: &[&str], tempo: f32) -> Result<Said, MouthError> {
        let symbols = foreign::symbols(&self.espeak, &self.config.espeak.voice, words)?;
        let row = self.config.numbers(&symbols);
        if symbols.is_empty() {
            return Ok(Said::default());
        }
        let numbers: Vec<i64> = row.iter().map(|(number, _)| *number).collect();
        let Inference {
            noise_scale,
            length_scale,
            noise_w,
        } = self.config.inference;
        let count = numbers.len();
        let scales = vec![noise_scale, length_scale / tempo, noise_w];
        let durations = self.graph.durations.clone();
        let outputs = self.graph.run(inputs![
            "input" => Tensor::from_array(([1, count], numbers))?,
            "input_lengths" => Tensor::from_array(([1], vec![count as i64]))?,
            "scales" => Tensor::from_array(([3], scales))?,
        ])?;
        let (_, samples) = outputs["output"].try_extract_tensor::<f32>()?;
        let lengths = match durations {
            Some(name) => outputs[name.as_str()]
                .try_extract_tensor::<f32>()?
                .1
                .to_vec(),
            None => vec![1.0; count],
        };
        Ok(Said {
            samples: samples.to_vec(),
            units: row
                .iter()
                .zip(lengths)
                .map(|((_, word), length)| Unit {
                    word: *word,
                    length,
                })
                .collect(),
        })
    }
}

/// The graph in a voice's folder: the one that has a config beside it.
///
/// # Errors
/// When there is none.
pub(super) fn graph_in(folder: &Path) -> Result<PathBuf, MouthError> {
    let unusable = |problem: String| MouthError::File {
        path: folder.to_owned(),
        problem,
    };
    let listing = fs::read_dir(folder).map_err(|error| unusable(error.to_string()))?;
    let mut graphs: Vec<PathBuf> = listing
        .flatten()
        .map(|item| item.path())
        .filter(|path| {
            let beside = path.with_extension("onnx.json");
            path.extension().is_some_and(|it| it == "onnx") && beside.is_file()
        })
        .collect();
    graphs.sort();
    let first = graphs.into_iter().next();
    first.ok_or_else(|| unusable("no graph with its config is in it".into()))
}

impl Config {
    /// Numbers of a text, and of which word each is. What the voice does not know is left out.
    fn numbers(&self, symbols: &[(char, Option<usize>)]) -> Vec<(i64, Option<usize>)> {
        let of = |symbol: &str| {
            self.phoneme_id_map
                .get(symbol)
                .into_iter()
                .flatten()
                .copied()
        };
        let mut row: Vec<(i64, Option<usize>)> = Vec::new();
        row.extend(of("^").chain(of("_")).map(|number| (number, None)));
        for &(symbol, word) in symbols {
            for part in decomposed(symbol) {
                let mut text = [0; 4];
                let mut known = of(part.encode_utf8(&mut text)).peekable();
                if known.peek().is_some() {
                    row.extend(known.chain(of("_")).map(|number| (number, word)));
                }
            }
        }
        row.extend(of("$").map(|number| (number, None)));
        row
    }
}

/// A letter and its accent apart, as Unicode's form D has them: so the voices were trained.
fn decomposed(symbol: char) -> impl Iterator<Item = char> {
    let (letter, accent) = match symbol {
        'ç' => ('c', Some('\u{327}')),
        'ã' => ('a', Some('\u{303}')),
        'õ' => ('o', Some('\u{303}')),
        'ẽ' => ('e', Some('\u{303}')),
        'ĩ' => ('i', Some('\u{303}')),
        'ũ' => ('u', Some('\u{303}')),
        'ö' => ('o', Some('\u{308}')),
        'ä' => ('a', Some('\u{308}')),
        'ü' => ('u', Some('\u{308}')),
        other => (other, None),
    };
    std::iter::once(letter).chain(accent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_framed_padded_and_taken_apart() {
        let config: Config = serde_json::from_str(
            r#"{
                "audio": {"sample_rate": 22050},
                "espeak": {"voice": "de"},
                "inference": {"noise_scale": 0.6, "length_scale": 1, "noise_w": 0.8},
                "phoneme_id_map": {"_": [0], "^": [1], "$": [2], "ɪ": [7], "c": [8], "̧": [9]}
            }"#,
        )
        .expect("a config");
        let row = config.numbers(&[('ɪ', Some(3)), ('ç', Some(4)), ('☃', Some(5))]);
        let numbers: Vec<i64> = row.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 0, 7, 0, 8, 0, 9, 0, 2]);
        assert_eq!(row[2].1, Some(3));
        assert_eq!(row[6].1, Some(4));
    }
}
