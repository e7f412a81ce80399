//! Workers that die, hang, leave, or bring death.

use std::time::Duration;

use futures_util::{StreamExt, future::join_all};
use parlour::{
    generation::{GenerationError, Output},
    wire::worker::Refusal,
};

use crate::support::{Items, Reading, Redis, Server, Worker, long, plain, signal, text, until};

const MODEL: &str = "deterministic:20ms";
const LEASE: [&str; 2] = ["--lease-ms", "1000"];
/// No test waits that long: what happens does not happen because a lease is over.
const LONG_LEASE: [&str; 2] = ["--lease-ms", "600000"];

#[tokio::test]
async fn a_worker_killed_mid_token_is_replaced_and_no_reader_notices() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let mut first = Worker::start(&redis, MODEL, &LEASE);
    server.ready(true).await;
    let whole = text(&server.say(long(3, 60)).await);
    let scored = server.backend.score(plain(0).prompt, whole.clone()).await;
    let reading = Reading::begin(server.backend.ask(long(3, 60))).await;
    let others: Vec<_> = (0..12).map(|n| server.backend.ask(long(n, 30))).collect();
    let second = Worker::start(&redis, MODEL, &LEASE);
    second.joined(&server.client).await;
    first.kill();
    let score = server.backend.score(plain(0).prompt, whole.clone());
    let (items, others, again) = tokio::join!(
        reading.rest(),
        join_all(others.into_iter().map(StreamExt::collect::<Items>)),
        score,
    );
    assert_eq!(text(&items), whole);
    assert_eq!(again, scored);
    for (n, other) in others.iter().enumerate() {
        let alone = server.say(long(n as u64, 30)).await;
        assert_eq!(text(other), text(&alone));
    }
    assert_eq!(server.client.in_flight(), 0);
}

#[tokio::test]
async fn a_job_that_takes_longer_than_a_lease_stays_with_its_worker() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let workers = [(); 2].map(|()| Worker::start(&redis, MODEL, &["--lease-ms", "1500"]));
    for worker in &workers {
        worker.joined(&server.client).await;
    }
    let mut reading = Reading::begin(server.backend.ask(long(3, 200))).await;
    let holders = redis.claims(2, MODEL).await;
    assert!(matches!(&holders[..], [(_, 1)]), "{holders:?}");
    loop {
        reading.piece().await;
        let now = redis.claims(2, MODEL).await;
        if now.is_empty() {
            break;
        }
        assert_eq!(now, holders);
    }
    text(&reading.rest().await);
}

#[tokio::test]
async fn an_engine_that_dies_gives_its_jobs_away_without_waiting_for_a_lease() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let worker = Worker::start(&redis, MODEL, &LONG_LEASE);
    server.ready(true).await;
    let whole = text(&server.say(long(3, 60)).await);
    let reading = Reading::begin(server.backend.ask(long(3, 60))).await;
    signal("KILL", worker.engine().await);
    assert_eq!(text(&reading.rest().await), whole);
}

#[tokio::test]
async fn a_hung_worker_loses_its_jobs_and_what_it_says_when_it_wakes_is_ignored() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let first = Worker::start(&redis, MODEL, &LEASE);
    server.ready(true).await;
    let whole = text(&server.say(long(3, 150)).await);
    let mut reading = Reading::begin(server.backend.ask(long(3, 150))).await;
    first.signal("STOP").await;
    let second = Worker::start(&redis, MODEL, &LEASE);
    until(|| async {
        let claims = redis.claims(2, MODEL).await;
        claims
            .iter()
            .any(|(name, attempt)| second.is(name) && *attempt == 2)
            .then_some(())
    })
    .await;
    reading.piece().await;
    // Both write now; one of them counts.
    first.signal("CONT").await;
    assert_eq!(text(&reading.rest().await), whole);
    // The one that woke up is of use again, by itself.
    second.signal("STOP").await;
    first.joined(&server.client).await;
    assert_eq!(text(&server.say(long(3, 150)).await), whole);
    second.signal("CONT").await;
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_ignored() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |options| {
        options.time = Duration::from_millis(1500);
    });
    let worker = Worker::start(&redis, MODEL, &LONG_LEASE);
    server.ready(true).await;
    // A text that takes a minute, and a worker that stops on the way.
    let reading = Reading::begin(server.backend.ask(long(3, 2000))).await;
    worker.signal("STOP").await;
    let items = reading.rest().await;
    assert_eq!(
        items.last(),
        Some(&Err(GenerationError::Late {
            waited: Duration::from_millis(1500),
            problem: "it was not finished",
        }))
    );
    worker.signal("CONT").await;
    // Nothing of the old text comes into the new one.
    let short = until(|| async {
        let items = server.say(long(4, 3)).await;
        items.last()?.is_ok().then(|| text(&items))
    })
    .await;
    assert_eq!(short.chars().count(), 3);
    assert_eq!(server.client.in_flight(), 0);
}

#[tokio::test]
async fn a_job_that_kills_its_worker_each_time_is_given_up_at_the_cap() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let workers = [(); 2].map(|()| Worker::start(&redis, MODEL, &LONG_LEASE));
    for worker in &workers {
        worker.joined(&server.client).await;
    }
    let poison = server.backend.ask(long(3, 2000));
    for attempt in 1..=3 {
        let name = until(|| async {
            let claims = redis.claims(2, MODEL).await;
            let (name, now) = claims.into_iter().next()?;
            (now == attempt && name != "nobody").then_some(name)
        })
        .await;
        let victim = workers.iter().find(|worker| worker.is(&name));
        signal("KILL", victim.expect("one of ours").engine().await);
    }
    let items: Items = poison.collect().await;
    let error = GenerationError::GivenUp { attempts: 3 };
    assert_eq!(items.last(), Some(&Err(error.clone())));
    assert!(error.to_string().contains("3 attempts"), "{error}");
    // Nobody else suffers.
    server.ready(true).await;
    text(&server.say(plain(1)).await);
}

#[tokio::test]
async fn a_full_queue_refuses_at_the_door() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |options| options.queue = 2);
    let _worker = Worker::start(&redis, MODEL, &["--slots", "1"]);
    server.ready(true).await;
    let running = Reading::begin(server.backend.ask(long(1, 2000))).await;
    let waiting = [2, 3].map(|seed| server.backend.ask(long(seed, 5)));
    let length = || async {
        let length: u64 = redis.ask(&["XLEN", &format!("t:jobs:2:{MODEL}")]).await;
        (length == 3).then_some(())
    };
    until(length).await;
    let busy = GenerationError::Refused(Refusal::Busy { queued: 2 });
    assert_eq!(server.say(long(4, 5)).await, [Err(busy)]);
    // Those who were let in are served once there is a place.
    drop(running);
    for waiting in waiting {
        text(&waiting.collect().await);
    }
}

#[tokio::test]
async fn dropping_a_text_frees_its_place_on_the_other_machine() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &["--slots", "1"]);
    server.ready(true).await;
    for seed in 0..10 {
        // It would take a minute.
        drop(Reading::begin(server.backend.ask(long(seed, 2000))).await);
        // Taken back before any worker has it.
        drop(server.backend.ask(long(seed, 2000)));
    }
    text(&server.say(plain(1)).await);
    assert_eq!(server.client.in_flight(), 0);
}

#[tokio::test]
async fn a_worker_told_to_leave_finishes_what_it_has_and_takes_no_more() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let mut first = Worker::start(&redis, MODEL, &LONG_LEASE);
    server.ready(true).await;
    let reading = Reading::begin(server.backend.ask(long(3, 60))).await;
    signal("TERM", first.child.id());
    server.ready(false).await;
    let late = server.backend.ask(plain(1));
    // Its text has an end though nobody else is there.
    text(&reading.rest().await);
    let left = tokio::task::spawn_blocking(move || first.child.wait().map(|_| first));
    let first = left.await.expect("no panic").expect("it ends");
    let second = Worker::start(&redis, MODEL, &LONG_LEASE);
    text(&late.collect().await);
    second.joined(&server.client).await;
    drop(first);
}

#[tokio::test]
async fn a_worker_without_time_to_leave_gives_back_what_it_has_and_no_attempt_is_lost() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |options| options.attempts = 1);
    let mut first = Worker::start(&redis, MODEL, &["--drain-seconds", "0"]);
    server.ready(true).await;
    let whole = text(&server.say(long(3, 60)).await);
    let reading = Reading::begin(server.backend.ask(long(3, 60))).await;
    signal("TERM", first.child.id());
    first.child.wait().expect("it ends");
    let _second = Worker::start(&redis, MODEL, &LONG_LEASE);
    // With one attempt allowed, another one would have been too many.
    assert_eq!(text(&reading.rest().await), whole);
}

#[tokio::test]
async fn a_server_that_leaves_takes_its_jobs_with_it() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &["--slots", "1"]);
    server.ready(true).await;
    let reading = Reading::begin(server.backend.ask(long(3, 2000))).await;
    let waiting = server.backend.ask(long(4, 2000));
    server.handle.stop().await;
    let ends: [Items; 2] = [reading.rest().await, waiting.collect().await];
    for end in ends {
        assert_eq!(end.last(), Some(&Err(GenerationError::WorkerLost)));
    }
    let length: u64 = redis.ask(&["XLEN", &format!("t:jobs:2:{MODEL}")]).await;
    assert_eq!(length, 0);
    // The place is free for others.
    let other = Server::join(&redis, MODEL, |_| {});
    text(&other.say(plain(1)).await);
}

#[tokio::test]
async fn what_a_text_cost_is_told_once() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &LEASE);
    let items = server.say(long(3, 20)).await;
    let ends = items
        .iter()
        .filter(|item| !matches!(item, Ok(Output::Piece(_))))
        .count();
    assert_eq!(ends, 1);
    let Some(Ok(Output::Done { usage, .. })) = items.last() else {
        panic!("{items:?}");
    };
    assert_eq!(usage.output_tokens, 20);
}
