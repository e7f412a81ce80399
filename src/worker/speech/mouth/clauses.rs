//! PURE: cuts a text that is still being written into clauses that can be spoken already.
//!
//! A cut depends only on the text up to it and on the next character that is no space, so
//! the same text gives the same clauses however it arrives. Joined, the clauses are the text.

/// How long clauses may be, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// From here on the first clause may end at a comma: the sooner, the sooner it is heard.
    pub first: usize,
    /// From here on a later clause may end at a comma.
    pub soft: usize,
    /// A clause without any punctuation is cut between two words before it is longer.
    pub hard: usize,
}

impl Default for Lengths {
    fn default() -> Self {
        Self {
            first: 30,
            soft: 70,
            hard: 220,
        }
    }
}

/// Words that end with a full stop inside a sentence, lower case, without the stop.
const ABBREVIATIONS: &[(&str, &[&str])] = &[
    (
        "en",
        &[
            "mr", "mrs", "ms", "dr", "prof", "st", "mt", "gen", "gov", "sen", "rep", "capt", "lt",
            "col", "sgt", "rev", "hon", "pres", "jr", "sr", "vs", "cf", "approx", "est", "no",
            "nos", "vol", "fig", "ch", "pp", "dept", "univ", "e.g", "i.e", "viz", "jan", "feb",
            "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
        ],
    ),
    (
        "de",
        &[
            "hr", "fr", "dr", "prof", "st", "nr", "str", "bzw", "ca", "evtl", "ggf", "inkl", "usw",
            "vgl", "z", "b", "d", "h", "u", "a", "s", "o", "bspw", "sog", "abs", "art", "bd", "jh",
            "jan", "feb", "apr", "aug", "sept", "okt", "nov", "dez", "v", "n", "chr",
        ],
    ),
    (
        "ru",
        &[
            "г", "гг", "в", "вв", "т", "е", "д", "п", "н", "э", "им", "ул", "стр", "рис", "руб",
            "коп", "тыс", "млн", "млрд", "проф", "акад", "см", "ср", "др", "пр", "кв",
        ],
    ),
];

/// Longest aside in brackets that is never cut: those are sounds.
const BRACKETS: usize = 40;

/// Takes a text in pieces and gives its clauses.
#[derive(Clone, Debug)]
pub struct Clauses {
    language: String,
    lengths: Lengths,
    text: String,
    first: bool,
}

impl Clauses {
    /// For a text in a language, named as ISO 639-1 does.
    pub fn new(language: &str, lengths: Lengths) -> Self {
        Self {
            language: language.to_owned(),
            lengths,
            text: String::new(),
            first: true,
        }
    }

    /// Takes what was written next; gives what can be spoken now.
    pub fn push(&mut self, text: &str) -> Vec<String> {
        self.text.push_str(text);
        let mut clauses = Vec::new();
        while let Some(end) = self.cut() {
            let rest = self.text.split_off(end);
            clauses.push(std::mem::replace(&mut self.text, rest));
            self.first = false;
        }
        clauses
    }

    /// Gives what is left of a text that is complete, unless that is nothing.
    pub fn finish(self) -> Option<String> {
        Some(self.text).filter(|text| !text.is_empty())
    }

    /// Where the first clause ends, once that is certain: after the space that follows it.
    fn cut(&self) -> Option<usize> {
        let soft = if self.first {
            self.lengths.first
        } else {
            self.lengths.soft
        };
        let mut bracket: Option<usize> = None;
        let mut last_space = None;
        let mut spoken = false;
        let mut characters = self.text.char_indices().enumerate().peekable();
        while let Some((index, (at, character))) = characters.next() {
            spoken |= character.is_alphanumeric() || character == ']' || character == '*';
            match character {
                '[' => bracket = Some(index),
                ']' => bracket = None,
                _ => {}
            }
            if bracket.is_some_and(|start| index - start > BRACKETS) {
                bracket = None;
            }
            if !character.is_whitespace() {
                continue;
            }
            // A run of spaces is looked at once, with what stands on both sides of it.
            let mut line = character == '\n';
            let mut end = at + character.len_utf8();
            while let Some((_, (at, next))) = characters.peek().copied() {
                if !next.is_whitespace() {
                    break;
                }
                line |= next == '\n';
                end = at + next.len_utf8();
                characters.next();
            }
            let (_, (_, next)) = characters.peek().copied()?;
            if !spoken || bracket.is_some() {
                continue;
            }
            let before = &self.text[..at];
            let ends = match self.ending(before, next) {
                Ending::Sentence => true,
                Ending::Clause => index >= soft,
                Ending::Word => false,
            };
            if ends || line {
                return Some(end);
            }
            if index >= self.lengths.hard
                && let Some(end) = last_space
            {
                return Some(end);
            }
            let number = before.ends_with(|c: char| c.is_ascii_digit()) && next.is_ascii_digit();
            if !number {
                last_space = Some(end);
            }
        }
        None
    }

    /// What a text that is followed by a space and then `next` ends with.
    fn ending(&self, before: &str, next: char) -> Ending {
        let closing = |c: char| {
            matches!(
                c,
                '"' | '\'' | '”' | '’' | '»' | '«' | '“' | ')' | ']' | '*'
            )
        };
        let bare = before.trim_end_matches(closing);
        match bare.chars().next_back() {
            Some('!' | '?' | '。' | '！' | '？' | '؟' | '।') => Ending::Sentence,
            Some('…') => self.trailing(next),
            Some('.') if bare.ends_with("..") => self.trailing(next),
            Some('.') => {
                if self.is_abbreviation(bare) || next.is_lowercase() {
                    Ending::Word
                } else {
                    Ending::Sentence
                }
            }
            // "1, 2" may be two numbers, or one in a language that writes them so.
            Some(',') => {
                let digit = bare[..bare.len() - 1].ends_with(|c: char| c.is_ascii_digit());
                if digit && next.is_ascii_digit() {
                    Ending::Word
                } else {
                    Ending::Clause
                }
            }
            Some(';' | ':' | '—' | '–' | '、' | '，' | '،') => Ending::Clause,
            // A sound stands for itself: "[sighs] I was here."
            None => Ending::Clause,
            Some(_) => Ending::Word,
        }
    }

    fn trailing(&self, next: char) -> Ending {
        if next.is_lowercase() {
            Ending::Clause
        } else {
            Ending::Sentence
        }
    }

    /// Whether the full stop that the text ends with does not end a sentence.
    fn is_abbreviation(&self, text: &str) -> bool {
        let word = text.rsplit(char::is_whitespace).next().unwrap_or(text);
        let word = word
            .trim_start_matches(|c: char| !c.is_alphanumeric())
            .trim_end_matches('.');
        let mut letters = word.chars();
        if let (Some(letter), None) = (letters.next(), letters.next()) {
            // An initial. "I" is a word, and a sentence may end with it.
            if letter.is_uppercase() && !(self.language == "en" && letter == 'I') {
                return true;
            }
        }
        // In German a number with a full stop is an ordinal: "der 3. Mai".
        if self.language == "de" && word.len() <= 2 && word.parse::<u8>().is_ok() {
            return true;
        }
        let word = word.to_lowercase();
        ABBREVIATIONS
            .iter()
            .filter(|(language, _)| *language == self.language)
            .any(|(_, words)| words.contains(&word.as_str()))
    }
}

/// What may be done after a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Sentence,
    Clause,
    Word,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(language: &str, text: &str) -> Vec<String> {
        let mut clauses = Clauses::new(language, Lengths::default());
        let mut all = clauses.push(text);
        all.extend(clauses.finish());
        all
    }

    #[test]
    fn a_sentence_ends_at_its_stop_and_not_at_an_abbreviation() {
        assert_eq!(
            whole(
                "en",
                "Dr. J. Smith saw Mr. Brown, e.g. at 3.5 km. Then he died! Why? No."
            ),
            [
                "Dr. J. Smith saw Mr. Brown, e.g. at 3.5 km. ",
                "Then he died! ",
                "Why? ",
                "No."
            ]
        );
        assert_eq!(
            whole("de", "Am 3. Mai kam Hr. Weber. Er blieb."),
            ["Am 3. Mai kam Hr. Weber. ", "Er blieb."]
        );
        assert_eq!(
            whole("ru", "В 1905 г. он умер. Да."),
            ["В 1905 г. он умер. ", "Да."]
        );
        assert_eq!(
            whole("en", "It was I. You knew."),
            ["It was I. ", "You knew."]
        );
    }

    #[test]
    fn a_clause_is_given_as_soon_as_what_follows_is_known() {
        let mut clauses = Clauses::new("en", Lengths::default());
        assert!(
            clauses.push("I am here. ").is_empty(),
            "it may go on in small letters"
        );
        assert_eq!(clauses.push("Y"), ["I am here. "]);
        assert_eq!(clauses.finish().as_deref(), Some("Y"));
    }

    #[test]
    fn a_long_text_without_punctuation_is_cut_between_words_but_not_in_a_number() {
        let text = "and then ".repeat(60);
        let clauses = whole("en", &text);
        assert!(clauses.len() > 2);
        assert!(clauses.iter().all(|clause| clause.chars().count() <= 230));
        let digits = "100 000 ".repeat(200);
        assert_eq!(whole("en", &digits).len(), 1);
    }

    #[test]
    fn a_sound_in_brackets_is_never_cut() {
        assert_eq!(
            whole("en", "[sighs. Deeply] I was here."),
            ["[sighs. Deeply] I was here."]
        );
    }

    fn pieces() -> impl Strategy<Value = Vec<String>> {
        let word = prop_oneof![
            "[a-zA-Zäß]{1,9}",
            Just("Dr.".to_owned()),
            Just("3.14".to_owned()),
            Just("1,000".to_owned()),
            Just("[sighs]".to_owned()),
            Just("«Да».".to_owned()),
            Just("…".to_owned()),
            "[.,;:!?—\n ]{1,2}",
        ];
        prop::collection::vec((word, prop::bool::weighted(0.8)), 0..80).prop_map(|words| {
            words
                .into_iter()
                .map(|(word, space)| if space { word + " " } else { word })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn the_clauses_joined_are_the_text(text in "\\PC{0,300}", language in "en|de|ru") {
            prop_assert_eq!(whole(&language, &text).concat(), text);
        }

        #[test]
        fn how_a_text_arrives_changes_nothing(pieces in pieces()) {
            let mut clauses = Clauses::new("en", Lengths::default());
            let mut all: Vec<String> = pieces.iter().flat_map(|piece| clauses.push(piece)).collect();
            all.extend(clauses.finish());
            prop_assert_eq!(all, whole("en", &pieces.concat()));
        }

        #[test]
        fn a_cut_is_between_words_and_something_stands_before_it(pieces in pieces()) {
            let clauses = whole("en", &pieces.concat());
            for pair in clauses.windows(2) {
                prop_assert!(pair[0].ends_with(char::is_whitespace));
                prop_assert!(!pair[1].starts_with(char::is_whitespace));
                prop_assert!(pair[0].contains(|c: char| c.is_alphanumeric()));
                let number = pair[0].trim_end().ends_with(|c: char| c.is_ascii_digit())
                    && pair[1].starts_with(|c: char| c.is_ascii_digit());
                prop_assert!(!number || pair[0].contains('\n'));
            }
        }
    }
}
