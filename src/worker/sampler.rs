//! Draws the next token from a row of logits.
//!
//! The order of operations: bias, penalties, DRY, constraint, temperature, top-k, top-p,
//! min-p, draw. The repetition penalty (Keskar et al. 2019, "CTRL", section 4.1) looks at
//! prompt and output, as in Hugging Face's `transformers`; frequency and presence penalties
//! look at the output, as in OpenAI's API; DRY is in `dry`. Top-p is Holtzman et al. 2020,
//! min-p Nguyen et al. 2024.
//!
//! A drawn token that would complete a banned phrase becomes impossible at its place, and
//! the draw is repeated: without truncation that is exactly the distribution over the tokens
//! that are left.

mod draw;

use std::collections::{HashMap, HashSet};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{dry::Repetitions, engine::Vocabulary, softmax::clean};
use crate::wire::worker::Sampling;
use draw::Drawer;

/// A bias of this or less makes a token impossible.
const BAN: f32 = -100.0;

/// Draws that a place may cost before every token is looked at once: a request that bans
/// much must not hold up the others.
const REDRAWS: usize = 8;

/// Nothing may follow: the mask and the logits leave no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no token is possible here")]
pub(crate) struct NoToken;

/// Draws the tokens of one request. What it draws depends on the logits that it is shown,
/// on its parameters and on its seed alone.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
    /// Tokens that never come.
    impossible: Vec<u32>,
    /// Tokens of prompt and output; empty while nothing penalises them.
    seen: HashSet<u32>,
    /// Occurrences in the output; empty while nothing penalises them.
    counts: HashMap<u32, u32>,
    repetitions: Option<Repetitions>,
    drawer: Drawer,
    /// Kept from one draw to the next for its memory alone.
    scratch: Vec<f32>,
}

/// What the surroundings of a place forbid.
pub(crate) struct Rules<'a> {
    /// One bit per token, of words of 32: those that the constraint allows.
    pub(crate) allowed: Option<&'a [u32]>,
    /// Whether a token must not come after all; asked of tokens that were drawn.
    pub(crate) refuses: &'a dyn Fn(u32) -> bool,
}

impl Rules<'_> {
    /// Everything may come.
    #[cfg(test)]
    pub(crate) const NONE: Rules<'static> = Rules {
        allowed: None,
        refuses: &|_| false,
    };
}

impl Sampler {
    /// Tokens of `impossible` never come, nor those that the bias bans.
    pub(crate) fn new(
        sampling: &Sampling,
        mut impossible: Vec<u32>,
        prompt: &[u32],
        vocabulary: &dyn Vocabulary,
    ) -> Self {
        let seen = if sampling.repetition_penalty == 1.0 {
            HashSet::new()
        } else {
            prompt.iter().copied().collect()
        };
        let banned = sampling.logit_bias.iter().filter(|(_, bias)| **bias <= BAN);
        impossible.extend(banned.map(|(token, _)| *token));
        Self {
            rng: ChaCha8Rng::seed_from_u64(sampling.seed),
            impossible,
            seen,
            counts: HashMap::new(),
            repetitions: sampling
                .dry
                .as_ref()
                .filter(|dry| dry.multiplier > 0.0)
                .map(|dry| Repetitions::new(dry, prompt, vocabulary)),
            drawer: Drawer::default(),
            scratch: Vec::new(),
            sampling: sampling.clone(),
        }
    }

    fn counts_matter(&self) -> bool {
        self.sampling.frequency_penalty != 0.0 || self.sampling.presence_penalty != 0.0
    }

    /// Draws one token and remembers it. `bytes` gives what a token stands for.
    ///
    /// A logit that is not a number counts as impossible.
    pub(crate) fn draw(
        &mut self,
        logits: &[f32],
        rules: &Rules<'_>,
        vocabulary: &dyn Vocabulary,
    ) -> Result<u32, NoToken> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let altered = self.alter(logits, rules.allowed, &mut scratch);
        let row = if altered { &scratch } else { logits };
        let mut drawn = self.drawer.draw(row, &self.sampling, &mut self.rng);
        let mut redraws = 0;
        while let Ok(token) = drawn
            && (rules.refuses)(token)
        {
            if redraws == 0 && !altered {
                scratch.clear();
                scratch.extend_from_slice(logits);
            }
            if redraws < REDRAWS {
                scratch[token as usize] = f32::NEG_INFINITY;
            } else {
                for (token, logit) in (0u32..).zip(&mut scratch) {
                    if clean(*logit) > f32::NEG_INFINITY && (rules.refuses)(token) {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
            redraws += 1;
            drawn = self.drawer.draw(&scratch, &self.sampling, &mut self.rng);
        }
        self.scratch = scratch;
        let token = drawn?;
        if self.sampling.repetition_penalty != 1.0 {
            self.seen.insert(token);
        }
        if self.counts_matter() {
            *self.counts.entry(token).or_default() += 1;
        }
        if let Some(repetitions) = &mut self.repetitions {
            repetitions.push(token, vocabulary.bytes(token));
        }
        Ok(token)
    }

    /// Fills `changed` with the logits after bias, penalties and constraint; leaves it alone
    /// and says false when nothing changes them.
    fn alter(&mut self, logits: &[f32], allowed: Option<&[u32]>, changed: &mut Vec<f32>) -> bool {
        let sampling = &self.sampling;
        let touched = allowed.is_some()
            || !self.impossible.is_empty()
            || !self.seen.is_empty()
            || !self.counts.is_empty()
            || !sampling.logit_bias.is_empty()
            || self.repetitions.is_some();
        if !touched {
            return false;
        }
        changed.clear();
        match allowed {
            None => changed.extend_from_slice(logits),
            Some(words) => {
                changed.resize(logits.len(), f32::NEG_INFINITY);
                let groups = changed.chunks_mut(32).zip(logits.chunks(32));
                for ((changed, logits), &word) in groups.zip(words) {
                    copy_allowed(changed, logits, word);
                }
            }
        }
        let mut change = |token: u32, by: &dyn Fn(f32) -> f32| {
            if let Some(logit) = changed.get_mut(token as usize) {
                *logit = by(clean(*logit));
            }
        };
        for (&token, &bias) in &sampling.logit_bias {
            change(token, &|logit| logit + bias);
        }
        for &token in &self.impossible {
            change(token, &|_| f32::NEG_INFINITY);
        }
        let repetition = sampling.repetition_penalty;
        for &token in &self.seen {
            change(token, &|logit| {
                if logit > 0.0 {
                    logit / repetition
                } else {
                    logit * repetition
                }
            });
        }
        for (&token, &count) in &self.counts {
            let lost = count as f32 * sampling.frequency_penalty + sampling.presence_penalty;
            change(token, &|logit| logit - lost);
        }
        if let Some(repetitions) = &mut self.repetitions {
            repetitions.penalties(|token, lost| change(token, &|logit| logit - lost));
        }
        true
    }
}

fn copy_allowed(to: &mut [f32], from: &[f32], mut word: u32) {
    if word == u32::MAX {
        to.copy_from_slice(from);
        return;
    }
    while word != 0 {
        let at = word.trailing_zeros() as usize;
        if let (Some(to), Some(&from)) = (to.get_mut(at), from.get(at)) {
            *to = from;
        }
        word &= word - 1;
    }
}

#[cfg(test)]
mod tests;
