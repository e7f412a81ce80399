//! English words to sounds: readings first, then misaki's lexicons and rules (`misaki-rs`,
//! MIT), then a network for words that no lexicon has.

use misaki_rs::{G2P, Language};

use super::{MouthError, graph::Graph, normalise, oov::UnknownWords};

/// What marks a word that not even the network could read. No voice knows the symbol.
const UNREADABLE: char = '❓';

/// The front end of an English voice.
pub(super) struct English(G2P);

impl English {
    /// With the network for unknown words.
    pub(super) fn new(unknown_words: Graph) -> Self {
        let network = UnknownWords::new(unknown_words);
        let mut rules = G2P::with_fallback(Language::EnglishUS, Some(Box::new(network)));
        rules.unk = UNREADABLE.to_string();
        Self(rules)
    }

    /// The sounds of words, and of which word each is. Spaces and punctuation between two
    /// words are the former one's.
    ///
    /// # Errors
    /// When the network for unknown words fails.
    pub(super) fn symbols(&self, words: &[&str]) -> Result<Vec<(char, Option<usize>)>, MouthError> {
        let readings = normalise::english(words);
        let text = normalise::joined(&readings);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let (_, tokens) = self
            .0
            .g2p(&text)
            .map_err(|error| MouthError::Unreadable(error.to_string()))?;
        let owners = owners(&readings);
        let mut symbols = Vec::new();
        let mut read = 0;
        for token in &tokens {
            let length = token.text.chars().filter(|c| !c.is_whitespace()).count();
            let owner = owners.get(read).or(owners.last()).copied();
            read += length;
            let sounds = token.phonemes.as_deref().unwrap_or_default();
            // hibari and Kokoro have no flap and no glottal stop of their own in English.
            let sounds = sounds
                .chars()
                .filter(|c| *c != UNREADABLE)
                .map(|c| match c {
                    'ɾ' => 'T',
                    'ʔ' => 't',
                    c => c,
                });
            symbols.extend(sounds.map(|sound| (sound, owner)));
            if !token.whitespace.is_empty() {
                symbols.push((' ', owner));
            }
        }
        while symbols.last().is_some_and(|(symbol, _)| *symbol == ' ') {
            symbols.pop();
        }
        Ok(symbols)
    }
}

/// Of which written word each character is that is no space.
fn owners(readings: &[normalise::Reading]) -> Vec<usize> {
    let mut owners = Vec::new();
    for reading in readings {
        let letters = reading
            .spoken
            .chars()
            .filter(|c| !c.is_whitespace())
            .count();
        let written = reading.written.len();
        owners.extend((0..letters).map(|at| reading.written.start + at * written / letters));
    }
    owners
}
