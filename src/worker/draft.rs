//! PURE: guesses at the tokens to come, from what the text says already.
//!
//! Prompt look-up (Saxena 2023; LLMA, Yang et al. 2023): where the last few tokens occurred
//! before, what followed then may follow again. A step then computes the guess along with the next
//! token, and what is drawn decides how much of it held: the tokens are those that would
//! have been drawn without, at fewer steps.

use super::pace::{Pace, Size};

/// Tokens that must have occurred before, longest first.
const MATCHES: [usize; 2] = [3, 2];

/// How strongly a new observation counts against the earlier ones.
const MEMORY: f64 = 0.9;

/// What is likely to follow `history`: at most `most` tokens, none when it never said alike.
pub(crate) fn guess(history: &[u32], most: usize) -> Vec<u32> {
    let Some(from) = MATCHES
        .iter()
        .find_map(|&length| last_seen(history, length))
    else {
        return Vec::new();
    };
    let mut text = history.to_vec();
    // Runs on into what it guesses: so does text that repeats itself.
    for at in from..from + most {
        text.push(text[at]);
    }
    text.split_off(history.len())
}

/// Where it goes on after the latest earlier occurrence of the last `length` tokens.
fn last_seen(history: &[u32], length: usize) -> Option<usize> {
    let key = &history[history.len().checked_sub(length)?..];
    (length..history.len())
        .rev()
        .find(|&end| history[end - length..end] == *key)
}

/// How far one text's guesses can be trusted.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    held: f64,
    tried: f64,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            held: 1.0,
            tried: 2.0,
        }
    }
}

impl Trust {
    /// Compares a guess with what was drawn, token by token up to the first difference.
    pub(crate) fn learn(&mut self, guess: &[u32], drawn: &[u32]) {
        for (guess, drawn) in guess.iter().zip(drawn) {
            let holds = guess == drawn;
            self.tried = self.tried * MEMORY + 1.0;
            self.held = self.held * MEMORY + f64::from(u8::from(holds));
            if !holds {
                return;
            }
        }
    }

    /// How much of a guess is worth computing in a step of this size: what makes most tokens
    /// a second. With probability p for each token to hold, n of them are good for
    /// p + p² + … + pⁿ tokens (Leviathan et al. 2023, equation 1).
    pub(crate) fn worth(&self, most: usize, step: Size, pace: &Pace) -> usize {
        let p = self.held / self.tried;
        let speed = |tokens: usize, gained: f64| {
            let size = Size {
                tokens: step.tokens + tokens,
                ..step
            };
            (step.rows as f64 + gained) / pace.millis(size)
        };
        let mut best = (0, speed(0, 0.0));
        let (mut gained, mut share) = (0.0, 1.0);
        for tokens in 1..=most {
            share *= p;
            gained += share;
            let speed = speed(tokens, gained);
            if speed > best.1 {
                best = (tokens, speed);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_followed_the_latest_longest_match_is_guessed() {
        assert_eq!(guess(&[1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 2), [4, 9]);
        assert_eq!(guess(&[7, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 2), [5, 1]);
        assert!(guess(&[1, 2, 3, 1], 3).is_empty());
        assert!(guess(&[1, 2], 3).is_empty());
        assert!(guess(&[], 3).is_empty());
    }

    #[test]
    fn a_text_that_goes_round_is_guessed_to_go_on() {
        assert_eq!(guess(&[5, 1, 2, 1, 2, 1, 2], 5), [1, 2, 1, 2, 1]);
        assert_eq!(guess(&[4, 4, 4], 3), [4, 4, 4]);
    }

    #[test]
    fn who_guesses_badly_is_not_asked_and_may_come_back() {
        let pace = Pace::new(Duration::from_millis(50));
        let step = Size { rows: 1, tokens: 0 };
        let mut trust = Trust::default();
        assert!(trust.worth(6, step, &pace) > 0);
        for _ in 0..30 {
            trust.learn(&[1], &[2]);
        }
        assert_eq!(trust.worth(6, step, &pace), 0);
        for _ in 0..30 {
            trust.learn(&[1], &[1]);
        }
        assert_eq!(trust.worth(6, step, &pace), 6);
    }

    #[test]
    fn where_tokens_cost_as_much_as_steps_nothing_is_guessed() {
        let mut pace = Pace::new(Duration::from_millis(50));
        for tokens in (0..400).map(|at| at % 20) {
            let took = Duration::from_millis(1 + 20 * tokens);
            let tokens = tokens as usize;
            pace.observe(Size { rows: 0, tokens }, took);
        }
        assert_eq!(
            Trust::default().worth(6, Size { rows: 1, tokens: 0 }, &pace),
            0
        );
    }

    proptest! {
        #[test]
        fn a_guess_is_as_long_as_asked_and_said_before(
            history in prop::collection::vec(0u32..4, 0..60), most in 0usize..9,
        ) {
            let guess = guess(&history, most);
            prop_assert!(guess.is_empty() || guess.len() == most);
            prop_assert!(guess.iter().all(|token| history.contains(token)));
        }
    }
}
