//! PURE: what the model thought of a token, before any sampling parameter.

use super::{
    engine::Vocabulary,
    softmax::{Distribution, clean, find_above},
};
use crate::wire::worker::{Likely, TokenLogProb};

/// Likeliest tokens that a request may ask for.
pub(crate) const MOST: u8 = 20;

/// The log-probability of `token` under a row of logits, and those of the `count` likeliest
/// tokens; of equals the lower token comes first. Impossible tokens are never among them.
pub(crate) fn of(
    logits: &[f32],
    token: u32,
    count: u8,
    vocabulary: &dyn Vocabulary,
) -> TokenLogProb {
    let distribution = Distribution::of(logits);
    let log_prob = |logit: f32| distribution.log_prob(logit) as f32;
    TokenLogProb {
        token,
        bytes: vocabulary.bytes(token).to_vec(),
        log_prob: log_prob(logits.get(token as usize).copied().unwrap_or(f32::NAN)),
        top: likeliest(logits, usize::from(count))
            .into_iter()
            .map(|(logit, token)| Likely {
                token,
                bytes: vocabulary.bytes(token).to_vec(),
                log_prob: log_prob(logit),
            })
            .collect(),
    }
}

/// The `count` greatest logits and their tokens, greatest first.
fn likeliest(logits: &[f32], count: usize) -> Vec<(f32, u32)> {
    let mut top: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
    if count == 0 {
        return top;
    }
    let mut at = 0;
    loop {
        // Only a greater one pushes out the last of a full list.
        let border = if top.len() < count {
            f32::NEG_INFINITY
        } else {
            top.last().map_or(f32::NEG_INFINITY, |last| last.0)
        };
        let Some(found) = find_above(&logits[at..], border) else {
            return top;
        };
        at += found;
        let logit = clean(logits[at]);
        let place = top.partition_point(|&(other, _)| other >= logit);
        top.insert(place, (logit, at as u32));
        top.truncate(count);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::deterministic::Bytes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_likeliest_are_those_that_sorting_puts_first(
            logits in proptest::collection::vec(
                prop_oneof![9 => (-9i8..9).prop_map(f32::from), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)],
                1..600,
            ),
            count in 0u8..=MOST,
        ) {
            let mut all: Vec<(f32, u32)> = logits
                .iter()
                .map(|&logit| clean(logit))
                .zip(0..)
                .filter(|(logit, _)| *logit > f32::NEG_INFINITY)
                .collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(usize::from(count));
            prop_assert_eq!(likeliest(&logits, usize::from(count)), all);
        }

        #[test]
        fn probabilities_sum_to_one_at_most_and_the_drawn_one_is_no_likelier_than_the_first(
            logits in proptest::collection::vec(-20f32..20.0, 1..600),
            token in any::<prop::sample::Index>(),
        ) {
            let token = token.index(logits.len()) as u32;
            let given = of(&logits, token, MOST, &Bytes::default());
            let sum: f64 = given.top.iter().map(|likely| f64::from(likely.log_prob).exp()).sum();
            prop_assert!(sum <= 1.0 + 1e-5, "{}", sum);
            prop_assert!(given.log_prob <= given.top[0].log_prob);
            if let Some(same) = given.top.iter().find(|likely| likely.token == token) {
                prop_assert_eq!(same.log_prob.to_bits(), given.log_prob.to_bits());
            }
        }
    }
}
