//! Matrices as the quantised blocks that the file holds, for kernels that multiply them
//! without turning them into floats.

use std::io::{Read, Seek};

use half::f16;

use super::{Gguf, GgufError, Matrix, TensorType};

/// Numbers along a row that share a scale and a minimum.
pub const BLOCK: usize = 32;

/// How large a block's codes may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// 0 to 15.
    Four,
    /// -127 to 127, and every minimum is 0.
    Eight,
}

/// A matrix in blocks of [`BLOCK`] numbers along a row:
/// number = scale · code + minimum.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockMatrix {
    pub rows: usize,
    /// A multiple of [`BLOCK`].
    pub columns: usize,
    pub bits: Bits,
    /// `rows × columns` codes, row after row.
    pub codes: Vec<i8>,
    /// `rows × columns / BLOCK`, row after row.
    pub scales: Vec<f32>,
    /// As many as there are scales.
    pub minimums: Vec<f32>,
}

impl<R: Read + Seek> Gguf<R> {
    /// A tensor's blocks. Q4_0, Q4_1 and Q8_0 come as the file has them; every other type
    /// as floats in new blocks of eight bits. One dimension gives one row.
    ///
    /// # Errors
    /// As [`Gguf::matrix`], and when a row is not whole blocks.
    pub fn blocks(&mut self, name: &str) -> Result<BlockMatrix, GgufError> {
        let raw = self.raw(name)?;
        let found = match raw.kind {
            TensorType::Q4_0 => Some(BlockMatrix::of_q4(raw.rows, raw.columns, &raw.bytes, false)),
            TensorType::Q4_1 => Some(BlockMatrix::of_q4(raw.rows, raw.columns, &raw.bytes, true)),
            TensorType::Q8_0 => BlockMatrix::of_q8_0(raw.rows, raw.columns, &raw.bytes),
            _ => None,
        };
        let blocks = match found {
            Some(blocks) => Some(blocks),
            None => BlockMatrix::from_floats(&self.matrix(name)?),
        };
        blocks.ok_or_else(|| {
            GgufError::Malformed(format!(
                "tensor {name} has rows that are not whole blocks of {BLOCK}"
            ))
        })
    }
}

impl BlockMatrix {
    /// Q4_0 (one scale) or Q4_1 (scale and minimum). In both, the low halves of a block's
    /// bytes are its first 16 codes and the high halves the others.
    fn of_q4(rows: usize, columns: usize, bytes: &[u8], has_minimum: bool) -> Self {
        let mut matrix = Self::empty(rows, columns, Bits::Four);
        let head = if has_minimum { 4 } else { 2 };
        for block in bytes.chunks_exact(head + BLOCK / 2) {
            let (factors, nibbles) = block.split_at(head);
            let scale = half(factors, 0);
            matrix.scales.push(scale);
            matrix.minimums.push(if has_minimum {
                half(factors, 2)
            } else {
                // Its codes stand around 8.
                -8.0 * scale
            });
            matrix.codes.extend(nibbles.iter().map(|b| (b & 15) as i8));
            matrix.codes.extend(nibbles.iter().map(|b| (b >> 4) as i8));
        }
        matrix
    }

    /// `None` when a code is -128, which has no opposite.
    fn of_q8_0(rows: usize, columns: usize, bytes: &[u8]) -> Option<Self> {
        let mut matrix = Self::empty(rows, columns, Bits::Eight);
        for block in bytes.chunks_exact(2 + BLOCK) {
            matrix.scales.push(half(block, 0));
            matrix.minimums.push(0.0);
            matrix.codes.extend(block[2..].iter().map(|b| *b as i8));
        }
        (!matrix.codes.contains(&i8::MIN)).then_some(matrix)
    }

    /// Blocks of eight bits that are nearest to `matrix`; `None` when its rows are not
    /// whole blocks. Scales are 16-bit floats, as in Q8_0. A block with a number that is
    /// not finite gets a scale that is not.
    pub fn from_floats(matrix: &Matrix) -> Option<Self> {
        if matrix.columns == 0 || !matrix.columns.is_multiple_of(BLOCK) {
            return None;
        }
        let mut blocks = Self::empty(matrix.rows, matrix.columns, Bits::Eight);
        for numbers in matrix.data.chunks_exact(BLOCK) {
            let finite = numbers.iter().all(|number| number.is_finite());
            let largest = if finite {
                numbers.iter().fold(0_f32, |most, n| most.max(n.abs()))
            } else {
                f32::NAN
            };
            let scale = f16::from_f32(largest / 127.0).to_f32();
            blocks.scales.push(scale);
            blocks.minimums.push(0.0);
            // The scale was rounded, so the largest may lie just above 127 steps.
            let code = |number: &f32| (number / scale).round().clamp(-127.0, 127.0) as i8;
            if scale.is_normal() || scale.is_subnormal() {
                blocks.codes.extend(numbers.iter().map(code));
            } else {
                blocks.codes.extend([0; BLOCK]);
            }
        }
        Some(blocks)
    }

    fn empty(rows: usize, columns: usize, bits: Bits) -> Self {
        let numbers = rows * columns;
        Self {
            rows,
            columns,
            bits,
            codes: Vec::with_capacity(numbers),
            scales: Vec::with_capacity(numbers / BLOCK),
            minimums: Vec::with_capacity(numbers / BLOCK),
        }
    }

    /// The numbers that the blocks stand for.
    pub fn to_floats(&self) -> Matrix {
        let factors = self.scales.iter().zip(&self.minimums);
        let blocks = self.codes.chunks_exact(BLOCK).zip(factors);
        let mut data = Vec::with_capacity(self.codes.len());
        for (codes, (scale, minimum)) in blocks {
            data.extend(codes.iter().map(|code| scale * f32::from(*code) + minimum));
        }
        Matrix {
            rows: self.rows,
            columns: self.columns,
            data,
        }
    }

    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        let mut factors = self.scales.iter().chain(&self.minimums);
        factors.all(|factor| factor.is_finite())
    }

    /// The same numbers, or the nearest to them, in blocks of eight bits.
    pub fn to_eight(self) -> Self {
        if self.bits == Bits::Eight {
            return self;
        }
        Self::from_floats(&self.to_floats()).expect("its rows are whole blocks already")
    }

    /// Row `i` of the result is row `order[i]` of this one.
    ///
    /// # Panics
    /// When `order` names a row that is not there.
    pub fn permuted(&self, order: &[usize]) -> Self {
        let mut matrix = Self::empty(order.len(), self.columns, self.bits);
        let blocks = self.columns / BLOCK;
        for row in order {
            let codes = &self.codes[row * self.columns..][..self.columns];
            matrix.codes.extend_from_slice(codes);
            let factors = row * blocks..(row + 1) * blocks;
            matrix
                .scales
                .extend_from_slice(&self.scales[factors.clone()]);
            matrix.minimums.extend_from_slice(&self.minimums[factors]);
        }
        matrix
    }

    /// Several matrices, one under the other. When their bits differ, all become eight.
    ///
    /// # Panics
    /// When there are none or their widths differ.
    pub fn stacked(matrices: Vec<Self>) -> Self {
        let mixed = matrices.windows(2).any(|pair| pair[0].bits != pair[1].bits);
        let mut rest = matrices
            .into_iter()
            .map(|matrix| if mixed { matrix.to_eight() } else { matrix });
        let mut stack = rest.next().expect("something to stack");
        for matrix in rest {
            assert_eq!(matrix.columns, stack.columns, "widths of stacked matrices");
            stack.rows += matrix.rows;
            stack.codes.extend(matrix.codes);
            stack.scales.extend(matrix.scales);
            stack.minimums.extend(matrix.minimums);
        }
        stack
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::models::gguf::fixture::Writer;

    fn written(kind: u32, columns: u64, bytes: &[u8]) -> Gguf<Cursor<Vec<u8>>> {
        let mut writer = Writer::default();
        writer.tensor("w", &[columns, 2], kind, bytes);
        Gguf::read(Cursor::new(writer.finish())).unwrap()
    }

    /// Two rows of two blocks of `head` halves and `body` bytes each.
    fn any_blocks(head: usize, body: usize) -> impl Strategy<Value = Vec<u8>> {
        let halves = proptest::collection::vec(-1.0..1.0_f32, head);
        let bytes = proptest::collection::vec(any::<u8>(), body);
        let block = (halves, bytes).prop_map(|(halves, bytes)| {
            let halves = halves.iter().flat_map(|h| f16::from_f32(*h).to_le_bytes());
            halves.chain(bytes).collect::<Vec<u8>>()
        });
        proptest::collection::vec(block, 4).prop_map(|blocks| blocks.concat())
    }

    proptest! {
        #[test]
        fn blocks_of_four_bits_stand_for_the_numbers_of_the_file(
            (kind, bytes) in prop_oneof![
                any_blocks(1, 16).prop_map(|bytes| (2, bytes)),
                any_blocks(2, 16).prop_map(|bytes| (3, bytes)),
            ],
        ) {
            let mut gguf = written(kind, 64, &bytes);
            let blocks = gguf.blocks("w").unwrap();
            prop_assert_eq!(blocks.bits, Bits::Four);
            prop_assert_eq!(blocks.to_floats(), gguf.matrix("w").unwrap());
        }

        #[test]
        fn blocks_of_eight_bits_stand_for_the_numbers_of_the_file(bytes in any_blocks(1, 32)) {
            let mut gguf = written(8, 64, &bytes);
            let blocks = gguf.blocks("w").unwrap();
            let floats = gguf.matrix("w").unwrap();
            prop_assert!(!blocks.codes.contains(&i8::MIN));
            let lowest = bytes.chunks(34).any(|block| block[2..].contains(&128));
            if !lowest {
                prop_assert_eq!(blocks.to_floats(), floats);
            }
        }

        #[test]
        fn floats_lose_at_most_half_a_step(
            data in proptest::collection::vec(-3.0..3.0_f32, 96),
        ) {
            let matrix = Matrix { rows: 1, columns: 96, data };
            let blocks = BlockMatrix::from_floats(&matrix).unwrap();
            let restored = blocks.to_floats();
            for (block, scale) in blocks.scales.iter().enumerate() {
                for at in block * BLOCK..(block + 1) * BLOCK {
                    let loss = (matrix.data[at] - restored.data[at]).abs();
                    // A scale that was rounded down cuts up to 127 · 2⁻¹¹ steps more.
                    prop_assert!(loss <= 0.57 * scale, "{loss} of {scale}");
                }
            }
        }
    }

    #[test]
    fn numbers_without_blocks_get_blocks_of_eight_bits() {
        let mut writer = Writer::default();
        let numbers: Vec<f32> = (0..64).map(|i| (i - 30) as f32).collect();
        writer.floats("w", &[32, 2], &numbers);
        writer.floats("ragged", &[33], &[0.0; 33]);
        let mut gguf = Gguf::read(Cursor::new(writer.finish())).unwrap();
        let blocks = gguf.blocks("w").unwrap();
        assert_eq!(
            (blocks.rows, blocks.columns, blocks.bits),
            (2, 32, Bits::Eight)
        );
        assert!(matches!(
            gguf.blocks("ragged"),
            Err(GgufError::Malformed(_))
        ));
    }

    fn counted(rows: usize, bits: Bits, first: i8) -> BlockMatrix {
        let row = |row: usize| [first + row as i8; BLOCK];
        BlockMatrix {
            rows,
            columns: BLOCK,
            bits,
            codes: (0..rows).flat_map(row).collect(),
            scales: vec![1.0; rows],
            minimums: vec![0.0; rows],
        }
    }

    fn first_column(matrix: &BlockMatrix) -> Vec<f32> {
        matrix.to_floats().data.into_iter().step_by(BLOCK).collect()
    }

    #[test]
    fn rows_move_with_their_factors() {
        let mut matrix = counted(3, Bits::Four, 1);
        matrix.scales = vec![1.0, 2.0, 3.0];
        matrix.minimums = vec![0.5, 0.25, 0.125];
        assert_eq!(first_column(&matrix.permuted(&[2, 0])), [9.125, 1.5]);
    }

    #[test]
    fn a_stack_of_one_kind_stays_of_that_kind_and_a_mixed_one_becomes_eight() {
        let four = counted(2, Bits::Four, 1);
        let eight = counted(1, Bits::Eight, 127);
        let same = BlockMatrix::stacked(vec![four.clone(), four.clone()]);
        assert_eq!((same.rows, same.bits), (4, Bits::Four));
        assert_eq!(first_column(&same), [1.0, 2.0, 1.0, 2.0]);
        let mixed = BlockMatrix::stacked(vec![eight, four]);
        assert_eq!((mixed.rows, mixed.bits), (3, Bits::Eight));
        for (found, expected) in first_column(&mixed).iter().zip([127.0, 1.0, 2.0]) {
            assert!((found - expected).abs() < 0.01, "{found} for {expected}");
        }
    }
}
