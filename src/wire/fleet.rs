//! Servers ↔ workers on other machines: JSON in the fields of Redis Streams.
//!
//! A server adds a [`Job`] to the stream of a model and of a protocol version, with its
//! deadline (milliseconds of Redis' clock) beside it. Workers read it as a consumer group, so
//! that how often it was delivered, which is its attempt, is Redis' own count. What the worker
//! says of it goes to the stream of the server that asked, as [`Answer`]s. Each job ends with
//! exactly one [`Says`] that is not a [`Says::Piece`]; what follows, or is of an older attempt,
//! does not count.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::worker::{
    Finish, Generate, Load, ModelInfo, PROTOCOL, Refusal, Score, TextScore, TokenLogProb, Usage,
    Weigh,
};

/// Newest version of what is asked and answered: that of the worker's socket, whose requests
/// these are.
pub const NEWEST: u16 = PROTOCOL;

/// Oldest version that this program still reads and writes. It lacks adapters, sliding chats,
/// rooms, log-probabilities, logit bias, banned phrases, DRY, and constraints other than a
/// JSON schema.
pub const OLDEST: u16 = PROTOCOL - 1;

/// Names one request of one server, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobId {
    pub server: String,
    pub number: u64,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.server, self.number)
    }
}

/// What a server asks of whichever worker takes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    /// Version that the request is written in; also part of its stream's name.
    pub protocol: u16,
    /// Times that it may be begun before it is given up.
    pub attempts: u32,
    #[serde(flatten)]
    pub request: Request,
}

/// As on the worker's socket, without the socket's number for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    Generate { request: Box<Generate> },
    Weigh { request: Weigh },
    Score { request: Score },
}

/// What a worker says of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// [`JobId::number`]; the stream is that of its server.
    pub job: u64,
    /// Which delivery of the job this worker has, from 1.
    pub attempt: u32,
    #[serde(flatten)]
    pub says: Says,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Says {
    /// More of a text. Never ends inside a character.
    Piece {
        /// Bytes of the text before this piece.
        at: u64,
        text: String,
        /// Tokens that were told before those of this piece.
        #[serde(default)]
        told: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogProb>,
    },
    Done {
        /// Bytes of the whole text.
        at: u64,
        finish: Finish,
        usage: Usage,
    },
    Weighed {
        log_probs: Vec<f32>,
    },
    Scored {
        score: TextScore,
    },
    Refused {
        refusal: Refusal,
    },
    Failed {
        message: String,
    },
    /// Its worker was lost in every attempt that the job allows.
    GivenUp {
        attempts: u32,
    },
    /// Its deadline has passed.
    Late,
}

/// A worker that takes jobs, as it shows itself to the servers every now and then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Host, process and a random part: no two workers share it.
    pub name: String,
    /// The worker's program version.
    pub version: String,
    /// Versions of jobs that it takes.
    pub protocols: Vec<u16>,
    pub model: ModelInfo,
    /// Jobs that it has in hand.
    pub jobs: u32,
    #[serde(default)]
    pub load: Load,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::worker::{Prompt, RequestId, Sampling, Terms, ToWorker};

    #[test]
    fn a_job_holds_the_request_as_it_is_on_the_workers_socket() {
        let mut sampling = Sampling::default();
        sampling.logit_bias.insert(7, -100.0);
        let generate = Generate {
            model: "m".into(),
            prompt: Prompt::Text("x".into()),
            sampling,
            constraint: None,
            logprobs: Some(2),
            terms: Terms::default(),
        };
        let job = Job {
            id: JobId {
                server: "s".into(),
                number: 3,
            },
            protocol: NEWEST,
            attempts: 3,
            request: Request::Generate {
                request: Box::new(generate.clone()),
            },
        };
        let written = serde_json::to_value(&job).expect("JSON");
        let on_socket = serde_json::to_value(ToWorker::Generate {
            id: RequestId(3),
            request: Box::new(generate),
        })
        .expect("JSON");
        assert_eq!(written["type"], on_socket["type"]);
        assert_eq!(written["request"], on_socket["request"]);
        let read: Job = serde_json::from_value(written).expect("a job");
        assert_eq!(read, job);
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let answer = Answer {
            job: 3,
            attempt: 2,
            says: Says::Piece {
                at: 5,
                text: "é".into(),
                told: 0,
                logprobs: Vec::new(),
            },
        };
        let written = serde_json::to_string(&answer).expect("JSON");
        assert_eq!(
            written,
            r#"{"job":3,"attempt":2,"type":"piece","at":5,"text":"é","told":0}"#
        );
        let read: Answer = serde_json::from_str(&written).expect("an answer");
        assert_eq!(read, answer);
    }
}
