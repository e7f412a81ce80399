//! The interpreter: texts of one language in another, by Opus-MT's Marian models.
//!
//! A text goes sentence by sentence, as these models were trained; what is written as a
//! sound – `[sighs]` – stays as it is (`parts`). Each sentence is cut into tokens
//! ([`crate::models::translation::Pieces`]), read by the encoder, and written by the decoder
//! (`marian`). Everything blocks: whoever calls owns the thread.

mod marian;
mod parts;

use self::{marian::Marian, parts::Part};
use super::{Interpreter, SpeechError};
use crate::{
    models::FetchedTranslation,
    wire::speech::{Language, SpeechRefusal, Translate},
    worker::engine::EngineError,
};

/// Why a text was not translated.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    #[error("the interpreter cannot compute: {0}")]
    Runtime(#[from] EngineError),
    #[error("the interpreter's model has {0}")]
    Layout(String),
    #[error("the interpreter's model cannot read the text: {0}")]
    Pieces(String),
    #[error("nothing came out of the translation")]
    Nothing,
    #[error("nobody wants to know any more")]
    Cancelled,
}

impl From<InterpreterError> for SpeechError {
    fn from(error: InterpreterError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Translation models, one for each pair.
pub struct Interpreters {
    models: Vec<((Language, Language), Marian)>,
}

impl Interpreters {
    /// Opens what [`crate::models::fetch_translation`] gave, to compute on so many threads.
    /// Of several models for a pair the first is used.
    ///
    /// # Errors
    /// When a model cannot be loaded or its parts do not fit.
    pub fn open(
        files: impl IntoIterator<Item = FetchedTranslation>,
        threads: usize,
    ) -> Result<Self, InterpreterError> {
        let mut models: Vec<((Language, Language), Marian)> = Vec::new();
        for files in files {
            let pair = (Language(files.from.clone()), Language(files.to.clone()));
            if models.iter().all(|(known, _)| *known != pair) {
                models.push((pair, Marian::open(files, threads)?));
            }
        }
        Ok(Self { models })
    }
}

impl Interpreter for Interpreters {
    fn pairs(&self) -> Vec<(Language, Language)> {
        self.models.iter().map(|(pair, _)| pair.clone()).collect()
    }

    fn translate(
        &mut self,
        request: &Translate,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<String, SpeechError> {
        let Translate { text, from, to } = request;
        let wanted = self
            .models
            .iter_mut()
            .find(|((one, other), _)| one == from && other == to);
        let Some((_, model)) = wanted else {
            return Err(SpeechRefusal::NoTranslation {
                from: from.0.clone(),
                to: to.0.clone(),
            }
            .into());
        };
        let mut told = String::new();
        for part in parts::parts(text) {
            let part = match part {
                Part::AsIs(sound) => sound.to_owned(),
                Part::Sentence(sentence) => model.translate(sentence, cancelled)?,
            };
            if !told.is_empty() && !part.is_empty() {
                told.push(' ');
            }
            told.push_str(&part);
        }
        if told.is_empty() && !text.trim().is_empty() {
            return Err(InterpreterError::Nothing.into());
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests;
