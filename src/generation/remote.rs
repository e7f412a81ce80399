//! Any server that speaks `POST {url}/chat/completions`.
use super::{GenerationError, GenerationStream};
use crate::{
    config::Secret,
    wire::worker::{Constraint, Prompt, Sampling},
};

/// Somebody else's server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OpenAi {}

impl OpenAi {
    /// `url` is the part before `/chat/completions`.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(url: String, model: String, key: Option<Secret>) -> Result<Self, GenerationError> {
        drop((url, model, key));
        Ok(Self {})
    }

    /// Asks for text.
    pub fn generate(
        &self,
        prompt: Prompt,
        sampling: Sampling,
        constraint: Option<Constraint>,
    ) -> GenerationStream {
        drop((prompt, sampling, constraint));
        GenerationStream::failed(GenerationError::Unsupported("generate yet"))
    }
}
