//! What the worker's process says on its socket, and what it does not put up with.

use std::{collections::HashMap, process::Command};

use futures_util::SinkExt;
use parlour::wire::worker::{
    Constraint, Finish, FromWorker, PROTOCOL, Refusal, RequestId, Sampling, Score, Terms, ToWorker,
    Weigh,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::bytes::Bytes;

use crate::support::{Worker, chat, seeded};

#[tokio::test]
async fn tokens_are_the_same_alone_and_in_company() {
    let worker = Worker::start("deterministic", &["--slots", "4"]).await;
    let mut line = worker.connect().await;
    let request = |id: u64| {
        let text = "why ".repeat(1 + 37 * (id as usize % 5));
        worker.generate(
            id,
            &format!("{text}{id}"),
            seeded(id % 7, 1 + (id as u32 * 13) % 60),
        )
    };
    let mut alone = HashMap::new();
    for id in 0..24 {
        line.say(&request(id)).await;
        alone.extend(line.hear_ends(1).await);
    }
    // The same ids on another connection: they are the connection's own.
    let mut other = worker.connect().await;
    for id in 0..24 {
        other.say(&request(id)).await;
    }
    assert_eq!(other.hear_ends(24).await, alone);
    assert!(alone.values().any(|heard| heard.text.len() > 10));
}

#[tokio::test]
async fn another_protocol_is_refused_by_closing() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.dial().await;
    line.say(&ToWorker::Hello {
        protocol: PROTOCOL + 1,
    })
    .await;
    assert_eq!(line.hear().await, None);
    let mut rude = worker.dial().await;
    rude.say(&ToWorker::Ping { nonce: 1 }).await;
    assert_eq!(rude.hear().await, None);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_no_other() {
    let worker = Worker::start("deterministic:5ms", &[]).await;
    let mut good = worker.connect().await;
    good.say(&worker.generate(1, "hello", seeded(1, 40))).await;
    let garbage: [&[u8]; 4] = [
        &[0, 0, 0, 2, b'{', b'}'],
        &[0, 0, 0, 4, 0xff, 0xfe, 0, 1],
        // A frame longer than allowed, announced only.
        &[0xff, 0xff, 0xff, 0xff],
        b"\0\0\0\x10{\"type\":\"dance\"}",
    ];
    for bytes in garbage {
        let mut bad = worker.connect().await.0.into_inner();
        bad.write_all(bytes).await.expect("it is sent");
        let mut rest = Vec::new();
        // A reset is as good an end as any.
        let _ = bad.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
    let mut cut = worker.connect().await.0.into_inner();
    cut.write_all(&[0, 0, 1]).await.expect("it is sent");
    drop(cut);
    let heard = good.hear_ends(1).await;
    assert!(matches!(heard[&1].end, Some(FromWorker::Done { .. })));
}

#[tokio::test]
async fn a_cancelled_request_ends_as_cancelled_and_frees_its_slot() {
    let worker = Worker::start("deterministic:1ms", &["--slots", "1"]).await;
    let mut line = worker.connect().await;
    let endless = Sampling {
        stop: vec![],
        ..seeded(0, 2000)
    };
    let mut request = worker.generate(1, "go on", endless);
    // Letters only: the toy would end by itself.
    if let ToWorker::Generate { request, .. } = &mut request {
        request.constraint = Some(Constraint::JsonSchema(serde_json::json!({
            "type": "string", "minLength": 1900
        })));
    }
    line.say(&request).await;
    line.say(&worker.generate(2, "waits", seeded(0, 5))).await;
    while !matches!(
        line.hear().await,
        Some(FromWorker::Piece {
            id: RequestId(1),
            ..
        })
    ) {}
    line.say(&ToWorker::Cancel { id: RequestId(1) }).await;
    line.say(&ToWorker::Cancel { id: RequestId(77) }).await;
    let heard = line.hear_ends(2).await;
    assert!(matches!(
        heard[&1].end,
        Some(FromWorker::Done {
            finish: Finish::Cancelled,
            ..
        })
    ));
    assert!(matches!(heard[&2].end, Some(FromWorker::Done { .. })));
}

#[tokio::test]
async fn a_connection_that_goes_takes_its_requests_along() {
    let worker = Worker::start("deterministic:1ms", &["--slots", "1"]).await;
    let mut gone = worker.connect().await;
    for id in 0..20 {
        gone.say(&worker.generate(id, "for nobody", seeded(id, 2000)))
            .await;
    }
    gone.hear().await;
    drop(gone);
    let mut line = worker.connect().await;
    line.say(&worker.generate(1, "hello", seeded(1, 5))).await;
    line.hear_ends(1).await;
    line.say(&ToWorker::Ping { nonce: 9 }).await;
    match line.hear().await {
        Some(FromWorker::Pong { nonce: 9, load }) => {
            assert_eq!((load.slots, load.slots_busy, load.queued), (1, 0, 0));
            assert!(load.tokens > 0);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_its_reason() {
    let worker = Worker::start(
        "deterministic:20ms",
        &["--slots", "1", "--queue", "1", "--context", "256"],
    )
    .await;
    let mut line = worker.connect().await;
    line.say(&worker.generate(1, &"long ".repeat(60), seeded(0, 5)))
        .await;
    let mut unknown = worker.generate(2, "hi", seeded(0, 5));
    if let ToWorker::Generate { request, .. } = &mut unknown {
        request.model = "gpt-9".into();
    }
    line.say(&unknown).await;
    line.say(&worker.generate(
        3,
        "hi",
        Sampling {
            top_p: 0.0,
            ..Sampling::default()
        },
    ))
    .await;
    let mut schema = worker.generate(4, "hi", seeded(0, 5));
    if let ToWorker::Generate { request, .. } = &mut schema {
        request.constraint = Some(Constraint::JsonSchema(
            serde_json::json!({"type": "colour"}),
        ));
    }
    line.say(&schema).await;
    line.say(&ToWorker::Weigh {
        id: RequestId(5),
        request: Weigh {
            model: worker.model.clone(),
            prompt: chat("A or B?"),
            options: vec!["Anna".into(), "Anna".into()],
            terms: Terms::default(),
        },
    })
    .await;
    let heard = line.hear_ends(5).await;
    let refusal = |id: u64| match &heard[&id].end {
        Some(FromWorker::Refused { refusal, .. }) => refusal.clone(),
        other => panic!("{id}: {other:?}"),
    };
    assert_eq!(
        refusal(1),
        Refusal::TooLong {
            tokens: 303,
            context: 256
        }
    );
    assert_eq!(
        refusal(2),
        Refusal::UnknownModel {
            model: "gpt-9".into()
        }
    );
    for id in [3, 4, 5] {
        assert!(matches!(refusal(id), Refusal::Malformed { .. }), "{id}");
    }
    // One in the slot, at most one more in the queue (two while the slot is still free).
    for id in 10..20 {
        line.say(&worker.generate(id, "hi", seeded(id, 4))).await;
    }
    let heard = line.hear_ends(10).await;
    let busy = heard
        .values()
        .filter(|heard| {
            matches!(
                heard.end,
                Some(FromWorker::Refused {
                    refusal: Refusal::Busy { .. },
                    ..
                })
            )
        })
        .count();
    assert!((1..=8).contains(&busy), "{busy} were refused");
}

#[tokio::test]
async fn weighing_and_scoring_agree_with_each_other() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.connect().await;
    let options = ["A", "B", "C"];
    line.say(&ToWorker::Weigh {
        id: RequestId(1),
        request: Weigh {
            model: worker.model.clone(),
            prompt: chat("who?"),
            options: options.map(String::from).to_vec(),
            terms: Terms::default(),
        },
    })
    .await;
    for (id, option) in (2..).zip(options) {
        line.say(&ToWorker::Score {
            id: RequestId(id),
            request: Score {
                model: worker.model.clone(),
                prompt: chat("who?"),
                text: option.into(),
                terms: Terms::default(),
            },
        })
        .await;
    }
    let long = "so it goes ".repeat(20);
    line.say(&ToWorker::Score {
        id: RequestId(9),
        request: Score {
            model: worker.model.clone(),
            prompt: chat("who?"),
            text: long.clone(),
            terms: Terms::default(),
        },
    })
    .await;
    let heard = line.hear_ends(5).await;
    let Some(FromWorker::Weighed { log_probs, .. }) = &heard[&1].end else {
        panic!("{:?}", heard[&1]);
    };
    let sum: f32 = log_probs.iter().map(|p| p.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-5);
    let scored = |id: u64| match &heard[&id].end {
        Some(FromWorker::Scored { score, .. }) => score,
        other => panic!("{other:?}"),
    };
    // The same distribution, once over all tokens and once over the options alone.
    for id in 3..5 {
        let apart = scored(id).log_probs[0] - scored(2).log_probs[0];
        let weighed = log_probs[id as usize - 2] - log_probs[0];
        assert!((apart - weighed).abs() < 1e-4);
    }
    let score = scored(9);
    assert_eq!(score.pieces.concat(), long);
    assert_eq!(score.log_probs.len(), long.len());
    assert!(
        score
            .log_probs
            .iter()
            .chain(&score.means)
            .all(|p| *p <= 0.0)
    );
    assert!(score.variances.iter().all(|v| *v >= 0.0));
}

#[tokio::test]
async fn a_schema_is_kept_and_ends_the_text() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.connect().await;
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "verdict": {"enum": ["human", "machine"]},
            "why": {"type": "string", "maxLength": 30},
            "sure": {"type": "boolean"},
        },
        "required": ["verdict", "why", "sure"],
        "additionalProperties": false,
    });
    for id in 0..30 {
        let mut request = worker.generate(id, "judge!", seeded(id, 400));
        if let ToWorker::Generate { request, .. } = &mut request {
            request.constraint = Some(Constraint::JsonSchema(schema.clone()));
        }
        line.say(&request).await;
    }
    for heard in line.hear_ends(30).await.into_values() {
        assert!(matches!(
            heard.end,
            Some(FromWorker::Done {
                finish: Finish::Stop,
                ..
            })
        ));
        let value: serde_json::Value = serde_json::from_str(&heard.text).expect(&heard.text);
        assert!(["human", "machine"].contains(&value["verdict"].as_str().expect("a string")));
        assert!(value["why"].as_str().expect("a string").chars().count() <= 30);
        assert!(value["sure"].is_boolean());
    }
}

#[tokio::test]
async fn a_reader_that_stalls_is_let_go_and_harms_nobody() {
    let worker = Worker::start("deterministic", &["--slots", "8", "--queue", "20000"]).await;
    let mut deaf = worker.connect().await;
    // More text than socket and outbox hold; none of it is read.
    for id in 0..2000 {
        let request = worker.generate(id, "talk", seeded(id, 500));
        let frame = serde_json::to_vec(&request).expect("serializes");
        if deaf.0.send(Bytes::from(frame)).await.is_err() {
            break;
        }
    }
    let mut line = worker.connect().await;
    let mut was_busy = false;
    loop {
        line.say(&ToWorker::Ping { nonce: 0 }).await;
        match line.hear().await {
            Some(FromWorker::Pong { load, .. }) => {
                let busy = load.slots_busy > 0 || load.queued > 0;
                if was_busy && !busy {
                    break;
                }
                was_busy |= busy || load.tokens > 0;
            }
            other => panic!("{other:?}"),
        }
    }
    line.say(&worker.generate(1, "hello", seeded(1, 5))).await;
    line.hear_ends(1).await;
    let mut ends = 0;
    while let Some(message) = deaf.hear().await {
        ends += usize::from(matches!(message, FromWorker::Done { .. }));
    }
    assert!(ends < 2000, "it was never let go");
}

#[tokio::test]
async fn an_id_that_comes_twice_ends_the_connection() {
    let worker = Worker::start("deterministic:5ms", &[]).await;
    let mut line = worker.connect().await;
    line.say(&worker.generate(1, "hello", seeded(1, 500))).await;
    line.say(&worker.generate(1, "hello", seeded(1, 500))).await;
    while line.hear().await.is_some() {}
}

#[tokio::test]
async fn the_worker_ends_when_its_starter_is_gone() {
    let mut worker = Worker::start("deterministic:5ms", &[]).await;
    let mut line = worker.connect().await;
    line.say(&worker.generate(1, "hello", seeded(1, 2000)))
        .await;
    drop(worker.child.stdin.take());
    assert!(worker.child.wait().expect("it ends").success());
    assert!(!worker.socket.exists());
}

#[test]
fn a_socket_path_that_is_too_long_is_said_to_be() {
    let path = std::env::temp_dir().join("x".repeat(120)).join("w.sock");
    let output = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["worker", "--model", "deterministic", "--socket"])
        .arg(&path)
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("132 bytes"), "{error}");
}

#[tokio::test]
async fn only_its_owner_may_open_the_socket() {
    use std::os::unix::fs::PermissionsExt;
    let worker = Worker::start("deterministic", &[]).await;
    let mode = std::fs::metadata(&worker.socket)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
