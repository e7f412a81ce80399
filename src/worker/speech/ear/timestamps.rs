//! Where in a transcript whisper may tell the time, and what that rules out.
//!
//! Whisper writes when each sentence begins and ends, in steps of 20 ms. The rules are those
//! of OpenAI's whisper (`ApplyTimestampRules` of `decoding.py`): times come in pairs around
//! text and never go back, the first is within a second, and a time is due where all times
//! together are likelier than any one piece of text. One is added: no time lies behind the
//! sound's end. A model that must say when it heard a sentence does not write it again and
//! again after it was over, which it often does without.

/// Times in a second.
const PER_SECOND: f32 = 50.0;
/// Whisper's own: what is heard begins in the first second.
const LATEST_BEGINNING: u32 = 50;
/// Times that no word fits in: 0.3 s, a little more than the margin that follows speech.
const SHORTEST: u32 = 15;

/// The rules for one sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The token that ends a text; text has smaller ones.
    end: u32,
    /// The token of 0.00 s.
    first: u32,
    /// The token of the sound's end.
    last: u32,
}

/// What may come next.
pub(super) struct Next {
    /// Of each token, the natural logarithm of its probability among what may come.
    pub(super) scores: Vec<f32>,
    /// The same of text and its end, all together.
    pub(super) text: f32,
}

impl Rules {
    /// For a sound of so many seconds, and a vocabulary whose text ends with `end` and whose
    /// times begin with `first`.
    pub(super) fn new(end: u32, first: u32, seconds: f32) -> Self {
        let steps = (seconds * PER_SECOND) as u32;
        Self {
            end,
            first,
            last: first + steps.max(1),
        }
    }

    pub(super) fn is_time(&self, token: u32) -> bool {
        token >= self.first
    }

    /// Whether a sentence ended where the sound does.
    pub(super) fn is_over(&self, written: &[u32]) -> bool {
        self.sentence_end(written)
            .is_some_and(|time| time + SHORTEST >= self.last)
    }

    /// The time that a sentence ended at, if one did just now.
    fn sentence_end(&self, written: &[u32]) -> Option<u32> {
        match written {
            [.., text, time] if !self.is_time(*text) && self.is_time(*time) => Some(*time),
            _ => None,
        }
    }

    /// What may follow what is written. In `logits`, what no text has is ruled out already.
    pub(super) fn next(&self, mut logits: Vec<f32>, written: &[u32]) -> Next {
        let known = logits.len() as u32;
        let (text_end, times) = (self.end as usize + 1, self.first as usize);
        // From this one on to before that one.
        let allowed = match written {
            [] => self.first..self.last.min(self.first + LATEST_BEGINNING + 1),
            _ => match self.sentence_end(written) {
                // The next one begins, or all ends.
                Some(time) => time..self.last,
                None if written.last().is_some_and(|it| self.is_time(*it)) => 0..0,
                None => {
                    let began = written.iter().rev().find(|it| self.is_time(**it));
                    began.map_or(self.first, |time| time + 1)..self.last + 1
                }
            },
        };
        for (id, logit) in (self.first..known).zip(&mut logits[times..]) {
            if !allowed.contains(&id) {
                *logit = f32::NEG_INFINITY;
            }
        }
        if written.is_empty() {
            logits[..times].fill(f32::NEG_INFINITY);
        } else if self.sentence_end(written).is_some() {
            logits[..self.end as usize].fill(f32::NEG_INFINITY);
        }
        let likeliest = logits[..text_end]
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
        if log_sum(&logits[times..]) > likeliest {
            logits[..times].fill(f32::NEG_INFINITY);
        }
        let (all, text) = (log_sum(&logits), log_sum(&logits[..text_end]));
        for logit in &mut logits {
            *logit -= all;
        }
        Next {
            scores: logits,
            text: text - all,
        }
    }
}

/// The logarithm of the sum of what these are logarithms of.
fn log_sum(logits: &[f32]) -> f32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if most == f32::NEG_INFINITY {
        return most;
    }
    let sum: f32 = logits.iter().map(|it| (it - most).exp()).sum();
    most + sum.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text 0 to 9, its end 10, something for the model alone, and times.
    const END: u32 = 10;
    const FIRST: u32 = 12;
    const VOCABULARY: usize = 100;

    fn rules(seconds: f32) -> Rules {
        Rules::new(END, FIRST, seconds)
    }

    /// All alike, but that the model's own are ruled out.
    fn flat() -> Vec<f32> {
        let mut logits = vec![0.0; VOCABULARY];
        logits[11] = f32::NEG_INFINITY;
        logits
    }

    /// What may follow, where text is far likelier than any time.
    fn may_follow(seconds: f32, written: &[u32]) -> Vec<u32> {
        let mut logits = flat();
        logits[..11].fill(30.0);
        let next = rules(seconds).next(logits, written);
        (0..)
            .zip(next.scores)
            .filter(|(_, score)| score.is_finite())
            .map(|(id, _)| id)
            .collect()
    }

    #[test]
    fn a_time_comes_first_and_not_behind_the_sounds_end() {
        assert_eq!(may_follow(0.2, &[]), Vec::from_iter(12..22));
        assert_eq!(may_follow(1.5, &[]), Vec::from_iter(12..63));
    }

    #[test]
    fn times_stand_in_pairs_around_text() {
        let text = Vec::from_iter(0..=END);
        let with = |times: std::ops::Range<u32>| [text.clone(), times.collect()].concat();
        assert_eq!(may_follow(0.2, &[14]), text);
        assert_eq!(may_follow(0.2, &[14, 3]), with(15..23));
        assert_eq!(
            may_follow(1.0, &[14, 3, 20]),
            [vec![END], Vec::from_iter(20..62)].concat()
        );
        assert_eq!(may_follow(1.0, &[14, 3, 20, 20]), text);
    }

    #[test]
    fn a_sentence_that_ends_with_the_sound_is_the_last() {
        assert!(rules(1.0).is_over(&[12, 3, 47]));
        assert!(!rules(1.0).is_over(&[12, 3, 46]));
        assert!(!rules(1.0).is_over(&[12, 3]));
        assert!(!rules(0.1).is_over(&[12]));
    }

    #[test]
    fn a_time_is_due_where_all_times_together_are_likelier_than_any_text() {
        let mut logits = flat();
        logits[3] = 2.0;
        let next = rules(1.0).next(logits.clone(), &[12, 3]);
        assert_eq!(
            (next.scores[3], next.text),
            (f32::NEG_INFINITY, f32::NEG_INFINITY)
        );
        logits[3] = 8.0;
        let next = rules(1.0).next(logits, &[12, 3]);
        // e⁸ and ten others of 1, and 50 times of 1.
        let text = 8.0_f32.exp() + 10.0;
        assert!((next.text - (text / (text + 50.0)).ln()).abs() < 1e-4);
    }

    proptest! {
        #[test]
        fn whoever_keeps_to_the_rules_always_has_something_to_write_and_never_goes_back(
            seconds in 0.0_f32..1.6,
            logits in proptest::collection::vec(-9.0_f32..9.0, VOCABULARY),
            picks in proptest::collection::vec(0_usize..1000, 30),
        ) {
            let rules = rules(seconds);
            let mut written = Vec::new();
            for pick in picks {
                let mut logits = logits.clone();
                logits[11] = f32::NEG_INFINITY;
                let next = rules.next(logits, &written);
                let sum: f32 = next.scores.iter().map(|it| it.exp()).sum();
                prop_assert!((sum - 1.0).abs() < 1e-3);
                let open: Vec<u32> = (0..)
                    .zip(&next.scores)
                    .filter(|(_, score)| score.is_finite())
                    .map(|(id, _)| id)
                    .collect();
                let token = open[pick % open.len()];
                if token == END {
                    break;
                }
                written.push(token);
            }
            let times: Vec<u32> = written.iter().copied().filter(|it| rules.is_time(*it)).collect();
            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().all(|time| *time <= rules.last));
        }
    }
}
