//! PURE: one request in one slot.

use super::{
    admission::Owner,
    batch::Outgoing,
    draft::{self, Trust},
    engine::{Run, Vocabulary, Want},
    job::{Job, Work},
    library::CHUNK,
    pace::{Pace, Size},
    softmax::log_softmax,
};
use crate::wire::worker::{FromWorker, Usage};

/// Most tokens of a run whose logits are all wanted, for they take a row each.
const SCORED: usize = 128;

/// What a step did to a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) ended: bool,
    /// Tokens that were drawn.
    pub(crate) drawn: usize,
    /// Of the tokens that were drafted, those that held.
    pub(crate) held: usize,
}

/// One request in one slot.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) owner: Owner,
    pub(crate) slot: usize,
    /// Place of its adapter in the engine's bank.
    pub(crate) place: Option<usize>,
    /// The prompt, and what was drawn since.
    pub(crate) job: Job,
    /// Tokens that the slot holds of this text.
    past: usize,
    prompt: usize,
    /// Tokens of the prompt that were there when the row got its slot.
    reused: usize,
    /// What may follow; its first `drafted` tokens are computed in the step under way.
    guess: Vec<u32>,
    drafted: usize,
    trust: Trust,
}

impl Row {
    /// A request whose slot holds the first `past` tokens of its prompt already.
    pub(crate) fn new(
        owner: Owner,
        slot: usize,
        place: Option<usize>,
        job: Job,
        past: usize,
    ) -> Self {
        Self {
            owner,
            slot,
            place,
            past,
            prompt: job.tokens.len(),
            reused: past,
            guess: Vec::new(),
            drafted: 0,
            trust: Trust::default(),
            job,
        }
    }

    /// Tokens of the prompt that are still to be fed.
    pub(crate) fn left(&self) -> usize {
        self.prompt.saturating_sub(self.past)
    }

    /// Whether the prompt is read.
    pub(crate) fn decodes(&self) -> bool {
        self.left() == 0
    }

    /// Tokens that the slot holds of this text.
    pub(crate) fn past(&self) -> usize {
        self.past
    }

    pub(crate) fn usage(&self) -> Usage {
        let count = |tokens| u32::try_from(tokens).unwrap_or(u32::MAX);
        let usage = match &self.job.work {
            Work::Generate(writing) => writing.usage(),
            Work::Weigh { .. } | Work::Score(_) => Usage {
                prompt_tokens: count(self.prompt),
                ..Usage::default()
            },
        };
        Usage {
            reused_tokens: count(self.reused),
            dropped_messages: self.job.dropped,
            ..usage
        }
    }

    /// Guesses at what follows the token that is fed next: at most `most` tokens, of which
    /// the step, whose size is known without them, computes as many as are worth it. Gives
    /// how many.
    pub(crate) fn draft(&mut self, most: usize, step: Size, pace: &Pace) -> usize {
        self.forget_guess();
        if let Work::Generate(writing) = &self.job.work {
            // The last token of a text is never fed.
            let most = most.min(writing.left().saturating_sub(1));
            if most > 0 {
                self.guess = draft::guess(&self.job.tokens, most);
                self.drafted = self.trust.worth(self.guess.len(), step, pace);
            }
        }
        self.drafted
    }

    /// The next step computes one token alone.
    pub(crate) fn forget_guess(&mut self) {
        self.drafted = 0;
        self.guess.clear();
    }

    /// What the engine is to compute for a row that decodes.
    pub(crate) fn next_token(&self) -> Run {
        let fed = &self.job.tokens[self.past..];
        let want = if self.drafted == 0 {
            Want::Last
        } else {
            Want::All
        };
        self.run([fed, &self.guess[..self.drafted]].concat(), want)
    }

    /// What the engine is to compute for a prompt: at most `most` tokens where the engine
    /// lets prompts be cut anywhere, else one of the chunks that everybody is cut into.
    pub(crate) fn next_chunk(&self, most: Option<usize>) -> Run {
        let Job {
            tokens,
            start,
            work,
            ..
        } = &self.job;
        let all = work.want() == Want::All;
        let mut most = most.unwrap_or(CHUNK);
        if all && self.past >= *start {
            most = most.min(SCORED);
        }
        let mut end = tokens.len().min(self.past + most);
        // What lies before `start` and what lies behind it want different logits.
        if all && self.past < *start {
            end = end.min(*start);
        }
        let want = if end > *start {
            work.want()
        } else {
            Want::None
        };
        self.run(tokens[self.past..end].to_vec(), want)
    }

    fn run(&self, tokens: Vec<u32>, want: Want) -> Run {
        Run {
            slot: self.slot,
            past: self.past,
            tokens,
            want,
            adapter: self.place,
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
        self.past += run.tokens.len() - self.drafted;
        let id = self.owner.request;
        if let (Work::Score(scoring), Want::All) = (&mut self.job.work, run.want) {
            scoring.absorb(logits, logits.len() / run.tokens.len(), size);
        }
        if self.left() > 0 {
            return Turn::default();
        }
        let owner = self.owner;
        let answer = match &mut self.job.work {
            Work::Generate(_) => return self.write(run, logits, out),
            Work::Weigh { options } => {
                let picked: Vec<f32> = options
                    .iter()
                    .map(|&token| logits.get(token as usize).copied().unwrap_or(f32::NAN))
                    .collect();
                // Over the options alone: the rest of the vocabulary cancels out.
                let log_probs: Vec<f32> =
                    log_softmax(&picked).into_iter().map(|p| p as f32).collect();
                if log_probs.iter().all(|p| p.is_finite()) {
                    FromWorker::Weighed { id, log_probs }
                } else {
                    let message = "the model gives an option no probability at all".into();
                    FromWorker::Failed { id, message }
                }
            }
            Work::Score(scoring) => match scoring.finish(vocabulary) {
                Ok(score) => FromWorker::Scored { id, score },
                Err(message) => FromWorker::Failed { id, message },
            },
        };
        out.push(owner.says(answer));
        Turn {
            ended: true,
            ..Turn::default()
        }
    }

    /// Draws the next token, and one more for each drafted token that is the one drawn.
    fn write(&mut self, run: &Run, logits: &[f32], out: &mut Vec<Outgoing>) -> Turn {
        let Work::Generate(writing) = &mut self.job.work else {
            return Turn::default();
        };
        let id = self.owner.request;
        let rows = 1 + self.drafted;
        let drafts = &run.tokens[run.tokens.len() - self.drafted..];
        let drawn_before = self.job.tokens.len();
        let mut turn = Turn::default();
        let mut text = String::new();
        let (mut tokens, mut logprobs) = (Vec::new(), Vec::new());
        let (mut finished, mut failed) = (None, None);
        for (at, logits) in logits.chunks_exact(logits.len() / rows).enumerate() {
            let written = match writing.next(logits) {
                Ok(written) => written,
                Err(message) => {
                    failed = Some(message);
                    break;
                }
            };
            turn.drawn += 1;
            self.job.tokens.push(written.token);
            if let Some(portion) = written.piece {
                text.push_str(&portion.text);
                tokens.extend(portion.tokens);
                logprobs.extend(portion.logprobs);
            }
            if let Some(finish) = written.finish {
                finished = Some(finish);
                break;
            }
            if drafts.get(at) != Some(&written.token) {
                break;
            }
            turn.held += 1;
        }
        self.past += turn.held;
        let drawn = &self.job.tokens[drawn_before..];
        self.trust.learn(&self.guess, drawn);
        self.forget_guess();
        if !text.is_empty() {
            out.push(self.owner.says(FromWorker::Piece {
                id,
                text,
                tokens,
                logprobs,
            }));
        }
        let end = match (failed, finished) {
            (Some(message), _) => Some(FromWorker::Failed { id, message }),
            (None, Some(finish)) => {
                let usage = self.usage();
                Some(FromWorker::Done { id, finish, usage })
            }
            (None, None) => None,
        };
        turn.ended = end.is_some();
        out.extend(end.map(|end| self.owner.says(end)));
        turn
    }
}
