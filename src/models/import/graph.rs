//! The graph of a llama decoder, as the engine runs it.

use std::{
    io::{Read, Seek},
    path::Path,
};

use super::{
    Precision,
    linear::{Blocks, Linear},
    onnx::{GraphProto, data_type},
    shape::DecoderShape,
    writer::{Attribute, Dimension, GraphWriter, MICROSOFT, float_bytes},
};
use crate::models::{
    ModelError,
    gguf::{Gguf, Matrix},
};

/// Names of the graph's inputs and outputs.
///
/// With B rows of S new tokens each and N asked positions:
/// `input_ids` `[B, S]` int64; `seqlens_k` `[B]` int32, the tokens a row holds after this
/// run, minus one; `total_sequence_length` `[1]` int32, the largest of them plus one;
/// `logit_idx` `[N]` int64, positions in B·S order; per layer `past_key_i` and
/// `past_value_i` `[B, key heads, capacity, head]` float, which share their memory with
/// `present_key_i` and `present_value_i`; `logits` `[N, vocabulary]` float.
pub mod names {
    pub const INPUT_IDS: &str = "input_ids";
    pub const SEQLENS_K: &str = "seqlens_k";
    pub const TOTAL_SEQUENCE_LENGTH: &str = "total_sequence_length";
    pub const LOGIT_IDX: &str = "logit_idx";
    pub const LOGITS: &str = "logits";

    pub fn past_key(layer: usize) -> String {
        format!("past_key_{layer}")
    }

    pub fn past_value(layer: usize) -> String {
        format!("past_value_{layer}")
    }

    pub fn present_key(layer: usize) -> String {
        format!("present_key_{layer}")
    }

    pub fn present_value(layer: usize) -> String {
        format!("present_value_{layer}")
    }
}

/// Builds the graph; the weights go to `weights_name` in `folder`.
pub(super) fn build<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    shape: &DecoderShape,
    precision: Precision,
    folder: &Path,
    weights_name: &str,
) -> Result<GraphProto, ModelError> {
    let mut graph = GraphWriter::create(folder, weights_name)?;
    let linear = Linear { precision };
    linear.constants(&mut graph);
    inputs(&mut graph, shape);
    rotary_tables(&mut graph, shape);

    let embedding = matrix(gguf, "token_embd.weight", shape.vocabulary, shape.width)?;
    let embedded = "embedded";
    let tied_blocks = if precision == Precision::Fp32 {
        let stored = graph.store(&float_bytes(&embedding.data))?;
        let dims = [shape.vocabulary, shape.width];
        graph.external("embedding", data_type::FLOAT, &dims, stored);
        graph.node(
            "",
            "Gather",
            &["embedding", names::INPUT_IDS],
            &[embedded],
            &[],
        );
        None
    } else {
        let blocks = Blocks::store(&mut graph, &embedding)?;
        blocks.gather(&mut graph, "embedding", names::INPUT_IDS, embedded);
        Some(blocks)
    };

    let norm = norm_weight(gguf, &mut graph, shape, "blk.0.attn_norm.weight")?;
    graph.node(
        "",
        "SimplifiedLayerNormalization",
        &[embedded, &norm],
        &["l0.normed"],
        &[
            ("axis", Attribute::Int(-1)),
            ("epsilon", Attribute::Float(shape.norm_epsilon)),
        ],
    );
    let mut hidden = embedded.to_owned();
    for layer in 0..shape.layers {
        hidden = block(gguf, &mut graph, shape, linear, layer, &hidden)?;
    }

    let normed = format!("l{}.normed", shape.layers);
    let flat_shape: Vec<u8> = [-1_i64, shape.width as i64]
        .iter()
        .flat_map(|size| size.to_le_bytes())
        .collect();
    graph.inline("flat_shape", data_type::INT64, &[2], flat_shape);
    graph.node("", "Reshape", &[&normed, "flat_shape"], &["flat"], &[]);
    graph.node("", "Gather", &["flat", names::LOGIT_IDX], &["asked"], &[]);
    match tied_blocks {
        Some(blocks) if shape.tied && precision == Precision::Nbits8 => {
            blocks.multiply(&mut graph, "output", "asked", names::LOGITS);
        }
        _ => {
            let weight = if shape.tied {
                embedding
            } else {
                matrix(gguf, "output.weight", shape.vocabulary, shape.width)?
            };
            let asked = linear.prepare(&mut graph, "asked");
            linear.layer(&mut graph, "output", &asked, &weight, names::LOGITS)?;
        }
    }
    let dims = [
        Dimension::Named("asked"),
        Dimension::Fixed(shape.vocabulary),
    ];
    graph.output(names::LOGITS, data_type::FLOAT, &dims);
    for layer in 0..shape.layers {
        graph.output(
            &names::present_key(layer),
            data_type::FLOAT,
            &kv_dims(shape),
        );
        graph.output(
            &names::present_value(layer),
            data_type::FLOAT,
            &kv_dims(shape),
        );
    }
    graph.finish()
}

fn inputs(graph: &mut GraphWriter, shape: &DecoderShape) {
    use Dimension::{Fixed, Named};
    let ids = [Named("rows"), Named("tokens")];
    graph.input(names::INPUT_IDS, data_type::INT64, &ids);
    graph.input(names::SEQLENS_K, data_type::INT32, &[Named("rows")]);
    graph.input(names::TOTAL_SEQUENCE_LENGTH, data_type::INT32, &[Fixed(1)]);
    graph.input(names::LOGIT_IDX, data_type::INT64, &[Named("asked")]);
    for layer in 0..shape.layers {
        graph.input(&names::past_key(layer), data_type::FLOAT, &kv_dims(shape));
        graph.input(&names::past_value(layer), data_type::FLOAT, &kv_dims(shape));
    }
}

fn kv_dims(shape: &DecoderShape) -> [Dimension; 4] {
    [
        Dimension::Named("rows"),
        Dimension::Fixed(shape.kv_heads),
        Dimension::Named("capacity"),
        Dimension::Fixed(shape.head_dim),
    ]
}

/// Cosines and sines of `position · base^(-2i/head)` (Su et al., "RoFormer", 2021).
fn rotary_tables(graph: &mut GraphWriter, shape: &DecoderShape) {
    let half = shape.head_dim / 2;
    let angle = |position: usize, pair: usize| {
        let exponent = -2.0 * pair as f64 / shape.head_dim as f64;
        position as f64 * f64::from(shape.rope_base).powf(exponent)
    };
    let mut table = |name: &str, function: fn(f64) -> f64| {
        let values: Vec<f32> = (0..shape.context)
            .flat_map(|position| (0..half).map(move |pair| (position, pair)))
            .map(|(position, pair)| function(angle(position, pair)) as f32)
            .collect();
        graph.inline_floats(name, &[shape.context, half], &values);
    };
    table("cosines", f64::cos);
    table("sines", f64::sin);
}

/// One decoder block: reads `l{layer}.normed` and the residual stream `hidden`, gives
/// the next block's normed input and the name of the new residual stream.
fn block<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    graph: &mut GraphWriter,
    shape: &DecoderShape,
    linear: Linear,
    layer: usize,
    hidden: &str,
) -> Result<String, ModelError> {
    let part = |part: &str| format!("l{layer}.{part}");
    let tensor = |name: &str| format!("blk.{layer}.{name}.weight");
    let (width, inner) = (shape.width, shape.feed_forward);
    let (q_rows, kv_rows) = (
        shape.heads * shape.head_dim,
        shape.kv_heads * shape.head_dim,
    );

    let q = matrix(gguf, &tensor("attn_q"), q_rows, width)?;
    let k = matrix(gguf, &tensor("attn_k"), kv_rows, width)?;
    let v = matrix(gguf, &tensor("attn_v"), kv_rows, width)?;
    let qkv_weight = stacked(&[
        half_split(&q, shape.head_dim),
        half_split(&k, shape.head_dim),
        v,
    ]);
    let (normed, qkv, attended) = (part("normed"), part("qkv"), part("attended"));
    let prepared = linear.prepare(graph, &normed);
    linear.layer(graph, &part("qkv.weight"), &prepared, &qkv_weight, &qkv)?;
    graph.node(
        MICROSOFT,
        "GroupQueryAttention",
        &[
            &qkv,
            "",
            "",
            &names::past_key(layer),
            &names::past_value(layer),
            names::SEQLENS_K,
            names::TOTAL_SEQUENCE_LENGTH,
            "cosines",
            "sines",
        ],
        &[
            &attended,
            &names::present_key(layer),
            &names::present_value(layer),
        ],
        &[
            ("num_heads", Attribute::Int(shape.heads as i64)),
            ("kv_num_heads", Attribute::Int(shape.kv_heads as i64)),
            ("do_rotary", Attribute::Int(1)),
            ("rotary_interleaved", Attribute::Int(0)),
        ],
    );
    let (projected, middle, ffn_normed) = (part("projected"), part("middle"), part("ffn_normed"));
    let weight = matrix(gguf, &tensor("attn_output"), width, q_rows)?;
    let prepared = linear.prepare(graph, &attended);
    linear.layer(
        graph,
        &part("projected.weight"),
        &prepared,
        &weight,
        &projected,
    )?;
    let norm = norm_weight(gguf, graph, shape, &tensor("ffn_norm"))?;
    add_and_norm(
        graph,
        shape,
        [hidden, &projected, &norm],
        [&ffn_normed, &middle],
    );

    let gate = matrix(gguf, &tensor("ffn_gate"), inner, width)?;
    let up = matrix(gguf, &tensor("ffn_up"), inner, width)?;
    let (gate_up, gate_name, up_name) = (part("gate_up"), part("gate"), part("up"));
    let prepared = linear.prepare(graph, &ffn_normed);
    let weight = stacked(&[gate, up]);
    linear.layer(graph, &part("gate_up.weight"), &prepared, &weight, &gate_up)?;
    graph.node(
        "",
        "Split",
        &[&gate_up],
        &[&gate_name, &up_name],
        &[
            ("axis", Attribute::Int(-1)),
            ("num_outputs", Attribute::Int(2)),
        ],
    );
    // x · sigmoid(1 · x) is SiLU.
    let (activated, gated, down) = (part("activated"), part("gated"), part("down"));
    let alpha = [("alpha", Attribute::Float(1.0))];
    graph.node(MICROSOFT, "QuickGelu", &[&gate_name], &[&activated], &alpha);
    graph.node("", "Mul", &[&activated, &up_name], &[&gated], &[]);
    let weight = matrix(gguf, &tensor("ffn_down"), width, inner)?;
    let prepared = linear.prepare(graph, &gated);
    linear.layer(graph, &part("down.weight"), &prepared, &weight, &down)?;

    let next_norm = match layer + 1 {
        next if next == shape.layers => "output_norm.weight".to_owned(),
        next => format!("blk.{next}.attn_norm.weight"),
    };
    let norm = norm_weight(gguf, graph, shape, &next_norm)?;
    let (next_normed, out) = (format!("l{}.normed", layer + 1), part("out"));
    add_and_norm(graph, shape, [&middle, &down, &norm], [&next_normed, &out]);
    Ok(out)
}

/// `sum = residual + update`, `normed = rms_norm(sum) · weight`.
fn add_and_norm(
    graph: &mut GraphWriter,
    shape: &DecoderShape,
    inputs: [&str; 3],
    [normed, sum]: [&str; 2],
) {
    graph.node(
        MICROSOFT,
        "SkipSimplifiedLayerNormalization",
        &inputs,
        &[normed, "", "", sum],
        &[("epsilon", Attribute::Float(shape.norm_epsilon))],
    );
}

fn norm_weight<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    graph: &mut GraphWriter,
    shape: &DecoderShape,
    name: &str,
) -> Result<String, ModelError> {
    let weight = matrix(gguf, name, 1, shape.width)?;
    graph.inline_floats(name, &[shape.width], &weight.data);
    Ok(name.to_owned())
}

/// A tensor of the size that the shape calls for.
fn matrix<R: Read + Seek>(
    gguf: &mut Gguf<R>,
    name: &str,
    rows: usize,
    columns: usize,
) -> Result<Matrix, ModelError> {
    let matrix = gguf.matrix(name)?;
    if (matrix.rows, matrix.columns) != (rows, columns) {
        return Err(ModelError::Unsupported(format!(
            "the tensor {name} of {} × {} numbers where {rows} × {columns} belong",
            matrix.rows, matrix.columns
        )));
    }
    if matrix.data.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::Unsupported(format!(
            "the tensor {name}, which holds numbers that are not finite"
        )));
    }
    Ok(matrix)
}

/// GGUF stores the q and k rows of a llama head as (first half, second half)
/// interleaved, for rotary positions on neighbours; the operator pairs a head's
/// first half with its second, as the original weights do.
fn half_split(weight: &Matrix, head_dim: usize) -> Matrix {
    let half = head_dim / 2;
    let mut data = Vec::with_capacity(weight.data.len());
    for head in weight.data.chunks_exact(head_dim * weight.columns) {
        for row in 0..head_dim {
            let from = (row % half) * 2 + row / half;
            data.extend_from_slice(&head[from * weight.columns..][..weight.columns]);
        }
    }
    Matrix { data, ..*weight }
}

/// Matrices of the same width, one under the other.
fn stacked(matrices: &[Matrix]) -> Matrix {
    Matrix {
        rows: matrices.iter().map(|matrix| matrix.rows).sum(),
        columns: matrices.first().map_or(0, |matrix| matrix.columns),
        data: matrices
            .iter()
            .flat_map(|matrix| matrix.data.iter().copied())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_a_head_become_its_halves() {
        // Two heads of four rows; a row holds its own place in the original order.
        let gguf = Matrix {
            rows: 8,
            columns: 1,
            data: vec![0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0],
        };
        let original = half_split(&gguf, 4).data;
        assert_eq!(original, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }
}
