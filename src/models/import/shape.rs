//! What a model of the llama architecture is made of, from its GGUF metadata.

use std::io::{Read, Seek};

use crate::models::{
    ModelError,
    gguf::{Gguf, Value},
};

/// Longer contexts are cut to this: the rotary tables have a row per position.
pub const MAX_CONTEXT: usize = 1 << 17;
/// No model has longer heads.
const MAX_HEAD: usize = 512;

/// The sizes of a decoder of the llama architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderShape {
    pub layers: usize,
    /// Length of a hidden state.
    pub width: usize,
    /// Length of the feed-forward layer's inner state.
    pub feed_forward: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Tokens the model was trained to see, at most `MAX_CONTEXT`.
    pub context: usize,
    pub vocabulary: usize,
    pub norm_epsilon: f32,
    pub rope_base: f32,
    /// Whether the output layer reuses the embedding.
    pub tied: bool,
}

impl DecoderShape {
    /// Reads the sizes and refuses what the graph does not compute.
    ///
    /// # Errors
    /// When the file holds another architecture, or a variant of this one (biases,
    /// experts, scaled or partial rotary positions) that would come out wrong.
    pub fn of<R: Read + Seek>(gguf: &Gguf<R>) -> Result<Self, ModelError> {
        let refuse = |problem: String| Err(ModelError::Unsupported(problem));
        let architecture = gguf.text("general.architecture")?;
        if architecture != "llama" {
            return refuse(format!("architecture {architecture:?}; only llama is"));
        }
        if let Some(Value::Text(scaling)) = gguf.get("llama.rope.scaling.type")
            && scaling != "none"
        {
            return refuse(format!("rotary scaling {scaling:?}"));
        }
        if gguf.get("llama.expert_count").is_some() {
            return refuse("a mixture of experts".into());
        }
        for name in gguf.tensor_names() {
            if !known(name) {
                return refuse(format!("the tensor {name}"));
            }
        }
        let positive = |key: &str| -> Result<usize, ModelError> {
            match gguf.integer(key)? {
                0 => Err(ModelError::Unsupported(format!("{key} = 0"))),
                // Keeps every product of two sizes far from overflow.
                value if value > 1 << 24 => {
                    Err(ModelError::Unsupported(format!("{key} = {value}")))
                }
                value => Ok(value),
            }
        };
        let width = positive("llama.embedding_length")?;
        let heads = positive("llama.attention.head_count")?;
        let kv_heads = match gguf.get("llama.attention.head_count_kv") {
            None => heads,
            Some(_) => positive("llama.attention.head_count_kv")?,
        };
        let head_dim = match gguf.get("llama.attention.key_length") {
            None => width / heads,
            Some(_) => positive("llama.attention.key_length")?,
        };
        if let Some(Value::Unsigned(rotary)) = gguf.get("llama.rope.dimension_count")
            && *rotary != head_dim as u64
        {
            return refuse(format!(
                "rotary positions on {rotary} of {head_dim} numbers"
            ));
        }
        if heads % kv_heads != 0 || head_dim % 2 != 0 || !(2..=MAX_HEAD).contains(&head_dim) {
            return refuse(format!(
                "{heads} heads of {head_dim} numbers over {kv_heads} key heads"
            ));
        }
        Ok(Self {
            layers: positive("llama.block_count")?,
            width,
            feed_forward: positive("llama.feed_forward_length")?,
            heads,
            kv_heads,
            head_dim,
            context: positive("llama.context_length")?.min(MAX_CONTEXT),
            vocabulary: gguf.texts("tokenizer.ggml.tokens")?.len(),
            norm_epsilon: gguf.float("llama.attention.layer_norm_rms_epsilon")?,
            rope_base: match gguf.get("llama.rope.freq_base") {
                None => 10_000.0,
                Some(_) => gguf.float("llama.rope.freq_base")?,
            },
            tied: !gguf.has_tensor("output.weight"),
        })
    }
}

/// Whether the graph has a place for a tensor: one that it ignored would make the
/// imported model another model.
fn known(name: &str) -> bool {
    match name
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'))
    {
        Some((_, part)) => matches!(
            part,
            "attn_norm.weight"
                | "attn_q.weight"
                | "attn_k.weight"
                | "attn_v.weight"
                | "attn_output.weight"
                | "ffn_norm.weight"
                | "ffn_gate.weight"
                | "ffn_up.weight"
                | "ffn_down.weight"
        ),
        None => matches!(
            name,
            "token_embd.weight" | "output_norm.weight" | "output.weight"
        ),
    }
}
