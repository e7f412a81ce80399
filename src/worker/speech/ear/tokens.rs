//! Whisper's tokens: which ones say what is to be done, and which a text may have.

use std::{collections::BTreeMap, fmt::Display};

use tokenizers::Tokenizer;

use super::EarError;
use crate::{models::EarFiles, wire::speech::Language};

/// From 0.00 s to 30.00 s.
const TIMES: u32 = 1501;

/// A vocabulary, and the tokens that whisper is told what to do by.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    pub(super) start: u32,
    pub(super) transcribe: u32,
    /// That of 0.00 s; the others follow it, every 20 ms up to 30 s.
    pub(super) first_time: u32,
    /// Its probability after `start` is that of silence.
    pub(super) no_speech: u32,
    pub(super) end: u32,
    languages: BTreeMap<Language, u32>,
    /// Of every token, whether no transcript has it.
    suppressed: Vec<bool>,
    /// What no transcript begins with.
    not_first: Vec<u32>,
}

impl Tokens {
    /// Reads the tokenizer of a model that knows so many tokens.
    pub(super) fn open(files: &EarFiles, vocabulary: usize) -> Result<Self, EarError> {
        let wrong = |problem: &dyn Display| {
            EarError::Tokenizer(format!("{}: {problem}", files.tokenizer.display()))
        };
        let tokenizer = Tokenizer::from_file(&files.tokenizer).map_err(|error| wrong(&error))?;
        let find = |text: &str| {
            tokenizer
                .token_to_id(text)
                .filter(|id| (*id as usize) < vocabulary)
        };
        let special = |text: &str| find(text).ok_or_else(|| wrong(&format!("no {text}")));
        let end = special("<|endoftext|>")?;
        let languages = files
            .languages
            .iter()
            .filter_map(|code| Some((Language(code.clone()), find(&format!("<|{code}|>"))?)))
            .collect();
        // What stands between text and times is said to the model, never by the speaker.
        let first_time = special("<|notimestamps|>")? + 1;
        if (vocabulary as u32) < first_time + TIMES {
            return Err(wrong(&"no times"));
        }
        let mut suppressed: Vec<bool> = (0..vocabulary as u32)
            .map(|id| id > end && id < first_time)
            .collect();
        for id in &files.suppressed.always {
            if let Some(slot) = suppressed.get_mut(*id as usize) {
                *slot = *id != end;
            }
        }
        Ok(Self {
            start: special("<|startoftranscript|>")?,
            transcribe: special("<|transcribe|>")?,
            first_time,
            no_speech: find("<|nospeech|>")
                .or_else(|| find("<|nocaptions|>"))
                .ok_or_else(|| wrong(&"no <|nospeech|>"))?,
            end,
            languages,
            suppressed,
            not_first: files.suppressed.at_start.clone(),
            tokenizer,
        })
    }

    /// The languages that it understands.
    pub(super) fn languages(&self) -> impl Iterator<Item = &Language> {
        self.languages.keys()
    }

    /// The token of a language.
    pub(super) fn language(&self, language: &Language) -> Option<u32> {
        self.languages.get(language).copied()
    }

    /// Rules out what a transcript cannot go on with.
    pub(super) fn suppress(&self, logits: &mut [f32], is_first: bool) {
        for (logit, suppressed) in logits.iter_mut().zip(&self.suppressed) {
            if *suppressed {
                *logit = f32::NEG_INFINITY;
            }
        }
        if is_first {
            for id in &self.not_first {
                if let Some(logit) = logits.get_mut(*id as usize) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
    }

    /// What tokens say.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String, EarError> {
        let text = self
            .tokenizer
            .decode(tokens, true)
            .map_err(|error| EarError::Tokenizer(error.to_string()))?;
        // A letter that was cut in two is none.
        Ok(text.trim().replace('\u{fffd}', ""))
    }
}
