//! What the spirit remembers of a sitting: what was asked, and what was heard of its answers.

use serde::{Deserialize, Serialize};

use super::{AHEAD, Member, REMEMBERED};

/// The words of a line, as they are counted when it is heard: what white space separates.
/// A sound in brackets is a word.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

fn count(text: &str) -> u32 {
    u32::try_from(words(text).count()).unwrap_or(u32::MAX)
}

fn first(text: &str, count: u32) -> String {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    words(text).take(count).collect::<Vec<_>>().join(" ")
}

/// A line of the spirit, and how far it was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpokenLine {
    pub line: u32,
    pub part: u32,
    pub text: String,
    pub language: String,
    inner: Option<String>,
    heard: u32,
    words: u32,
}

impl SpokenLine {
    pub(super) fn new(
        line: u32,
        part: u32,
        text: &str,
        language: &str,
        inner: Option<&str>,
    ) -> Self {
        Self {
            line,
            part,
            text: text.to_owned(),
            language: language.to_owned(),
            inner: inner.map(str::to_owned),
            heard: 0,
            words: count(text),
        }
    }

    /// Words that were heard of it.
    pub fn heard(&self) -> u32 {
        self.heard
    }

    pub fn is_heard(&self) -> bool {
        self.heard >= self.words
    }

    pub(super) fn hear(&mut self, words: u32) {
        self.heard = self.heard.max(words.min(self.words));
    }

    /// What was heard of it, in the model's language: of a translation as large a part of the
    /// original's words, rounded down.
    pub fn remembered(&self) -> String {
        match &self.inner {
            None => first(&self.text, self.heard),
            Some(inner) if self.is_heard() => inner.clone(),
            Some(inner) => {
                let share =
                    u64::from(count(inner)) * u64::from(self.heard) / u64::from(self.words.max(1));
                first(inner, u32::try_from(share).unwrap_or(u32::MAX))
            }
        }
    }
}

/// A question, and what the spirit said to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// 0: nobody asked.
    pub number: u32,
    /// Who asked.
    pub by: Option<Member>,
    /// In the model's language.
    pub question: String,
    /// As it was asked, ISO 639-1.
    pub language: String,
    pub seed: u32,
    pub(super) lines: Vec<SpokenLine>,
    /// Parts that were begun: the number of the next one.
    pub(super) parts: u32,
}

impl Exchange {
    /// What was heard of the answer and its continuations, line by line, in the model's
    /// language.
    pub fn heard(&self) -> Vec<String> {
        self.lines
            .iter()
            .map(SpokenLine::remembered)
            .filter(|text| !text.is_empty())
            .collect()
    }

    /// What was said and not forgotten.
    pub fn lines(&self) -> &[SpokenLine] {
        &self.lines
    }

    pub(super) fn unheard(&self) -> usize {
        self.lines.iter().filter(|line| !line.is_heard()).count()
    }
}

/// The exchanges of one sitting; the last one is going on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    exchanges: Vec<Exchange>,
}

impl Memory {
    pub(super) fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    pub(super) fn current(&self) -> Option<&Exchange> {
        self.exchanges.last()
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Exchange> {
        self.exchanges.last_mut()
    }

    pub(super) fn begin(&mut self, exchange: Exchange) {
        self.exchanges.push(exchange);
        let over = self.exchanges.len().saturating_sub(REMEMBERED);
        self.exchanges.drain(..over);
    }

    /// Forgets what was not heard.
    pub(super) fn cut(&mut self) {
        let Some(exchange) = self.exchanges.last_mut() else {
            return;
        };
        exchange.lines.retain(|line| line.heard > 0);
        for line in &mut exchange.lines {
            if !line.is_heard() {
                let remembered = line.remembered();
                line.text = first(&line.text, line.heard);
                line.inner = line.inner.is_some().then_some(remembered);
                line.words = line.heard;
            }
        }
    }

    /// Marks the line as heard so far, and those before it wholly. Whether the line is known.
    pub(super) fn hear(&mut self, number: u32, words: u32) -> bool {
        let Some(exchange) = self.exchanges.last_mut() else {
            return false;
        };
        if !exchange.lines.iter().any(|line| line.line == number) {
            return false;
        }
        for line in &mut exchange.lines {
            if line.line < number {
                line.hear(u32::MAX);
            } else if line.line == number {
                line.hear(words);
            }
        }
        // A monologue has no end: of what was heard long ago only the last words count.
        let over = exchange.lines.len().saturating_sub(REMEMBERED + AHEAD);
        exchange.lines.drain(..over);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, inner: Option<&str>) -> SpokenLine {
        SpokenLine::new(1, 0, text, "en", inner)
    }

    #[test]
    fn of_a_line_only_the_words_that_were_heard_are_remembered() {
        let mut line = line("I was [sighs] a moderator.", None);
        assert_eq!(line.remembered(), "");
        line.hear(3);
        assert_eq!(line.remembered(), "I was [sighs]");
        line.hear(1);
        assert_eq!(line.heard(), 3, "what was heard cannot be unheard");
        line.hear(99);
        assert_eq!(line.remembered(), "I was [sighs] a moderator.");
        assert!(line.is_heard());
    }

    #[test]
    fn of_a_translated_line_no_more_is_remembered_than_was_heard() {
        let mut line = line(
            "Ich war vier Jahre allein.",
            Some("For four years I was alone."),
        );
        line.hear(2);
        assert_eq!(line.remembered(), "For four", "2 of 5 words: 2 of 6");
        line.hear(5);
        assert_eq!(line.remembered(), "For four years I was alone.");
    }
}
