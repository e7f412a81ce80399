//! What operators and their machines look at: alive, ready, and numbers.

use std::{fmt::Write, sync::Arc, sync::atomic::Ordering};

use actix_web::{HttpResponse, web};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::{
    generation::{client::WorkerClient, launcher::LauncherHandle},
    rooms::House,
    store::Store,
};

/// What the numbers are read from.
pub(crate) struct Vitals {
    pub(crate) house: Arc<House>,
    /// The local worker, if any seat needs it.
    pub(crate) worker: Option<(WorkerClient, Arc<LauncherHandle>)>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) socket_cap: usize,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// `ready`, `away`, or `none` when every seat is played by another server.
    worker: &'static str,
    /// `ready`, or what is wrong.
    store: String,
}

/// `GET /health/live`: the process answers.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().body("alive\n")
}

/// `GET /health/ready`: a game can be played.
pub(crate) async fn ready(vitals: web::Data<Vitals>) -> HttpResponse {
    let worker = match &vitals.worker {
        None => "none",
        Some((client, _)) if *client.ready().borrow() => "ready",
        Some(_) => "away",
    };
    let store = match vitals.house.store.probe().await {
        Ok(()) => "ready".to_owned(),
        Err(error) => error.to_string(),
    };
    let readiness = Readiness {
        ready: worker != "away" && store == "ready",
        worker,
        store,
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
        "parlour_sockets_too_slow_total",
        "counter",
        "Sockets that were let go because they did not read.",
        tally.too_slow.load(Ordering::Relaxed),
    );
    if let Some((client, launcher)) = &vitals.worker {
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
        page.one(
            "parlour_worker_slots_busy",
            "gauge",
            "Requests that the worker computes.",
            u64::from(load.slots_busy),
        );
        page.one(
            "parlour_worker_queued",
            "gauge",
            "Requests that wait for a slot.",
            u64::from(load.queued),
        );
        page.one(
            "parlour_worker_tokens_total",
            "counter",
            "Tokens sampled since the worker's start.",
            load.tokens,
        );
    }
    page.0
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
