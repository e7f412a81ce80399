//! The server's side of the process border: text comes from here, whoever computes it.

pub mod client;
pub mod launcher;
pub mod remote;

use crate::wire::worker::{Finish, Refusal, Usage};

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
