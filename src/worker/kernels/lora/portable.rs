//! The definition of the computation, for any processor.

use half::f16;

use super::{LANES, Matrices, Ranks, SUMS};

/// `ranks = down · input · unit`.
pub(super) fn down<const N: usize>(
    matrices: &Matrices<'_>,
    input: [&[f32]; N],
    ranks: &mut [Ranks; N],
) {
    let blocks = matrices.down.chunks_exact(LANES * matrices.size.inputs);
    for (block, weights) in blocks.enumerate() {
        for (input, ranks) in input.iter().zip(ranks.iter_mut()) {
            let mut sums = [[0_f32; LANES]; SUMS];
            let columns = weights.as_chunks::<LANES>().0.iter().zip(*input);
            for (at, (column, value)) in columns.enumerate() {
                multiply(&mut sums[at % SUMS], column, *value);
            }
            for lane in 0..LANES {
                let [a, b, c, d] = sums.map(|sum| sum[lane]);
                ranks[block * LANES + lane] = ((a + b) + (c + d)) * matrices.down_unit;
            }
        }
    }
}

/// `output += up · ranks · unit`.
pub(super) fn up<const N: usize>(
    matrices: &Matrices<'_>,
    ranks: &[Ranks; N],
    mut output: [&mut [f32]; N],
) {
    let blocks = matrices.up.chunks_exact(LANES * matrices.rank);
    for (block, weights) in blocks.enumerate() {
        for (ranks, output) in ranks.iter().zip(output.iter_mut()) {
            let mut sum = [0_f32; LANES];
            for (column, value) in weights.as_chunks::<LANES>().0.iter().zip(ranks) {
                multiply(&mut sum, column, *value);
            }
            for (sum, output) in sum.iter().zip(&mut output[block * LANES..]) {
                *output = sum.mul_add(matrices.up_unit, *output);
            }
        }
    }
}

fn multiply(sums: &mut [f32; LANES], column: &[f16; LANES], value: f32) {
    for (sum, weight) in sums.iter_mut().zip(column) {
        *sum = value.mul_add(weight.to_f32(), *sum);
    }
}
