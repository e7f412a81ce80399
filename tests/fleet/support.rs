//! A Redis, workers and servers of a test's own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use clap::Parser;
use futures_util::{Stream, StreamExt};
use parlour::{
    config::{FleetSettings, RedisSettings},
    generation::{
        Ask, Backend, GenerationError, GenerationStream, Output,
        fleet::{FleetClient, FleetHandle, FleetOptions},
    },
    wire::worker::{Finish, Message, Prompt, Role, Sampling, Terms},
};

pub use crate::worker::{Worker, signal, until};

/// Token of the toy engine that ends a text.
const END: u32 = 259;

/// Writes every command to its file before it answers.
pub struct Redis {
    child: Child,
    folder: tempfile::TempDir,
}

impl Redis {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let child = Self::spawn(folder.path().into());
        let redis = Self { child, folder };
        redis.up().await;
        redis
    }

    fn spawn(folder: PathBuf) -> Child {
        Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(&folder)
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed")
    }

    async fn up(&self) {
        until(|| async { self.try_ask::<String>(&["PING"]).await }).await;
    }

    pub fn url(&self) -> String {
        format!(
            "redis+unix://{}",
            self.folder.path().join("redis.sock").display()
        )
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    pub async fn come_back(&mut self) {
        self.child = Self::spawn(self.folder.path().into());
        self.up().await;
    }

    async fn try_ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> Option<T> {
        let client = redis::Client::open(self.url()).expect("a URL");
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let mut ask = redis::cmd(command[0]);
        ask.arg(&command[1..]);
        ask.query_async(&mut connection).await.ok()
    }

    pub async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_ask(command).await.expect("Redis answers")
    }

    /// Jobs that workers have: consumer, attempt.
    pub async fn claims(&self, version: u16, model: &str) -> Vec<(String, u64)> {
        let stream = format!("t:jobs:{version}:{model}");
        let command = ["XPENDING", &stream, "workers", "-", "+", "1000"];
        let pending: Vec<(String, String, u64, u64)> =
            self.try_ask(&command).await.unwrap_or_default();
        pending
            .into_iter()
            .map(|(_, consumer, _, attempt)| (consumer, attempt))
            .collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Worker {
    pub fn start(redis: &Redis, model: &str, arguments: &[&str]) -> Self {
        Self::start_at(&redis.url(), model, arguments, Stdio::null())
    }

    /// Whether a name in Redis is this worker's.
    pub fn is(&self, name: &str) -> bool {
        name.split(':').nth(1) == Some(&self.child.id().to_string())
    }

    pub async fn joined(&self, client: &FleetClient) {
        until(|| async {
            let workers = client.workers();
            workers.iter().any(|card| self.is(&card.name)).then_some(())
        })
        .await;
    }

    /// Both of its processes.
    pub async fn signal(&self, name: &str) {
        let engine = self.engine().await;
        signal(name, self.child.id());
        signal(name, engine);
    }
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    fleet: FleetSettings,
}

/// A server's place in the fleet.
pub struct Server {
    pub client: FleetClient,
    pub backend: Backend,
    pub handle: FleetHandle,
}

impl Server {
    pub fn join(redis: &Redis, model: &str, change: impl FnOnce(&mut FleetOptions)) -> Self {
        let arguments = ["test", "--redis-url", &redis.url(), "--redis-prefix", "t:"];
        let settings = Settings::parse_from(arguments);
        let mut options = FleetOptions::new(&settings.redis, &settings.fleet).expect("a URL");
        change(&mut options);
        let (client, handle) = FleetClient::start(options, model).expect("it can start");
        let backend = Backend::Fleet(client.clone());
        Self {
            client,
            backend,
            handle,
        }
    }

    pub async fn ready(&self, wanted: bool) {
        let mut ready = self.client.ready();
        ready
            .wait_for(|ready| *ready == wanted)
            .await
            .expect("the client lives");
    }

    pub async fn say(&self, ask: Ask) -> Items {
        self.backend.ask(ask).collect().await
    }
}

pub fn prompt(text: &str) -> Prompt {
    Prompt::Chat {
        messages: vec![Message {
            role: Role::User,
            content: text.into(),
        }],
        prefill: String::new(),
    }
}

/// A request that any version can say.
pub fn plain(seed: u64) -> Ask {
    Ask {
        prompt: prompt("tell me"),
        sampling: Sampling {
            seed,
            max_tokens: 40,
            ..Sampling::default()
        },
        constraint: None,
        logprobs: None,
        terms: Terms::default(),
    }
}

/// A request whose text has exactly that many tokens.
pub fn long(seed: u64, tokens: u32) -> Ask {
    let mut ask = plain(seed);
    ask.sampling.max_tokens = tokens;
    ask.sampling.logit_bias.insert(END, -100.0);
    ask
}

pub type Items = Vec<Result<Output, GenerationError>>;

/// The text of what came, which must have come whole.
pub fn text(items: &Items) -> String {
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
    pieces(items)
}

pub fn pieces(items: &Items) -> String {
    let piece = |item: &Result<Output, GenerationError>| match item {
        Ok(Output::Piece(text)) => Some(text.clone()),
        _ => None,
    };
    items.iter().filter_map(piece).collect()
}

/// What a stream gave so far.
pub struct Reading {
    stream: GenerationStream,
    items: Items,
}

impl Reading {
    /// Reads until the first piece.
    pub async fn begin(mut stream: GenerationStream) -> Self {
        let first = stream.next().await.expect("a piece");
        assert!(matches!(first, Ok(Output::Piece(_))), "{first:?}");
        Self {
            stream,
            items: vec![first],
        }
    }

    pub async fn rest(mut self) -> Items {
        let rest: Items = by_ref(&mut self.stream).collect().await;
        self.items.extend(rest);
        self.items
    }

    pub async fn piece(&mut self) {
        self.items.extend(self.stream.next().await);
    }
}

fn by_ref<S: Stream + Unpin>(stream: &mut S) -> &mut S {
    stream
}
