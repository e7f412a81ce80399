//! What of a transcript is settled while somebody still speaks.
//!
//! LocalAgreement-2 (Liu et al. 2020, *Low-Latency Sequence-to-Sequence Speech Recognition
//! and Translation by Partial Hypothesis Selection*; used for whisper by Macháček, Dabre
//! and Bojar 2023): words that two hypotheses in a row begin with alike are settled, and
//! what is settled is not taken back before the end.

/// The words that are settled, and the hypothesis that came last.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    settled: Vec<String>,
    last: Vec<String>,
}

impl Agreement {
    /// Takes the next hypothesis; gives the settled words and what it says after them.
    pub(super) fn next(&mut self, hypothesis: &str) -> String {
        let words: Vec<String> = hypothesis.split_whitespace().map(str::to_owned).collect();
        let agreed = words
            .iter()
            .zip(&self.last)
            .take_while(|(now, before)| heart(now) == heart(before))
            .count();
        if agreed > self.settled.len() {
            self.settled
                .extend_from_slice(&words[self.settled.len()..agreed]);
        }
        let rest = words.iter().skip(self.settled.len());
        let told: Vec<&str> = self
            .settled
            .iter()
            .chain(rest)
            .map(String::as_str)
            .collect();
        let told = told.join(" ");
        self.last = words;
        told
    }
}

/// A word without what is only known once the next one was heard.
fn heart(word: &str) -> String {
    word.trim_matches(|letter: char| !letter.is_alphanumeric())
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_that_was_heard_twice_stays() {
        let mut agreement = Agreement::default();
        assert_eq!(agreement.next("Who is"), "Who is");
        assert_eq!(agreement.next("Who is there"), "Who is there");
        assert_eq!(agreement.next("Who was their cat"), "Who is their cat");
        assert_eq!(agreement.next(""), "Who is");
    }

    #[test]
    fn the_newest_end_of_a_sentence_does_not_count_against_it() {
        let mut agreement = Agreement::default();
        agreement.next("Are you here?");
        assert_eq!(agreement.next("Are you here now"), "Are you here now");
        assert_eq!(agreement.settled.len(), 3);
    }

    proptest! {
        #[test]
        fn nothing_settled_is_ever_taken_back(hypotheses in proptest::collection::vec("[ab ]{0,12}", 0..12)) {
            let mut agreement = Agreement::default();
            for hypothesis in hypotheses {
                let before = agreement.settled.clone();
                let told = agreement.next(&hypothesis);
                prop_assert!(agreement.settled.starts_with(&before));
                prop_assert!(told.starts_with(&agreement.settled.join(" ")));
            }
        }
    }
}
