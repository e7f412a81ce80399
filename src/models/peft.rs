//! LoRA adapters in PEFT's format.

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
