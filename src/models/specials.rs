//! PURE: special tokens in text that a template wrote around what people wrote.
//!
//! They count in what the template adds and never in what people wrote: each of their
//! texts' characters that could begin a special token is followed by a mark before
//! rendering, and the marks are taken out once the special tokens are found.

use super::ModelError;

/// Unicode's noncharacters: no text that people exchange contains them.
const NONCHARACTERS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// A rendered chat, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Special(u32),
    Plain(String),
}

/// Texts of special tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Specials {
    /// Longest first.
    texts: Vec<(String, u32)>,
}

impl Specials {
    pub(crate) fn new(mut texts: Vec<(String, u32)>) -> Self {
        texts.retain(|(text, _)| !text.is_empty());
        texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self { texts }
    }

    /// A character that none of these texts has.
    pub(crate) fn mark<'a>(
        texts: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<char, ModelError> {
        NONCHARACTERS
            .clone()
            .find(|mark| !texts.clone().any(|text| text.contains(*mark)))
            .ok_or_else(|| ModelError::Template("a text uses every noncharacter".into()))
    }

    /// What somebody wrote, so that no special token is found in it.
    pub(crate) fn marked(&self, text: &str, mark: char) -> String {
        let begins = |character: char| {
            let mut texts = self.texts.iter();
            texts.any(|(special, _)| special.starts_with(character))
        };
        let mut marked = String::with_capacity(text.len());
        for character in text.chars() {
            marked.push(character);
            if begins(character) {
                marked.push(mark);
            }
        }
        marked
    }

    /// The special tokens of a rendered chat and the text between them, without marks.
    pub(crate) fn split(&self, rendered: &str, mark: char) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = rendered;
        while let Some(next) = rest.chars().next() {
            let special = self
                .texts
                .iter()
                .find(|(special, _)| rest.starts_with(special.as_str()));
            if let Some((text, id)) = special {
                if !plain.is_empty() {
                    parts.push(Part::Plain(std::mem::take(&mut plain)));
                }
                parts.push(Part::Special(*id));
                rest = &rest[text.len()..];
            } else {
                if next != mark {
                    plain.push(next);
                }
                rest = &rest[next.len_utf8()..];
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Plain(plain));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_writes_steers_and_what_people_write_does_not() {
        let specials = Specials::new(vec![("<s>".into(), 7), ("<s>>".into(), 8)]);
        let said = "a <s> <s";
        let mark = Specials::mark([said].into_iter()).unwrap();
        let rendered = format!("<s>{}>><s>>", specials.marked(said, mark));
        assert_eq!(
            specials.split(&rendered, mark),
            [
                Part::Special(7),
                Part::Plain("a <s> <s>>".into()),
                Part::Special(8)
            ]
        );
    }

    #[test]
    fn a_mark_is_a_character_that_nobody_wrote() {
        assert_eq!(
            Specials::mark(["\u{FDD0}"].into_iter()).ok(),
            Some('\u{FDD1}')
        );
        let all: String = NONCHARACTERS.clone().collect();
        assert!(Specials::mark([all.as_str()].into_iter()).is_err());
    }
}
