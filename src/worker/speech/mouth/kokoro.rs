//! Kokoro's voices: one network, and for each voice a table of styles by length of the text.
//!
//! English is read by the house's own front end. German, which Kokoro never learnt, is a
//! stop-gap: espeak-ng's phonemes, mapped to the nearest symbols that it knows.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ort::{inputs, value::Tensor};

use super::{
    MouthError, english::English, espeak::Espeak, foreign, graph::Graph, said::Said, stop::Stopper,
    symbols, timing::Unit,
};

/// Samples per second.
pub(super) const RATE: u32 = 24_000;

/// Where the graph keeps how many frames each symbol takes.
const DURATIONS: &str = "/encoder/Gather_output_0";

/// The voice that speaks each language, by its file. Of six that were compared on German
/// sentences two Italian and a Spanish one were understood alike (10 to 12 % misheard), the
/// French (32 %) and the American ones (54 %) much worse. No blend of two of the best, no other
/// row of the style and no tempo from 0.8 to 1 was better by more than the texts differ.
pub(super) const STYLES: [(&str, &str); 2] = [("en", "af_heart.bin"), ("de", "if_sara.bin")];

/// A table of styles: so many rows of so many numbers, 32-bit floats, little-endian.
const ROWS: usize = 510;
const WIDTH: usize = 256;

/// How words become symbols.
pub(super) enum Reader {
    English(Arc<English>),
    /// By espeak-ng, with its name of the language.
    Foreign(Espeak, String),
}

/// An open voice.
pub(super) struct Kokoro {
    /// Shared with other voices.
    graph: Arc<Mutex<Graph>>,
    styles: Vec<f32>,
    reader: Reader,
}

impl Kokoro {
    /// # Errors
    /// When the table of styles cannot be used.
    pub(super) fn new(
        graph: Arc<Mutex<Graph>>,
        styles: &Path,
        reader: Reader,
    ) -> Result<Self, MouthError> {
        let unusable = |problem: String| MouthError::File {
            path: styles.to_owned(),
            problem,
        };
        let bytes = fs::read(styles).map_err(|error| unusable(error.to_string()))?;
        let numbers = bytes.chunks_exact(4);
        let styles: Vec<f32> = numbers
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        if styles.len() != ROWS * WIDTH {
            return Err(unusable(format!(
                "it has {} bytes, and a table of styles has {}",
                bytes.len(),
                ROWS * WIDTH * 4
            )));
        }
        Ok(Self {
            graph,
            styles,
            reader,
        })
    }

    /// Opens the network that all voices share.
    ///
    /// # Errors
    /// When a file or the library cannot be used.
    pub(super) fn graph(
        library: &Path,
        model: &Path,
        threads: usize,
        stopper: &Stopper,
    ) -> Result<Graph, MouthError> {
        Graph::open(library, model, threads, Some(DURATIONS), stopper)
    }

    /// Says words so many times as fast as the voice does.
    ///
    /// # Errors
    /// When espeak-ng or the network fails.
    pub(super) fn say(&mut self, words: &[&str], tempo: f32) -> Result<Said, MouthError> {
        let symbols = match &self.reader {
            Reader::English(english) => english.symbols(words)?,
            Reader::Foreign(espeak, voice) => german(&foreign::symbols(espeak, voice, words)?),
        };
        let known: Vec<(i64, Option<usize>)> = symbols
            .iter()
            .filter_map(|&(symbol, word)| Some((symbols::number(symbol)?, word)))
            .collect();
        let mut said = Said::default();
        for part in known.chunks(ROWS - 1) {
            self.part(part, tempo, &mut said)?;
        }
        Ok(said)
    }

    fn part(
        &mut self,
        symbols: &[(i64, Option<usize>)],
        tempo: f32,
        said: &mut Said,
    ) -> Result<(), MouthError> {
        let pad = std::iter::once((symbols::PAD, None));
        let row: Vec<(i64, Option<usize>)> = pad
            .clone()
            .chain(symbols.iter().copied())
            .chain(pad)
            .collect();
        let numbers: Vec<i64> = row.iter().map(|(number, _)| *number).collect();
        let style = symbols.len() * WIDTH;
        let style = self.styles[style..style + WIDTH].to_vec();
        let mut graph = self.graph.lock().unwrap_or_else(PoisonError::into_inner);
        let durations = graph.durations.clone();
        let outputs = graph.run(inputs![
            "tokens" => Tensor::from_array(([1, numbers.len()], numbers))?,
            "style" => Tensor::from_array(([1, WIDTH], style))?,
            "speed" => Tensor::from_array(([1], vec![tempo]))?,
        ])?;
        let (_, samples) = outputs["audio"].try_extract_tensor::<f32>()?;
        said.samples.extend_from_slice(samples);
        let lengths = match durations {
            Some(name) => lengths(&outputs[name.as_str()])?,
            None => vec![1.0; row.len()],
        };
        said.units
            .extend(row.iter().zip(lengths).map(|((_, word), length)| Unit {
                word: *word,
                length,
            }));
        Ok(())
    }
}

/// Durations, which a graph may count in whole numbers or not.
fn lengths(value: &ort::value::DynValue) -> ort::Result<Vec<f32>> {
    match value.try_extract_tensor::<i64>() {
        Ok((_, lengths)) => Ok(lengths.iter().map(|length| *length as f32).collect()),
        Err(_) => Ok(value.try_extract_tensor::<f32>()?.1.to_vec()),
    }
}

/// espeak-ng's German phonemes as Kokoro's symbols. Diphthongs and affricates are one symbol
/// there, and long `a` is bright: Kokoro's `ɑː` is the English one, which is heard as "o".
///
/// `r` is said as on the stage, with the tip of the tongue and behind short vowels as well
/// ("langər" for "langɐ"): what Kokoro makes of `ɐ` there cannot be told from a mere `ə`. Only
/// behind a long vowel is it one ("ihr", "mehr").
fn german(phonemes: &[(char, Option<usize>)]) -> Vec<(char, Option<usize>)> {
    let mut symbols = Vec::with_capacity(phonemes.len());
    let mut at = 0;
    while let Some(&(first, word)) = phonemes.get(at) {
        let second = phonemes.get(at + 1).map(|(symbol, _)| *symbol);
        let (spoken, taken) = match (first, second) {
            ('a', Some('ɪ')) => ("I", 2),
            ('a', Some('ʊ')) => ("W", 2),
            ('ɔ', Some('ø' | 'ɪ' | 'y')) => ("Y", 2),
            ('t', Some('s')) => ("ʦ", 2),
            ('t', Some('ʃ')) => ("ʧ", 2),
            ('d', Some('ʒ')) => ("ʤ", 2),
            // Words that espeak-ng knows to be English.
            ('e', Some('ɪ')) => ("A", 2),
            ('o', Some('ʊ')) => ("O", 2),
            ('ə', Some('ʊ')) => ("Q", 2),
            ('ɜ', Some('ː')) => ("ɜː", 2),
            ('ɑ', _) => ("a", 1),
            ('ɜ' | 'ɐ', _) => ("əɾ", 1),
            ('ɾ' | 'r' | 'ʀ' | 'ʁ', _) if closes(phonemes, at) => ("ɐ", 1),
            ('r' | 'ʀ' | 'ʁ', _) => ("ɾ", 1),
            ('ʏ', _) => ("y", 1),
            ('g', _) => ("ɡ", 1),
            _ => ("", 1),
        };
        if spoken.is_empty() {
            symbols.push((first, word));
        } else {
            symbols.extend(spoken.chars().map(|symbol| (symbol, word)));
        }
        at += taken;
    }
    symbols
}

/// Whether a consonant is behind a long vowel and before no vowel.
fn closes(phonemes: &[(char, Option<usize>)], at: usize) -> bool {
    let long = at > 0 && phonemes[at - 1].0 == 'ː';
    let mut behind = phonemes[at + 1..].iter().map(|(symbol, _)| *symbol);
    let next = behind.find(|symbol| !matches!(symbol, 'ˈ' | 'ˌ'));
    long && !next.is_some_and(|symbol| "aeiouyøœɛɪʊɔəɐɜɑʏ".contains(symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn german_sounds_are_mapped_to_what_the_network_knows() {
        let phonemes: Vec<(char, Option<usize>)> =
            "ˈaɪnə tsˈaɪt ʃˈœn lˈɔøft ʊnt rˈʊft ɡlˈʏk bˈɛsɜ ˈɑːbənt hˈøːrə mˈeːɾ sˈɜːvə, ç x"
                .chars()
                .map(|c| (c, Some(1)))
                .collect();
        let mapped = german(&phonemes);
        let text: String = mapped.iter().map(|(symbol, _)| *symbol).collect();
        assert_eq!(
            text,
            "ˈInə ʦˈIt ʃˈœn lˈYft ʊnt ɾˈʊft ɡlˈyk bˈɛsəɾ ˈaːbənt hˈøːɾə mˈeːɐ sˈɜːvə, ç x"
        );
        assert!(
            mapped
                .iter()
                .all(|(symbol, _)| symbols::number(*symbol).is_some())
        );
    }
}
