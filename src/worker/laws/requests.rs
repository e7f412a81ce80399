//! What becomes of single requests.

use proptest::prelude::*;

use super::bench::{Bench, CONTEXT, House, Kind, MODEL, Request, letters, owner};
use crate::{
    wire::worker::{
        Constraint, Finish, FromWorker, Generate, Message, Overflow, Prompt, Refusal, Role,
        Sampling, Terms, Weigh,
    },
    worker::deterministic::Habits,
};

fn schema() -> serde_json::Value {
    serde_json::json!({
        "type": "object",
        "properties": {
            "verdict": {"enum": ["human", "machine"]},
            "why": {"type": "string", "maxLength": 12},
        },
        "required": ["verdict", "why"],
        "additionalProperties": false,
    })
}

fn form(seed: u64, max_tokens: u32) -> Request {
    Request {
        constraint: Some(Constraint::JsonSchema(schema())),
        ..Request::new(letters(9), seed, max_tokens)
    }
}

#[test]
fn the_context_bounds_a_text() {
    let heard = Bench::alone(&Request::new(letters(CONTEXT - 8), 2, 40), true);
    let Some(FromWorker::Done {
        finish: Finish::Length,
        usage,
        ..
    }) = heard.end
    else {
        panic!("{heard:?}");
    };
    let total = (usage.prompt_tokens + usage.output_tokens) as usize;
    assert_eq!(total, CONTEXT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_constrained_text_is_whole_and_valid_or_says_that_it_was_cut(
        seed in any::<u64>(), max_tokens in 1u32..120,
    ) {
        let heard = Bench::alone(&form(seed, max_tokens), true);
        match heard.end {
            Some(FromWorker::Done { finish: Finish::Stop, .. }) => {
                let value: serde_json::Value = serde_json::from_str(&heard.text).expect("JSON");
                prop_assert!(["human", "machine"].iter().any(|verdict| value["verdict"] == *verdict));
                prop_assert!(value["why"].as_str().expect("a string").chars().count() <= 12);
                prop_assert_eq!(value.as_object().map(|object| object.len()), Some(2));
            }
            Some(FromWorker::Done { finish: Finish::Length, usage, .. }) => {
                prop_assert_eq!(usage.output_tokens, max_tokens);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&heard.text).is_err());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// The schema's words stand in the prompt: nearly all of them are guessed.
    #[test]
    fn guesses_that_hold_change_no_token_of_a_form(seed in 0u64..1000, max_tokens in 1u32..90) {
        let mut request = form(seed, max_tokens);
        request.messages[0].content = r#"{"verdict":"human","why":" or {"verdict":"machine"#.into();
        let mut bench = Bench::new(House { draft: 6, token_ms: 0.0, ..House::default() });
        bench.join(owner(0), &request).expect("room");
        bench.run_dry(Bench::work(&request));
        prop_assert_eq!(bench.heard_bare(0), Bench::alone(&request, true));
        let load = bench.batch.load();
        prop_assert!(load.drafts_held <= load.drafted);
        prop_assert!(max_tokens < 30 || load.drafts_held >= 10, "{load:?}");
    }
}

#[test]
fn a_schema_that_cannot_be_kept_is_malformed() {
    let bench = Bench::new(House::default());
    for schema in [
        serde_json::json!("no object"),
        serde_json::json!({"type": "colour"}),
        serde_json::json!({"type": "string", "minLength": 5, "maxLength": 2}),
        serde_json::json!({"$ref": "https://example.com/schema"}),
    ] {
        let refused = bench.preparer.generate(&Generate {
            model: MODEL.into(),
            prompt: Prompt::Text("x".into()),
            sampling: Sampling::default(),
            constraint: Some(Constraint::JsonSchema(schema.clone())),
            logprobs: None,
            terms: Terms::default(),
        });
        assert!(
            matches!(refused, Err(Refusal::Malformed { .. })),
            "{schema}: {refused:?}"
        );
    }
}

#[test]
fn what_all_options_start_with_is_part_of_the_prompt() {
    let weigh = |prefill: &str, options: [&str; 3]| {
        let mut bench = Bench::new(House::default());
        let job = bench.preparer.weigh(&Weigh {
            model: MODEL.into(),
            prompt: Prompt::Chat {
                messages: vec![],
                prefill: prefill.into(),
            },
            options: options.map(String::from).to_vec(),
            terms: Terms::default(),
        })?;
        bench.batch.offer(owner(0), job)?;
        bench.run_dry(10);
        Ok::<_, Refusal>(bench.heard(0).end)
    };
    let bare = weigh("it is ", ["A", "B", "C"]);
    assert!(matches!(&bare, Ok(Some(FromWorker::Weighed { .. }))));
    assert_eq!(weigh("it is", [" A", " B", " C"]), bare);
    for ambiguous in [["A", "B", "Bc"], ["A", "B", ""], ["A", "A", "A"]] {
        let refused = weigh("it is ", ambiguous);
        assert!(
            matches!(refused, Err(Refusal::Malformed { .. })),
            "{ambiguous:?}"
        );
    }
}

fn long_chat(turns: usize, length: usize) -> Vec<Message> {
    let mut messages = vec![Message {
        role: Role::System,
        content: "be kind".into(),
    }];
    for turn in 0..2 * turns + 1 {
        messages.push(Message {
            role: if turn % 2 == 0 {
                Role::User
            } else {
                Role::Assistant
            },
            content: format!("{turn} {}", letters(length)),
        });
    }
    messages
}

fn chat(messages: Vec<Message>, overflow: Overflow) -> Generate {
    Generate {
        model: MODEL.into(),
        prompt: Prompt::Chat {
            messages,
            prefill: String::new(),
        },
        sampling: Sampling {
            max_tokens: 30,
            ..Sampling::default()
        },
        constraint: None,
        logprobs: None,
        terms: Terms {
            overflow,
            ..Terms::default()
        },
    }
}

#[test]
fn a_chat_too_long_for_the_context_slides_where_it_may_and_says_so() {
    let mut bench = Bench::new(House::default());
    let refused = bench
        .preparer
        .generate(&chat(long_chat(12, 20), Overflow::Refuse));
    assert!(matches!(refused, Err(Refusal::TooLong { .. })));
    let job = bench
        .preparer
        .generate(&chat(long_chat(12, 20), Overflow::Slide))
        .expect("it is cut");
    bench.batch.offer(owner(0), job).expect("room");
    bench.run_dry(100);
    let usage = bench.heard(0).usage();
    assert!(usage.dropped_messages >= 8, "{usage:?}");
    assert_eq!(usage.dropped_messages % 2, 0);
    assert!(usage.prompt_tokens as usize + 30 <= CONTEXT);
}

#[test]
fn a_chat_that_slid_still_finds_most_of_its_last_turn_computed() {
    let mut bench = Bench::new(House::default());
    let mut reused = Vec::new();
    for (n, turns) in (20..50).enumerate() {
        let job = bench
            .preparer
            .generate(&chat(long_chat(turns, 4), Overflow::Slide))
            .expect("it is cut");
        bench.batch.offer(owner(n), job).expect("room");
        bench.run_dry(100);
        let usage = bench.heard(n).usage();
        reused.push(usage.reused_tokens * 2 > usage.prompt_tokens);
    }
    let often = reused.iter().filter(|reused| **reused).count();
    assert!(often >= 20, "{reused:?}");
}

#[test]
fn an_adapter_is_refused_where_there_is_no_place_or_no_such_adapter() {
    let terms = Terms {
        adapter: Some("pirate".into()),
        ..Terms::default()
    };
    let ask = |places| {
        Bench::preparer(Habits {
            adapter_places: places,
            ..Habits::FREE
        })
        .generate(&Generate {
            terms: terms.clone(),
            ..chat(long_chat(1, 20), Overflow::Refuse)
        })
    };
    assert!(matches!(ask(0), Err(Refusal::BadAdapter { .. })));
    assert!(matches!(ask(2), Err(Refusal::UnknownAdapter { .. })));
}

#[test]
fn an_adapter_that_the_engine_refuses_harms_nobody_else() {
    let mut bench = Bench::new(House::default());
    let plain = Request::new("hello", 1, 9);
    let bad = plain.clone().spoken_by(super::bench::BAD_ADAPTER);
    let good = plain.clone().spoken_by(4);
    let all = [&plain, &bad, &good, &bad];
    for (n, request) in all.iter().enumerate() {
        bench.join(owner(n), request).expect("room");
    }
    bench.run_dry(100);
    for (n, request) in all.into_iter().enumerate() {
        assert_eq!(bench.heard_bare(n), Bench::alone(request, true));
    }
    assert!(matches!(
        bench.heard(1).end,
        Some(FromWorker::Failed { .. })
    ));
    assert_ne!(bench.heard(0).tokens, bench.heard(2).tokens);
}

#[test]
fn an_engine_failure_ends_what_was_under_way_and_keeps_those_who_wait() {
    let house = House {
        slots: 1,
        ..House::default()
    };
    let mut bench = Bench::new(house);
    let request = Request::new(letters(5), 1, 9).spoken_by(3);
    for n in 0..2 {
        bench.join(owner(n), &request).expect("room");
    }
    bench.step();
    bench.break_down();
    let failed = bench.heard(0).end;
    assert!(matches!(failed, Some(FromWorker::Failed { message, .. }) if message == "broken"));
    bench.run_dry(100);
    assert_eq!(bench.heard_bare(1), Bench::alone(&request, true));
}

#[test]
fn a_measurement_reads_what_a_text_reads() {
    let mut bench = Bench::new(House::default());
    let weigh = Request::measure(Kind::Weigh, letters(90));
    let score = Request::measure(Kind::Score(200), letters(90));
    for (n, request) in [&weigh, &score, &weigh].into_iter().enumerate() {
        bench.join(owner(n), request).expect("room");
        bench.run_dry(Bench::work(request));
        assert_eq!(bench.heard_bare(n), Bench::alone(request, true));
    }
    assert!(bench.batch.load().reused > 150);
}
