//! What the machines are told, and what may leave their mouths: prompts, the guard on
//! replies, the pace of typing. No clock, no randomness, no I/O: whoever calls brings
//! the seed and the draws.

pub mod guard;
pub mod judge;
pub mod typing;
pub mod witness;

use crate::{
    play::imitation::{Round, Seat},
    wire::worker::{Message, Prompt},
};

/// A prompt, and how far the text that it asks for may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub messages: Vec<Message>,
    /// The reply starts with this; the model's output continues it.
    pub prefill: String,
    /// The output ends before the first of these.
    pub stop: Vec<String>,
    pub max_tokens: u32,
}

impl Draft {
    /// As the worker takes it.
    pub fn prompt(&self) -> Prompt {
        Prompt::Chat {
            messages: self.messages.clone(),
            prefill: self.prefill.clone(),
        }
    }
}

/// One round's question and both answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub question: String,
    pub a: String,
    pub b: String,
}

impl Exchange {
    /// A round that both have answered; none before.
    pub fn of(round: &Round) -> Option<Self> {
        Some(Self {
            question: round.question.clone(),
            a: round.answer(Seat::A)?.to_owned(),
            b: round.answer(Seat::B)?.to_owned(),
        })
    }
}
