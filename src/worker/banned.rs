//! PURE: phrases that an output never contains.
//!
//! Texts are compared folded: each character upper-cased, then lower-cased, by Unicode's
//! full mappings, so that `Straße`, `STRASSE` and `strasse` are one. A phrase counts as soon
//! as it is complete in the output, also in text that is still held back because it may
//! begin a stop string: it may as well be none.

use super::{
    engine::Vocabulary,
    phrases::{Phrases, State},
    text::Characters,
};

/// Gives the folded form of a text, character by character.
fn fold(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// The form in which texts are compared.
pub(crate) fn folded(text: &str) -> String {
    fold(text).collect()
}

/// The banned phrases of one output, and how much of them it ends with.
#[derive(Clone, Debug)]
pub(crate) struct Banned {
    phrases: Phrases,
    at: Place,
}

#[derive(Clone, Debug, Default)]
struct Place {
    state: State,
    characters: Characters,
}

impl Banned {
    /// `None` when nothing is banned. No phrase may be empty.
    pub(crate) fn new(phrases: &[String]) -> Option<Self> {
        if phrases.is_empty() {
            return None;
        }
        let phrases: Vec<Vec<u8>> = phrases.iter().map(|p| folded(p).into_bytes()).collect();
        Some(Self {
            phrases: Phrases::new(&phrases),
            at: Place::default(),
        })
    }

    /// The tokens that contain a phrase by themselves. One pass over the vocabulary.
    pub(crate) fn whole(&self, vocabulary: &dyn Vocabulary) -> Vec<u32> {
        let size = u32::try_from(vocabulary.size()).unwrap_or(u32::MAX);
        let start = Place::default();
        (0..size)
            .filter(|&token| self.advance(&start, vocabulary.bytes(token)).is_none())
            .collect()
    }

    /// Whether the output would contain a phrase if a token of these bytes came next.
    pub(crate) fn completes(&self, bytes: &[u8]) -> bool {
        self.advance(&self.at, bytes).is_none()
    }

    /// Goes on by a token that completes nothing.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(at) = self.advance(&self.at, bytes) {
            self.at = at;
        }
    }

    /// Where the output stands after these bytes; `None` when they complete a phrase.
    fn advance(&self, from: &Place, bytes: &[u8]) -> Option<Place> {
        let mut state = from.state;
        let mut clean = true;
        let mut step = |byte: u8| {
            state = self.phrases.step(state, byte);
            clean &= !self.phrases.complete(state);
        };
        let mut characters = from.characters.clone();
        characters.push(bytes, |text| {
            if text.is_ascii() {
                text.bytes()
                    .for_each(|byte| step(byte.to_ascii_lowercase()));
            } else {
                for character in fold(text) {
                    let mut buffer = [0; 4];
                    character
                        .encode_utf8(&mut buffer)
                        .bytes()
                        .for_each(&mut step);
                }
            }
        });
        clean.then_some(Place { state, characters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::deterministic::Bytes;
    use proptest::prelude::*;

    proptest! {
        /// Tokens of any bytes, cut anywhere, in any case: what is let through never
        /// contains a phrase, and what is not let through would.
        #[test]
        fn exactly_what_would_complete_a_phrase_is_refused(
            phrases in proptest::collection::vec("[aAbSsßé]{1,4}", 1..4),
            text in "[aAbBsSßẞéÉ€]{0,30}",
            sizes in proptest::collection::vec(1usize..5, 1..8),
        ) {
            let mut banned = Banned::new(&phrases).expect("phrases");
            let mut kept: Vec<u8> = Vec::new();
            let mut rest = text.as_bytes();
            let mut sizes = sizes.iter().cycle();
            // What lossy decoding makes of an unfinished character is not there yet.
            let read = |bytes: &[u8]| {
                let mut text = String::new();
                Characters::default().push(bytes, |part| text.push_str(part));
                folded(&text)
            };
            let contains = |bytes: &[u8]| phrases.iter().any(|p| read(bytes).contains(&folded(p)));
            while !rest.is_empty() {
                let (token, after) = rest.split_at(sizes.next().copied().unwrap_or(1).min(rest.len()));
                rest = after;
                let longer = [&kept[..], token].concat();
                prop_assert_eq!(banned.completes(token), contains(&longer));
                if !banned.completes(token) {
                    banned.push(token);
                    kept = longer;
                }
            }
            prop_assert!(!contains(&kept));
        }
    }

    #[test]
    fn any_spelling_of_case_is_the_same_phrase() {
        for (phrase, spelling) in [
            ("as an ai", "As an AI"),
            ("straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("Привет", "ПРИВЕТ"),
            ("kelvin", "\u{212A}elvin"),
        ] {
            let banned = Banned::new(&[phrase.to_owned()]).expect("a phrase");
            assert!(banned.completes(spelling.as_bytes()), "{phrase}");
        }
    }

    #[test]
    fn tokens_that_contain_a_phrase_are_known_beforehand() {
        let banned = Banned::new(&["A".into(), "bc".into()]).expect("phrases");
        assert_eq!(
            banned.whole(&Bytes::default()),
            [u32::from(b'A'), u32::from(b'a')]
        );
    }
}
