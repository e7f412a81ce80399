//! The model's tokenizer as the batch sees it.

use crate::{
    models::tokenizer::ChatTokenizer,
    wire::worker::Message,
    worker::engine::{EngineError, Vocabulary},
};

pub(super) struct GgufVocabulary(pub(super) ChatTokenizer);

impl Vocabulary for GgufVocabulary {
    fn size(&self) -> usize {
        self.0.size()
    }

    fn encode_text(&self, text: &str) -> Vec<u32> {
        self.0.encode_text(text)
    }

    fn begin(&self) -> Option<u32> {
        self.0.bos()
    }

    fn encode_chat(&self, messages: &[Message], prefill: &str) -> Result<Vec<u32>, EngineError> {
        self.0
            .encode_chat(messages, prefill)
            .map_err(|error| EngineError(error.to_string()))
    }

    fn bytes(&self, token: u32) -> &[u8] {
        self.0.token_bytes(token)
    }

    fn ends(&self, token: u32) -> bool {
        self.0.is_end(token)
    }

    fn end(&self) -> u32 {
        self.0.end()
    }
}
