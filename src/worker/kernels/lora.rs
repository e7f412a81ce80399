//! LoRA adapters beside the linear layers, another one for each token:
//! `output += up · (down · input)` (Hu et al., "LoRA", 2021).
//!
//! Weights are held as 16-bit floats, each matrix scaled by a power of two of its own that
//! brings its largest number near the top of their range. So nothing overflows, however
//! α was chosen, and eleven bits stay of every number down to 2⁻²⁸ of the largest: files in
//! 16-bit floats keep all their bits, and so do those in bfloat16 (eight) but for numbers
//! that small. A bank of bfloat16 would cost as much memory and keep three bits fewer.
//!
//! The order of sums, whichever instructions compute them: an entry of `down · input` is
//! four sums over every fourth input, added in pairs; an entry of `up · …` is one sum over
//! the ranks. Products and sums are fused. A token's result depends on nothing else.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

use half::{f16, slice::HalfFloatSliceExt};

use super::{KernelError, Team, each};
use crate::models::peft::{Adapter, AdapterShape, MAX_RANK, Part, Size, Target};

/// Numbers that are computed side by side: ranks of `down`, outputs of `up`.
const LANES: usize = 8;
/// Sums that an entry of `down · input` is made of.
const SUMS: usize = 4;
/// Tokens that share one reading of a matrix.
const SHARED: usize = 3;
/// Most tokens of one adapter that one member of the team takes at a time.
const UNIT: usize = 4 * SHARED;
/// Multiplications below which waking the team costs more than it gains.
const ALONE: usize = 1 << 14;
/// The largest number of a matrix is brought to 2 to this power, or just below.
const TOP: i32 = 15;

/// The ranks' results of one token for one target.
type Ranks = [f32; MAX_RANK];

/// Adapters at their places, ready to compute with.
#[derive(Debug)]
pub(crate) struct LoraBank {
    shape: AdapterShape,
    places: Vec<Option<Loaded>>,
    /// Whether the processor has the instructions of [`avx2`].
    wide: bool,
}

/// One adapter. The matrices lie in the order of [`AdapterShape`]'s layers and targets,
/// `down` before `up`, so that a layer's are read as one stream.
#[derive(Debug)]
struct Loaded {
    weights: Vec<f16>,
    parts: Vec<[Option<Packed>; Target::ALL.len()]>,
}

/// Where a part's matrices begin in [`Loaded::weights`].
///
/// `down` is `[ranks / LANES][inputs][LANES]`, `up` is `[outputs / LANES][rank][LANES]`,
/// both filled up with zeros.
#[derive(Clone, Copy, Debug)]
struct Packed {
    rank: usize,
    down: usize,
    up: usize,
    end: usize,
    /// What one unit of a stored number stands for.
    down_unit: f32,
    up_unit: f32,
}

/// A part's matrices.
#[derive(Clone, Copy)]
struct Matrices<'a> {
    rank: usize,
    size: Size,
    down: &'a [f16],
    up: &'a [f16],
    down_unit: f32,
    up_unit: f32,
}

/// Neighbouring tokens of one place, and their rows of the output.
struct Unit<'a> {
    loaded: &'a Loaded,
    first: usize,
    tokens: usize,
    output: &'a mut [f32],
}

impl LoraBank {
    /// A bank of empty places.
    pub(crate) fn new(places: usize, shape: &AdapterShape) -> Self {
        Self {
            shape: shape.clone(),
            places: std::iter::repeat_with(|| None).take(places).collect(),
            wide: wide(),
        }
    }

    /// Whether a place holds an adapter.
    pub(crate) fn holds(&self, place: usize) -> bool {
        self.places.get(place).is_some_and(Option::is_some)
    }

    /// Puts an adapter into a place, in the stead of what was there.
    pub(crate) fn load(&mut self, place: usize, adapter: &Adapter) -> Result<(), KernelError> {
        let places = self.places.len();
        let held = self.places.get_mut(place).ok_or_else(|| {
            KernelError(format!(
                "there is no place {place} of {places} for adapters"
            ))
        })?;
        adapter
            .fits(&self.shape)
            .map_err(|error| KernelError(error.to_string()))?;
        let memory = held.take().map(|loaded| loaded.weights);
        *held = Some(Loaded::new(
            adapter,
            &self.shape,
            memory.unwrap_or_default(),
        ));
        Ok(())
    }

    /// Whether any of these tokens' adapters has a part for this linear layer.
    pub(crate) fn speaks(&self, layer: usize, target: Target, places: &[Option<u32>]) -> bool {
        places
            .iter()
            .filter_map(|place| self.at(*place))
            .any(|loaded| loaded.parts[layer][target as usize].is_some())
    }

    /// Adds what the tokens' adapters say about `input` `[tokens, inputs]` to `output`
    /// `[tokens, outputs of all targets]`, in which the targets' outputs stand side by side in
    /// the order of `targets`. All of them read the same input. `places` has one entry per
    /// token; an empty place says nothing. Rows without an adapter are not touched.
    pub(crate) fn add_all(
        &self,
        layer: usize,
        targets: &[Target],
        places: &[Option<u32>],
        input: &[f32],
        output: &mut [f32],
        team: &dyn Team,
    ) {
        let Some(first) = targets.first() else { return };
        let inputs = self.shape.size(*first).inputs;
        let columns: usize = targets
            .iter()
            .map(|target| self.shape.size(*target).outputs)
            .sum();
        let same_input = |target: &Target| self.shape.size(*target).inputs == inputs;
        assert!(targets.iter().all(same_input), "one input for all targets");
        assert_eq!(input.len(), places.len() * inputs, "a row per token");
        assert_eq!(output.len(), places.len() * columns, "a row per token");

        let mut work = 0;
        let mut units = Vec::new();
        let (mut token, mut rest) = (0, output);
        for same in places.chunk_by(|a, b| a == b) {
            let loaded = self.at(same[0]);
            let share = same.len().div_ceil(team.members());
            for part in same.chunks(share.next_multiple_of(SHARED).min(UNIT)) {
                let (rows, others) = rest.split_at_mut(part.len() * columns);
                rest = others;
                if let Some(loaded) = loaded {
                    let cost = loaded.cost(layer, targets, &self.shape);
                    if cost > 0 {
                        work += cost * part.len();
                        units.push(Unit {
                            loaded,
                            first: token,
                            tokens: part.len(),
                            output: rows,
                        });
                    }
                }
                token += part.len();
            }
        }
        let compute = |unit: &mut Unit<'_>| {
            let input = &input[unit.first * inputs..][..unit.tokens * inputs];
            let mut offset = 0;
            for target in targets {
                let size = self.shape.size(*target);
                if let Some(packed) = unit.loaded.parts[layer][*target as usize] {
                    let matrices = unit.loaded.matrices(packed, size);
                    matrices.add(input, unit.output, columns, offset, self.wide);
                }
                offset += size.outputs;
            }
        };
        if units.len() < 2 || work < ALONE || team.members() < 2 {
            units.iter_mut().for_each(compute);
        } else {
            each(team, &mut units, compute);
        }
    }

    fn at(&self, place: Option<u32>) -> Option<&Loaded> {
        self.places.get(place? as usize)?.as_ref()
    }
}

#[cfg(target_arch = "x86_64")]
fn wide() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

#[cfg(not(target_arch = "x86_64"))]
fn wide() -> bool {
    false
}

impl Loaded {
    /// Takes over the memory of the adapter that was there before.
    fn new(adapter: &Adapter, shape: &AdapterShape, mut weights: Vec<f16>) -> Self {
        let mut order: Vec<&Part> = adapter.parts.iter().collect();
        order.sort_by_key(|part| (part.layer, part.target));
        let length = |part: &&Part| {
            let Size { inputs, outputs } = shape.size(part.target);
            part.rank.next_multiple_of(LANES) * inputs + outputs.next_multiple_of(LANES) * part.rank
        };
        let total = order.iter().map(length).sum();
        weights.clear();
        weights.reserve_exact(total);
        let mut parts = vec![[None; Target::ALL.len()]; shape.layers];
        let mut scratch = Vec::new();
        for part in order {
            let size = shape.size(part.target);
            let start = weights.len();
            let down_unit = pack_down(part, size, &mut scratch);
            append(&scratch, &mut weights);
            let middle = weights.len();
            let up_unit = pack_up(part, size, &mut scratch);
            append(&scratch, &mut weights);
            parts[part.layer][part.target as usize] = Some(Packed {
                rank: part.rank,
                down: start,
                up: middle,
                end: weights.len(),
                down_unit,
                up_unit,
            });
        }
        Self { weights, parts }
    }

    /// Multiplications per token.
    fn cost(&self, layer: usize, targets: &[Target], shape: &AdapterShape) -> usize {
        let parts = targets.iter().filter_map(|target| {
            let size = shape.size(*target);
            let packed = self.parts[layer][*target as usize]?;
            Some(packed.rank * (size.inputs + size.outputs))
        });
        parts.sum()
    }

    fn matrices(&self, packed: Packed, size: Size) -> Matrices<'_> {
        Matrices {
            rank: packed.rank,
            size,
            down: &self.weights[packed.down..packed.up],
            up: &self.weights[packed.up..packed.end],
            down_unit: packed.down_unit,
            up_unit: packed.up_unit,
        }
    }
}

/// The power of two that a matrix is multiplied with, and what one unit then stands for.
fn scale(values: &[f32]) -> (f32, f32) {
    let largest = values
        .iter()
        .fold(0_f32, |most, value| most.max(value.abs()));
    // The exponent of a float is the whole part of its logarithm. Both powers must be
    // ordinary numbers.
    let exponent = (largest.to_bits() >> 23) as i32 - 127;
    let up = (TOP - 1 - exponent).clamp(-120, 120);
    (2_f32.powi(up), 2_f32.powi(-up))
}

fn pack_down(part: &Part, size: Size, scratch: &mut Vec<f32>) -> f32 {
    let (factor, unit) = scale(&part.down);
    scratch.clear();
    scratch.resize(part.rank.next_multiple_of(LANES) * size.inputs, 0.0);
    let rows = part.down.chunks_exact(size.inputs);
    for (rank, row) in rows.enumerate() {
        let block = &mut scratch[rank / LANES * LANES * size.inputs..][..LANES * size.inputs];
        for (lanes, value) in block.as_chunks_mut::<LANES>().0.iter_mut().zip(row) {
            lanes[rank % LANES] = value * factor;
        }
    }
    unit
}

fn pack_up(part: &Part, size: Size, scratch: &mut Vec<f32>) -> f32 {
    let (factor, unit) = scale(&part.up);
    scratch.clear();
    scratch.resize(size.outputs.next_multiple_of(LANES) * part.rank, 0.0);
    let blocks = scratch.chunks_exact_mut(LANES * part.rank);
    for (block, rows) in blocks.zip(part.up.chunks(LANES * part.rank)) {
        for (lane, row) in rows.chunks_exact(part.rank).enumerate() {
            for (lanes, value) in block.as_chunks_mut::<LANES>().0.iter_mut().zip(row) {
                lanes[lane] = value * factor;
            }
        }
    }
    unit
}

fn append(values: &[f32], weights: &mut Vec<f16>) {
    let start = weights.len();
    weights.resize(start + values.len(), f16::ZERO);
    weights[start..].convert_from_f32_slice(values);
}

impl Matrices<'_> {
    /// Adds to the `size.outputs` columns of `output` from `offset` on, row by row.
    fn add(&self, input: &[f32], output: &mut [f32], columns: usize, offset: usize, wide: bool) {
        let inputs = input.chunks(SHARED * self.size.inputs);
        for (input, output) in inputs.zip(output.chunks_mut(SHARED * columns)) {
            match input.len() / self.size.inputs {
                1 => self.add_rows::<1>(input, output, columns, offset, wide),
                2 => self.add_rows::<2>(input, output, columns, offset, wide),
                _ => self.add_rows::<SHARED>(input, output, columns, offset, wide),
            }
        }
    }

    /// As [`Self::add`], for N tokens.
    fn add_rows<const N: usize>(
        &self,
        input: &[f32],
        output: &mut [f32],
        columns: usize,
        offset: usize,
        wide: bool,
    ) {
        let mut rows = output.chunks_exact_mut(columns);
        let Size { inputs, outputs } = self.size;
        let input: [&[f32]; N] = std::array::from_fn(|token| &input[token * inputs..][..inputs]);
        let output: [&mut [f32]; N] = std::array::from_fn(|_| {
            let row = rows.next().expect("as many rows as tokens");
            &mut row[offset..][..outputs]
        });
        let mut ranks: [Ranks; N] = [[0.0; MAX_RANK]; N];
        #[cfg(target_arch = "x86_64")]
        if wide {
            // SAFETY: `wide` says that the processor has the instructions.
            unsafe {
                avx2::down(self, input, &mut ranks);
                avx2::up(self, &ranks, output);
            }
            return;
        }
        let _ = wide;
        portable::down(self, input, &mut ranks);
        portable::up(self, &ranks, output);
    }
}

#[cfg(test)]
mod tests;
