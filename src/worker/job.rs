//! PURE: what a request becomes before it may wait: checked, in tokens, its grammar compiled.

use std::{collections::HashSet, fmt, sync::Arc};

use super::{
    admission::fits,
    checks::{check_logprobs, check_sampling},
    constraint::Grammars,
    engine::{EngineInfo, Vocabulary, Want},
    scoring::Scoring,
    window::{self, Window},
    writing::Writing,
};
use crate::{
    models::peft::Adapter,
    wire::worker::{Generate, Overflow, Prompt, Refusal, Score, Terms, Weigh},
};

/// Finds an adapter by its name; may read files.
pub(crate) type OpenAdapter = Box<dyn Fn(&str) -> Result<Arc<Adapter>, Refusal> + Send + Sync>;

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

impl Work {
    /// Which logits a chunk gives that ends a prompt or lies behind its `start`.
    pub(crate) fn want(&self) -> Want {
        match self {
            Self::Generate(_) | Self::Weigh { .. } => Want::Last,
            Self::Score { .. } => Want::All,
        }
    }
}

/// A request that may wait for a slot.
#[derive(Debug)]
pub(crate) struct Job {
    /// What is fed before anything is generated; at least one token.
    pub(crate) tokens: Vec<u32>,
    /// First position whose logits matter.
    pub(crate) start: usize,
    pub(crate) work: Work,
    /// On whose account it waits; empty for the connection's own.
    pub(crate) room: String,
    /// Who speaks; none is the model as it is.
    pub(crate) adapter: Option<Arc<Adapter>>,
    /// Messages of the chat that were left out.
    pub(crate) dropped: u32,
}

impl Job {
    /// The beginning of the prompt that may be borrowed from somebody who computed the same.
    /// What lies behind it has to be computed for its logits.
    pub(crate) fn borrowable(&self) -> &[u32] {
        &self.tokens[..self.start.min(self.tokens.len())]
    }

    /// Id of the adapter that speaks.
    pub(crate) fn adapter_id(&self) -> Option<u64> {
        self.adapter.as_ref().map(|adapter| adapter.id)
    }
}

/// Turns requests into jobs for one model.
pub(crate) struct Preparer {
    model: String,
    context: usize,
    adapter_places: usize,
    vocabulary: Arc<dyn Vocabulary>,
    grammars: Grammars,
    adapters: Option<OpenAdapter>,
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
            adapter_places: info.adapter_places,
            grammars: Grammars::new(vocabulary.clone()),
            vocabulary,
            adapters: None,
        }
    }

    /// Requests may ask for these adapters.
    pub(crate) fn with_adapters(mut self, open: OpenAdapter) -> Self {
        self.adapters = Some(open);
        self
    }

    /// Does beforehand what the first request would have to wait for.
    pub(crate) fn warm_up(&self) {
        self.grammars.warm_up();
    }

    pub(crate) fn generate(&self, request: &Generate) -> Result<Job, Refusal> {
        self.check_model(&request.model)?;
        check_sampling(&request.sampling, self.vocabulary.size()).map_err(malformed)?;
        check_logprobs(request.logprobs).map_err(malformed)?;
        let adapter = self.adapter(&request.terms)?;
        let reserve = (request.sampling.max_tokens as usize).min(self.context / 4);
        let Window { tokens, dropped } = self.encode(&request.prompt, &request.terms, reserve)?;
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
            room: request.terms.room.clone(),
            adapter,
            dropped: count(dropped),
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
        let adapter = self.adapter(&request.terms)?;
        let Window {
            mut tokens,
            dropped,
        } = self.encode(&request.prompt, &request.terms, shared + 1)?;
        tokens.extend(spelt.iter().take(1).flat_map(|spelt| &spelt[..shared]));
        fits(tokens.len(), 1, self.context)?;
        Ok(Job {
            start: tokens.len() - 1,
            tokens,
            work: Work::Weigh { options },
            room: request.terms.room.clone(),
            adapter,
            dropped: count(dropped),
        })
    }

    pub(crate) fn score(&self, request: &Score) -> Result<Job, Refusal> {
        self.check_model(&request.model)?;
        let adapter = self.adapter(&request.terms)?;
        let text = self.vocabulary.encode_text(&request.text);
        let (_, fed) = text
            .split_last()
            .ok_or_else(|| malformed("the text is empty"))?;
        let Window {
            mut tokens,
            dropped,
        } = self.encode(&request.prompt, &request.terms, text.len())?;
        fits(tokens.len(), text.len(), self.context)?;
        let start = tokens.len() - 1;
        // Nothing is asked about what follows the last token.
        tokens.extend_from_slice(fed);
        Ok(Job {
            tokens,
            start,
            work: Work::Score(Scoring::new(text)),
            room: request.terms.room.clone(),
            adapter,
            dropped: count(dropped),
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

    /// The adapter that a request asks for.
    pub(crate) fn adapter(&self, terms: &Terms) -> Result<Option<Arc<Adapter>>, Refusal> {
        let Some(adapter) = &terms.adapter else {
            return Ok(None);
        };
        match &self.adapters {
            Some(open) => open(adapter).map(Some),
            None if self.adapter_places > 0 => Err(Refusal::UnknownAdapter {
                adapter: adapter.clone(),
            }),
            None => Err(Refusal::BadAdapter {
                adapter: adapter.clone(),
                problem: "this model's engine takes no adapters".into(),
            }),
        }
    }

    /// Tokens of a prompt. A chat that leaves fewer than `reserve` tokens of the context is
    /// cut where its terms allow that.
    fn encode(&self, prompt: &Prompt, terms: &Terms, reserve: usize) -> Result<Window, Refusal> {
        let window = match (prompt, terms.overflow) {
            (Prompt::Chat { messages, prefill }, Overflow::Slide) => window::slide(
                messages,
                self.context.saturating_sub(reserve),
                |text| self.vocabulary.encode_text(text).len(),
                |messages| self.vocabulary.encode_chat(messages, prefill),
            ),
            (Prompt::Chat { messages, prefill }, Overflow::Refuse) => self
                .vocabulary
                .encode_chat(messages, prefill)
                .map(Window::whole),
            (Prompt::Text(text), _) => {
                let begin = self.vocabulary.begin();
                let text = self.vocabulary.encode_text(text);
                Ok(Window::whole(begin.into_iter().chain(text).collect()))
            }
        }
        .map_err(|error| malformed(error.to_string()))?;
        if window.tokens.is_empty() {
            return Err(malformed("the prompt is empty"));
        }
        Ok(window)
    }
}

fn count(messages: usize) -> u32 {
    u32::try_from(messages).unwrap_or(u32::MAX)
}
