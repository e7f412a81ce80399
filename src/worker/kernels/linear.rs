//! Linear layers on quantised weights: `output = input × weightᵀ`.
//!
//! The input is turned into bytes once, block by block ([`super::quantise`]); what is
//! summed within a block are integers, exactly. Per output, in the order of its blocks:
//! `sum = fma(dot, scale_w · scale_x, sum)`, then with minimums
//! `sum = fma(minimum, scale_x · Σx, sum)`. Every kernel does just that, so every
//! kernel gives the same bits.

use std::{cell::Cell, ops::Range};

use half::f16;

pub(crate) use super::quantise::{Activation, Input};
use super::{Team, portable, quantise::Factors};
use crate::models::{
    gguf::blocks::BLOCK,
    import::packed::{GROUP, Layout, QUAD},
};

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum KernelError {
    #[error("{0} inputs are not whole blocks of 32")]
    Inputs(usize),
    #[error(
        "{bytes} bytes of weights where {inputs} inputs and {outputs} outputs take {expected:?}"
    )]
    Size {
        bytes: usize,
        inputs: usize,
        outputs: usize,
        expected: Option<usize>,
    },
}

/// A layer's weights as [`crate::models::import::packed`] lays them out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) layout: Layout,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl<'a> Packed<'a> {
    /// Weights of `outputs` rows of `inputs` numbers.
    ///
    /// # Errors
    /// When `inputs` are not whole blocks or the bytes are not as many as the layout takes.
    pub(crate) fn new(
        bytes: &'a [u8],
        layout: Layout,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, KernelError> {
        if inputs == 0 || !inputs.is_multiple_of(BLOCK) {
            return Err(KernelError::Inputs(inputs));
        }
        let expected = layout.bytes(inputs, outputs);
        if expected != Some(bytes.len()) {
            return Err(KernelError::Size {
                bytes: bytes.len(),
                inputs,
                outputs,
                expected,
            });
        }
        Ok(Self {
            bytes,
            layout,
            inputs,
            outputs,
        })
    }

    /// The weights of one output as numbers.
    ///
    /// # Panics
    /// When there is no such output or `into` has not `inputs` places.
    pub(crate) fn row(&self, output: usize, into: &mut [f32]) {
        assert!(output < self.outputs && into.len() == self.inputs, "a row");
        let group = self.group(output / GROUP);
        let lane = output % GROUP;
        for (block, numbers) in into.chunks_exact_mut(BLOCK).enumerate() {
            let (scale, minimum) = (group.scale(block, lane), group.minimum(block, lane));
            for (at, number) in numbers.iter_mut().enumerate() {
                *number = scale * f32::from(group.code(block * BLOCK + at, lane)) + minimum;
            }
        }
    }

    pub(super) fn groups(&self) -> usize {
        self.outputs.div_ceil(GROUP)
    }

    pub(super) fn blocks(&self) -> usize {
        self.inputs / BLOCK
    }

    pub(super) fn group(&self, group: usize) -> Group<'a> {
        let size = self.layout.group_bytes(self.inputs);
        let (factors, codes) =
            self.bytes[group * size..][..size].split_at(self.layout.codes_at(self.inputs));
        Group {
            layout: self.layout,
            factors,
            codes,
        }
    }
}

/// The weights of [`GROUP`] outputs.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub(super) layout: Layout,
    pub(super) factors: &'a [u8],
    pub(super) codes: &'a [u8],
}

impl Group<'_> {
    fn factor(&self, at: usize) -> f32 {
        f16::from_le_bytes([self.factors[at], self.factors[at + 1]]).to_f32()
    }

    pub(super) fn scale(&self, block: usize, lane: usize) -> f32 {
        self.factor(block * self.layout.factor_bytes() + 2 * lane)
    }

    pub(super) fn minimum(&self, block: usize, lane: usize) -> f32 {
        match self.layout {
            Layout::Four => self.factor(block * self.layout.factor_bytes() + 2 * (GROUP + lane)),
            Layout::Eight => 0.0,
        }
    }

    pub(super) fn code(&self, input: usize, lane: usize) -> i8 {
        let (quad, within) = (input / QUAD, lane * QUAD + input % QUAD);
        match self.layout {
            Layout::Four => {
                let byte = self.codes[quad / 2 * GROUP * QUAD + within];
                (byte >> (quad % 2 * 4) & 15) as i8
            }
            Layout::Eight => self.codes[quad * GROUP * QUAD + within] as i8,
        }
    }
}

/// The quantised input of a layer.
#[derive(Default)]
pub(super) struct Quantised {
    /// `[rows, inputs]`
    pub(super) codes: Vec<i8>,
    /// `[rows, inputs / BLOCK]`
    pub(super) factors: Vec<Factors>,
}

/// A rectangle of the output: one part of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) rows: Range<usize>,
    /// Of [`GROUP`] outputs.
    pub(super) groups: Range<usize>,
}

/// A slice that several threads write at different places.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    _slice: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: it hands out places only through `places`, whose callers vouch that no two
// threads ask for the same ones; `T: Send` may be written from any thread.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            length: slice.len(),
            _slice: std::marker::PhantomData,
        }
    }

    /// The places `at..at + count`, for as long as the slice is borrowed.
    ///
    /// # Safety
    /// Nobody else may hold any of these places meanwhile.
    pub(super) unsafe fn places(self, at: usize, count: usize) -> &'a mut [T] {
        assert!(at <= self.length && count <= self.length - at, "places");
        // SAFETY: the places lie within the slice, which is borrowed mutably for `'a`; nobody else holds them, by the contract of this function.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), count) }
    }
}

/// The kinds of processors that have a kernel of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Kernel {
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if super::avx2::is_there() {
            return Self::Avx2;
        }
        Self::Portable
    }

    fn quantise(self, input: Input<'_>, row: usize, codes: &mut [i8], factors: &mut [Factors]) {
        match self {
            Self::Portable => input.quantise(row, codes, factors),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `best` and the tests name this kernel only where its features are.
            Self::Avx2 => unsafe { super::avx2::quantise(input, row, codes, factors) },
        }
    }

    fn multiply(
        self,
        weights: &Packed<'_>,
        input: &Quantised,
        area: &Area,
        output: &Shared<'_, f32>,
    ) {
        match self {
            Self::Portable => portable::multiply(weights, input, area, output),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `best` and the tests name this kernel only where its features are.
            Self::Avx2 => unsafe { super::avx2::multiply(weights, input, area, output) },
        }
    }
}

/// `output[rows, outputs] = input[rows, inputs] × weightsᵀ`, with the input quantised. An
/// input row that holds anything not finite gives an output row of NaN.
///
/// # Panics
/// When the input or the output has another size.
pub(crate) fn linear(
    weights: &Packed<'_>,
    input: Input<'_>,
    rows: usize,
    output: &mut [f32],
    team: &dyn Team,
) {
    multiply(Kernel::best(), weights, input, rows, output, team);
}

thread_local! {
    /// The quantised input, kept so that its memory is not asked for in every layer.
    static SCRATCH: Cell<Quantised> = Cell::default();
}

fn multiply(
    kernel: Kernel,
    weights: &Packed<'_>,
    input: Input<'_>,
    rows: usize,
    output: &mut [f32],
    team: &dyn Team,
) {
    let (numbers, times) = input.numbers();
    assert_eq!(
        numbers,
        rows * times * weights.inputs,
        "numbers of the input"
    );
    assert_eq!(output.len(), rows * weights.outputs, "places of the output");
    let mut quantised = SCRATCH.take();
    quantise(kernel, weights, input, rows, &mut quantised, team);
    let areas = areas(weights, rows, team.members());
    let output = Shared::new(output);
    if let [area] = &areas[..] {
        kernel.multiply(weights, &quantised, area, &output);
    } else {
        team.split(areas.len(), &|part| {
            kernel.multiply(weights, &quantised, &areas[part], &output);
        });
    }
    SCRATCH.set(quantised);
}

/// Numbers of the input that are worth waking a second thread for.
const QUANTISED_ALONE: usize = 32 * 1024;
/// Bytes of weights times rows that are worth waking a second thread for.
const MULTIPLIED_ALONE: usize = 32 * 1024;
/// Rows whose codes stay in a core's own cache while the weights pass.
pub(super) const CHUNK: usize = 64;

fn quantise(
    kernel: Kernel,
    weights: &Packed<'_>,
    input: Input<'_>,
    rows: usize,
    quantised: &mut Quantised,
    team: &dyn Team,
) {
    let (inputs, blocks) = (weights.inputs, weights.blocks());
    quantised.codes.resize(rows * inputs, 0);
    quantised.factors.resize(rows * blocks, Factors::default());
    let codes = Shared::new(&mut quantised.codes);
    let factors = Shared::new(&mut quantised.factors);
    let parts = (rows * inputs / QUANTISED_ALONE).clamp(1, team.members());
    let part = |part: usize| {
        for row in share(rows, part, parts) {
            // SAFETY: the shares of different parts have no row in common.
            let (codes, factors) = unsafe {
                (
                    codes.places(row * inputs, inputs),
                    factors.places(row * blocks, blocks),
                )
            };
            kernel.quantise(input, row, codes, factors);
        }
    };
    if parts == 1 {
        part(0);
    } else {
        team.split(parts, &part);
    }
}

/// The `part`th of `parts` nearly equal ranges of `0..length`.
fn share(length: usize, part: usize, parts: usize) -> Range<usize> {
    length * part / parts..length * (part + 1) / parts
}

/// Cuts the output for a team. Together the areas cover every output once.
fn areas(weights: &Packed<'_>, rows: usize, members: usize) -> Vec<Area> {
    let chunks = rows.div_ceil(CHUNK);
    let work = weights.bytes.len().saturating_mul(rows) / MULTIPLIED_ALONE;
    let members = work.clamp(1, members);
    // Without a remainder that one thread would carry alone.
    let columns = (members.div_ceil(chunks.max(1))).min(weights.groups());
    let area = |(chunk, column)| Area {
        rows: share(rows, chunk, chunks),
        groups: share(weights.groups(), column, columns),
    };
    (0..chunks)
        .flat_map(|chunk| (0..columns).map(move |column| (chunk, column)))
        .map(area)
        .collect()
}

#[cfg(test)]
mod tests;
