//! Keeps an output to a JSON schema, token by token, by llguidance.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};
use toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};

use super::engine::Vocabulary;
use crate::wire::worker::Constraint;

/// The schema cannot be used, or the output has left it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConstraintError(String);

/// Compiles constraints for one vocabulary. The trie of its tokens is built when the first
/// constraint comes, once.
pub(crate) struct Grammars {
    vocabulary: Arc<dyn Vocabulary>,
    factory: OnceLock<Result<ParserFactory, ConstraintError>>,
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grammars")
    }
}

impl Grammars {
    pub(crate) fn new(vocabulary: Arc<dyn Vocabulary>) -> Self {
        Self {
            vocabulary,
            factory: OnceLock::new(),
        }
    }

    fn factory(&self) -> Result<&ParserFactory, ConstraintError> {
        let made = self.factory.get_or_init(|| {
            let mut factory =
                ParserFactory::new_simple(&trie(self.vocabulary.as_ref())).map_err(error)?;
            factory.quiet();
            Ok(factory)
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// Builds what all constraints share, which takes up to a second, before the first one
    /// has to wait for it.
    pub(crate) fn warm_up(&self) {
        if let Err(error) = self.factory() {
            tracing::warn!(%error, "this vocabulary allows no constraints");
        }
    }

    /// Compiles a constraint. Takes milliseconds, more for a large schema.
    ///
    /// # Errors
    /// When the schema is invalid or asks for what cannot be enforced.
    pub(crate) fn compile(&self, constraint: &Constraint) -> Result<Mask, ConstraintError> {
        let grammar = match constraint {
            Constraint::JsonSchema(schema) => json(schema)?,
            Constraint::Choice(texts) => {
                let escaped: Vec<String> = texts.iter().map(|text| escaped(text)).collect();
                TopLevelGrammar::from_regex(&escaped.join("|"))
            }
            Constraint::Regex(regex) => TopLevelGrammar::from_regex(regex),
            Constraint::Grammar(lark) => TopLevelGrammar::from_lark(lark.clone()),
        };
        let parser = self.factory()?.create_parser(grammar);
        let matcher = Matcher::new(parser);
        if let Some(problem) = matcher.get_error() {
            return Err(ConstraintError(problem));
        }
        Ok(Mask {
            matcher,
            end: self.vocabulary.end(),
        })
    }
}

fn json(schema: &serde_json::Value) -> Result<TopLevelGrammar, ConstraintError> {
    let mut schema = schema.clone();
    let Some(object) = schema.as_object_mut() else {
        return Err(ConstraintError("the JSON schema is not an object".into()));
    };
    // Free white space lets a small model write blanks for ever.
    object
        .entry("x-guidance")
        .or_insert_with(|| serde_json::json!({ "whitespace_flexible": false }));
    Ok(TopLevelGrammar::from_json_schema(schema))
}

/// A regular expression for exactly this text.
fn escaped(text: &str) -> String {
    let mut regex = String::new();
    for character in text.chars() {
        if character.is_ascii_punctuation() {
            regex.push('\\');
        }
        regex.push(character);
    }
    regex
}

fn error(error: impl fmt::Display) -> ConstraintError {
    ConstraintError(error.to_string())
}

fn trie(vocabulary: &dyn Vocabulary) -> TokEnv {
    let size = u32::try_from(vocabulary.size()).expect("token ids are u32");
    let words: Vec<Vec<u8>> = (0..size)
        .map(|token| match vocabulary.bytes(token) {
            // toktrie knows special tokens by a first byte that no text contains.
            [] => {
                let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
                word.extend(format!("<|{token}|>").into_bytes());
                word
            }
            bytes => bytes.to_vec(),
        })
        .collect();
    let info = TokRxInfo::new(size, vocabulary.end());
    Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)))
}

/// Which tokens may come next in one output.
pub(crate) struct Mask {
    matcher: Matcher,
    end: u32,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    /// The tokens that may come now; the end token among them once the output may end.
    pub(crate) fn allowed(&mut self) -> Result<SimpleVob, ConstraintError> {
        self.matcher.compute_mask_or_eos().map_err(error)
    }

    /// Goes on by one token that was allowed; says whether the output is complete.
    pub(crate) fn accept(&mut self, token: u32) -> Result<bool, ConstraintError> {
        if token == self.end {
            return Ok(true);
        }
        self.matcher.consume_token(token).map_err(error)?;
        Ok(self.matcher.is_stopped())
    }
}
