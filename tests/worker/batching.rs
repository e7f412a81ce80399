//! Batching changes nothing, on the real model and through the real process: a request
//! says the same alone and among seven others, whatever joins, leaves, or was read before.

use std::collections::HashMap;

use parlour::wire::worker::{FromWorker, RequestId, Sampling, Score, Terms, ToWorker, Weigh};

use crate::support::{Heard, Line, Worker, chat};

const MODEL: &str = "smollm2-135m";

/// The request that is compared. Longer than two chunks, so that some of it can be borrowed.
const SUBJECT: u64 = 100;

fn subject(worker: &Worker) -> ToWorker {
    let question =
        "You have lost your keys on a rainy evening in a small town by the sea. ".repeat(9);
    worker.generate(
        SUBJECT,
        &format!("{question}Where do you look first?"),
        free(7, 48),
    )
}

fn free(seed: u64, max_tokens: u32) -> Sampling {
    Sampling {
        temperature: 0.9,
        top_p: 0.95,
        seed,
        max_tokens,
        ..Sampling::default()
    }
}

/// Seven that come and go: short and long prompts, short and long lives, other kinds.
fn others(worker: &Worker, from: u64) -> Vec<ToWorker> {
    let long = "Tell me about the harbour, the fish market and the old lighthouse. ".repeat(14);
    let mut all: Vec<ToWorker> = [
        ("Hi.", 3),
        ("What is the sea?", 40),
        (long.as_str(), 20),
        ("Name three colours.", 12),
        ("Why?", 60),
    ]
    .into_iter()
    .zip(from..)
    .map(|((text, tokens), id)| worker.generate(id, text, free(id, tokens)))
    .collect();
    all.push(ToWorker::Weigh {
        id: RequestId(from + 5),
        request: Weigh {
            model: MODEL.into(),
            prompt: chat("Is water wet?"),
            options: vec!["Yes".into(), "No".into()],
            terms: Terms::default(),
        },
    });
    all.push(ToWorker::Score {
        id: RequestId(from + 6),
        request: Score {
            model: MODEL.into(),
            prompt: chat("What is your name?"),
            text: "My name is Ada, and I live by the sea.".into(),
            terms: Terms::default(),
        },
    });
    all
}

async fn alone(line: &mut Line, request: &ToWorker) -> HashMap<u64, Heard> {
    line.say(request).await;
    line.hear_ends(1).await
}

#[tokio::test]
async fn a_request_gives_the_same_tokens_alone_and_among_seven_others() {
    let worker = Worker::start(MODEL, &["--slots", "8", "--context", "1024"]).await;

    // One after the other, nothing beside them, nothing read before.
    let mut by_itself = HashMap::new();
    for request in others(&worker, 0).iter().chain([&subject(&worker)]) {
        by_itself.extend(alone(&mut worker.connect().await, request).await);
    }
    let truth = &by_itself[&SUBJECT];
    assert!(truth.tokens.len() > 10, "{truth:?}");
    assert!(
        matches!(truth.end, Some(FromWorker::Done { .. })),
        "{truth:?}"
    );

    // All eight at once; then once more, when every prompt's beginning is known.
    for _ in 0..2 {
        let mut line = worker.connect().await;
        for request in others(&worker, 0).iter().chain([&subject(&worker)]) {
            line.say(request).await;
        }
        assert_eq!(line.hear_ends(8).await, by_itself);
    }

    // Joined in mid stream, with somebody leaving beside it.
    let mut line = worker.connect().await;
    for request in others(&worker, 0) {
        line.say(&request).await;
    }
    let mut first_piece = None;
    while first_piece.is_none() {
        if let Some(FromWorker::Piece { id, .. }) = line.hear().await {
            first_piece = Some(id);
        }
    }
    let mut late = worker.connect().await;
    late.say(&subject(&worker)).await;
    line.say(&ToWorker::Cancel { id: RequestId(4) }).await;
    drop(line);
    assert_eq!(&late.hear_ends(1).await[&SUBJECT], truth);
}

#[tokio::test]
async fn what_was_read_before_is_not_read_again() {
    let worker = Worker::start(MODEL, &["--slots", "2", "--context", "1024"]).await;
    let mut line = worker.connect().await;
    let mut reused = Vec::new();
    for _ in 0..2 {
        alone(&mut line, &subject(&worker)).await;
        line.say(&ToWorker::Ping { nonce: 1 }).await;
        match line.hear().await {
            Some(FromWorker::Pong { load, .. }) => reused.push(load.reused),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reused[0], 0);
    assert!(reused[1] >= 128, "{reused:?}");
}
