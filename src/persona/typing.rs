//! How fast a person types, so that a bot's pace gives nothing away.

use std::time::Duration;

/// No reply takes longer than this, however slow its person: an hour.
const LONGEST: f32 = 3600.0;

/// Seconds that pass before anybody does anything.
const REACTION: f32 = 1.0;

/// One person's pace for one reply. Whoever calls draws the three numbers:
/// normal(0.3, 0.03), normal(0.03, 0.003), gamma(2.5, 0.25), all in seconds.
///
/// After the delay of Jones & Bergen, "People cannot distinguish GPT-4 from a human in a
/// Turing test" (2024): 1 + N(0.3, 0.03)·chars + N(0.03, 0.003)·previous chars + Γ(2.5, 0.25).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Seconds to type one character.
    pub per_char: f32,
    /// Seconds to read one character of what was said before.
    pub per_previous_char: f32,
    /// Seconds of thought.
    pub thinking: f32,
}

/// When each character of one reply appears: nothing while the person reads and thinks,
/// then one character after another at an even pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Typing {
    before: Duration,
    per_char: Duration,
    chars: usize,
}

impl Typing {
    /// The times of a reply of `chars` characters to a line of `previous_chars`, `scale`
    /// times as slow as a person (0: at once). Draws that are negative or no numbers count
    /// as 0.
    pub fn new(pace: Pace, chars: usize, previous_chars: usize, scale: f32) -> Self {
        let before = REACTION
            + pace.per_previous_char.max(0.0) * previous_chars as f32
            + pace.thinking.max(0.0);
        Self {
            before: seconds(before * scale),
            per_char: seconds(pace.per_char * scale),
            chars,
        }
    }

    /// From the moment the line before was said to the last character.
    pub fn total(&self) -> Duration {
        let chars = u32::try_from(self.chars).unwrap_or(u32::MAX);
        self.before
            .saturating_add(self.per_char.saturating_mul(chars))
    }

    /// Characters that stand there after `elapsed`: all of them from [`Self::total`] on.
    pub fn visible_chars(&self, elapsed: Duration) -> usize {
        if elapsed >= self.total() {
            return self.chars;
        }
        let Some(typing) = elapsed.checked_sub(self.before) else {
            return 0;
        };
        if self.per_char.is_zero() {
            return self.chars;
        }
        let typed = typing.as_nanos() / self.per_char.as_nanos();
        usize::try_from(typed).map_or(self.chars, |typed| typed.min(self.chars))
    }
}

/// At least 0, at most [`LONGEST`]; what is no number is 0.
fn seconds(value: f32) -> Duration {
    Duration::from_secs_f32(value.clamp(0.0, LONGEST).max(0.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace {
        per_char: 0.25,
        per_previous_char: 0.5,
        thinking: 2.0,
    };

    #[test]
    fn a_reply_takes_what_the_formula_says() {
        let typing = Typing::new(PACE, 40, 8, 1.0);
        assert_eq!(typing.total(), Duration::from_secs(1 + 10 + 4 + 2));
        assert_eq!(typing.visible_chars(Duration::from_secs(6)), 0);
        assert_eq!(typing.visible_chars(Duration::from_secs(8)), 4);
        let half = Typing::new(PACE, 40, 8, 0.5);
        assert_eq!(half.total() * 2, typing.total());
    }

    #[test]
    fn scale_zero_is_at_once() {
        let typing = Typing::new(PACE, 40, 8, 0.0);
        assert_eq!(typing.total(), Duration::ZERO);
        assert_eq!(typing.visible_chars(Duration::ZERO), 40);
    }

    proptest! {
        #[test]
        fn characters_only_ever_appear_and_all_stand_there_at_the_end(
            per_char in any::<f32>(), per_previous_char in any::<f32>(), thinking in any::<f32>(),
            scale in any::<f32>(), chars in 0usize..5_000, previous in 0usize..5_000,
            instants in prop::collection::vec(0u64..100_000, 2),
        ) {
            let pace = Pace { per_char, per_previous_char, thinking };
            let typing = Typing::new(pace, chars, previous, scale);
            let (one, two) = (instants[0].min(instants[1]), instants[0].max(instants[1]));
            let seen = |at| typing.visible_chars(Duration::from_millis(at));
            prop_assert!(seen(one) <= seen(two) && seen(two) <= chars);
            prop_assert_eq!(typing.visible_chars(typing.total()), chars);
        }
    }
}
