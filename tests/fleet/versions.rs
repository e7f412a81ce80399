//! Two protocol versions side by side: the test plays the old ones, word by word.

use futures_util::StreamExt;
use parlour::{
    generation::Output,
    wire::{
        fleet::{Answer, Job, JobId, NEWEST, OLDEST, Request, Says},
        worker::{Generate, Prompt, Sampling, Terms},
    },
};

use crate::{
    played::Played,
    support::{Items, Redis, Server, Worker, pieces, plain, text, until},
};

const MODEL: &str = "deterministic:5ms";

fn stream(version: u16) -> String {
    format!("t:jobs:{version}:{MODEL}")
}

#[tokio::test]
async fn a_worker_that_claims_only_the_older_protocol_gets_what_it_can_read_and_no_more() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let old = Played::join(&redis, MODEL, "old", OLDEST, 4).await;
    server.ready(true).await;
    // Alone, it is asked in its own version.
    let asked = server.backend.ask(plain(1));
    let (entry, job) = old.take().await;
    assert_eq!(job.protocol, OLDEST);
    old.answer(&entry, &job, "as ever").await;
    assert_eq!(text(&asked.collect().await), "as ever");
    // What it has no words for waits for one who has.
    let mut beyond = plain(2);
    beyond.logprobs = Some(1);
    let beyond = server.backend.ask(beyond);
    let new = Worker::start(&redis, MODEL, &["--slots", "2"]);
    new.joined(&server.client).await;
    let items: Items = beyond.collect().await;
    assert!(
        items
            .iter()
            .any(|item| matches!(item, Ok(Output::LogProbs(_))))
    );
    // What both can read goes where both read it, and whoever is first takes it.
    for seed in 0..3 {
        text(&server.say(plain(seed)).await);
    }
    let length: u64 = redis.ask(&["XLEN", &stream(NEWEST)]).await;
    assert_eq!(length, 0);
    old.leave().await;
}

#[tokio::test]
async fn with_an_old_and_a_new_worker_each_request_goes_where_the_most_places_read_it() {
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let old = Played::join(&redis, MODEL, "old", OLDEST, 4).await;
    let newer = Played::join(&redis, MODEL, "newer", NEWEST, 2).await;
    until(|| async { (server.client.workers().len() == 2).then_some(()) }).await;
    let plainly = server.backend.ask(plain(1));
    let (entry, job) = old.take().await;
    old.answer(&entry, &job, "old").await;
    assert_eq!(pieces(&plainly.collect().await), "old");
    let mut beyond = plain(2);
    beyond.logprobs = Some(1);
    let beyond = server.backend.ask(beyond);
    let (entry, job) = newer.take().await;
    assert_eq!(job.protocol, NEWEST);
    newer.answer(&entry, &job, "new").await;
    assert_eq!(pieces(&beyond.collect().await), "new");
    // When the old ones have gone, what waits for them goes to the new ones.
    let stranded = server.backend.ask(plain(3));
    until(|| async {
        let length: u64 = redis.ask(&["XLEN", &stream(OLDEST)]).await;
        (length == 1).then_some(())
    })
    .await;
    old.leave().await;
    let (entry, job) = newer.take().await;
    newer.answer(&entry, &job, "moved").await;
    assert_eq!(pieces(&stranded.collect().await), "moved");
    let left: u64 = redis.ask(&["XLEN", &stream(OLDEST)]).await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_new_worker_serves_an_old_server() {
    let redis = Redis::start().await;
    let _worker = Worker::start(&redis, MODEL, &[]);
    let job = Job {
        id: JobId {
            server: "old".into(),
            number: 7,
        },
        protocol: OLDEST,
        attempts: 3,
        request: Request::Generate {
            request: Box::new(Generate {
                model: MODEL.into(),
                prompt: Prompt::Text("x".into()),
                sampling: Sampling {
                    max_tokens: 5,
                    ..Sampling::default()
                },
                constraint: None,
                logprobs: None,
                terms: Terms::default(),
            }),
        },
    };
    // As it was written before there were terms and log-probabilities.
    let mut written = serde_json::to_value(job).expect("JSON");
    let request = written["request"].as_object_mut().expect("an object");
    assert!(request.remove("terms").is_some());
    let written = written.to_string();
    let far = "9999999999999";
    let add = [
        "XADD",
        &stream(OLDEST),
        "*",
        "job",
        &written,
        "deadline",
        far,
    ];
    let _: String = redis.ask(&add).await;
    let last = until(|| async {
        let read = ["XREVRANGE", "t:answers:old", "+", "-", "COUNT", "1"];
        let read: Vec<(String, (String, String))> = redis.ask(&read).await;
        let (_, (_, answer)) = read.into_iter().next()?;
        let answer: Answer = serde_json::from_str(&answer).expect("an answer");
        matches!(answer.says, Says::Done { .. }).then_some(answer)
    })
    .await;
    assert_eq!((last.job, last.attempt), (7, 1));
}
