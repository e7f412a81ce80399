//! The worker is expendable: killed or hung at any instant, it is replaced, and whoever
//! waited for it is told at once.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use clap::Parser;
use futures_util::{StreamExt, future::join_all};
use parlour::{
    config::{ModelSettings, WorkerSettings},
    generation::{
        Backend, GenerationError, Output,
        client::WorkerClient,
        launcher::{LaunchOptions, Launcher, LauncherHandle, Patience},
    },
    wire::worker::{Finish, Message, Prompt, Refusal, Role, Sampling},
};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
    #[command(flatten)]
    worker: WorkerSettings,
}

fn launch(model: &str, slots: u32) -> (Backend, WorkerClient, LauncherHandle) {
    let slots = slots.to_string();
    let settings = Settings::parse_from(["test", "--models", "nowhere", "--slots", &slots]);
    let mut options = LaunchOptions::new(model.into(), settings.models, settings.worker);
    options.program = Some(PathBuf::from(env!("CARGO_BIN_EXE_parlour")));
    options.patience = Patience {
        probe_every: Duration::from_millis(50),
        probe: Duration::from_secs(2),
        backoff: Duration::from_millis(10),
        ..Patience::default()
    };
    let (client, handle) = Launcher::start(options).expect("it can start");
    (Backend::Local(client.clone(), model.into()), client, handle)
}

async fn up(client: &WorkerClient) {
    client
        .ready()
        .wait_for(|ready| *ready)
        .await
        .expect("the client lives");
}

async fn down(client: &WorkerClient) {
    client
        .ready()
        .wait_for(|ready| !*ready)
        .await
        .expect("the client lives");
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .stdin(Stdio::null())
        .status()
        .expect("kill runs");
    assert!(status.success());
}

fn prompt(text: &str) -> Prompt {
    Prompt::Chat {
        messages: vec![Message {
            role: Role::User,
            content: text.into(),
        }],
        prefill: String::new(),
    }
}

fn sampling(seed: u64) -> Sampling {
    Sampling {
        seed,
        max_tokens: 40,
        ..Sampling::default()
    }
}

type Items = Vec<Result<Output, GenerationError>>;

async fn say(backend: &Backend, seed: u64) -> Items {
    backend
        .generate(prompt("tell me"), sampling(seed), None)
        .collect()
        .await
}

fn text(items: &Items) -> String {
    let end = items.last().expect("an end");
    assert!(
        matches!(
            end,
            Ok(Output::Done {
                finish: Finish::Stop | Finish::Length,
                ..
            })
        ),
        "{end:?}"
    );
    let piece = |item: &Result<Output, GenerationError>| match item {
        Ok(Output::Piece(text)) => Some(text.clone()),
        _ => None,
    };
    items.iter().filter_map(piece).collect()
}

#[tokio::test]
async fn a_worker_killed_mid_token_ends_every_text_at_once_and_the_next_one_says_the_same() {
    let (backend, client, handle) = launch("deterministic:10ms", 4);
    up(&client).await;
    let whole = text(&say(&backend, 3).await);
    let first = handle.pid().expect("it runs");
    let mut streams: Vec<_> = (0..60)
        .map(|seed| backend.generate(prompt("tell me"), sampling(seed), None))
        .collect();
    let begun = streams[3].next().await;
    assert!(matches!(begun, Some(Ok(Output::Piece(_)))), "{begun:?}");
    let weighing = backend.weigh(prompt("who?"), vec!["A".into(), "B".into()]);
    let ends = async {
        signal("KILL", first);
        join_all(streams.into_iter().map(|stream| stream.collect::<Items>())).await
    };
    let (ends, weighed) = tokio::join!(ends, weighing);
    for items in &ends {
        let after = items
            .iter()
            .position(|item| !matches!(item, Ok(Output::Piece(_))));
        assert_eq!(
            after,
            Some(items.len() - 1),
            "one end, and nothing after it"
        );
    }
    // The last one was still waiting for a slot.
    assert_eq!(ends[59], [Err(GenerationError::WorkerLost)]);
    assert_eq!(weighed, Err(GenerationError::WorkerLost));
    up(&client).await;
    assert_ne!(handle.pid(), Some(first));
    assert_eq!(handle.restarts(), 1);
    assert_eq!(text(&say(&backend, 3).await), whole);
    handle.stop().await;
    assert!(!*client.ready().borrow());
}

#[tokio::test]
async fn a_hung_worker_is_killed_and_replaced() {
    let (backend, client, handle) = launch("deterministic:10ms", 4);
    up(&client).await;
    let pid = handle.pid().expect("it runs");
    let mut stream = backend.generate(prompt("tell me"), sampling(3), None);
    assert!(matches!(stream.next().await, Some(Ok(Output::Piece(_)))));
    signal("STOP", pid);
    let rest: Items = stream.collect().await;
    assert_eq!(rest.last(), Some(&Err(GenerationError::WorkerLost)));
    up(&client).await;
    assert_ne!(handle.pid(), Some(pid));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    text(&say(&backend, 3).await);
}

#[tokio::test]
async fn a_request_made_while_no_worker_is_up_fails_at_once() {
    let client = WorkerClient::new();
    let backend = Backend::Local(client, "deterministic".into());
    assert_eq!(say(&backend, 1).await, [Err(GenerationError::WorkerLost)]);
    let score = backend.score(prompt("who?"), "me".into()).await;
    assert_eq!(score, Err(GenerationError::WorkerLost));
    assert!(!*backend.ready().borrow());
}

#[tokio::test]
async fn dropping_the_handle_ends_the_worker() {
    let (backend, client, handle) = launch("deterministic:10ms", 1);
    up(&client).await;
    let pid = handle.pid().expect("it runs");
    let stream = backend.generate(prompt("tell me"), sampling(3), None);
    drop(handle);
    let items: Items = stream.collect().await;
    assert_eq!(items.last(), Some(&Err(GenerationError::WorkerLost)));
    down(&client).await;
    while std::path::Path::new(&format!("/proc/{pid}")).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_model_that_does_not_open_is_tried_again_and_again_and_never_ready() {
    let (backend, client, handle) = launch("no-such-model", 1);
    while handle.restarts() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!*client.ready().borrow());
    assert_eq!(say(&backend, 1).await, [Err(GenerationError::WorkerLost)]);
    handle.stop().await;
}

#[tokio::test]
async fn dropping_a_stream_frees_its_slot() {
    let (backend, client, _handle) = launch("deterministic:5ms", 1);
    up(&client).await;
    let whole = text(&say(&backend, 3).await);
    for _ in 0..20 {
        let mut stream = backend.generate(prompt("tell me"), sampling(7), None);
        assert!(stream.next().await.is_some());
    }
    assert_eq!(text(&say(&backend, 3).await), whole);
    while client.ping().await.expect("it lives").slots_busy > 0 {}
    assert_eq!(client.load().queued, 0);
}

#[tokio::test]
async fn a_refusal_says_why() {
    let (_, client, _handle) = launch("deterministic", 1);
    up(&client).await;
    let other = Backend::Local(client, "another".into());
    let refusal = Refusal::UnknownModel {
        model: "another".into(),
    };
    assert_eq!(say(&other, 1).await, [Err(refusal.into())]);
}

#[tokio::test]
async fn weighing_and_scoring_come_back() {
    let (backend, client, _handle) = launch("deterministic", 2);
    up(&client).await;
    let weighed = backend
        .weigh(prompt("who?"), vec!["A".into(), "B".into()])
        .await;
    let sum: f32 = weighed.expect("weighed").iter().map(|p| p.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-5);
    let scored = backend
        .score(prompt("who?"), "me".into())
        .await
        .expect("scored");
    assert_eq!(scored.pieces, ["m", "e"]);
}
