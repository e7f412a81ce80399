//! [`super::portable`] with AVX2, FMA and F16C: the same sums in the same order.

use std::arch::x86_64::{
    __m128i, __m256, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_add_ps,
    _mm256_broadcast_ss, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps,
    _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use half::f16;

use super::{LANES, Matrices, Ranks, SUMS};

/// Bytes ahead of the reading that are asked for: matrices are short, and the processor
/// would notice too late that they are read in order.
const AHEAD: usize = 1024;

/// Eight stored numbers.
#[target_feature(enable = "avx2,fma,f16c")]
fn wide(column: &[f16; LANES]) -> __m256 {
    // SAFETY: the reference is to sixteen readable bytes; the load needs no alignment.
    unsafe { _mm256_cvtph_ps(_mm_loadu_si128(column.as_ptr().cast::<__m128i>())) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn ask(column: *const f16) {
    // It reads nothing: any address will do.
    _mm_prefetch::<_MM_HINT_T0>(column.cast::<i8>().wrapping_add(AHEAD));
}

/// As [`super::portable::down`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn down<const N: usize>(
    matrices: &Matrices<'_>,
    input: [&[f32]; N],
    ranks: &mut [Ranks; N],
) {
    let inputs = matrices.size.inputs;
    let unit = _mm256_set1_ps(matrices.down_unit);
    for (block, weights) in matrices.down.chunks_exact(LANES * inputs).enumerate() {
        let (columns, _) = weights.as_chunks::<LANES>();
        let (fours, rest) = columns.as_chunks::<SUMS>();
        let values = input.map(|input| input[..inputs].as_chunks::<SUMS>());
        let mut sums = [[_mm256_setzero_ps(); SUMS]; N];
        for (at, four) in fours.iter().enumerate() {
            ask(four.as_ptr().cast());
            for (sum, column) in four.iter().enumerate() {
                let column = wide(column);
                for token in 0..N {
                    let value = _mm256_broadcast_ss(&values[token].0[at][sum]);
                    sums[token][sum] = _mm256_fmadd_ps(value, column, sums[token][sum]);
                }
            }
        }
        for (sum, column) in rest.iter().enumerate() {
            let column = wide(column);
            for token in 0..N {
                let value = _mm256_broadcast_ss(&values[token].1[sum]);
                sums[token][sum] = _mm256_fmadd_ps(value, column, sums[token][sum]);
            }
        }
        for (ranks, [a, b, c, d]) in ranks.iter_mut().zip(sums) {
            let sum = _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d));
            let lanes = &mut ranks[block * LANES..][..LANES];
            // SAFETY: the slice is of eight floats; the store needs no alignment.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_mul_ps(sum, unit)) };
        }
    }
}

/// As [`super::portable::up`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn up<const N: usize>(
    matrices: &Matrices<'_>,
    ranks: &[Ranks; N],
    output: [&mut [f32]; N],
) {
    let unit = _mm256_set1_ps(matrices.up_unit);
    let mut output = output.map(|output| output.chunks_mut(LANES));
    for weights in matrices.up.chunks_exact(LANES * matrices.rank) {
        let (columns, _) = weights.as_chunks::<LANES>();
        let mut sums = [_mm256_setzero_ps(); N];
        for (rank, column) in columns.iter().enumerate() {
            if rank.is_multiple_of(SUMS) {
                ask(column.as_ptr());
            }
            let column = wide(column);
            for token in 0..N {
                let value = _mm256_broadcast_ss(&ranks[token][rank]);
                sums[token] = _mm256_fmadd_ps(value, column, sums[token]);
            }
        }
        for (lanes, sum) in output.iter_mut().zip(sums) {
            let lanes = lanes.next().expect("as many blocks as `up` was packed in");
            if lanes.len() == LANES {
                add(lanes, sum, unit);
            } else {
                let mut padded = [0.0; LANES];
                padded[..lanes.len()].copy_from_slice(lanes);
                add(&mut padded, sum, unit);
                lanes.copy_from_slice(&padded[..lanes.len()]);
            }
        }
    }
}

/// `lanes += sum · unit`.
#[target_feature(enable = "avx2,fma,f16c")]
fn add(lanes: &mut [f32], sum: __m256, unit: __m256) {
    let lanes = &mut lanes[..LANES];
    // SAFETY: the slice is of eight floats; load and store need no alignment.
    unsafe {
        let before = _mm256_loadu_ps(lanes.as_ptr());
        _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_fmadd_ps(sum, unit, before));
    }
}
