//! One request, one answer, and when each part of it came.

use std::time::{Duration, Instant};

/// How many of the likeliest tokens are drawn from, by both sides: llama.cpp's default, and
/// what it is fastest with even where only the likeliest counts.
pub(super) const TOP_K: u32 = 40;

/// Asks for text that goes on from a raw prompt, and for neither more nor less than
/// `tokens` of it: whatever would end it early is banned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    pub prompt: String,
    pub tokens: u32,
    /// 0 takes the likeliest token.
    pub temperature: f32,
    pub seed: u64,
    /// The LoRA adapter that speaks; only our own worker knows them by name.
    pub adapter: Option<String>,
    /// When it is sent, after the first.
    pub after: Duration,
}

impl Ask {
    /// At once, the likeliest tokens.
    pub fn new(prompt: String, tokens: u32) -> Self {
        Self {
            prompt,
            tokens,
            temperature: 0.0,
            seed: 0,
            adapter: None,
            after: Duration::ZERO,
        }
    }
}

/// Text that came in one read from the socket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrival {
    pub at: Instant,
    pub tokens: f64,
}

/// All of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub sent: Instant,
    pub arrivals: Vec<Arrival>,
    pub ended: Instant,
    pub text: String,
    pub prompt_tokens: u32,
    pub output_tokens: u32,
    /// Of the prompt, those that the server had read before.
    pub reused_tokens: u32,
}

impl Answer {
    /// When the first text came; when it ended, if its tokens made no text.
    pub fn first(&self) -> Instant {
        self.arrivals
            .first()
            .map_or(self.ended, |arrival| arrival.at)
    }

    /// When the last text came.
    pub fn last(&self) -> Instant {
        self.arrivals
            .last()
            .map_or(self.ended, |arrival| arrival.at)
    }

    /// What a person waited for the first text.
    pub fn first_token(&self) -> Duration {
        self.first() - self.sent
    }
}
