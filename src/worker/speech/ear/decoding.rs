//! From what the decoder finds likely to a text, token by token.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    EarError,
    graphs::{Graphs, Sound, Text},
    hallucination,
    timestamps::Rules,
    tokens::Tokens,
};

/// The dice are the same each time, so that a sound always has the same text.
const SEED: u64 = 0x0ea5;

/// What was written.
pub(super) struct Written {
    /// Text alone, without times.
    pub(super) tokens: Vec<u32>,
    /// Of the text and its end, the mean of the natural logarithms of its tokens. How sure
    /// the model is of a time says nothing about the words.
    pub(super) log_probability: f32,
    /// Whether it was stopped because it went round.
    pub(super) round: bool,
}

/// Writes texts of one sound.
pub(super) struct Decoder<'a> {
    pub(super) graphs: &'a mut Graphs,
    pub(super) tokens: &'a Tokens,
    pub(super) sound: &'a Sound,
    pub(super) rules: Rules,
    /// Tokens that a text may have, times counted.
    pub(super) limit: usize,
    /// Asked before each step.
    pub(super) cancelled: &'a dyn Fn() -> bool,
}

/// A text in the making, and the logits after it.
#[derive(Clone)]
pub(super) struct State {
    pub(super) text: Text,
    pub(super) logits: Vec<f32>,
}

impl Decoder<'_> {
    /// Writes a text to its end: the likeliest token each time, or with dice that are the
    /// freer the higher the temperature is.
    pub(super) fn write(&mut self, start: State, temperature: f32) -> Result<Written, EarError> {
        let mut dice = ChaCha8Rng::seed_from_u64(SEED);
        let mut state = start;
        // With times, and without.
        let (mut written, mut tokens) = (Vec::new(), Vec::new());
        let (mut sum, mut texts, mut round) = (0.0, 0, false);
        loop {
            if (self.cancelled)() {
                return Err(EarError::Cancelled);
            }
            self.tokens.suppress(&mut state.logits, tokens.is_empty());
            let next = self.rules.next(state.logits, &written);
            let token = choose(&next.scores, temperature, &mut dice);
            let is_time = self.rules.is_time(token);
            if !is_time {
                sum += next.scores[token as usize] - next.text;
                texts += 1;
            }
            if token == self.tokens.end || written.len() == self.limit {
                break;
            }
            written.push(token);
            if !is_time {
                tokens.push(token);
                if hallucination::goes_round(&tokens) {
                    round = true;
                    break;
                }
            }
            if self.rules.is_over(&written) {
                break;
            }
            let (text, logits) = self.graphs.decode(self.sound, &state.text, &[token])?;
            state = State { text, logits };
        }
        Ok(Written {
            tokens,
            log_probability: sum / texts.max(1) as f32,
            round,
        })
    }
}

/// A token by the logarithms of all tokens' probabilities.
fn choose(scores: &[f32], temperature: f32, dice: &mut ChaCha8Rng) -> u32 {
    let likeliest = (0..)
        .zip(scores)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map_or(0, |(token, _)| token);
    if temperature == 0.0 {
        return likeliest;
    }
    let best = scores[likeliest as usize];
    let share = |score: &f32| ((score - best) / temperature).exp();
    let all: f32 = scores.iter().map(share).sum();
    let mut left = dice.random_range(0.0..1.0_f32) * all;
    let passes = |score: &f32| {
        left -= share(score);
        left < 0.0
    };
    // Rounding may leave something over.
    let chosen = scores.iter().position(passes);
    chosen.map_or(likeliest, |token| token as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_dice_the_likeliest_is_chosen_and_with_them_others_are_too() {
        let scores = [-2.4, -0.4, f32::NEG_INFINITY, -1.4];
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(choose(&scores, 0.0, &mut dice), 1);
        let chosen: Vec<u32> = (0..200).map(|_| choose(&scores, 1.0, &mut dice)).collect();
        assert!([0, 1, 3].iter().all(|token| chosen.contains(token)));
        assert!(!chosen.contains(&2));
    }
}
