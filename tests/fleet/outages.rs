//! Redis that restarts, hangs, is away, or forgets.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use futures_util::StreamExt;
use parlour::generation::GenerationError;

use crate::support::{Items, Reading, Redis, Server, Worker, long, plain, signal, text, until};

const MODEL: &str = "deterministic:20ms";
const LEASE: [&str; 2] = ["--lease-ms", "1000"];

#[tokio::test]
async fn redis_restarts_mid_stream_and_the_text_goes_on() {
    let mut redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &LEASE);
    server.ready(true).await;
    let whole = text(&server.say(long(3, 100)).await);
    let reading = Reading::begin(server.backend.ask(long(3, 100))).await;
    redis.kill();
    server.ready(false).await;
    redis.come_back().await;
    assert_eq!(text(&reading.rest().await), whole);
    server.ready(true).await;
    text(&server.say(plain(1)).await);
}

#[tokio::test]
async fn redis_hangs_and_the_text_goes_on() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &LEASE);
    server.ready(true).await;
    let whole = text(&server.say(long(3, 100)).await);
    let reading = Reading::begin(server.backend.ask(long(3, 100))).await;
    signal("STOP", redis.pid());
    server.ready(false).await;
    signal("CONT", redis.pid());
    assert_eq!(text(&reading.rest().await), whole);
    server.ready(true).await;
}

#[tokio::test]
async fn while_redis_is_away_requests_wait_until_their_time_is_up() {
    let mut redis = Redis::start().await;
    let hasty = Server::join(&redis, MODEL, |options| {
        options.time = Duration::from_millis(700);
    });
    let patient = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &LEASE);
    patient.ready(true).await;
    hasty.ready(true).await;
    redis.kill();
    patient.ready(false).await;
    hasty.ready(false).await;
    let waiting = patient.backend.ask(plain(1));
    let late = GenerationError::Late {
        waited: Duration::from_millis(700),
        problem: "Redis is away",
    };
    assert_eq!(hasty.say(plain(1)).await, [Err(late.clone())]);
    assert_eq!(late.to_string(), "no answer within 0.7 s: Redis is away");
    redis.come_back().await;
    text(&waiting.collect().await);
}

#[tokio::test]
async fn a_server_and_a_worker_that_start_before_redis_find_it_when_it_comes() {
    let mut redis = Redis::start().await;
    redis.kill();
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &LEASE);
    let waiting = server.backend.ask(plain(1));
    redis.come_back().await;
    text(&waiting.collect().await);
}

#[tokio::test]
async fn a_redis_that_forgot_everything_ends_what_it_had_and_serves_what_comes() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &["--slots", "1"]);
    server.ready(true).await;
    let reading = Reading::begin(server.backend.ask(long(3, 2000))).await;
    let waiting = server.backend.ask(long(4, 2000));
    until(|| async {
        let length: u64 = redis.ask(&["XLEN", &format!("t:jobs:2:{MODEL}")]).await;
        (length == 2).then_some(())
    })
    .await;
    let _: String = redis.ask(&["FLUSHALL"]).await;
    let ends: [Items; 2] = [reading.rest().await, waiting.collect().await];
    for end in ends {
        assert_eq!(end.last(), Some(&Err(GenerationError::WorkerLost)));
    }
    // Streams and groups are made anew, and the worker has its place free.
    server.ready(true).await;
    text(&server.say(plain(1)).await);
}

#[tokio::test]
async fn a_redis_without_memory_is_as_one_that_is_away_until_it_has_some() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &LEASE);
    server.ready(true).await;
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    server.ready(false).await;
    let waiting = server.backend.ask(plain(1));
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    text(&waiting.collect().await);
}

#[tokio::test]
async fn nothing_is_left_in_redis_when_all_is_said() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let worker = Worker::start(&redis, MODEL, &LEASE);
    server.ready(true).await;
    let texts = (0..8).map(|seed| server.say(long(seed, 10)));
    for items in futures_util::future::join_all(texts).await {
        text(&items);
    }
    drop(Reading::begin(server.backend.ask(long(3, 2000))).await);
    let left = || async {
        let keys: Vec<String> = redis.ask(&["KEYS", "t:*"]).await;
        let mut held = 0;
        for key in keys
            .iter()
            .filter(|key| key.contains("jobs:") || key.contains("answers:"))
        {
            held += redis.ask::<u64>(&["XLEN", key]).await;
        }
        let once = keys.iter().any(|key| key.starts_with("t:job:"));
        (held == 0 && !once).then_some(())
    };
    until(left).await;
    // What a server leaves behind without a word goes by itself.
    let lives: i64 = redis
        .ask(&[
            "PTTL",
            &redis.ask::<Vec<String>>(&["KEYS", "t:worker:*"]).await[0],
        ])
        .await;
    assert!(lives > 0);
    signal("TERM", worker.child.id());
    until(|| async {
        let keys: Vec<String> = redis.ask(&["KEYS", "t:worker*"]).await;
        keys.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_password_of_redis_is_never_logged() {
    // Nobody listens at port 1.
    let url = "redis://boss:hunter2@127.0.0.1:1";
    let arguments = ["--log", "trace"];
    let mut worker = Worker::start_at(url, MODEL, &arguments, Stdio::piped());
    let log = worker.child.stderr.take().expect("piped");
    let mut heard = String::new();
    for line in BufReader::new(log).lines() {
        heard += &line.expect("text");
        heard.push('\n');
        if heard.contains("Redis is away") {
            break;
        }
    }
    assert!(heard.contains("127.0.0.1:1"), "{heard}");
    assert!(!heard.contains("hunter2"), "{heard}");
    worker.kill();
    let mut wrong = Worker::start_at("redis//boss:hunter2@x", MODEL, &[], Stdio::piped());
    let log = wrong.child.stderr.take().expect("piped");
    let said: Vec<String> = BufReader::new(log).lines().map_while(Result::ok).collect();
    assert!(said.concat().contains("PARLOUR_REDIS_URL"), "{said:?}");
    assert!(!said.concat().contains("hunter2"), "{said:?}");
}
