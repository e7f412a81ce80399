//! Sounds that are no words: `[sighs]`, `[laughter]` and their like.

/// A sound that the spirit makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sound {
    Sighs,
    Laughter,
    Gasps,
    Coughs,
    Breathes,
    Whispers,
    Sobs,
    Music,
    Silence,
}

/// Spellings, the one that is kept first; all in lower case.
const SPELLINGS: &[(Sound, &[&str])] = &[
    (
        Sound::Sighs,
        &[
            "sighs",
            "sigh",
            "sighing",
            "seufzt",
            "seufzen",
            "вздыхает",
            "вздох",
        ],
    ),
    (
        Sound::Laughter,
        &[
            "laughter",
            "laughs",
            "laugh",
            "laughing",
            "chuckles",
            "giggles",
            "lacht",
            "lachen",
            "gelächter",
            "смеётся",
            "смеется",
            "смех",
        ],
    ),
    (
        Sound::Gasps,
        &["gasps", "gasp", "gasping", "keucht", "ахает"],
    ),
    (
        Sound::Coughs,
        &[
            "coughs",
            "cough",
            "coughing",
            "clears throat",
            "clears_throat",
            "hustet",
            "räuspert sich",
            "кашляет",
        ],
    ),
    (
        Sound::Breathes,
        &[
            "breathes",
            "breath",
            "breathing",
            "inhales",
            "exhales",
            "atmet",
            "дышит",
        ],
    ),
    (
        Sound::Whispers,
        &[
            "whispers",
            "whisper",
            "whispering",
            "flüstert",
            "шепчет",
            "шёпотом",
        ],
    ),
    (
        Sound::Sobs,
        &[
            "sobs",
            "sob",
            "sobbing",
            "cries",
            "crying",
            "weint",
            "schluchzt",
            "плачет",
        ],
    ),
    (
        Sound::Music,
        &["music", "hums", "sings", "humming", "summt", "напевает"],
    ),
    (
        Sound::Silence,
        &[
            "silence",
            "pause",
            "pauses",
            "beat",
            "stille",
            "pause.",
            "молчит",
            "пауза",
        ],
    ),
];

impl Sound {
    /// As it stands between the brackets.
    pub fn name(self) -> &'static str {
        SPELLINGS
            .iter()
            .find(|(sound, _)| *sound == self)
            .map_or("silence", |(_, spellings)| spellings[0])
    }

    /// The sound that somebody calls so, in English, German or Russian.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        SPELLINGS
            .iter()
            .find(|(_, spellings)| spellings.contains(&name.as_str()))
            .map(|(sound, _)| *sound)
    }
}

/// A part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Words(&'a str),
    Sound(Sound),
}

/// A line in its parts, in order. What stands in brackets and is no known sound is left out;
/// so is a bracket that is never closed, with what follows it.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let words = |text: &str| !text.trim().is_empty();
    while let Some(open) = rest.find(['[', '(', '*']) {
        let (before, from) = rest.split_at(open);
        if words(before) {
            pieces.push(Piece::Words(before.trim()));
        }
        let opening = from.chars().next().unwrap_or('[');
        let inner = &from[opening.len_utf8()..];
        let closing = match opening {
            '[' => ']',
            '(' => ')',
            _ => '*',
        };
        let Some(close) = inner.find(closing) else {
            if opening == '[' {
                return pieces;
            }
            // A lonely parenthesis or star is a character like others.
            rest = inner;
            continue;
        };
        let after = &inner[close + closing.len_utf8()..];
        match Sound::named(&inner[..close]) {
            Some(sound) => pieces.push(Piece::Sound(sound)),
            None if opening != '[' && words(&inner[..close]) => {
                pieces.push(Piece::Words(inner[..close].trim()));
            }
            None => {}
        }
        rest = after;
    }
    if words(rest) {
        pieces.push(Piece::Words(rest.trim()));
    }
    pieces
}

/// The line with every sound written the one way, and nothing else in brackets.
pub(super) fn tidied(text: &str) -> String {
    let mut line = pass(text);
    // What is taken out of one pair of brackets may hold another: each pass leaves fewer.
    loop {
        let passed = pass(&line);
        if passed == line {
            return line;
        }
        line = passed;
    }
}

fn pass(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for piece in pieces(text) {
        let clings = |words: &str| words.starts_with(['.', ',', '!', '?', ';', ':', '…']);
        match piece {
            Piece::Words(words) => {
                if !line.is_empty() && !clings(words) {
                    line.push(' ');
                }
                line.push_str(&words.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            Piece::Sound(sound) => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push('[');
                line.push_str(sound.name());
                line.push(']');
            }
        }
    }
    line
}

/// The words alone, for a voice that has no sounds.
pub fn without_sounds(text: &str) -> String {
    let words = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Words(words) => Some(words),
        Piece::Sound(_) => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sound_is_known_in_three_languages_and_written_one_way() {
        for (said, kept) in [
            ("[Sigh] yes", "[sighs] yes"),
            ("Nein (lacht) nie", "Nein [laughter] nie"),
            ("*вздыхает* да.", "[sighs] да."),
            ("[clears throat] So.", "[coughs] So."),
            ("I [static] was [whispers] here", "I was [whispers] here"),
            ("I was (once) here", "I was once here"),
            ("gone [sig", "gone"),
            ("Well [sighs], yes", "Well [sighs], yes"),
            ("", ""),
        ] {
            assert_eq!(tidied(said), kept, "{said}");
        }
        assert_eq!(
            without_sounds("[sighs] I was [laughter] here"),
            "I was here"
        );
    }

    #[test]
    fn every_sound_has_a_name_that_it_is_known_by_and_that_is_one_word() {
        for (sound, spellings) in SPELLINGS {
            assert_eq!(Sound::named(sound.name()), Some(*sound));
            assert!(!sound.name().contains(' '));
            for spelling in *spellings {
                assert_eq!(Sound::named(spelling), Some(*sound));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_tidy_stays_as_it_is(text in "[a-z\\[\\]()*., ]{0,40}|\\PC{0,40}") {
            let once = tidied(&text);
            prop_assert_eq!(tidied(&once), once);
        }
    }
}
