//! LoRA adapters in PEFT's format: a folder with `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! An adapter is read for the shape of one model and means exactly what PEFT would make of
//! it; what this house does not compute is refused by the name of the field that asks for
//! it. Rows stand in the order of the original (Hugging Face) weights. That is the order
//! in which our graphs compute too: the import undoes the permutation that GGUF files
//! apply to the rows of a llama's queries and keys, so no row is moved here.

mod config;
mod random;
mod read;
mod write;

use std::sync::atomic::{AtomicU64, Ordering};

pub use self::{
    random::random,
    read::{parse, read},
    write::{to_files, write},
};
use crate::models::import::DecoderShape;

/// File of the parameters.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// File of the weights.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// Highest rank that is read: it bounds what one adapter may take of memory.
pub const MAX_RANK: usize = 128;

/// Whether an adapter may be called so: one plain path component in lower case.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
}

/// Why an adapter cannot be used. Says nothing of where it lies.
#[derive(Debug, thiserror::Error)]
pub enum PeftError {
    #[error("{file} cannot be read: {error}")]
    Io {
        file: &'static str,
        error: std::io::Error,
    },
    #[error("{file} has {bytes} bytes; no adapter of this model has more than {limit}")]
    TooLarge {
        file: &'static str,
        bytes: u64,
        limit: u64,
    },
    #[error("{CONFIG_FILE} is malformed: {0}")]
    Config(serde_json::Error),
    #[error("{CONFIG_FILE}: `{field}` {problem}")]
    Field { field: String, problem: String },
    #[error("{WEIGHTS_FILE} is malformed: {0}")]
    Weights(String),
    #[error("{WEIGHTS_FILE}: {tensor} {problem}")]
    Tensor { tensor: String, problem: String },
    #[error("it does not fit the model: {0}")]
    Shape(String),
}

/// One adapter in memory, checked against the shape of a model.
///
/// `y += up · (down · x)` for each of its parts (Hu et al., "LoRA", 2021); `up` carries
/// the scale α/r already.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// Tells adapters apart, also two that had the same name one after another.
    pub id: u64,
    /// At most one per layer and target.
    pub parts: Vec<Part>,
}

impl Adapter {
    /// An adapter with an id that no other one of this process has.
    pub fn new(parts: Vec<Part>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            parts,
        }
    }

    /// Bytes that its numbers take.
    pub fn bytes(&self) -> usize {
        let numbers = |part: &Part| part.down.len() + part.up.len();
        size_of::<f32>() * self.parts.iter().map(numbers).sum::<usize>()
    }

    /// Whether it can be added to a model of this shape.
    ///
    /// # Errors
    /// Names the first part that does not fit.
    pub fn fits(&self, shape: &AdapterShape) -> Result<(), PeftError> {
        let mut seen = vec![[false; Target::ALL.len()]; shape.layers];
        for part in &self.parts {
            let Size { inputs, outputs } = shape.size(part.target);
            let fits = part.layer < shape.layers
                && (1..=MAX_RANK).contains(&part.rank)
                && part.down.len() == part.rank * inputs
                && part.up.len() == part.rank * outputs;
            let module = part.module();
            if !fits {
                return Err(PeftError::Shape(format!(
                    "{module} of rank {} does not belong to {} layers of {inputs} → {outputs}",
                    part.rank, shape.layers
                )));
            }
            if std::mem::replace(&mut seen[part.layer][part.target as usize], true) {
                return Err(PeftError::Shape(format!("{module} occurs twice")));
            }
        }
        Ok(())
    }

    /// As [`Self::fits`], and whether every number is finite.
    ///
    /// # Errors
    /// Names the first part that is wrong.
    pub fn check(&self, shape: &AdapterShape) -> Result<(), PeftError> {
        self.fits(shape)?;
        for part in &self.parts {
            if !part.down.iter().chain(&part.up).all(|x| x.is_finite()) {
                return Err(PeftError::Shape(format!(
                    "{} holds numbers that are not finite",
                    part.module()
                )));
            }
        }
        Ok(())
    }
}

/// What an adapter adds to one linear layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub layer: usize,
    pub target: Target,
    pub rank: usize,
    /// A, `[rank, inputs]`.
    pub down: Vec<f32>,
    /// B · α/r, `[outputs, rank]`; rows in the model's own order.
    pub up: Vec<f32>,
}

impl Part {
    /// The name of its linear layer in the original model.
    fn module(&self) -> String {
        self.target.module(self.layer)
    }
}

/// The linear layers of a decoder block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

impl Target {
    pub const ALL: [Self; 7] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// The name of the linear layer within a block, as the llama family of models calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Output => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The name of the linear layer in the original model, e.g. `model.layers.3.mlp.up_proj`.
    fn module(self, layer: usize) -> String {
        let within = match self {
            Self::Query | Self::Key | Self::Value | Self::Output => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        };
        format!("model.layers.{layer}.{within}.{}", self.name())
    }
}

/// What an adapter must fit: the sizes of a model's linear layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterShape {
    pub layers: usize,
    /// In the order of [`Target::ALL`].
    pub sizes: [Size; Target::ALL.len()],
}

/// The sizes of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub inputs: usize,
    pub outputs: usize,
}

impl AdapterShape {
    pub fn size(&self, target: Target) -> Size {
        self.sizes[target as usize]
    }

    /// Every linear layer there is, block after block.
    fn modules(&self) -> impl Iterator<Item = (usize, Target)> + use<> {
        (0..self.layers).flat_map(|layer| Target::ALL.map(|target| (layer, target)))
    }
}

impl From<&DecoderShape> for AdapterShape {
    fn from(shape: &DecoderShape) -> Self {
        let queries = shape.heads * shape.head_dim;
        let keys = shape.kv_heads * shape.head_dim;
        let (width, inner) = (shape.width, shape.feed_forward);
        let size = |target| match target {
            Target::Query => (width, queries),
            Target::Key | Target::Value => (width, keys),
            Target::Output => (queries, width),
            Target::Gate | Target::Up => (width, inner),
            Target::Down => (inner, width),
        };
        Self {
            layers: shape.layers,
            sizes: Target::ALL.map(|target| {
                let (inputs, outputs) = size(target);
                Size { inputs, outputs }
            }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
