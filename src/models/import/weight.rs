//! Weights as a linear layer takes them: one or several tensors, one under the other.

use std::io::{Read, Seek};

use super::Precision;
use crate::models::{
    ModelError,
    gguf::{BlockMatrix, Gguf, Matrix},
};

/// One tensor of a stacked weight.
pub(super) struct Part<'a> {
    tensor: &'a str,
    rows: usize,
    /// Set for queries and keys, whose rows GGUF interleaves.
    head_dim: Option<usize>,
}

impl<'a> Part<'a> {
    pub(super) fn whole(tensor: &'a str, rows: usize) -> Self {
        Self {
            tensor,
            rows,
            head_dim: None,
        }
    }

    /// Which of the tensor's rows stands where, if not each in its own place.
    pub(super) fn order(&self) -> Option<Vec<usize>> {
        self.head_dim
            .map(|head_dim| half_split_order(self.rows, head_dim))
    }

    /// GGUF stores the q and k rows of a llama head as (first half, second half)
    /// interleaved, for rotary positions on neighbours; attention here pairs a head's first
    /// half with its second, as the original weights do.
    pub(super) fn half_split(tensor: &'a str, rows: usize, head_dim: usize) -> Self {
        Self {
            tensor,
            rows,
            head_dim: Some(head_dim),
        }
    }
}

/// A weight of [outputs, inputs].
pub(super) enum Weight {
    Floats(Matrix),
    /// As the file holds it.
    Blocks(BlockMatrix),
}

impl Weight {
    /// Reads the parts and puts one under the other.
    pub(super) fn read<R: Read + Seek>(
        gguf: &mut Gguf<R>,
        precision: Precision,
        parts: &[Part<'_>],
        columns: usize,
    ) -> Result<Self, ModelError> {
        if precision == Precision::Blocks {
            let blocks: Result<Vec<BlockMatrix>, ModelError> = parts
                .iter()
                .map(|part| {
                    let blocks = gguf.blocks(part.tensor)?;
                    check_size(
                        part.tensor,
                        (blocks.rows, blocks.columns),
                        (part.rows, columns),
                    )?;
                    if !blocks.is_finite() {
                        return Err(not_finite(part.tensor));
                    }
                    Ok(match part.order() {
                        None => blocks,
                        Some(order) => blocks.permuted(&order),
                    })
                })
                .collect();
            return Ok(Self::Blocks(BlockMatrix::stacked(blocks?)));
        }
        let mut stacked = Matrix {
            rows: 0,
            columns,
            data: Vec::new(),
        };
        for part in parts {
            let whole = matrix(gguf, part.tensor, part.rows, columns)?;
            stacked.rows += part.rows;
            match part.order() {
                None => stacked.data.extend(whole.data),
                Some(order) => {
                    for row in order {
                        stacked
                            .data
                            .extend_from_slice(&whole.data[row * columns..][..columns]);
                    }
                }
            }
        }
        Ok(Self::Floats(stacked))
    }
}

/// A tensor of the size that the shape calls for.
pub(super) fn matrix<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    name: &str,
    rows: usize,
    columns: usize,
) -> Result<Matrix, ModelError> {
    let matrix = gguf.matrix(name)?;
    check_size(name, (matrix.rows, matrix.columns), (rows, columns))?;
    if matrix.data.iter().any(|number| !number.is_finite()) {
        return Err(not_finite(name));
    }
    Ok(matrix)
}

fn check_size(
    name: &str,
    found: (usize, usize),
    expected: (usize, usize),
) -> Result<(), ModelError> {
    if found == expected {
        return Ok(());
    }
    Err(ModelError::Unsupported(format!(
        "the tensor {name} of {} × {} numbers where {} × {} belong",
        found.0, found.1, expected.0, expected.1
    )))
}

fn not_finite(name: &str) -> ModelError {
    ModelError::Unsupported(format!(
        "the tensor {name}, which holds numbers that are not finite"
    ))
}

/// Which of the interleaved rows stands where.
fn half_split_order(rows: usize, head_dim: usize) -> Vec<usize> {
    let half = head_dim / 2;
    (0..rows)
        .map(|row| {
            let (head, row) = (row / head_dim, row % head_dim);
            head * head_dim + (row % half) * 2 + row / half
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_a_head_become_its_halves() {
        // Two heads of four rows; a row holds its own place in the original order.
        let interleaved = [0, 2, 1, 3, 4, 6, 5, 7];
        let original: Vec<usize> = half_split_order(8, 4)
            .into_iter()
            .map(|row| interleaved[row])
            .collect();
        assert_eq!(original, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
