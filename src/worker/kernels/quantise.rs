//! Inputs of linear layers as bytes: blocks of 32 numbers along a row with one scale each,
//! as llama.cpp does it (`quantize_row_q8_1` of ggml).
//!
//! One source for every processor: only operations whose result IEEE 754 fixes, so that
//! compilers may vectorise them and no result changes.

use crate::models::gguf::blocks::BLOCK;

/// What the input of a linear layer is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// `[rows, inputs]`.
    Plain(&'a [f32]),
    /// activation(gate) · up, of `[rows, 2 · inputs]`: a row's gates, then its ups.
    Gated {
        gate_up: &'a [f32],
        activation: Activation,
    },
}

/// What stands between the two halves of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x · σ(x)
    Silu,
    /// x · σ(2·√(2/π)·(x + 0.044715·x³)): GELU in its approximation by tanh, since
    /// (1 + tanh z)/2 = σ(2z).
    GeluTanh,
}

/// A block's scale, and scale · sum of its codes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(super) struct Factors {
    pub(super) scale: f32,
    pub(super) sum: f32,
}

/// 1.5 · 2²³: a number up to 2²² that is added to it is rounded to an integer, half to even,
/// which the lowest bits of the sum then hold in two's complement.
const ROUNDING: f32 = 12_582_912.0;
/// Blocks of smaller numbers are zeros: 127 divided by them might not be finite.
const SMALLEST: f32 = 1e-35;

impl Input<'_> {
    /// Numbers that `rows` rows of a layer with `inputs` inputs take.
    pub(super) fn numbers(&self) -> (usize, usize) {
        match self {
            Self::Plain(numbers) => (numbers.len(), 1),
            Self::Gated { gate_up, .. } => (gate_up.len(), 2),
        }
    }

    /// One row in blocks. `codes` has `inputs` places, `factors` one for each block.
    #[inline(always)]
    pub(super) fn quantise(&self, row: usize, codes: &mut [i8], factors: &mut [Factors]) {
        let inputs = codes.len();
        let (codes, _) = codes.as_chunks_mut::<BLOCK>();
        match self {
            Self::Plain(numbers) => {
                let (blocks, _) = numbers[row * inputs..][..inputs].as_chunks::<BLOCK>();
                for ((codes, factors), block) in codes.iter_mut().zip(factors).zip(blocks) {
                    *factors = quantise_block(block, codes);
                }
            }
            Self::Gated {
                gate_up,
                activation,
            } => {
                let (gate, up) = gate_up[2 * row * inputs..][..2 * inputs].split_at(inputs);
                let pairs = gate.as_chunks::<BLOCK>().0.iter().zip(up.as_chunks().0);
                for ((codes, factors), (gate, up)) in codes.iter_mut().zip(factors).zip(pairs) {
                    let block = match activation {
                        Activation::Silu => gated(gate, up, |x| x),
                        Activation::GeluTanh => gated(gate, up, gelu_slope),
                    };
                    *factors = quantise_block(&block, codes);
                }
            }
        }
    }
}

/// A block with a number that is not finite gets factors that are not numbers, which make
/// every output of its row not a number.
#[inline(always)]
fn quantise_block(block: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> Factors {
    // Magnitudes are ordered as their bits are, and those of what is no number lie above.
    let largest = block
        .iter()
        .fold(0, |most, number| most.max(number.to_bits() & 0x7fff_ffff));
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        codes.fill(0);
        return Factors {
            scale: f32::NAN,
            sum: f32::NAN,
        };
    }
    let steps = if largest < SMALLEST {
        0.0
    } else {
        127.0 / largest
    };
    let scale = if largest < SMALLEST {
        0.0
    } else {
        largest / 127.0
    };
    let mut sum = 0;
    for (code, number) in codes.iter_mut().zip(block) {
        let rounded = (number * steps + ROUNDING).to_bits() as i8;
        *code = rounded;
        sum += i32::from(rounded);
    }
    Factors {
        scale,
        sum: scale * sum as f32,
    }
}

/// gate · σ(slope(gate)) · up
#[inline(always)]
fn gated(
    gate: &[f32; BLOCK],
    up: &[f32; BLOCK],
    slope: impl Fn(f32) -> f32 + Copy,
) -> [f32; BLOCK] {
    let mut block = [0.0; BLOCK];
    for ((out, gate), up) in block.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-slope(*gate))) * up;
    }
    block
}

/// 2·√(2/π)·(x + 0.044715·x³)
#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    x * (1.595_769 + 0.071_354_82 * (x * x))
}

/// eˣ within two units in the last place; x is cut to ±87, beyond which the result would
/// leave the floats' range. The reduction and the polynomial are those of Cephes' `expf`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let x = if x > 87.0 { 87.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDING;
    let whole = shifted - ROUNDING;
    let rest = x - whole * LN_2.0 - whole * LN_2.1;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        sum = sum * rest + coefficient;
    }
    let mantissa = sum * (rest * rest) + rest + 1.0;
    let exponent = shifted.to_bits().wrapping_add(127) << 23;
    mantissa * f32::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantised(numbers: &[f32; BLOCK]) -> ([i8; BLOCK], Factors) {
        let (mut codes, mut factors) = ([0; BLOCK], [Factors::default()]);
        Input::Plain(numbers).quantise(0, &mut codes, &mut factors);
        (codes, factors[0])
    }

    proptest! {
        #[test]
        fn a_code_is_within_half_a_step_of_its_number(
            numbers in proptest::array::uniform32(-1e3..1e3_f32),
        ) {
            let (codes, factors) = quantised(&numbers);
            for (code, number) in codes.iter().zip(numbers) {
                let loss = (f32::from(*code) * factors.scale - number).abs();
                prop_assert!(loss <= 0.5001 * factors.scale);
            }
            let sum: f32 = codes.iter().map(|code| f32::from(*code)).sum();
            prop_assert_eq!(factors.sum, factors.scale * sum);
        }

        #[test]
        fn the_exponential_is_exact_to_a_few_units(x in -87.0..87.0_f32) {
            let exact = f64::from(x).exp();
            prop_assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7);
        }

        #[test]
        fn gates_are_what_their_formulas_say(gate in -30.0..30.0_f32, up in -5.0..5.0_f32) {
            let x = f64::from(gate);
            let silu = x / (1.0 + (-x).exp());
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            let gelu = 0.5 * x * (1.0 + inner.tanh());
            for (activation, expected) in [(Activation::Silu, silu), (Activation::GeluTanh, gelu)] {
                let mut gate_up = [0.0; 2 * BLOCK];
                (gate_up[3], gate_up[BLOCK + 3]) = (gate, up);
                let (mut codes, mut factors) = ([0; BLOCK], [Factors::default()]);
                let input = Input::Gated { gate_up: &gate_up, activation };
                input.quantise(0, &mut codes, &mut factors);
                // The only number of its block, so it is ±127 steps.
                let found = f64::from(factors[0].scale) * f64::from(codes[3]);
                let expected = expected * f64::from(up);
                prop_assert!((found - expected).abs() <= 2e-6 * expected.abs() + 1e-9);
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut numbers = [1.0; BLOCK];
            numbers[7] = odd;
            let (codes, factors) = quantised(&numbers);
            assert_eq!(codes, [0; BLOCK]);
            assert!(factors.scale.is_nan() && factors.sum.is_nan());
        }
    }

    #[test]
    fn tiny_numbers_are_zeros_and_halves_go_to_the_even_side() {
        let (codes, factors) = quantised(&[1e-40; BLOCK]);
        assert_eq!((codes, factors), ([0; BLOCK], Factors::default()));
        let mut numbers = [0.0; BLOCK];
        numbers[..4].copy_from_slice(&[127.0, 2.5, 3.5, -2.5]);
        let (codes, _) = quantised(&numbers);
        assert_eq!(codes[..4], [127, 2, 4, -2]);
    }
}
