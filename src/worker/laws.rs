//! The laws of the batch, tried on the deterministic engine with random schedules.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;

use super::{
    admission::Owner,
    batch::{Batch, CHUNK, Outgoing, Plan},
    deterministic::Deterministic,
    engine::{Engine, Want},
    job::Preparer,
};
use crate::wire::worker::{
    Constraint, Finish, FromWorker, Generate, Message, Prompt, Refusal, RequestId, Role, Sampling,
    Score, Terms, Weigh,
};

const MODEL: &str = "deterministic";
const CONTEXT: usize = 400;

/// A request that can be made again, alone or in company.
#[derive(Clone, Debug)]
struct Request {
    kind: Kind,
    /// Bytes of the prompt; each is a token.
    prompt: usize,
    seed: u64,
    max_tokens: u32,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Generate,
    /// Text that must be JSON of [`schema`].
    Judge,
    Weigh,
    Score,
}

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

#[derive(Clone, Debug)]
enum Event {
    Join(Request),
    /// Cancels the request that joined as the n-th.
    Cancel(usize),
    /// Connection n goes, with all it has.
    Leave(u64),
    Steps(usize),
}

/// Few, so that prompts keep pushing each other out.
const SHELVES: usize = 2;

fn request() -> impl Strategy<Value = Request> {
    let kind = prop_oneof![4 => Just(Kind::Generate), 1 => Just(Kind::Judge), 1 => Just(Kind::Weigh), 1 => Just(Kind::Score)];
    (kind, 1usize..200, any::<u64>(), 1u32..40).prop_map(|(kind, prompt, seed, max_tokens)| {
        Request {
            kind,
            prompt,
            seed,
            max_tokens,
        }
    })
}

fn schedule() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => request().prop_map(Event::Join),
        2 => (0usize..40).prop_map(Event::Cancel),
        1 => (0u64..3).prop_map(Event::Leave),
        6 => (0usize..9).prop_map(Event::Steps),
    ];
    proptest::collection::vec(event, 1..50)
}

/// A batch, its engine, and all that was said so far.
struct Bench {
    engine: Deterministic,
    preparer: Preparer,
    batch: Batch,
    said: HashMap<Owner, Vec<FromWorker>>,
}

fn id_of(message: &FromWorker) -> RequestId {
    match message {
        FromWorker::Piece { id, .. }
        | FromWorker::Done { id, .. }
        | FromWorker::Weighed { id, .. }
        | FromWorker::Scored { id, .. }
        | FromWorker::Refused { id, .. }
        | FromWorker::Failed { id, .. } => *id,
        FromWorker::Hello { .. } | FromWorker::Pong { .. } => panic!("not about a request"),
    }
}

fn owner(n: usize) -> Owner {
    Owner {
        connection: n as u64 % 3,
        request: RequestId(n as u64),
    }
}

impl Bench {
    fn new(slots: usize, queue: usize) -> Self {
        let engine = Deterministic::new(slots + SHELVES, CONTEXT, Duration::ZERO);
        let vocabulary = engine.vocabulary();
        Self {
            preparer: Preparer::new(MODEL, engine.info(), Arc::clone(&vocabulary)),
            batch: Batch::new(engine.info(), vocabulary, queue, SHELVES),
            engine,
            said: HashMap::new(),
        }
    }

    fn join(&mut self, owner: Owner, request: &Request) -> Result<(), Refusal> {
        let content: String = (0..request.prompt)
            .map(|at| char::from(b'a' + (at % 23) as u8))
            .collect();
        let prompt = Prompt::Chat {
            messages: vec![Message {
                role: Role::User,
                content,
            }],
            prefill: String::new(),
        };
        let model = MODEL.to_owned();
        let job = match request.kind {
            Kind::Generate | Kind::Judge => self.preparer.generate(&Generate {
                model,
                prompt,
                sampling: Sampling {
                    seed: request.seed,
                    max_tokens: request.max_tokens,
                    ..Sampling::default()
                },
                constraint: matches!(request.kind, Kind::Judge)
                    .then(|| Constraint::JsonSchema(schema())),
                logprobs: None,
                terms: Terms::default(),
            }),
            Kind::Weigh => self.preparer.weigh(&Weigh {
                model,
                prompt,
                options: vec!["a".into(), "b".into(), "c".into()],
                terms: Terms::default(),
            }),
            Kind::Score => self.preparer.score(&Score {
                model,
                prompt,
                text: "so it goes "
                    .repeat(request.max_tokens as usize)
                    .chars()
                    .take(150)
                    .collect(),
                terms: Terms::default(),
            }),
        }?;
        self.batch.offer(owner, job)
    }

    fn hear(&mut self, out: impl IntoIterator<Item = Outgoing>) {
        for Outgoing {
            connection,
            message,
        } in out
        {
            let owner = Owner {
                connection,
                request: id_of(&message),
            };
            self.said.entry(owner).or_default().push(message);
        }
    }

    /// One step as the engine's thread does it; false when there is nothing to do.
    fn step(&mut self) -> bool {
        let Some(plan) = self.batch.plan() else {
            assert!(self.batch.idle(), "somebody waits and nothing is planned");
            return false;
        };
        self.check(&plan);
        for copy in &plan.copies {
            self.engine
                .copy_slot(copy.from, copy.to, copy.length)
                .expect("a sound copy");
        }
        let logits = self.engine.step(&plan.runs).expect("sound runs");
        let out = self.batch.absorb(plan, logits);
        self.hear(out);
        true
    }

    /// What the engine's contract asks of a plan.
    fn check(&self, plan: &Plan) {
        let slots: HashSet<usize> = plan.runs.iter().map(|run| run.slot).collect();
        assert_eq!(slots.len(), plan.runs.len(), "two runs in one slot");
        let prompts = plan
            .runs
            .iter()
            .rposition(|run| run.tokens.len() > 1 || run.want != Want::Last);
        assert!(
            prompts.is_none_or(|at| at + 1 == plan.runs.len()),
            "a prompt before a decoding row"
        );
        let decoding = &plan.runs[..plan.runs.len() - 1];
        for (slot, run) in decoding.iter().enumerate() {
            assert_eq!(
                (run.slot, run.tokens.len()),
                (slot, 1),
                "decoding rows are 0..n"
            );
        }
        assert!(plan.runs.iter().all(|run| run.tokens.len() <= CHUNK));
    }

    fn run_dry(&mut self) {
        for _ in 0..20_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it never ends");
    }

    fn alone(request: &Request) -> Vec<FromWorker> {
        let mut bench = Self::new(1, 0);
        // The id does not matter to the tokens; it is set to compare.
        bench
            .join(owner(0), request)
            .expect("an empty batch takes it");
        bench.run_dry();
        bench.said.remove(&owner(0)).unwrap_or_default()
    }
}

fn ends(message: &FromWorker) -> bool {
    !matches!(message, FromWorker::Piece { .. })
}

fn with_id(mut messages: Vec<FromWorker>, new: RequestId) -> Vec<FromWorker> {
    for message in &mut messages {
        match message {
            FromWorker::Piece { id, .. }
            | FromWorker::Done { id, .. }
            | FromWorker::Weighed { id, .. }
            | FromWorker::Scored { id, .. }
            | FromWorker::Refused { id, .. }
            | FromWorker::Failed { id, .. } => *id = new,
            FromWorker::Hello { .. } | FromWorker::Pong { .. } => {}
        }
    }
    messages
}

fn pieces(messages: &[FromWorker]) -> Vec<&FromWorker> {
    messages.iter().filter(|message| !ends(message)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whoever joins, leaves or is cancelled around it: a request says what it says alone,
    /// ends once, and is silent after. A slot's former owner, a wrong position or a missing
    /// copy would change the tokens.
    #[test]
    fn a_request_says_the_same_in_any_company(
        schedule in schedule(), slots in 1usize..7, queue in 0usize..12,
    ) {
        let mut bench = Bench::new(slots, queue);
        let mut requests: Vec<Option<Request>> = Vec::new();
        let mut cancelled = HashSet::new();
        let mut left = HashSet::new();
        for event in schedule {
            match event {
                Event::Join(request) => {
                    let n = requests.len();
                    let room = slots + queue;
                    let held = bench.batch.load();
                    let taken = bench.join(owner(n), &request);
                    match &taken {
                        Ok(()) => prop_assert!(((held.slots_busy + held.queued) as usize) < room),
                        Err(Refusal::Busy { queued }) => {
                            prop_assert_eq!(*queued, held.queued);
                            prop_assert!((held.slots_busy + held.queued) as usize >= room);
                        }
                        Err(other) => prop_assert!(false, "{}", other),
                    }
                    requests.push(taken.is_ok().then_some(request));
                }
                Event::Cancel(n) => {
                    let held = bench.batch.holds(owner(n));
                    let out = bench.batch.cancel(owner(n));
                    prop_assert_eq!(out.is_some(), held);
                    if held {
                        cancelled.insert(owner(n));
                    }
                    bench.hear(out);
                }
                Event::Leave(connection) => {
                    bench.batch.leave(connection);
                    let all = (0..requests.len()).map(owner);
                    left.extend(all.filter(|o| o.connection == connection));
                }
                Event::Steps(count) => {
                    for _ in 0..count {
                        bench.step();
                    }
                }
            }
        }
        bench.run_dry();
        prop_assert_eq!(bench.batch.load().slots_busy, 0);
        for (n, request) in requests.iter().enumerate() {
            let said = bench.said.get(&owner(n)).cloned().unwrap_or_default();
            let Some(request) = request else {
                prop_assert_eq!(said, vec![], "a refused request was served");
                continue;
            };
            let end = said.iter().position(ends);
            if left.contains(&owner(n)) && end.is_none() {
                // Its reader is gone; what it had heard must be a beginning all the same.
            } else {
                prop_assert_eq!(end, Some(said.len() - 1), "one end, nothing after it");
            }
            let alone = with_id(Bench::alone(request), RequestId(n as u64));
            if cancelled.contains(&owner(n)) || end.is_none() {
                let (part, whole) = (pieces(&said), pieces(&alone));
                prop_assert_eq!(&part[..], &whole[..part.len()]);
                if end.is_some() {
                    let is_cancelled =
                        matches!(said.last(), Some(FromWorker::Done { finish: Finish::Cancelled, .. }));
                    prop_assert!(is_cancelled);
                }
            } else {
                prop_assert_eq!(said, alone);
            }
        }
    }

    /// A prompt of any length beside rows that decode: each step moves every one of them.
    #[test]
    fn a_long_prompt_holds_nobody_up(prompt in 64usize..300, seed in any::<u64>()) {
        let mut bench = Bench::new(3, 4);
        let talker = Request { kind: Kind::Generate, prompt: 3, seed, max_tokens: 40 };
        bench.join(owner(0), &talker).expect("room");
        bench.step();
        let reader = Request { kind: Kind::Generate, prompt, seed, max_tokens: 1 };
        bench.join(owner(1), &reader).expect("room");
        while bench.batch.holds(owner(0)) && bench.batch.holds(owner(1)) {
            let before = bench.batch.load().tokens;
            bench.step();
            prop_assert!(bench.batch.load().tokens > before, "a step without a token");
        }
    }

    /// However many long prompts are under way, a short one that gets a slot is through
    /// after two steps.
    #[test]
    fn a_short_prompt_overtakes_long_ones(long in 1usize..4) {
        let mut bench = Bench::new(8, 0);
        for n in 0..long {
            let request = Request { kind: Kind::Weigh, prompt: 350, seed: 0, max_tokens: 1 };
            bench.join(owner(n), &request).expect("room");
        }
        bench.step();
        let short = Request { kind: Kind::Weigh, prompt: 10, seed: 0, max_tokens: 1 };
        bench.join(owner(long), &short).expect("room");
        bench.step();
        bench.step();
        prop_assert!(!bench.batch.holds(owner(long)));
    }
}

#[test]
fn an_engine_failure_ends_what_was_under_way_and_keeps_those_who_wait() {
    let mut bench = Bench::new(1, 4);
    let request = Request {
        kind: Kind::Generate,
        prompt: 5,
        seed: 1,
        max_tokens: 9,
    };
    for n in 0..2 {
        bench.join(owner(n), &request).expect("room");
    }
    bench.step();
    let out = bench.batch.fail("broken");
    bench.hear(out);
    let failed = FromWorker::Failed {
        id: RequestId(0),
        message: "broken".into(),
    };
    assert_eq!(bench.said[&owner(0)].last(), Some(&failed));
    bench.run_dry();
    assert_eq!(
        bench.said[&owner(1)],
        with_id(Bench::alone(&request), RequestId(1))
    );
}

#[test]
fn the_context_bounds_a_text() {
    let request = Request {
        kind: Kind::Generate,
        prompt: CONTEXT - 8,
        seed: 2,
        max_tokens: 40,
    };
    let said = Bench::alone(&request);
    let Some(FromWorker::Done {
        finish: Finish::Length,
        usage,
        ..
    }) = said.last()
    else {
        panic!("{said:?}");
    };
    assert_eq!(
        (usage.prompt_tokens + usage.output_tokens) as usize,
        CONTEXT
    );
}

fn text(said: &[FromWorker]) -> String {
    let piece = |message: &FromWorker| match message {
        FromWorker::Piece { text, .. } => Some(text.clone()),
        _ => None,
    };
    said.iter().filter_map(piece).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_constrained_text_is_whole_and_valid_or_says_that_it_was_cut(
        seed in any::<u64>(), max_tokens in 1u32..120,
    ) {
        let said = Bench::alone(&Request { kind: Kind::Judge, prompt: 9, seed, max_tokens });
        let text = text(&said);
        match said.last() {
            Some(FromWorker::Done { finish: Finish::Stop, .. }) => {
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                prop_assert!(["human", "machine"].iter().any(|verdict| value["verdict"] == *verdict));
                prop_assert!(value["why"].as_str().expect("a string").chars().count() <= 12);
                prop_assert_eq!(value.as_object().map(|object| object.len()), Some(2));
            }
            Some(FromWorker::Done { finish: Finish::Length, usage, .. }) => {
                prop_assert_eq!(usage.output_tokens, max_tokens);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn a_schema_that_cannot_be_kept_is_malformed() {
    let bench = Bench::new(1, 0);
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
        let mut bench = Bench::new(1, 0);
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
        bench.run_dry();
        Ok::<_, Refusal>(bench.said.remove(&owner(0)))
    };
    let bare = weigh("it is ", ["A", "B", "C"]);
    assert!(matches!(&bare, Ok(Some(said)) if matches!(said[..], [FromWorker::Weighed { .. }])));
    assert_eq!(weigh("it is", [" A", " B", " C"]), bare);
    for ambiguous in [["A", "B", "Bc"], ["A", "B", ""], ["A", "A", "A"]] {
        let refused = weigh("it is ", ambiguous);
        assert!(
            matches!(refused, Err(Refusal::Malformed { .. })),
            "{ambiguous:?}"
        );
    }
}
