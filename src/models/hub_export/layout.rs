//! PURE: how a decoder of the hub is fed, from the names and shapes of its graph's inputs
//! and outputs.
//!
//! The names are those of optimum's exporter (`optimum/exporters/onnx/model_configs.py`),
//! which transformers.js and onnxruntime-genai's model builder share. Where they differ is
//! what [`DecoderLayout`] holds.

use super::{
    ExportError,
    scan::{Dim, Port, Signature},
};

/// Types of numbers that a graph takes or gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Float,
    /// 16 bits: 5 of exponent.
    Half,
    Int32,
    Int64,
    Bool,
}

impl Element {
    /// From `TensorProto.DataType`.
    fn of(port: &Port) -> Result<Self, ExportError> {
        Ok(match port.element {
            1 => Self::Float,
            6 => Self::Int32,
            7 => Self::Int64,
            9 => Self::Bool,
            10 => Self::Half,
            other => {
                return Err(ExportError::Layout(format!(
                    "{} of element type {other}",
                    port.name
                )));
            }
        })
    }

    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Half => 2,
            Self::Float | Self::Int32 => 4,
            Self::Int64 => 8,
        }
    }
}

/// An input of whole numbers that is there only in some exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    pub element: Element,
    pub rank: usize,
}

/// A layer's keys or values. For one row of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTensor {
    /// Name of the input.
    pub past: String,
    /// Name of the output. A graph for later tokens need not have it for the encoder's
    /// keys and values, which stay as they are.
    pub present: String,
    pub element: Element,
    /// The size of each dimension; that of [`Self::sequence`] means nothing.
    pub dims: Vec<usize>,
    /// Which dimension counts tokens.
    pub sequence: usize,
    /// Made of the encoder's output, once: the decoder's tokens add nothing to it.
    pub cross: bool,
}

/// How far a graph can be trusted with what it is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Any number of tokens after any number of others.
    Any,
    /// Any number of tokens after none; later ones one by one. These graphs were traced
    /// with a single token after the past, and mask nothing among several.
    Singly,
}

/// What else the graphs of an export need beside `input_ids`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecoderLayout {
    pub input_ids: Whole,
    pub attention_mask: Option<Whole>,
    pub position_ids: Option<Whole>,
    /// Says whether there is a past: one graph with two branches.
    pub use_cache_branch: bool,
    /// `num_logits_to_keep`: from how many of the last tokens logits are wanted; 0 is all.
    pub logits_to_keep: Option<Whole>,
    pub encoder_hidden_states: bool,
    pub encoder_attention_mask: Option<Whole>,
    /// Empty in a graph for the first tokens.
    pub cache: Vec<CacheTensor>,
    pub logits: Element,
    /// Length of a row of logits, where the graph says it.
    pub vocabulary: Option<usize>,
}

/// Sizes that the graph leaves open, from `config.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    pub kv_heads: Option<usize>,
    pub head_dim: Option<usize>,
}

/// No tensor of a cache is longer in a dimension that is known beforehand.
const MAX_SIZE: u64 = 1 << 20;

impl DecoderLayout {
    /// Reads the layout of a graph.
    ///
    /// # Errors
    /// When it takes or gives something that is not fed here, or a size is nowhere said.
    pub fn of(signature: &Signature, sizes: Sizes) -> Result<Self, ExportError> {
        let whole = |name: &str| signature.input(name).map(Whole::of).transpose();
        let logits = signature
            .output("logits")
            .ok_or_else(|| ExportError::Layout("no output \"logits\"".into()))?;
        let layout = Self {
            input_ids: whole("input_ids")?
                .ok_or_else(|| ExportError::Layout("no input \"input_ids\"".into()))?,
            attention_mask: whole("attention_mask")?,
            position_ids: whole("position_ids")?,
            use_cache_branch: signature.input("use_cache_branch").is_some(),
            logits_to_keep: whole("num_logits_to_keep")?,
            encoder_hidden_states: signature.input("encoder_hidden_states").is_some(),
            encoder_attention_mask: whole("encoder_attention_mask")?,
            cache: signature
                .inputs
                .iter()
                .filter(|port| port.name.starts_with(PAST))
                .map(|port| CacheTensor::of(port, signature, sizes))
                .collect::<Result<_, _>>()?,
            logits: match Element::of(logits)? {
                element @ (Element::Float | Element::Half) => element,
                other => return Err(ExportError::Layout(format!("logits of {other:?}"))),
            },
            vocabulary: match logits.dims.as_slice() {
                [_, _, Dim::Fixed(size)] => Some(checked(*size, "logits")?),
                [_, _, Dim::Free] => None,
                dims => {
                    return Err(ExportError::Layout(format!(
                        "logits of {} dimensions",
                        dims.len()
                    )));
                }
            },
        };
        for port in &signature.inputs {
            if !KNOWN.contains(&port.name.as_str()) && !port.name.starts_with(PAST) {
                return Err(ExportError::Layout(format!(
                    "the input {:?}, which is not fed here",
                    port.name
                )));
            }
        }
        let bad_rank = [&layout.attention_mask, &layout.position_ids]
            .into_iter()
            .flatten()
            .any(|whole| whole.rank != 2);
        if layout.input_ids.rank != 2 || bad_rank {
            return Err(ExportError::Layout(
                "tokens, masks or positions that are not rows of a batch".into(),
            ));
        }
        Ok(layout)
    }

    /// Whether an input of the cache belongs to an encoder.
    pub fn is_cross(&self) -> bool {
        self.encoder_hidden_states || self.cache.iter().any(|tensor| tensor.cross)
    }
}

const PAST: &str = "past_key_values.";
const KNOWN: [&str; 7] = [
    "input_ids",
    "attention_mask",
    "position_ids",
    "use_cache_branch",
    "num_logits_to_keep",
    "encoder_hidden_states",
    "encoder_attention_mask",
];

impl Whole {
    fn of(port: &Port) -> Result<Self, ExportError> {
        let element = Element::of(port)?;
        if !matches!(element, Element::Int32 | Element::Int64) || port.dims.len() > 2 {
            return Err(ExportError::Layout(format!(
                "{} of {element:?} in {} dimensions",
                port.name,
                port.dims.len()
            )));
        }
        Ok(Self {
            element,
            rank: port.dims.len(),
        })
    }
}

impl CacheTensor {
    fn of(port: &Port, signature: &Signature, sizes: Sizes) -> Result<Self, ExportError> {
        let refuse = |problem: &str| ExportError::Layout(format!("{}, {problem}", port.name));
        let rest = port.name.strip_prefix(PAST).unwrap_or_default();
        let mut parts = rest.split('.');
        let layer = parts.next().and_then(|layer| layer.parse::<u32>().ok());
        let (owner, kind) = match (parts.next(), parts.next(), parts.next()) {
            (Some(kind), None, None) => (None, kind),
            (Some(owner @ ("decoder" | "encoder")), Some(kind), None) => (Some(owner), kind),
            _ => return Err(refuse("a name that is not understood")),
        };
        if layer.is_none() || !matches!(kind, "key" | "value") {
            return Err(refuse("a name that is not understood"));
        }
        let cross = owner == Some("encoder");
        let present = format!("present.{rest}");
        if !cross && signature.output(&present).is_none() {
            return Err(refuse("which nothing comes out for"));
        }
        let size = |dim: &Dim, other: Option<usize>, what: &str| match dim {
            Dim::Fixed(size) => checked(*size, &port.name),
            Dim::Free => other.ok_or_else(|| refuse(&format!("whose {what} is nowhere said"))),
        };
        let heads = |dim| size(dim, sizes.kv_heads, "number of heads");
        let length = |dim| size(dim, sizes.head_dim, "length of a head");
        let element = match Element::of(port)? {
            element @ (Element::Float | Element::Half) => element,
            other => return Err(refuse(&format!("of {other:?}"))),
        };
        let (dims, sequence) = match (port.dims.as_slice(), kind) {
            ([batch, head, _, dim], _) => {
                if !matches!(batch, Dim::Free | Dim::Fixed(1)) {
                    return Err(refuse("which wants more than one row"));
                }
                (vec![1, heads(head)?, 0, length(dim)?], 2)
            }
            // BLOOM before it had the others' cache: rows and heads in one dimension, and
            // its keys transposed.
            ([head, dim, _], "key") => (vec![heads(head)?, length(dim)?, 0], 2),
            ([head, _, dim], "value") => (vec![heads(head)?, 0, length(dim)?], 1),
            _ => return Err(refuse("of a shape that is not understood")),
        };
        Ok(Self {
            past: port.name.clone(),
            present,
            element,
            dims,
            sequence,
            cross,
        })
    }

    /// The shape for that many tokens.
    pub fn shape(&self, tokens: usize) -> Vec<i64> {
        let size = |(at, &size)| if at == self.sequence { tokens } else { size };
        self.dims
            .iter()
            .enumerate()
            .map(size)
            .map(|size| size as i64)
            .collect()
    }
}

fn checked(size: u64, name: &str) -> Result<usize, ExportError> {
    usize::try_from(size)
        .ok()
        .filter(|_| (1..=MAX_SIZE).contains(&size))
        .ok_or_else(|| ExportError::Layout(format!("{name} with a dimension of {size}")))
}
