//! PURE: one text out of several attempts to write it.
//!
//! A request's seed makes its tokens, so that a second attempt says what the first one said:
//! the reader goes on where it stood, and what it has already is compared instead of shown
//! again. Where a worker says something else after all (other weights, another precision), or
//! where a part of the text got lost on the way, the text is torn: the reader must be told to
//! begin anew.

use crate::wire::{fleet::Answer, worker::TokenLogProb};

/// Bytes of a text beyond which its worker has gone wrong.
const LONGEST: usize = 4 << 20;

/// The text does not go on where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Torn;

/// Which attempt counts: the newest that was heard of.
#[derive(Debug, Default)]
pub(super) struct Current(u32);

impl Current {
    /// Whether an answer counts.
    pub(super) fn admits(&mut self, answer: &Answer) -> bool {
        self.hears(answer.attempt)
    }

    fn hears(&mut self, attempt: u32) -> bool {
        self.0 = self.0.max(attempt);
        self.0 == attempt
    }

    /// Whether any worker has begun.
    pub(super) fn begun(&self) -> bool {
        self.0 > 0
    }
}

/// What a reader has got so far.
#[derive(Debug, Default)]
pub(super) struct Splice {
    text: String,
    /// Tokens whose log-probabilities were told.
    told: Vec<u32>,
}

impl Splice {
    /// Takes a piece of the current attempt: its text stands `at` bytes from the beginning,
    /// its log-probabilities come after `told` others. Gives what is new to the reader.
    pub(super) fn piece(
        &mut self,
        at: u64,
        text: &str,
        told: u64,
        logprobs: Vec<TokenLogProb>,
    ) -> Result<(String, Vec<TokenLogProb>), Torn> {
        let known = overlap(self.text.as_bytes(), at, text.as_bytes()).ok_or(Torn)?;
        let tokens: Vec<u32> = logprobs.iter().map(|logprob| logprob.token).collect();
        let known_tokens = overlap(&self.told, told, &tokens).ok_or(Torn)?;
        // Equal bytes end where a character ends, on both sides.
        let news = text.get(known..).ok_or(Torn)?;
        if self.text.len() + news.len() > LONGEST {
            return Err(Torn);
        }
        self.text.push_str(news);
        self.told.extend(&tokens[known_tokens..]);
        let logprobs = logprobs.into_iter().skip(known_tokens).collect();
        Ok((news.to_owned(), logprobs))
    }

    /// Whether this is all of a text that has so many bytes.
    pub(super) fn is_whole(&self, bytes: u64) -> bool {
        bytes == self.text.len() as u64
    }
}

/// How much of `more`, which stands at `at`, is in `have` already; `None` where it says
/// something else, or where something between the two is missing.
fn overlap<T: PartialEq>(have: &[T], at: u64, more: &[T]) -> Option<usize> {
    let behind = have.get(usize::try_from(at).ok()?..)?;
    let known = behind.len().min(more.len());
    (behind[..known] == more[..known]).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn logprob(token: u32) -> TokenLogProb {
        TokenLogProb {
            token,
            bytes: Vec::new(),
            log_prob: 0.0,
            top: Vec::new(),
        }
    }

    /// One of several workers that write the same text, cut at other places.
    #[derive(Clone, Debug)]
    struct Writer {
        /// Characters of each piece.
        cuts: Vec<usize>,
        /// Pieces after which it dies.
        dies: usize,
        /// Whether it says something else.
        wrong: bool,
    }

    fn writer() -> impl Strategy<Value = Writer> {
        let cuts = prop::collection::vec(1usize..6, 1..20);
        (cuts, 0usize..12, prop::bool::weighted(0.1)).prop_map(|(cuts, dies, wrong)| Writer {
            cuts,
            dies,
            wrong,
        })
    }

    /// Pieces of `text`, each with where it stands.
    fn pieces(text: &[char], cuts: &[usize]) -> Vec<(u64, String, u64)> {
        let (mut pieces, mut at, mut bytes) = (Vec::new(), 0, 0);
        for cut in cuts.iter().cycle() {
            if at == text.len() {
                break;
            }
            let end = (at + cut).min(text.len());
            let piece: String = text[at..end].iter().collect();
            let length = piece.len() as u64;
            pieces.push((bytes, piece, at as u64));
            bytes += length;
            at = end;
        }
        pieces
    }

    proptest! {
        /// However often its writer is lost, wherever each of them cuts, and though what was
        /// read is read again after a connection broke: a reader sees one text, once, or is
        /// told to begin anew.
        #[test]
        fn a_reader_sees_no_line_twice_and_no_half_of_one(
            text in "[a-zé… ]{1,40}",
            writers in prop::collection::vec(writer(), 1..5),
            again in prop::collection::vec(any::<bool>(), 80),
            lost in prop::option::weighted(0.2, 0usize..30),
        ) {
            let one_voice = writers.iter().all(|writer| !writer.wrong);
            let lost = lost.filter(|_| one_voice);
            let wrong: String = "!".chars().chain(text.chars().skip(1)).collect();
            let (mut current, mut splice) = (Current::default(), Splice::default());
            let (mut seen, mut tokens) = (String::new(), Vec::new());
            let (mut again, mut count) = (again.into_iter().cycle(), 0);
            let (last, mut torn) = (writers.len() - 1, false);
            'all: for (n, writer) in writers.iter().enumerate() {
                let says = if writer.wrong { &wrong } else { &text };
                let mut pieces = pieces(&says.chars().collect::<Vec<_>>(), &writer.cuts);
                if n < last {
                    pieces.truncate(writer.dies);
                }
                for (at, piece, told) in pieces {
                    count += 1;
                    if lost == Some(count) {
                        continue;
                    }
                    for _ in 0..1 + usize::from(again.next() == Some(true)) {
                        prop_assert!(current.hears(n as u32 + 1));
                        let tell = (told as u32..).take(piece.chars().count());
                        match splice.piece(at, &piece, told, tell.map(logprob).collect()) {
                            Ok((news, logprobs)) => {
                                seen.push_str(&news);
                                tokens.extend(logprobs.iter().map(|l| l.token));
                            }
                            Err(Torn) => {
                                torn = true;
                                break 'all;
                            }
                        }
                        // Who was thought dead wakes up and goes on.
                        prop_assert!(n == 0 || !current.hears(n as u32));
                    }
                }
            }
            prop_assert!(text.starts_with(&seen) || wrong.starts_with(&seen));
            prop_assert_eq!(tokens.len(), seen.chars().count());
            prop_assert!(tokens.iter().copied().eq(0..tokens.len() as u32));
            let says = if writers[last].wrong { &wrong } else { &text };
            let whole = !torn && splice.is_whole(says.len() as u64);
            if whole {
                prop_assert_eq!(&seen, says);
            }
            prop_assert!(whole || !one_voice || lost.is_some());
        }

        #[test]
        fn whatever_a_piece_claims_the_text_only_grows(
            claims in prop::collection::vec((any::<u64>(), 0u64..12, "[aé]{0,3}", 0u64..4), 0..30),
        ) {
            let mut splice = Splice::default();
            let mut seen = String::new();
            for (wild, near, text, told) in claims {
                let at = if wild % 4 == 0 { wild } else { near };
                if let Ok((news, _)) = splice.piece(at, &text, told, vec![]) {
                    seen.push_str(&news);
                }
                prop_assert!(splice.is_whole(seen.len() as u64));
            }
        }
    }

    #[test]
    fn what_a_late_writer_of_an_older_attempt_says_does_not_count() {
        let mut current = Current::default();
        assert!(!current.begun());
        for (attempt, counts) in [
            (1, true),
            (1, true),
            (3, true),
            (1, false),
            (2, false),
            (3, true),
        ] {
            assert_eq!(current.hears(attempt), counts);
        }
        assert!(current.begun());
    }

    #[test]
    fn two_workers_that_differ_are_not_taken_for_one() {
        let mut splice = Splice::default();
        assert_eq!(
            splice.piece(0, "one", 0, vec![]),
            Ok(("one".into(), vec![]))
        );
        assert_eq!(
            splice.piece(0, "on", 0, vec![]),
            Ok((String::new(), vec![]))
        );
        assert_eq!(splice.piece(2, "x", 0, vec![]), Err(Torn));
        assert_eq!(splice.piece(4, "gap", 0, vec![]), Err(Torn));
        assert!(splice.is_whole(3) && !splice.is_whole(2) && !splice.is_whole(4));
    }
}
