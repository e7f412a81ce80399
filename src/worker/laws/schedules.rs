//! Ten thousand random schedules: whoever joins, leaves, is cancelled or breaks down around
//! it, a request says what it says alone, ends once, and is silent after. A slot's former
//! owner, a wrong position, a missing copy, another one's adapter or a guess that was not
//! taken back would change its tokens.

use std::collections::HashSet;

use proptest::prelude::*;

use super::bench::{BAD_ADAPTER, Bench, CONTEXT, House, Kind, Request, message, owner};
use crate::{
    wire::worker::{Constraint, Finish, FromWorker, Refusal, Role},
    worker::deterministic::Habits,
};

#[derive(Clone, Debug)]
enum Event {
    Join(Request),
    /// The n-th request, if it is through, goes on by one turn.
    GoOn(usize),
    /// Cancels the request that joined as the n-th.
    Cancel(usize),
    /// Connection n goes, with all it has.
    Leave(u64),
    Fail,
    Steps(usize),
}

/// Prompts that begin alike in many ways.
fn prompt() -> impl Strategy<Value = String> {
    let shared = prop::sample::select(vec![0usize, 3, 20, 64, 66, 130, 150]);
    let more = prop::sample::select(vec![1usize, 2, 30, 64, 100]);
    (0u8..2, shared, 0u8..3, more).prop_map(|(stem, shared, tail, more)| {
        let letters = |from: u8, step: usize, count: usize| -> String {
            (0..count)
                .map(|at| char::from(b'a' + (usize::from(from) + at * step) as u8 % 23))
                .collect()
        };
        letters(stem * 7, 1, shared) + &letters(tail * 5 + 1, 3, more)
    })
}

fn request() -> impl Strategy<Value = Request> {
    let kind = prop_oneof![
        8 => Just(Kind::Generate),
        1 => Just(Kind::Weigh),
        1 => prop::sample::select(vec![1usize, 40, 70, 150]).prop_map(Kind::Score),
    ];
    // One of them the engine refuses.
    let adapter = prop_oneof![
        6 => Just(None),
        5 => (1u64..7).prop_map(Some),
        1 => Just(Some(BAD_ADAPTER)),
    ];
    let constraint = prop_oneof![
        12 => Just(None),
        1 => Just(Some(Constraint::Regex("(ha|ho)+!".into()))),
        1 => Just(Some(Constraint::Choice(vec!["to be or not to be".into(), "to be sure".into()]))),
    ];
    let penalty = prop::sample::select(vec![1.0f32, 1.0, 1.3]);
    let stop = prop::sample::select(vec!["", "", "e", "an", " "]);
    let max_tokens = prop::sample::select(vec![1u32, 2, 5, 12, 25]);
    let room = prop::sample::select(vec!["", "", "east", "west"]);
    (
        kind,
        prompt(),
        0u64..3,
        max_tokens,
        adapter,
        constraint,
        penalty,
        stop,
        room,
    )
        .prop_map(
            |(kind, prompt, seed, max_tokens, adapter, constraint, penalty, stop, room)| {
                let mut request = Request::new(prompt, seed, max_tokens);
                request.kind = kind;
                request.adapter = adapter;
                request.constraint = constraint;
                request.sampling.repetition_penalty = penalty;
                request.sampling.frequency_penalty = penalty - 1.0;
                request.sampling.stop = if stop.is_empty() {
                    Vec::new()
                } else {
                    vec![stop.to_owned()]
                };
                request.room = room;
                request
            },
        )
}

fn schedule() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        60 => request().prop_map(Event::Join),
        15 => (0usize..12).prop_map(Event::GoOn),
        15 => (0usize..12).prop_map(Event::Cancel),
        5 => (0u64..3).prop_map(Event::Leave),
        3 => Just(Event::Fail),
        60 => (1usize..7).prop_map(Event::Steps),
    ];
    prop::collection::vec(event, 1..24)
}

fn house(habits: impl Strategy<Value = Habits>) -> impl Strategy<Value = House> {
    let draft = prop::sample::select(vec![0usize, 1, 6]);
    let token_ms = prop::sample::select(vec![0.0f64, 0.1, 1.0, 5.0]);
    (habits, 1usize..6, 0usize..4, 0usize..8, draft, token_ms).prop_map(
        |(habits, slots, shelves, queue, draft, token_ms)| House {
            habits,
            slots,
            shelves,
            queue,
            draft,
            token_ms,
        },
    )
}

/// What happened to the requests of one schedule.
#[derive(Default)]
struct History {
    /// Those that were taken in; none for those that were refused.
    requests: Vec<Option<Request>>,
    cancelled: HashSet<usize>,
    left: HashSet<usize>,
    failures: usize,
}

fn join(bench: &mut Bench, house: House, history: &mut History, request: Request) {
    let n = history.requests.len();
    let room = house.slots + house.queue;
    let held = bench.batch.load();
    let full = (held.slots_busy + held.queued) as usize >= room;
    match bench.join(owner(n), &request) {
        Ok(()) => assert!(!full),
        Err(Refusal::Busy { queued }) => assert!(full && queued == held.queued),
        // A conversation may outgrow the context.
        Err(Refusal::TooLong { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    let taken = bench.batch.holds(owner(n));
    history.requests.push(taken.then_some(request));
}

/// The conversation with the reply that was heard, and one more question.
fn next_turn(bench: &Bench, history: &History, n: usize) -> Option<Request> {
    let mut request = history.requests.get(n)?.clone()?;
    let heard = bench.heard(n);
    let through = matches!(
        heard.end,
        Some(FromWorker::Done {
            finish: Finish::Stop | Finish::Length,
            ..
        })
    );
    let length: usize = request.messages.iter().map(|m| m.content.len() + 2).sum();
    if !through || length + heard.text.len() + 40 > CONTEXT {
        return None;
    }
    request.messages.push(message(Role::Assistant, heard.text));
    request.messages.push(message(Role::User, "and then?"));
    Some(request)
}

fn play(bench: &mut Bench, house: House, schedule: Vec<Event>) -> History {
    let mut history = History::default();
    for event in schedule {
        match event {
            Event::Join(request) => join(bench, house, &mut history, request),
            Event::GoOn(n) => {
                if let Some(request) = next_turn(bench, &history, n) {
                    join(bench, house, &mut history, request);
                }
            }
            Event::Cancel(n) => {
                let held = bench.batch.holds(owner(n));
                let out = bench.batch.cancel(owner(n));
                assert_eq!(out.is_some(), held);
                if held {
                    history.cancelled.insert(n);
                }
                bench.hear(out);
            }
            Event::Leave(connection) => {
                bench.batch.leave(connection);
                let all = 0..history.requests.len();
                let gone = all.filter(|n| owner(*n).connection == connection);
                history.left.extend(gone);
            }
            Event::Fail => {
                bench.break_down();
                history.failures += 1;
            }
            Event::Steps(count) => {
                for _ in 0..count {
                    bench.step();
                }
            }
        }
    }
    history
}

/// Plays a schedule and holds everybody to what they say alone.
fn keeps_the_law(house: House, schedule: Vec<Event>) {
    let mut bench = Bench::new(house);
    let history = play(&mut bench, house, schedule);
    let taken = history.requests.iter().flatten();
    bench.run_dry(taken.map(Bench::work).sum());
    let load = bench.batch.load();
    assert_eq!((load.slots_busy, load.queued), (0, 0));
    for (n, request) in history.requests.iter().enumerate() {
        let heard = bench.heard_bare(n);
        let Some(request) = request else {
            assert_eq!(heard, Default::default(), "a refused request was served");
            continue;
        };
        let alone = Bench::alone(request, house.habits.uniform);
        let whole = match &heard.end {
            // Its reader is gone.
            None => {
                assert!(history.left.contains(&n), "request {n} was never answered");
                false
            }
            Some(FromWorker::Failed { message, .. }) if message == "broken" => {
                assert!(history.failures > 0);
                false
            }
            Some(FromWorker::Done {
                finish: Finish::Cancelled,
                ..
            }) => {
                assert!(history.cancelled.contains(&n));
                false
            }
            Some(_) => true,
        };
        if whole {
            assert_eq!(heard, alone, "request {n}");
        } else {
            assert!(alone.text.starts_with(&heard.text), "request {n}");
            assert!(alone.tokens.starts_with(&heard.tokens), "request {n}");
        }
    }
    everything_is_free_again(&mut bench, house);
}

/// As many requests as there are slots start at once, with adapters in all places.
fn everything_is_free_again(bench: &mut Bench, house: House) {
    let from = 1000;
    let places = house.habits.adapter_places;
    for n in 0..house.slots {
        let mut request = Request::new(["x", "y", "z", "v", "w"][n % 5], 0, 3);
        request.adapter = (n < places).then_some(100 + n as u64);
        bench.join(owner(from + n), &request).expect("all is free");
    }
    let plan = bench.step_with_plan().expect("there is much to do");
    // Where rows have to move, one slot stays free for that.
    if !house.habits.contiguous {
        assert_eq!(plan.loads.len(), places.min(house.slots));
        assert_eq!(bench.batch.load().queued, 0);
    }
    bench.run_dry(house.slots * 10);
}

fn contiguous() -> impl Strategy<Value = Habits> {
    (any::<bool>(), 0usize..3).prop_map(|(uniform, adapter_places)| Habits {
        uniform,
        contiguous: true,
        adapter_places,
    })
}

fn free() -> impl Strategy<Value = Habits> {
    (0u8..6, 0usize..4).prop_map(|(kind, adapter_places)| Habits {
        uniform: kind > 0,
        contiguous: false,
        adapter_places,
    })
}

/// Who cannot be served at all is refused before it gets here.
fn without_adapters(mut schedule: Vec<Event>, places: usize) -> Vec<Event> {
    for event in &mut schedule {
        if let (Event::Join(request), 0) = (event, places) {
            request.adapter = None;
        }
    }
    schedule
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(7000))]

    #[test]
    fn a_request_says_the_same_in_any_company_on_engines_that_take_any_runs(
        house in house(free()), schedule in schedule(),
    ) {
        keeps_the_law(house, without_adapters(schedule, house.habits.adapter_places));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_request_says_the_same_in_any_company_on_engines_whose_rows_sit_together(
        house in house(contiguous()), schedule in schedule(),
    ) {
        keeps_the_law(house, without_adapters(schedule, house.habits.adapter_places));
    }
}
