//! PURE: in which version a request travels, how many jobs a worker takes, what it does with
//! one that it was given, and when it may take over another's.

use std::time::Duration;

use crate::wire::{
    fleet::{Card, NEWEST, OLDEST, Request},
    worker::{Constraint, Generate, Overflow, Terms},
};

/// The versions that this program reads and writes, newest first.
pub(super) fn spoken() -> impl DoubleEndedIterator<Item = u16> + Clone {
    (OLDEST..=NEWEST).rev()
}

/// The oldest version that can say a request.
pub(super) fn needs(request: &Request) -> u16 {
    let plain = |terms: &Terms| terms.adapter.is_none() && terms.overflow == Overflow::Refuse;
    let old = match request {
        Request::Weigh { request } => plain(&request.terms),
        Request::Score { request } => plain(&request.terms),
        Request::Generate { request } => {
            let Generate {
                sampling,
                constraint,
                logprobs,
                terms,
                ..
            } = &**request;
            plain(terms)
                && logprobs.is_none()
                && matches!(constraint, None | Some(Constraint::JsonSchema(_)))
                && sampling.logit_bias.is_empty()
                && sampling.banned.is_empty()
                && sampling.dry.is_none()
        }
    };
    if old { OLDEST } else { NEWEST }
}

/// The version in which a request reaches the most slots of the workers that are there; the
/// newest of those that reach as many. `None` while nobody there could read it.
pub(super) fn route(workers: &[Card], needs: u16) -> Option<u16> {
    spoken()
        .filter(|version| *version >= needs)
        .map(|version| (reach(workers, version), version))
        .filter(|(reach, _)| *reach > 0)
        .max()
        .map(|(_, version)| version)
}

/// Slots of the workers that take jobs of a version.
fn reach(workers: &[Card], version: u16) -> u64 {
    workers
        .iter()
        .filter(|card| card.protocols.contains(&version))
        .map(|card| u64::from(card.model.slots))
        .sum()
}

/// What a worker does with a job that was delivered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has this long.
    Begin(Duration),
    /// Nobody waits for it any more.
    Late,
    /// It has been begun as often as it may.
    GivenUp,
}

/// `attempt` counts deliveries, this one included; times are milliseconds of one clock.
pub(super) fn verdict(attempt: u32, attempts: u32, deadline: u64, now: u64) -> Verdict {
    match deadline.checked_sub(now) {
        None | Some(0) => Verdict::Late,
        Some(_) if attempt > attempts => Verdict::GivenUp,
        Some(left) => Verdict::Begin(Duration::from_millis(left)),
    }
}

/// How many jobs a worker may take now.
pub(super) fn places(slots: u32, running: usize) -> usize {
    (slots as usize).saturating_sub(running)
}

/// Whether claims that look forsaken are. `back` is how long this worker has reached Redis
/// again after it could not: the others need a while to come back too and to renew theirs.
pub(super) fn may_take_over(back: Option<Duration>, lease: Duration) -> bool {
    back.is_none_or(|back| back >= lease)
}

/// How often things happen, for a lease of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// A worker renews its claims and shows its card.
    pub(super) renew: Duration,
    /// A worker looks for jobs that were forsaken.
    pub(super) look: Duration,
    /// A card is believed.
    pub(super) believe: Duration,
}

impl Rhythm {
    pub(super) fn of(lease: Duration) -> Self {
        let least = Duration::from_millis(10);
        // Three may be lost before the claim is.
        let renew = (lease / 4).clamp(least, Duration::from_secs(1));
        Self {
            renew,
            look: (lease / 8).clamp(least, Duration::from_millis(500)),
            believe: renew * 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::worker::{Dry, Load, ModelInfo, Prompt, Sampling, Weigh};
    use proptest::prelude::*;

    fn card(protocols: Vec<u16>, slots: u32) -> Card {
        Card {
            name: String::new(),
            version: String::new(),
            protocols,
            model: ModelInfo {
                name: "m".into(),
                context: 1,
                slots,
                precision: String::new(),
            },
            jobs: 0,
            load: Load::default(),
        }
    }

    fn cards() -> impl Strategy<Value = Vec<Card>> {
        let protocols =
            prop::sample::subsequence(vec![OLDEST - 1, OLDEST, NEWEST, NEWEST + 1], 0..4);
        let card = (protocols, 1u32..9).prop_map(|(protocols, slots)| card(protocols, slots));
        prop::collection::vec(card, 0..6)
    }

    proptest! {
        #[test]
        fn a_request_goes_where_the_most_slots_can_read_it(
            cards in cards(), needs in OLDEST..=NEWEST,
        ) {
            let able: Vec<u16> = (needs..=NEWEST).filter(|v| reach(&cards, *v) > 0).collect();
            match route(&cards, needs) {
                None => prop_assert!(able.is_empty()),
                Some(version) => {
                    prop_assert!(able.contains(&version));
                    for other in able {
                        let (here, there) = (reach(&cards, version), reach(&cards, other));
                        prop_assert!(here > there || (here == there && version >= other));
                    }
                }
            }
        }

        #[test]
        fn no_job_is_begun_too_often_or_too_late(
            attempt in 1u32..9, attempts in 1u32..5, deadline in 0u64..100, now in 0u64..100,
        ) {
            match verdict(attempt, attempts, deadline, now) {
                Verdict::Begin(left) => {
                    prop_assert!(attempt <= attempts);
                    prop_assert_eq!(u128::from(deadline), u128::from(now) + left.as_millis());
                    prop_assert!(left > Duration::ZERO);
                }
                Verdict::Late => prop_assert!(now >= deadline),
                Verdict::GivenUp => prop_assert!(attempt > attempts && now < deadline),
            }
        }

        #[test]
        fn a_claim_outlives_two_renewals_that_are_lost(lease in 100u64..100_000) {
            let lease = Duration::from_millis(lease);
            let rhythm = Rhythm::of(lease);
            prop_assert!(rhythm.renew * 3 <= lease);
            prop_assert!(rhythm.look < rhythm.renew);
            prop_assert!(rhythm.believe > rhythm.renew * 3);
            // Whoever is gone is not waited for.
            prop_assert!(rhythm.believe <= Duration::from_secs(8));
        }

        #[test]
        fn a_worker_takes_no_more_than_it_has_places(slots in 0u32..20, running in 0usize..40) {
            let places = places(slots, running);
            prop_assert!(places == 0 || running + places == slots as usize);
        }
    }

    #[test]
    fn forsaken_jobs_wait_until_their_workers_could_be_back() {
        let lease = Duration::from_secs(2);
        assert!(may_take_over(None, lease));
        assert!(!may_take_over(Some(lease / 2), lease));
        assert!(may_take_over(Some(lease), lease));
    }

    #[test]
    fn what_the_older_version_has_no_words_for_does_not_travel_in_it() {
        let with = |change: fn(&mut Generate)| {
            let mut request = Generate {
                model: "m".into(),
                prompt: Prompt::Text("x".into()),
                sampling: Sampling::default(),
                constraint: None,
                logprobs: None,
                terms: Terms::default(),
            };
            change(&mut request);
            needs(&Request::Generate {
                request: Box::new(request),
            })
        };
        assert_eq!(with(|_| {}), OLDEST);
        let schema =
            |r: &mut Generate| r.constraint = Some(Constraint::JsonSchema(serde_json::json!({})));
        assert_eq!(with(schema), OLDEST);
        // A room only says whose turn it is; a worker that does not know of it loses nothing.
        assert_eq!(with(|r| r.terms.room = "r".into()), OLDEST);
        let beyond: [fn(&mut Generate); 9] = [
            |r| r.constraint = Some(Constraint::Choice(vec![])),
            |r| r.constraint = Some(Constraint::Regex(String::new())),
            |r| r.constraint = Some(Constraint::Grammar(String::new())),
            |r| r.logprobs = Some(0),
            |r| r.terms.adapter = Some("a".into()),
            |r| r.terms.overflow = Overflow::Slide,
            |r| r.sampling.banned = vec!["x".into()],
            |r| r.sampling.dry = Some(Dry::default()),
            |r| r.sampling.logit_bias = [(1, 1.0)].into(),
        ];
        assert_eq!(beyond.map(with), [NEWEST; 9]);
        let weigh = |terms| Request::Weigh {
            request: Weigh {
                model: "m".into(),
                prompt: Prompt::Text("x".into()),
                options: vec![],
                terms,
            },
        };
        assert_eq!(needs(&weigh(Terms::default())), OLDEST);
        let adapter = Terms {
            adapter: Some("a".into()),
            ..Terms::default()
        };
        assert_eq!(needs(&weigh(adapter)), NEWEST);
    }
}
