//! PURE: one text while it is being written: from a row of logits to the next token, the
//! text that may be shown, and whether that was all.

use std::{fmt, sync::Arc};

use super::{
    banned::Banned,
    constraint::Mask,
    engine::Vocabulary,
    logprobs,
    sampler::{NoToken, Rules, Sampler},
    text::TextStream,
};
use crate::wire::worker::{Finish, Sampling, TokenLogProb, Usage};

/// Text that is certain.
#[derive(Debug, PartialEq)]
pub(crate) struct Portion {
    pub(crate) text: String,
    /// The tokens since the last portion.
    pub(crate) tokens: Vec<u32>,
    /// One for each of `tokens`, where they were asked for.
    pub(crate) logprobs: Vec<TokenLogProb>,
}

/// What one row of logits gave.
#[derive(Debug, PartialEq)]
pub(crate) struct Written {
    /// To be fed next, unless the text is finished.
    pub(crate) token: u32,
    /// What is certain now.
    pub(crate) piece: Option<Portion>,
    pub(crate) finish: Option<Finish>,
}

/// One text while it is being written.
///
/// It knows its own tokens and nothing of the engine: called on one row of logits after the
/// other, [`Self::next`] gives the same tokens whether the rows were computed one by one or,
/// guessed beforehand, together.
pub(crate) struct Writing {
    vocabulary: Arc<dyn Vocabulary>,
    sampler: Sampler,
    mask: Option<Mask>,
    banned: Option<Banned>,
    /// Whether bias or banned phrases may leave nothing of what the constraint allows.
    forbids: bool,
    /// How many of the likeliest tokens are told with each token.
    logprobs: Option<u8>,
    text: TextStream,
    /// Tokens whose text is held back.
    unsent: Vec<u32>,
    /// Theirs, where they are asked for.
    untold: Vec<TokenLogProb>,
    left: usize,
    usage: Usage,
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writing({:?})", self.usage)
    }
}

impl Writing {
    /// `room` is how many tokens the context still holds after the prompt; at least one.
    pub(crate) fn new(
        sampling: &Sampling,
        mask: Option<Mask>,
        logprobs: Option<u8>,
        prompt: &[u32],
        room: usize,
        vocabulary: Arc<dyn Vocabulary>,
    ) -> Self {
        let banned = Banned::new(&sampling.banned);
        let whole = banned
            .as_ref()
            .map(|banned| banned.whole(vocabulary.as_ref()))
            .unwrap_or_default();
        Self {
            sampler: Sampler::new(sampling, whole, prompt, vocabulary.as_ref()),
            vocabulary,
            mask,
            forbids: banned.is_some() || !sampling.logit_bias.is_empty(),
            banned,
            logprobs,
            text: TextStream::new(&sampling.stop),
            unsent: Vec::new(),
            untold: Vec::new(),
            left: room.min(sampling.max_tokens as usize),
            usage: Usage {
                prompt_tokens: u32::try_from(prompt.len()).unwrap_or(u32::MAX),
                output_tokens: 0,
                ..Usage::default()
            },
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Tokens that the constraint leaves no choice about, as the vocabulary spells them: a
    /// guess, for what was drawn may spell them otherwise. No more than may still come.
    pub(crate) fn forced(&mut self) -> Vec<u32> {
        let text = self.mask.as_mut().map(Mask::forced).unwrap_or_default();
        let mut tokens = self.vocabulary.encode_text(&text);
        tokens.truncate(self.left);
        tokens
    }

    /// Tokens that may still be drawn.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Draws the next token.
    ///
    /// # Errors
    /// In words, when no token is possible or the constraint is lost.
    pub(crate) fn next(&mut self, logits: &[f32]) -> Result<Written, String> {
        let logits = &logits[..logits.len().min(self.vocabulary.size())];
        let token = self.draw(logits)?;
        self.usage.output_tokens += 1;
        self.left -= 1;
        let complete = match &mut self.mask {
            None => false,
            Some(mask) => mask.accept(token).map_err(|error| error.to_string())?,
        };
        let ended = self.vocabulary.ends(token);
        let mut text = String::new();
        if !ended {
            let bytes = self.vocabulary.bytes(token);
            self.unsent.push(token);
            if let Some(count) = self.logprobs {
                let vocabulary = self.vocabulary.as_ref();
                self.untold
                    .push(logprobs::of(logits, token, count, vocabulary));
            }
            if let Some(banned) = &mut self.banned {
                banned.push(bytes);
            }
            text = self.text.push(bytes);
        }
        let finish = if ended || complete || self.text.stopped() {
            Some(Finish::Stop)
        } else if self.left == 0 {
            Some(Finish::Length)
        } else {
            None
        };
        if finish.is_some() {
            text.push_str(&self.text.finish());
        }
        let piece = (!text.is_empty()).then(|| Portion {
            text,
            tokens: std::mem::take(&mut self.unsent),
            logprobs: std::mem::take(&mut self.untold),
        });
        Ok(Written {
            token,
            piece,
            finish,
        })
    }

    fn draw(&mut self, logits: &[f32]) -> Result<u32, String> {
        let allowed = match &mut self.mask {
            None => None,
            Some(mask) => Some(mask.allowed().map_err(|error| error.to_string())?),
        };
        let vocabulary = self.vocabulary.as_ref();
        let banned = self.banned.as_ref();
        let rules = Rules {
            allowed: allowed.as_ref().map(|allowed| allowed.as_slice()),
            refuses: &|token| {
                banned.is_some_and(|banned| banned.completes(vocabulary.bytes(token)))
            },
        };
        self.sampler
            .draw(logits, &rules, vocabulary)
            .map_err(|NoToken| {
                match (&self.mask, self.forbids) {
                    (Some(_), true) => {
                        "all that the constraint allows here is banned or impossible"
                    }
                    (Some(_), false) => "all that the constraint allows here is impossible",
                    (None, true) => "all tokens are banned or impossible here",
                    (None, false) => "no token is possible here",
                }
                .to_owned()
            })
    }
}
