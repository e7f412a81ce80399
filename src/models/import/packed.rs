//! Quantised matrices in the order in which the kernels read them.
//!
//! Outputs come in groups of [`GROUP`]; a matrix whose rows are no multiple of that is
//! filled up with zeros. A group is one stretch of bytes, little-endian, so that a kernel
//! reads memory in one direction:
//!
//! 1. For each block of 32 inputs the factors of its outputs as 16-bit floats: `GROUP`
//!    scales, then (four bits only) `GROUP` minimums. Filled up to a multiple of
//!    [`ALIGNMENT`] bytes.
//! 2. For each block its codes in quads: the codes of four neighbouring inputs for the
//!    first output, for the second, … With eight bits, a quad of a group is 32 bytes. With
//!    four bits, 32 bytes hold two quads that follow one another: the first in the low
//!    halves, the second in the high ones.

use half::f16;

use crate::models::gguf::blocks::{BLOCK, Bits, BlockMatrix};

/// Outputs whose weights lie together.
pub(crate) const GROUP: usize = 8;
/// Inputs whose codes lie together.
pub(crate) const QUAD: usize = 4;
/// What every group's size is a multiple of, in bytes.
pub(crate) const ALIGNMENT: usize = 32;

/// How the codes of a packed matrix are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Codes of 0 to 15, a scale and a minimum: 5 bits a weight.
    Four,
    /// Codes of -127 to 127 and a scale: 8½ bits a weight.
    Eight,
}

impl Layout {
    /// Its name in a graph's attribute; never changes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Four => "four",
            Self::Eight => "eight",
        }
    }

    /// The layout of that name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::Four, Self::Eight]
            .into_iter()
            .find(|layout| layout.name() == name)
    }

    /// Bytes of a block's factors in one group.
    pub(crate) fn factor_bytes(self) -> usize {
        match self {
            Self::Four => 2 * 2 * GROUP,
            Self::Eight => 2 * GROUP,
        }
    }

    /// Bytes of a block's codes in one group.
    pub(crate) fn code_bytes(self) -> usize {
        match self {
            Self::Four => BLOCK * GROUP / 2,
            Self::Eight => BLOCK * GROUP,
        }
    }

    /// Where in a group its codes begin.
    pub(crate) fn codes_at(self, inputs: usize) -> usize {
        (inputs / BLOCK * self.factor_bytes()).next_multiple_of(ALIGNMENT)
    }

    /// Bytes of one group.
    pub(crate) fn group_bytes(self, inputs: usize) -> usize {
        self.codes_at(inputs) + inputs / BLOCK * self.code_bytes()
    }

    /// Bytes of a matrix; `None` when there is no such number.
    pub(crate) fn bytes(self, inputs: usize, outputs: usize) -> Option<usize> {
        // Nothing in a group takes more than four bytes an input and output.
        inputs.checked_mul(4 * GROUP)?;
        self.group_bytes(inputs)
            .checked_mul(outputs.div_ceil(GROUP))
    }
}

/// The bytes of a matrix whose rows are outputs and whose columns are inputs.
///
/// Factors are rounded to 16-bit floats, which those of Q4_0, Q4_1 and Q8_0 are already.
/// Elsewhere a weight moves by at most 2⁻¹¹ · (15 · scale + |minimum|): about a hundredth
/// of a step between two codes, where the codes themselves are half a step off.
pub(crate) fn pack(matrix: &BlockMatrix) -> (Layout, Vec<u8>) {
    let layout = match matrix.bits {
        Bits::Four => Layout::Four,
        Bits::Eight => Layout::Eight,
    };
    let mut bytes =
        Vec::with_capacity(layout.group_bytes(matrix.columns) * matrix.rows.div_ceil(GROUP));
    for first in (0..matrix.rows).step_by(GROUP) {
        pack_group(matrix, first, layout, &mut bytes);
    }
    (layout, bytes)
}

/// Appends the group whose first output is `first`.
fn pack_group(matrix: &BlockMatrix, first: usize, layout: Layout, bytes: &mut Vec<u8>) {
    let blocks = matrix.columns / BLOCK;
    let start = bytes.len();
    let factor = |factors: &[f32], output: usize, block: usize| {
        let row = first + output;
        let factor = if row < matrix.rows {
            factors[row * blocks + block]
        } else {
            0.0
        };
        f16::from_f32(factor).to_le_bytes()
    };
    for block in 0..blocks {
        bytes.extend((0..GROUP).flat_map(|output| factor(&matrix.scales, output, block)));
        if layout == Layout::Four {
            bytes.extend((0..GROUP).flat_map(|output| factor(&matrix.minimums, output, block)));
        }
    }
    bytes.resize(start + layout.codes_at(matrix.columns), 0);
    let code = |output: usize, input: usize| {
        let row = first + output;
        if row < matrix.rows {
            matrix.codes[row * matrix.columns + input]
        } else {
            0
        }
    };
    let quad_pairs = (0..matrix.columns).step_by(2 * QUAD);
    for pair in quad_pairs {
        let lanes = (0..GROUP).flat_map(|output| (0..QUAD).map(move |input| (output, input)));
        match layout {
            Layout::Four => bytes.extend(lanes.map(|(output, input)| {
                let low = code(output, pair + input) as u8;
                let high = code(output, pair + QUAD + input) as u8;
                low | (high << 4)
            })),
            Layout::Eight => {
                let first = lanes.clone().map(|(o, i)| code(o, pair + i) as u8);
                bytes.extend(first);
                bytes.extend(lanes.map(|(o, i)| code(o, pair + QUAD + i) as u8));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_layout() {
        for layout in [Layout::Four, Layout::Eight] {
            assert_eq!(Layout::of(layout.name()), Some(layout));
        }
        assert_eq!(Layout::of("five"), None);
    }

    fn matrix(rows: usize, bits: Bits) -> BlockMatrix {
        let columns = 3 * BLOCK;
        let code = |at: usize| match bits {
            Bits::Four => (at * 7 % 16) as i8,
            Bits::Eight => (at * 7 % 255) as i8,
        };
        BlockMatrix {
            rows,
            columns,
            bits,
            codes: (0..rows * columns).map(code).collect(),
            scales: (0..rows * 3).map(|at| at as f32).collect(),
            minimums: (0..rows * 3).map(|at| -(at as f32)).collect(),
        }
    }

    #[test]
    fn a_matrix_takes_the_bytes_that_its_layout_says() {
        for (bits, rows) in [(Bits::Four, 8), (Bits::Four, 17), (Bits::Eight, 9)] {
            let (layout, bytes) = pack(&matrix(rows, bits));
            assert_eq!(Some(bytes.len()), layout.bytes(96, rows));
            assert_eq!(layout.group_bytes(96) % ALIGNMENT, 0);
        }
        assert_eq!(Layout::Eight.bytes(usize::MAX / 64, 1 << 20), None);
        assert_eq!(Layout::Four.bytes(usize::MAX - 31, 1), None);
    }
}
