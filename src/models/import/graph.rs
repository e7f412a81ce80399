//! The graph of a decoder, as the engine runs it.

use std::{
    io::{Read, Seek},
    path::Path,
};

use super::{
    Attention, Element, Form, family,
    house::{self, Site, attribute},
    linear::{Embedding, Linear},
    onnx::{GraphProto, data_type},
    shape::{DecoderShape, rope_factors},
    weight::{Part, Weight, matrix},
    writer::{Attribute, Dimension, GraphWriter, MICROSOFT},
};
use crate::models::{ModelError, gguf::Gguf};

/// Names of the graph's inputs and outputs.
///
/// [`Attention::Ragged`], for T tokens of any rows: `input_ids` `[T]` int64; `logit_idx`
/// `[N]` int64, the tokens whose logits are wanted; `logits` `[N, vocabulary]` float. The
/// house's own operator finds keys and values by itself.
///
/// [`Attention::Grouped`], with B rows of S new tokens each: `input_ids` `[B, S]` int64;
/// `seqlens_k` `[B]` int32, the tokens a row holds after this run, minus one;
/// `total_sequence_length` `[1]` int32, the largest of them plus one; `logit_idx` `[N]`
/// int64, positions in B·S order; per layer `past_key_i` and `past_value_i`
/// `[B, key heads, capacity, head]` float, which share their memory with `present_key_i`
/// and `present_value_i`; `logits` as above.
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
    form: Form,
    folder: &Path,
    weights_name: &str,
) -> Result<GraphProto, ModelError> {
    let mut graph = GraphWriter::create(folder, weights_name, form.precision.element())?;
    let linear = Linear {
        precision: form.precision,
        adapted: form.attention == Attention::Ragged,
    };
    linear.constants(&mut graph);
    inputs(&mut graph, shape, form.attention);
    if form.attention == Attention::Grouped {
        family::rotary_tables(gguf, &mut graph, shape)?;
    }

    // The engine reads them itself: what it would refuse is refused now.
    rope_factors(gguf, shape)?;
    let tokens = Part::whole("token_embd.weight", shape.vocabulary);
    let embedding = Weight::read(gguf, form.precision, &[tokens], shape.width)?;
    let embedded = "embedded";
    let stored = Embedding::store(&mut graph, &embedding, form.precision)?;
    if shape.embedding_scale == 1.0 {
        stored.gather(&mut graph, names::INPUT_IDS, embedded);
    } else {
        stored.gather(&mut graph, names::INPUT_IDS, "unscaled");
        family::scaled(&mut graph, "unscaled", shape.embedding_scale, embedded);
    }

    let first = ("blk.0.attn_norm.weight", shape.width);
    family::rms_norm(gguf, &mut graph, shape, first, [embedded, "l0.normed"])?;
    let mut hidden = embedded.to_owned();
    for layer in 0..shape.layers {
        let block = Block {
            shape,
            linear,
            attention: form.attention,
            layer,
        };
        hidden = block.build(gguf, &mut graph, &hidden)?;
    }

    let normed = format!("l{}.normed", shape.layers);
    let flat = match form.attention {
        Attention::Ragged => normed,
        Attention::Grouped => {
            let flat_shape: Vec<u8> = [-1_i64, shape.width as i64]
                .iter()
                .flat_map(|size| size.to_le_bytes())
                .collect();
            graph.inline("flat_shape", data_type::INT64, &[2], flat_shape);
            graph.node("", "Reshape", &[&normed, "flat_shape"], &["flat"], &[]);
            "flat".to_owned()
        }
    };
    graph.node("", "Gather", &[&flat, names::LOGIT_IDX], &["asked"], &[]);
    // Whoever samples reads 32-bit floats.
    let short = form.precision.element() != Element::Fp32;
    let logits = if short { "logits.short" } else { names::LOGITS };
    if shape.tied && stored.multiplies() {
        stored.multiply(&mut graph, "asked", logits);
    } else {
        let weight = if shape.tied {
            embedding
        } else {
            let output = Part::whole("output.weight", shape.vocabulary);
            Weight::read(gguf, form.precision, &[output], shape.width)?
        };
        let asked = linear.prepare(&mut graph, "asked");
        linear.layer(&mut graph, "output", &asked, &weight, logits)?;
    }
    if short {
        let to = [("to", Attribute::Int(data_type::FLOAT.into()))];
        graph.node("", "Cast", &[logits], &[names::LOGITS], &to);
    }
    let dims = [
        Dimension::Named("asked"),
        Dimension::Fixed(shape.vocabulary),
    ];
    graph.output(names::LOGITS, data_type::FLOAT, &dims);
    if form.attention == Attention::Grouped {
        for layer in 0..shape.layers {
            for name in [names::present_key(layer), names::present_value(layer)] {
                graph.output(&name, graph.float_type(), &kv_dims(shape));
            }
        }
    }
    graph.finish()
}

fn inputs(graph: &mut GraphWriter, shape: &DecoderShape, attention: Attention) {
    use Dimension::{Fixed, Named};
    match attention {
        Attention::Ragged => graph.input(names::INPUT_IDS, data_type::INT64, &[Named("tokens")]),
        Attention::Grouped => {
            let ids = [Named("rows"), Named("tokens")];
            graph.input(names::INPUT_IDS, data_type::INT64, &ids);
            graph.input(names::SEQLENS_K, data_type::INT32, &[Named("rows")]);
            graph.input(names::TOTAL_SEQUENCE_LENGTH, data_type::INT32, &[Fixed(1)]);
            for layer in 0..shape.layers {
                for name in [names::past_key(layer), names::past_value(layer)] {
                    graph.input(&name, graph.float_type(), &kv_dims(shape));
                }
            }
        }
    }
    graph.input(names::LOGIT_IDX, data_type::INT64, &[Named("asked")]);
}

fn kv_dims(shape: &DecoderShape) -> [Dimension; 4] {
    [
        Dimension::Named("rows"),
        Dimension::Fixed(shape.kv_heads),
        Dimension::Named("capacity"),
        Dimension::Fixed(shape.head_dim),
    ]
}

/// One decoder block.
struct Block<'a> {
    shape: &'a DecoderShape,
    linear: Linear,
    attention: Attention,
    layer: usize,
}

impl Block<'_> {
    fn name(&self, part: &str) -> String {
        format!("l{}.{part}", self.layer)
    }

    fn tensor(&self, name: &str) -> String {
        format!("blk.{}.{name}.weight", self.layer)
    }

    /// Reads `l{layer}.normed` and the residual stream `hidden`, gives the next block's
    /// normed input and the name of the new residual stream.
    fn build<R: Read + Seek>(
        &self,
        gguf: &mut Gguf<R>,
        graph: &mut GraphWriter,
        hidden: &str,
    ) -> Result<String, ModelError> {
        let shape = self.shape;
        let projected = self.attend(gguf, graph)?;
        let projected = self.post_norm(gguf, graph, "post_attention_norm", projected)?;
        let norm = norm_weight(gguf, graph, shape, &self.tensor("ffn_norm"))?;
        let (middle, ffn_normed) = (self.name("middle"), self.name("ffn_normed"));
        add_and_norm(
            graph,
            shape,
            [hidden, &projected, &norm],
            [&ffn_normed, &middle],
        );
        let down = self.feed_forward(gguf, graph, &ffn_normed)?;
        let down = self.post_norm(gguf, graph, "post_ffw_norm", down)?;
        let next_norm = match self.layer + 1 {
            next if next == shape.layers => "output_norm.weight".to_owned(),
            next => format!("blk.{next}.attn_norm.weight"),
        };
        let norm = norm_weight(gguf, graph, shape, &next_norm)?;
        let (next_normed, out) = (format!("l{}.normed", self.layer + 1), self.name("out"));
        add_and_norm(graph, shape, [&middle, &down, &norm], [&next_normed, &out]);
        Ok(out)
    }

    /// Self-attention up to its output layer; gives the name of the result.
    fn attend<R: Read + Seek>(
        &self,
        gguf: &mut Gguf<R>,
        graph: &mut GraphWriter,
    ) -> Result<String, ModelError> {
        let DecoderShape {
            width,
            heads,
            kv_heads,
            head_dim,
            ..
        } = *self.shape;
        let (q_rows, kv_rows) = (heads * head_dim, kv_heads * head_dim);
        let [q, k, v] = ["attn_q", "attn_k", "attn_v"].map(|name| self.tensor(name));
        let parts = [
            family::rotated(self.shape, &q, q_rows),
            family::rotated(self.shape, &k, kv_rows),
            Part::whole(&v, kv_rows),
        ];
        let weight = Weight::read(gguf, self.linear.precision, &parts, width)?;
        let (normed, qkv, attended) =
            (self.name("normed"), self.name("qkv"), self.name("attended"));
        let prepared = self.linear.prepare(graph, &normed);
        let site = (self.layer, Site::QueryKeyValue);
        if self.shape.qkv_bias {
            let unbiased = self.name("qkv.unbiased");
            self.linear
                .adapted_layer(graph, site, &prepared, &weight, &unbiased)?;
            family::biased(gguf, graph, self.shape, self.layer, [&unbiased, &qkv])?;
        } else {
            self.linear
                .adapted_layer(graph, site, &prepared, &weight, &qkv)?;
        }
        let heads = match self.shape.qk_norm {
            false => None,
            true => {
                let of = (self.shape, self.attention);
                Some(family::normed_heads(gguf, graph, of, self.layer, &qkv)?)
            }
        };
        let heads = heads
            .as_ref()
            .map(|heads| heads.each_ref().map(String::as_str));
        match self.attention {
            Attention::Ragged => self.ragged_attention(graph, &qkv, heads, &attended),
            Attention::Grouped => {
                let heads = heads.unwrap_or([&qkv, "", ""]);
                self.group_query_attention(graph, heads, &attended);
            }
        }
        let projected = self.name("projected");
        let output = self.tensor("attn_output");
        let parts = [Part::whole(&output, width)];
        let weight = Weight::read(gguf, self.linear.precision, &parts, q_rows)?;
        let prepared = self.linear.prepare(graph, &attended);
        let site = (self.layer, Site::AttentionOutput);
        self.linear
            .adapted_layer(graph, site, &prepared, &weight, &projected)?;
        Ok(projected)
    }

    fn ragged_attention(
        &self,
        graph: &mut GraphWriter,
        qkv: &str,
        heads: Option<[&str; 3]>,
        attended: &str,
    ) {
        let joined = format!("{qkv}.joined");
        let input = match heads {
            None => qkv,
            Some(heads) => {
                let axis = [("axis", Attribute::Int(-1))];
                graph.node("", "Concat", &heads, &[&joined], &axis);
                &joined
            }
        };
        let layer = [(attribute::LAYER, Attribute::Int(self.layer as i64))];
        graph.node(house::DOMAIN, house::ATTEND, &[input], &[attended], &layer);
    }

    fn group_query_attention(
        &self,
        graph: &mut GraphWriter,
        [query, key, value]: [&str; 3],
        attended: &str,
    ) {
        let layer = self.layer;
        let mut attributes = vec![
            ("num_heads", Attribute::Int(self.shape.heads as i64)),
            ("kv_num_heads", Attribute::Int(self.shape.kv_heads as i64)),
            ("do_rotary", Attribute::Int(1)),
            ("rotary_interleaved", Attribute::Int(0)),
            ("scale", Attribute::Float(self.shape.attention_scale)),
        ];
        if let Some(window) = self.shape.window(layer) {
            attributes.push(("local_window_size", Attribute::Int(window as i64)));
        }
        let [cosines, sines] = family::rotary_names(self.shape, layer);
        graph.node(
            MICROSOFT,
            "GroupQueryAttention",
            &[
                query,
                key,
                value,
                &names::past_key(layer),
                &names::past_value(layer),
                names::SEQLENS_K,
                names::TOTAL_SEQUENCE_LENGTH,
                cosines,
                sines,
            ],
            &[
                attended,
                &names::present_key(layer),
                &names::present_value(layer),
            ],
            &attributes,
        );
    }

    /// Norms what a layer gives, in the families that do.
    fn post_norm<R: Read + Seek>(
        &self,
        gguf: &mut Gguf<R>,
        graph: &mut GraphWriter,
        norm: &str,
        input: String,
    ) -> Result<String, ModelError> {
        if !self.shape.post_norms {
            return Ok(input);
        }
        let (weight, output) = (self.tensor(norm), self.name(norm));
        let weight = (weight.as_str(), self.shape.width);
        family::rms_norm(gguf, graph, self.shape, weight, [&input, &output])?;
        Ok(output)
    }

    /// The gated feed-forward layers; gives the name of the result.
    fn feed_forward<R: Read + Seek>(
        &self,
        gguf: &mut Gguf<R>,
        graph: &mut GraphWriter,
        normed: &str,
    ) -> Result<String, ModelError> {
        let (width, inner) = (self.shape.width, self.shape.feed_forward);
        let precision = self.linear.precision;
        let [gate, up, down] = ["ffn_gate", "ffn_up", "ffn_down"].map(|name| self.tensor(name));
        let parts = [Part::whole(&gate, inner), Part::whole(&up, inner)];
        let weight = Weight::read(gguf, precision, &parts, width)?;
        let gate_up = self.name("gate_up");
        let prepared = self.linear.prepare(graph, normed);
        let site = (self.layer, Site::GateUp);
        self.linear
            .adapted_layer(graph, site, &prepared, &weight, &gate_up)?;
        let weight = Weight::read(gguf, precision, &[Part::whole(&down, width)], inner)?;
        let out = self.name("down");
        let site = (self.layer, Site::Down);
        self.linear.gated_layer(
            graph,
            site,
            (&gate_up, self.shape.activation),
            &weight,
            &out,
        )?;
        Ok(out)
    }
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
