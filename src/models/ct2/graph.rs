//! Writes whisper's two graphs.
//!
//! Names are the hub's (`input_features`, `input_ids`, `past_key_values.0.decoder.key`,
//! `present.0.decoder.key`, …), with one difference that saves a third of each step's
//! first: the keys and values of the sound are computed once, by the encoder, which gives
//! them as `present.N.encoder.key` and `.value` instead of its hidden states.
//!
//! Linear layers hold bytes, one scale per output, and turn their inputs into bytes by one
//! scale for all of them (`DynamicQuantizeMatMul`): a run has one utterance only, so no
//! neighbour can be felt. Convolutions, norms and attention are 32-bit floats.
//!
//! The computation is that of Radford et al., *Robust Speech Recognition via Large-Scale
//! Weak Supervision* (2022), section 2.2: pre-norm transformers, exact GELU.

use std::{
    io::{Read, Seek},
    path::Path,
};

use half::f16;

use super::{
    reader::{Ct2, Ct2Error},
    whisper::{Side, Tower, WhisperShape},
};
use crate::models::{
    ModelError,
    import::{
        Element,
        onnx::{GraphProto, data_type},
        writer::{Attribute, Dimension, GraphWriter, MICROSOFT},
    },
};

/// The byte that stands for zero.
const ZERO: u8 = 128;
const NORM_EPSILON: f32 = 1e-5;

/// Why a graph cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error(transparent)]
    Ct2(#[from] Ct2Error),
    #[error(transparent)]
    Write(#[from] ModelError),
}

/// Name of a tensor that a decoder keeps: `past_key_values.0.encoder.key`.
fn past(layer: usize, of: Side, part: &str) -> String {
    format!("past_key_values.{layer}.{}.{part}", of.name())
}

fn present(layer: usize, of: Side, part: &str) -> String {
    format!("present.{layer}.{}.{part}", of.name())
}

/// A graph in the making, and where its weights come from.
struct Maker<'a, R> {
    file: &'a mut Ct2<R>,
    graph: GraphWriter,
    shape: WhisperShape,
    side: Side,
}

/// Writes the encoder: `input_features` `[1, bands, frames]` (an even number of frames, up
/// to twice the positions) to the sound's keys and values for each layer of the decoder,
/// `[1, heads, frames / 2, head width]`.
pub(super) fn encoder<R: Read + Seek>(
    file: &mut Ct2<R>,
    shape: WhisperShape,
    folder: &Path,
    weights: &str,
) -> Result<GraphProto, GraphError> {
    let mut it = Maker::new(file, shape, Side::Encoder, folder, weights)?;
    let width = shape.width;
    let (fixed, named) = (Dimension::Fixed, Dimension::Named);
    let features = [fixed(1), fixed(shape.bands), named("frames")];
    it.graph
        .input("input_features", data_type::FLOAT, &features);
    it.convolution("conv1", "input_features", shape.bands, &[1])?;
    it.convolution("conv2", "conv1.out", width, &[2])?;
    let swap = [("perm", Attribute::Ints(&[0, 2, 1]))];
    it.node("Transpose", &["conv2.out"], "embedded", &swap);
    // As many positions as there are frames now.
    let dim = [("start", Attribute::Int(1)), ("end", Attribute::Int(2))];
    it.node("Shape", &["embedded"], "length", &dim);
    it.floats(
        "encoder/position_encodings/encodings",
        &[shape.encoder.positions, width],
    )?;
    it.integers("zero_index", &[0]);
    it.node(
        "Slice",
        &[
            "encoder/position_encodings/encodings",
            "zero_index",
            "length",
            "zero_index",
        ],
        "positions",
        &[],
    );
    it.node("Add", &["embedded", "positions"], "hidden.0", &[]);
    let mut hidden = "hidden.0".to_owned();
    for layer in 0..shape.encoder.layers {
        hidden = it.self_attention(layer, shape.encoder, &hidden)?;
        hidden = it.feed_forward(layer, shape.encoder, &hidden)?;
    }
    it.norm("encoder/layer_norm", &hidden, "heard")?;

    // The decoder's layers read it, each in its own way.
    let heads = shape.decoder.heads;
    it.integers(
        "split_heads",
        &[1, -1, heads as i64, (width / heads) as i64],
    );
    for layer in 0..shape.decoder.layers {
        let name = format!("decoder/layer_{layer}/attention/linear_1");
        let both = format!("{name}.out");
        it.linear(&name, "heard", (2 * width, width), &both)?;
        let parts = ["key", "value"].map(|part| format!("{name}.{part}"));
        it.split(&both, &[&parts[0], &parts[1]]);
        for (part, whole) in ["key", "value"].into_iter().zip(&parts) {
            let (apart, out) = (
                format!("{whole}.heads"),
                present(layer, Side::Encoder, part),
            );
            it.node("Reshape", &[whole, "split_heads"], &apart, &[]);
            let swap = [("perm", Attribute::Ints(&[0, 2, 1, 3]))];
            it.node("Transpose", &[&apart], &out, &swap);
            let dims = [
                fixed(1),
                fixed(heads),
                named("positions"),
                fixed(width / heads),
            ];
            it.graph.output(&out, data_type::FLOAT, &dims);
        }
    }
    Ok(it.graph.finish()?)
}

/// Writes the decoder: `input_ids` `[1, tokens]` and the past (`[1, heads, tokens so far,
/// head width]`; no tokens at first) to `logits` `[1, tokens, vocabulary]` and the present.
pub(super) fn decoder<R: Read + Seek>(
    file: &mut Ct2<R>,
    shape: WhisperShape,
    folder: &Path,
    weights: &str,
) -> Result<GraphProto, GraphError> {
    let mut it = Maker::new(file, shape, Side::Decoder, folder, weights)?;
    let (width, tower, vocabulary) = (shape.width, shape.decoder, shape.vocabulary);
    let (fixed, named) = (Dimension::Fixed, Dimension::Named);
    let head = width / tower.heads;
    it.graph
        .input("input_ids", data_type::INT64, &[fixed(1), named("tokens")]);
    for layer in 0..tower.layers {
        for (of, length) in [(Side::Decoder, "past"), (Side::Encoder, "positions")] {
            for part in ["key", "value"] {
                let dims = [fixed(1), fixed(tower.heads), named(length), fixed(head)];
                it.graph
                    .input(&past(layer, of, part), data_type::FLOAT, &dims);
            }
        }
    }
    it.embed()?;
    let mut hidden = "hidden.0".to_owned();
    for layer in 0..tower.layers {
        hidden = it.self_attention(layer, tower, &hidden)?;
        hidden = it.cross_attention(layer, &hidden)?;
        hidden = it.feed_forward(layer, tower, &hidden)?;
    }
    it.norm("decoder/layer_norm", &hidden, "last")?;
    let projection = it
        .file
        .floats("decoder/projection/weight", &[vocabulary, width])?;
    let bias = vec![0.0; vocabulary];
    it.multiply(
        "decoder/projection",
        "last",
        (&projection, &bias),
        width,
        "logits",
    )?;
    let logits = [fixed(1), named("tokens"), fixed(vocabulary)];
    it.graph.output("logits", data_type::FLOAT, &logits);
    for layer in 0..tower.layers {
        for part in ["key", "value"] {
            let dims = [fixed(1), fixed(tower.heads), named("total"), fixed(head)];
            let name = present(layer, Side::Decoder, part);
            it.graph.output(&name, data_type::FLOAT, &dims);
        }
    }
    Ok(it.graph.finish()?)
}

impl<'a, R: Read + Seek> Maker<'a, R> {
    fn new(
        file: &'a mut Ct2<R>,
        shape: WhisperShape,
        side: Side,
        folder: &Path,
        weights: &str,
    ) -> Result<Self, GraphError> {
        let graph = GraphWriter::create(folder, weights, Element::Fp32)?;
        Ok(Self {
            file,
            graph,
            shape,
            side,
        })
    }

    fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute)],
    ) {
        self.graph.node("", operator, inputs, &[output], attributes);
    }

    fn integers(&mut self, name: &str, values: &[i64]) {
        let bytes = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.graph
            .inline(name, data_type::INT64, &[values.len()], bytes);
    }

    /// A tensor of the file under its own name, as it is.
    fn floats(&mut self, name: &str, dims: &[usize]) -> Result<(), GraphError> {
        let values = self.file.floats(name, dims)?;
        let bytes = self.graph.float_bytes(&values);
        let stored = self.graph.store(&bytes)?;
        self.graph.external(name, data_type::FLOAT, dims, stored);
        Ok(())
    }

    /// Three frames at a time, then GELU.
    fn convolution(
        &mut self,
        name: &str,
        input: &str,
        channels: usize,
        strides: &'static [i64],
    ) -> Result<(), GraphError> {
        let (weight, bias) = (
            format!("encoder/{name}/weight"),
            format!("encoder/{name}/bias"),
        );
        self.floats(&weight, &[self.shape.width, channels, 3])?;
        self.floats(&bias, &[self.shape.width])?;
        let (plain, out) = (format!("{name}.plain"), format!("{name}.out"));
        let attributes = [
            ("kernel_shape", Attribute::Ints(&[3])),
            ("pads", Attribute::Ints(&[1, 1])),
            ("strides", Attribute::Ints(strides)),
        ];
        self.node("Conv", &[input, &weight, &bias], &plain, &attributes);
        self.graph.node(MICROSOFT, "Gelu", &[&plain], &[&out], &[]);
        Ok(())
    }

    /// Tokens and their positions, which go on after the past's.
    fn embed(&mut self) -> Result<(), GraphError> {
        let WhisperShape {
            width, vocabulary, ..
        } = self.shape;
        let embeddings = self
            .file
            .floats("decoder/embeddings/weight", &[vocabulary, width])?;
        let halves: Vec<u8> = embeddings
            .iter()
            .flat_map(|it| f16::from_f32(*it).to_le_bytes())
            .collect();
        let stored = self.graph.store(&halves)?;
        let dims = [vocabulary, width];
        self.graph
            .external("embeddings", data_type::FLOAT16, &dims, stored);
        self.node("Gather", &["embeddings", "input_ids"], "embedded.f16", &[]);
        let float = i64::from(data_type::FLOAT);
        let to = [("to", Attribute::Int(float))];
        self.node("Cast", &["embedded.f16"], "embedded", &to);

        self.floats(
            "decoder/position_encodings/encodings",
            &[self.shape.decoder.positions, width],
        )?;
        let dim = |start| {
            [
                ("start", Attribute::Int(start)),
                ("end", Attribute::Int(start + 1)),
            ]
        };
        let first = past(0, Side::Decoder, "key");
        self.node("Shape", &[&first], "past.length", &dim(2));
        self.node("Shape", &["input_ids"], "new.length", &dim(1));
        self.node("Add", &["past.length", "new.length"], "total.length", &[]);
        for name in ["past", "total"] {
            let length = format!("{name}.length");
            self.node("Squeeze", &[&length], &format!("{name}.end"), &[]);
        }
        self.graph
            .inline("one", data_type::INT64, &[], 1_i64.to_le_bytes().into());
        self.node("Range", &["past.end", "total.end", "one"], "places", &[]);
        self.node(
            "Gather",
            &["decoder/position_encodings/encodings", "places"],
            "positions",
            &[],
        );
        self.node("Add", &["embedded", "positions"], "hidden.0", &[]);
        Ok(())
    }

    /// Attention to the side itself, and what came before added. Gives the output's name.
    fn self_attention(
        &mut self,
        layer: usize,
        tower: Tower,
        hidden: &str,
    ) -> Result<String, GraphError> {
        let width = self.shape.width;
        let at = format!("{}/layer_{layer}/self_attention", self.side.name());
        let part = |part: &str| format!("{at}.{part}");
        let (normed, fused, seen) = (part("normed"), part("fused"), part("seen"));
        let (query, key, value) = (part("query"), part("key"), part("value"));
        self.norm(&format!("{at}/layer_norm"), hidden, &normed)?;
        self.linear(
            &format!("{at}/linear_0"),
            &normed,
            (3 * width, width),
            &fused,
        )?;
        self.split(&fused, &[&query, &key, &value]);
        let heads = ("num_heads", Attribute::Int(tower.heads as i64));
        match self.side {
            Side::Encoder => self.graph.node(
                MICROSOFT,
                "MultiHeadAttention",
                &[&query, &key, &value],
                &[&seen],
                &[heads],
            ),
            Side::Decoder => {
                let of = Side::Decoder;
                let names = [
                    past(layer, of, "key"),
                    past(layer, of, "value"),
                    present(layer, of, "key"),
                    present(layer, of, "value"),
                ];
                // Bias, padding and positions are not there.
                let inputs = [&query, &key, &value, "", "", "", &names[0], &names[1]];
                let outputs = [&*seen, &names[2], &names[3]];
                let causal = ("unidirectional", Attribute::Int(1));
                self.graph.node(
                    MICROSOFT,
                    "MultiHeadAttention",
                    &inputs,
                    &outputs,
                    &[heads, causal],
                );
            }
        }
        self.close(&format!("{at}/linear_1"), &seen, width, hidden)
    }

    /// Attention to the sound.
    fn cross_attention(&mut self, layer: usize, hidden: &str) -> Result<String, GraphError> {
        let width = self.shape.width;
        let at = format!("decoder/layer_{layer}/attention");
        let (normed, query) = (format!("{at}.normed"), format!("{at}.query"));
        let seen = format!("{at}.seen");
        self.norm(&format!("{at}/layer_norm"), hidden, &normed)?;
        self.linear(&format!("{at}/linear_0"), &normed, (width, width), &query)?;
        let (key, value) = (
            past(layer, Side::Encoder, "key"),
            past(layer, Side::Encoder, "value"),
        );
        let heads = self.shape.decoder.heads as i64;
        self.graph.node(
            MICROSOFT,
            "MultiHeadAttention",
            &[&query, &key, &value],
            &[&seen],
            &[("num_heads", Attribute::Int(heads))],
        );
        self.close(&format!("{at}/linear_2"), &seen, width, hidden)
    }

    fn feed_forward(
        &mut self,
        layer: usize,
        tower: Tower,
        hidden: &str,
    ) -> Result<String, GraphError> {
        let (width, inner) = (self.shape.width, tower.inner);
        let at = format!("{}/layer_{layer}/ffn", self.side.name());
        let part = |part: &str| format!("{at}.{part}");
        let (normed, wide, active) = (part("normed"), part("wide"), part("active"));
        self.norm(&format!("{at}/layer_norm"), hidden, &normed)?;
        self.linear(&format!("{at}/linear_0"), &normed, (inner, width), &wide)?;
        self.graph
            .node(MICROSOFT, "Gelu", &[&wide], &[&active], &[]);
        self.close(&format!("{at}/linear_1"), &active, inner, hidden)
    }

    /// A block's last layer, and what came into the block added.
    fn close(
        &mut self,
        name: &str,
        input: &str,
        inputs: usize,
        hidden: &str,
    ) -> Result<String, GraphError> {
        let (plain, out) = (format!("{name}.out"), format!("{name}.sum"));
        self.linear(name, input, (self.shape.width, inputs), &plain)?;
        self.node("Add", &[hidden, &plain], &out, &[]);
        Ok(out)
    }

    fn norm(&mut self, name: &str, input: &str, output: &str) -> Result<(), GraphError> {
        let names = ["gamma", "beta"].map(|part| format!("{name}/{part}"));
        for name in &names {
            self.floats(name, &[self.shape.width])?;
        }
        let epsilon = [("epsilon", Attribute::Float(NORM_EPSILON))];
        let inputs = [input, &names[0], &names[1]];
        self.node("LayerNormalization", &inputs, output, &epsilon);
        Ok(())
    }

    /// Equal parts of the last dimension.
    fn split(&mut self, input: &str, outputs: &[&str]) {
        let attributes = [
            ("axis", Attribute::Int(-1)),
            ("num_outputs", Attribute::Int(outputs.len() as i64)),
        ];
        self.graph.node("", "Split", &[input], outputs, &attributes);
    }

    /// `output = input × weightᵀ + bias` for a weight of (outputs, inputs).
    fn linear(
        &mut self,
        name: &str,
        input: &str,
        (outputs, inputs): (usize, usize),
        output: &str,
    ) -> Result<(), GraphError> {
        let weight = self
            .file
            .floats(&format!("{name}/weight"), &[outputs, inputs])?;
        let bias = self.file.floats(&format!("{name}/bias"), &[outputs])?;
        self.multiply(name, input, (&weight, &bias), inputs, output)
    }

    fn multiply(
        &mut self,
        name: &str,
        input: &str,
        (weight, bias): (&[f32], &[f32]),
        inputs: usize,
        output: &str,
    ) -> Result<(), GraphError> {
        let outputs = bias.len();
        let (bytes, scales) = quantized(weight, inputs);
        let part = |part: &str| format!("{name}/{part}");
        let names = ["weight", "scales", "zeros", "bias"].map(part);
        let stored = self.graph.store(&bytes)?;
        self.graph
            .external(&names[0], data_type::UINT8, &[inputs, outputs], stored);
        for (name, values) in [(&names[1], &*scales), (&names[3], bias)] {
            let bytes = self.graph.float_bytes(values);
            let stored = self.graph.store(&bytes)?;
            self.graph
                .external(name, data_type::FLOAT, &[outputs], stored);
        }
        self.graph
            .inline(&names[2], data_type::UINT8, &[outputs], vec![ZERO; outputs]);
        let inputs = [input, &names[0], &names[1], &names[2], &names[3]];
        self.graph
            .node(MICROSOFT, "DynamicQuantizeMatMul", &inputs, &[output], &[]);
        Ok(())
    }
}

/// A weight of rows of `inputs` as bytes around [`ZERO`], turned so that each of its rows
/// becomes a column, and what one unit stands for in each column.
fn quantized(weight: &[f32], inputs: usize) -> (Vec<u8>, Vec<f32>) {
    let outputs = weight.len() / inputs;
    let mut bytes = vec![ZERO; weight.len()];
    let mut scales = Vec::with_capacity(outputs);
    for (column, row) in weight.chunks_exact(inputs).enumerate() {
        let largest = row.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
        // A row of zeros has any scale.
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        for (at, value) in row.iter().enumerate() {
            let unit = (value / scale).round().clamp(-127.0, 127.0);
            bytes[at * outputs + column] = (unit as i16 + i16::from(ZERO)) as u8;
        }
        scales.push(scale);
    }
    (bytes, scales)
}
