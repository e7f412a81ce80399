//! Adapters that mean nothing, for tests and measurements.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Adapter, AdapterShape, Part, Size, Target};

/// An adapter of a model's shape with uniform random numbers: the same ones for the same
/// seed, rank and targets. `strength` is the standard deviation of what it adds to an output
/// when the inputs are independent with a variance of one; 0.1 changes what a chat model
/// says without making it babble.
pub fn random(
    shape: &AdapterShape,
    targets: &[Target],
    rank: usize,
    strength: f32,
    seed: u64,
) -> Adapter {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    // A uniform number in ±w has the variance w²/3.
    let mut numbers = |count: usize, deviation: f32| -> Vec<f32> {
        let width = deviation * 3_f32.sqrt();
        (0..count)
            .map(|_| dice.random_range(-width..=width))
            .collect()
    };
    let parts = shape
        .modules()
        .filter(|(_, target)| targets.contains(target))
        .map(|(layer, target)| {
            let Size { inputs, outputs } = shape.size(target);
            Part {
                layer,
                target,
                rank,
                down: numbers(rank * inputs, (inputs as f32).sqrt().recip()),
                up: numbers(outputs * rank, strength / (rank as f32).sqrt()),
            }
        });
    Adapter::new(parts.collect())
}
