//! Who is served when, and what need not be computed again.

use proptest::prelude::*;

use super::bench::{Bench, House, Kind, Request, letters, message, owner};
use crate::{
    wire::worker::{FromWorker, Role},
    worker::{
        deterministic::Habits,
        pace::{LEAST, MOST},
    },
};

fn strict() -> House {
    House {
        habits: Habits::STRICT,
        ..House::default()
    }
}

fn weigh(prompt: impl Into<String>) -> Request {
    Request::measure(Kind::Weigh, prompt)
}

/// A text that cannot end before its last token.
fn endless(prompt: &str, tokens: u32) -> Request {
    let mut request = Request::new(prompt, 5, tokens);
    let pattern = "(ha|ho|hi|he)+".to_owned();
    request.constraint = Some(crate::wire::worker::Constraint::Regex(pattern));
    request
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// A prompt of any length beside rows that decode: each step moves every one of them,
    /// and takes no longer than it may once the machine is known.
    #[test]
    fn a_long_prompt_holds_nobody_up(
        prompt in 64usize..390, strictly in any::<bool>(), token_ms in 0.2f64..3.0,
    ) {
        let house = House { token_ms, ..if strictly { strict() } else { House::default() } };
        let mut bench = Bench::new(house);
        for n in 0..2 {
            bench.join(owner(n), &endless(["k", "m"][n], 300)).expect("room");
        }
        for _ in 0..60 {
            bench.step();
        }
        bench.join(owner(2), &weigh(letters(prompt))).expect("room");
        let mut steps = 0;
        while bench.batch.holds(owner(2)) {
            let before = bench.batch.load().tokens;
            let plan = bench.step_with_plan().expect("there is much to do");
            prop_assert!(bench.batch.load().tokens >= before + 2, "a step without a token");
            let tokens: usize = plan.runs.iter().map(|run| run.tokens.len()).sum();
            let took = 1.0 + token_ms * tokens as f64;
            prop_assert!(
                took < 65.0 || plan.size.tokens <= LEAST || strictly || steps < 4,
                "{took} ms for {:?}", plan.size,
            );
            steps += 1;
        }
        prop_assert!(steps <= prompt / LEAST + 2);
    }

    /// However many long prompts are under way, a short one that gets a slot is through
    /// after two steps.
    #[test]
    fn a_short_prompt_overtakes_long_ones(long in 1usize..4, strictly in any::<bool>()) {
        // So slow that a step takes the least.
        let house = House { token_ms: 40.0, ..if strictly { strict() } else { House::default() } };
        let mut bench = Bench::new(house);
        bench.join(owner(9), &endless("k", 200)).expect("room");
        for _ in 0..20 {
            bench.step();
        }
        for n in 0..long {
            bench.join(owner(n), &weigh(format!("{n}{}", letters(350)))).expect("room");
        }
        bench.step();
        bench.join(owner(long), &weigh("qrstuvwxyz")).expect("room");
        bench.step();
        bench.step();
        prop_assert!(!bench.batch.holds(owner(long)));
    }

    /// Short prompts come without end; a long one is through after a bounded time all the same.
    #[test]
    fn nobody_starves(prompt in 100usize..390, strictly in any::<bool>(), adapters in any::<bool>()) {
        let adapters = adapters && !strictly;
        let house = House {
            slots: 3,
            token_ms: 40.0,
            ..if strictly { strict() } else { House::default() }
        };
        let mut bench = Bench::new(House {
            habits: Habits { adapter_places: 2, ..house.habits },
            ..house
        });
        let spoken = |request: Request, by: u64| {
            if adapters { request.spoken_by(by) } else { request }
        };
        let mut next = 1;
        let mut steps = 0;
        while next < 9 || bench.batch.holds(owner(0)) {
            if next == 8 {
                bench.join(owner(0), &spoken(weigh(letters(prompt)), 9)).expect("room");
                steps = 0;
            }
            if bench.batch.load().queued < 10 {
                // Two adapters that are always in use.
                let short = Request::new(format!("{next}"), 1, 4);
                bench.join(owner(next), &spoken(short, 1 + next as u64 % 2)).expect("room");
                next += 1;
            }
            bench.step();
            steps += 1;
            prop_assert!(steps < 400, "it is still there after {steps} steps");
        }
    }
}

#[test]
fn while_nobody_decodes_prompts_are_read_in_large_steps() {
    let mut bench = Bench::new(House {
        token_ms: 0.05,
        ..House::default()
    });
    for n in 0..40 {
        bench
            .join(owner(n), &weigh(format!("{n} {}", letters(350))))
            .expect("room");
    }
    let mut largest = 0;
    while let Some(plan) = bench.step_with_plan() {
        largest = largest.max(plan.size.tokens);
    }
    assert_eq!(largest, MOST);
}

#[test]
fn a_room_with_many_requests_delays_another_one_by_one_of_its_own() {
    let mut bench = Bench::new(House {
        slots: 2,
        ..House::default()
    });
    for n in 0..20 {
        let mut request = weigh(format!("{n} {}", letters(60)));
        request.room = "crowd";
        bench.join(owner(n), &request).expect("room");
    }
    let mut request = weigh("alone");
    request.room = "single";
    bench.join(owner(20), &request).expect("room");
    for _ in 0..3 {
        bench.step();
    }
    assert!(!bench.batch.holds(owner(20)));
    assert!(bench.batch.load().queued > 10);
}

#[test]
fn the_second_turn_of_a_conversation_computes_its_own_words_alone() {
    let mut bench = Bench::new(House::default());
    let mut request = Request::new(letters(300), 3, 20);
    bench.join(owner(0), &request).expect("room");
    bench.run_dry(100);
    let first = bench.heard(0);
    assert_eq!(first.usage().reused_tokens, 0);
    request
        .messages
        .push(message(Role::Assistant, first.text.clone()));
    request.messages.push(message(Role::User, "and then?"));
    bench.join(owner(1), &request).expect("room");
    let plan = bench.step_with_plan().expect("work");
    assert_eq!(plan.copies, [], "it goes on in the slot that it left");
    bench.run_dry(100);
    let usage = bench.heard(1).usage();
    let known = 300 + 1 + first.text.len() as u32;
    assert!(usage.reused_tokens >= known, "{usage:?} {known}");
    assert_eq!(bench.heard_bare(1), Bench::alone(&request, true));
}

#[test]
fn samples_of_one_prompt_read_it_once() {
    for house in [House::default(), strict()] {
        let mut bench = Bench::new(House {
            token_ms: 1.0,
            ..house
        });
        let sample = |seed| Request::new(letters(257), seed, 30);
        for n in 0..6 {
            bench.join(owner(n), &sample(n as u64)).expect("room");
        }
        bench.run_dry(500);
        let prefilled = bench.batch.load().prefilled;
        assert!(
            prefilled <= 259 + 5 * 64,
            "{prefilled} for {:?}",
            house.habits
        );
        for n in 0..6 {
            let alone = Bench::alone(&sample(n as u64), house.habits.uniform);
            assert_eq!(bench.heard_bare(n), alone);
        }
        assert_ne!(bench.heard(0).tokens, bench.heard(1).tokens);
    }
}

#[test]
fn who_waits_for_another_ones_prompt_reads_on_alone_when_that_one_goes() {
    let mut bench = Bench::new(House {
        token_ms: 10.0,
        ..House::default()
    });
    let request = Request::new(letters(300), 1, 5);
    for n in 0..3 {
        bench.join(owner(n), &request).expect("room");
    }
    bench.step();
    assert_eq!(bench.batch.load().slots_busy, 3);
    let out = bench.batch.cancel(owner(0));
    bench.hear(out);
    bench.step();
    bench.batch.leave(owner(1).connection);
    bench.run_dry(200);
    assert_eq!(bench.heard_bare(2), Bench::alone(&request, true));
    let load = bench.batch.load();
    assert!(load.prefilled < 330 && load.reused > 30, "{load:?}");
}

#[test]
fn what_one_adapter_read_is_read_again_for_another() {
    let mut bench = Bench::new(House::default());
    let request = weigh(letters(200));
    for (n, adapter) in [Some(1), Some(2), None, Some(1)].into_iter().enumerate() {
        let request = Request {
            adapter,
            ..request.clone()
        };
        bench.join(owner(n), &request).expect("room");
        bench.run_dry(100);
        assert_eq!(bench.heard_bare(n), Bench::alone(&request, true));
    }
    let load = bench.batch.load();
    assert_eq!((load.prefix_hits, load.adapter_loads), (1, 2));
    assert_eq!(load.prefilled, 3 * 203 + 1);
}

#[test]
fn more_adapters_than_places_take_turns() {
    let mut bench = Bench::new(House {
        habits: Habits {
            adapter_places: 2,
            ..Habits::FREE
        },
        ..House::default()
    });
    let request = |n: usize| Request::new("hello", n as u64, 10).spoken_by(n as u64 % 5);
    for n in 0..20 {
        bench.join(owner(n), &request(n)).expect("room");
    }
    bench.run_dry(500);
    for n in 0..20 {
        assert_eq!(bench.heard_bare(n), Bench::alone(&request(n), true));
    }
    let load = bench.batch.load();
    assert!(
        load.adapter_evictions >= 3 && load.adapter_loads <= 20,
        "{load:?}"
    );
}

#[test]
fn a_text_that_repeats_itself_takes_fewer_steps() {
    let mut request = Request::new("sing", 2, 60);
    request.constraint = Some(crate::wire::worker::Constraint::Regex("(la )+".into()));
    let steps = |draft| {
        let mut bench = Bench::new(House {
            draft,
            token_ms: 0.1,
            ..House::default()
        });
        bench.join(owner(0), &request).expect("room");
        let mut steps = 0;
        while bench.step() {
            steps += 1;
        }
        let heard = bench.heard_bare(0);
        assert_eq!(heard, Bench::alone(&request, true));
        steps
    };
    let (guessing, plain) = (steps(6), steps(0));
    assert!(guessing * 3 < plain, "{guessing} of {plain} steps");
}

#[test]
fn a_cancelled_request_frees_its_slot_at_once() {
    let mut bench = Bench::new(House {
        slots: 1,
        ..House::default()
    });
    bench.join(owner(0), &endless("k", 200)).expect("room");
    bench.join(owner(1), &weigh("next")).expect("room");
    bench.join(owner(2), &weigh("last")).expect("room");
    bench.step();
    bench.step();
    for n in [2, 0] {
        let out = bench.batch.cancel(owner(n));
        assert!(matches!(out, Some(ref out) if matches!(out.message, FromWorker::Done { .. })));
        bench.hear(out);
    }
    let load = bench.batch.load();
    assert_eq!((load.slots_busy, load.queued), (0, 1));
    bench.step();
    assert!(bench.batch.idle());
}
