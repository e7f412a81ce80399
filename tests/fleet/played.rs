//! A worker that the test plays itself, word by word.

use parlour::wire::{
    fleet::{Answer, Card, Job, Says},
    worker::{Finish, Load, ModelInfo, Usage},
};

use crate::support::{Redis, until};

/// Knows one version of the protocol.
pub struct Played<'a> {
    redis: &'a Redis,
    name: &'static str,
    model: &'static str,
    version: u16,
}

pub fn piece(at: u64, text: &str) -> Says {
    Says::Piece {
        at,
        text: text.into(),
        told: 0,
        logprobs: vec![],
    }
}

pub fn done(at: u64) -> Says {
    Says::Done {
        at,
        finish: Finish::Stop,
        usage: Usage::default(),
    }
}

impl<'a> Played<'a> {
    pub async fn join(
        redis: &'a Redis,
        model: &'static str,
        name: &'static str,
        version: u16,
        slots: u32,
    ) -> Self {
        let played = Self {
            redis,
            name,
            model,
            version,
        };
        let stream = played.stream();
        let make = ["XGROUP", "CREATE", &stream, "workers", "0", "MKSTREAM"];
        let _: String = redis.ask(&make).await;
        let card = Card {
            name: name.into(),
            version: "0.0.9".into(),
            protocols: vec![version],
            model: ModelInfo {
                name: model.into(),
                context: 2048,
                slots,
                precision: "toy".into(),
            },
            jobs: 0,
            load: Load::default(),
        };
        let card = serde_json::to_string(&card).expect("JSON");
        let key = format!("t:worker:{name}");
        let _: String = redis.ask(&["SET", &key, &card, "PX", "600000"]).await;
        let far = "9999999999999";
        let _: u64 = redis.ask(&["ZADD", "t:workers", far, name]).await;
        played
    }

    fn stream(&self) -> String {
        format!("t:jobs:{}:{}", self.version, self.model)
    }

    pub async fn leave(&self) {
        let _: u64 = self.redis.ask(&["ZREM", "t:workers", self.name]).await;
    }

    /// Takes one job.
    pub async fn take(&self) -> (String, Job) {
        let stream = self.stream();
        until(|| async {
            let read = ["XREADGROUP", "GROUP", "workers", self.name, "COUNT", "1"];
            let read = [&read[..], &["STREAMS", &stream, ">"]].concat();
            type Entries = Vec<(String, Vec<(String, (String, String, String, String))>)>;
            let entries: Option<Entries> = self.redis.ask(&read).await;
            let (_, entries) = entries?.into_iter().next()?;
            let (entry, (name, job, deadline, _)) = entries.into_iter().next()?;
            assert_eq!((name.as_str(), deadline.as_str()), ("job", "deadline"));
            Some((entry, serde_json::from_str(&job).expect("a job")))
        })
        .await
    }

    pub async fn say(&self, job: &Job, attempt: u32, says: Says) {
        let answers = format!("t:answers:{}", job.id.server);
        let answer = Answer {
            job: job.id.number,
            attempt,
            says,
        };
        let answer = serde_json::to_string(&answer).expect("JSON");
        let add = ["XADD", &answers, "*", "answer", &answer];
        let _: String = self.redis.ask(&add).await;
    }

    /// The whole answer, and the job is gone.
    pub async fn answer(&self, entry: &str, job: &Job, text: &str) {
        self.say(job, 1, piece(0, text)).await;
        self.say(job, 1, done(text.len() as u64)).await;
        let stream = self.stream();
        let _: u64 = self.redis.ask(&["XACK", &stream, "workers", entry]).await;
        let _: u64 = self.redis.ask(&["XDEL", &stream, entry]).await;
    }
}
