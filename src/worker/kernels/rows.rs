//! Small passes over rows that the larger kernels do not do on their way.

use super::{Team, linear::Activation};

/// Rows that one part of the team takes.
const ROWS_A_PART: usize = 8;

/// What stands for zero in bytes.
const ZERO: f32 = 128.0;

/// `activation(gate) · up` for rows of gate and up side by side, `columns` each.
pub(crate) fn gated(gate_up: &[f32], columns: usize, activation: Activation) -> Vec<f32> {
    gate_up
        .chunks_exact(2 * columns)
        .flat_map(|row| {
            let (gate, up) = row.split_at(columns);
            gate.iter()
                .zip(up)
                .map(move |(gate, up)| activated(activation, *gate) * up)
        })
        .collect()
}

fn activated(activation: Activation, x: f32) -> f32 {
    let slope = match activation {
        Activation::Silu => x,
        // 2·√(2/π), see [`Activation::GeluTanh`].
        Activation::GeluTanh => 1.595_769 * (x + 0.044_715 * x * x * x),
    };
    x / (1.0 + (-slope).exp())
}

/// Each row as bytes around 128, in steps of its own scale (its largest magnitude is 127
/// steps): one scale per row, so that a row never feels its neighbours.
pub(crate) fn quantize(
    values: &[f32],
    columns: usize,
    bytes: &mut [u8],
    scales: &mut [f32],
    team: &dyn Team,
) {
    let mut parts: Vec<_> = values
        .chunks(ROWS_A_PART * columns)
        .zip(bytes.chunks_mut(ROWS_A_PART * columns))
        .zip(scales.chunks_mut(ROWS_A_PART))
        .map(|((values, bytes), scales)| (values, bytes, scales))
        .collect();
    super::each(team, &mut parts, |(values, bytes, scales)| {
        let rows = values
            .chunks_exact(columns)
            .zip(bytes.chunks_exact_mut(columns));
        for ((values, bytes), scale) in rows.zip(scales.iter_mut()) {
            let largest = values
                .iter()
                .fold(0_f32, |largest, value| largest.max(value.abs()));
            *scale = largest.max(f32::MIN_POSITIVE * 1024.0) / 127.0;
            for (value, byte) in values.iter().zip(bytes) {
                // Magnitudes reach 127 steps: the sum is in 1..=255.
                *byte = ((value / *scale).round_ties_even() + ZERO) as u8;
            }
        }
    });
}

/// `output[r, c] = sums[r, c] · row_scales[r] · column_scales[c]`.
pub(crate) fn rescale(
    sums: &[i32],
    row_scales: &[f32],
    column_scales: &[f32],
    output: &mut [f32],
    team: &dyn Team,
) {
    let columns = column_scales.len();
    let mut parts: Vec<_> = sums
        .chunks(ROWS_A_PART * columns)
        .zip(output.chunks_mut(ROWS_A_PART * columns))
        .zip(row_scales.chunks(ROWS_A_PART))
        .map(|((sums, output), scales)| (sums, output, scales))
        .collect();
    super::each(team, &mut parts, |(sums, output, scales)| {
        let rows = sums
            .chunks_exact(columns)
            .zip(output.chunks_exact_mut(columns));
        for ((sums, output), scale) in rows.zip(scales.iter()) {
            for ((sum, value), column) in sums.iter().zip(output).zip(column_scales) {
                *value = *sum as f32 * scale * column;
            }
        }
    });
}
