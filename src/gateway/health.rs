//! What operators and their machines look at: alive, ready, and numbers.

use std::{
    fmt::Write,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

use actix_web::{HttpResponse, web};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{crew::Crew, gate::Gate};
use crate::{
    generation::fleet::FleetClient,
    rooms::House,
    store::Store,
    wire::{
        fleet::Card,
        worker::{Load, STEP_BOUNDS},
    },
};

/// What the numbers are read from.
pub(crate) struct Vitals {
    pub(crate) house: Arc<House>,
    pub(crate) crew: Crew,
    pub(crate) gate: Arc<Gate>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) socket_cap: usize,
    /// It was told to stop.
    pub(crate) draining: AtomicBool,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// This server's name among those that share the store.
    server: String,
    /// Whether it was told to stop, and hands its rooms over.
    draining: bool,
    /// `ready`, `away`, or `none` when every seat is played by another server.
    worker: &'static str,
    /// The fleet's workers that hold the model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fleet: Vec<Member>,
    /// `ready`, or what is wrong.
    store: String,
    /// Where the store is: `sqlite` or `redis`.
    home: &'static str,
    /// What survives a loss of power: `disk` is everything that was answered.
    durability: &'static str,
}

/// One worker of the fleet.
#[derive(Serialize)]
struct Member {
    name: String,
    version: String,
    protocols: Vec<u16>,
    slots: u32,
    jobs: u32,
}

impl From<Card> for Member {
    fn from(card: Card) -> Self {
        Self {
            name: card.name,
            version: card.version,
            protocols: card.protocols,
            slots: card.model.slots,
            jobs: card.jobs,
        }
    }
}

/// `GET /health/live`: the process answers.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().body("alive\n")
}

/// `GET /health/ready`: a game can be played.
pub(crate) async fn ready(vitals: web::Data<Vitals>) -> HttpResponse {
    let worker = vitals.crew.state();
    let fleet = match &vitals.crew {
        Crew::Fleet { client, .. } => client.workers(),
        Crew::None | Crew::Local { .. } => Vec::new(),
    };
    let store = match vitals.house.store.probe().await {
        Ok(()) => "ready".to_owned(),
        Err(error) => error.to_string(),
    };
    let draining = vitals.draining.load(Ordering::Relaxed);
    let readiness = Readiness {
        ready: worker != "away" && store == "ready" && !draining,
        server: vitals.house.tenure.server.to_string(),
        draining,
        worker,
        fleet: fleet.into_iter().map(Member::from).collect(),
        store,
        home: vitals.house.store.home(),
        durability: vitals.house.store.durability(),
    };
    if readiness.ready {
        HttpResponse::Ok().json(readiness)
    } else {
        HttpResponse::ServiceUnavailable().json(readiness)
    }
}

/// `GET /metrics`, in Prometheus' text format.
pub(crate) async fn metrics(vitals: web::Data<Vitals>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(page(&vitals))
}

fn page(vitals: &Vitals) -> String {
    let tally = &vitals.house.tally;
    let mut page = Page::default();
    let sockets = vitals
        .socket_cap
        .saturating_sub(vitals.permits.available_permits());
    page.one("parlour_sockets", "gauge", "Open sockets.", sockets as u64);
    let rooms = u64::try_from(tally.rooms.get()).unwrap_or(0);
    page.one("parlour_rooms", "gauge", "Games that go on.", rooms);
    page.many(
        "parlour_games_total",
        "Games that ended, by ending.",
        "ending",
        tally.endings(),
    );
    page.many(
        "parlour_refusals_total",
        "Requests of clients that were refused, by code.",
        "code",
        tally.refusals(),
    );
    page.one(
        "parlour_rooms_rebuilt_total",
        "counter",
        "Rooms that fell and were rebuilt from their logs.",
        tally.rebuilt.load(Ordering::Relaxed),
    );
    page.one(
        "parlour_rooms_moved_total",
        "counter",
        "Rooms that were given up to another server.",
        tally.moved.load(Ordering::Relaxed),
    );
    page.one(
        "parlour_rooms_adopted_total",
        "counter",
        "Rooms without a server that this one took.",
        tally.adopted.load(Ordering::Relaxed),
    );
    page.one(
        "parlour_sockets_too_slow_total",
        "counter",
        "Sockets that were let go because they did not read.",
        tally.too_slow.load(Ordering::Relaxed),
    );
    page.many(
        "parlour_gate_attempts_total",
        "Passwords that were said at the gate; those refused were not looked at.",
        "result",
        vitals.gate.attempts(),
    );
    let store = &vitals.house.store;
    page.fact(
        "parlour_store_info",
        "Where the store is, and what survives a loss of power.",
        &[("home", store.home()), ("durability", store.durability())],
    );
    match &vitals.crew {
        Crew::None => {}
        Crew::Local {
            client, launcher, ..
        } => {
            let load = client.load();
            let up = u64::from(*client.ready().borrow());
            page.one(
                "parlour_worker_up",
                "gauge",
                "Whether the worker is there.",
                up,
            );
            page.one(
                "parlour_worker_restarts_total",
                "counter",
                "Workers that were started after the first.",
                launcher.restarts(),
            );
            worker(&mut page, &load);
        }
        Crew::Fleet { client, .. } => fleet(&mut page, client),
    }
    page.0
}

/// The fleet as this server sees it. Each worker's totals are its own to tell; a sum over
/// workers that come and go would be no counter.
fn fleet(page: &mut Page, client: &FleetClient) {
    let workers = client.workers();
    let sum = |of: fn(&Card) -> u32| workers.iter().map(|card| u64::from(of(card))).sum();
    let gauges = [
        (
            "up",
            "Whether Redis is there and a worker.",
            u64::from(*client.ready().borrow()),
        ),
        (
            "workers",
            "Workers that hold the model.",
            workers.len() as u64,
        ),
        (
            "slots",
            "Requests that they can compute at once.",
            sum(|card| card.model.slots),
        ),
        ("jobs", "Requests that they compute.", sum(|card| card.jobs)),
        (
            "requests",
            "Requests of this server that are not answered yet.",
            client.in_flight() as u64,
        ),
    ];
    for (name, help, value) in gauges {
        page.one(&format!("parlour_fleet_{name}"), "gauge", help, value);
    }
}

/// What the worker says of itself; all totals begin anew with each worker, as counters may.
fn worker(page: &mut Page, load: &Load) {
    let gauges = [
        (
            "slots",
            "Requests that the worker can compute at once.",
            load.slots,
        ),
        (
            "slots_busy",
            "Requests that the worker computes.",
            load.slots_busy,
        ),
        ("queued", "Requests that wait for a slot.", load.queued),
    ];
    for (name, help, value) in gauges {
        let name = format!("parlour_worker_{name}");
        page.one(&name, "gauge", help, u64::from(value));
    }
    let counters = [
        ("tokens", "Tokens sampled.", load.tokens),
        (
            "prompt_tokens_computed",
            "Tokens of prompts that were computed.",
            load.prefilled,
        ),
        (
            "prompt_tokens_reused",
            "Tokens of prompts that were copied instead of computed.",
            load.reused,
        ),
        (
            "prefix_hits",
            "Requests that found a beginning of their prompt computed already.",
            load.prefix_hits,
        ),
        (
            "drafts",
            "Tokens that were guessed before they were computed.",
            load.drafted,
        ),
        ("drafts_held", "Guessed tokens that held.", load.drafts_held),
        (
            "adapter_loads",
            "Adapters that were copied into the engine.",
            load.adapter_loads,
        ),
        (
            "adapter_evictions",
            "Adapters that gave way to others.",
            load.adapter_evictions,
        ),
    ];
    for (name, help, value) in counters {
        let name = format!("parlour_worker_{name}_total");
        page.one(&name, "counter", help, value);
    }
    page.histogram(
        "parlour_worker_step_seconds",
        "How long the engine's steps took.",
        &STEP_BOUNDS,
        &load.steps.counts,
        load.steps.seconds,
    );
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")
            .expect("writing to a string cannot fail");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        writeln!(self.0, "{name} {value}").expect("writing to a string cannot fail");
    }

    /// What is so, as labels; the value says nothing.
    fn fact(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.head(name, "gauge", help);
        let labels: Vec<_> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        writeln!(self.0, "{name}{{{}}} 1", labels.join(","))
            .expect("writing to a string cannot fail");
    }

    /// `counts` has one more than `bounds`: what lies above the last of them.
    fn histogram(&mut self, name: &str, help: &str, bounds: &[f64], counts: &[u64], sum: f64) {
        self.head(name, "histogram", help);
        let mut count = 0;
        let bounds = bounds.iter().map(f64::to_string);
        for (bound, more) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
            count += more;
            writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {count}")
                .expect("writing to a string cannot fail");
        }
        writeln!(self.0, "{name}_sum {sum}\n{name}_count {count}")
            .expect("writing to a string cannot fail");
    }

    fn many(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'static str, u64)>,
    ) {
        self.head(name, "counter", help);
        for (of, value) in values {
            writeln!(self.0, "{name}{{{label}=\"{of}\"}} {value}")
                .expect("writing to a string cannot fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::wire::worker::StepTimes;
    use proptest::prelude::*;

    fn is_name(name: &str) -> bool {
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
        name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
    }

    /// Reads a page by the rules of Prometheus' text format 0.0.4 and gives its samples.
    fn read(page: &str) -> HashMap<String, f64> {
        assert!(page.ends_with('\n'), "the last line has no end");
        let (mut samples, mut families) = (HashMap::new(), HashSet::new());
        let (mut family, mut kind) = (String::new(), String::new());
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect("a help text");
                assert!(is_name(name) && !text.is_empty(), "{line}");
                assert!(families.insert(name.to_owned()), "{name} comes twice");
                (family, kind) = (name.to_owned(), String::new());
            } else if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, what) = declared.split_once(' ').expect("a type");
                assert_eq!(name, family, "a type of something else");
                assert!(["counter", "gauge", "histogram"].contains(&what), "{line}");
                assert_eq!(what == "counter", name.ends_with("_total"), "{line}");
                kind = what.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a sample");
                let (name, labels) = match series.split_once('{') {
                    None => (series, None),
                    Some((name, rest)) => (name, Some(rest.strip_suffix('}').expect("an end"))),
                };
                assert!(is_name(name), "{line}");
                for label in labels.iter().flat_map(|labels| labels.split(',')) {
                    let (label, value) = label.split_once('=').expect("a label");
                    assert!(is_name(label) && !label.starts_with("__"), "{line}");
                    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
                    assert!(
                        !value.expect("quotes").contains(['"', '\\', '\n']),
                        "{line}"
                    );
                }
                let suffix = name.strip_prefix(&family).expect("a sample of its family");
                match kind.as_str() {
                    "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix)),
                    "counter" | "gauge" => assert_eq!(suffix, "", "{line}"),
                    other => panic!("a sample before its type {other:?}"),
                }
                let value: f64 = value.parse().expect("a number");
                assert!(value >= 0.0, "{line}");
                let before = samples.insert(series.to_owned(), value);
                assert_eq!(before, None, "{series} comes twice");
            }
        }
        samples
    }

    proptest! {
        #[test]
        fn a_page_is_what_prometheus_reads(
            counts in proptest::array::uniform11(0u64..1 << 40),
            seconds in 0f64..1e9,
            numbers in proptest::collection::vec(0u64..1 << 50, 8),
        ) {
            let load = Load {
                slots: 8,
                slots_busy: 3,
                queued: 2,
                tokens: numbers[0],
                prefilled: numbers[1],
                reused: numbers[2],
                prefix_hits: numbers[3],
                drafted: numbers[4],
                drafts_held: numbers[5],
                adapter_loads: numbers[6],
                adapter_evictions: numbers[7],
                steps: StepTimes { counts, seconds },
            };
            let mut page = Page::default();
            page.one("parlour_rooms", "gauge", "Games that go on.", 1);
            page.many("parlour_games_total", "Games.", "ending", [("won", 1), ("lost", 2)].into_iter());
            worker(&mut page, &load);
            let samples = read(&page.0);
            let sample = |name: &str| samples[&format!("parlour_worker_{name}")];
            prop_assert_eq!([sample("slots"), sample("slots_busy"), sample("queued")], [8.0, 3.0, 2.0]);
            let totals = [
                "tokens", "prompt_tokens_computed", "prompt_tokens_reused", "prefix_hits",
                "drafts", "drafts_held", "adapter_loads", "adapter_evictions",
            ];
            for (name, number) in totals.iter().zip(numbers) {
                prop_assert_eq!(sample(&format!("{name}_total")), number as f64);
            }
            let mut below = 0;
            for (bound, count) in STEP_BOUNDS.iter().zip(counts) {
                below += count;
                prop_assert_eq!(sample(&format!("step_seconds_bucket{{le=\"{bound}\"}}")), below as f64);
            }
            let all: u64 = counts.iter().sum();
            prop_assert_eq!(sample("step_seconds_bucket{le=\"+Inf\"}"), all as f64);
            prop_assert_eq!(sample("step_seconds_count"), all as f64);
            prop_assert_eq!(sample("step_seconds_sum"), seconds);
        }
    }
}
