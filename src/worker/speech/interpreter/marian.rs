//! A Marian model (Junczys-Dowmunt et al. 2018): reads a sentence, writes it in another
//! language, the likeliest token each time.
//!
//! Beams of several texts, as the models' makers use them, are a little better and several
//! times slower: whoever asks a spirit waits for this.

use super::{super::ear::goes_round, InterpreterError};
use crate::{
    models::{FetchedTranslation, translation::Pieces},
    worker::onnx_hub::decoder::{DecoderGraphs, EncoderGraph},
};

/// Tokens that a translation may have for each one of its sentence, and beside those: what
/// is longer was made up.
const GROWTH: usize = 3;
const SPARE: usize = 16;

/// One direction between two languages.
pub(super) struct Marian {
    encoder: EncoderGraph,
    decoder: DecoderGraphs,
    pieces: Pieces,
    /// What the decoder writes after.
    start: u32,
    /// Ends a text; the first one is read after a sentence.
    ends: Vec<u32>,
    /// In a row, never written.
    banned: Vec<Vec<u32>>,
    /// Tokens that it can read or write, with the one that ends or starts them.
    context: usize,
}

impl Marian {
    pub(super) fn open(
        files: FetchedTranslation,
        threads: usize,
    ) -> Result<Self, InterpreterError> {
        let missing = |what: &str| InterpreterError::Layout(format!("no {what}"));
        let FetchedTranslation {
            export,
            pieces,
            banned,
            ..
        } = files;
        let library = &files.runtime.path;
        let config = &export.config;
        let vocabulary = export.decoder.first_layout.vocabulary;
        let vocabulary = vocabulary.or(config.vocabulary);
        let vocabulary = vocabulary.ok_or_else(|| missing("size of its vocabulary"))?;
        let start = config.decoder_start;
        let start = start.ok_or_else(|| missing("decoder_start_token_id"))?;
        if config.ends.is_empty() {
            return Err(missing("eos_token_id"));
        }
        let last = config.ends.iter().copied().fold(start, u32::max) as usize;
        let tokens = pieces.tokens().max(last + 1);
        if tokens > vocabulary {
            let problem = format!("{tokens} tokens and numbers for {vocabulary}");
            return Err(InterpreterError::Layout(problem));
        }
        let path = export.encoder.as_ref().ok_or_else(|| missing("encoder"))?;
        Ok(Self {
            encoder: EncoderGraph::load(library, path, threads)?,
            decoder: DecoderGraphs::load(library, &export.decoder, vocabulary, threads)?,
            pieces,
            start,
            ends: config.ends.clone(),
            banned,
            context: config
                .context
                .ok_or_else(|| missing("max_position_embeddings"))?,
        })
    }

    /// Translates a sentence. `cancelled` is asked before each step.
    pub(super) fn translate(
        &mut self,
        sentence: &str,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<String, InterpreterError> {
        let tokens = self
            .pieces
            .cut(sentence)
            .map_err(InterpreterError::Pieces)?;
        let longest = self.context.saturating_sub(1).max(1);
        let mut told = String::new();
        for tokens in portions(&tokens, longest, |token| self.pieces.begins_word(token)) {
            let written = self.write(tokens, cancelled)?;
            let text = self.pieces.join(&written);
            if !told.is_empty() && !text.is_empty() {
                told.push(' ');
            }
            told.push_str(&text);
        }
        Ok(told)
    }

    /// The tokens of the translation, without one that ends it.
    fn write(
        &mut self,
        sentence: &[u32],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<u32>, InterpreterError> {
        check(cancelled)?;
        let read: Vec<u32> = sentence.iter().chain(&self.ends[..1]).copied().collect();
        let encoded = self.encoder.encode(&read)?;
        let may_go_round = (1..=sentence.len()).any(|end| goes_round(&sentence[..end]));
        let longest = self.context.saturating_sub(1);
        let longest = longest.min(GROWTH * sentence.len() + SPARE);
        let mut cache = None;
        let (mut token, mut written) = (self.start, Vec::new());
        while written.len() < longest {
            check(cancelled)?;
            let mut logits = self.decoder.feed(&mut cache, Some(&encoded), &[token], 1)?;
            ban(&mut logits, &written, &self.banned);
            token = likeliest(&logits)?;
            if self.ends.contains(&token) {
                return Ok(written);
            }
            written.push(token);
            if !may_go_round && goes_round(&written) {
                unwind(&mut written);
                tracing::debug!(tokens = written.len(), "a translation went round");
                return Ok(written);
            }
        }
        tracing::debug!(tokens = longest, "a translation found no end");
        Ok(written)
    }
}

fn check(cancelled: &dyn Fn() -> bool) -> Result<(), InterpreterError> {
    match cancelled() {
        true => Err(InterpreterError::Cancelled),
        false => Ok(()),
    }
}

/// Tokens in portions of at most so many, each up to where a word begins if there is one.
fn portions(tokens: &[u32], longest: usize, begins_word: impl Fn(u32) -> bool) -> Vec<&[u32]> {
    let mut portions = Vec::new();
    let mut rest = tokens;
    while rest.len() > longest {
        let ends = (1..=longest).rev().find(|end| begins_word(rest[*end]));
        let (portion, later) = rest.split_at(ends.unwrap_or(longest));
        portions.push(portion);
        rest = later;
    }
    if !rest.is_empty() {
        portions.push(rest);
    }
    portions
}

/// Rules out what would complete one of the `banned` rows of tokens.
fn ban(logits: &mut [f32], written: &[u32], banned: &[Vec<u32>]) {
    for row in banned {
        if let Some((last, before)) = row.split_last()
            && written.ends_with(before)
            && let Some(logit) = logits.get_mut(*last as usize)
        {
            *logit = f32::NEG_INFINITY;
        }
    }
}

fn likeliest(logits: &[f32]) -> Result<u32, InterpreterError> {
    let best = logits
        .iter()
        .enumerate()
        .filter(|(_, logit)| logit.is_finite())
        // Of equals the first, as torch does.
        .rev()
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    match best {
        Some((token, _)) => Ok(u32::try_from(token).unwrap_or(u32::MAX)),
        None => Err(InterpreterError::Layout(
            "logits that are no numbers".into(),
        )),
    }
}

/// Leaves one of the phrases that tokens end with again and again.
fn unwind(tokens: &mut Vec<u32>) {
    let ends_twice = |tokens: &[u32], length: usize| {
        let (before, last) = tokens.split_at(tokens.len() - length);
        before.ends_with(last)
    };
    let shortest = (1..=tokens.len() / 2).find(|length| ends_twice(tokens, *length));
    let Some(length) = shortest else { return };
    while tokens.len() >= 2 * length && ends_twice(tokens, length) {
        tokens.truncate(tokens.len() - length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_banned_row_of_tokens_is_never_completed() {
        let banned = [vec![3], vec![1, 2], vec![7]];
        let mut logits = vec![0.0; 5];
        ban(&mut logits, &[4], &banned);
        assert_eq!(logits[3], f32::NEG_INFINITY);
        assert_eq!(logits[2], 0.0);
        ban(&mut logits, &[4, 1], &banned);
        assert_eq!(logits[2], f32::NEG_INFINITY);
        assert_eq!(likeliest(&logits).unwrap(), 0);
    }

    #[test]
    fn of_equal_tokens_the_first_is_written_and_of_none_nothing() {
        let nothing = f32::NEG_INFINITY;
        assert_eq!(likeliest(&[nothing, 2.0, f32::NAN, 2.0]).unwrap(), 1);
        assert!(likeliest(&[nothing, f32::NAN]).is_err());
        assert!(likeliest(&[]).is_err());
    }

    #[test]
    fn what_went_round_is_left_once() {
        let mut tokens = vec![1, 2, 3, 4, 3, 4, 3, 4];
        unwind(&mut tokens);
        assert_eq!(tokens, [1, 2, 3, 4]);
        let mut tokens = vec![1, 2];
        unwind(&mut tokens);
        assert_eq!(tokens, [1, 2]);
    }

    proptest! {
        #[test]
        fn portions_are_short_whole_and_parted_between_words(
            tokens in prop::collection::vec(0_u32..10, 0..60),
            longest in 1_usize..12,
        ) {
            // Even tokens begin words.
            let portions = portions(&tokens, longest, |token| token % 2 == 0);
            prop_assert_eq!(&portions.concat(), &tokens);
            for (at, portion) in portions.iter().enumerate() {
                prop_assert!(!portion.is_empty() && portion.len() <= longest);
                let inside_a_word = at > 0 && portion[0] % 2 == 1;
                // Only where the one before had no other place to end.
                prop_assert!(!inside_a_word || portions[at - 1][1..].iter().all(|it| it % 2 == 1));
            }
        }
    }
}
