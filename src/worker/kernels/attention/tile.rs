//! Some queries over the keys and values of one head: the arithmetic of attention.

use std::ops::Range;

use super::{BLOCK, Heads, SPAN};
use crate::worker::kernels::{
    kv::SIDE,
    lanes::{LANES, Lanes, exp2},
    rotary::Rotary,
};

/// Queries that are multiplied at once: with two vectors of keys they fill 12 of the 16
/// registers.
const MOST_ROWS: usize = 6;

/// Consecutive tokens of one slot, and the query heads that share one key head.
pub(super) struct Tile<'a> {
    pub(super) heads: &'a Heads,
    pub(super) rotary: &'a Rotary,
    /// The slot's keys and values, as [`crate::worker::kernels::kv::KvStore`] lays them out.
    pub(super) keys: *const u16,
    pub(super) values: *const u16,
    /// Position of the first token.
    pub(super) position: usize,
    pub(super) tokens: usize,
}

/// Sums of an online softmax, for each query.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// The largest score, in powers of two.
    most: Vec<f32>,
    /// Of weights, by position modulo 8.
    weights: Vec<[f32; LANES]>,
    /// Of weighted values: [rows, head_dim].
    values: Vec<f32>,
}

impl Rows {
    fn start(&mut self, rows: usize, head_dim: usize) {
        self.most.clear();
        self.most.resize(rows, f32::NEG_INFINITY);
        self.weights.clear();
        self.weights.resize(rows, [0.0; LANES]);
        self.values.clear();
        self.values.resize(rows * head_dim, 0.0);
    }
}

/// What a thread computes with.
#[derive(Default)]
pub(super) struct Scratch {
    /// For each piece of rows: [head_dim, rows], so that a product reads neighbours.
    queries: Vec<f32>,
    /// Rows that are computed together.
    pieces: Vec<Range<usize>>,
    head: Vec<f32>,
    span: Rows,
    total: Rows,
}

impl Tile<'_> {
    /// Sums over `spans`. `queries` are those of one token after the other, `stride` apart,
    /// each token's heads side by side.
    ///
    /// # Safety
    /// The processor has the lanes. Keys and values are valid for every position up to the
    /// last token's, those of a whole [`SIDE`] included, and nobody writes to them.
    #[inline(always)]
    pub(super) unsafe fn compute<'s, L: Lanes>(
        &self,
        spans: Range<usize>,
        queries: &[f32],
        stride: usize,
        scratch: &'s mut Scratch,
    ) -> &'s Rows {
        let (rows, head_dim) = (self.tokens * self.heads.group(), self.heads.head_dim);
        // SAFETY: passed on.
        unsafe { self.pack::<L>(queries, stride, scratch) };
        let Scratch {
            queries,
            pieces,
            span,
            total,
            ..
        } = scratch;
        total.start(rows, head_dim);
        for index in spans {
            span.start(rows, head_dim);
            let seen = self.seen(0).start..self.seen(rows - 1).end;
            let begin = seen.start.max(index * SPAN) / BLOCK * BLOCK;
            let end = seen.end.min((index + 1) * SPAN);
            for block in (begin..end).step_by(BLOCK) {
                for piece in pieces.iter() {
                    let queries = &queries[piece.start * head_dim..piece.end * head_dim];
                    let first = piece.start;
                    // SAFETY: passed on; a piece has as many rows.
                    unsafe {
                        match piece.len() {
                            1 => self.block::<L, 1>(block, first, queries, span),
                            2 => self.block::<L, 2>(block, first, queries, span),
                            3 => self.block::<L, 3>(block, first, queries, span),
                            4 => self.block::<L, 4>(block, first, queries, span),
                            5 => self.block::<L, 5>(block, first, queries, span),
                            _ => self.block::<L, MOST_ROWS>(block, first, queries, span),
                        }
                    }
                }
            }
            // SAFETY: passed on.
            unsafe { join::<L>(total, span, head_dim) };
        }
        total
    }

    /// Positions that a row sees.
    fn seen(&self, row: usize) -> Range<usize> {
        self.heads.seen(self.position + row / self.heads.group())
    }

    /// Norms and turns the queries, and lays them out in pieces.
    ///
    /// # Safety
    /// The processor has the lanes.
    #[inline(always)]
    unsafe fn pack<L: Lanes>(&self, source: &[f32], stride: usize, scratch: &mut Scratch) {
        let Heads {
            head_dim, scale, ..
        } = *self.heads;
        let group = self.heads.group();
        let rows = self.tokens * group;
        let Scratch {
            queries,
            pieces,
            head,
            ..
        } = scratch;
        pieces.clear();
        let count = rows.div_ceil(MOST_ROWS);
        pieces.extend((0..count).map(|piece| piece * rows / count..(piece + 1) * rows / count));
        queries.resize(rows * head_dim, 0.0);
        // Scores in powers of two spare the exponential a product.
        let scale = scale * std::f32::consts::LOG2_E;
        for piece in pieces.iter() {
            for row in piece.clone() {
                let (token, member) = (row / group, row % group);
                head.clear();
                head.extend_from_slice(&source[token * stride + member * head_dim..][..head_dim]);
                if let Some(norms) = &self.heads.norms {
                    // SAFETY: passed on.
                    unsafe { norm::<L>(head, &norms.query, norms.epsilon) };
                }
                self.rotary.turn(head, self.position + token);
                let packed = &mut queries[piece.start * head_dim + (row - piece.start)..];
                for (target, value) in packed.iter_mut().step_by(piece.len()).zip(head.iter()) {
                    *target = value * scale;
                }
            }
        }
    }

    /// Adds one block of positions to the sums of `R` rows.
    ///
    /// # Safety
    /// As for [`Self::compute`]; there are `R` rows from `first`.
    #[inline(always)]
    unsafe fn block<L: Lanes, const R: usize>(
        &self,
        block: usize,
        first: usize,
        queries: &[f32],
        sums: &mut Rows,
    ) {
        let head_dim = self.heads.head_dim;
        let seen: [Range<usize>; R] = std::array::from_fn(|row| {
            let seen = self.seen(first + row);
            seen.start.max(block) - block..seen.end.clamp(block, block + BLOCK) - block
        });
        // Rows ascend in position, so the first begins and the last ends.
        let begin = seen[0].start;
        let end = seen[R - 1].end;
        if begin >= end {
            return;
        }
        let sides = begin / SIDE..end.div_ceil(SIDE);
        let mut scores = [[0_f32; BLOCK]; R];
        let mut scales = [1_f32; R];
        assert!(queries.len() == R * head_dim);
        // SAFETY: `R · head_dim` queries; the sides hold positions up to the last token's;
        // vectors of scores lie inside a block; values are read at positions that rows see.
        unsafe {
            let keys = self.keys.add(block * head_dim);
            score::<L, R>(queries.as_ptr(), keys, head_dim, &sides, &mut scores);
            for row in 0..R {
                if seen[row].is_empty() {
                    continue;
                }
                let scores = &mut scores[row];
                scores[sides.start * SIDE..seen[row].start].fill(f32::NEG_INFINITY);
                scores[seen[row].end..sides.end * SIDE].fill(f32::NEG_INFINITY);
                let most = &mut sums.most[first + row];
                let weights = &mut sums.weights[first + row];
                scales[row] = weigh::<L>(scores, &sides, most, weights);
            }

            let values = self.values.add(block * head_dim);
            let into = sums.values[first * head_dim..][..R * head_dim].as_mut_ptr();
            let add_one = |row: usize, range: Range<usize>, scale: f32| {
                let into = into.add(row * head_dim);
                add::<L, 1>(&[scores[row]], values, head_dim, range, into, [scale]);
            };
            // What all rows see is added to all at once, the rest one by one: a weight of
            // zero would not be nothing beside a value that is not a number.
            let common = seen[R - 1].start..seen[0].end;
            if common.is_empty() {
                for (row, seen) in seen.iter().enumerate() {
                    if !seen.is_empty() {
                        add_one(row, seen.clone(), scales[row]);
                    }
                }
                return;
            }
            for (row, seen) in seen.iter().enumerate() {
                if seen.start < common.start {
                    add_one(row, seen.start..common.start, scales[row]);
                    scales[row] = 1.0;
                }
            }
            add::<L, R>(&scores, values, head_dim, common.clone(), into, scales);
            for (row, seen) in seen.iter().enumerate() {
                if seen.end > common.end {
                    add_one(row, common.end..seen.end, 1.0);
                }
            }
        }
    }
}

/// Products of `R` queries with the keys of some sides.
///
/// # Safety
/// The processor has the lanes; `queries` holds [head_dim, R], `keys` the sides.
#[inline(always)]
unsafe fn score<L: Lanes, const R: usize>(
    queries: *const f32,
    keys: *const u16,
    head_dim: usize,
    sides: &Range<usize>,
    scores: &mut [[f32; BLOCK]; R],
) {
    let mut side = sides.start;
    // SAFETY: passed on; both vectors of a side, and of the next, lie inside.
    unsafe {
        if R <= MOST_ROWS / 2 {
            while side + 2 <= sides.end {
                let keys = keys.add(side * SIDE * head_dim);
                let next = SIDE * head_dim;
                let offsets = [0, LANES, next, next + LANES];
                products::<L, R, 4>(queries, keys, head_dim, offsets, side * SIDE, scores);
                side += 2;
            }
        }
        while side < sides.end {
            let keys = keys.add(side * SIDE * head_dim);
            products::<L, R, 2>(queries, keys, head_dim, [0, LANES], side * SIDE, scores);
            side += 1;
        }
    }
}

/// # Safety
/// As [`score`]; at each offset from `keys` lie [head_dim, SIDE] numbers, less a vector.
#[inline(always)]
unsafe fn products<L: Lanes, const R: usize, const V: usize>(
    queries: *const f32,
    keys: *const u16,
    head_dim: usize,
    offsets: [usize; V],
    position: usize,
    scores: &mut [[f32; BLOCK]; R],
) {
    // SAFETY: passed on; `position` and `V` vectors are inside a block.
    unsafe {
        let mut sums = [[L::splat(0.0); V]; R];
        for dimension in 0..head_dim {
            let keys: [L; V] =
                offsets.map(|offset| L::load_half(keys.add(offset + dimension * SIDE)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let query = L::splat(*queries.add(dimension * R + row));
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum = query.multiply_add(key, *sum);
                }
            }
        }
        for (sums, scores) in sums.iter().zip(scores) {
            let scores = &mut scores[position..position + V * LANES];
            for (sum, scores) in sums.iter().zip(scores.chunks_exact_mut(LANES)) {
                sum.store(scores.as_mut_ptr());
            }
        }
    }
}

/// Turns scores into weights beside the largest so far; gives what the sums so far are to
/// be multiplied by.
///
/// # Safety
/// The processor has the lanes.
#[inline(always)]
unsafe fn weigh<L: Lanes>(
    scores: &mut [f32; BLOCK],
    sides: &Range<usize>,
    most: &mut f32,
    weights: &mut [f32; LANES],
) -> f32 {
    let scores = &mut scores[sides.start * SIDE..sides.end * SIDE];
    // SAFETY: passed on; chunks are whole vectors.
    unsafe {
        let mut largest = L::splat(*most);
        for scores in scores.chunks_exact(LANES) {
            largest = L::load(scores.as_ptr()).greater(largest);
        }
        let largest = largest.largest();
        let new = L::splat(largest);
        let scale = exp2(L::splat(*most).subtract(new));
        let mut sum = L::load(weights.as_ptr()).multiply(scale);
        let one = L::splat(1.0);
        for scores in scores.chunks_exact_mut(LANES) {
            let weight = exp2(L::load(scores.as_ptr()).subtract(new));
            weight.store(scores.as_mut_ptr());
            sum = weight.multiply_add(one, sum);
        }
        sum.store(weights.as_mut_ptr());
        *most = largest;
        let mut scales = [0.0; LANES];
        scale.store(scales.as_mut_ptr());
        scales[0]
    }
}

/// `into[row] = into[row] · scale[row] + Σ weights[row][position] · values[position]`.
///
/// # Safety
/// The processor has the lanes; `values` holds the positions of the range, `into` `R` rows.
#[inline(always)]
unsafe fn add<L: Lanes, const R: usize>(
    weights: &[[f32; BLOCK]; R],
    values: *const u16,
    head_dim: usize,
    range: Range<usize>,
    into: *mut f32,
    scales: [f32; R],
) {
    assert!(range.end <= BLOCK);
    let mut column = 0;
    // SAFETY: passed on; columns stay inside the head.
    unsafe {
        if R == 1 {
            while column + 8 * LANES <= head_dim {
                columns::<L, R, 8>(weights, values, head_dim, &range, column, into, scales);
                column += 8 * LANES;
            }
        }
        if R <= MOST_ROWS / 2 {
            while column + 4 * LANES <= head_dim {
                columns::<L, R, 4>(weights, values, head_dim, &range, column, into, scales);
                column += 4 * LANES;
            }
        }
        while column + 2 * LANES <= head_dim {
            columns::<L, R, 2>(weights, values, head_dim, &range, column, into, scales);
            column += 2 * LANES;
        }
        if column < head_dim {
            columns::<L, R, 1>(weights, values, head_dim, &range, column, into, scales);
        }
    }
}

/// # Safety
/// As [`add`]; `V` vectors from `column` lie inside the head.
#[inline(always)]
unsafe fn columns<L: Lanes, const R: usize, const V: usize>(
    weights: &[[f32; BLOCK]; R],
    values: *const u16,
    head_dim: usize,
    range: &Range<usize>,
    column: usize,
    into: *mut f32,
    scales: [f32; R],
) {
    // SAFETY: passed on; weights are read inside a block, as `add` has asserted.
    unsafe {
        let place = |row: usize, vector: usize| into.add(row * head_dim + column + vector * LANES);
        let mut sums: [[L; V]; R] = std::array::from_fn(|row| {
            let scale = L::splat(scales[row]);
            std::array::from_fn(|vector| L::load(place(row, vector)).multiply(scale))
        });
        for position in range.clone() {
            let from = values.add(position * head_dim + column);
            let values: [L; V] =
                std::array::from_fn(|vector| L::load_half(from.add(vector * LANES)));
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let weight = L::splat(*weights.get_unchecked(position));
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = weight.multiply_add(value, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                sum.store(place(row, vector));
            }
        }
    }
}

/// Adds the sums of a later span to those of earlier ones.
///
/// # Safety
/// The processor has the lanes.
#[inline(always)]
pub(super) unsafe fn join<L: Lanes>(total: &mut Rows, span: &Rows, head_dim: usize) {
    for row in 0..span.most.len() {
        if span.most[row] == f32::NEG_INFINITY {
            continue;
        }
        // SAFETY: passed on; slices are whole vectors.
        unsafe {
            let (before, now) = (L::splat(total.most[row]), L::splat(span.most[row]));
            let most = now.greater(before);
            let scales = [exp2(before.subtract(most)), exp2(now.subtract(most))];
            let add = |total: &mut [f32], span: &[f32]| {
                let both = total.chunks_exact_mut(LANES).zip(span.chunks_exact(LANES));
                for (total, span) in both {
                    let span = L::load(span.as_ptr()).multiply(scales[1]);
                    let sum = L::load(total.as_ptr()).multiply_add(scales[0], span);
                    sum.store(total.as_mut_ptr());
                }
            };
            add(&mut total.weights[row], &span.weights[row]);
            let values = row * head_dim..(row + 1) * head_dim;
            add(&mut total.values[values.clone()], &span.values[values]);
            total.most[row] = most.largest();
        }
    }
}

/// Gives the weighted mean of a row's values.
///
/// # Safety
/// The processor has the lanes; `output` is valid for writing `head_dim` numbers.
#[inline(always)]
pub(super) unsafe fn mean<L: Lanes>(rows: &Rows, row: usize, head_dim: usize, output: *mut f32) {
    // SAFETY: passed on; slices are whole vectors.
    unsafe {
        let part = L::splat(1.0 / L::load(rows.weights[row].as_ptr()).sum());
        let values = &rows.values[row * head_dim..(row + 1) * head_dim];
        for (index, values) in values.chunks_exact(LANES).enumerate() {
            // Plus zero, so that no zero shows by its sign how sums were joined.
            let mean = L::load(values.as_ptr()).multiply_add(part, L::splat(0.0));
            mean.store(output.add(index * LANES));
        }
    }
}

/// RMS norm of one head (Zhang and Sennrich, 2019).
///
/// # Safety
/// The processor has the lanes.
#[inline(always)]
pub(super) unsafe fn norm<L: Lanes>(head: &mut [f32], weights: &[f32], epsilon: f32) {
    // SAFETY: passed on; slices are whole vectors.
    unsafe {
        let mut sum = L::splat(0.0);
        for part in head.chunks_exact(LANES) {
            let part = L::load(part.as_ptr());
            sum = part.multiply_add(part, sum);
        }
        let scale = 1.0 / (sum.sum() / head.len() as f32 + epsilon).sqrt();
        for (value, weight) in head.iter_mut().zip(weights) {
            *value = *value * scale * weight;
        }
    }
}
