//! From measurements of two to eight witnesses to a belief about each.
//!
//! As for two, everything is counted in log-odds, in nats, but of each witness against the
//! others: what speaks for all alike speaks for nobody. How many people sit among the
//! witnesses is known to all, so that the beliefs add up to that many.
//!
//! A table of one person and one machine believes what the game of two would.

use super::{
    COMMON, CURVATURE_BOUND, CURVATURE_SCALE, MEASURED_BOUND, READING_BOUND, SUREST,
    SURPRISE_BOUND, SURPRISE_SCALE, Surprise, finite, logit,
};
use crate::play::party::{Belief, Chair, Opinion};

/// Which witnesses to hold against each other: each one and the next, and the last one and
/// the first, so that there are as many comparisons as witnesses (and one of two).
pub fn ring(answered: &[Chair]) -> Vec<[Chair; 2]> {
    match answered {
        [] | [_] => Vec::new(),
        [one, other] => vec![[*one, *other]],
        all => {
            let next = all.iter().cycle().skip(1);
            all.iter().zip(next).map(|(a, b)| [*a, *b]).collect()
        }
    }
}

/// How much each witness reads like a person, against their mean, from the log-odds of each
/// pair of [`ring`] that the first of it is the person; none where nothing was measured.
///
/// The strengths whose differences come nearest to the measured ones in squares: what the
/// ring does not close by is shared out equally among its links (the least squares of
/// paired comparisons: Mosteller, Psychometrika 16, 1951).
pub fn compared(witnesses: usize, pairs: &[Option<f32>]) -> Vec<f32> {
    let differences: Vec<f32> = pairs
        .iter()
        .map(|pair| finite(*pair).unwrap_or_default())
        .collect();
    let gap = if differences.len() > 2 {
        differences.iter().sum::<f32>() / differences.len() as f32
    } else {
        0.0
    };
    let mut strengths = vec![0.0f32; witnesses];
    for at in 1..witnesses {
        let link = differences.get(at - 1).map_or(0.0, |d| d - gap);
        strengths[at] = strengths[at - 1] - link;
    }
    centred(strengths)
}

/// The same from what a judge states: for each witness the probability of being a person,
/// percent, once for each order in which the witnesses were read.
pub fn stated(forms: &[Vec<u8>]) -> Vec<f32> {
    let witnesses = forms.iter().map(Vec::len).min().unwrap_or_default();
    let log_odds = |witness: usize| {
        let sum: f32 = forms
            .iter()
            .map(|form| logit(f32::from(form[witness].clamp(1, SUREST)) / 100.0))
            .sum();
        sum / forms.len().max(1) as f32
    };
    centred((0..witnesses).map(log_odds).collect())
}

fn centred(mut strengths: Vec<f32>) -> Vec<f32> {
    let mean = strengths.iter().sum::<f32>() / strengths.len().max(1) as f32;
    for strength in &mut strengths {
        *strength -= mean;
    }
    strengths
}

/// What one round told about one witness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    pub chair: Chair,
    /// From [`compared`] or [`stated`].
    pub strength: Option<f32>,
    pub surprise: Option<Surprise>,
}

/// What is believed after a round of which `told` is known, with the opinions of the rounds
/// before, when `people` of the open `chairs` hold people.
pub fn beliefs(
    chairs: &[Chair],
    people: usize,
    earlier: &[&Opinion],
    told: &[Told],
) -> Vec<Belief> {
    let readings: Vec<Option<f32>> = chairs.iter().map(|chair| reading(*chair, told)).collect();
    let log_odds: Vec<f32> = chairs
        .iter()
        .zip(&readings)
        .map(|(chair, now)| {
            let before = earlier.iter().filter_map(|opinion| {
                let mut beliefs = opinion.beliefs.iter();
                finite(beliefs.find(|belief| belief.chair == *chair)?.reading)
            });
            let all: Vec<f32> = before.chain(*now).collect();
            // The rounds of one game have much in common: see `combine`.
            let others = all.len().saturating_sub(1) as f32;
            all.iter().sum::<f32>() / (1.0 + others * COMMON)
        })
        .collect();
    let shares = shares(&log_odds, people);
    chairs
        .iter()
        .zip(readings)
        .zip(shares)
        .map(|((chair, reading), share)| {
            let surprise = told
                .iter()
                .find(|told| told.chair == *chair)
                .and_then(|told| told.surprise);
            let surest = f64::from(SUREST);
            Belief {
                chair: *chair,
                // In range by the clamp, so the cast is exact.
                human: (100.0 * share).round().clamp(100.0 - surest, surest) as u8,
                reading,
                surprise: surprise.map(|surprise| surprise.per_token),
                curvature: surprise.and_then(|surprise| surprise.curvature),
            }
        })
        .collect()
}

/// What one round alone says about one witness: half of what it says about two of them.
fn reading(chair: Chair, told: &[Told]) -> Option<f32> {
    let own = told.iter().find(|told| told.chair == chair)?;
    let against = |of: &dyn Fn(&Told) -> Option<f32>| {
        let others: Vec<f32> = told
            .iter()
            .filter(|told| told.chair != chair)
            .filter_map(|told| finite(of(told)))
            .collect();
        let mean = others.iter().sum::<f32>() / others.len() as f32;
        (!others.is_empty()).then_some(finite(of(own))? - mean)
    };
    let strength = finite(own.strength).map(|s| s.clamp(-READING_BOUND / 2.0, READING_BOUND / 2.0));
    let surprise = against(&|told| Some(told.surprise?.per_token))
        .map(|more| SURPRISE_BOUND / 2.0 * (more / SURPRISE_SCALE).tanh());
    // A text that fits the model better than the model expects reads like its own.
    let curvature = against(&|told| told.surprise?.curvature)
        .map(|more| CURVATURE_BOUND / 2.0 * (-more / CURVATURE_SCALE).tanh());
    let likelihood = surprise.into_iter().chain(curvature).reduce(|a, b| a + b);
    match (strength, likelihood) {
        (strength, None) => strength,
        (strength, Some(likelihood)) => {
            let sum = strength.unwrap_or_default() + likelihood;
            Some(sum.clamp(-MEASURED_BOUND / 2.0, MEASURED_BOUND / 2.0))
        }
    }
}

/// The probability of each to be among the `people` when exactly so many of them are and each
/// has these log-odds alone: the conditional Bernoulli distribution (Chen, Dempster & Liu,
/// "Weighted finite population sampling to maximize entropy", Biometrika 81, 1994).
fn shares(log_odds: &[f32], people: usize) -> Vec<f64> {
    let witnesses = log_odds.len();
    if people == 0 || people >= witnesses {
        let all = if people == 0 { 0.0 } else { 1.0 };
        return vec![all; witnesses];
    }
    let odds: Vec<f64> = log_odds.iter().map(|l| f64::from(*l).exp()).collect();
    let with_all = sums(odds.iter().copied(), people);
    (0..witnesses)
        .map(|chosen| {
            let others = odds.iter().enumerate().filter(|(at, _)| *at != chosen);
            let without = sums(others.map(|(_, odds)| *odds), people - 1);
            odds[chosen] * without[people - 1] / with_all[people]
        })
        .collect()
}

/// Sums of products of the odds over all choices of 0, 1, … `most` of them.
fn sums(odds: impl Iterator<Item = f64>, most: usize) -> Vec<f64> {
    let mut sums = vec![0.0; most + 1];
    sums[0] = 1.0;
    for odds in odds {
        for size in (1..=most).rev() {
            sums[size] += odds * sums[size - 1];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::play::evidence::{Reading, combine, grounds};

    fn chairs(count: u8) -> Vec<Chair> {
        (0..count).map(Chair).collect()
    }

    fn told(chair: u8, strength: f32) -> Told {
        Told {
            chair: Chair(chair),
            strength: Some(strength),
            surprise: None,
        }
    }

    fn opinion(beliefs: Vec<Belief>) -> Opinion {
        Opinion {
            reasoning: String::new(),
            beliefs,
        }
    }

    prop_compose! {
        fn any_surprise()(per_token in 0.0f32..9.0, curvature in prop::option::of(-9.0f32..9.0))
            -> Surprise {
            Surprise { per_token, curvature }
        }
    }

    proptest! {
        #[test]
        fn a_table_of_two_believes_what_the_game_of_two_does(
            rounds in prop::collection::vec(
                (prop::option::of(-3.0f32..3.0), any_surprise(), any_surprise()), 1..5),
        ) {
            let mut all = Vec::new();
            let mut opinions: Vec<Opinion> = Vec::new();
            for (odds, a, b) in rounds {
                let reading = odds.map(|odds| Reading { a_first: odds, b_first: odds });
                all.push(grounds(reading, Some(a), Some(b)));
                let strengths = odds.map(|odds| compared(2, &[Some(odds)]));
                let told = [(0, a), (1, b)].map(|(at, surprise)| Told {
                    chair: Chair(at as u8),
                    strength: strengths.as_ref().map(|strengths| strengths[at]),
                    surprise: Some(surprise),
                });
                let earlier: Vec<&Opinion> = opinions.iter().collect();
                opinions.push(opinion(beliefs(&chairs(2), 1, &earlier, &told)));
            }
            let game = combine(&all.iter().collect::<Vec<_>>()).a_is_human();
            let table = opinions.last().expect("a round").beliefs[0].human;
            prop_assert!((f32::from(table) - 100.0 * game).abs() <= 0.51, "{table} {game}");
        }

        #[test]
        fn beliefs_add_up_to_the_people_there_are(
            strengths in prop::collection::vec(-4.0f32..4.0, 2..9), people in 1usize..8,
        ) {
            let people = people.min(strengths.len() - 1);
            let told: Vec<Told> =
                strengths.iter().zip(0..).map(|(strength, at)| told(at, *strength)).collect();
            let chairs = chairs(told.len() as u8);
            let total: u32 =
                beliefs(&chairs, people, &[], &told).iter().map(|b| u32::from(b.human)).sum();
            let off = total.abs_diff(100 * people as u32);
            prop_assert!(off as usize <= chairs.len(), "{total}");
        }

        #[test]
        fn comparisons_that_agree_are_found_again(
            strengths in prop::collection::vec(-2.0f32..2.0, 2..9),
        ) {
            let pairs: Vec<Option<f32>> = ring(&chairs(strengths.len() as u8))
                .iter()
                .map(|[a, b]| {
                    Some(strengths[usize::from(a.0)] - strengths[usize::from(b.0)])
                })
                .collect();
            prop_assert!(pairs.len() <= strengths.len(), "as many questions as witnesses");
            let found = compared(strengths.len(), &pairs);
            for (found, meant) in found.iter().zip(centred(strengths)) {
                prop_assert!((found - meant).abs() < 1e-4);
            }
        }

        #[test]
        fn a_judge_that_always_says_the_first_one_believes_nothing(bias in -3.0f32..3.0, n in 3u8..9) {
            let pairs = vec![Some(bias); usize::from(n)];
            for strength in compared(usize::from(n), &pairs) {
                prop_assert!(strength.abs() < 1e-3);
            }
        }

        #[test]
        fn any_numbers_give_percentages(
            pairs in prop::collection::vec(prop::option::of(any::<f32>()), 0..9),
            n in 0u8..9, people in 0usize..10,
            surprise in prop::option::of((any::<f32>(), any::<f32>())),
        ) {
            let strengths = compared(usize::from(n), &pairs);
            let told: Vec<Told> = strengths.iter().zip(0..).map(|(strength, at)| Told {
                surprise: surprise.map(|(per_token, curvature)| Surprise {
                    per_token, curvature: Some(curvature) }),
                ..told(at, *strength)
            }).collect();
            for belief in beliefs(&chairs(n), people, &[], &told) {
                prop_assert!((1..=99).contains(&belief.human));
            }
        }
    }

    #[test]
    fn who_did_not_answer_is_believed_to_be_what_the_number_of_people_says() {
        let beliefs = beliefs(&chairs(4), 1, &[], &[told(0, 0.0), told(1, 0.0)]);
        assert!(beliefs.iter().all(|belief| belief.human == 25));
        assert_eq!(beliefs[3].reading, None);
    }

    #[test]
    fn what_all_rounds_say_counts_and_not_the_last_alone() {
        let first = opinion(beliefs(
            &chairs(3),
            1,
            &[],
            &[told(0, 0.6), told(1, -0.3), told(2, -0.3)],
        ));
        let nothing: Vec<Told> = Vec::new();
        let after = beliefs(&chairs(3), 1, &[&first], &nothing);
        assert_eq!(after[0].human, first.beliefs[0].human);
        let again = beliefs(
            &chairs(3),
            1,
            &[&first],
            &[told(0, 0.6), told(1, -0.3), told(2, -0.3)],
        );
        assert!(again[0].human > after[0].human);
    }

    #[test]
    fn one_measured_round_never_convinces() {
        let loud = |chair, per_token| Told {
            surprise: Some(Surprise {
                per_token,
                curvature: None,
            }),
            ..told(chair, if chair == 0 { 9.0 } else { -9.0 })
        };
        let told: Vec<Told> = (0..8)
            .map(|chair| loud(chair, if chair == 0 { 9.0 } else { 0.0 }))
            .collect();
        for count in 2..=8u8 {
            let told = &told[..usize::from(count)];
            let beliefs = beliefs(&chairs(count), 1, &[], told);
            assert!(beliefs[0].human < 80, "{count}");
        }
    }

    #[test]
    fn stated_percentages_are_averaged_over_the_orders() {
        let strengths = stated(&[vec![90, 10, 50], vec![10, 90, 50]]);
        assert!(strengths.iter().all(|strength| strength.abs() < 1e-5));
        let strengths = stated(&[vec![90, 10], vec![80, 20]]);
        assert!(strengths[0] > 1.0 && strengths[1] < -1.0);
        assert!(stated(&[]).is_empty());
    }
}
