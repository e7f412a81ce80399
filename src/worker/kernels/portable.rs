//! The kernel for any processor, and what the others are checked against.

use super::linear::{Area, Packed, Quantised, Shared};
use crate::models::{
    gguf::blocks::BLOCK,
    import::packed::{GROUP, Layout},
};

/// Computes one area of the output.
pub(super) fn multiply(
    weights: &Packed<'_>,
    input: &Quantised,
    area: &Area,
    output: &Shared<'_, f32>,
) {
    let (inputs, blocks) = (weights.inputs, weights.blocks());
    for group in area.groups.clone() {
        let lanes = GROUP.min(weights.outputs - group * GROUP);
        let packed = weights.group(group);
        let mut unpacked = vec![[0_i8; BLOCK]; blocks * lanes];
        for (at, codes) in unpacked.iter_mut().enumerate() {
            let (block, lane) = (at / lanes, at % lanes);
            for (input, code) in codes.iter_mut().enumerate() {
                *code = packed.code(block * BLOCK + input, lane);
            }
        }
        for row in area.rows.clone() {
            let mut sums = [0.0_f32; GROUP];
            let (codes, _) = input.codes[row * inputs..][..inputs].as_chunks::<BLOCK>();
            let factors = &input.factors[row * blocks..][..blocks];
            for (block, (x, factors)) in codes.iter().zip(factors).enumerate() {
                for (lane, sum) in sums[..lanes].iter_mut().enumerate() {
                    let dot = dot(&unpacked[block * lanes + lane], x) as f32;
                    *sum = dot.mul_add(packed.scale(block, lane) * factors.scale, *sum);
                    if packed.layout == Layout::Four {
                        *sum = packed.minimum(block, lane).mul_add(factors.sum, *sum);
                    }
                }
            }
            // SAFETY: no two areas have an output in common.
            let places = unsafe { output.places(row * weights.outputs + group * GROUP, lanes) };
            places.copy_from_slice(&sums[..lanes]);
        }
    }
}

fn dot(weights: &[i8; BLOCK], inputs: &[i8; BLOCK]) -> i32 {
    let products = weights.iter().zip(inputs);
    products.map(|(w, x)| i32::from(*w) * i32::from(*x)).sum()
}
