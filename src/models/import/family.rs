//! What some families have beside a plain llama: scaled embeddings, biases, norms of
//! queries and keys, norms after a layer, rotary positions by the kind of layer.

use std::io::{Read, Seek};

use super::{
    Attention,
    onnx::data_type,
    shape::{DecoderShape, Pairs, rope_factors},
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

/// The rows of queries or keys in the order that attention takes them.
pub(super) fn rotated<'a>(shape: &DecoderShape, tensor: &'a str, rows: usize) -> Part<'a> {
    match shape.pairs {
        Pairs::Neighbours => Part::half_split(tensor, rows, shape.head_dim),
        Pairs::Halves => Part::whole(tensor, rows),
    }
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
            true => rotated(shape, &name, rows).order(),
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

/// Splits `{qkv}` into queries, keys and values, norms each head's queries and keys, and
/// gives the names of the three.
pub(super) fn normed_heads<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    graph: &mut GraphWriter,
    (shape, attention): (&DecoderShape, Attention),
    layer: usize,
    qkv: &str,
) -> Result<[String; 3], ModelError> {
    let DecoderShape {
        heads,
        kv_heads,
        head_dim,
        ..
    } = *shape;
    let part = |part: &str| format!("{qkv}.{part}");
    let integers = |values: &[usize]| -> Vec<u8> {
        let bytes = values.iter().flat_map(|it| (*it as i64).to_le_bytes());
        bytes.collect()
    };
    if layer == 0 {
        let sizes = integers(&[heads * head_dim, kv_heads * head_dim, kv_heads * head_dim]);
        graph.inline("qkv_sizes", data_type::INT64, &[3], sizes);
        // 0 keeps a dimension as it is: tokens, or rows and tokens.
        let kept: &[usize] = match attention {
            Attention::Ragged => &[0],
            Attention::Grouped => &[0, 0],
        };
        for (name, count) in [("q", heads), ("k", kv_heads)] {
            let apart = [kept, &[count, head_dim]].concat();
            let together = [kept, &[count * head_dim]].concat();
            for (name, sizes) in [
                (format!("{name}_heads"), apart),
                (format!("{name}_whole"), together),
            ] {
                graph.inline(&name, data_type::INT64, &[sizes.len()], integers(&sizes));
            }
        }
    }
    let [q, k, v] = ["q", "k", "v"].map(part);
    graph.node(
        "",
        "Split",
        &[qkv, "qkv_sizes"],
        &[&q, &k, &v],
        &[("axis", Attribute::Int(-1))],
    );
    let mut done = Vec::with_capacity(3);
    for (which, name) in [("q", &q), ("k", &k)] {
        let [heads, normed, whole] =
            ["heads", "heads.normed", "normed"].map(|part| format!("{name}.{part}"));
        graph.node(
            "",
            "Reshape",
            &[name, &format!("{which}_heads")],
            &[&heads],
            &[],
        );
        let weight = format!("blk.{layer}.attn_{which}_norm.weight");
        let mut numbers = matrix(gguf, &weight, 1, head_dim)?.data;
        // The norm belongs to the heads' numbers in the order that they are rotated in.
        if let Some(order) = rotated(shape, &weight, head_dim).order() {
            numbers = order.into_iter().map(|place| numbers[place]).collect();
        }
        graph.inline_floats(&weight, &[head_dim], &numbers);
        norm_node(graph, shape, &weight, [&heads, &normed]);
        graph.node(
            "",
            "Reshape",
            &[&normed, &format!("{which}_whole")],
            &[&whole],
            &[],
        );
        done.push(whole);
    }
    let [q, k] = [done.remove(0), done.remove(0)];
    Ok([q, k, v])
}

/// Names of a layer's tables of cosines and sines.
pub(super) fn rotary_names(shape: &DecoderShape, layer: usize) -> [&'static str; 2] {
    match shape.window(layer) {
        None => ["cosines", "sines"],
        Some(_) => ["sliding.cosines", "sliding.sines"],
    }
}

/// Cosines and sines by position and pair, for `GroupQueryAttention`.
pub(super) fn rotary_tables<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    graph: &mut GraphWriter,
    shape: &DecoderShape,
) -> Result<(), ModelError> {
    let half = shape.head_dim / 2;
    let factors = rope_factors(gguf, shape)?;
    let mut table = |name: &str, windowed: bool, function: fn(f64) -> f64| {
        let angles: Vec<f64> = (0..half)
            .map(|pair| shape.rope_angle(windowed, pair, factors.as_deref()))
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
    Ok(())
}
