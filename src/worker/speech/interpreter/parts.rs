//! PURE: a text in the parts that are translated by themselves.

use crate::persona::spirit::sentences;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Sentence(&'a str),
    /// A sound in brackets, or what has no letters in it.
    AsIs(&'a str),
}

/// The parts of a text, in order.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some((before, sound, after)) = next_sound(rest) {
            push(&mut parts, before);
            parts.push(Part::AsIs(sound));
            rest = after;
        }
        push(&mut parts, rest);
    }
    parts
}

fn push<'a>(parts: &mut Vec<Part<'a>>, words: &'a str) {
    parts.extend(sentences(words).into_iter().map(|sentence| {
        match sentence.chars().any(char::is_alphanumeric) {
            true => Part::Sentence(sentence),
            false => Part::AsIs(sentence),
        }
    }));
}

/// What stands before the first sound, the sound with its brackets, and what follows.
fn next_sound(text: &str) -> Option<(&str, &str, &str)> {
    let from = text.find('[')?;
    let to = from + text[from..].find(']')? + 1;
    Some((&text[..from], &text[from..to], &text[to..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sentences_are_parted_and_sounds_stay_as_they_are() {
        use Part::{AsIs, Sentence};
        for (text, wanted) in [
            (
                "I was here. [sighs] Are you?",
                &[
                    Sentence("I was here."),
                    AsIs("[sighs]"),
                    Sentence("Are you?"),
                ][..],
            ),
            (
                "Well [laughter] … no\nAnd now",
                &[
                    Sentence("Well"),
                    AsIs("[laughter]"),
                    AsIs("…"),
                    Sentence("no"),
                    Sentence("And now"),
                ],
            ),
            ("[never closed", &[Sentence("[never closed")]),
            (" \n ", &[]),
        ] {
            assert_eq!(parts(text), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_between_the_parts(text in "\\PC{0,60}|[a-z .!?\\[\\]\n]{0,60}") {
            let told: String = parts(&text).into_iter().map(|part| match part {
                Part::Sentence(text) | Part::AsIs(text) => text,
            }).collect();
            let without = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(without(&told), without(&text));
        }
    }
}
