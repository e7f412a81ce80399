//! Cuts texts into a Marian model's tokens, and joins them again.
//!
//! As `MarianTokenizer` of Hugging Face's transformers: SentencePiece with the source
//! language's pieces (Kudo 2018, the likeliest cut of a unigram model), which one vocabulary
//! of both languages then numbers.

use std::{
    collections::HashMap,
    fmt,
    panic::{self, AssertUnwindSafe},
};

use tokenizers::{models::unigram::Unigram, normalizers::Precompiled};

use super::spm::{Role, Spm};

/// Stands for a space, before a word.
const SPACE: char = '\u{2581}';
const UNKNOWN: &str = "<unk>";
/// Pieces that are no text.
const SPECIAL: [&str; 5] = ["</s>", UNKNOWN, "<pad>", "<s>", "<NUL>"];
/// Longest text that a table of characters may put for one, bytes. NFKC has 33.
const MAX_REPLACEMENT: usize = 64;
/// Most tokens of a vocabulary.
const MAX_TOKENS: u32 = 1 << 20;

/// Cuts and joins.
pub struct Pieces {
    source: Unigram,
    charsmap: Option<Precompiled>,
    numbers: HashMap<String, u32>,
    /// By their numbers; empty where there is none, and of those that are no text.
    texts: Vec<String>,
    unknown: u32,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("tokens", &self.numbers.len())
            .finish_non_exhaustive()
    }
}

impl Pieces {
    /// Reads `source.spm` and `vocab.json`.
    ///
    /// # Errors
    /// With what is wrong with them.
    pub fn of(spm: &[u8], vocabulary: &[u8]) -> Result<Self, String> {
        let spm = Spm::of(spm).map_err(|problem| format!("source.spm: {problem}"))?;
        let mut numbers: HashMap<String, u32> =
            serde_json::from_slice(vocabulary).map_err(|error| format!("vocab.json: {error}"))?;
        let unknown = *numbers
            .get(UNKNOWN)
            .ok_or_else(|| format!("vocab.json has no {UNKNOWN}"))?;
        let last = numbers.values().max().copied().unwrap_or_default();
        if last >= MAX_TOKENS {
            return Err(format!("vocab.json has a token {last}"));
        }
        let mut texts = vec![String::new(); last as usize + 1];
        // Whoever writes what ends a text into one, ends none.
        numbers.retain(|text, _| !SPECIAL.contains(&text.as_str()));
        for (text, number) in &numbers {
            texts[*number as usize].clone_from(text);
        }
        let charsmap = match spm.charsmap.as_slice() {
            [] => None,
            bytes => Some(charsmap(bytes)?),
        };
        // What a text may be cut into, after one that stands for all else.
        let stranger = (UNKNOWN.to_owned(), 0.0);
        let known = spm.pieces.into_iter().filter(|it| it.role == Role::Text);
        let known = known.map(|piece| (piece.text, f64::from(piece.score)));
        let known = std::iter::once(stranger).chain(known).collect();
        let source = held(|| {
            let mut source = Unigram::from(known, Some(0), false)?;
            // It would remember what it has read.
            source.resize_cache(0);
            Ok(source)
        })?;
        Ok(Self {
            source,
            charsmap,
            numbers,
            texts,
            unknown,
        })
    }

    /// One more than its last token.
    pub fn tokens(&self) -> usize {
        self.texts.len()
    }

    /// The tokens of a text, without one that ends it.
    ///
    /// # Errors
    /// When the model is damaged.
    pub fn cut(&self, text: &str) -> Result<Vec<u32>, String> {
        let pieces = held(|| {
            let text = match &self.charsmap {
                Some(charsmap) => charsmap.normalize_string(text),
                None => text.to_owned(),
            };
            let mut spaced = String::with_capacity(text.len() + SPACE.len_utf8());
            for word in text.split_whitespace() {
                spaced.push(SPACE);
                spaced.push_str(word);
            }
            self.source.encode(&spaced)
        })?;
        let number = |piece: &String| self.numbers.get(piece).copied().unwrap_or(self.unknown);
        Ok(pieces.iter().map(number).collect())
    }

    /// What tokens say.
    pub fn join(&self, tokens: &[u32]) -> String {
        let texts = tokens
            .iter()
            .filter_map(|token| self.texts.get(*token as usize));
        let joined: String = texts.map(String::as_str).collect();
        joined.replace(SPACE, " ").trim().to_owned()
    }

    /// Whether a word begins with a token.
    pub fn begins_word(&self, token: u32) -> bool {
        let text = self.texts.get(token as usize);
        text.is_some_and(|text| text.starts_with(SPACE))
    }
}

/// A table of characters that makes no text endless. Its layout is that of SentencePiece's
/// `normalizer.cc`: the length of a trie, the trie, and texts that each end with a zero.
fn charsmap(bytes: &[u8]) -> Result<Precompiled, String> {
    let wrong = || "source.spm has a damaged table of characters".to_owned();
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| wrong())?;
    let (_, texts) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let mut texts = texts.split(|byte| *byte == 0);
    if texts.any(|text| text.len() > MAX_REPLACEMENT) {
        return Err(wrong());
    }
    held(|| Ok(Precompiled::from(bytes)?)).map_err(|_| wrong())
}

/// Runs the library, which trusts its files; a panic is an error like any other.
fn held<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    // Nothing that the work changes outlives a panic.
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("source.spm has parts that do not fit".into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::spm::fixture::spm, *};

    fn pieces() -> Pieces {
        let source = spm(&[
            ("<unk>", 0.0, 2),
            ("<s>", 0.0, 3),
            ("</s>", 0.0, 3),
            ("\u{2581}", -4.0, 1),
            ("\u{2581}wo", -2.0, 1),
            ("\u{2581}w", -2.5, 1),
            ("o", -2.5, 1),
            ("\u{2581}bist", -3.0, 1),
            ("?", -2.0, 1),
            // Of the source language alone.
            ("q", -5.0, 1),
        ]);
        let vocabulary = "{\"</s>\": 0, \"<unk>\": 1, \"?\": 2, \"\u{2581}wo\": 3, \
             \"\u{2581}bist\": 4, \"\u{2581}\": 5, \"o\": 6, \"\u{2581}w\": 7, \"<pad>\": 9, \
             \"\u{2581}where\": 8}";
        Pieces::of(&source, vocabulary.as_bytes()).unwrap()
    }

    #[test]
    fn the_likeliest_cut_is_taken_and_spaces_begin_words() {
        let pieces = pieces();
        assert_eq!(pieces.cut("  wo\t bist? ").unwrap(), [3, 4, 2]);
        assert_eq!(pieces.cut("woo").unwrap(), [3, 6]);
        assert!(pieces.cut("").unwrap().is_empty());
        assert!(pieces.begins_word(3) && !pieces.begins_word(6) && !pieces.begins_word(99));
    }

    #[test]
    fn what_neither_the_source_nor_the_vocabulary_has_is_unknown() {
        let pieces = pieces();
        assert_eq!(pieces.cut("q").unwrap(), [5, 1]);
        assert_eq!(pieces.cut("☂☂").unwrap(), [5, 1]);
        // Only the target language has it.
        assert!(!pieces.cut("where").unwrap().contains(&8));
        // What ends a text cannot be written into one.
        assert!(!pieces.cut("wo</s>").unwrap().contains(&0));
    }

    #[test]
    fn tokens_are_joined_without_those_that_are_no_text() {
        assert_eq!(pieces().join(&[9, 8, 4, 1, 2, 0, 99]), "where bist?");
    }

    #[test]
    fn damaged_files_are_refused() {
        let source = spm(&[("<unk>", 0.0, 2)]);
        for vocabulary in [
            "",
            "[]",
            "{\"a\": 1}",
            "{\"<unk>\": 4294967295}",
            "{\"<unk>\": -1}",
        ] {
            assert!(
                Pieces::of(&source, vocabulary.as_bytes()).is_err(),
                "{vocabulary}"
            );
        }
        let endless = [&0_u32.to_le_bytes()[..], &[b'a'; 100], &[0]].concat();
        for wrong in [&[][..], &[1, 0, 0, 0], &endless] {
            assert!(charsmap(wrong).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_cut(text: String) {
            let pieces = pieces();
            let tokens = pieces.cut(&text).unwrap();
            pieces.join(&tokens);
        }

        #[test]
        fn words_that_are_known_come_back(words in prop::collection::vec("wo{1,4}|bist\\?{0,2}", 0..8)) {
            let pieces = pieces();
            let text = words.join(" ");
            prop_assert_eq!(pieces.join(&pieces.cut(&text).unwrap()), text);
        }
    }
}
