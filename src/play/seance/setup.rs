//! Which setups can be held.

use super::{Refusal, SITTERS, Setup};

/// A day, milliseconds: longer limits are taken for mistakes.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Setup {
    /// # Errors
    /// When a séance cannot be held so.
    pub fn check(&self) -> Result<(), Refusal> {
        let bad = |why| Err(Refusal::BadSetup(why));
        if !SITTERS.contains(&self.sitters) {
            return bad("one person at least and eight at most may ask");
        }
        let times = [
            self.idle_ms,
            self.idle_while_waited_ms,
            self.turn_ms,
            self.listening_ms,
            self.silence_ms,
            self.alone_pause_ms,
        ];
        if times.iter().any(|time| !(1..=DAY_MS).contains(time)) {
            return bad("every time is a millisecond at least and a day at most");
        }
        if self.question_limit == 0 {
            return bad("a question must have room for a character");
        }
        if self.silences == 0 {
            return bad("the spirit must be allowed one silence");
        }
        Ok(())
    }
}
