//! The kernel for x86 processors with AVX2, FMA and F16C (Intel since 2013, AMD since 2015).
//!
//! One vector holds four inputs' codes for each of a group's eight outputs, so that nothing
//! is ever summed across a vector. Sums of bytes stay within their 16 bits: at most
//! 8 · 2 · 15 · 127 = 30,480 with four bits, and 2 · 127 · 127 = 32,258 with eight.

use std::arch::x86_64::*;

use super::{
    linear::{Area, Packed, Quantised, Shared},
    quantise::{Factors, Input},
};
use crate::models::{
    gguf::blocks::BLOCK,
    import::packed::{GROUP, Layout, QUAD},
};

/// Quads of a block.
const QUADS: usize = BLOCK / QUAD;
/// Rows that share a reading of the weights.
const TILE: usize = 4;

/// Whether this processor has what the kernel needs.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

/// [`Input::quantise`], compiled for this processor.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn quantise(input: Input<'_>, row: usize, codes: &mut [i8], factors: &mut [Factors]) {
    input.quantise(row, codes, factors);
}

/// Computes one area of the output.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn multiply(
    weights: &Packed<'_>,
    input: &Quantised,
    area: &Area,
    output: &Shared<'_, f32>,
) {
    for group in area.groups.clone() {
        let mut row = area.rows.start;
        while row < area.rows.end {
            let tile = Tile {
                weights,
                input,
                group,
                row,
            };
            match area.rows.end - row {
                1 => tile.write::<1>(output),
                2 => tile.write::<2>(output),
                3 => tile.write::<3>(output),
                _ => tile.write::<TILE>(output),
            }
            row += TILE;
        }
    }
}

/// A group's outputs for some rows.
struct Tile<'a> {
    weights: &'a Packed<'a>,
    input: &'a Quantised,
    group: usize,
    row: usize,
}

impl Tile<'_> {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn write<const ROWS: usize>(&self, output: &Shared<'_, f32>) {
        let sums = match self.weights.layout {
            Layout::Four => self.four::<ROWS>(),
            Layout::Eight => self.eight::<ROWS>(),
        };
        let outputs = self.weights.outputs;
        let first = self.group * GROUP;
        let lanes = GROUP.min(outputs - first);
        for (row, sum) in sums.iter().enumerate() {
            // SAFETY: no two areas have an output in common.
            let places = unsafe { output.places((self.row + row) * outputs + first, lanes) };
            let mut lane = [0.0; GROUP];
            // SAFETY: a vector has as many floats as a group has outputs.
            unsafe { _mm256_storeu_ps(lane.as_mut_ptr(), *sum) };
            places.copy_from_slice(&lane[..lanes]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn four<const ROWS: usize>(&self) -> [__m256; ROWS] {
        let group = self.weights.group(self.group);
        let (blocks, inputs) = (self.weights.blocks(), self.weights.inputs);
        let low = _mm256_set1_epi8(15);
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_ps(); ROWS];
        let x = &self.input.codes[self.row * inputs..][..ROWS * inputs];
        let f = &self.input.factors[self.row * blocks..][..ROWS * blocks];
        let (x, f) = (x.as_ptr(), f.as_ptr());
        let (factors, codes) = (group.factors.as_ptr(), group.codes.as_ptr());
        for block in 0..blocks {
            // SAFETY: a group has 32 bytes of factors and 128 bytes of codes for each block,
            // and the slices above have ROWS rows of `blocks` blocks.
            unsafe {
                let factors = factors.add(block * 32);
                let scale = _mm256_cvtph_ps(_mm_loadu_si128(factors.cast()));
                let minimum = _mm256_cvtph_ps(_mm_loadu_si128(factors.add(16).cast()));
                let mut w = [_mm256_setzero_si256(); QUADS];
                for pair in 0..QUADS / 2 {
                    let both = _mm256_loadu_si256(codes.add(block * 128 + pair * 32).cast());
                    w[2 * pair] = _mm256_and_si256(both, low);
                    w[2 * pair + 1] = _mm256_and_si256(_mm256_srli_epi16::<4>(both), low);
                }
                for (row, sum) in sums.iter_mut().enumerate() {
                    let x = x.add(row * inputs + block * BLOCK).cast::<i32>();
                    let mut dots = _mm256_setzero_si256();
                    for (quad, w) in w.iter().enumerate() {
                        let x = _mm256_set1_epi32(x.add(quad).read_unaligned());
                        dots = _mm256_add_epi16(dots, _mm256_maddubs_epi16(*w, x));
                    }
                    let dots = _mm256_cvtepi32_ps(_mm256_madd_epi16(dots, ones));
                    let f = *f.add(row * blocks + block);
                    let both = _mm256_mul_ps(scale, _mm256_set1_ps(f.scale));
                    *sum = _mm256_fmadd_ps(dots, both, *sum);
                    *sum = _mm256_fmadd_ps(minimum, _mm256_set1_ps(f.sum), *sum);
                }
            }
        }
        sums
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn eight<const ROWS: usize>(&self) -> [__m256; ROWS] {
        let group = self.weights.group(self.group);
        let (blocks, inputs) = (self.weights.blocks(), self.weights.inputs);
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_ps(); ROWS];
        let x = &self.input.codes[self.row * inputs..][..ROWS * inputs];
        let f = &self.input.factors[self.row * blocks..][..ROWS * blocks];
        let (x, f) = (x.as_ptr(), f.as_ptr());
        let (factors, codes) = (group.factors.as_ptr(), group.codes.as_ptr());
        for block in 0..blocks {
            // SAFETY: a group has 16 bytes of factors and 256 bytes of codes for each block,
            // and the slices above have ROWS rows of `blocks` blocks.
            unsafe {
                let scale = _mm256_cvtph_ps(_mm_loadu_si128(factors.add(block * 16).cast()));
                let mut dots = [_mm256_setzero_si256(); ROWS];
                for quad in 0..QUADS {
                    let w = _mm256_loadu_si256(codes.add(block * 256 + quad * 32).cast());
                    let magnitude = _mm256_abs_epi8(w);
                    for (row, dots) in dots.iter_mut().enumerate() {
                        let x = x.add(row * inputs + block * BLOCK).cast::<i32>();
                        let x = _mm256_set1_epi32(x.add(quad).read_unaligned());
                        let pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
                        *dots = _mm256_add_epi32(*dots, _mm256_madd_epi16(pairs, ones));
                    }
                }
                for (row, sum) in sums.iter_mut().enumerate() {
                    let f = *f.add(row * blocks + block);
                    let both = _mm256_mul_ps(scale, _mm256_set1_ps(f.scale));
                    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[row]), both, *sum);
                }
            }
        }
        sums
    }
}
