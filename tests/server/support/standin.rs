//! Somebody else's model server that says what a test wants, a word at a time, and waits
//! where a test wants it to.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

type Script = dyn Fn(&Value) -> String + Send + Sync;

struct State {
    script: Box<Script>,
    /// One permit lets one word pass.
    gate: Arc<Semaphore>,
    asked: Mutex<Vec<Value>>,
    /// Answers that still break off after their first words.
    stumbles: AtomicUsize,
}

/// The server. It lives as long as the test's process.
#[derive(Clone)]
pub struct Standin {
    pub url: String,
    state: Arc<State>,
}

const OPEN: usize = 1 << 24;

impl Standin {
    /// Answers every request with what `script` makes of its body.
    pub fn start(script: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        Self::launch(script, OPEN)
    }

    /// The same, but every word waits for [`Self::let_pass`].
    pub fn gated(script: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        Self::launch(script, 0)
    }

    fn launch(script: impl Fn(&Value) -> String + Send + Sync + 'static, permits: usize) -> Self {
        let state = Arc::new(State {
            script: Box::new(script),
            gate: Arc::new(Semaphore::new(permits)),
            asked: Mutex::default(),
            stumbles: AtomicUsize::new(0),
        });
        let data = web::Data::from(Arc::clone(&state));
        let (tell, told) = std::sync::mpsc::channel();
        // Its own thread: a test's runtime ends with the test, tasks and all.
        std::thread::spawn(move || {
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(data.clone())
                    .app_data(web::JsonConfig::default().limit(1 << 22))
                    .route("/v1/chat/completions", web::post().to(complete))
            })
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .expect("a free port");
            tell.send(server.addrs()[0]).expect("somebody waits");
            actix_web::rt::System::new().block_on(server.run())
        });
        let address = told.recv().expect("it listens");
        let url = format!("http://{address}/v1");
        Self { url, state }
    }

    /// Lets so many words pass, of whatever answers wait.
    pub fn let_pass(&self, words: usize) {
        self.state.gate.add_permits(words);
    }

    /// Lets the next `answers` break off after their first words.
    pub fn stumble(&self, answers: usize) {
        self.state.stumbles.store(answers, Ordering::Relaxed);
    }

    /// Lets everything pass from now on.
    pub fn open(&self) {
        self.let_pass(OPEN);
    }

    /// The bodies of all requests so far.
    pub fn asked(&self) -> Vec<Value> {
        self.state.asked.lock().expect("no panic").clone()
    }
}

async fn complete(body: web::Json<Value>, state: web::Data<State>) -> HttpResponse {
    let body = body.into_inner();
    let text = (state.script)(&body);
    state.asked.lock().expect("no panic").push(body);
    let mut events: Vec<String> = text
        .split_inclusive(' ')
        .map(|word| event(&json!({"choices": [{"delta": {"content": word}}]})))
        .collect();
    let less = |stumbles: usize| stumbles.checked_sub(1);
    let stumbles = state
        .stumbles
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok();
    if stumbles {
        events.truncate(3);
        let broken = json!({"error": {"message": "out of breath"}});
        events.push(event(&broken));
        return stream_of(events, &state);
    }
    let end = json!({
        "choices": [{"delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": events.len()},
    });
    events.push(format!("{}data: [DONE]\n\n", event(&end)));
    stream_of(events, &state)
}

fn stream_of(events: Vec<String>, state: &State) -> HttpResponse {
    let gate = Arc::clone(&state.gate);
    let words = stream::unfold(
        (events.into_iter(), gate),
        |(mut events, gate)| async move {
            let event = events.next()?;
            gate.acquire().await.expect("it is never closed").forget();
            Some((
                Ok::<_, std::io::Error>(web::Bytes::from(event)),
                (events, gate),
            ))
        },
    );
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(words)
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}
