//! From raw measurements to belief: who is human, and how sure the judge is.
//!
//! Everything is counted in log-odds that A is human, in nats. Each round gives a weight;
//! the weights of all rounds are added, shrunk for what they have in common. Whatever was
//! not measured is left out and counts for nothing.
//!
//! All that a round measured is its [`Grounds`], which are in the log: a rebuilt room
//! believes what it believed before.

pub mod many;

use crate::play::imitation::{Grounds, Seat, Verdict};

/// How much one reading may count, nats: about 97 %. Small models are far surer than right.
const READING_BOUND: f32 = 3.5;

/// What the two orders agree on is multiplied by this when words were weighed. The default
/// model leans the right way by a tenth of a nat or two, where its love of a place amounts to
/// a whole one: SmolLM2-135M under the prompt of a direct game was right in 16 of 18 pairs
/// that were written for the purpose, by 0.12 nats on average. So one such round is worth
/// about 67 %. A surer model runs into [`MEASURED_BOUND`].
const WEIGHED_GAIN: f32 = 6.0;

/// How much one round may count that was measured and not stated, nats: about 79 %. A single
/// pair of answers is too little to close a game on.
const MEASURED_BOUND: f32 = 1.3;

/// How much more surprising an answer is than the other may count, nats at most. Careful
/// people write as predictably as models do, so this is a hint and never the verdict.
const SURPRISE_BOUND: f32 = 0.6;

/// Difference of surprise, nats per token, at which about three quarters of the bound count.
const SURPRISE_SCALE: f32 = 2.0;

/// The same for curvature.
const CURVATURE_BOUND: f32 = 0.4;

/// Difference of curvature, standard deviations.
const CURVATURE_SCALE: f32 = 2.0;

/// How much the rounds of one game have in common: the same judge misreads the same
/// witness in the same way. See [`combine`].
const COMMON: f32 = 0.5;

/// A text of fewer tokens says nothing about who wrote it.
const FEWEST_TOKENS: usize = 4;

/// The judge is never quite sure: one answer is not worth more than its reader.
const SUREST: u8 = 99;

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

impl Opinion {
    fn log_odds(self) -> f32 {
        let sure = logit(f32::from(self.confidence.clamp(50, SUREST)) / 100.0);
        match self.decision {
            Seat::A => sure,
            Seat::B => -sure,
        }
    }
}

impl Reading {
    /// From the log-probabilities of "the first" and "the second" being human, in this
    /// order, with A read first and with B read first. None when one of them is no number.
    ///
    /// What the orders agree on is amplified by a measured gain; what they contradict each
    /// other in, the love of a place, stays as it is and cancels.
    pub fn weighed(a_first: [f32; 2], b_first: [f32; 2]) -> Option<Self> {
        let odds = |[first, second]: [f32; 2]| {
            let odds = first - second;
            // Certainty comes as an infinity; the bound makes it a number again.
            (!odds.is_nan()).then(|| odds.clamp(-READING_BOUND, READING_BOUND))
        };
        let (here, there) = (odds(a_first)?, -odds(b_first)?);
        let agreed = f32::midpoint(here, there) * WEIGHED_GAIN;
        let agreed = agreed.clamp(-MEASURED_BOUND, MEASURED_BOUND);
        let place = (here - there) / 2.0;
        Some(Self {
            a_first: agreed + place,
            b_first: agreed - place,
        })
    }

    /// From stated opinions, one in each order.
    pub fn stated(a_first: Opinion, b_first: Opinion) -> Self {
        Self {
            a_first: a_first.log_odds(),
            b_first: b_first.log_odds(),
        }
    }

    /// Both orders together: log-odds that A is human.
    pub fn log_odds(self) -> f32 {
        f32::midpoint(self.a_first, self.b_first)
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
    /// From the log-probability of each token, and the mean μ and variance σ² of the
    /// log-probability under the model at each position: the mean of −log p, and the
    /// conditional probability curvature (Σ log p − Σ μ) / √Σ σ² of Fast-DetectGPT (Bao et
    /// al., ICLR 2024), with the scoring model as its own reference.
    ///
    /// None for texts too short to say anything, and when the numbers make no sense.
    pub fn of(log_probs: &[f32], means: &[f32], variances: &[f32]) -> Option<Self> {
        let tokens = log_probs.len();
        if tokens < FEWEST_TOKENS || means.len() != tokens || variances.len() != tokens {
            return None;
        }
        let total = |of: &[f32]| of.iter().copied().map(f64::from).sum::<f64>();
        let log_prob = total(log_probs);
        let per_token = (-log_prob / tokens as f64) as f32;
        if !per_token.is_finite() {
            return None;
        }
        let curvature = ((log_prob - total(means)) / total(variances).sqrt()) as f32;
        Some(Self {
            per_token,
            curvature: curvature.is_finite().then_some(curvature),
        })
    }
}

/// Everything that was measured in one round, in the form that is kept in the log. Missing
/// measurements are left out.
pub fn grounds(
    reading: Option<Reading>,
    surprise_a: Option<Surprise>,
    surprise_b: Option<Surprise>,
) -> Grounds {
    Grounds {
        a_read_first: reading.map(|reading| logistic(reading.a_first)),
        b_read_first: reading.map(|reading| logistic(reading.b_first)),
        surprise_a: surprise_a.map(|surprise| surprise.per_token),
        surprise_b: surprise_b.map(|surprise| surprise.per_token),
        curvature_a: surprise_a.and_then(|surprise| surprise.curvature),
        curvature_b: surprise_b.and_then(|surprise| surprise.curvature),
    }
}

/// What the judge believes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    /// That A is human.
    log_odds: f32,
}

impl Belief {
    /// Who is human, more likely than not. A if nothing speaks for either: the confidence
    /// is then a half.
    pub fn decision(self) -> Seat {
        if self.log_odds >= 0.0 {
            Seat::A
        } else {
            Seat::B
        }
    }

    /// Probability that [`Self::decision`] is right, percent, 50 to 99.
    pub fn confidence(self) -> u8 {
        let percent = (100.0 * logistic(self.log_odds.abs())).round();
        // In range by the clamp, so the cast is exact.
        percent.clamp(50.0, f32::from(SUREST)) as u8
    }

    /// Probability that A is human.
    pub fn a_is_human(self) -> f32 {
        logistic(self.log_odds)
    }

    /// Decision and confidence together.
    pub fn opinion(self) -> Opinion {
        Opinion {
            decision: self.decision(),
            confidence: self.confidence(),
        }
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
///
/// Were the rounds independent, their log-odds would add up; were they all alike, only the
/// mean would count. With k readings of which every pair correlates by c, the sum is worth
/// Σ / (1 + (k − 1) c): the design effect of clustered samples (Kish, Survey Sampling, 1965).
pub fn combine(rounds: &[&Grounds]) -> Belief {
    belief(rounds.iter().copied())
}

/// What would be believed had round `left_out` (from 0) not been played.
pub fn without_round(rounds: &[&Grounds], left_out: usize) -> Belief {
    let kept = rounds
        .iter()
        .enumerate()
        .filter(|(round, _)| *round != left_out);
    belief(kept.map(|(_, grounds)| *grounds))
}

fn belief<'a>(rounds: impl Iterator<Item = &'a Grounds>) -> Belief {
    let weights: Vec<f32> = rounds.filter_map(weight).collect();
    let sum: f32 = weights.iter().sum();
    let others = weights.len().saturating_sub(1) as f32;
    Belief {
        log_odds: sum / (1.0 + others * COMMON),
    }
}

/// Log-odds that A is human, from one round alone; none when nothing was measured.
fn weight(grounds: &Grounds) -> Option<f32> {
    let both = |a: Option<f32>, b: Option<f32>| Some((finite(a)?, finite(b)?));
    let reading = both(grounds.a_read_first, grounds.b_read_first)
        .map(|(a, b)| f32::midpoint(logit(a), logit(b)).clamp(-READING_BOUND, READING_BOUND));
    let surprise = both(grounds.surprise_a, grounds.surprise_b)
        .map(|(a, b)| SURPRISE_BOUND * ((a - b) / SURPRISE_SCALE).tanh());
    // A text that fits the model better than the model expects reads like its own.
    let curvature = both(grounds.curvature_a, grounds.curvature_b)
        .map(|(a, b)| CURVATURE_BOUND * ((b - a) / CURVATURE_SCALE).tanh());
    let likelihood = surprise.into_iter().chain(curvature).reduce(|a, b| a + b);
    match (reading, likelihood) {
        (reading, None) => reading,
        (reading, Some(likelihood)) => {
            let sum = reading.unwrap_or_default() + likelihood;
            Some(sum.clamp(-MEASURED_BOUND, MEASURED_BOUND))
        }
    }
}

fn finite(value: Option<f32>) -> Option<f32> {
    value.filter(|value| value.is_finite())
}

fn logistic(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// Bounded away from certainty, in the same way on both sides.
fn logit(probability: f32) -> f32 {
    let p = probability.clamp(1e-4, 1.0 - 1e-4);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(a_first: f32, b_first: f32) -> Grounds {
        grounds(Some(Reading { a_first, b_first }), None, None)
    }

    fn one(grounds: &Grounds) -> Belief {
        combine(&[grounds])
    }

    /// The same measurements with the witnesses' chairs exchanged.
    fn mirrored(grounds: &Grounds) -> Grounds {
        Grounds {
            a_read_first: grounds.b_read_first.map(|p| 1.0 - p),
            b_read_first: grounds.a_read_first.map(|p| 1.0 - p),
            surprise_a: grounds.surprise_b,
            surprise_b: grounds.surprise_a,
            curvature_a: grounds.curvature_b,
            curvature_b: grounds.curvature_a,
        }
    }

    prop_compose! {
        fn any_grounds()(
            readings in prop::option::of((0.0f32..=1.0, 0.0f32..=1.0)),
            surprises in prop::option::of((0.0f32..20.0, 0.0f32..20.0)),
            curvatures in prop::option::of((-9.0f32..9.0, -9.0f32..9.0)),
        ) -> Grounds {
            Grounds {
                a_read_first: readings.map(|r| r.0),
                b_read_first: readings.map(|r| r.1),
                surprise_a: surprises.map(|s| s.0),
                surprise_b: surprises.map(|s| s.1),
                curvature_a: curvatures.map(|c| c.0),
                curvature_b: curvatures.map(|c| c.1),
            }
        }
    }

    proptest! {
        #[test]
        fn a_judge_that_always_says_the_first_one_believes_nothing(
            sure in 0.0f32..200.0,
        ) {
            // "First" is A in one order and B in the other.
            let said = [-1e-6, -sure];
            let reading = Reading::weighed(said, said).expect("numbers");
            let belief = one(&grounds(Some(reading), None, None));
            prop_assert!(reading.log_odds().abs() < 1e-3);
            prop_assert_eq!(belief.confidence(), 50);
        }

        #[test]
        fn the_chairs_do_not_matter(rounds in prop::collection::vec(any_grounds(), 0..6)) {
            let mirror: Vec<Grounds> = rounds.iter().map(mirrored).collect();
            let here = combine(&rounds.iter().collect::<Vec<_>>());
            let there = combine(&mirror.iter().collect::<Vec<_>>());
            prop_assert!((here.a_is_human() + there.a_is_human() - 1.0).abs() < 1e-3);
        }

        #[test]
        fn a_belief_is_always_a_probability(
            rounds in prop::collection::vec(any_grounds(), 0..50),
        ) {
            let belief = combine(&rounds.iter().collect::<Vec<_>>());
            prop_assert!((50..=99).contains(&belief.confidence()));
            prop_assert!((0.0..=1.0).contains(&belief.a_is_human()));
        }

        #[test]
        fn likelihood_alone_never_convinces(
            surprises in prop::collection::vec((0.0f32..50.0, 0.0f32..50.0, -50.0f32..50.0), 1..20),
        ) {
            let rounds: Vec<Grounds> = surprises.iter().map(|(a, b, c)| Grounds {
                surprise_a: Some(*a), surprise_b: Some(*b),
                curvature_a: Some(*c), curvature_b: Some(-c),
                ..Grounds::default()
            }).collect();
            prop_assert!(combine(&rounds.iter().collect::<Vec<_>>()).confidence() < 90);
        }

        #[test]
        fn the_belief_survives_the_log(rounds in prop::collection::vec(any_grounds(), 0..6)) {
            let stored = serde_json::to_string(&rounds).expect("plain numbers");
            let again: Vec<Grounds> = serde_json::from_str(&stored).expect("as written");
            prop_assert_eq!(
                combine(&again.iter().collect::<Vec<_>>()),
                combine(&rounds.iter().collect::<Vec<_>>())
            );
        }
    }

    #[test]
    fn one_measured_round_never_convinces() {
        let certain = Reading::weighed([0.0, f32::NEG_INFINITY], [f32::NEG_INFINITY, 0.0]);
        let sloppy = Surprise::of(&[-9.0; 8], &[-3.0; 8], &[1.0; 8]);
        let smooth = Surprise::of(&[-0.5; 8], &[-3.0; 8], &[1.0; 8]);
        let strongest = grounds(certain, sloppy, smooth);
        assert_eq!(one(&strongest).decision(), Seat::A);
        assert_eq!(one(&strongest).confidence(), 79);
        assert!(combine(&[&strongest, &strongest]).confidence() >= 80);
        assert!(one(&grounds(certain, None, None)).confidence() < 80);
    }

    #[test]
    fn both_orders_agreeing_count_as_one_reading() {
        let belief = one(&read(2.0, 2.0));
        assert_eq!(belief.decision(), Seat::A);
        assert_eq!(belief.confidence(), 88);
    }

    #[test]
    fn weighed_options_mean_the_witness_who_was_read_there() {
        // In both orders the judge points at A: first in one, second in the other.
        let for_a = Reading::weighed([-0.1, -0.3], [-0.3, -0.1]).expect("numbers");
        assert!((for_a.log_odds() - 0.2 * WEIGHED_GAIN).abs() < 1e-4);
        assert_eq!(Reading::weighed([f32::NAN, 0.0], [0.0, 0.0]), None);
        let certain = Reading::weighed([0.0, f32::NEG_INFINITY], [f32::NEG_INFINITY, 0.0]);
        assert_eq!(certain.expect("bounded").log_odds(), MEASURED_BOUND);
    }

    #[test]
    fn stated_opinions_that_contradict_each_other_cancel() {
        let say = |decision, confidence| Opinion {
            decision,
            confidence,
        };
        let torn = Reading::stated(say(Seat::A, 90), say(Seat::B, 90));
        assert_eq!(torn.log_odds(), 0.0);
        let sure = Reading::stated(say(Seat::B, 80), say(Seat::B, 80));
        let belief = one(&grounds(Some(sure), None, None));
        assert_eq!((belief.decision(), belief.confidence()), (Seat::B, 80));
    }

    #[test]
    fn more_rounds_that_agree_make_surer_but_less_than_independent_ones_would() {
        let round = read(1.0, 1.0);
        let after = |n: usize| combine(&vec![&round; n]);
        assert!(after(1).confidence() < after(3).confidence());
        assert!(after(3).a_is_human() < logistic(3.0));
        assert!(after(50).a_is_human() < logistic(1.0 / COMMON) + 1e-3);
    }

    #[test]
    fn a_round_without_measurements_changes_nothing() {
        let (round, nothing) = (read(1.0, 0.5), Grounds::default());
        assert_eq!(combine(&[&round, &nothing]), combine(&[&round]));
        assert_eq!(combine(&[]).confidence(), 50);
        assert_eq!(one(&nothing).confidence(), 50);
    }

    #[test]
    fn the_round_left_out_is_the_one_that_is_named() {
        let (for_a, for_b) = (read(3.0, 3.0), read(-1.0, -1.0));
        let rounds = [&for_a, &for_b];
        assert_eq!(combine(&rounds).decision(), Seat::A);
        assert_eq!(without_round(&rounds, 0), combine(&[&for_b]));
        assert_eq!(without_round(&rounds, 1), combine(&[&for_a]));
        assert_eq!(without_round(&rounds, 2), combine(&rounds));
    }

    #[test]
    fn the_more_surprising_answer_looks_human() {
        let sloppy = Surprise::of(&[-5.0; 8], &[-3.0; 8], &[1.0; 8]);
        let smooth = Surprise::of(&[-1.5; 8], &[-3.0; 8], &[1.0; 8]);
        assert_eq!(one(&grounds(None, sloppy, smooth)).decision(), Seat::A);
        assert_eq!(one(&grounds(None, smooth, sloppy)).decision(), Seat::B);
        assert_eq!(one(&grounds(None, smooth, None)).confidence(), 50);
    }

    #[test]
    fn curvature_is_what_the_paper_says() {
        let surprise = Surprise::of(
            &[-1.0, -2.0, -3.0, -2.0],
            &[-2.0, -3.0, -3.0, -4.0],
            &[1.0, 2.0, 3.0, 3.0],
        )
        .expect("long enough");
        assert_eq!(surprise.per_token, 2.0);
        // (−8 + 12) / √9
        assert!((surprise.curvature.expect("varied") - 4.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn texts_that_say_nothing_give_no_feature() {
        assert_eq!(Surprise::of(&[-1.0; 3], &[-1.0; 3], &[1.0; 3]), None);
        assert_eq!(Surprise::of(&[-1.0; 5], &[-1.0; 4], &[1.0; 5]), None);
        assert_eq!(
            Surprise::of(&[f32::NEG_INFINITY; 5], &[-1.0; 5], &[1.0; 5]),
            None
        );
        let flat = Surprise::of(&[-1.0; 5], &[-1.0; 5], &[0.0; 5]).expect("long enough");
        assert_eq!(flat.curvature, None);
    }
}
