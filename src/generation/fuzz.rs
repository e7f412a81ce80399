//! What a worker says on its socket, damaged.

use futures_util::StreamExt;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::UnixStream};

use super::client::WorkerClient;
use crate::{
    fuzz::{Chunk, Length, Seed, Target},
    wire::worker::{
        Finish, FromWorker, Generate, Likely, Load, ModelInfo, PROTOCOL, Prompt, Refusal,
        RequestId, Sampling, Terms, TextScore, TokenLogProb, Usage,
    },
};

/// The client numbers its requests from 1.
const FIRST: RequestId = RequestId(1);

fn greeting() -> FromWorker {
    FromWorker::Hello {
        protocol: PROTOCOL,
        version: "1".into(),
        models: vec![ModelInfo {
            name: "toy".into(),
            context: 64,
            slots: 2,
            precision: "toy".into(),
        }],
    }
}

fn connections() -> Vec<Seed> {
    let id = FIRST;
    let logprobs = vec![TokenLogProb {
        token: 7,
        bytes: vec![104, 105],
        log_prob: -0.5,
        top: vec![Likely {
            token: 8,
            bytes: vec![255],
            log_prob: -1.5,
        }],
    }];
    let text = || "naïve ".to_owned();
    let messages = [
        FromWorker::Piece {
            id,
            text: text(),
            tokens: vec![7],
            logprobs,
        },
        FromWorker::Pong {
            nonce: 2,
            load: Load::default(),
        },
        FromWorker::Weighed {
            id,
            log_probs: vec![-0.1, -2.0],
        },
        FromWorker::Scored {
            id,
            score: TextScore {
                pieces: vec![text()],
                log_probs: vec![-0.25],
                means: vec![-1.0],
                variances: vec![0.5],
                ranks: vec![3],
            },
        },
        FromWorker::Failed {
            id,
            message: text(),
        },
        FromWorker::Refused {
            id,
            refusal: Refusal::TooLong {
                tokens: 70,
                context: 64,
            },
        },
        FromWorker::Done {
            id,
            finish: Finish::Length,
            usage: Usage::default(),
        },
    ];
    let frame = |message: &FromWorker| {
        let value: Value = serde_json::to_value(message).unwrap();
        Chunk::Json(Some(Length::Big32), value)
    };
    let connection = |rest: &[FromWorker]| {
        let all = std::iter::once(frame(&greeting())).chain(rest.iter().map(frame));
        Seed(vec![all.collect()])
    };
    let alone = messages.chunks(1).map(connection);
    alone.chain([connection(&messages)]).collect()
}

/// A request hears whatever the worker says, until the worker is lost.
async fn hear(bytes: &[u8]) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let client = WorkerClient::new();
    let worker = async move {
        // The client may hang up in between.
        let _ = theirs.write_all(bytes).await;
        let _ = theirs.shutdown().await;
        theirs
    };
    let server = async {
        let Ok(mut connection) = client.attach(ours).await else {
            return;
        };
        let stream = client.generate(Generate {
            model: "toy".into(),
            prompt: Prompt::Text("x".into()),
            sampling: Sampling::default(),
            constraint: None,
            logprobs: Some(1),
            terms: Terms::default(),
        });
        let heard: Vec<_> = stream.collect().await;
        // A stream always says how it ended.
        assert!(!heard.is_empty());
        connection.lost().await;
        let _ = (client.load(), client.models());
    };
    // The worker's end stays open until the client has read what was said.
    tokio::join!(worker, server);
}

#[test]
fn no_message_from_a_worker_panics_or_costs_unbounded_memory() {
    Target {
        test: (
            module_path!(),
            "no_message_from_a_worker_panics_or_costs_unbounded_memory",
        ),
        inputs: 3000,
        memory: 512 << 20,
        seeds: connections,
        reader: || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            move |parts: &[Vec<u8>]| runtime.block_on(hear(&parts[0]))
        },
    }
    .run();
}
