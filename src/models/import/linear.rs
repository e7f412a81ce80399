//! A linear layer in each precision.

use super::{
    Activation, Precision,
    house::{self, Site, attribute},
    onnx::data_type,
    packed::{self, Layout},
    weight::Weight,
    writer::{Attribute, GraphWriter, MICROSOFT, Stored},
};
use crate::models::{ModelError, gguf::Matrix};

/// Numbers that share a scale in [`Precision::Nbits8`].
pub(super) const BLOCK: usize = 32;
/// The unsigned byte that stands for zero.
pub(super) const ZERO: u8 = 128;

/// Emits linear layers of one precision.
#[derive(Clone, Copy)]
pub(super) struct Linear {
    pub(super) precision: Precision,
    /// Whether adapters can speak in the layers of the decoder's blocks.
    pub(super) adapted: bool,
}

/// A layer's input, prepared once for all layers that read it.
pub(super) struct Prepared {
    floats: String,
    /// As bytes, and per row what one unit of them stands for. [`Precision::Int8Row`] only.
    quantized: Option<(String, String)>,
}

impl Linear {
    /// Prepares the hidden states `input` for layers that read them.
    pub(super) fn prepare(self, graph: &mut GraphWriter, input: &str) -> Prepared {
        let quantized = (self.precision == Precision::Int8Row).then(|| {
            let (bytes, scale) = (format!("{input}.u8"), format!("{input}.scale"));
            // One scale per row, never per tensor: a row must not feel its neighbours.
            graph.node(
                house::DOMAIN,
                house::QUANTIZE,
                &[input],
                &[&bytes, &scale],
                &[],
            );
            (bytes, scale)
        });
        Prepared {
            floats: input.to_owned(),
            quantized,
        }
    }

    /// Constants that the layers share.
    pub(super) fn constants(self, graph: &mut GraphWriter) {
        if self.precision == Precision::Int8Row {
            graph.inline("zero", data_type::UINT8, &[], vec![ZERO]);
        }
    }

    /// [`Self::layer`] of a decoder's block, where adapters may speak.
    pub(super) fn adapted_layer(
        self,
        graph: &mut GraphWriter,
        site: (usize, Site),
        input: &Prepared,
        weight: &Weight,
        output: &str,
    ) -> Result<(), ModelError> {
        let name = format!("{output}.weight");
        if let Weight::Blocks(_) = weight {
            let packed = PackedWeight::store(graph, &name, weight)?;
            packed.multiply(graph, &input.floats, output, &site_attributes(site));
            return Ok(());
        }
        if !self.adapted {
            return self.layer(graph, &name, input, weight, output);
        }
        let base = format!("{output}.base");
        self.layer(graph, &name, input, weight, &base)?;
        graph.node(
            house::DOMAIN,
            house::ADAPT,
            &[&input.floats, &base],
            &[output],
            &site_attributes(site),
        );
        Ok(())
    }

    /// [`Self::adapted_layer`] of `activation(gate) · up`, which stand side by side in
    /// `gate_up`.
    pub(super) fn gated_layer(
        self,
        graph: &mut GraphWriter,
        site: (usize, Site),
        (gate_up, activation): (&str, Activation),
        weight: &Weight,
        output: &str,
    ) -> Result<(), ModelError> {
        if let Weight::Blocks(_) = weight {
            let name = format!("{output}.weight");
            let packed = PackedWeight::store(graph, &name, weight)?;
            let mut attributes = site_attributes(site).to_vec();
            attributes.push((attribute::GATED, Attribute::Int(1)));
            let code = house::activation_code(activation);
            attributes.push((attribute::ACTIVATION, Attribute::Int(code)));
            packed.multiply(graph, gate_up, output, &attributes);
            return Ok(());
        }
        let part = |part: &str| format!("{gate_up}.{part}");
        let (gate, up, activated, gated) =
            (part("gate"), part("up"), part("activated"), part("gated"));
        graph.node(
            "",
            "Split",
            &[gate_up],
            &[&gate, &up],
            &[
                ("axis", Attribute::Int(-1)),
                ("num_outputs", Attribute::Int(2)),
            ],
        );
        let (operator, alpha) = match activation {
            // x · sigmoid(1 · x) is SiLU.
            Activation::Silu => ("QuickGelu", &[("alpha", Attribute::Float(1.0))][..]),
            Activation::GeluTanh => ("FastGelu", &[][..]),
        };
        graph.node(MICROSOFT, operator, &[&gate], &[&activated], alpha);
        graph.node("", "Mul", &[&activated, &up], &[&gated], &[]);
        let prepared = self.prepare(graph, &gated);
        self.adapted_layer(graph, site, &prepared, weight, output)
    }

    /// `output = input × weightᵀ` for a weight of [outputs, inputs].
    pub(super) fn layer(
        self,
        graph: &mut GraphWriter,
        name: &str,
        input: &Prepared,
        weight: &Weight,
        output: &str,
    ) -> Result<(), ModelError> {
        let weight = match weight {
            Weight::Floats(weight) => weight,
            Weight::Blocks(_) => {
                let packed = PackedWeight::store(graph, name, weight)?;
                packed.multiply(graph, &input.floats, output, &[]);
                return Ok(());
            }
        };
        match &input.quantized {
            Some((bytes, scale)) => {
                let (weight_bytes, scales) = by_output(weight);
                let stored = graph.store(&weight_bytes)?;
                let dims = [weight.columns, weight.rows];
                graph.external(name, data_type::UINT8, &dims, stored);
                let scales_name = format!("{name}.scales");
                graph.inline_floats(&scales_name, &[weight.rows], &scales);
                let sums = format!("{output}.sums");
                graph.node(
                    "",
                    "MatMulInteger",
                    &[bytes, name, "zero", "zero"],
                    &[&sums],
                    &[],
                );
                graph.node(
                    house::DOMAIN,
                    house::RESCALE,
                    &[&sums, scale, &scales_name],
                    &[output],
                    &[],
                );
            }
            None if self.precision == Precision::Nbits8 => {
                let blocks = Blocks::store(graph, weight)?;
                blocks.multiply(graph, name, &input.floats, output);
            }
            None => {
                let bytes = graph.float_bytes(&transposed(weight));
                let stored = graph.store(&bytes)?;
                let dims = [weight.columns, weight.rows];
                graph.external(name, graph.float_type(), &dims, stored);
                graph.node("", "MatMul", &[&input.floats, name], &[output], &[]);
            }
        }
        Ok(())
    }
}

fn site_attributes((layer, site): (usize, Site)) -> [(&'static str, Attribute); 2] {
    [
        (attribute::LAYER, Attribute::Int(layer as i64)),
        (attribute::SITE, Attribute::Int(site.code())),
    ]
}

/// A weight in the house's own packing, on the disk.
pub(super) struct PackedWeight {
    name: String,
    layout: Layout,
    inputs: usize,
    outputs: usize,
}

impl PackedWeight {
    fn store(graph: &mut GraphWriter, name: &str, weight: &Weight) -> Result<Self, ModelError> {
        let Weight::Blocks(blocks) = weight else {
            return Err(ModelError::Unsupported(format!("{name} not in blocks")));
        };
        let (layout, bytes) = packed::pack(blocks);
        let stored = graph.store(&bytes)?;
        graph.external(name, data_type::UINT8, &[bytes.len()], stored);
        Ok(Self {
            name: name.to_owned(),
            layout,
            inputs: blocks.columns,
            outputs: blocks.rows,
        })
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![
            (attribute::INPUTS, Attribute::Int(self.inputs as i64)),
            (attribute::OUTPUTS, Attribute::Int(self.outputs as i64)),
            (attribute::LAYOUT, Attribute::Text(self.layout.name())),
        ]
    }

    fn multiply(
        &self,
        graph: &mut GraphWriter,
        input: &str,
        output: &str,
        more: &[(&'static str, Attribute)],
    ) {
        let mut attributes = self.attributes();
        attributes.extend_from_slice(more);
        let inputs = [input, &self.name];
        graph.node(
            house::DOMAIN,
            house::LINEAR,
            &inputs,
            &[output],
            &attributes,
        );
    }
}

/// The embedding, and where it can be, the output layer over the same bytes.
pub(super) enum Embedding {
    Floats,
    Blocks(Blocks, Precision),
    Packed(PackedWeight),
}

const EMBEDDING: &str = "embedding";

impl Embedding {
    pub(super) fn store(
        graph: &mut GraphWriter,
        weight: &Weight,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let matrix = match weight {
            Weight::Blocks(_) => {
                let packed = PackedWeight::store(graph, EMBEDDING, weight)?;
                return Ok(Self::Packed(packed));
            }
            Weight::Floats(matrix) => matrix,
        };
        if matches!(
            precision,
            Precision::Fp32 | Precision::Fp16 | Precision::Bf16
        ) {
            let bytes = graph.float_bytes(&matrix.data);
            let stored = graph.store(&bytes)?;
            let dims = [matrix.rows, matrix.columns];
            graph.external(EMBEDDING, graph.float_type(), &dims, stored);
            return Ok(Self::Floats);
        }
        Ok(Self::Blocks(Blocks::store(graph, matrix)?, precision))
    }

    /// `output = embedding[ids]`.
    pub(super) fn gather(&self, graph: &mut GraphWriter, ids: &str, output: &str) {
        match self {
            Self::Floats => graph.node("", "Gather", &[EMBEDDING, ids], &[output], &[]),
            Self::Blocks(blocks, _) => blocks.gather(graph, EMBEDDING, ids, output),
            Self::Packed(packed) => graph.node(
                house::DOMAIN,
                house::EMBED,
                &[ids, &packed.name],
                &[output],
                &packed.attributes(),
            ),
        }
    }

    /// Whether [`Self::multiply`] works.
    pub(super) fn multiplies(&self) -> bool {
        match self {
            Self::Floats => false,
            Self::Blocks(_, precision) => *precision == Precision::Nbits8,
            Self::Packed(_) => true,
        }
    }

    /// `output = input × embeddingᵀ`, over the bytes that are there already.
    pub(super) fn multiply(&self, graph: &mut GraphWriter, input: &str, output: &str) {
        match self {
            Self::Floats => {}
            Self::Blocks(blocks, _) => blocks.multiply(graph, "output", input, output),
            Self::Packed(packed) => packed.multiply(graph, input, output, &[]),
        }
    }
}

/// A weight in blocks of [`BLOCK`] bytes with a scale each, on the disk.
pub(super) struct Blocks {
    rows: usize,
    columns: usize,
    bytes: Stored,
    scales: Stored,
}

impl Blocks {
    pub(super) fn store(graph: &mut GraphWriter, weight: &Matrix) -> Result<Self, ModelError> {
        if !weight.columns.is_multiple_of(BLOCK) {
            return Err(ModelError::Unsupported(format!(
                "rows of {} numbers, which are not whole blocks of {BLOCK}",
                weight.columns
            )));
        }
        let mut bytes = Vec::with_capacity(weight.data.len());
        let mut scales = Vec::with_capacity(weight.data.len() / BLOCK);
        for block in weight.data.chunks_exact(BLOCK) {
            let scale = block_scale(block);
            to_bytes(block, scale, &mut bytes);
            scales.push(scale);
        }
        Ok(Self {
            rows: weight.rows,
            columns: weight.columns,
            bytes: graph.store(&bytes)?,
            scales: {
                let scales = graph.float_bytes(&scales);
                graph.store(&scales)?
            },
        })
    }

    /// `output = input × weightᵀ`.
    pub(super) fn multiply(&self, graph: &mut GraphWriter, name: &str, input: &str, output: &str) {
        let blocks = self.columns / BLOCK;
        let scales = format!("{name}.scales");
        graph.external(
            name,
            data_type::UINT8,
            &[self.rows, blocks, BLOCK],
            self.bytes,
        );
        graph.external(&scales, data_type::FLOAT, &[self.rows, blocks], self.scales);
        let attributes = [
            ("K", Attribute::Int(self.columns as i64)),
            ("N", Attribute::Int(self.rows as i64)),
            ("bits", Attribute::Int(8)),
            ("block_size", Attribute::Int(BLOCK as i64)),
            // 4: products of bytes, with the input quantised per row and block.
            ("accuracy_level", Attribute::Int(4)),
        ];
        let inputs = [input, name, &scales];
        graph.node(MICROSOFT, "MatMulNBits", &inputs, &[output], &attributes);
    }

    /// `output = weight[indices]`.
    pub(super) fn gather(&self, graph: &mut GraphWriter, name: &str, indices: &str, output: &str) {
        let scales = format!("{name}.scales");
        let dims = [self.rows, self.columns];
        graph.external(name, data_type::UINT8, &dims, self.bytes);
        let dims = [self.rows, self.columns / BLOCK];
        graph.external(&scales, data_type::FLOAT, &dims, self.scales);
        let attributes = [
            ("bits", Attribute::Int(8)),
            ("block_size", Attribute::Int(BLOCK as i64)),
            ("gather_axis", Attribute::Int(0)),
            ("quantize_axis", Attribute::Int(1)),
        ];
        let inputs = [name, indices, &scales];
        graph.node(
            MICROSOFT,
            "GatherBlockQuantized",
            &inputs,
            &[output],
            &attributes,
        );
    }
}

/// What one step of a block should stand for.
///
/// The plain choice spans the largest magnitude. A block that was itself stored in 16
/// levels (Q4_0, Q4_1) is hit almost exactly by a step that divides the distance of its
/// levels and, as nearly as can be had, its minimum.
fn block_scale(block: &[f32]) -> f32 {
    let plain = plain_scale(block);
    let (low, high) = block
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
    let level = (high - low) / 15.0;
    let offset = |scale: f32| scale * ((low / scale) - (low / scale).round()).abs();
    let divided = (1..=16)
        .map(|parts| level / parts as f32)
        .filter(|scale| *scale >= plain)
        .min_by(|a, b| offset(*a).total_cmp(&offset(*b)));
    let error = |scale: f32| -> f32 {
        let rest = |value: &f32| value - scale * (value / scale).round();
        block.iter().map(|value| rest(value).powi(2)).sum()
    };
    match divided {
        Some(divided) if error(divided) < error(plain) => divided,
        _ => plain,
    }
}

/// The step that reaches the largest magnitude in 127; 0 if all are 0.
fn plain_scale(values: &[f32]) -> f32 {
    let largest = values
        .iter()
        .fold(0_f32, |largest, value| largest.max(value.abs()));
    largest / 127.0
}

/// Appends `values` as steps of `scale` around [`ZERO`].
fn to_bytes(values: &[f32], scale: f32, bytes: &mut Vec<u8>) {
    bytes.extend(values.iter().map(|value| {
        let steps = if scale > 0.0 {
            (value / scale).round()
        } else {
            0.0
        };
        // In -127..=127 because no scale is below the plain one: the sum is in 1..=255.
        (steps + f32::from(ZERO)) as u8
    }));
}

/// A weight as bytes with one scale per output, laid out [inputs, outputs].
fn by_output(weight: &Matrix) -> (Vec<u8>, Vec<f32>) {
    let mut rows = Vec::with_capacity(weight.data.len());
    let scales = weight
        .data
        .chunks_exact(weight.columns)
        .map(|row| {
            let scale = plain_scale(row);
            to_bytes(row, scale, &mut rows);
            scale
        })
        .collect();
    let mut bytes = vec![0; rows.len()];
    for (row, values) in rows.chunks_exact(weight.columns).enumerate() {
        for (column, value) in values.iter().enumerate() {
            bytes[column * weight.rows + row] = *value;
        }
    }
    (bytes, scales)
}

fn transposed(weight: &Matrix) -> Vec<f32> {
    let mut out = vec![0.0; weight.data.len()];
    for (row, values) in weight.data.chunks_exact(weight.columns).enumerate() {
        for (column, value) in values.iter().enumerate() {
            out[column * weight.rows + row] = *value;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn restored(block: &[f32]) -> Vec<f32> {
        let (scale, mut bytes) = (block_scale(block), Vec::new());
        to_bytes(block, scale, &mut bytes);
        let number = |byte: &u8| scale * (f32::from(*byte) - f32::from(ZERO));
        bytes.iter().map(number).collect()
    }

    fn worst(block: &[f32]) -> f32 {
        let pairs = block.iter().zip(restored(block));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn bytes_stay_the_bytes_they_were() {
        let block: Vec<f32> = (0..32).map(|i| 0.013 * (i * 8 - 127) as f32).collect();
        assert!(worst(&block) < 1e-6);
    }

    #[test]
    fn four_bits_around_eight_stay_what_they_were() {
        let block: Vec<f32> = (0..32).map(|i| 0.1 * (i % 16 - 8) as f32).collect();
        assert!(worst(&block) < 1e-6);
    }

    #[test]
    fn four_bits_over_a_minimum_lose_less_than_the_plain_scale_would() {
        let block: Vec<f32> = (0..32).map(|i| 0.1 * (i % 16) as f32 - 0.7123).collect();
        let plain = plain_scale(&block);
        let loss = |value: &f32| (value - plain * (value / plain).round()).abs();
        let plain_worst = block.iter().map(loss).fold(0.0, f32::max);
        assert!(worst(&block) < plain_worst / 2.0);
    }

    proptest! {
        #[test]
        fn no_block_loses_more_than_half_a_plain_step_root_mean_square(
            block in proptest::collection::vec(-1.0..1.0_f32, BLOCK),
        ) {
            let pairs = block.iter().zip(restored(&block));
            let sum: f32 = pairs.map(|(a, b)| (a - b).powi(2)).sum();
            prop_assert!((sum / BLOCK as f32).sqrt() <= 0.501 * plain_scale(&block) + 1e-7);
        }
    }

    #[test]
    fn a_block_of_zeros_stays_zero() {
        assert_eq!(restored(&[0.0; BLOCK]), [0.0; BLOCK]);
    }
}
