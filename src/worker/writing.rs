//! PURE: one text while it is being written: from a row of logits to the next token, the
//! text that may be shown, and whether that was all.

use std::{fmt, sync::Arc};

use super::{constraint::Mask, engine::Vocabulary, sampler::Sampler, text::TextStream};
use crate::wire::worker::{Finish, Sampling, Usage};

/// What one row of logits gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// To be fed next, unless the text is finished.
    pub(crate) token: u32,
    /// Text that is certain now, and the tokens since the last one.
    pub(crate) piece: Option<(String, Vec<u32>)>,
    pub(crate) finish: Option<Finish>,
}

/// One text while it is being written.
pub(crate) struct Writing {
    vocabulary: Arc<dyn Vocabulary>,
    sampler: Sampler,
    mask: Option<Mask>,
    text: TextStream,
    /// Tokens whose text is held back.
    unsent: Vec<u32>,
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
        prompt: &[u32],
        room: usize,
        vocabulary: Arc<dyn Vocabulary>,
    ) -> Self {
        Self {
            vocabulary,
            sampler: Sampler::new(sampling, prompt),
            mask,
            text: TextStream::new(&sampling.stop),
            unsent: Vec::new(),
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
        let token = match &mut self.mask {
            None => self.sampler.draw(logits, |_| {}),
            Some(mask) => {
                let allowed = mask.allowed().map_err(|error| error.to_string())?;
                self.sampler.draw(logits, |logits| {
                    for (token, logit) in (0u32..).zip(logits) {
                        if !allowed.is_allowed(token) {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                })
            }
        }
        .map_err(|error| error.to_string())?;
        self.usage.output_tokens += 1;
        self.left -= 1;
        let complete = match &mut self.mask {
            None => false,
            Some(mask) => mask.accept(token).map_err(|error| error.to_string())?,
        };
        let ended = self.vocabulary.ends(token);
        let mut text = String::new();
        if !ended {
            self.unsent.push(token);
            text = self.text.push(self.vocabulary.bytes(token));
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
        let piece = (!text.is_empty()).then(|| (text, std::mem::take(&mut self.unsent)));
        Ok(Written {
            token,
            piece,
            finish,
        })
    }
}
