//! The worker's process, and a client that speaks its protocol word by word.

use std::{
    collections::HashMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use parlour::wire::worker::{
    FromWorker, Generate, MAX_FRAME, Message, PROTOCOL, Prompt, RequestId, Role, Sampling, Terms,
    ToWorker,
};
use tokio::net::UnixStream;
use tokio_util::{
    bytes::Bytes,
    codec::{Framed, LengthDelimitedCodec},
};

pub struct Worker {
    pub child: Child,
    pub socket: PathBuf,
    pub model: String,
    _folder: tempfile::TempDir,
}

impl Worker {
    pub async fn start(model: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("w.sock");
        let child = Command::new(env!("CARGO_BIN_EXE_parlour"))
            .args(["worker", "--model", model, "--socket"])
            .arg(&socket)
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let worker = Self {
            child,
            socket,
            model: model.into(),
            _folder: folder,
        };
        // The socket appears when the worker is ready; nothing else tells.
        while UnixStream::connect(&worker.socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worker
    }

    pub async fn connect(&self) -> Line {
        let mut line = self.dial().await;
        line.say(&ToWorker::Hello { protocol: PROTOCOL }).await;
        let hello = line.hear().await;
        assert!(
            matches!(
                hello,
                Some(FromWorker::Hello {
                    protocol: PROTOCOL,
                    ..
                })
            ),
            "{hello:?}"
        );
        line
    }

    pub async fn dial(&self) -> Line {
        let socket = UnixStream::connect(&self.socket).await.expect("it listens");
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        Line(Framed::new(socket, codec))
    }

    pub fn generate(&self, id: u64, text: &str, sampling: Sampling) -> ToWorker {
        ToWorker::Generate {
            id: RequestId(id),
            request: Box::new(Generate {
                model: self.model.clone(),
                prompt: chat(text),
                sampling,
                constraint: None,
                logprobs: None,
                terms: Terms::default(),
            }),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }
}

pub struct Line(pub Framed<UnixStream, LengthDelimitedCodec>);

impl Line {
    pub async fn say(&mut self, message: &ToWorker) {
        let frame = Bytes::from(serde_json::to_vec(message).expect("serializes"));
        self.0.send(frame).await.expect("it is sent");
    }

    /// `None` when the worker has closed.
    pub async fn hear(&mut self) -> Option<FromWorker> {
        let frame = self.0.next().await?.ok()?;
        Some(serde_json::from_slice(&frame).expect("a message"))
    }

    /// All tokens, the text and the last message of each of `count` requests.
    pub async fn hear_ends(&mut self, count: usize) -> HashMap<u64, Heard> {
        let mut heard: HashMap<u64, Heard> = HashMap::new();
        let mut ended = 0;
        while ended < count {
            let mut message = self.hear().await.expect("more to come");
            // What was computed before is no part of the answer.
            if let FromWorker::Done { usage, .. } = &mut message {
                usage.reused_tokens = 0;
            }
            let id = match &message {
                FromWorker::Piece { id, .. }
                | FromWorker::Done { id, .. }
                | FromWorker::Weighed { id, .. }
                | FromWorker::Scored { id, .. }
                | FromWorker::Refused { id, .. }
                | FromWorker::Failed { id, .. } => id.0,
                FromWorker::Hello { .. } | FromWorker::Pong { .. } => continue,
            };
            let entry = heard.entry(id).or_default();
            assert_eq!(entry.end, None, "{message:?} after the end");
            if let FromWorker::Piece { text, tokens, .. } = message {
                entry.text.push_str(&text);
                entry.tokens.extend(tokens);
            } else {
                entry.end = Some(message);
                ended += 1;
            }
        }
        heard
    }
}

#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    pub text: String,
    pub tokens: Vec<u32>,
    pub end: Option<FromWorker>,
}

pub fn chat(text: &str) -> Prompt {
    Prompt::Chat {
        messages: vec![Message {
            role: Role::User,
            content: text.into(),
        }],
        prefill: String::new(),
    }
}

pub fn seeded(seed: u64, max_tokens: u32) -> Sampling {
    Sampling {
        seed,
        max_tokens,
        ..Sampling::default()
    }
}
