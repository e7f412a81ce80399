//! The server's side of the process border: text comes from here, whoever computes it.
//!
//! [`launcher::Launcher`] keeps one local worker process alive, [`client::WorkerClient`]
//! talks to it, [`fleet::FleetClient`] to workers on any machine, [`remote::OpenAi`] to
//! somebody else's server. A [`Backend`] is one of these; the floors above see nothing else.

mod buffer;
pub mod client;
pub mod fleet;
#[cfg(test)]
mod fuzz;
pub mod launcher;
mod link;
pub mod remote;
pub mod speech;
pub(crate) mod sse;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use tokio::sync::watch;

use crate::wire::worker::{
    Constraint, Finish, Generate, Prompt, Refusal, Sampling, Score, Terms, TextScore, TokenLogProb,
    Usage, Weigh,
};
use client::WorkerClient;
use fleet::FleetClient;
use remote::OpenAi;

/// What a running generation gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// What the model thought of the tokens of the pieces that follow, where it was asked
    /// for ([`Ask::logprobs`]).
    LogProbs(Vec<TokenLogProb>),
    Piece(String),
    /// The last item.
    Done {
        finish: Finish,
        usage: Usage,
    },
}

/// Why a text did not come. After an error the stream has ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GenerationError {
    /// The worker died or hung while it had the request, or is not up. Run it again once
    /// [`client::WorkerClient::ready`] says so.
    #[error("the worker is away")]
    WorkerLost,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the worker could not do it: {0}")]
    Failed(String),
    /// The other server cannot be reached or answered badly; may pass.
    #[error("{server} did not answer: {problem}")]
    Remote { server: String, problem: String },
    /// Nobody answered in time; may pass.
    #[error("no answer within {} s: {problem}", waited.as_secs_f32())]
    Late {
        waited: Duration,
        problem: &'static str,
    },
    /// Every worker that had the request was lost with it.
    #[error("given up: its worker was lost in each of {attempts} attempts")]
    GivenUp { attempts: u32 },
    /// This back end cannot do that at all.
    #[error("this back end cannot {0}")]
    Unsupported(&'static str),
}

/// A text on its way: any number of [`Output::Piece`]s, then one [`Output::Done`] or one
/// error, then nothing. Dropping it cancels the request.
pub struct GenerationStream(Pin<Box<dyn Stream<Item = Result<Output, GenerationError>> + Send>>);

impl GenerationStream {
    pub(crate) fn new(
        stream: impl Stream<Item = Result<Output, GenerationError>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(stream))
    }

    pub(crate) fn failed(error: GenerationError) -> Self {
        Self::new(futures_util::stream::iter([Err(error)]))
    }
}

impl Stream for GenerationStream {
    type Item = Result<Output, GenerationError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for GenerationStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GenerationStream")
    }
}

/// All that can be asked of a text.
#[derive(Clone, Debug)]
pub struct Ask {
    pub prompt: Prompt,
    pub sampling: Sampling,
    pub constraint: Option<Constraint>,
    /// How many of the likeliest tokens are told with each token, 20 at most.
    pub logprobs: Option<u8>,
    pub terms: Terms,
}

impl Ask {
    /// This request as the `n`-th of several samples: the first keeps its seed, the others
    /// have theirs from it, by the finaliser of SplitMix64 (Steele et al. 2014).
    fn sample(&self, n: u32) -> Self {
        let mut ask = self.clone();
        if n > 0 {
            let step = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut seed = ask.sampling.seed.wrapping_add(step);
            seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ask.sampling.seed = seed ^ (seed >> 31);
        }
        ask
    }

    /// What the OpenAI protocol has no words for.
    fn beyond_openai(&self) -> Option<&'static str> {
        let Self {
            sampling,
            constraint,
            logprobs,
            terms,
            ..
        } = self;
        match constraint {
            Some(Constraint::Choice(_)) => return Some("keep to a choice"),
            Some(Constraint::Regex(_)) => return Some("keep to a regular expression"),
            Some(Constraint::Grammar(_)) => return Some("keep to a grammar"),
            Some(Constraint::JsonSchema(_)) | None => {}
        }
        [
            // Token numbers are those of a vocabulary that is not ours.
            (!sampling.logit_bias.is_empty(), "bias tokens"),
            (!sampling.banned.is_empty(), "ban phrases"),
            (sampling.dry.is_some(), "use DRY"),
            (logprobs.is_some(), "tell log-probabilities"),
            (terms.adapter.is_some(), "speak through an adapter"),
        ]
        .into_iter()
        .find_map(|(asked, what)| asked.then_some(what))
    }
}

/// Where a seat's text comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The worker that this server runs, and the model that it is asked for.
    Local(WorkerClient, String),
    /// Workers that have joined over Redis.
    Fleet(FleetClient),
    /// Somebody else's server.
    Remote(OpenAi),
}

impl Backend {
    /// Asks for text. Never blocks; what goes wrong comes as the stream's only item.
    pub fn generate(
        &self,
        prompt: Prompt,
        sampling: Sampling,
        constraint: Option<Constraint>,
    ) -> GenerationStream {
        self.ask(Ask {
            prompt,
            sampling,
            constraint,
            logprobs: None,
            terms: Terms::default(),
        })
    }

    /// As [`Self::generate`], with all that can be asked. A remote server that has no words
    /// for something of it is not asked at all: [`GenerationError::Unsupported`].
    pub fn ask(&self, ask: Ask) -> GenerationStream {
        let generate = |model: &str, ask: Ask| Generate {
            model: model.to_owned(),
            prompt: ask.prompt,
            sampling: ask.sampling,
            constraint: ask.constraint,
            logprobs: ask.logprobs,
            terms: ask.terms,
        };
        match self {
            Self::Local(client, model) => client.generate(generate(model, ask)),
            Self::Fleet(fleet) => fleet.generate(generate(fleet.model(), ask)),
            Self::Remote(server) => match ask.beyond_openai() {
                None => server.generate(ask.prompt, ask.sampling, ask.constraint),
                Some(what) => GenerationStream::failed(GenerationError::Unsupported(what)),
            },
        }
    }

    /// Several texts for one prompt: as many requests, which share what was computed of the
    /// prompt. The first has the seed that was asked for, the others have seeds derived
    /// from it, so that the same seed gives the same samples.
    pub fn samples(&self, ask: &Ask, count: u32) -> Vec<GenerationStream> {
        (0..count).map(|n| self.ask(ask.sample(n))).collect()
    }

    /// Natural log of each option's probability to come next, normalised over the options.
    ///
    /// # Errors
    /// [`GenerationError::Unsupported`] where [`Self::can_weigh`] is false.
    pub async fn weigh(
        &self,
        prompt: Prompt,
        options: Vec<String>,
    ) -> Result<Vec<f32>, GenerationError> {
        let request = |model: &str| Weigh {
            model: model.to_owned(),
            prompt,
            options,
            terms: Terms::default(),
        };
        match self {
            Self::Local(client, model) => client.weigh(request(model)).await,
            Self::Fleet(fleet) => fleet.weigh(request(fleet.model())).await,
            Self::Remote(_) => Err(GenerationError::Unsupported("weigh options")),
        }
    }

    /// How likely `text` is as the reply to `prompt`, token by token.
    ///
    /// # Errors
    /// [`GenerationError::Unsupported`] where [`Self::can_weigh`] is false.
    pub async fn score(&self, prompt: Prompt, text: String) -> Result<TextScore, GenerationError> {
        let request = |model: &str| Score {
            model: model.to_owned(),
            prompt,
            text,
            terms: Terms::default(),
        };
        match self {
            Self::Local(client, model) => client.score(request(model)).await,
            Self::Fleet(fleet) => fleet.score(request(fleet.model())).await,
            Self::Remote(_) => Err(GenerationError::Unsupported("score texts")),
        }
    }

    /// Whether [`Self::weigh`] and [`Self::score`] can work here.
    pub fn can_weigh(&self) -> bool {
        matches!(self, Self::Local(..) | Self::Fleet(_))
    }

    /// Whether a request made now has somebody to compute it. Always true for a remote
    /// server: nobody knows before asking.
    pub fn ready(&self) -> watch::Receiver<bool> {
        match self {
            Self::Local(client, _) => client.ready(),
            Self::Fleet(fleet) => fleet.ready(),
            Self::Remote(_) => watch::channel(true).1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ask(seed: u64) -> Ask {
        Ask {
            prompt: Prompt::Text("x".into()),
            sampling: Sampling {
                seed,
                ..Sampling::default()
            },
            constraint: None,
            logprobs: None,
            terms: Terms::default(),
        }
    }

    #[test]
    fn samples_have_seeds_of_their_own_and_always_the_same() {
        let seeds = |seed| (0..100).map(move |n| ask(seed).sample(n).sampling.seed);
        assert_eq!(seeds(7).next(), Some(7));
        assert!(seeds(7).eq(seeds(7)));
        // Seeds beside each other must not share their samples.
        let all: HashSet<u64> = seeds(7).chain(seeds(8)).chain(seeds(0)).collect();
        assert_eq!(all.len(), 300);
    }

    #[test]
    fn what_another_server_cannot_do_is_not_left_out_in_silence() {
        let beyond = |change: fn(&mut Ask)| {
            let mut ask = ask(1);
            change(&mut ask);
            ask.beyond_openai()
        };
        assert_eq!(beyond(|_| {}), None);
        let schema = |ask: &mut Ask| {
            ask.constraint = Some(Constraint::JsonSchema(serde_json::json!({})));
        };
        assert_eq!(beyond(schema), None);
        let all: [fn(&mut Ask); 8] = [
            |ask| ask.constraint = Some(Constraint::Choice(vec![])),
            |ask| ask.constraint = Some(Constraint::Regex(String::new())),
            |ask| ask.constraint = Some(Constraint::Grammar(String::new())),
            |ask| ask.logprobs = Some(0),
            |ask| ask.terms.adapter = Some("x".into()),
            |ask| ask.sampling.banned = vec!["x".into()],
            |ask| ask.sampling.dry = Some(Default::default()),
            |ask| ask.sampling.logit_bias = [(1, 1.0)].into(),
        ];
        let told: HashSet<_> = all.map(beyond).into_iter().collect();
        assert!(!told.contains(&None));
        assert_eq!(told.len(), all.len());
    }
}
