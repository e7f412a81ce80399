//! How tensors are stored, and the numbers that a stored block stands for.
//!
//! Layouts and formulas are those of ggml (`ggml-common.h`, and the functions
//! `dequantize_row_*` of `ggml-quants.c`), with products and sums in the same order in
//! 32-bit floats, so that the results are the same bits.

use half::{bf16, f16};

/// Weights in one block of the simple quantised types.
const BLOCK: usize = 32;
/// Weights in one block of the types whose parts have scales of their own.
const SUPER: usize = 256;
/// The sixteen levels of the IQ4 types.
const LEVELS: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// How a tensor's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorType {
    F32,
    F16,
    BF16,
    /// Blocks of 32: one scale, 4-bit numbers around 8.
    Q4_0,
    /// Blocks of 32: one scale, one minimum, 4-bit numbers.
    Q4_1,
    /// Blocks of 32: one scale, 5-bit numbers around 16.
    Q5_0,
    /// Blocks of 32: one scale, one minimum, 5-bit numbers.
    Q5_1,
    /// Blocks of 32: one scale, signed bytes.
    Q8_0,
    /// Blocks of 256: 16 parts, each with a scale and a minimum of 4 bits, 2-bit numbers.
    Q2K,
    /// Blocks of 256: 16 parts, each with a scale of 6 bits, 3-bit numbers around 4.
    Q3K,
    /// Blocks of 256: 8 parts, each with a scale and a minimum of 6 bits, 4-bit numbers.
    Q4K,
    /// Blocks of 256: 8 parts, each with a scale and a minimum of 6 bits, 5-bit numbers.
    Q5K,
    /// Blocks of 256: 16 parts, each with a scale of 8 bits, 6-bit numbers around 32.
    Q6K,
    /// Blocks of 32: one scale, 4-bit indices into levels that are not even.
    Iq4Nl,
    /// Blocks of 256: 8 parts, each with a scale of 6 bits, indices as in `Iq4Nl`.
    Iq4Xs,
}

impl TensorType {
    /// Names of all types, for messages.
    pub(super) const NAMES: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, \
                                    Q4_K, Q5_K, Q6_K, IQ4_NL and IQ4_XS";

    /// The type that ggml numbers so.
    pub(super) fn of(kind: u32) -> Option<Self> {
        Some(match kind {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            20 => Self::Iq4Nl,
            23 => Self::Iq4Xs,
            30 => Self::BF16,
            _ => return None,
        })
    }

    /// (numbers, bytes) of the smallest unit.
    pub(super) fn unit(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 | Self::Iq4Nl => (BLOCK, 2 + BLOCK / 2),
            Self::Q4_1 => (BLOCK, 4 + BLOCK / 2),
            Self::Q5_0 => (BLOCK, 2 + BLOCK / 8 + BLOCK / 2),
            Self::Q5_1 => (BLOCK, 4 + BLOCK / 8 + BLOCK / 2),
            Self::Q8_0 => (BLOCK, 2 + BLOCK),
            Self::Q2K => (SUPER, SUPER / 16 + SUPER / 4 + 4),
            Self::Q3K => (SUPER, SUPER / 8 + SUPER / 4 + 12 + 2),
            Self::Q4K => (SUPER, 4 + 12 + SUPER / 2),
            Self::Q5K => (SUPER, 4 + 12 + SUPER / 8 + SUPER / 2),
            Self::Q6K => (SUPER, SUPER / 2 + SUPER / 4 + SUPER / 16 + 2),
            Self::Iq4Xs => (SUPER, 4 + SUPER / 64 + SUPER / 2),
        }
    }
}

/// Appends the numbers of one unit, which has as many bytes as [`TensorType::unit`] says.
pub(super) fn dequantise(kind: TensorType, block: &[u8], out: &mut Vec<f32>) {
    match kind {
        TensorType::F32 => out.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
        TensorType::F16 => out.push(half(block, 0)),
        TensorType::BF16 => out.push(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
        TensorType::Q4_0 => {
            let scale = half(block, 0);
            let nibbles = low_then_high(&block[2..]);
            out.extend(nibbles.map(|q| scale * (f32::from(q) - 8.0)));
        }
        TensorType::Q4_1 => {
            let (scale, minimum) = (half(block, 0), half(block, 2));
            let nibbles = low_then_high(&block[4..]);
            out.extend(nibbles.map(|q| scale * f32::from(q) + minimum));
        }
        TensorType::Q5_0 => {
            let scale = half(block, 0);
            let numbers = five_bits(&block[2..]);
            out.extend(numbers.map(|q| scale * (f32::from(q) - 16.0)));
        }
        TensorType::Q5_1 => {
            let (scale, minimum) = (half(block, 0), half(block, 2));
            let numbers = five_bits(&block[4..]);
            out.extend(numbers.map(|q| scale * f32::from(q) + minimum));
        }
        TensorType::Q8_0 => {
            let scale = half(block, 0);
            out.extend(block[2..].iter().map(|b| scale * f32::from(*b as i8)));
        }
        TensorType::Q2K => q2_k(block, out),
        TensorType::Q3K => q3_k(block, out),
        TensorType::Q4K => {
            let (head, nibbles) = block.split_at(16);
            q45_k(head, None, nibbles, out);
        }
        TensorType::Q5K => {
            let (head, rest) = block.split_at(16);
            let (fifth, nibbles) = rest.split_at(SUPER / 8);
            q45_k(head, Some(fifth), nibbles, out);
        }
        TensorType::Q6K => q6_k(block, out),
        TensorType::Iq4Nl => {
            let scale = half(block, 0);
            let nibbles = low_then_high(&block[2..]);
            out.extend(nibbles.map(|q| scale * level(q)));
        }
        TensorType::Iq4Xs => iq4_xs(block, out),
    }
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn level(index: u8) -> f32 {
    f32::from(LEVELS[usize::from(index & 15)])
}

/// The low halves of all bytes, then the high ones.
fn low_then_high(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let low = bytes.iter().map(|byte| byte & 15);
    low.chain(bytes.iter().map(|byte| byte >> 4))
}

/// Four bytes with the fifth bit of each number, then its other bits.
fn five_bits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let fifth = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    low_then_high(&bytes[4..])
        .enumerate()
        .map(move |(index, low)| low | ((fifth >> index & 1) as u8) << 4)
}

/// Scales and minima, 16 bytes; 64 bytes of numbers; the scale of the scales and that of
/// the minima.
fn q2_k(block: &[u8], out: &mut Vec<f32>) {
    let (parts, numbers) = (&block[..16], &block[16..80]);
    let (scale, minimum) = (half(block, 80), half(block, 82));
    let mut parts = parts.iter();
    for half_block in numbers.chunks_exact(32) {
        for shift in [0, 2, 4, 6] {
            for (bytes, part) in half_block.chunks_exact(16).zip(parts.by_ref()) {
                let scale = scale * f32::from(part & 15);
                let minimum = minimum * f32::from(part >> 4);
                let number = |byte: &u8| scale * f32::from(byte >> shift & 3) - minimum;
                out.extend(bytes.iter().map(number));
            }
        }
    }
}

/// 32 bytes of highest bits, 64 of the other two, 12 of scales, the scale of the scales.
fn q3_k(block: &[u8], out: &mut Vec<f32>) {
    let (highest, numbers, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let scale = half(block, 108);
    // The low four bits of 16 scales in 8 bytes, then their upper two in 4.
    let part_scale = |part: usize| {
        let low = packed[part % 8] >> (part / 8 * 4) & 15;
        let high = packed[8 + part % 4] >> (part / 4 * 2) & 3;
        scale * (f32::from(low | high << 4) - 32.0)
    };
    for part in 0..16 {
        // Eight groups of 32 numbers, each of two parts; four groups share 32 bytes.
        let (group, start) = (part / 2, part % 2 * 16);
        let bytes = &numbers[group / 4 * 32 + start..][..16];
        let highest = &highest[start..][..16];
        let scale = part_scale(part);
        out.extend(bytes.iter().zip(highest).map(|(byte, highest)| {
            let low = f32::from(byte >> (group % 4 * 2) & 3);
            let below = if highest >> group & 1 == 1 { 0.0 } else { 4.0 };
            scale * (low - below)
        }));
    }
}

/// `head`: the scale of the scales, that of the minima, 12 bytes of both.
fn q45_k(head: &[u8], fifth: Option<&[u8]>, nibbles: &[u8], out: &mut Vec<f32>) {
    let (scale, minimum) = (half(head, 0), half(head, 2));
    let packed = &head[4..];
    // Six bits each: the first four scales and minima lie plainly, and their bytes' upper
    // two bits belong to the other four, whose lower four bits share the last four bytes.
    let six_bits = |part: usize| match part {
        0..4 => (packed[part] & 63, packed[part + 4] & 63),
        _ => (
            packed[part + 4] & 15 | packed[part - 4] >> 6 << 4,
            packed[part + 4] >> 4 | packed[part] >> 6 << 4,
        ),
    };
    for part in 0..8 {
        let (part_scale, part_minimum) = six_bits(part);
        let scale = scale * f32::from(part_scale);
        let minimum = minimum * f32::from(part_minimum);
        let bytes = &nibbles[part / 2 * 32..][..32];
        out.extend(bytes.iter().enumerate().map(|(index, byte)| {
            let low = byte >> (part % 2 * 4) & 15;
            let high = fifth.map_or(0, |fifth| (fifth[index] >> part & 1) << 4);
            scale * f32::from(low | high) - minimum
        }));
    }
}

/// 128 bytes of lower four bits, 64 of upper two, 16 signed scales, the scale of these.
fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let (lower, upper, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half(block, 208);
    for (part, small) in scales.iter().enumerate() {
        // Two halves of 128 numbers, each of four groups of 32, each of two parts.
        let (side, group, start) = (part / 8, part / 2 % 4, part % 2 * 16);
        let lower = &lower[side * 64 + group % 2 * 32 + start..][..16];
        let upper = &upper[side * 32 + start..][..16];
        let scale = scale * f32::from(*small as i8);
        out.extend(lower.iter().zip(upper).map(|(lower, upper)| {
            let low = lower >> (group / 2 * 4) & 15;
            let high = upper >> (group * 2) & 3;
            scale * (f32::from(low | high << 4) - 32.0)
        }));
    }
}

/// The scale of the scales, their upper two bits (2 bytes) and lower four (4), the indices.
fn iq4_xs(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 0);
    let upper = u16::from_le_bytes([block[2], block[3]]);
    for (part, bytes) in block[8..].chunks_exact(16).enumerate() {
        let low = block[4 + part / 2] >> (part % 2 * 4) & 15;
        let high = (upper >> (part * 2) & 3) as u8;
        let scale = scale * (f32::from(low | high << 4) - 32.0);
        out.extend(low_then_high(bytes).map(|q| scale * level(q)));
    }
}
