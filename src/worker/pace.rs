//! PURE: how long steps take, and how many tokens of prompts fit into one.
//!
//! A step's time is taken as `step + row · rows + token · tokens`: what it costs at all,
//! what each decoding row adds, and what each further token adds. The three are learnt from
//! the steps themselves by normalised least mean squares (Haykin, "Adaptive Filter Theory",
//! chapter 6): an error is spread over the terms in proportion to their share in the step,
//! weighted by how far each is from being known. Unlike a regression it does not drift
//! where all steps look alike.

use std::time::Duration;

/// Shares of an error that one step corrects, where it took longer than expected and where
/// it took shorter: a step that is too long is felt, one that is too short is not.
const RATES: (f64, f64) = (0.4, 0.25);

/// A step counts as no more than this many times what it was expected to take: one that was
/// held up by something else says little.
const HELD_UP: f64 = 3.0;

/// How far the three may lie from their first guess, squared: a machine may take a hundred
/// times longer than another one. Only their ratios matter. The smaller a token's share, the
/// less is blamed on tokens, of which there are many, when the number of rows changes.
const SPREAD: [f64; 3] = [225.0, 36.0, 1.0];

/// A first guess, in milliseconds: a small model on a few cores.
const GUESS: [f64; 3] = [5.0, 2.0, 1.0];

/// Fewest tokens of prompts in a step, so that prompts advance beside any number of rows.
pub(crate) const LEAST: usize = 16;

/// Most tokens of prompts in a step.
pub(crate) const MOST: usize = 512;

/// While nobody decodes, a step may take this many times longer: nobody waits for a token,
/// but whoever comes next waits for the step to end.
const ALONE: f64 = 4.0;

/// What a step computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Rows that decode.
    pub(crate) rows: usize,
    /// Tokens beside one per decoding row: of prompts and of drafts.
    pub(crate) tokens: usize,
}

impl Size {
    fn terms(self) -> [f64; 3] {
        [1.0, self.rows as f64, self.tokens as f64]
    }
}

/// What steps cost on this machine, as far as is known.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Milliseconds: a step, a row, a token.
    costs: [f64; 3],
    budget: f64,
}

impl Pace {
    /// Steps with rows that decode are to take no longer than `budget`.
    pub(crate) fn new(budget: Duration) -> Self {
        Self {
            costs: GUESS,
            budget: millis(budget),
        }
    }

    /// Learns from a step that took so long.
    pub(crate) fn observe(&mut self, size: Size, took: Duration) {
        let terms = size.terms();
        let expected = self.millis(size);
        let error = millis(took).min(HELD_UP * expected) - expected;
        let rate = if error > 0.0 { RATES.0 } else { RATES.1 };
        let norm: f64 = terms.iter().zip(SPREAD).map(|(x, s)| x * x * s).sum();
        for ((cost, x), spread) in self.costs.iter_mut().zip(terms).zip(SPREAD) {
            *cost = (*cost + rate * error * spread * x / norm).max(0.0);
        }
    }

    /// What a step of this size is expected to take, milliseconds.
    pub(crate) fn millis(&self, size: Size) -> f64 {
        self.costs
            .iter()
            .zip(size.terms())
            .map(|(c, x)| c * x)
            .sum()
    }

    /// How many tokens of prompts a step computes beside what it has to do anyway.
    pub(crate) fn prompt_tokens(&self, size: Size) -> usize {
        let budget = if size.rows == 0 {
            ALONE * self.budget
        } else {
            self.budget
        };
        let left = budget - self.millis(size);
        // A cost of nothing gives infinitely many, which the bounds cut.
        let tokens = (left / self.costs[2]).max(0.0) as usize;
        tokens.clamp(LEAST, MOST)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUDGET: f64 = 50.0;

    fn pace() -> Pace {
        Pace::new(Duration::from_millis(50))
    }

    proptest! {
        /// Any machine within reason: once some steps are known, few are too long, and few
        /// shorter than they might be.
        #[test]
        fn steps_keep_to_the_budget_once_the_machine_is_known(
            step in 0.05f64..15.0, row in 0.02f64..2.0, token in 0.005f64..6.0,
            loads in prop::collection::vec(1usize..9, 400),
        ) {
            let mut pace = pace();
            let cost = |size: Size| step + row * size.rows as f64 + token * size.tokens as f64;
            let (mut long, mut short) = (0, 0);
            for (at, rows) in loads.into_iter().enumerate() {
                let tokens = pace.prompt_tokens(Size { rows, tokens: 0 });
                prop_assert!((LEAST..=MOST).contains(&tokens));
                let size = Size { rows, tokens };
                let took = cost(size);
                if at >= 200 {
                    long += usize::from(took > BUDGET * 1.15 && tokens > LEAST);
                    let more = cost(Size { rows, tokens: tokens * 5 / 4 + 8 });
                    short += usize::from(more < BUDGET * 0.9 && tokens < MOST);
                }
                pace.observe(size, Duration::from_secs_f64(took / 1000.0));
            }
            prop_assert!(long <= 10 && short <= 10, "{long} of 200 too long, {short} too short");
        }
    }

    #[test]
    fn a_step_that_was_held_up_changes_little() {
        let mut pace = pace();
        let size = Size {
            rows: 2,
            tokens: 16,
        };
        let before = pace.millis(size);
        pace.observe(size, Duration::from_secs(60));
        assert!(pace.millis(size) < 2.0 * before);
    }

    #[test]
    fn alone_prompts_take_larger_steps() {
        let pace = pace();
        let alone = pace.prompt_tokens(Size::default());
        let beside = pace.prompt_tokens(Size { rows: 1, tokens: 0 });
        assert!(alone > 3 * beside, "{alone} {beside}");
    }
}
