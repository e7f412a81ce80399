use super::*;
use crate::{
    wire::worker::Dry,
    worker::{deterministic::Bytes, softmax::log_softmax},
};
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
        any::<bool>(),
    )
        .prop_map(
            |(temperature, top_k, top_p, min_p, repetition, frequency, seed, dry)| Sampling {
                temperature,
                top_k,
                top_p,
                min_p,
                repetition_penalty: repetition,
                frequency_penalty: frequency,
                presence_penalty: -frequency,
                dry: dry.then(|| Dry {
                    allowed_length: 1,
                    ..Dry::default()
                }),
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

fn greedy() -> Sampling {
    Sampling {
        temperature: 0.0,
        ..Sampling::default()
    }
}

fn sampler(sampling: &Sampling, prompt: &[u32]) -> Sampler {
    Sampler::new(sampling, Vec::new(), prompt, &Bytes::default())
}

fn draw(sampler: &mut Sampler, logits: &[f32]) -> Result<u32, NoToken> {
    sampler.draw(logits, &Rules::NONE, &Bytes::default())
}

fn words(count: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut words = vec![0u32; count.div_ceil(32)];
    for token in (0..count as u32).filter(|&token| allowed(token)) {
        words[token as usize / 32] |= 1 << (token % 32);
    }
    words
}

proptest! {
    #[test]
    fn only_an_allowed_possible_token_is_drawn(
        logits in logits(), sampling in sampling(), modulus in 1u32..9, refused in 2u32..9,
    ) {
        let mut sampler = sampler(&sampling, &[0, 1, 2]);
        let allowed = |token: u32| token.is_multiple_of(modulus);
        let refuses = |token: u32| token % refused == 1;
        let words = words(logits.len(), allowed);
        for _ in 0..4 {
            let possible = (0u32..)
                .zip(&logits)
                .any(|(t, l)| allowed(t) && !refuses(t) && !l.is_nan() && *l != f32::NEG_INFINITY);
            let rules = Rules { allowed: Some(&words), refuses: &refuses };
            match sampler.draw(&logits, &rules, &Bytes::default()) {
                Ok(token) => {
                    prop_assert!(allowed(token) && !refuses(token));
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
            let mut sampler = sampler(&sampling, &[3]);
            (0..8).map(|_| draw(&mut sampler, &logits)).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn temperature_zero_takes_the_likeliest(
        logits in proptest::collection::vec(-9f32..9.0, 1..300), seed in any::<u64>(),
    ) {
        let mut sampler = sampler(&Sampling { temperature: 0.0, ..plain(seed) }, &[]);
        let token = draw(&mut sampler, &logits).expect("one is possible");
        let best = logits.iter().copied().fold(f32::MIN, f32::max);
        prop_assert_eq!(logits.iter().position(|&logit| logit == best), Some(token as usize));
    }

    /// However large the other logits are, and whatever else is asked for.
    #[test]
    fn a_bias_of_minus_a_hundred_bans(
        logits in logits(), mut sampling in sampling(), banned in proptest::collection::btree_set(0u32..700, 1..9),
    ) {
        sampling.logit_bias = banned.iter().map(|&token| (token, -100.0)).collect();
        let mut sampler = sampler(&sampling, &[]);
        for _ in 0..4 {
            match draw(&mut sampler, &logits) {
                Ok(token) => prop_assert!(!banned.contains(&token)),
                Err(NoToken) => {
                    let none = (0u32..).zip(&logits).all(|(token, &logit)| {
                        banned.contains(&token) || clean(logit) == f32::NEG_INFINITY
                    });
                    prop_assert!(none);
                }
            }
        }
    }

    /// A bias is what the logit would have been.
    #[test]
    fn a_bias_is_added(
        logits in proptest::collection::vec(-9i8..9, 1..300),
        bias in proptest::collection::btree_map(0u32..300, -20i8..20, 1..9),
        seed in any::<u64>(),
    ) {
        let logits: Vec<f32> = logits.into_iter().map(f32::from).collect();
        let bias: std::collections::BTreeMap<u32, f32> =
            bias.into_iter().map(|(token, bias)| (token, f32::from(bias))).collect();
        let shifted: Vec<f32> = (0u32..)
            .zip(&logits)
            .map(|(token, logit)| logit + bias.get(&token).unwrap_or(&0.0))
            .collect();
        let biased = Sampling { logit_bias: bias, ..plain(seed) };
        prop_assert_eq!(
            draw(&mut sampler(&biased, &[]), &logits),
            draw(&mut sampler(&plain(seed), &[]), &shifted),
        );
    }
}

#[test]
fn draws_follow_the_softmax() {
    let logits = [1.0f32, 0.0, 2.0, f32::NEG_INFINITY];
    let log_probs = log_softmax(&logits);
    let mut sampler = sampler(&plain(7), &[]);
    let mut counts = [0u32; 4];
    for _ in 0..20_000 {
        counts[draw(&mut sampler, &logits).expect("possible") as usize] += 1;
    }
    for (count, log_prob) in counts.iter().zip(log_probs) {
        assert!((f64::from(*count) / 20_000.0 - log_prob.exp()).abs() < 0.015);
    }
}

#[test]
fn what_is_refused_leaves_the_others_their_shares() {
    let logits: Vec<f32> = (0u8..40).map(|token| f32::from(token % 4)).collect();
    // Few enough to be drawn again, and so many that all are looked at.
    for kept in [20u32, 3] {
        let refuses = |token: u32| token >= kept;
        let rules = Rules {
            allowed: None,
            refuses: &refuses,
        };
        let log_probs = log_softmax(&logits[..kept as usize]);
        let mut sampler = sampler(&plain(3), &[]);
        let mut counts = vec![0u32; kept as usize];
        for _ in 0..20_000 {
            let token = sampler.draw(&logits, &rules, &Bytes::default());
            counts[token.expect("possible") as usize] += 1;
        }
        for (count, log_prob) in counts.iter().zip(log_probs) {
            assert!((f64::from(*count) / 20_000.0 - log_prob.exp()).abs() < 0.015);
        }
    }
}

#[test]
fn the_repetition_penalty_looks_at_the_prompt_and_the_others_do_not() {
    let logits = [1.0f32, 0.9];
    let repeated = Sampling {
        repetition_penalty: 2.0,
        ..greedy()
    };
    assert_eq!(draw(&mut sampler(&repeated, &[0]), &logits), Ok(1));
    let present = Sampling {
        presence_penalty: 0.5,
        ..greedy()
    };
    let mut sampler_ = sampler(&present, &[0]);
    assert_eq!(draw(&mut sampler_, &logits), Ok(0));
    assert_eq!(draw(&mut sampler_, &logits), Ok(1));
    let frequent = Sampling {
        frequency_penalty: 0.04,
        ..greedy()
    };
    let mut sampler = sampler(&frequent, &[]);
    let drawn: Vec<_> = (0..4).map(|_| draw(&mut sampler, &logits)).collect();
    assert_eq!(drawn, [Ok(0), Ok(0), Ok(0), Ok(1)]);
}

#[test]
fn a_negative_logit_is_multiplied_by_the_repetition_penalty() {
    let repeated = Sampling {
        repetition_penalty: 2.0,
        ..greedy()
    };
    assert_eq!(draw(&mut sampler(&repeated, &[0]), &[-1.0, -1.5]), Ok(1));
}

#[test]
fn dry_looks_at_prompt_and_output() {
    let dry = Sampling {
        dry: Some(Dry {
            allowed_length: 1,
            ..Dry::default()
        }),
        ..greedy()
    };
    // "ab a": b would repeat "ab"; then, with c drawn, nothing is repeated.
    let mut logits = vec![0f32; 260];
    (logits[98], logits[99]) = (1.0, 0.9);
    let mut sampler = sampler(&dry, &[97, 98, 97]);
    assert_eq!(draw(&mut sampler, &logits), Ok(99));
    assert_eq!(draw(&mut sampler, &logits), Ok(98));
}
