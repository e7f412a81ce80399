//! Another server as the back end, played by a stand-in that says exactly what it is told.

use std::time::Duration;

use futures_util::StreamExt;
use parlour::{
    config::Secret,
    generation::{
        Backend, GenerationError, Output,
        remote::{Limits, OpenAi},
    },
    wire::worker::{Constraint, Finish, Message, Prompt, Role, Sampling, Usage},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

const KEY: &str = "sk-very-secret";

/// A request as the stand-in saw it.
struct Seen {
    head: String,
    body: Value,
    socket: BufReader<TcpStream>,
}

struct StandIn(TcpListener);

impl StandIn {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    fn backend(&self) -> Backend {
        let limits = Limits {
            idle: Duration::from_secs(20),
            ..Limits::default()
        };
        self.patient(limits)
    }

    fn patient(&self, limits: Limits) -> Backend {
        let url = format!("http://{}/v1/", self.0.local_addr().expect("bound"));
        let key = Some(Secret::from(KEY.to_owned()));
        Backend::Remote(OpenAi::with_limits(url, "big".into(), key, limits).expect("a client"))
    }

    async fn hear(&self) -> Seen {
        let (socket, _) = self.0.accept().await.expect("a connection");
        let mut socket = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(socket.read_line(&mut head).await.expect("a head") > 0);
        }
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .expect("a length");
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.expect("a body");
        let body = serde_json::from_slice(&body).expect("JSON");
        Seen { head, body, socket }
    }

    /// Answers one request with these parts, each written by itself, then closes.
    async fn answer(&self, parts: &[&[u8]]) -> Seen {
        let mut seen = self.hear().await;
        let socket = seen.socket.get_mut();
        for part in parts {
            socket.write_all(part).await.expect("it is sent");
            socket.flush().await.expect("it is sent");
            tokio::task::yield_now().await;
        }
        socket.shutdown().await.expect("it closes");
        seen
    }
}

fn prompt() -> Prompt {
    let message = |role, content: &str| Message {
        role,
        content: content.into(),
    };
    Prompt::Chat {
        messages: vec![
            message(Role::System, "Be brief."),
            message(Role::User, "Hello?"),
        ],
        prefill: String::new(),
    }
}

async fn collect(backend: &Backend) -> Vec<Result<Output, GenerationError>> {
    backend
        .generate(prompt(), Sampling::default(), None)
        .collect()
        .await
}

async fn talk(parts: &[&[u8]]) -> Vec<Result<Output, GenerationError>> {
    let server = StandIn::start().await;
    let backend = server.backend();
    let (items, _) = tokio::join!(collect(&backend), server.answer(parts));
    items
}

fn text(items: &[Result<Output, GenerationError>]) -> String {
    let piece = |item: &Result<Output, GenerationError>| match item {
        Ok(Output::Piece(text)) => Some(text.clone()),
        _ => None,
    };
    items.iter().filter_map(piece).collect()
}

fn problem(items: &[Result<Output, GenerationError>]) -> String {
    match items.last() {
        Some(Err(GenerationError::Remote { server, problem })) => {
            assert!(server.starts_with("127.0.0.1:"));
            problem.clone()
        }
        other => panic!("{other:?}"),
    }
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn an_answer_may_be_cut_at_every_byte() {
    let stream = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Gr\u{fc}\"},\"finish_reason\":null}],\"usage\":null}\n\n: ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\u{df}e\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n".as_bytes();
    for cut in 0..stream.len() {
        let items = talk(&[HEAD, &stream[..cut], &stream[cut..]]).await;
        assert_eq!(text(&items), "Grüße");
        let usage = Usage {
            prompt_tokens: 7,
            output_tokens: 2,
            dropped_messages: 0,
            reused_tokens: 0,
        };
        let done = Output::Done {
            finish: Finish::Length,
            usage,
        };
        assert_eq!(items.last(), Some(&Ok(done)), "cut at {cut}");
        assert_eq!(
            items
                .iter()
                .filter(|item| !matches!(item, Ok(Output::Piece(_))))
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn what_is_asked_is_what_was_meant() {
    let server = StandIn::start().await;
    let backend = server.backend();
    let schema = json!({"type": "object"});
    let sampling = Sampling {
        temperature: 0.5,
        top_k: 40,
        stop: vec!["\n".into()],
        seed: u64::MAX,
        max_tokens: 9,
        ..Sampling::default()
    };
    let stream = backend.generate(
        prompt(),
        sampling,
        Some(Constraint::JsonSchema(schema.clone())),
    );
    let done: &[u8] = b"data: [DONE]\n\n";
    let parts = [HEAD, done];
    let (items, seen) = tokio::join!(stream.collect::<Vec<_>>(), server.answer(&parts));
    assert!(matches!(
        items[..],
        [Ok(Output::Done {
            finish: Finish::Stop,
            ..
        })]
    ));
    assert!(
        seen.head
            .starts_with("POST /v1/chat/completions HTTP/1.1\r\n")
    );
    assert!(
        seen.head
            .contains(&format!("authorization: Bearer {KEY}\r\n"))
    );
    let body = &seen.body;
    assert_eq!(body["model"], "big");
    assert_eq!(body["stream"], true);
    assert_eq!(
        body["messages"][1],
        json!({"role": "user", "content": "Hello?"})
    );
    assert_eq!(body["temperature"], 0.5);
    assert_eq!(body["top_k"], 40);
    assert_eq!(body["max_tokens"], 9);
    assert_eq!(body["seed"], json!((1u64 << 53) - 1));
    assert_eq!(body["stop"], json!(["\n"]));
    assert_eq!(body.get("min_p"), None);
    assert_eq!(body.get("repetition_penalty"), None);
    let format = &body["response_format"];
    assert_eq!(format["type"], "json_schema");
    assert_eq!(format["json_schema"]["schema"], schema);
    assert_eq!(format["json_schema"]["strict"], true);
}

#[tokio::test]
async fn an_error_is_passed_on_without_the_key() {
    let body = format!("{{\"error\":{{\"message\":\"bad key {KEY}\"}}}}");
    let head = format!(
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let items = talk(&[head.as_bytes(), body.as_bytes()]).await;
    assert_eq!(items.len(), 1);
    assert_eq!(problem(&items), "HTTP 401 Unauthorized: bad key (secret)");
}

#[tokio::test]
async fn an_error_within_the_stream_ends_it() {
    let event: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"so\"}}]}\n\n";
    let items = talk(&[HEAD, event, b"data: {\"error\":\"overloaded\"}\n\n"]).await;
    assert_eq!(problem(&items), "overloaded");
    let items = talk(&[HEAD, event, b"data: {oops\n\n"]).await;
    assert!(problem(&items).starts_with("not an answer"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_one_that_ended_is_none() {
    let event: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"so\"}}]}\n\n";
    let items = talk(&[HEAD, event]).await;
    assert_eq!(text(&items), "so");
    assert_eq!(problem(&items), "the answer broke off");
    let last: &[u8] = b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let items = talk(&[HEAD, event, last]).await;
    let done = Output::Done {
        finish: Finish::Stop,
        usage: Usage::default(),
    };
    assert_eq!(items.last(), Some(&Ok(done)));
}

#[tokio::test]
async fn an_answer_in_one_piece_is_taken_as_well() {
    let body = r#"{"choices":[{"message":{"content":"Hi."},"finish_reason":"stop"}]}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let items = talk(&[head.as_bytes(), body.as_bytes()]).await;
    assert_eq!(text(&items), "Hi.");
    assert!(matches!(
        items.last(),
        Some(Ok(Output::Done {
            finish: Finish::Stop,
            ..
        }))
    ));
}

#[tokio::test]
async fn silence_has_an_end() {
    let server = StandIn::start().await;
    let limits = Limits {
        idle: Duration::from_millis(50),
        ..Limits::default()
    };
    let backend = server.patient(limits);
    let (items, _seen) = tokio::join!(collect(&backend), server.hear());
    assert_eq!(problem(&items), "silent for 50ms");
}

#[tokio::test]
async fn dropping_the_stream_hangs_up() {
    let server = StandIn::start().await;
    let backend = server.backend();
    let mut stream = backend.generate(prompt(), Sampling::default(), None);
    let answer = async {
        let mut seen = server.hear().await;
        let event = b"data: {\"choices\":[{\"delta\":{\"content\":\"so\"}}]}\n\n";
        let socket = seen.socket.get_mut();
        socket.write_all(HEAD).await.expect("it is sent");
        socket.write_all(event).await.expect("it is sent");
        seen
    };
    let (item, mut seen) = tokio::join!(stream.next(), answer);
    assert_eq!(item, Some(Ok(Output::Piece("so".into()))));
    drop(stream);
    let mut rest = Vec::new();
    // Ends when the other side has hung up; a reset is as good.
    let _ = seen.socket.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_server() {
    let server = StandIn::start().await;
    let backend = server.backend();
    drop(server);
    let items = collect(&backend).await;
    assert_eq!(items.len(), 1);
    assert!(problem(&items).contains("refused"), "{items:?}");
}

#[tokio::test]
async fn what_the_protocol_cannot_do_is_said() {
    let server = StandIn::start().await;
    let backend = server.backend();
    assert!(!backend.can_weigh());
    assert!(*backend.ready().borrow());
    let weighed = backend.weigh(prompt(), vec!["A".into(), "B".into()]).await;
    assert!(matches!(weighed, Err(GenerationError::Unsupported(_))));
    let raw = backend.generate(Prompt::Text("x".into()), Sampling::default(), None);
    let items: Vec<_> = raw.collect().await;
    assert!(matches!(items[..], [Err(GenerationError::Unsupported(_))]));
    assert!(!format!("{backend:?}").contains(KEY));
}
