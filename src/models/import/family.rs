//! What some families have beside a plain llama: scaled embeddings, biases, norms of
//! queries and keys, norms after a layer, rotary positions by the kind of layer.

use std::io::{Read, Seek};

use super::{
    onnx::data_type,
    shape::DecoderShape,
    weight::{Part, matrix},
    writer::{Attribute, GraphWriter},
};
use crate::models::{ModelError, gguf::Gguf};

/// `output = input · scale`.
pub(super) fn scaled(graph: &mut GraphWriter, input: &str, scale: f32, output: &str) {
    let name = format!("{output}.scale");
    graph.inline_floats(&name, &[1], &[scale]);
    graph.node("", "Mul", &[input, &name], &[output], &[]);
}

/// `output = rms_norm(input) · weight` over the last dimension, with the weight of this
/// name, which has `columns` numbers.
pub(super) fn rms_norm<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    graph: &mut GraphWriter,
    shape: &DecoderShape,
    (weight, columns): (&str, usize),
    [input, output]: [&str; 2],
) -> Result<(), ModelError> {
    let numbers = matrix(gguf, weight, 1, columns)?;
    graph.inline_floats(weight, &[columns], &numbers.data);
    norm_node(graph, shape, weight, [input, output]);
    Ok(())
}

fn norm_node(graph: &mut GraphWriter, shape: &DecoderShape, weight: &str, names: [&str; 2]) {
    let [input, output] = names;
    graph.node(
        "",
        "SimplifiedLayerNormalization",
        &[input, weight],
        &[output],
        &[
            ("axis", Attribute::Int(-1)),
            ("epsilon", Attribute::Float(shape.norm_epsilon)),
        ],
    );
}

/// Adds the biases of queries, keys and values to `{qkv}.unbiased`.
pub(super) fn biased<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    graph: &mut GraphWriter,
    shape: &DecoderShape,
    layer: usize,
    [unbiased, qkv]: [&str; 2],
) -> Result<(), ModelError> {
    let (q_rows, kv_rows) = (
        shape.heads * shape.head_dim,
        shape.kv_heads * shape.head_dim,
    );
    let mut all = Vec::with_capacity(q_rows + 2 * kv_rows);
    for (tensor, rows, turned) in [
        ("attn_q", q_rows, true),
        ("attn_k", kv_rows, true),
        ("attn_v", kv_rows, false),
    ] {
        let name = format!("blk.{layer}.{tensor}.bias");
        let bias = matrix(gguf, &name, 1, rows)?.data;
        let order = match turned {
            true => Part::rotated(shape, &name, rows).order(),
            false => None,
        };
        match order {
            Some(order) => all.extend(order.into_iter().map(|row| bias[row])),
            None => all.extend(bias),
        }
    }
    let name = format!("{qkv}.bias");
    graph.inline_floats(&name, &[all.len()], &all);
    graph.node("", "Add", &[unbiased, &name], &[qkv], &[]);
    Ok(())
}

/// Splits `qkv` into queries, keys and values, norms each head's queries and keys, and
/// gives the names of the three. For rows of tokens: the house's own attention does it itself.
pub(super) fn normed_heads(
    graph: &mut GraphWriter,
    shape: &DecoderShape,
    layer: usize,
    weights: &[Vec<f32>; 2],
    qkv: &str,
) -> [String; 3] {
    let DecoderShape {
        heads,
        kv_heads,
        head_dim,
        ..
    } = *shape;
    let mut integers = |name: &str, values: &[usize]| {
        let bytes = values.iter().flat_map(|it| (*it as i64).to_le_bytes());
        graph.inline(name, data_type::INT64, &[values.len()], bytes.collect());
    };
    if layer == 0 {
        let sizes = [heads * head_dim, kv_heads * head_dim, kv_heads * head_dim];
        integers("qkv_sizes", &sizes);
        // 0 keeps a dimension as it is: rows and tokens.
        for (which, count) in [("q", heads), ("k", kv_heads)] {
            integers(&format!("{which}_heads"), &[0, 0, count, head_dim]);
            integers(&format!("{which}_whole"), &[0, 0, count * head_dim]);
        }
    }
    let names = ["q", "k", "v"].map(|part| format!("{qkv}.{part}"));
    let outputs = names.each_ref().map(String::as_str);
    let axis = [("axis", Attribute::Int(-1))];
    graph.node("", "Split", &[qkv, "qkv_sizes"], &outputs, &axis);
    let mut norm = |which: &str, name: &str, weight: &[f32]| {
        let [apart, normed, whole] =
            ["heads", "heads.normed", "normed"].map(|part| format!("{name}.{part}"));
        let sizes = [format!("{which}_heads"), format!("{which}_whole")];
        graph.node("", "Reshape", &[name, &sizes[0]], &[&apart], &[]);
        let weight_name = format!("{name}.norm");
        graph.inline_floats(&weight_name, &[head_dim], weight);
        norm_node(graph, shape, &weight_name, [&apart, &normed]);
        graph.node("", "Reshape", &[&normed, &sizes[1]], &[&whole], &[]);
        whole
    };
    let [q, k, v] = names;
    [norm("q", &q, &weights[0]), norm("k", &k, &weights[1]), v]
}

/// Names of a layer's tables of cosines and sines.
pub(super) fn rotary_names(shape: &DecoderShape, layer: usize) -> [&'static str; 2] {
    match shape.window(layer) {
        None => ["cosines", "sines"],
        Some(_) => ["sliding.cosines", "sliding.sines"],
    }
}

/// Cosines and sines by position and pair, for `GroupQueryAttention`.
pub(super) fn rotary_tables(
    graph: &mut GraphWriter,
    shape: &DecoderShape,
    factors: Option<&[f32]>,
) {
    let half = shape.head_dim / 2;
    let mut table = |name: &str, windowed: bool, function: fn(f64) -> f64| {
        let angles: Vec<f64> = (0..half)
            .map(|pair| shape.rope_angle(windowed, pair, factors))
            .collect();
        let values: Vec<f32> = (0..shape.context)
            .flat_map(|position| angles.iter().map(move |angle| position as f64 * angle))
            .map(|angle| function(angle) as f32)
            .collect();
        graph.inline_floats(name, &[shape.context, half], &values);
    };
    table("cosines", false, f64::cos);
    table("sines", false, f64::sin);
    if shape.sliding.is_some() {
        table("sliding.cosines", true, f64::cos);
        table("sliding.sines", true, f64::sin);
    }
}
