//! Draws the next token from a row of logits.
//!
//! The order of operations: mask, penalties, temperature, top-k, top-p, min-p, draw.
//! The repetition penalty (Keskar et al. 2019, "CTRL", section 4.1) looks at prompt and
//! output, as in Hugging Face's `transformers`; frequency and presence penalties look at
//! the output, as in OpenAI's API. Top-p is Holtzman et al. 2020, min-p Nguyen et al. 2024.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::wire::worker::Sampling;

/// How many of the likeliest candidates are sorted first; doubled eightfold until they hold
/// enough, so that a vocabulary of 50,000 is hardly ever sorted whole.
const FIRST_SORTED: usize = 256;

/// Nothing may follow: the mask and the logits leave no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no token is possible here")]
pub(crate) struct NoToken;

/// How far below the likeliest one a token may lie, in nats after temperature, to be a
/// candidate at all. What is dropped has, all 50,000 together, less than a hundred millionth
/// of the likeliest one's probability; most of the vocabulary never gets its exponential.
const DEPTH: f32 = 30.0;

#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: u32,
    /// Relative to the likeliest one, after temperature: 0 or less.
    logit: f32,
}

/// Likeliest first; of equals the lower token first, so that the order is always the same.
fn likelier(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

/// Draws the tokens of one request. What it draws depends on the logits that it is shown,
/// on its parameters and on its seed alone.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
    /// Tokens of prompt and output; empty while nothing penalises them.
    seen: HashSet<u32>,
    /// Occurrences in the output.
    counts: HashMap<u32, u32>,
    /// Kept from one draw to the next for its memory alone.
    scratch: Vec<f32>,
}

impl Sampler {
    pub(crate) fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let seen = if sampling.repetition_penalty == 1.0 {
            HashSet::new()
        } else {
            prompt.iter().copied().collect()
        };
        Self {
            sampling: sampling.clone(),
            rng: ChaCha8Rng::seed_from_u64(sampling.seed),
            seen,
            counts: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    /// Draws one token and remembers it.
    ///
    /// `mask` takes impossible tokens out by setting their logits to minus infinity; a logit
    /// that is not a number counts as impossible.
    pub(crate) fn draw(
        &mut self,
        logits: &[f32],
        mask: impl FnOnce(&mut [f32]),
    ) -> Result<u32, NoToken> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend(logits.iter().map(|&logit| {
            if logit.is_nan() {
                f32::NEG_INFINITY
            } else {
                // An infinite logit would make differences meaningless.
                logit.min(1e30)
            }
        }));
        mask(&mut scratch);
        self.penalise(&mut scratch);
        let token = self.pick(&scratch);
        self.scratch = scratch;
        let token = token?;
        if self.sampling.repetition_penalty != 1.0 {
            self.seen.insert(token);
        }
        *self.counts.entry(token).or_default() += 1;
        Ok(token)
    }

    fn penalise(&self, logits: &mut [f32]) {
        let sampling = &self.sampling;
        for &token in &self.seen {
            if let Some(logit) = logits.get_mut(token as usize) {
                if *logit > 0.0 {
                    *logit /= sampling.repetition_penalty;
                } else {
                    *logit *= sampling.repetition_penalty;
                }
            }
        }
        if sampling.frequency_penalty != 0.0 || sampling.presence_penalty != 0.0 {
            for (&token, &count) in &self.counts {
                if let Some(logit) = logits.get_mut(token as usize) {
                    *logit -= count as f32 * sampling.frequency_penalty + sampling.presence_penalty;
                }
            }
        }
    }

    fn pick(&mut self, logits: &[f32]) -> Result<u32, NoToken> {
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if best == f32::NEG_INFINITY {
            return Err(NoToken);
        }
        let temperature = self.sampling.temperature.max(0.0);
        let mut candidates: Vec<Candidate> = (0u32..)
            .zip(logits)
            .filter(|&(_, &logit)| best - logit <= DEPTH * temperature)
            .map(|(token, &logit)| Candidate {
                token,
                logit: if logit == best {
                    0.0
                } else {
                    (logit - best) / temperature
                },
            })
            .collect();
        if temperature == 0.0 {
            return candidates.first().map(|first| first.token).ok_or(NoToken);
        }
        draw_one(truncate(&mut candidates, &self.sampling), &mut self.rng).ok_or(NoToken)
    }
}

/// Weight of a candidate beside the likeliest one, whose weight is 1.
fn weight(candidate: &Candidate) -> f64 {
    f64::from(candidate.logit.exp())
}

/// Sorts the `count` likeliest to the front.
fn sort_front(candidates: &mut [Candidate], count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, likelier);
        candidates[..count].sort_unstable_by(likelier);
    } else {
        candidates.sort_unstable_by(likelier);
    }
}

/// Applies top-k, top-p and min-p: a prefix of the candidates, likeliest first. Where all
/// three are off it leaves the candidates in the order of their tokens.
fn truncate<'a>(candidates: &'a mut [Candidate], sampling: &Sampling) -> &'a [Candidate] {
    let mut kept = candidates;
    if sampling.top_k > 0 {
        let count = kept.len().min(sampling.top_k as usize);
        sort_front(kept, count);
        kept = &mut kept[..count];
    }
    let nucleus = sampling.top_p < 1.0;
    if !nucleus && sampling.min_p <= 0.0 {
        return kept;
    }
    let total: f64 = kept.iter().map(weight).sum();
    let wanted = if nucleus {
        f64::from(sampling.top_p) * total
    } else {
        f64::INFINITY
    };
    let mut sorted = 0;
    let mut sum = 0.0;
    let mut end = 0;
    while end < kept.len() {
        if end == sorted {
            sorted = (sorted * 8).max(FIRST_SORTED).min(kept.len());
            sort_front(kept, sorted);
        }
        let share = weight(&kept[end]);
        // The likeliest one always stays.
        if end > 0 && (sum >= wanted || share < f64::from(sampling.min_p)) {
            break;
        }
        sum += share;
        end += 1;
    }
    &kept[..end]
}

fn draw_one(candidates: &[Candidate], rng: &mut impl Rng) -> Option<u32> {
    let total: f64 = candidates.iter().map(weight).sum();
    let mut left = rng.random::<f64>() * total;
    for candidate in candidates {
        left -= weight(candidate);
        if left < 0.0 {
            return Some(candidate.token);
        }
    }
    // Rounding may leave a crumb.
    candidates.last().map(|last| last.token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::softmax::log_softmax;
    use proptest::prelude::*;

    fn logits() -> impl Strategy<Value = Vec<f32>> {
        let logit = prop_oneof![
            8 => -20f32..20.0,
            1 => Just(f32::NAN),
            1 => Just(f32::NEG_INFINITY),
            1 => Just(f32::INFINITY),
        ];
        proptest::collection::vec(logit, 1..700)
    }

    fn sampling() -> impl Strategy<Value = Sampling> {
        (
            prop_oneof![Just(0.0f32), 0.05f32..3.0],
            0u32..40,
            0.01f32..=1.0,
            0.0f32..1.0,
            0.5f32..2.0,
            -2.0f32..2.0,
            any::<u64>(),
        )
            .prop_map(
                |(temperature, top_k, top_p, min_p, repetition, frequency, seed)| Sampling {
                    temperature,
                    top_k,
                    top_p,
                    min_p,
                    repetition_penalty: repetition,
                    frequency_penalty: frequency,
                    presence_penalty: -frequency,
                    seed,
                    ..Sampling::default()
                },
            )
    }

    fn plain(seed: u64) -> Sampling {
        Sampling {
            seed,
            ..Sampling::default()
        }
    }

    /// The plain definition: sort everything, cut by k, then by p, then by m.
    fn kept_by_definition(mut all: Vec<Candidate>, sampling: &Sampling) -> Vec<u32> {
        all.sort_by(likelier);
        if sampling.top_k > 0 {
            all.truncate(sampling.top_k as usize);
        }
        let total: f64 = all.iter().map(weight).sum();
        let mut sum = 0.0;
        let mut kept = Vec::new();
        for candidate in &all {
            if !kept.is_empty() && sampling.top_p < 1.0 && sum >= f64::from(sampling.top_p) * total
            {
                break;
            }
            sum += weight(candidate);
            kept.push(candidate);
        }
        kept.retain(|c| c.token == all[0].token || weight(c) >= f64::from(sampling.min_p));
        let mut tokens: Vec<u32> = kept.iter().map(|c| c.token).collect();
        tokens.sort_unstable();
        tokens
    }

    proptest! {
        #[test]
        fn only_an_allowed_possible_token_is_drawn(
            logits in logits(), sampling in sampling(), modulus in 1u32..9,
        ) {
            let mut sampler = Sampler::new(&sampling, &[0, 1, 2]);
            for _ in 0..4 {
                let allowed = |token: u32| token.is_multiple_of(modulus);
                let possible = (0u32..)
                    .zip(&logits)
                    .any(|(t, l)| allowed(t) && !l.is_nan() && *l != f32::NEG_INFINITY);
                let mask = |logits: &mut [f32]| {
                    for (token, logit) in (0u32..).zip(logits) {
                        if !allowed(token) {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                };
                match sampler.draw(&logits, mask) {
                    Ok(token) => {
                        prop_assert!(allowed(token));
                        let logit = logits[token as usize];
                        prop_assert!(!logit.is_nan() && logit != f32::NEG_INFINITY);
                    }
                    Err(NoToken) => prop_assert!(!possible),
                }
            }
        }

        #[test]
        fn the_same_seed_draws_the_same_tokens(logits in logits(), sampling in sampling()) {
            let run = || {
                let mut sampler = Sampler::new(&sampling, &[3]);
                (0..8).map(|_| sampler.draw(&logits, |_| {})).collect::<Vec<_>>()
            };
            prop_assert_eq!(run(), run());
        }

        #[test]
        fn partial_sorting_keeps_what_the_definition_keeps(
            logits in proptest::collection::vec(-6f32..6.0, 1..2000),
            top_k in prop_oneof![Just(0u32), 1u32..600],
            top_p in prop_oneof![Just(1.0f32), 0.05f32..1.0],
            min_p in prop_oneof![Just(0.0f32), 0.0f32..0.9],
        ) {
            let sampling = Sampling { top_k, top_p, min_p, ..Sampling::default() };
            let best = logits.iter().copied().fold(f32::MIN, f32::max);
            let mut candidates: Vec<Candidate> = (0u32..)
                .zip(&logits)
                .map(|(token, &logit)| Candidate { token, logit: logit - best })
                .collect();
            let wanted = kept_by_definition(candidates.clone(), &sampling);
            let mut kept: Vec<u32> =
                truncate(&mut candidates, &sampling).iter().map(|c| c.token).collect();
            kept.sort_unstable();
            // Sums in another order may differ in the last bit: one token at the border.
            prop_assert!(kept.len().abs_diff(wanted.len()) <= 1, "{} for {}", kept.len(), wanted.len());
            let (short, long) = if kept.len() < wanted.len() { (&kept, &wanted) } else { (&wanted, &kept) };
            prop_assert!(short.iter().all(|token| long.contains(token)));
        }

        #[test]
        fn temperature_zero_takes_the_likeliest(
            logits in proptest::collection::vec(-9f32..9.0, 1..300), seed in any::<u64>(),
        ) {
            let mut sampler = Sampler::new(&Sampling { temperature: 0.0, ..plain(seed) }, &[]);
            let token = sampler.draw(&logits, |_| {}).expect("one is possible");
            prop_assert!(logits.iter().all(|&logit| logit <= logits[token as usize]));
        }
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [1.0f32, 0.0, 2.0, f32::NEG_INFINITY];
        let log_probs = log_softmax(&logits);
        let mut sampler = Sampler::new(&plain(7), &[]);
        let mut counts = [0u32; 4];
        for _ in 0..20_000 {
            counts[sampler.draw(&logits, |_| {}).expect("possible") as usize] += 1;
        }
        for (count, log_prob) in counts.iter().zip(log_probs) {
            assert!((f64::from(*count) / 20_000.0 - log_prob.exp()).abs() < 0.015);
        }
    }

    #[test]
    fn the_repetition_penalty_looks_at_the_prompt_and_the_others_do_not() {
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        let logits = [1.0f32, 0.9];
        let repeated = Sampling {
            repetition_penalty: 2.0,
            ..greedy.clone()
        };
        assert_eq!(Sampler::new(&repeated, &[0]).draw(&logits, |_| {}), Ok(1));
        let present = Sampling {
            presence_penalty: 0.5,
            ..greedy.clone()
        };
        let mut sampler = Sampler::new(&present, &[0]);
        assert_eq!(sampler.draw(&logits, |_| {}), Ok(0));
        assert_eq!(sampler.draw(&logits, |_| {}), Ok(1));
        let frequent = Sampling {
            frequency_penalty: 0.04,
            ..greedy
        };
        let mut sampler = Sampler::new(&frequent, &[]);
        let drawn: Vec<_> = (0..4).map(|_| sampler.draw(&logits, |_| {})).collect();
        assert_eq!(drawn, [Ok(0), Ok(0), Ok(0), Ok(1)]);
    }

    #[test]
    fn a_negative_logit_is_multiplied_by_the_repetition_penalty() {
        let sampling = Sampling {
            temperature: 0.0,
            repetition_penalty: 2.0,
            ..Sampling::default()
        };
        assert_eq!(
            Sampler::new(&sampling, &[0]).draw(&[-1.0, -1.5], |_| {}),
            Ok(1)
        );
    }
}
