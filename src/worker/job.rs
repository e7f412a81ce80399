//! PURE: what a request becomes before it may wait: checked, in tokens, its grammar compiled.

use std::{collections::HashSet, fmt, sync::Arc};

use super::{
    admission::fits,
    checks::{check_logprobs, check_sampling},
    constraint::Grammars,
    engine::{EngineInfo, Vocabulary},
    scoring::Scoring,
    writing::Writing,
};
use crate::wire::worker::{Generate, Prompt, Refusal, Score, Weigh};

/// What a request wants of the logits.
#[derive(Debug)]
pub(crate) enum Work {
    Generate(Box<Writing>),
    Weigh {
        /// First token of each option.
        options: Vec<u32>,
    },
    Score(Scoring),
}

/// A request that may wait for a slot.
#[derive(Debug)]
pub(crate) struct Job {
    /// What is fed before anything is generated; at least one token.
    pub(crate) tokens: Vec<u32>,
    /// First position whose logits matter.
    pub(crate) start: usize,
    pub(crate) work: Work,
}

impl Job {
    /// The beginning of the prompt whose keys and values other requests may share. What
    /// lies behind it has to be computed for its logits.
    pub(crate) fn lendable(&self) -> &[u32] {
        &self.tokens[..self.start.min(self.tokens.len())]
    }
}

/// Turns requests into jobs for one model.
pub(crate) struct Preparer {
    model: String,
    context: usize,
    vocabulary: Arc<dyn Vocabulary>,
    grammars: Grammars,
}

impl fmt::Debug for Preparer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preparer({})", self.model)
    }
}

/// Tokens that every one of `texts` starts with.
fn shared_start(texts: &[Vec<u32>]) -> usize {
    let Some((first, others)) = texts.split_first() else {
        return 0;
    };
    first
        .iter()
        .enumerate()
        .take_while(|(at, token)| others.iter().all(|text| text.get(*at) == Some(token)))
        .count()
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::Malformed {
        message: message.into(),
    }
}

impl Preparer {
    pub(crate) fn new(model: &str, info: &EngineInfo, vocabulary: Arc<dyn Vocabulary>) -> Self {
        Self {
            model: model.to_owned(),
            context: info.context,
            grammars: Grammars::new(vocabulary.clone()),
            vocabulary,
        }
    }

    /// Does beforehand what the first request would have to wait for.
    pub(crate) fn warm_up(&self) {
        self.grammars.warm_up();
    }

    pub(crate) fn generate(&self, request: &Generate) -> Result<Job, Refusal> {
        self.check_model(&request.model)?;
        check_sampling(&request.sampling, self.vocabulary.size()).map_err(malformed)?;
        check_logprobs(request.logprobs).map_err(malformed)?;
        let tokens = self.encode(&request.prompt)?;
        fits(tokens.len(), 1, self.context)?;
        let mask = request
            .constraint
            .as_ref()
            .map(|constraint| self.grammars.compile(constraint))
            .transpose()
            .map_err(|error| malformed(format!("the constraint cannot be used: {error}")))?;
        let room = self.context - tokens.len();
        let writing = Writing::new(
            &request.sampling,
            mask,
            request.logprobs,
            &tokens,
            room,
            self.vocabulary.clone(),
        );
        Ok(Job {
            start: tokens.len() - 1,
            tokens,
            work: Work::Generate(Box::new(writing)),
        })
    }

    pub(crate) fn weigh(&self, request: &Weigh) -> Result<Job, Refusal> {
        self.check_model(&request.model)?;
        if request.options.len() < 2 {
            return Err(malformed("fewer than two options"));
        }
        let spelt: Vec<Vec<u32>> = request
            .options
            .iter()
            .map(|option| self.vocabulary.encode_text(option))
            .collect();
        // What all of them start with (a vocabulary of bytes has a token for the space alone)
        // says nothing about any of them: it belongs to the prompt.
        let shared = shared_start(&spelt);
        let mut options = Vec::with_capacity(spelt.len());
        let mut seen = HashSet::new();
        for (option, spelt) in request.options.iter().zip(&spelt) {
            let first = *spelt
                .get(shared)
                .ok_or_else(|| malformed("an option is empty, or another one starts with it"))?;
            if !seen.insert(first) {
                return Err(malformed(format!(
                    "option {option:?} starts with the same token as one before it"
                )));
            }
            options.push(first);
        }
        let mut tokens = self.encode(&request.prompt)?;
        tokens.extend(spelt.iter().take(1).flat_map(|spelt| &spelt[..shared]));
        fits(tokens.len(), 1, self.context)?;
        Ok(Job {
            start: tokens.len() - 1,
            tokens,
            work: Work::Weigh { options },
        })
    }

    pub(crate) fn score(&self, request: &Score) -> Result<Job, Refusal> {
        self.check_model(&request.model)?;
        let mut tokens = self.encode(&request.prompt)?;
        let text = self.vocabulary.encode_text(&request.text);
        let (_, fed) = text
            .split_last()
            .ok_or_else(|| malformed("the text is empty"))?;
        fits(tokens.len(), text.len(), self.context)?;
        let start = tokens.len() - 1;
        // Nothing is asked about what follows the last token.
        tokens.extend_from_slice(fed);
        Ok(Job {
            tokens,
            start,
            work: Work::Score(Scoring::new(text)),
        })
    }

    fn check_model(&self, model: &str) -> Result<(), Refusal> {
        if model == self.model {
            Ok(())
        } else {
            Err(Refusal::UnknownModel {
                model: model.to_owned(),
            })
        }
    }

    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, Refusal> {
        let tokens = match prompt {
            Prompt::Chat { messages, prefill } => self
                .vocabulary
                .encode_chat(messages, prefill)
                .map_err(|error| malformed(error.to_string()))?,
            Prompt::Text(text) => {
                let begin = self.vocabulary.begin();
                let text = self.vocabulary.encode_text(text);
                begin.into_iter().chain(text).collect()
            }
        };
        if tokens.is_empty() {
            return Err(malformed("the prompt is empty"));
        }
        Ok(tokens)
    }
}
