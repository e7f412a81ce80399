//! What a decoder is made of, from its GGUF metadata: one description for all families.

use std::io::{Read, Seek};

use super::weight::{Part, matrix};
use crate::models::{
    ModelError,
    gguf::{Gguf, GgufError, Value},
};

/// No model has more. What is said of each layer takes memory before its weights are looked
/// for.
const MAX_LAYERS: usize = 1024;

/// Longer contexts are cut to this: the rotary tables have a row per position.
pub const MAX_CONTEXT: usize = 1 << 17;
/// No model has longer heads.
const MAX_HEAD: usize = 512;
/// Of Gemma 3's layers, each sixth sees everything, unless the file says otherwise.
const GEMMA_PERIOD: usize = 6;
/// The base of Gemma 3's rotary angles in the layers with a window.
const GEMMA_LOCAL_BASE: f32 = 10_000.0;
/// Gemma 3 of 27 billion parameters, which alone scales its queries by another rule.
const GEMMA_27B_LAYERS: usize = 62;

/// The sizes and the kind of a decoder: token embedding, blocks of attention and a gated
/// feed-forward layer with RMS norms before each, a norm, an output layer.
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
    /// Base of the rotary angles of the layers that see everything.
    pub rope_base: f32,
    /// What positions are divided by in these layers (linear scaling; 1 is none).
    pub rope_scale: f32,
    /// Whether `rope_freqs.weight` has a divisor for each pair's angle (Llama 3.1 and later).
    pub rope_factors: bool,
    /// How the file pairs the rows of a query or key head for rotation.
    pub pairs: Pairs,
    /// Layers that see the last tokens only; none in most models.
    pub sliding: Option<Sliding>,
    /// What products of queries and keys are multiplied with.
    pub attention_scale: f32,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether each head's queries and keys are normed before they are rotated.
    pub qk_norm: bool,
    /// Whether the outputs of attention and of the feed-forward layer are normed before
    /// they are added to the hidden state.
    pub post_norms: bool,
    pub activation: Activation,
    /// What embeddings are multiplied with.
    pub embedding_scale: f32,
    /// Whether the output layer reuses the embedding.
    pub tied: bool,
}

/// Which numbers of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Neighbours: the converter of the llama family reorders the rows to this.
    Neighbours,
    /// Those at the same place of both halves.
    Halves,
}

/// What the gate goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · σ(x).
    Silu,
    /// The Gaussian error linear unit, by its approximation with the hyperbolic tangent.
    GeluTanh,
}

/// Layers that see the last tokens only.
#[derive(Clone, Debug, PartialEq)]
pub struct Sliding {
    /// Tokens that are seen, the newest included.
    pub window: usize,
    /// Base of the rotary angles in these layers, which are never scaled.
    pub rope_base: f32,
    /// Per layer: whether it is one of them.
    pub layers: Vec<bool>,
}

impl DecoderShape {
    /// Reads the sizes and refuses what the graph does not compute.
    ///
    /// # Errors
    /// When the file holds another architecture, or a variant of a known one (experts,
    /// capped logits, scaled or partial rotary positions of another kind) that would come
    /// out wrong.
    pub fn of<R: Read + Seek>(gguf: &Gguf<R>) -> Result<Self, ModelError> {
        let refuse = |problem: String| Err(ModelError::Unsupported(problem));
        let family = Family::of(gguf.text("general.architecture")?)?;
        let file = Reader {
            gguf,
            prefix: family.name(),
        };
        if file.get("expert_count").is_some() {
            return refuse("a mixture of experts".into());
        }
        for capped in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if let Some(Value::Float(cap)) = file.get(capped)
                && *cap != 0.0
            {
                return refuse(format!("capped logits ({capped} = {cap})"));
            }
        }
        let layers = file.positive("block_count")?;
        if layers > MAX_LAYERS {
            return refuse(format!("{layers} layers"));
        }
        let width = file.positive("embedding_length")?;
        let heads = file.positive("attention.head_count")?;
        let kv_heads = file.positive_or("attention.head_count_kv", heads)?;
        let head_dim = file.positive_or("attention.key_length", width / heads)?;
        for (key, what) in [
            ("rope.dimension_count", "rotary positions on"),
            ("attention.value_length", "values of"),
        ] {
            let size = file.positive_or(key, head_dim)?;
            if size != head_dim {
                return refuse(format!("{what} {size} of {head_dim} numbers"));
            }
        }
        if heads % kv_heads != 0 || head_dim % 8 != 0 || !(8..=MAX_HEAD).contains(&head_dim) {
            return refuse(format!(
                "{heads} heads of {head_dim} numbers over {kv_heads} key heads"
            ));
        }
        let mut context = file.positive("context_length")?.min(MAX_CONTEXT);
        let sliding = match file.get("attention.sliding_window") {
            None | Some(Value::Unsigned(0)) => 0,
            Some(_) => file.positive("attention.sliding_window")?,
        };
        let sliding = match sliding {
            0 => None,
            window if family == Family::Gemma3 => Some(Sliding {
                window,
                rope_base: file.float_or("rope.freq_base_swa", GEMMA_LOCAL_BASE)?,
                layers: file.sliding_layers(layers)?,
            }),
            // Within the window it makes no difference.
            window => {
                context = context.min(window);
                None
            }
        };
        let gemma = family == Family::Gemma3;
        let attention_scale = match family {
            Family::Gemma3 if layers == GEMMA_27B_LAYERS => (width / heads) as f32,
            _ => head_dim as f32,
        }
        .sqrt()
        .recip();
        let shape = Self {
            layers,
            width,
            feed_forward: file.positive("feed_forward_length")?,
            heads,
            kv_heads,
            head_dim,
            context,
            vocabulary: gguf.texts("tokenizer.ggml.tokens")?.len(),
            norm_epsilon: file.float("attention.layer_norm_rms_epsilon")?,
            rope_base: file.float_or("rope.freq_base", 10_000.0)?,
            rope_scale: file.rope_scale()?,
            rope_factors: gguf.has_tensor(ROPE_FACTORS),
            pairs: match family {
                Family::Llama => Pairs::Neighbours,
                Family::Qwen2 | Family::Qwen3 | Family::Gemma3 => Pairs::Halves,
            },
            sliding,
            attention_scale,
            qkv_bias: gguf.has_tensor("blk.0.attn_q.bias"),
            qk_norm: matches!(family, Family::Qwen3 | Family::Gemma3),
            post_norms: gemma,
            activation: match gemma {
                true => Activation::GeluTanh,
                false => Activation::Silu,
            },
            embedding_scale: if gemma { (width as f32).sqrt() } else { 1.0 },
            tied: !gguf.has_tensor("output.weight"),
        };
        // A tensor that the graph ignored would make the import another model.
        match gguf.tensor_names().find(|name| !shape.knows(name)) {
            Some(name) => refuse(format!("the tensor {name}")),
            None => Ok(shape),
        }
    }

    /// The window of a layer, where it has one.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding
            .as_ref()
            .filter(|sliding| sliding.layers.get(layer) == Some(&true))
            .map(|sliding| sliding.window)
    }

    /// The angle by which the pair `pair` of a head is turned at position 1, in radians, in
    /// layers with a window or in those without (Su et al., "RoFormer", 2021). What
    /// [`AttentionTables::rope_factors`] holds divides it in the latter.
    pub fn rope_angle(&self, windowed: bool, pair: usize, factors: Option<&[f32]>) -> f64 {
        let (base, scale) = match &self.sliding {
            Some(sliding) if windowed => (sliding.rope_base, 1.0),
            _ => (self.rope_base, self.rope_scale),
        };
        let exponent = -2.0 * pair as f64 / self.head_dim as f64;
        let factor = factors.filter(|_| !windowed).map_or(1.0, |all| all[pair]);
        f64::from(base).powf(exponent) / f64::from(factor) / f64::from(scale)
    }

    /// Whether the graph has a place for a tensor.
    fn knows(&self, name: &str) -> bool {
        let Some((_, part)) = name
            .strip_prefix("blk.")
            .and_then(|rest| rest.split_once('.'))
        else {
            return matches!(
                name,
                "token_embd.weight" | "output_norm.weight" | "output.weight" | ROPE_FACTORS
            );
        };
        match part {
            "attn_norm.weight" | "attn_q.weight" | "attn_k.weight" | "attn_v.weight"
            | "attn_output.weight" | "ffn_norm.weight" | "ffn_gate.weight" | "ffn_up.weight"
            | "ffn_down.weight" => true,
            "attn_q.bias" | "attn_k.bias" | "attn_v.bias" => self.qkv_bias,
            "attn_q_norm.weight" | "attn_k_norm.weight" => self.qk_norm,
            "post_attention_norm.weight" | "post_ffw_norm.weight" => self.post_norms,
            _ => false,
        }
    }
}

const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Small tensors that attention reads beside its input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionTables {
    /// Divisors of the rotary angles, one per pair, in layers without a window.
    pub rope_factors: Option<Vec<f32>>,
    /// Per layer: weights of the norms of a query head and of a key head, in the order in
    /// which a head's numbers are rotated. Empty where heads are not normed.
    pub norms: Vec<[Vec<f32>; 2]>,
}

impl AttentionTables {
    /// Reads them.
    ///
    /// # Errors
    /// When one is missing, of another size, or holds what cannot be computed with.
    pub fn of<R: Read + Seek>(
        gguf: &mut Gguf<R>,
        shape: &DecoderShape,
    ) -> Result<Self, ModelError> {
        let rope_factors = match shape.rope_factors {
            false => None,
            true => Some(matrix(gguf, ROPE_FACTORS, 1, shape.head_dim / 2)?.data),
        };
        let positive = |factors: &Vec<f32>| factors.iter().all(|factor| *factor > 0.0);
        if !rope_factors.as_ref().is_none_or(positive) {
            return Err(ModelError::Unsupported(
                "rotary factors that are not positive".into(),
            ));
        }
        let mut norms = Vec::new();
        if shape.qk_norm {
            for layer in 0..shape.layers {
                let mut norm = |which: &str| -> Result<Vec<f32>, ModelError> {
                    let name = format!("blk.{layer}.attn_{which}_norm.weight");
                    let weight = matrix(gguf, &name, 1, shape.head_dim)?.data;
                    Ok(match Part::rotated(shape, &name, shape.head_dim).order() {
                        None => weight,
                        Some(order) => order.into_iter().map(|place| weight[place]).collect(),
                    })
                };
                norms.push([norm("q")?, norm("k")?]);
            }
        }
        Ok(Self {
            rope_factors,
            norms,
        })
    }
}

/// The architectures that are read, as GGUF metadata names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Llama 1 to 3, Mistral, SmolLM, TinyLlama and others of their kind.
    Llama,
    /// Qwen 2 and 2.5.
    Qwen2,
    Qwen3,
    Gemma3,
}

impl Family {
    const ALL: [Self; 4] = [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Gemma3];

    fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3",
        }
    }

    fn of(name: &str) -> Result<Self, ModelError> {
        Self::ALL
            .into_iter()
            .find(|family| family.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                ModelError::Unsupported(format!("architecture {name:?}; {names} are read"))
            })
    }
}

/// The metadata of one architecture.
struct Reader<'a, R> {
    gguf: &'a Gguf<R>,
    prefix: &'static str,
}

impl<R: Read + Seek> Reader<'_, R> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.gguf.get(&self.key(key))
    }

    fn positive(&self, key: &str) -> Result<usize, ModelError> {
        let key = self.key(key);
        match self.gguf.integer(&key)? {
            // The upper bound keeps every product of two sizes far from overflow.
            value @ 1..=0x100_0000 => Ok(value),
            value => Err(ModelError::Unsupported(format!("{key} = {value}"))),
        }
    }

    fn positive_or(&self, key: &str, default: usize) -> Result<usize, ModelError> {
        match self.get(key) {
            None => Ok(default),
            Some(_) => self.positive(key),
        }
    }

    fn float(&self, key: &str) -> Result<f32, ModelError> {
        let key = self.key(key);
        match self.gguf.float(&key)? {
            value if value.is_finite() && value > 0.0 => Ok(value),
            value => Err(ModelError::Unsupported(format!("{key} = {value}"))),
        }
    }

    fn float_or(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        match self.get(key) {
            None => Ok(default),
            Some(_) => self.float(key),
        }
    }

    /// What positions are divided by.
    fn rope_scale(&self) -> Result<f32, ModelError> {
        let scaled = match self.get("rope.scaling.type") {
            Some(Value::Text(kind)) if kind == "none" => false,
            Some(Value::Text(kind)) if kind != "linear" => {
                return Err(ModelError::Unsupported(format!("rotary scaling {kind:?}")));
            }
            _ => true,
        };
        if self.float_or("rope.scaling.attn_factor", 1.0)? != 1.0 {
            let problem = "attention scaled with its rotary positions";
            return Err(ModelError::Unsupported(problem.into()));
        }
        let old = self.float_or("rope.scale_linear", 1.0)?;
        let factor = self.float_or("rope.scaling.factor", old)?;
        Ok(if scaled { factor } else { 1.0 })
    }

    /// Which layers have a window: a list, or a period whose last layer has none.
    fn sliding_layers(&self, layers: usize) -> Result<Vec<bool>, ModelError> {
        const KEY: &str = "attention.sliding_window_pattern";
        let wrong = || GgufError::Metadata {
            key: self.key(KEY),
            wanted: "list with a truth value for each layer",
        };
        if let Some(Value::Array(pattern)) = self.get(KEY) {
            let listed: Option<Vec<bool>> = pattern
                .iter()
                .map(|value| match value {
                    Value::Bool(value) => Some(*value),
                    Value::Unsigned(value) => Some(*value != 0),
                    Value::Signed(value) => Some(*value != 0),
                    _ => None,
                })
                .collect();
            return match listed {
                Some(listed) if listed.len() == layers => Ok(listed),
                _ => Err(wrong().into()),
            };
        }
        let period = self.positive_or(KEY, GEMMA_PERIOD)?;
        Ok((0..layers)
            .map(|layer| layer % period < period - 1)
            .collect())
    }
}
