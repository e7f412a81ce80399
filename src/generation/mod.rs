//! The server's side of the process border: text comes from here, whoever computes it.
//!
//! [`launcher::Launcher`] keeps one local worker process alive, [`client::WorkerClient`]
//! talks to it, [`remote::OpenAi`] talks to somebody else's server. A [`Backend`] is
//! either; the floors above see nothing else.

mod buffer;
pub mod client;
pub mod launcher;
pub mod remote;
pub(crate) mod sse;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::watch;

use crate::wire::worker::{
    Constraint, Finish, Generate, Prompt, Refusal, Sampling, Score, Terms, TextScore, Usage, Weigh,
};
use client::WorkerClient;
use remote::OpenAi;

/// What a running generation gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
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

/// Where a seat's text comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The worker that this server runs, and the model that it is asked for.
    Local(WorkerClient, String),
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
        match self {
            Self::Local(client, model) => client.generate(Generate {
                model: model.clone(),
                prompt,
                sampling,
                constraint,
                logprobs: None,
                terms: Terms::default(),
            }),
            Self::Remote(server) => server.generate(prompt, sampling, constraint),
        }
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
        match self {
            Self::Local(client, model) => {
                let model = model.clone();
                client
                    .weigh(Weigh {
                        model,
                        prompt,
                        options,
                        terms: Terms::default(),
                    })
                    .await
            }
            Self::Remote(_) => Err(GenerationError::Unsupported("weigh options")),
        }
    }

    /// How likely `text` is as the reply to `prompt`, token by token.
    ///
    /// # Errors
    /// [`GenerationError::Unsupported`] where [`Self::can_weigh`] is false.
    pub async fn score(&self, prompt: Prompt, text: String) -> Result<TextScore, GenerationError> {
        match self {
            Self::Local(client, model) => {
                let model = model.clone();
                client
                    .score(Score {
                        model,
                        prompt,
                        text,
                        terms: Terms::default(),
                    })
                    .await
            }
            Self::Remote(_) => Err(GenerationError::Unsupported("score texts")),
        }
    }

    /// Whether [`Self::weigh`] and [`Self::score`] can work here.
    pub fn can_weigh(&self) -> bool {
        matches!(self, Self::Local(..))
    }

    /// Whether a request made now has somebody to compute it. Always true for a remote
    /// server: nobody knows before asking.
    pub fn ready(&self) -> watch::Receiver<bool> {
        match self {
            Self::Local(client, _) => client.ready(),
            Self::Remote(_) => watch::channel(true).1,
        }
    }
}
