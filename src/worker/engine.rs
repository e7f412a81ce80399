//! What the batch needs from a text model.

use crate::{
    models::peft::{Adapter, AdapterShape},
    wire::worker::Message,
};

/// What the engine can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Rows of the KV buffer.
    pub slots: usize,
    /// Tokens a row can hold.
    pub context: usize,
    /// Length of a row of logits.
    pub vocabulary: usize,
    /// How the weights are held, e.g. `int8-row`.
    pub precision: String,
    /// Whether a token's logits and state are the same bits however the tokens before it
    /// were cut into runs. Where it does not hold, a run of one token differs from a longer one.
    pub uniform: bool,
    /// Whether runs of one token must sit in slots `0..n` to be computed together.
    pub contiguous: bool,
    /// Whether a slot's first tokens are worth copying: where it does not hold, the state
    /// of a beginning depends on what follows it, and each prompt is computed whole.
    pub lends: bool,
    /// Adapters that the engine's bank holds at once.
    pub adapter_places: usize,
}

/// Which logits a run gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    None,
    /// After the last token: one row.
    Last,
    /// After each token: as many rows as tokens.
    All,
}

/// New tokens for one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub slot: usize,
    /// Tokens that the slot holds already.
    pub past: usize,
    /// At least one.
    pub tokens: Vec<u32>,
    pub want: Want,
    /// Place in the bank of the adapter that speaks; none is the model as it is.
    pub adapter: Option<usize>,
}

/// The engine could not compute. Everything in flight is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine failed: {0}")]
pub struct EngineError(pub String);

/// A text model with a KV buffer of `slots` rows. Blocking: it lives on a thread of its own.
pub trait Engine: Send {
    fn info(&self) -> &EngineInfo;

    fn vocabulary(&self) -> std::sync::Arc<dyn Vocabulary>;

    /// Computes all runs, each of another slot.
    ///
    /// Where [`EngineInfo::contiguous`] holds, runs of one token each must come first and
    /// sit in slots `0..n`, in order; longer or non-contiguous ones are computed one by one.
    ///
    /// A run's logits depend on its own slot alone, bit for bit.
    ///
    /// Gives, per run, the wanted rows of logits one after another (`vocabulary` each).
    ///
    /// # Errors
    /// When the runtime fails; the slots' contents are then undefined.
    fn step(&mut self, runs: &[Run]) -> Result<Vec<Vec<f32>>, EngineError>;

    /// Copies the first `length` tokens' state of slot `from` over slot `to`.
    ///
    /// # Errors
    /// As [`Engine::step`].
    fn copy_slot(&mut self, from: usize, to: usize, length: usize) -> Result<(), EngineError>;

    /// What an adapter must fit; none when the engine takes no adapters.
    fn adapter_shape(&self) -> Option<&AdapterShape> {
        None
    }

    /// Puts an adapter into a place of the bank, in the stead of what was there.
    ///
    /// # Errors
    /// When there is no such place, or the adapter is of another model's shape.
    fn load_adapter(&mut self, place: usize, adapter: &Adapter) -> Result<(), EngineError>;
}

/// Tokens and text.
pub trait Vocabulary: Send + Sync {
    fn size(&self) -> usize;

    /// Tokens of plain text: special tokens' names in it are text like any other.
    fn encode_text(&self, text: &str) -> Vec<u32>;

    /// The token that the model expects before a text that is fed as it stands, if any.
    fn begin(&self) -> Option<u32> {
        None
    }

    /// Tokens of a chat, rendered by the model's template up to where the reply begins,
    /// then `prefill`. Names of special tokens inside `messages` and `prefill` stay text.
    ///
    /// # Errors
    /// When the template refuses these messages.
    fn encode_chat(&self, messages: &[Message], prefill: &str) -> Result<Vec<u32>, EngineError>;

    /// The bytes that a token stands for; may be part of a character. Empty for special tokens.
    fn bytes(&self, token: u32) -> &[u8];

    /// Whether the token ends a text or a turn.
    fn ends(&self, token: u32) -> bool;

    /// The token that ends a turn, for constraints.
    fn end(&self) -> u32;
}
