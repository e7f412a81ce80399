//! What the machines are told, and what may leave their mouths: prompts, the guard on
//! replies, the pace of typing. No clock, no randomness, no I/O: whoever calls brings
//! the seed and the draws.

pub mod eliza;
pub mod guard;
pub mod judge;
pub mod profile;
pub mod spirit;
pub mod typing;
pub mod witness;

mod bank;
mod words;

use crate::{
    play::imitation::{Round, Seat},
    wire::worker::{Message, Prompt, Role},
};

/// A prompt, and how far the text that it asks for may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub messages: Vec<Message>,
    /// The reply starts with this; the model's output continues it.
    pub prefill: String,
    /// The output ends before the first of these.
    pub stop: Vec<String>,
    pub max_tokens: u32,
}

impl Draft {
    fn new(messages: Vec<Message>, max_tokens: u32) -> Self {
        Self {
            messages,
            prefill: String::new(),
            stop: Vec::new(),
            max_tokens,
        }
    }

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

fn system(content: impl Into<String>) -> Message {
    message(Role::System, content)
}

fn user(content: impl Into<String>) -> Message {
    message(Role::User, content)
}

fn assistant(content: impl Into<String>) -> Message {
    message(Role::Assistant, content)
}

fn message(role: Role, content: impl Into<String>) -> Message {
    Message {
        role,
        content: content.into(),
    }
}

/// What somebody said, fit to stand inside a prompt: one line of at most `limit` characters
/// that opens no turn of a chat template and closes no quotation.
fn quoted(text: &str, limit: usize) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '"' | '\u{201C}' | '\u{201D}' => '\'',
            '|' => '/',
            c if c.is_control() => ' ',
            c => c,
        })
        .take(limit)
        .collect();
    plain.trim().to_owned()
}

/// A draw from `0..below` that depends on the seed and on what it is for, and on nothing
/// else: the finaliser of SplitMix64 (Steele et al., "Fast splittable pseudorandom number
/// generators", 2014).
fn pick(seed: u32, purpose: u32, below: usize) -> usize {
    let mut z = (u64::from(purpose) << 32 | u64::from(seed)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let below = u64::try_from(below)
        .expect("a list's length fits in 64 bits")
        .max(1);
    usize::try_from(z % below).expect("less than a list's length")
}
