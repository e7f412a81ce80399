//! Prompts of an exact length that nobody has read before.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::ModelSettings,
    models,
    worker::{
        deterministic::{Bytes, Deterministic},
        engine::Vocabulary,
        onnx_text,
    },
};

/// The first act of Oscar Wilde, *An Ideal Husband* (1895; public domain), in part: a line
/// of the play is a line here.
const PROSE: &str = include_str!("prose.txt");

/// What bans a token.
const BAN: f32 = -100.0;

/// How many tokens a request may name.
const MAX_BIASES: usize = 1000;

/// A maker of prompts for one model.
pub(super) struct Prompts {
    vocabulary: Arc<dyn Vocabulary>,
    lines: Vec<&'static str>,
    number: u64,
}

impl Prompts {
    /// For a model's own tokenizer. `first` numbers the first prompt: another number,
    /// another prompt.
    ///
    /// # Errors
    /// When the model is not here and cannot be had.
    pub fn of(model: &str, settings: &ModelSettings, first: u64) -> anyhow::Result<Self> {
        let vocabulary: Arc<dyn Vocabulary> = match Deterministic::delay_of(model) {
            Some(_) => Arc::new(Bytes::default()),
            None => onnx_text::vocabulary(&models::fetch(model, settings)?)?,
        };
        Ok(Self {
            vocabulary,
            lines: PROSE.lines().collect(),
            number: first,
        })
    }

    /// A bias that bans every token that would end a text, or as many of them as a request
    /// may name.
    pub fn no_end(&self) -> BTreeMap<u32, f32> {
        let size = u32::try_from(self.vocabulary.size()).unwrap_or(u32::MAX);
        let ends = (0..size).filter(|&token| self.vocabulary.ends(token));
        let ends = [self.vocabulary.end()].into_iter().chain(ends);
        ends.take(MAX_BIASES).map(|token| (token, BAN)).collect()
    }

    /// Another number each time; in reverse, so that two of them differ at once.
    fn next_number(&mut self) -> String {
        self.number += 1;
        self.number.to_string().chars().rev().collect()
    }

    /// A scene of a play that has exactly so many tokens, begun with a number that no other
    /// prompt begins with.
    ///
    /// # Errors
    /// When the tokenizer cuts no text to that length.
    pub fn scene(&mut self, tokens: usize) -> anyhow::Result<String> {
        let number = self.next_number();
        for start in 0..self.lines.len() {
            let begin = usize::try_from(self.number)? * 7 + start;
            let mut text = format!("{number}.\n");
            let mut lines = self.lines.iter().cycle().skip(begin % self.lines.len());
            // Longer than asked for: no token has more bytes than this on average.
            while text.len() < 16 * tokens {
                text.extend(lines.next().copied());
                text.push('\n');
            }
            let whole = self.vocabulary.encode_text(&text);
            let cut: Vec<u8> = whole
                .iter()
                .take(tokens)
                .flat_map(|&token| self.vocabulary.bytes(token).to_vec())
                .collect();
            // The last word's beginning may be cut into other tokens than the word was.
            if let Ok(scene) = String::from_utf8(cut)
                && self.vocabulary.encode_text(&scene).len() == tokens
            {
                return Ok(scene);
            }
        }
        anyhow::bail!("this model's tokenizer cuts no text to {tokens} tokens")
    }

    /// A task whose answer stands in its prompt: a passage twice, to be written once more.
    pub fn copying(&mut self) -> String {
        let number = self.next_number();
        let begin = usize::try_from(self.number).unwrap_or(0) * 5 % self.lines.len();
        let lines = self.lines.iter().cycle().skip(begin);
        let mut passage = String::new();
        for line in lines {
            passage.push_str(line);
            passage.push('\n');
            if passage.len() > 400 {
                break;
            }
        }
        format!(
            "{number}.\nA passage:\n{passage}\nThe same passage again:\n{passage}\nThe same passage again:\n"
        )
    }

    /// What a person says next in a conversation.
    pub fn next_line(&mut self) -> String {
        let number = self.next_number();
        format!("\nStranger: And what of the letter number {number}, if one may ask?\nHost:")
    }

    /// Tokens of a text.
    pub fn count(&self, text: &str) -> usize {
        self.vocabulary.encode_text(text).len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn prompts() -> Prompts {
        Prompts {
            vocabulary: Arc::new(Bytes::default()),
            lines: PROSE.lines().collect(),
            number: 1_790_000_000,
        }
    }

    #[test]
    fn every_prompt_has_its_length_and_a_beginning_of_its_own() {
        let mut prompts = prompts();
        let mut beginnings = HashSet::new();
        for tokens in [16, 32, 512, 1500] {
            for _ in 0..100 {
                let scene = prompts.scene(tokens).expect("bytes can be cut anywhere");
                assert_eq!(prompts.count(&scene), tokens);
                assert!(beginnings.insert(scene[..16].to_owned()));
            }
        }
    }

    #[test]
    fn the_copying_task_holds_its_answer() {
        let task = prompts().copying();
        let (_, passage) = task.split_once("A passage:\n").expect("begins");
        let (passage, _) = passage.split_once("\nThe same").expect("goes on");
        assert_eq!(task.matches(passage).count(), 2);
    }

    #[test]
    fn whatever_would_end_a_text_is_banned() {
        assert_eq!(prompts().no_end(), BTreeMap::from([(259, BAN)]));
    }
}
