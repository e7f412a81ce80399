//! The operators of a graph that the house computes itself (`worker/onnx_text/operators`):
//! their names, and those of their attributes.

use super::Activation;
use crate::models::peft::Target;

/// The domain they stand in.
pub const DOMAIN: &str = "parlour";

/// `weight` bytes and token ids to the tokens' embeddings, `[T]` → `[T, outputs]`.
pub const EMBED: &str = "Embed";
/// Rows times packed weights: `[T, inputs]` → `[T, outputs]`.
pub const LINEAR: &str = "Linear";
/// Queries, keys and values of all tokens to what each attends to.
pub const ATTEND: &str = "Attend";
/// What LoRA adapters add to a layer that another operator computed.
pub const ADAPT: &str = "Adapt";
/// Rows to bytes around 128 and one scale per row.
pub const QUANTIZE: &str = "QuantizeRows";
/// Sums of products of bytes to numbers, by the scales of rows and columns.
pub const RESCALE: &str = "Rescale";

/// Attributes of the operators, integers but for the layout.
pub mod attribute {
    pub const INPUTS: &str = "inputs";
    pub const OUTPUTS: &str = "outputs";
    /// How the weights are packed: the name of a [`super::super::packed::Layout`].
    pub const LAYOUT: &str = "layout";
    /// The decoder block, from 0; absent where no adapter can speak.
    pub const LAYER: &str = "layer";
    /// [`super::Site::code`].
    pub const SITE: &str = "site";
    /// Not 0: the input is a gate and what it lets through, side by side.
    pub const GATED: &str = "gated";
    /// What the gate goes through: [`super::activation_code`].
    pub const ACTIVATION: &str = "activation";
}

/// How a graph names an activation.
pub fn activation_code(activation: Activation) -> i64 {
    match activation {
        Activation::Silu => 0,
        Activation::GeluTanh => 1,
    }
}

/// What [`activation_code`] gave.
pub fn activation_from_code(code: i64) -> Option<Activation> {
    [Activation::Silu, Activation::GeluTanh]
        .into_iter()
        .find(|activation| activation_code(*activation) == code)
}

/// The four linear layers of a block as the graph computes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    QueryKeyValue,
    AttentionOutput,
    GateUp,
    Down,
}

impl Site {
    const ALL: [Self; 4] = [
        Self::QueryKeyValue,
        Self::AttentionOutput,
        Self::GateUp,
        Self::Down,
    ];

    /// How a graph names it.
    pub fn code(self) -> i64 {
        self as i64
    }

    /// What [`Self::code`] gave.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|site| site.code() == code)
    }

    /// The layers of the model that stand side by side in its outputs.
    pub fn targets(self) -> &'static [Target] {
        match self {
            Self::QueryKeyValue => &[Target::Query, Target::Key, Target::Value],
            Self::AttentionOutput => &[Target::Output],
            Self::GateUp => &[Target::Gate, Target::Up],
            Self::Down => &[Target::Down],
        }
    }
}
