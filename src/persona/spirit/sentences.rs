//! Where one sentence ends and the next begins.

/// Words that a full stop does not end a sentence after; in lower case.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "st", "prof", "vs", "etc", "e.g", "i.e", "a.m", "p.m", "no", "bzw",
    "ca", "usw", "z.b", "d.h", "u.a", "nr", "hr", "fr", "т.д", "т.е", "т.п", "др", "г", "ул",
];

/// The sentences of a text, in order. A sound in brackets before a sentence belongs to it, as
/// do quotation marks and brackets that close it.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let mut at = 0;
    while at < characters.len() {
        let (_, c) = characters[at];
        at += 1;
        if !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        while at < characters.len() && clings(characters[at].1) {
            at += 1;
        }
        let end = characters.get(at).map_or(text.len(), |(place, _)| *place);
        let sentence = &text[start..end];
        let more = characters.get(at).is_some_and(|(_, c)| !c.is_whitespace());
        if more || (c == '.' && goes_on(sentence, &text[end..])) {
            continue;
        }
        push(&mut found, sentence);
        start = end;
    }
    push(&mut found, &text[start..]);
    found
}

fn push<'a>(found: &mut Vec<&'a str>, sentence: &'a str) {
    let sentence = sentence.trim();
    if !sentence.is_empty() {
        found.push(sentence);
    }
}

fn clings(c: char) -> bool {
    matches!(
        c,
        '.' | '!' | '?' | '…' | '"' | '\'' | ')' | ']' | '”' | '“' | '’' | '»' | '«'
    )
}

/// Whether the full stop at the end of `sentence` belongs to an abbreviation, an initial or
/// an ordinal number.
fn goes_on(sentence: &str, rest: &str) -> bool {
    let Some(word) = sentence.split_whitespace().next_back() else {
        return false;
    };
    let word = word
        .trim_end_matches(clings)
        .trim_start_matches(['(', '"', '„', '«', '“']);
    if word.is_empty() {
        return false;
    }
    let lower = word.to_lowercase();
    if ABBREVIATIONS.contains(&lower.as_str()) && lower != "no" {
        return true;
    }
    let one_letter = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    // "I" ends English sentences more often than it stands for a name.
    if one_letter && word != "I" && word != "Я" {
        return true;
    }
    let next = rest.trim_start().chars().next();
    let number = word.chars().all(|c| c.is_ascii_digit());
    next.is_some_and(|next| next.is_lowercase() || (number && next.is_ascii_digit()))
        && (number || sentence.ends_with("..."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sentence_ends_where_a_reader_would_end_it() {
        for (text, parts) in [
            (
                "I was here. Are you? Yes! … So.",
                &["I was here.", "Are you?", "Yes!", "…", "So."][..],
            ),
            (
                "[sighs] I knew Dr. Gray. [laughter] He left at 5.30 sharp.",
                &[
                    "[sighs] I knew Dr. Gray.",
                    "[laughter] He left at 5.30 sharp.",
                ],
            ),
            (
                "Es war z.B. der 3. Mai. Dann nichts.",
                &["Es war z.B. der 3.", "Mai.", "Dann nichts."],
            ),
            (
                "\"Go away!\" he said. \"Now.\" Then I went",
                &["\"Go away!\"", "he said.", "\"Now.\"", "Then I went"],
            ),
            (
                "Я жил на ул. Мира... и ушёл. Всё.",
                &["Я жил на ул. Мира... и ушёл.", "Всё."],
            ),
            ("It was I. You knew", &["It was I.", "You knew"]),
            (" \n ", &[]),
        ] {
            assert_eq!(sentences(text), parts, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_between_sentences(text in "\\PC{0,60}|[a-z .!?\"]{0,60}") {
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(squeezed(&sentences(&text).concat()), squeezed(&text));
        }
    }
}
