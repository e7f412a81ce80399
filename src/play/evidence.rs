//! From raw measurements to belief: who is human, and how sure the judge is.

use crate::play::imitation::{Grounds, Seat, Verdict};

/// Log-odds that A is human, from one look at the answers in each order.
///
/// Language models favour a place in the list. Averaged in logit space that bias cancels:
/// a judge that always says "the first one" gives 0, a half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// With A's answers read first.
    pub a_first: f32,
    /// With B's answers read first.
    pub b_first: f32,
}

/// What a judge that only states its opinion said, already in terms of the true seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    pub decision: Seat,
    /// Percent.
    pub confidence: u8,
}

impl Reading {
    /// From the log-probabilities of "the first" and "the second" being human, in this order,
    /// with A read first and with B read first. None when a number is not finite enough to use.
    pub fn weighed(a_first: [f32; 2], b_first: [f32; 2]) -> Option<Self> {
        let _ = (a_first, b_first);
        unimplemented!()
    }

    /// From stated opinions, one in each order.
    pub fn stated(a_first: Opinion, b_first: Opinion) -> Self {
        let _ = (a_first, b_first);
        unimplemented!()
    }

    /// Both orders together: log-odds that A is human.
    pub fn log_odds(self) -> f32 {
        unimplemented!()
    }
}

/// How a text looks under the model's own distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surprise {
    /// Mean nats per token.
    pub per_token: f32,
    /// Standard deviations above what the model expects of its own text.
    pub curvature: Option<f32>,
}

impl Surprise {
    /// From the log-probability of each token, and the mean and variance of the
    /// log-probability under the model at each position. None for texts too short to say
    /// anything, and when the lists do not match.
    pub fn of(log_probs: &[f32], means: &[f32], variances: &[f32]) -> Option<Self> {
        let _ = (log_probs, means, variances);
        unimplemented!()
    }
}

/// Everything that was measured in one round, in the form that is kept in the log. Missing
/// measurements are left out.
pub fn grounds(
    reading: Option<Reading>,
    surprise_a: Option<Surprise>,
    surprise_b: Option<Surprise>,
) -> Grounds {
    let _ = (reading, surprise_a, surprise_b);
    unimplemented!()
}

/// What the judge believes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    /// Log-odds that A is human.
    log_odds: f32,
}

impl Belief {
    /// Who is human, more likely than not.
    pub fn decision(self) -> Seat {
        unimplemented!()
    }

    /// Probability that [`Self::decision`] is right, percent, 50 to 99.
    pub fn confidence(self) -> u8 {
        unimplemented!()
    }

    /// Probability that A is human.
    pub fn a_is_human(self) -> f32 {
        unimplemented!()
    }

    /// The verdict that this belief amounts to.
    pub fn verdict(self, reasoning: String, grounds: Grounds) -> Verdict {
        Verdict {
            reasoning,
            decision: self.decision(),
            confidence: self.confidence(),
            grounds,
        }
    }
}

/// What all rounds up to now make likely; pass the grounds of every round, this one's last.
pub fn combine(rounds: &[&Grounds]) -> Belief {
    let _ = rounds;
    unimplemented!()
}

/// What would be believed had round `left_out` (from 0) not been played.
pub fn without_round(rounds: &[&Grounds], left_out: usize) -> Belief {
    let _ = (rounds, left_out);
    unimplemented!()
}
