use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{models::peft::random, worker::kernels::Alone};

const QKV: [Target; 3] = [Target::Query, Target::Key, Target::Value];

/// No size is a whole number of lanes or sums.
fn shape() -> AdapterShape {
    let size = |inputs, outputs| Size { inputs, outputs };
    AdapterShape {
        layers: 2,
        sizes: [
            size(27, 30),
            size(27, 13),
            size(27, 13),
            size(30, 27),
            size(27, 41),
            size(27, 41),
            size(41, 27),
        ],
    }
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| dice.random_range(-2.0..2.0)).collect()
}

fn bank(adapters: &[Adapter]) -> LoraBank {
    let mut bank = LoraBank::new(adapters.len(), &shape());
    for (place, adapter) in adapters.iter().enumerate() {
        bank.load(place, adapter).unwrap();
    }
    bank
}

/// Adapters of different ranks and targets.
fn some() -> Vec<Adapter> {
    let some = |targets: &[Target], rank, seed| random(&shape(), targets, rank, 0.5, seed);
    vec![
        some(&Target::ALL, 8, 1),
        some(&[Target::Query, Target::Value], 3, 2),
        some(&Target::ALL, 17, 3),
        some(&[Target::Down], 1, 4),
    ]
}

/// A team that gives the parts to threads of their own, in another order.
struct Crowd;

impl Team for Crowd {
    fn members(&self) -> usize {
        4
    }

    fn split(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for part in (0..parts).rev() {
                scope.spawn(move || work(part));
            }
        });
    }
}

/// The queries, keys and values of tokens that had `before` there.
fn qkv(
    bank: &LoraBank,
    places: &[Option<u32>],
    input: &[f32],
    before: &[f32],
    team: &dyn Team,
) -> Vec<f32> {
    let mut output = before.to_vec();
    bank.add_all(1, &QKV, places, input, &mut output, team);
    output
}

/// What one part says about one token, in 64 bits.
fn expected(part: &Part, size: Size, input: &[f32]) -> Vec<f64> {
    let dot =
        |a: &[f32], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum() };
    let input: Vec<f64> = input.iter().map(|x| f64::from(*x)).collect();
    let ranks: Vec<f64> = part
        .down
        .chunks_exact(size.inputs)
        .map(|row| dot(row, &input))
        .collect();
    part.up
        .chunks_exact(part.rank)
        .map(|row| dot(row, &ranks))
        .collect()
}

#[test]
fn every_target_gets_what_its_matrices_say() {
    let adapters = some();
    let bank = bank(&adapters);
    for (place, adapter) in adapters.iter().enumerate() {
        for part in &adapter.parts {
            let size = shape().size(part.target);
            let places = [Some(place as u32)];
            assert!(bank.speaks(part.layer, part.target, &places));
            let (input, before) = (numbers(size.inputs, 5), numbers(size.outputs, 6));
            let mut output = before.clone();
            let targets = [part.target];
            bank.add_all(part.layer, &targets, &places, &input, &mut output, &Alone);
            let expected = expected(part, size, &input);
            for ((after, before), expected) in output.iter().zip(before).zip(expected) {
                let error = f64::from(*after) - f64::from(before) - expected;
                assert!(error.abs() < 2e-3, "{after} {before} {expected}");
            }
        }
    }
}

#[test]
fn what_has_no_adapter_is_not_touched() {
    let bank = bank(&some());
    // Place 3 has no part for these targets, place 9 does not exist.
    let places = [None, Some(3), Some(0), None, Some(9)];
    let (input, before) = (numbers(5 * 27, 1), numbers(5 * 56, 2));
    let after = qkv(&bank, &places, &input, &before, &Alone);
    let changed: Vec<bool> = after
        .chunks_exact(56)
        .zip(before.chunks_exact(56))
        .map(|(after, before)| after != before)
        .collect();
    assert_eq!(changed, [false, false, true, false, false]);
    assert!(!bank.speaks(1, Target::Query, &[None, Some(3), Some(9)]));
    assert!(bank.holds(3) && !bank.holds(9));
}

#[test]
fn a_place_forgets_its_former_adapter() {
    let adapters = some();
    let mut bank = bank(&adapters);
    let (input, before) = (numbers(27, 1), numbers(56, 2));
    let small = qkv(&bank, &[Some(1)], &input, &before, &Alone);
    let large = qkv(&bank, &[Some(2)], &input, &before, &Alone);
    bank.load(2, &adapters[1]).unwrap();
    assert_eq!(qkv(&bank, &[Some(2)], &input, &before, &Alone), small);
    bank.load(1, &adapters[2]).unwrap();
    assert_eq!(qkv(&bank, &[Some(1)], &input, &before, &Alone), large);
    assert!(!bank.speaks(0, Target::Gate, &[Some(2)]));
}

#[test]
fn neither_tiny_nor_huge_numbers_are_lost() {
    let size = shape().size(Target::Query);
    let part = |down: f32, up: f32| Part {
        layer: 0,
        target: Target::Query,
        rank: 1,
        down: vec![down; size.inputs],
        up: vec![up; size.outputs],
    };
    let input = vec![1.0; size.inputs];
    for (down, up) in [
        (1e-12, 1e12),
        (3e30, 1e-30),
        (1e5, 1e5),
        (1.0, 1e-20),
        (0.0, 1.0),
    ] {
        let bank = bank(&[Adapter::new(vec![part(down, up)])]);
        let mut output = vec![0.0; size.outputs];
        let (targets, places) = ([Target::Query], [Some(0)]);
        bank.add_all(0, &targets, &places, &input, &mut output, &Alone);
        let expected = f64::from(down) * f64::from(up) * size.inputs as f64;
        for value in output {
            assert!(
                (f64::from(value) - expected).abs() <= 1e-3 * expected.abs(),
                "{value}"
            );
        }
    }
}

#[test]
fn sixteen_bit_floats_keep_all_their_bits() {
    let size = shape().size(Target::Query);
    let mut adapter = random(&shape(), &[Target::Query], 1, 0.5, 9);
    for part in &mut adapter.parts {
        let narrow = |x: &mut f32| *x = f16::from_f32(*x).to_f32();
        part.down.iter_mut().chain(&mut part.up).for_each(narrow);
    }
    let bank = bank(std::slice::from_ref(&adapter));
    let places = [Some(0)];
    // One input alone and one rank: a single product, rounded once.
    let mut input = vec![0.0; size.inputs];
    input[20] = 1.0;
    let mut output = vec![0.0; size.outputs];
    bank.add_all(0, &[Target::Query], &places, &input, &mut output, &Alone);
    let part = &adapter.parts[0];
    let product: Vec<f32> = part.up.iter().map(|up| up * part.down[20]).collect();
    assert_eq!(output, product);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut bank = LoraBank::new(1, &shape());
    let adapter = random(&shape(), &[Target::Key], 2, 0.5, 1);
    assert!(bank.load(1, &adapter).is_err());
    let mut other = shape();
    other.sizes[Target::Key as usize].inputs += 1;
    let stranger = random(&other, &[Target::Key], 2, 0.5, 1);
    assert!(bank.load(0, &stranger).is_err());
    assert!(!bank.holds(0));
    assert!(bank.load(0, &adapter).is_ok());
}

proptest! {
    #[test]
    fn a_token_gets_the_same_bits_in_any_company(
        picks in proptest::collection::vec((proptest::option::of(0..4_u32), 1..30_usize), 1..8),
        seed in any::<u64>(),
    ) {
        let bank = bank(&some());
        let places: Vec<Option<u32>> = picks
            .iter()
            .flat_map(|(place, count)| std::iter::repeat_n(*place, *count))
            .collect();
        let (input, before) = (numbers(places.len() * 27, seed), numbers(places.len() * 56, !seed));
        let together = qkv(&bank, &places, &input, &before, &Crowd);
        for (token, place) in places.iter().enumerate() {
            let input = &input[token * 27..][..27];
            let before = &before[token * 56..][..56];
            let alone = qkv(&bank, &[*place], input, before, &Alone);
            prop_assert_eq!(&together[token * 56..][..56], &alone[..]);
        }
    }

    #[test]
    fn every_processor_computes_the_same_bits(
        place in 0..4_u32,
        tokens in 1..6_usize,
        seed in any::<u64>(),
    ) {
        let bank = bank(&some());
        let portable = LoraBank { wide: false, places: super::tests::bank(&some()).places, shape: shape() };
        let places = vec![Some(place); tokens];
        for target in Target::ALL {
            let size = shape().size(target);
            let input = numbers(tokens * size.inputs, seed);
            let mut outputs = [(); 2].map(|()| numbers(tokens * size.outputs, !seed));
            for (bank, output) in [&bank, &portable].into_iter().zip(&mut outputs) {
                bank.add_all(0, &[target], &places, &input, output, &Alone);
            }
            prop_assert_eq!(&outputs[0], &outputs[1]);
        }
    }
}
