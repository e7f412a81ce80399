//! PURE: "don't repeat yourself", the repetition penalty of p-e-w (text-generation-webui,
//! pull request 5677).
//!
//! The history is the prompt and the output. Wherever the last n ≥ 1 tokens of the history
//! also stand earlier in it, the token that followed there would lengthen the repetition; with
//! the longest such n it loses multiplier · base^(n - allowed length), if n is at least the
//! allowed length. No repetition reaches across a token in which a breaker's text ends, nor
//! across a token without text (they give a chat its shape), and neither loses anything.
//!
//! For each place of the history the length of the repetition that ends there is kept; a
//! new token changes all of them in one pass: the place of an equal token has one more than
//! the place before it had, every other has none.

use super::{
    engine::Vocabulary,
    phrases::{Phrases, START, State},
};
use crate::wire::worker::Dry;

/// No token may become more impossible than others are likely.
const MOST: f32 = 1e30;

/// What one text repeats of itself and of its prompt.
#[derive(Debug)]
pub(crate) struct Repetitions {
    dry: Dry,
    breakers: Phrases,
    state: State,
    tokens: Vec<u32>,
    /// Tokens since the last breaker, up to and with this place; 0 where one stands.
    unbroken: Vec<u32>,
    /// How many tokens up to and with this place are also the last ones of the history.
    lengths: Vec<u32>,
    /// Kept for its memory alone: tokens and how long a repetition they would lengthen.
    found: Vec<(u32, u32)>,
}

impl Repetitions {
    /// Reads the prompt, in time linear in its length.
    pub(crate) fn new(dry: &Dry, prompt: &[u32], vocabulary: &dyn Vocabulary) -> Self {
        let breakers: Vec<Vec<u8>> = dry
            .breakers
            .iter()
            .map(|breaker| breaker.clone().into_bytes())
            .collect();
        let mut made = Self {
            dry: dry.clone(),
            breakers: Phrases::new(&breakers),
            state: START,
            tokens: Vec::with_capacity(prompt.len()),
            unbroken: Vec::with_capacity(prompt.len()),
            lengths: Vec::new(),
            found: Vec::new(),
        };
        for &token in prompt {
            made.note(token, vocabulary.bytes(token));
        }
        made.measure();
        made
    }

    fn note(&mut self, token: u32, bytes: &[u8]) {
        let mut breaks = bytes.is_empty();
        if breaks {
            self.state = START;
        }
        for &byte in bytes {
            self.state = self.breakers.step(self.state, byte);
            breaks |= self.breakers.complete(self.state);
        }
        let before = self.unbroken.last().copied().unwrap_or(0);
        self.unbroken.push(if breaks { 0 } else { before + 1 });
        self.tokens.push(token);
    }

    /// Finds all lengths anew by the Z-algorithm (Gusfield 1997, section 1.4) on the
    /// reversed history.
    fn measure(&mut self) {
        let count = self.tokens.len();
        let token = |at: usize| self.tokens[count - 1 - at];
        let mut z = vec![0usize; count];
        let (mut left, mut right) = (0, 0);
        for at in 1..count {
            let mut length = if at < right {
                z[at - left].min(right - at)
            } else {
                0
            };
            while at + length < count && token(length) == token(at + length) {
                length += 1;
            }
            z[at] = length;
            if at + length > right {
                (left, right) = (at, at + length);
            }
        }
        let last = self.unbroken.last().copied().unwrap_or(0);
        self.lengths = z
            .iter()
            .rev()
            .zip(&self.unbroken)
            .map(|(&length, &unbroken)| {
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                length.min(unbroken).min(last)
            })
            .collect();
    }

    /// Goes on by a token of the output.
    pub(crate) fn push(&mut self, token: u32, bytes: &[u8]) {
        self.note(token, bytes);
        let last = self.tokens.len() - 1;
        self.lengths.push(0);
        let broken = self.unbroken[last] == 0;
        for at in (0..last).rev() {
            let before = if at == 0 { 0 } else { self.lengths[at - 1] };
            let repeats = !broken && self.tokens[at] == token && self.unbroken[at] > 0;
            self.lengths[at] = if repeats { before + 1 } else { 0 };
        }
    }

    /// Calls `penalise` once for each token that would lengthen a repetition too far, with
    /// what its logit loses.
    pub(crate) fn penalties(&mut self, mut penalise: impl FnMut(u32, f32)) {
        let least = self.dry.allowed_length.max(1);
        self.found.clear();
        let followers = self.tokens.iter().zip(&self.unbroken).skip(1);
        for (&length, (&token, &unbroken)) in self.lengths.iter().zip(followers) {
            if length >= least && unbroken > 0 {
                self.found.push((token, length));
            }
        }
        // Of one token's repetitions the longest first.
        self.found
            .sort_unstable_by_key(|&(token, length)| (token, std::cmp::Reverse(length)));
        self.found.dedup_by_key(|&mut (token, _)| token);
        for &(token, length) in &self.found {
            let beyond = (length - self.dry.allowed_length) as f32;
            penalise(
                token,
                (self.dry.multiplier * self.dry.base.powf(beyond)).min(MOST),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::worker::deterministic::Bytes;
    use proptest::prelude::*;

    /// The rule word by word, in quadratic time: every earlier place of the last token,
    /// extended backwards as far as it goes.
    fn by_the_rule(dry: &Dry, tokens: &[u32], breaks: &[bool]) -> HashMap<u32, f32> {
        let mut longest: HashMap<u32, u32> = HashMap::new();
        let last = tokens.len() - 1;
        for at in 0..last {
            let mut length = 0;
            while length <= at
                && tokens[at - length] == tokens[last - length]
                && !breaks[at - length]
                && !breaks[last - length]
            {
                length += 1;
            }
            if length > 0 && !breaks[at + 1] {
                let length = length as u32;
                let known = longest.entry(tokens[at + 1]).or_default();
                *known = length.max(*known);
            }
        }
        longest
            .into_iter()
            .filter(|(_, length)| *length >= dry.allowed_length)
            .map(|(token, length)| {
                let beyond = (length - dry.allowed_length) as f32;
                (token, (dry.multiplier * dry.base.powf(beyond)).min(MOST))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_penalties_are_those_of_the_rule(
            history in "[ab.<>]{1,60}",
            specials in proptest::collection::vec(0usize..60, 0..3),
            prompt in any::<prop::sample::Index>(),
            allowed_length in 0u32..4,
            multiplier in 0.1f32..2.0,
        ) {
            let dry = Dry {
                multiplier,
                allowed_length,
                breakers: vec![".".into(), "<>".into()],
                ..Dry::default()
            };
            let vocabulary = Bytes::default();
            let mut tokens = vocabulary.encode_text(&history);
            for at in specials {
                if let Some(token) = tokens.get_mut(at) {
                    *token = vocabulary.end();
                }
            }
            let breaks: Vec<bool> = (0..tokens.len())
                .map(|at| {
                    let byte = vocabulary.bytes(tokens[at]);
                    let before = at.checked_sub(1).map_or(&[][..], |b| vocabulary.bytes(tokens[b]));
                    matches!(byte, [] | [b'.']) || (before, byte) == (b"<", b">")
                })
                .collect();
            let prompt = prompt.index(tokens.len()) + 1;
            let mut repetitions = Repetitions::new(&dry, &tokens[..prompt], &vocabulary);
            for end in prompt..=tokens.len() {
                if end > prompt {
                    let token = tokens[end - 1];
                    repetitions.push(token, vocabulary.bytes(token));
                }
                let mut given = HashMap::new();
                repetitions.penalties(|token, penalty| {
                    assert_eq!(given.insert(token, penalty), None, "twice");
                });
                prop_assert_eq!(given, by_the_rule(&dry, &tokens[..end], &breaks[..end]));
            }
        }
    }

    #[test]
    fn an_empty_history_repeats_nothing() {
        let mut repetitions = Repetitions::new(&Dry::default(), &[], &Bytes::default());
        repetitions.penalties(|_, _| panic!("a penalty"));
        repetitions.push(97, b"a");
        repetitions.penalties(|_, _| panic!("a penalty"));
    }

    #[test]
    fn a_long_repetition_costs_much_and_stays_a_number() {
        let history = vec![97; 2000];
        let mut repetitions = Repetitions::new(&Dry::default(), &history, &Bytes::default());
        let mut all = Vec::new();
        repetitions.penalties(|token, penalty| all.push((token, penalty)));
        assert_eq!(all, [(97, MOST)]);
    }
}
