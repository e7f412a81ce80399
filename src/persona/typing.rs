//! How fast a person types, so that a bot's pace gives nothing away.

use std::time::Duration;

/// One person's pace for one reply. Whoever calls draws the three numbers:
/// normal(0.3, 0.03), normal(0.03, 0.003), gamma(2.5, 0.25), all in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Seconds to type one character.
    pub per_char: f32,
    /// Seconds to read one character of what was said before.
    pub per_previous_char: f32,
    /// Seconds of thought.
    pub thinking: f32,
}

/// When each character of one reply appears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Typing {
    before: Duration,
    per_char: Duration,
    chars: usize,
}

impl Typing {
    /// The times of a reply of `chars` characters to a line of `previous_chars`, `scale`
    /// times as slow as a person (0: at once).
    pub fn new(pace: Pace, chars: usize, previous_chars: usize, scale: f32) -> Self {
        let _ = (pace, chars, previous_chars, scale);
        unimplemented!()
    }

    /// From the moment the line before was said to the last character.
    pub fn total(&self) -> Duration {
        unimplemented!()
    }

    /// Characters that stand there after `elapsed`.
    pub fn visible_chars(&self, elapsed: Duration) -> usize {
        let _ = elapsed;
        unimplemented!()
    }
}
