//! PURE: when each word of a clause sounds.
//!
//! A clause is a row of units, each of which takes time and most of which belong to a word.
//! How long they are is the voice's own plan where it tells, else it is guessed from how much
//! is written.

use crate::wire::speech::SpokenWord;

/// A part of a clause: of which word, and how long in any measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) word: Option<usize>,
    pub(super) length: f32,
}

/// Places words on a clause of so many samples. The words cover it without a gap: the pause
/// behind a word is its own. A word of which nothing is heard takes no time.
pub(super) fn place(words: &[&str], units: &[Unit], samples: u32) -> Vec<SpokenWord> {
    let total: f64 = units
        .iter()
        .map(|unit| f64::from(unit.length.max(0.0)))
        .sum();
    let scale = if total > 0.0 {
        f64::from(samples) / total
    } else {
        0.0
    };
    let mut starts: Vec<Option<u32>> = vec![None; words.len()];
    let mut at = 0.0;
    for unit in units {
        if let Some(start) = unit.word.and_then(|word| starts.get_mut(word)) {
            start.get_or_insert((at * scale).round() as u32);
        }
        at += f64::from(unit.length.max(0.0));
    }
    // From the last to the first: each word ends where the next one begins.
    let mut next = samples;
    let mut placed: Vec<SpokenWord> = words
        .iter()
        .zip(&starts)
        .rev()
        .map(|(word, start)| {
            let to = next;
            next = start.unwrap_or(to).min(to);
            SpokenWord {
                text: (*word).to_owned(),
                from: next,
                to,
            }
        })
        .collect();
    placed.reverse();
    cover(&mut placed, samples);
    placed
}

/// Begins each word where the former one ends, the first at 0, and ends the last with the clause.
fn cover(words: &mut [SpokenWord], samples: u32) {
    let mut at = 0;
    let last = words.len().saturating_sub(1);
    for (index, word) in words.iter_mut().enumerate() {
        word.from = at;
        word.to = word.to.max(at);
        if index == last {
            word.to = samples;
        }
        at = word.to;
    }
}

/// Guesses units from letters: vowels and consonants alike take one, a pause at punctuation a
/// few.
pub(super) fn guess(words: &[&str]) -> Vec<Unit> {
    let mut units = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let letters = word.chars().filter(|c| c.is_alphanumeric()).count();
        // A digit is a word when it is spoken.
        let digits = word.chars().filter(char::is_ascii_digit).count();
        units.push(Unit {
            word: Some(index),
            length: letters as f32 + 3.0 * digits as f32 + 0.5,
        });
        let pause = match word
            .trim_end_matches(|c: char| "\"'”’»)".contains(c))
            .chars()
            .last()
        {
            Some('.' | '!' | '?' | '…') => 4.0,
            Some(',' | ';' | ':' | '—' | '–') => 2.5,
            _ => 0.0,
        };
        units.push(Unit {
            word: None,
            length: pause,
        });
    }
    units
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_begins_with_its_first_unit_and_ends_with_the_next_word() {
        let unit = |word, length| Unit { word, length };
        let units = [
            unit(None, 1.0),
            unit(Some(0), 2.0),
            unit(Some(0), 1.0),
            unit(None, 2.0),
            unit(Some(2), 4.0),
        ];
        let words = place(&["So", "—", "it"], &units, 1000);
        let spans: Vec<_> = words.iter().map(|word| (word.from, word.to)).collect();
        assert_eq!(spans, [(0, 600), (600, 600), (600, 1000)]);
    }

    proptest! {
        #[test]
        fn words_cover_the_clause_in_order(
            count in 1usize..12,
            units in prop::collection::vec((prop::option::of(0usize..12), 0f32..30.0), 0..60),
            samples in 0u32..500_000,
        ) {
            let names: Vec<String> = (0..count).map(|index| format!("w{index}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut units: Vec<Unit> = units
                .into_iter()
                .map(|(word, length)| Unit { word, length })
                .collect();
            units.sort_by_key(|unit| unit.word);
            let words = place(&names, &units, samples);
            prop_assert_eq!(words.len(), count);
            let mut at = 0;
            for (word, name) in words.iter().zip(&names) {
                prop_assert_eq!(&word.text, name);
                prop_assert_eq!(word.from, at);
                prop_assert!(word.to >= word.from);
                at = word.to;
            }
            prop_assert_eq!(at, samples);
        }

        #[test]
        fn a_guess_gives_every_word_its_time(words in prop::collection::vec("\\PC{1,9}", 1..12)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let placed = place(&words, &guess(&words), 100_000);
            prop_assert!(placed.iter().all(|word| word.to > word.from));
        }
    }
}
