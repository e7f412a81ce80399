//! PURE: one request in one slot.

use super::{
    admission::Owner,
    batch::{CHUNK, Outgoing, SlotCopy},
    engine::{Run, Vocabulary, Want},
    job::{Job, Work},
    softmax::log_softmax,
    writing::Portion,
};
use crate::wire::worker::{FromWorker, Usage};

/// What becomes of a row after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Prefills,
    Decodes,
    Ended { sampled: bool },
}

impl Turn {
    /// Whether a token was drawn.
    pub(crate) fn sampled(self) -> bool {
        matches!(self, Self::Decodes | Self::Ended { sampled: true })
    }
}

/// One request in one slot.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) owner: Owner,
    pub(crate) slot: usize,
    /// Tokens that the slot holds.
    past: usize,
    /// Drawn and not fed yet.
    next: Option<u32>,
    job: Job,
}

impl Row {
    /// A request whose slot holds the first `past` tokens of its prompt already.
    pub(crate) fn new(owner: Owner, slot: usize, job: Job, past: usize) -> Self {
        Self {
            owner,
            slot,
            past,
            next: None,
            job,
        }
    }

    /// Tokens of the prompt that are still to be fed.
    pub(crate) fn left(&self) -> usize {
        self.job.tokens.len().saturating_sub(self.past)
    }

    /// The beginning of the prompt that others may borrow.
    pub(crate) fn lendable(&self) -> &[u32] {
        self.job.lendable()
    }

    pub(crate) fn usage(&self) -> Usage {
        match &self.job.work {
            Work::Generate(writing) => writing.usage(),
            Work::Weigh { .. } | Work::Score(_) => Usage {
                prompt_tokens: u32::try_from(self.job.tokens.len()).unwrap_or(u32::MAX),
                output_tokens: 0,
                ..Usage::default()
            },
        }
    }

    pub(crate) fn move_to(&mut self, slot: usize) -> Option<SlotCopy> {
        let from = std::mem::replace(&mut self.slot, slot);
        (self.past > 0).then_some(SlotCopy {
            from,
            to: slot,
            length: self.past,
        })
    }

    /// What the engine is to compute for this row now.
    pub(crate) fn run(&self) -> Run {
        let (tokens, want) = match self.next {
            Some(token) => (vec![token], Want::Last),
            None => {
                let Job {
                    tokens,
                    start,
                    work,
                } = &self.job;
                let mut end = tokens.len().min(self.past + CHUNK);
                // What lies before `start` and what lies behind it want different logits.
                if work.want() == Want::All && self.past < *start {
                    end = end.min(*start);
                }
                let want = if end > *start {
                    work.want()
                } else {
                    Want::None
                };
                (tokens[self.past..end].to_vec(), want)
            }
        };
        Run {
            slot: self.slot,
            past: self.past,
            tokens,
            want,
            adapter: None,
        }
    }

    /// Takes the logits of a run; `size` is how many of a row are tokens.
    pub(crate) fn absorb(
        &mut self,
        run: &Run,
        logits: &[f32],
        size: usize,
        vocabulary: &dyn Vocabulary,
        out: &mut Vec<Outgoing>,
    ) -> Turn {
        self.past += run.tokens.len();
        let id = self.owner.request;
        if let (Work::Score(scoring), Want::All) = (&mut self.job.work, run.want) {
            scoring.absorb(logits, logits.len() / run.tokens.len(), size);
        }
        if self.left() > 0 {
            return Turn::Prefills;
        }
        let owner = self.owner;
        match &mut self.job.work {
            Work::Generate(writing) => match writing.next(logits) {
                Err(message) => {
                    out.push(owner.says(FromWorker::Failed { id, message }));
                    Turn::Ended { sampled: false }
                }
                Ok(written) => {
                    if let Some(Portion {
                        text,
                        tokens,
                        logprobs,
                    }) = written.piece
                    {
                        out.push(owner.says(FromWorker::Piece {
                            id,
                            text,
                            tokens,
                            logprobs,
                        }));
                    }
                    match written.finish {
                        None => {
                            self.next = Some(written.token);
                            Turn::Decodes
                        }
                        Some(finish) => {
                            let usage = writing.usage();
                            out.push(owner.says(FromWorker::Done { id, finish, usage }));
                            Turn::Ended { sampled: true }
                        }
                    }
                }
            },
            Work::Weigh { options } => {
                let picked: Vec<f32> = options
                    .iter()
                    .map(|&token| logits.get(token as usize).copied().unwrap_or(f32::NAN))
                    .collect();
                // Over the options alone: the rest of the vocabulary cancels out.
                let log_probs: Vec<f32> =
                    log_softmax(&picked).into_iter().map(|p| p as f32).collect();
                out.push(owner.says(if log_probs.iter().all(|p| p.is_finite()) {
                    FromWorker::Weighed { id, log_probs }
                } else {
                    let message = "the model gives an option no probability at all".into();
                    FromWorker::Failed { id, message }
                }));
                Turn::Ended { sampled: false }
            }
            Work::Score(scoring) => {
                out.push(owner.says(match scoring.finish(vocabulary) {
                    Ok(score) => FromWorker::Scored { id, score },
                    Err(message) => FromWorker::Failed { id, message },
                }));
                Turn::Ended { sampled: false }
            }
        }
    }
}
