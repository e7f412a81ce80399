//! The kernel for x86 processors with AVX2, FMA and F16C (Intel since 2013, AMD since 2015).
//!
//! One vector holds four inputs' codes for each of a group's eight outputs, so that nothing
//! is ever summed across a vector. Sums of bytes stay within their 16 bits: at most
//! 8 · 2 · 15 · 127 = 30,480 with four bits, and 2 · 127 · 127 = 32,258 with eight.
//!
//! With four bits, two groups and four rows are summed at once: eight sums, two vectors of
//! weights and what it takes to multiply them just fit into sixteen registers, and no
//! vector is loaded for one use only.

use std::{arch::x86_64::*, ops::Range};

use super::{
    linear::{Area, CHUNK, Packed, Quantised, Shared},
    quantise::{Factors, Input},
};
use crate::models::{
    gguf::blocks::BLOCK,
    import::packed::{GROUP, Layout, QUAD},
};

/// Quads of a block.
const QUADS: usize = BLOCK / QUAD;
/// Bytes of a vector: a quad of a group.
const VECTOR: usize = GROUP * QUAD;
/// Rows that share a reading of the weights.
const TILE: usize = 4;
/// Groups that share a reading of the inputs.
const PAIR: usize = 2;
/// Rows from which on it pays to unpack a pair's weights once for all of them.
const MANY: usize = 16;
/// Groups whose outputs are written together: rows of a vocabulary lie a multiple of 4 KiB
/// apart, where caches hold few of them, so that a cache line must be whole when it is written.
const LINE: usize = 4;
/// Blocks that are unpacked at once: 10 KiB for a pair, which leaves room for the inputs in
/// a core's first cache.
const STRETCH: usize = 16;

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

/// Computes one area of the output, of at most [`CHUNK`] rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn multiply(
    weights: &Packed<'_>,
    input: &Quantised,
    area: &Area,
    output: &Shared<'_, f32>,
) {
    let mut sums = [[[0.0; GROUP]; PAIR]; CHUNK];
    let sums = &mut sums[..area.rows.len()];
    let mut unpacked = Unpacked::new();
    let mut lines = [[[0.0; GROUP]; LINE]; CHUNK];
    let step = match weights.layout {
        Layout::Four => PAIR,
        Layout::Eight => 1,
    };
    for start in area.groups.clone().step_by(LINE) {
        let line = start..area.groups.end.min(start + LINE);
        for first in line.clone().step_by(step) {
            let groups = first..line.end.min(first + step);
            sums.fill([[0.0; GROUP]; PAIR]);
            add_groups(weights, groups.clone(), input, area, &mut unpacked, sums);
            for (line, sums) in lines.iter_mut().zip(sums.iter()) {
                line[first - start..][..groups.len()].copy_from_slice(&sums[..groups.len()]);
            }
        }
        let at = start * GROUP;
        let lanes = weights.outputs.min(line.end * GROUP) - at;
        for (row, line) in area.rows.clone().zip(&lines) {
            // SAFETY: no two areas have an output in common.
            let places = unsafe { output.places(row * weights.outputs + at, lanes) };
            places.copy_from_slice(&line.as_flattened()[..lanes]);
        }
    }
}

/// Adds one group, or two of four bits, to the sums of all rows of an area.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_groups(
    weights: &Packed<'_>,
    groups: Range<usize>,
    input: &Quantised,
    area: &Area,
    unpacked: &mut Unpacked,
    sums: &mut [Sums],
) {
    let first = groups.start;
    match weights.layout {
        Layout::Eight => eight(weights, first, input, area, sums),
        Layout::Four if groups.len() == PAIR && sums.len() >= MANY => {
            for stretch in stretches(weights.blocks()) {
                unpacked.fill(weights, first, stretch.clone());
                four::<PAIR, true>(unpacked.pair(), stretch, weights, input, area, sums);
            }
        }
        Layout::Four => {
            let all = 0..weights.blocks();
            if groups.len() == PAIR {
                let pair = [first, first + 1].map(|group| Weights::of(weights, group));
                four::<PAIR, false>(pair, all, weights, input, area, sums);
            } else {
                let one = [Weights::of(weights, first)];
                four::<1, false>(one, all, weights, input, area, sums);
            }
        }
    }
}

/// The sums of one row and up to [`PAIR`] groups.
type Sums = [[f32; GROUP]; PAIR];

fn stretches(blocks: usize) -> impl Iterator<Item = Range<usize>> {
    (0..blocks)
        .step_by(STRETCH)
        .map(move |start| start..blocks.min(start + STRETCH))
}

/// A group's weights. Of a block, packed: 32 bytes of factors and 128 of codes with four
/// bits, 16 and 256 with eight. Unpacked: 64 and 256.
#[derive(Clone, Copy)]
struct Weights<'a> {
    factors: &'a [u8],
    codes: &'a [u8],
}

impl<'a> Weights<'a> {
    fn of(weights: &Packed<'a>, group: usize) -> Self {
        let group = weights.group(group);
        Self {
            factors: group.factors,
            codes: group.codes,
        }
    }

    /// Whether there are as many bytes as `blocks` blocks take.
    fn has(&self, blocks: usize, factors: usize, codes: usize) -> bool {
        self.factors.len() >= blocks * factors && self.codes.len() >= blocks * codes
    }
}

/// A stretch of the weights of a pair of groups, with a byte for each code and 32-bit
/// factors.
#[repr(C, align(64))]
struct Unpacked {
    codes: [[[u8; QUADS * VECTOR]; STRETCH]; PAIR],
    factors: [[[u8; 2 * VECTOR]; STRETCH]; PAIR],
}

impl Unpacked {
    fn new() -> Self {
        Self {
            codes: [[[0; QUADS * VECTOR]; STRETCH]; PAIR],
            factors: [[[0; 2 * VECTOR]; STRETCH]; PAIR],
        }
    }

    fn pair(&self) -> [Weights<'_>; PAIR] {
        [0, 1].map(|at| Weights {
            factors: self.factors[at].as_flattened(),
            codes: self.codes[at].as_flattened(),
        })
    }

    /// Takes the `stretch` of the groups `first` and `first + 1`.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn fill(&mut self, weights: &Packed<'_>, first: usize, stretch: Range<usize>) {
        assert!(stretch.end <= weights.blocks() && stretch.len() <= STRETCH);
        for at in 0..PAIR {
            let group = Weights::of(weights, first + at);
            assert!(group.has(stretch.end, 32, 128), "weights");
            for (to, block) in stretch.clone().enumerate() {
                // SAFETY: the group has the block, by the assertion, and there are places
                // for two vectors.
                unsafe {
                    let (scales, minimums) = factors::<false>(group, block);
                    let places = self.factors[at][to].as_mut_ptr().cast::<f32>();
                    _mm256_storeu_ps(places, scales);
                    _mm256_storeu_ps(places.add(GROUP), minimums);
                }
                let (places, _) = self.codes[at][to].as_chunks_mut::<{ 2 * VECTOR }>();
                for (pair, places) in places.iter_mut().enumerate() {
                    let places = places.as_mut_ptr().cast::<__m256i>();
                    // SAFETY: as above.
                    unsafe {
                        let (low, high) = quads::<false>(group, block, pair);
                        _mm256_storeu_si256(places, low);
                        _mm256_storeu_si256(places.add(1), high);
                    }
                }
            }
        }
    }
}

/// Scales and minimums of a block.
///
/// # Safety
/// The group has that block, packed or unpacked as said.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn factors<const UNPACKED: bool>(group: Weights<'_>, block: usize) -> (__m256, __m256) {
    // SAFETY: the sizes are those that `Weights` names.
    unsafe {
        if UNPACKED {
            let factors = group.factors.as_ptr().add(block * 64).cast::<f32>();
            (
                _mm256_loadu_ps(factors),
                _mm256_loadu_ps(factors.add(GROUP)),
            )
        } else {
            let factors = group.factors.as_ptr().add(block * 32).cast::<__m128i>();
            (
                _mm256_cvtph_ps(_mm_loadu_si128(factors)),
                _mm256_cvtph_ps(_mm_loadu_si128(factors.add(1))),
            )
        }
    }
}

/// Two neighbouring quads of a block.
///
/// # Safety
/// The group has that block, packed or unpacked as said; `pair` is below 4.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn quads<const UNPACKED: bool>(
    group: Weights<'_>,
    block: usize,
    pair: usize,
) -> (__m256i, __m256i) {
    // SAFETY: the sizes are those that `Weights` names.
    unsafe {
        if UNPACKED {
            let codes = group
                .codes
                .as_ptr()
                .add(block * 256 + pair * 64)
                .cast::<__m256i>();
            (_mm256_loadu_si256(codes), _mm256_loadu_si256(codes.add(1)))
        } else {
            let codes = group.codes.as_ptr().add(block * 128 + pair * 32);
            let both = _mm256_loadu_si256(codes.cast());
            let low = _mm256_set1_epi8(15);
            (
                _mm256_and_si256(both, low),
                _mm256_and_si256(_mm256_srli_epi16::<4>(both), low),
            )
        }
    }
}

/// Adds the blocks of `stretch`, with which `groups` begin when they are unpacked, to the
/// sums of all rows of an area.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn four<const GROUPS: usize, const UNPACKED: bool>(
    groups: [Weights<'_>; GROUPS],
    stretch: Range<usize>,
    weights: &Packed<'_>,
    input: &Quantised,
    area: &Area,
    sums: &mut [Sums],
) {
    for (row, sums) in area.rows.clone().step_by(TILE).zip(sums.chunks_mut(TILE)) {
        let rows = Rows::of(input, weights, row, sums.len());
        let stretch = stretch.clone();
        match sums.len() {
            1 => four_rows::<1, GROUPS, UNPACKED>(groups, stretch, rows, sums),
            2 => four_rows::<2, GROUPS, UNPACKED>(groups, stretch, rows, sums),
            3 => four_rows::<3, GROUPS, UNPACKED>(groups, stretch, rows, sums),
            _ => four_rows::<TILE, GROUPS, UNPACKED>(groups, stretch, rows, sums),
        }
    }
}

/// Some rows of the input.
#[derive(Clone, Copy)]
struct Rows<'a> {
    inputs: usize,
    codes: &'a [i8],
    factors: &'a [Factors],
}

impl<'a> Rows<'a> {
    fn of(input: &'a Quantised, weights: &Packed<'_>, first: usize, count: usize) -> Self {
        let (inputs, blocks) = (weights.inputs, weights.blocks());
        Self {
            inputs,
            codes: &input.codes[first * inputs..][..count * inputs],
            factors: &input.factors[first * blocks..][..count * blocks],
        }
    }

    /// Whether these are `count` rows of at least `blocks` blocks.
    fn are(self, count: usize, blocks: usize) -> bool {
        blocks <= self.inputs / BLOCK
            && self.codes.len() == count * self.inputs
            && self.factors.len() == count * (self.inputs / BLOCK)
    }

    /// # Safety
    /// There are that row and that block.
    #[inline]
    unsafe fn factors(self, row: usize, block: usize) -> Factors {
        // SAFETY: there are as many factors as rows and blocks.
        unsafe {
            *self
                .factors
                .get_unchecked(row * (self.inputs / BLOCK) + block)
        }
    }

    /// A quad in every lane.
    ///
    /// # Safety
    /// There are that row and that block.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn quad(self, row: usize, block: usize, quad: usize) -> __m256i {
        let at = row * self.inputs + block * BLOCK + quad * QUAD;
        // SAFETY: a row has 32 codes for each block.
        _mm256_set1_epi32(unsafe { self.codes.as_ptr().add(at).cast::<i32>().read_unaligned() })
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn four_rows<const ROWS: usize, const GROUPS: usize, const UNPACKED: bool>(
    groups: [Weights<'_>; GROUPS],
    stretch: Range<usize>,
    rows: Rows<'_>,
    sums: &mut [Sums],
) {
    assert!(rows.are(ROWS, stretch.end) && sums.len() == ROWS, "rows");
    for group in groups {
        if UNPACKED {
            assert!(group.has(stretch.len(), 64, 256), "unpacked weights");
        } else {
            assert!(group.has(stretch.end, 32, 128), "weights");
        }
    }
    let ones = _mm256_set1_epi16(1);
    for block in stretch.clone() {
        let at = if UNPACKED {
            block - stretch.start
        } else {
            block
        };
        let mut dots = [[_mm256_setzero_si256(); GROUPS]; ROWS];
        // Not a loop: compilers would rather keep it one than the sums in registers.
        // SAFETY: there are the rows and the blocks, by the assertions.
        unsafe {
            add_quads::<ROWS, GROUPS, UNPACKED, 0>(groups, at, rows, block, &mut dots);
            add_quads::<ROWS, GROUPS, UNPACKED, 1>(groups, at, rows, block, &mut dots);
            add_quads::<ROWS, GROUPS, UNPACKED, 2>(groups, at, rows, block, &mut dots);
            add_quads::<ROWS, GROUPS, UNPACKED, 3>(groups, at, rows, block, &mut dots);
        }
        for (row, (dots, sums)) in dots.iter().zip(sums.iter_mut()).enumerate() {
            // SAFETY: as above.
            let x = unsafe { rows.factors(row, block) };
            for ((dots, sum), group) in dots.iter().zip(sums).zip(groups) {
                // SAFETY: as above.
                let (scale, minimum) = unsafe { factors::<UNPACKED>(group, at) };
                let dots = _mm256_cvtepi32_ps(_mm256_madd_epi16(*dots, ones));
                let scale = _mm256_mul_ps(scale, _mm256_set1_ps(x.scale));
                // SAFETY: a sum is one vector of floats.
                unsafe {
                    let before = _mm256_loadu_ps(sum.as_ptr());
                    let scaled = _mm256_fmadd_ps(dots, scale, before);
                    let after = _mm256_fmadd_ps(minimum, _mm256_set1_ps(x.sum), scaled);
                    _mm256_storeu_ps(sum.as_mut_ptr(), after);
                }
            }
        }
    }
}

/// Adds the products of two quads of a block to the sums of 16 bits.
///
/// # Safety
/// The groups have the block `at`, packed or unpacked as said, and there are `ROWS` rows
/// with that `block`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add_quads<
    const ROWS: usize,
    const GROUPS: usize,
    const UNPACKED: bool,
    const PAIR: usize,
>(
    groups: [Weights<'_>; GROUPS],
    at: usize,
    rows: Rows<'_>,
    block: usize,
    dots: &mut [[__m256i; GROUPS]; ROWS],
) {
    let mut weights = [(_mm256_setzero_si256(), _mm256_setzero_si256()); GROUPS];
    for (weights, group) in weights.iter_mut().zip(groups) {
        // SAFETY: by the contract of this function; there are four pairs.
        *weights = unsafe { quads::<UNPACKED>(group, at, PAIR) };
    }
    for (row, dots) in dots.iter_mut().enumerate() {
        // SAFETY: by the contract of this function.
        let x = unsafe { rows.quad(row, block, 2 * PAIR) };
        for (dots, (low, _)) in dots.iter_mut().zip(weights) {
            *dots = pinned(_mm256_add_epi16(*dots, _mm256_maddubs_epi16(low, x)));
        }
    }
    for (row, dots) in dots.iter_mut().enumerate() {
        // SAFETY: by the contract of this function.
        let x = unsafe { rows.quad(row, block, 2 * PAIR + 1) };
        for (dots, (_, high)) in dots.iter_mut().zip(weights) {
            *dots = pinned(_mm256_add_epi16(*dots, _mm256_maddubs_epi16(high, x)));
        }
    }
}

/// The same value, which the compiler must have computed here: it would otherwise put
/// sums row by row, for which there are not enough registers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn pinned(mut value: __m256i) -> __m256i {
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!(
            "/* {0} */",
            inout(ymm_reg) value,
            options(nomem, nostack, preserves_flags)
        );
    }
    value
}

/// Computes the sums of a group of eight bits for all rows of an area.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn eight(weights: &Packed<'_>, group: usize, input: &Quantised, area: &Area, sums: &mut [Sums]) {
    let group = Weights::of(weights, group);
    for (row, sums) in area.rows.clone().step_by(TILE).zip(sums.chunks_mut(TILE)) {
        let rows = Rows::of(input, weights, row, sums.len());
        match sums.len() {
            1 => eight_rows::<1>(group, rows, sums),
            2 => eight_rows::<2>(group, rows, sums),
            3 => eight_rows::<3>(group, rows, sums),
            _ => eight_rows::<TILE>(group, rows, sums),
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn eight_rows<const ROWS: usize>(group: Weights<'_>, rows: Rows<'_>, sums: &mut [Sums]) {
    let blocks = rows.inputs / BLOCK;
    assert!(rows.are(ROWS, blocks) && sums.len() == ROWS, "rows");
    assert!(group.has(blocks, 16, 256), "weights");
    let ones = _mm256_set1_epi16(1);
    let mut totals = [_mm256_setzero_ps(); ROWS];
    for block in 0..blocks {
        let mut dots = [_mm256_setzero_si256(); ROWS];
        for quad in 0..QUADS {
            // SAFETY: the group has the block, by the assertion.
            let w = unsafe {
                _mm256_loadu_si256(group.codes.as_ptr().add(block * 256 + quad * VECTOR).cast())
            };
            let magnitude = _mm256_abs_epi8(w);
            for (row, dots) in dots.iter_mut().enumerate() {
                // SAFETY: there are the row and the block, by the assertion.
                let x = unsafe { rows.quad(row, block, quad) };
                let pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
                *dots = _mm256_add_epi32(*dots, _mm256_madd_epi16(pairs, ones));
            }
        }
        // SAFETY: the group has the block, by the assertion.
        let scale = unsafe {
            _mm256_cvtph_ps(_mm_loadu_si128(
                group.factors.as_ptr().add(block * 16).cast(),
            ))
        };
        for (row, (dots, total)) in dots.iter().zip(&mut totals).enumerate() {
            // SAFETY: there are the row and the block, by the assertion.
            let x = unsafe { rows.factors(row, block) };
            let scale = _mm256_mul_ps(scale, _mm256_set1_ps(x.scale));
            *total = _mm256_fmadd_ps(_mm256_cvtepi32_ps(*dots), scale, *total);
        }
    }
    for (sums, total) in sums.iter_mut().zip(totals) {
        // SAFETY: a sum is one vector of floats.
        unsafe { _mm256_storeu_ps(sums[0].as_mut_ptr(), total) };
    }
}
