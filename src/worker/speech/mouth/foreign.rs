//! Words of any language to sounds, by espeak-ng.
//!
//! espeak-ng drops punctuation, which voices breathe by: what stands between two marks is
//! asked for by itself, and the marks are put back.

use super::{
    MouthError,
    espeak::{Espeak, EspeakError},
    normalise,
};

/// Marks that voices know.
const MARKS: &str = ".,;:!?…—";

/// The sounds of words in IPA, and of which word each is. Spaces and marks behind a word are
/// its own.
///
/// # Errors
/// When espeak-ng fails or is stopped.
pub(super) fn symbols(
    espeak: &Espeak,
    voice: &str,
    words: &[&str],
) -> Result<Vec<(char, Option<usize>)>, MouthError> {
    let read = read(words, voice);
    let spoken: Vec<&str> = read.iter().map(|(word, _)| word.as_str()).collect();
    let mut symbols = spell(&spoken, |text| espeak.phonemes(text, voice))?;
    for (_, owner) in &mut symbols {
        *owner = owner.map(|word| read[word].1);
    }
    Ok(symbols)
}

/// Words as they are read aloud in the language of a voice of espeak-ng's, and of which written
/// word each is. espeak-ng's own readings serve for all languages but German.
pub(super) fn read(words: &[&str], voice: &str) -> Vec<(String, usize)> {
    if voice.split('-').next() != Some("de") {
        let own = words.iter().enumerate();
        return own.map(|(at, word)| ((*word).to_owned(), at)).collect();
    }
    let mut read = Vec::new();
    for reading in normalise::german(words) {
        let spoken: Vec<&str> = reading.spoken.split_whitespace().collect();
        let written = reading.written.len();
        let owned = spoken.iter().enumerate().map(|(at, word)| {
            let owner = reading.written.start + at * written / spoken.len();
            ((*word).to_owned(), owner)
        });
        read.extend(owned);
    }
    read
}

fn spell(
    words: &[&str],
    mut phonemes: impl FnMut(&str) -> Result<String, EspeakError>,
) -> Result<Vec<(char, Option<usize>)>, EspeakError> {
    let mut symbols: Vec<(char, Option<usize>)> = Vec::new();
    let mut from = 0;
    for (at, word) in words.iter().enumerate() {
        let mark = mark(word);
        if mark.is_none() && at + 1 < words.len() {
            continue;
        }
        let group = &words[from..=at];
        let bare: Vec<&str> = group.iter().map(|word| bare(word)).collect();
        if bare.iter().any(|word| word.contains(char::is_alphanumeric)) {
            if !symbols.is_empty() {
                symbols.push((' ', from.checked_sub(1)));
            }
            let spoken = phonemes(&bare.join(" "))?;
            let spoken: Vec<&str> = spoken.split_whitespace().collect();
            let owners = owners(&bare, spoken.len());
            for (index, (word, owner)) in spoken.iter().zip(&owners).enumerate() {
                if index > 0 {
                    symbols.push((' ', Some(from + owners[index - 1])));
                }
                symbols.extend(word.chars().map(|sound| (sound, Some(from + owner))));
            }
        }
        symbols.extend(mark.map(|mark| (mark, Some(at))));
        from = at + 1;
    }
    Ok(symbols)
}

/// The mark that a word ends with, behind what closes.
fn mark(word: &str) -> Option<char> {
    let closing = |c: char| "\"'”’»“)]*".contains(c);
    let last = word.trim_end_matches(closing).chars().next_back()?;
    match last {
        '–' => Some('—'),
        last => Some(last).filter(|last| MARKS.contains(*last)),
    }
}

/// A word without what clings to it, but with what is read: signs and figures.
fn bare(word: &str) -> &str {
    let clings = |c: char| MARKS.contains(c) || "\"'“”„‘’«»()[]{}*–".contains(c);
    let without = word.trim_matches(clings);
    // Only the very last mark parts; "z.B." keeps its inner one.
    if word.contains('.') && without.contains('.') {
        word.trim_start_matches(clings)
            .trim_end_matches(|c: char| clings(c) && c != '.')
    } else {
        without
    }
}

/// Of which word each of so many spoken words is: one each where that fits, else by how much
/// of the letters is behind.
fn owners(words: &[&str], spoken: usize) -> Vec<usize> {
    if spoken == words.len() {
        return (0..spoken).collect();
    }
    let weights: Vec<usize> = words
        .iter()
        .map(|word| {
            let figures = word.chars().filter(char::is_ascii_digit).count();
            word.chars().count() + 4 * figures
        })
        .collect();
    let total: usize = weights.iter().sum();
    (0..spoken)
        .map(|index| {
            let place = (2 * index + 1) * total / (2 * spoken);
            let mut behind = 0;
            weights
                .iter()
                .position(|weight| {
                    behind += weight;
                    place < behind
                })
                .unwrap_or(words.len() - 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(symbols: &[(char, Option<usize>)]) -> String {
        symbols.iter().map(|(symbol, _)| *symbol).collect()
    }

    #[test]
    fn marks_stay_and_words_are_asked_for_between_them() {
        let mut asked = Vec::new();
        let symbols = spell(&["„Ja“,", "sagte", "er", "–", "leise."], |text| {
            asked.push(text.to_owned());
            Ok(text.to_uppercase())
        });
        assert_eq!(
            text_of(&symbols.expect("nothing fails")),
            "JA, SAGTE ER— LEISE."
        );
        assert_eq!(asked, ["Ja", "sagte er ", "leise"]);
    }

    #[test]
    fn what_is_spoken_in_more_words_than_written_is_still_somebodys() {
        let symbols = spell(&["Im", "Jahr", "1984", "starb", "er."], |_| {
            Ok("im jaar nointseen hundert fiir unt axtsich schtarb eer".into())
        })
        .expect("nothing fails");
        let of = |word| {
            let sounds = symbols.iter().filter(|(_, owner)| *owner == Some(word));
            sounds.map(|(sound, _)| *sound).collect::<String>()
        };
        assert!(of(2).contains("hundert"), "{}", of(2));
        assert!(of(4).contains("eer"), "{}", of(4));
    }

    #[test]
    fn german_is_read_before_it_is_spelt() {
        let read = read(&["Am", "3.", "Mai", "um", "7:30", "Uhr."], "de");
        let spoken: Vec<&str> = read.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(spoken.join(" "), "Am dritten Mai um sieben Uhr dreißig.");
        let owners: Vec<usize> = read.iter().map(|(_, owner)| *owner).collect();
        assert_eq!(owners, [0, 1, 2, 3, 4, 4, 5]);
        assert_eq!(super::read(&["7:30"], "ru"), [("7:30".to_owned(), 0)]);
    }

    proptest! {
        #[test]
        fn owners_go_up_and_are_words(
            words in prop::collection::vec("[a-z0-9]{1,8}", 1..9),
            spoken in 0usize..20,
        ) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let owners = owners(&words, spoken);
            prop_assert_eq!(owners.len(), spoken);
            prop_assert!(owners.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(owners.iter().all(|owner| *owner < words.len()));
        }
    }
}
