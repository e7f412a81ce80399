//! The server's end of the worker's socket, with a worker that the test plays itself.

use futures_util::{SinkExt, StreamExt};
use parlour::{
    generation::{
        GenerationError, Output,
        client::{Connection, ConnectionError, WorkerClient},
    },
    wire::worker::{
        Finish, FromWorker, Generate, Load, MAX_FRAME, PROTOCOL, Prompt, Refusal, RequestId,
        Sampling, Terms, ToWorker, Usage, Weigh,
    },
};
use tokio::net::UnixStream;
use tokio_util::{
    bytes::Bytes,
    codec::{Framed, LengthDelimitedCodec},
};

/// The worker's end.
struct Played(Framed<UnixStream, LengthDelimitedCodec>);

impl Played {
    async fn say(&mut self, message: &FromWorker) {
        let frame = serde_json::to_vec(message).expect("serializes");
        self.0.send(Bytes::from(frame)).await.expect("it is sent");
    }

    async fn hear(&mut self) -> Option<ToWorker> {
        let frame = self.0.next().await?.ok()?;
        Some(serde_json::from_slice(&frame).expect("a message"))
    }

    async fn hear_generate(&mut self) -> RequestId {
        match self.hear().await {
            Some(ToWorker::Generate { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn piece(&mut self, id: RequestId, text: &str) {
        self.say(&FromWorker::Piece {
            id,
            text: text.into(),
            tokens: vec![1],
            logprobs: Vec::new(),
        })
        .await;
    }

    async fn done(&mut self, id: RequestId) {
        let usage = Usage::default();
        self.say(&FromWorker::Done {
            id,
            finish: Finish::Stop,
            usage,
        })
        .await;
    }
}

fn hello(protocol: u16) -> FromWorker {
    FromWorker::Hello {
        protocol,
        version: "0".into(),
        models: vec![],
    }
}

fn pair() -> (UnixStream, Played) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(2 * MAX_FRAME)
        .new_codec();
    (ours, Played(Framed::new(theirs, codec)))
}

async fn attach(client: &WorkerClient) -> (Connection, Played) {
    let (ours, mut worker) = pair();
    let greet = async {
        assert_eq!(
            worker.hear().await,
            Some(ToWorker::Hello { protocol: PROTOCOL })
        );
        worker.say(&hello(PROTOCOL)).await;
    };
    let (connection, ()) = tokio::join!(client.attach(ours), greet);
    (connection.expect("attached"), worker)
}

fn request(text: &str) -> Generate {
    Generate {
        model: "m".into(),
        prompt: Prompt::Text(text.into()),
        sampling: Sampling::default(),
        constraint: None,
        logprobs: None,
        terms: Terms::default(),
    }
}

fn done() -> Output {
    Output::Done {
        finish: Finish::Stop,
        usage: Usage::default(),
    }
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody_and_loses_nothing() {
    let client = WorkerClient::new();
    let (_connection, mut worker) = attach(&client).await;
    let slow = client.generate(request("slow"));
    let quick = client.generate(request("quick"));
    let (first, second) = (worker.hear_generate().await, worker.hear_generate().await);
    for _ in 0..5000 {
        worker.piece(first, "word ").await;
    }
    worker.done(first).await;
    worker.piece(second, "hi").await;
    worker.done(second).await;
    let quick: Vec<_> = quick.collect().await;
    assert_eq!(quick.last(), Some(&Ok(done())));
    let slow: Vec<_> = slow.collect().await;
    let [Ok(Output::Piece(text)), Ok(end)] = &slow[..] else {
        panic!("{} items", slow.len());
    };
    assert_eq!((text, end), (&"word ".repeat(5000), &done()));
}

#[tokio::test]
async fn dropping_a_stream_cancels_once_and_a_stream_that_ended_not_at_all() {
    let client = WorkerClient::new();
    let (_connection, mut worker) = attach(&client).await;
    let dropped = client.generate(request("a"));
    let id = worker.hear_generate().await;
    drop(dropped);
    assert_eq!(worker.hear().await, Some(ToWorker::Cancel { id }));
    // What was on its way already reaches nobody.
    worker.piece(id, "late").await;
    worker.done(id).await;
    let whole = client.generate(request("b"));
    let id = worker.hear_generate().await;
    worker.done(id).await;
    assert_eq!(whole.collect::<Vec<_>>().await, [Ok(done())]);
    let last = client.generate(request("c"));
    worker.hear_generate().await;
    drop(last);
}

#[tokio::test]
async fn a_weighing_that_nobody_waits_for_is_cancelled() {
    let client = WorkerClient::new();
    let (_connection, mut worker) = attach(&client).await;
    let weigh = Weigh {
        model: "m".into(),
        prompt: Prompt::Text("?".into()),
        options: vec!["A".into(), "B".into()],
        terms: Terms::default(),
    };
    let id = tokio::select! {
        answer = client.weigh(weigh) => panic!("{answer:?}"),
        message = worker.hear() => match message {
            Some(ToWorker::Weigh { id, .. }) => id,
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(worker.hear().await, Some(ToWorker::Cancel { id }));
}

#[tokio::test]
async fn a_request_that_fits_no_frame_is_refused_and_the_connection_lives() {
    let client = WorkerClient::new();
    let (_connection, mut worker) = attach(&client).await;
    let items: Vec<_> = client
        .generate(request(&"x".repeat(MAX_FRAME)))
        .collect()
        .await;
    let [Err(GenerationError::Refused(Refusal::Malformed { .. }))] = &items[..] else {
        panic!("{items:?}");
    };
    let next = client.generate(request("small"));
    let id = worker.hear_generate().await;
    worker.done(id).await;
    assert_eq!(next.collect::<Vec<_>>().await, [Ok(done())]);
}

#[tokio::test]
async fn a_lost_worker_ends_everything_and_the_next_starts_afresh() {
    let client = WorkerClient::new();
    let mut ready = client.ready();
    let (mut connection, mut worker) = attach(&client).await;
    assert!(*ready.borrow_and_update());
    let streams: Vec<_> = (0..3).map(|_| client.generate(request("a"))).collect();
    let id = worker.hear_generate().await;
    worker.piece(id, "begun").await;
    drop(worker);
    for (n, stream) in streams.into_iter().enumerate() {
        let items: Vec<_> = stream.collect().await;
        assert_eq!(items.last(), Some(&Err(GenerationError::WorkerLost)));
        assert_eq!(items.len(), if n == 0 { 2 } else { 1 });
        // Whoever hears of the loss can already see that nobody is there.
        assert!(!*client.ready().borrow());
    }
    assert!(matches!(
        connection.lost().await,
        ConnectionError::Closed | ConnectionError::Io(_)
    ));
    assert_eq!(client.ping().await, Err(GenerationError::WorkerLost));
    let (_connection, mut worker) = attach(&client).await;
    let stream = client.generate(request("b"));
    let next = worker.hear_generate().await;
    assert!(next > id, "an id came twice");
    worker.done(next).await;
    assert_eq!(stream.collect::<Vec<_>>().await, [Ok(done())]);
}

#[tokio::test]
async fn a_worker_that_talks_nonsense_is_lost() {
    for nonsense in [
        &b"{}"[..],
        b"\xff",
        br#"{"type":"hello","protocol":1,"version":"","models":[]}"#,
        // Answers to what was not asked: nothing more would come.
        br#"{"type":"weighed","id":1,"log_probs":[]}"#,
        br#"{"type":"scored","id":1,"score":{"pieces":[],"log_probs":[],"means":[],"variances":[]}}"#,
    ] {
        let client = WorkerClient::new();
        let (mut connection, mut worker) = attach(&client).await;
        let stream = client.generate(request("a"));
        worker
            .0
            .send(Bytes::copy_from_slice(nonsense))
            .await
            .expect("it is sent");
        let items: Vec<_> = stream.collect().await;
        assert_eq!(items, [Err(GenerationError::WorkerLost)]);
        assert!(matches!(
            connection.lost().await,
            ConnectionError::Garbage(_)
        ));
    }
}

#[tokio::test]
async fn a_worker_of_another_protocol_is_not_attached() {
    let client = WorkerClient::new();
    let (ours, mut worker) = pair();
    worker.say(&hello(PROTOCOL + 1)).await;
    let attached = client.attach(ours).await;
    assert!(
        matches!(attached, Err(ConnectionError::Protocol { theirs, .. }) if theirs == PROTOCOL + 1)
    );
    assert!(!*client.ready().borrow());
}

#[tokio::test]
async fn a_ping_brings_the_load() {
    let client = WorkerClient::new();
    let (_connection, mut worker) = attach(&client).await;
    let load = Load {
        slots: 4,
        slots_busy: 3,
        queued: 2,
        tokens: 1,
        reused: 5,
        ..Default::default()
    };
    let answer = async {
        match worker.hear().await {
            Some(ToWorker::Ping { nonce }) => {
                worker
                    .say(&FromWorker::Pong {
                        nonce,
                        load: load.clone(),
                    })
                    .await
            }
            other => panic!("{other:?}"),
        }
    };
    let (ping, ()) = tokio::join!(client.ping(), answer);
    assert_eq!(ping, Ok(load.clone()));
    assert_eq!(client.load(), load);
}
