//! PURE: a text under the model's own distribution, gathered row by row of logits.

use std::{num::NonZero, panic::resume_unwind, thread};

use super::{
    engine::Vocabulary,
    softmax::{Distribution, above, clean},
    text::TextStream,
};
use crate::wire::worker::TextScore;

/// Starting a thread takes as long as reading a few rows of a large vocabulary.
const ROWS_WORTH_A_THREAD: usize = 8;

/// A text that is being scored. The formulas are at [`Distribution::of`].
#[derive(Debug)]
pub(crate) struct Scoring {
    /// Tokens of the text.
    text: Vec<u32>,
    score: TextScore,
}

impl Scoring {
    pub(crate) fn new(text: Vec<u32>) -> Self {
        let count = text.len();
        Self {
            text,
            score: TextScore {
                pieces: Vec::new(),
                log_probs: Vec::with_capacity(count),
                means: Vec::with_capacity(count),
                variances: Vec::with_capacity(count),
                ranks: Vec::with_capacity(count),
            },
        }
    }

    /// Takes the logits before the next tokens of the text: rows of `length` numbers, of
    /// which the first `size` are tokens. Rows beyond the text are left alone.
    pub(crate) fn absorb(&mut self, logits: &[f32], length: usize, size: usize) {
        let known = self.score.log_probs.len();
        let rows: Vec<(&[f32], u32)> = logits
            .chunks_exact(length.max(1))
            .zip(&self.text[known..])
            .map(|(row, &token)| (&row[..row.len().min(size)], token))
            .collect();
        for read in read_all(&rows) {
            self.score.log_probs.push(read.log_prob);
            self.score.means.push(read.mean);
            self.score.variances.push(read.variance);
            self.score.ranks.push(read.rank);
        }
    }

    /// The score, once every token has had its row.
    ///
    /// # Errors
    /// In words, when a token is impossible or a row allows no token at all.
    pub(crate) fn finish(&mut self, vocabulary: &dyn Vocabulary) -> Result<TextScore, String> {
        let mut score = std::mem::take(&mut self.score);
        let numbers = [&score.log_probs, &score.means, &score.variances];
        if !numbers.into_iter().flatten().all(|n| n.is_finite()) {
            return Err("the model gives the text no probability at all".into());
        }
        score.pieces = pieces(&self.text, vocabulary);
        Ok(score)
    }
}

/// What one row says about the token that follows.
struct Read {
    log_prob: f32,
    mean: f32,
    variance: f32,
    rank: u32,
}

fn read((row, token): (&[f32], u32)) -> Read {
    let logit = row.get(token as usize).copied().unwrap_or(f32::NAN);
    let distribution = Distribution::of(row);
    Read {
        log_prob: distribution.log_prob(logit) as f32,
        mean: distribution.mean as f32,
        variance: distribution.variance as f32,
        rank: above(row, clean(logit)),
    }
}

/// Reads rows on all cores: the engine rests meanwhile. No row's numbers depend on another's.
fn read_all(rows: &[(&[f32], u32)]) -> Vec<Read> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = rows.len().div_ceil(cores).max(ROWS_WORTH_A_THREAD);
    let (others, own) = rows.split_at(rows.len().saturating_sub(share));
    thread::scope(|scope| {
        let others: Vec<_> = others
            .chunks(share)
            .map(|rows| scope.spawn(|| rows.iter().copied().map(read).collect::<Vec<_>>()))
            .collect();
        let own: Vec<Read> = own.iter().copied().map(read).collect();
        let mut all: Vec<Read> = Vec::with_capacity(rows.len());
        for other in others {
            match other.join() {
                Ok(read) => all.extend(read),
                Err(panic) => resume_unwind(panic),
            }
        }
        all.extend(own);
        all
    })
}

/// The text of each token; one that ends inside a character gives it to the next.
fn pieces(tokens: &[u32], vocabulary: &dyn Vocabulary) -> Vec<String> {
    let mut stream = TextStream::new(&[]);
    let mut pieces: Vec<String> = tokens
        .iter()
        .map(|&token| stream.push(vocabulary.bytes(token)))
        .collect();
    let rest = stream.finish();
    if let Some(last) = pieces.last_mut() {
        last.push_str(&rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::deterministic::Bytes;
    use proptest::prelude::*;

    proptest! {
        /// A rank is what sorting says, and rows may come in any portions.
        #[test]
        fn a_rank_counts_the_likelier_tokens(
            text in proptest::collection::vec(0u32..40, 1..40),
            noise in proptest::collection::vec(-3i32..3, 40 * 44),
            cut in any::<prop::sample::Index>(),
        ) {
            let (size, length) = (40, 44);
            // Whole numbers, so that many are equal; what lies beyond the vocabulary is high.
            let rows: Vec<f32> = noise
                .iter()
                .enumerate()
                .map(|(at, &logit)| if at % length < size { logit as f32 } else { 99.0 })
                .take(text.len() * length)
                .collect();
            let mut scoring = Scoring::new(text.clone());
            let cut = cut.index(text.len() + 1) * length;
            scoring.absorb(&rows[..cut], length, size);
            scoring.absorb(&rows[cut..], length, size);
            let score = scoring.finish(&Bytes::default()).expect("a sound score");
            for ((row, &token), rank) in rows.chunks(length).zip(&text).zip(score.ranks) {
                let mut sorted = row[..size].to_vec();
                sorted.sort_by(|a, b| b.total_cmp(a));
                let place = sorted.iter().position(|&l| l == row[token as usize]);
                prop_assert_eq!(place, Some(rank as usize));
            }
        }
    }

    #[test]
    fn an_impossible_text_has_no_score() {
        for impossible in [f32::NEG_INFINITY, f32::NAN] {
            let mut scoring = Scoring::new(vec![1]);
            scoring.absorb(&[0.0, impossible, 1.0], 3, 3);
            assert!(scoring.finish(&Bytes::default()).is_err());
        }
        let mut scoring = Scoring::new(vec![1]);
        scoring.absorb(&[f32::NAN; 3], 3, 3);
        assert!(scoring.finish(&Bytes::default()).is_err());
    }
}
