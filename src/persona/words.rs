//! Texts as lists of words, to be compared.

use std::collections::BTreeSet;

/// The words of a text, in lower case and without punctuation; apostrophes are dropped, so
/// that "I'm" and "im" are one word.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .flat_map(|word| word.split(['-', '/', '.', ',', ';', ':', '!', '?', '(', ')', '…']))
        .map(|word| {
            word.chars()
                .filter(|c| c.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect::<String>()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// How alike two texts are as sets of words: shared over all (Jaccard), 0 to 1.
pub(super) fn likeness(one: &str, other: &str) -> f32 {
    let set = |text| words(text).into_iter().collect::<BTreeSet<_>>();
    let (one, other) = (set(one), set(other));
    let all = one.union(&other).count();
    if all == 0 {
        return 1.0;
    }
    one.intersection(&other).count() as f32 / all as f32
}

/// Whether `phrase` occurs in `words`, word by word.
pub(super) fn has_phrase(words: &[String], phrase: &str) -> bool {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    words
        .windows(phrase.len())
        .any(|window| window.iter().eq(phrase.iter()))
}

/// Words too common to be a subject.
pub(super) fn is_common(word: &str) -> bool {
    const COMMON: &[&str] = &[
        "about",
        "actually",
        "after",
        "again",
        "also",
        "always",
        "another",
        "anything",
        "away",
        "back",
        "because",
        "been",
        "before",
        "being",
        "both",
        "cant",
        "could",
        "didnt",
        "does",
        "doing",
        "dont",
        "down",
        "each",
        "else",
        "even",
        "ever",
        "every",
        "everything",
        "feel",
        "from",
        "gets",
        "getting",
        "give",
        "goes",
        "going",
        "gonna",
        "good",
        "guess",
        "haha",
        "have",
        "having",
        "here",
        "idk",
        "into",
        "isnt",
        "just",
        "keep",
        "kind",
        "know",
        "last",
        "less",
        "like",
        "little",
        "lot",
        "made",
        "make",
        "makes",
        "many",
        "maybe",
        "mean",
        "might",
        "more",
        "most",
        "mostly",
        "much",
        "must",
        "myself",
        "need",
        "never",
        "nice",
        "nope",
        "nothing",
        "now",
        "once",
        "only",
        "other",
        "over",
        "people",
        "probably",
        "quite",
        "rather",
        "really",
        "said",
        "same",
        "should",
        "since",
        "some",
        "something",
        "sometimes",
        "still",
        "stuff",
        "such",
        "sure",
        "take",
        "than",
        "that",
        "thats",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "thing",
        "things",
        "think",
        "this",
        "those",
        "though",
        "time",
        "times",
        "today",
        "took",
        "unless",
        "until",
        "usually",
        "very",
        "want",
        "wasnt",
        "well",
        "went",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "will",
        "with",
        "without",
        "would",
        "yeah",
        "year",
        "years",
        "your",
        "yours",
    ];
    COMMON.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_forget_case_punctuation_and_apostrophes() {
        assert_eq!(
            words("I'm  NOT-a… bot, ok?"),
            ["im", "not", "a", "bot", "ok"]
        );
        assert_eq!(words("?! ..."), Vec::<String>::new());
    }

    #[test]
    fn likeness_is_one_for_the_same_words_and_none_for_others() {
        assert_eq!(likeness("What is it?", "it IS what"), 1.0);
        assert_eq!(likeness("red", "blue"), 0.0);
        assert_eq!(likeness("a b c", "b c d"), 0.5);
    }

    #[test]
    fn a_phrase_is_found_only_as_whole_words() {
        assert!(has_phrase(&words("well, as an AI model"), "as an ai"));
        assert!(!has_phrase(&words("as an aid"), "as an ai"));
    }

    #[test]
    fn common_words_can_be_looked_up() {
        for word in ["about", "idk", "yours", "unless", "haha"] {
            assert!(is_common(word), "{word}: the list must be sorted");
        }
        assert!(!is_common("football"));
    }
}
