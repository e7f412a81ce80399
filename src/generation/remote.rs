//! Any server that speaks `POST {url}/chat/completions` with streaming, as OpenAI, vLLM,
//! llama.cpp and others do.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use futures_util::stream;
use reqwest::{Client, Response, header::CONTENT_TYPE, redirect};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{GenerationError, GenerationStream, Output, sse::Events};
use crate::{
    config::Secret,
    wire::worker::{Constraint, Finish, Prompt, Sampling, Usage},
};

/// Bytes of an error's body that are read.
const MAX_ERROR: usize = 8 << 10;

/// Bytes of an answer that comes in one piece although a stream was asked for.
const MAX_BODY: usize = 4 << 20;

/// Characters of another server's error that are passed on.
const MAX_PROBLEM: usize = 300;

/// Integers beyond this are not exact in every JSON reader.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// How long the other server may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connect: Duration,
    /// Until the answer begins, and between two pieces of it.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
        }
    }
}

struct Server {
    client: Client,
    /// The whole address of chat completions.
    url: String,
    /// Host and port: all of the address that errors may show.
    name: String,
    model: String,
    key: Option<Secret>,
    limits: Limits,
}

/// Somebody else's server. Cheap to clone.
#[derive(Clone)]
pub struct OpenAi(Arc<Server>);

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenAi({}, {})", self.0.name, self.0.model)
    }
}

impl OpenAi {
    /// `url` is the part before `/chat/completions`.
    ///
    /// # Errors
    /// When the address is none or the HTTP client cannot be built.
    pub fn new(url: String, model: String, key: Option<Secret>) -> Result<Self, GenerationError> {
        Self::with_limits(url, model, key, Limits::default())
    }

    /// As [`Self::new`] with other limits.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_limits(
        url: String,
        model: String,
        key: Option<Secret>,
        limits: Limits,
    ) -> Result<Self, GenerationError> {
        let failed = |problem: String| GenerationError::Remote {
            server: "the other server".into(),
            problem,
        };
        let address =
            reqwest::Url::parse(&url).map_err(|error| failed(format!("bad address: {error}")))?;
        let host = address
            .host_str()
            .ok_or_else(|| failed("its address has no host".into()))?;
        let name = match address.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let client = Client::builder()
            .connect_timeout(limits.connect)
            // A key must not follow anybody elsewhere.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| failed(error.without_url().to_string()))?;
        Ok(Self(Arc::new(Server {
            client,
            url: format!("{}/chat/completions", url.trim_end_matches('/')),
            name,
            model,
            key,
            limits,
        })))
    }

    /// Asks for text. Only chats without a `prefill` can be asked for: the protocol knows
    /// neither raw prompts nor replies that somebody else has begun.
    pub fn generate(
        &self,
        prompt: Prompt,
        sampling: Sampling,
        constraint: Option<Constraint>,
    ) -> GenerationStream {
        match body(&self.0.model, &prompt, &sampling, constraint.as_ref()) {
            Ok(body) => {
                let start = State::Start(self.0.clone(), body);
                GenerationStream::new(stream::unfold(start, advance))
            }
            Err(error) => GenerationStream::failed(error),
        }
    }
}

fn body(
    model: &str,
    prompt: &Prompt,
    sampling: &Sampling,
    constraint: Option<&Constraint>,
) -> Result<Value, GenerationError> {
    let messages = match prompt {
        Prompt::Chat { messages, prefill } if prefill.is_empty() => messages,
        Prompt::Chat { .. } => {
            return Err(GenerationError::Unsupported(
                "go on with a reply's beginning",
            ));
        }
        Prompt::Text(_) => return Err(GenerationError::Unsupported("take a raw prompt")),
    };
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", json!(model));
    set("messages", json!(messages));
    set("stream", json!(true));
    set("stream_options", json!({"include_usage": true}));
    set("temperature", json!(sampling.temperature));
    set("top_p", json!(sampling.top_p));
    set("max_tokens", json!(sampling.max_tokens));
    set("seed", json!(sampling.seed & MAX_EXACT));
    set("frequency_penalty", json!(sampling.frequency_penalty));
    set("presence_penalty", json!(sampling.presence_penalty));
    if !sampling.stop.is_empty() {
        set("stop", json!(sampling.stop));
    }
    // Not OpenAI's; others know them. Sent only where they do something.
    if sampling.top_k != 0 {
        set("top_k", json!(sampling.top_k));
    }
    if sampling.min_p != 0.0 {
        set("min_p", json!(sampling.min_p));
    }
    if sampling.repetition_penalty != 1.0 {
        set("repetition_penalty", json!(sampling.repetition_penalty));
    }
    if let Some(Constraint::JsonSchema(schema)) = constraint {
        let schema = json!({"name": "reply", "schema": schema, "strict": true});
        set(
            "response_format",
            json!({"type": "json_schema", "json_schema": schema}),
        );
    }
    Ok(Value::Object(body))
}

impl Server {
    fn failed(&self, problem: impl fmt::Display) -> GenerationError {
        let mut problem = problem.to_string();
        // Some servers repeat what they were sent.
        if let Some(key) = self
            .key
            .as_ref()
            .map(Secret::expose)
            .filter(|key| !key.is_empty())
        {
            problem = problem.replace(key, "(secret)");
        }
        if let Some((end, _)) = problem.char_indices().nth(MAX_PROBLEM) {
            problem.truncate(end);
            problem.push('…');
        }
        GenerationError::Remote {
            server: self.name.clone(),
            problem,
        }
    }

    /// Waits for something of the network, but not for ever.
    async fn wait<T>(
        &self,
        what: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, GenerationError> {
        match tokio::time::timeout(self.limits.idle, what).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.failed(explain(&error.without_url()))),
            Err(_) => Err(self.failed(format!("silent for {:?}", self.limits.idle))),
        }
    }

    async fn send(&self, body: &Value) -> Result<Response, GenerationError> {
        let mut request = self.client.post(&self.url).json(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let mut response = self.wait(request.send()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self
            .read(&mut response, MAX_ERROR)
            .await
            .unwrap_or_default();
        let said = serde_json::from_slice(&body)
            .ok()
            .and_then(|body: Value| error_message(body.get("error")?))
            .unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
        Err(self.failed(format!("HTTP {status}: {said}")))
    }

    /// Reads a body, at most so many bytes of it.
    async fn read(
        &self,
        response: &mut Response,
        limit: usize,
    ) -> Result<Vec<u8>, GenerationError> {
        let mut body = Vec::new();
        while body.len() < limit {
            match self.wait(response.chunk()).await? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        body.truncate(limit);
        Ok(body)
    }
}

/// An error with its causes: the last one says what really happened.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn error_message(error: &Value) -> Option<String> {
    match error {
        Value::Null => None,
        Value::String(message) => Some(message.clone()),
        other => Some(match other.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => other.to_string(),
        }),
    }
}

/// As much of an answer, or of a piece of it, as matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    /// Of a stream.
    delta: Option<Content>,
    /// Of an answer in one piece.
    message: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    content: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    prompt_tokens: u32,
    completion_tokens: u32,
}

enum State {
    Start(Arc<Server>, Value),
    Reading(Box<Reading>),
    Ended,
}

struct Reading {
    server: Arc<Server>,
    response: Response,
    events: Events,
    texts: VecDeque<String>,
    finish: Option<Finish>,
    usage: Usage,
    /// Nothing more will come.
    complete: bool,
}

type Item = Result<Output, GenerationError>;

async fn advance(state: State) -> Option<(Item, State)> {
    let mut reading = match state {
        State::Ended => return None,
        State::Reading(reading) => reading,
        State::Start(server, body) => match Reading::start(server, &body).await {
            Ok(reading) => Box::new(reading),
            Err(error) => return Some((Err(error), State::Ended)),
        },
    };
    Some(match reading.next().await {
        Ok(Output::Piece(text)) => (Ok(Output::Piece(text)), State::Reading(reading)),
        end => (end, State::Ended),
    })
}

impl Reading {
    async fn start(server: Arc<Server>, body: &Value) -> Result<Self, GenerationError> {
        let response = server.send(body).await?;
        let mut reading = Self {
            server,
            response,
            events: Events::default(),
            texts: VecDeque::new(),
            finish: None,
            usage: Usage::default(),
            complete: false,
        };
        let whole = reading
            .response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        if whole {
            let body = reading.server.read(&mut reading.response, MAX_BODY).await?;
            reading.take(&body)?;
            reading.complete = true;
        }
        Ok(reading)
    }

    async fn next(&mut self) -> Item {
        loop {
            if let Some(text) = self.texts.pop_front() {
                return Ok(Output::Piece(text));
            }
            if self.complete {
                return match self.finish {
                    Some(finish) => Ok(Output::Done {
                        finish,
                        usage: self.usage,
                    }),
                    None => Err(self.server.failed("the answer broke off")),
                };
            }
            let chunk = self.server.wait(self.response.chunk()).await;
            let events = match chunk {
                Ok(Some(chunk)) => self.events.push(&chunk),
                Ok(None) => {
                    self.complete = true;
                    Ok(self.events.finish().into_iter().collect())
                }
                // All was said already; how the connection ends does not matter.
                Err(_) if self.finish.is_some() => {
                    self.complete = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for event in events.map_err(|error| self.server.failed(error))? {
                if event.trim() == "[DONE]" {
                    self.finish.get_or_insert(Finish::Stop);
                    self.complete = true;
                    break;
                }
                self.take(event.as_bytes())?;
            }
        }
    }

    fn take(&mut self, json: &[u8]) -> Result<(), GenerationError> {
        let answer: Answer = serde_json::from_slice(json)
            .map_err(|error| self.server.failed(format!("not an answer: {error}")))?;
        if let Some(message) = answer.error.as_ref().and_then(error_message) {
            return Err(self.server.failed(message));
        }
        if let Some(tokens) = answer.usage {
            self.usage = Usage {
                prompt_tokens: tokens.prompt_tokens,
                output_tokens: tokens.completion_tokens,
                dropped_messages: 0,
                reused_tokens: 0,
            };
        }
        let Some(choice) = answer.choices.into_iter().flatten().next() else {
            return Ok(());
        };
        let content = choice
            .delta
            .or(choice.message)
            .and_then(|content| content.content);
        self.texts.extend(content.filter(|text| !text.is_empty()));
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("length") => self.finish = Some(Finish::Length),
            Some("content_filter") => {
                return Err(self.server.failed("its content filter stopped the text"));
            }
            Some(_) => self.finish = Some(Finish::Stop),
        }
        Ok(())
    }
}
