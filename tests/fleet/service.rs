//! What a server gets of a fleet when all is well.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use clap::Parser;
use futures_util::{StreamExt, future::join_all};
use parlour::{
    config::{ModelSettings, WorkerSettings},
    generation::{
        Ask, Backend, GenerationError, Output,
        launcher::{LaunchOptions, Launcher},
    },
    wire::worker::{Refusal, TokenLogProb},
};

use crate::support::{Items, Redis, Server, Worker, long, pieces, plain, prompt, text, until};

const MODEL: &str = "deterministic:5ms";

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
    #[command(flatten)]
    worker: WorkerSettings,
}

fn told(items: &Items) -> Vec<TokenLogProb> {
    let told = |item: &Result<Output, GenerationError>| match item {
        Ok(Output::LogProbs(told)) => told.clone(),
        _ => Vec::new(),
    };
    items.iter().flat_map(told).collect()
}

async fn ask(backend: &Backend, ask: Ask) -> Items {
    backend.ask(ask).collect().await
}

#[tokio::test]
async fn a_fleet_says_what_a_worker_next_door_says() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let _worker = Worker::start(&redis, MODEL, &[]);
    let settings = Settings::parse_from(["test", "--models", "nowhere"]);
    let mut options = LaunchOptions::new(MODEL.into(), settings.models, settings.worker);
    options.program = Some(PathBuf::from(env!("CARGO_BIN_EXE_parlour")));
    let (client, _launcher) = Launcher::start(options).expect("it can start");
    let next_door = Backend::Local(client, MODEL.into());
    for backend in [&next_door, &server.backend] {
        let mut ready = backend.ready();
        ready.wait_for(|ready| *ready).await.expect("it lives");
    }
    for seed in 0..8 {
        let mut request = long(seed, 30);
        request.logprobs = Some(2);
        let here = ask(&next_door, request.clone()).await;
        let there = ask(&server.backend, request).await;
        assert_eq!(text(&there), text(&here));
        assert_eq!(told(&there), told(&here));
        assert_eq!(told(&there).len(), 30);
    }
    let options = || vec!["A".to_owned(), "B".to_owned()];
    assert_eq!(
        server.backend.weigh(prompt("who?"), options()).await,
        next_door.weigh(prompt("who?"), options()).await
    );
    assert_eq!(
        server.backend.score(prompt("who?"), "me".into()).await,
        next_door.score(prompt("who?"), "me".into()).await
    );
    assert!(server.backend.can_weigh());
    // What a worker refuses comes back as a refusal, with its reason.
    let mut malformed = plain(1);
    malformed.sampling.temperature = -1.0;
    let here = ask(&next_door, malformed.clone()).await;
    assert!(matches!(
        here[..],
        [Err(GenerationError::Refused(Refusal::Malformed { .. }))]
    ));
    assert_eq!(server.say(malformed).await, here);
}

#[tokio::test]
async fn load_spreads_by_pull_and_nobody_takes_more_than_it_has_places() {
    const SLOW: &str = "deterministic:20ms";
    let redis = Redis::start().await;
    let server = Server::join(&redis, SLOW, |_| {});
    let workers = [2u64, 3].map(|slots| {
        let worker = Worker::start(&redis, SLOW, &["--slots", &slots.to_string()]);
        (worker, slots)
    });
    for (worker, _) in &workers {
        worker.joined(&server.client).await;
    }
    let texts: Vec<_> = (0..15).map(|n| server.backend.ask(long(n, 100))).collect();
    let claims = until(|| async {
        let claims = redis.claims(2, SLOW).await;
        (claims.len() == 5).then_some(claims)
    })
    .await;
    let mut held: HashMap<String, u64> = HashMap::new();
    for (consumer, _) in claims {
        *held.entry(consumer).or_default() += 1;
    }
    for (worker, slots) in &workers {
        let name = held.keys().find(|name| worker.is(name)).expect("it works");
        assert_eq!(held[name], *slots);
    }
    // The others wait in Redis, for whoever is free first.
    for items in join_all(texts.into_iter().map(StreamExt::collect::<Items>)).await {
        text(&items);
    }
}

#[tokio::test]
async fn a_server_is_ready_while_a_worker_of_its_model_is_there() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let other = Server::join(&redis, "deterministic:7ms", |_| {});
    let mut worker = Worker::start(&redis, "deterministic:7ms", &["--lease-ms", "500"]);
    other.ready(true).await;
    assert!(!*server.client.ready().borrow());
    assert!(server.client.workers().is_empty());
    let waiting = server.backend.ask(plain(1));
    let [card] = &other.client.workers()[..] else {
        panic!("one worker");
    };
    assert!(worker.is(&card.name));
    assert_eq!(card.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(card.protocols, [2, 1]);
    assert_eq!((card.model.slots, card.jobs), (16, 0));
    // Without a goodbye it is believed for a while.
    worker.kill();
    other.ready(false).await;
    let _worker = Worker::start(&redis, MODEL, &[]);
    text(&waiting.collect().await);
    server.ready(true).await;
}

#[tokio::test]
async fn two_servers_share_the_workers_and_hear_their_own_answers_only() {
    let redis = Redis::start().await;
    let servers = [(); 2].map(|()| Server::join(&redis, MODEL, |_| {}));
    let _workers = [(); 2].map(|()| Worker::start(&redis, MODEL, &["--slots", "2"]));
    let mut said = Vec::new();
    for server in &servers {
        let texts = (0..10).map(|seed| server.say(long(seed, 20)));
        said.push(texts);
    }
    let said = join_all(said.into_iter().map(join_all)).await;
    let texts = |items: &Vec<Items>| items.iter().map(text).collect::<Vec<_>>();
    assert_eq!(texts(&said[0]), texts(&said[1]));
    assert!(said[0].iter().all(|items| pieces(items).len() == 20));
}

#[tokio::test]
async fn the_server_of_a_fleet_starts_no_worker_and_shows_the_fleet() {
    let redis = Redis::start().await;
    let data = tempfile::tempdir().expect("a folder");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["serve", "--bind", "127.0.0.1:0", "--model", MODEL])
        .args(["--workers", "fleet", "--redis-prefix", "t:"])
        .arg("--data")
        .arg(data.path())
        .env("PARLOUR_REDIS_URL", redis.url())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let out = BufReader::new(serve.stdout.take().expect("piped"));
    let line = out.lines().next().expect("a line").expect("text");
    let address = line
        .strip_prefix("ready on ")
        .expect("an address")
        .to_owned();
    let get = |path: &str| {
        let url = format!("{address}{path}");
        async move {
            let answer = reqwest::get(url).await.expect("it answers");
            (answer.status().as_u16(), answer.text().await.expect("text"))
        }
    };
    let (status, away) = get("/health/ready").await;
    assert_eq!(status, 503);
    assert!(away.contains(r#""worker":"away""#), "{away}");
    let worker = Worker::start(&redis, MODEL, &["--slots", "3"]);
    let ready = until(|| async {
        let (status, ready) = get("/health/ready").await;
        (status == 200).then_some(ready)
    })
    .await;
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let name = ready["fleet"][0]["name"].as_str().expect("a name");
    assert!(worker.is(name));
    assert_eq!(ready["fleet"][0]["slots"], 3);
    let (_, metrics) = get("/metrics").await;
    for line in [
        "parlour_fleet_up 1",
        "parlour_fleet_workers 1",
        "parlour_fleet_slots 3",
    ] {
        assert!(metrics.lines().any(|have| have == line), "{metrics}");
    }
    let pid = serve.id();
    let children = format!("/proc/{pid}/task/{pid}/children");
    assert_eq!(std::fs::read_to_string(children).expect("it runs"), "");
    serve.kill().expect("it can be killed");
    serve.wait().expect("it can be waited for");
}

#[test]
fn a_fleet_without_a_redis_is_refused_at_the_start() {
    for arguments in [
        &["serve", "--workers", "fleet", "--model", MODEL][..],
        &["worker", "--model", MODEL],
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_parlour"))
            .args(arguments)
            .env_remove("PARLOUR_REDIS_URL")
            .output()
            .expect("the program starts");
        assert!(!ended.status.success());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("PARLOUR_REDIS_URL"), "{said}");
    }
}
