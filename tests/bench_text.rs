//! `parlour bench text` against a stand-in server: what is asked, what is written down,
//! and what is said when the comparison is none. Never how fast anything is.

use std::{
    path::Path,
    process::Output,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
};

/// How the stand-in behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    /// Counts one token more in each prompt.
    Miscounts,
    /// Closes the connection of every request after this many.
    Dies(usize),
}

/// An OpenAI-compatible server of one byte a token.
struct StandIn {
    url: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl StandIn {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<Value>>>::default();
        let noted = asked.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(BufReader::new(socket), manner, noted.clone()));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

async fn answer(mut socket: BufReader<TcpStream>, manner: Manner, asked: Arc<Mutex<Vec<Value>>>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("content-length: ")?.parse().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).await.expect("a body");
    let (kind, answer) = if head.starts_with("GET /v1/models ") {
        (
            "application/json",
            json!({"data": [{"id": "m"}]}).to_string(),
        )
    } else if head.starts_with("POST /v1/completions ") {
        let request: Value = serde_json::from_slice(&body).expect("JSON");
        let answer = stream(&request, manner);
        let count = {
            let mut asked = asked.lock().expect("nobody panicked");
            asked.push(request);
            asked.len()
        };
        if matches!(manner, Manner::Dies(after) if count > after) {
            return;
        }
        ("text/event-stream", answer)
    } else {
        let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        drop(socket.write_all(none.as_bytes()).await);
        return;
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    for part in [head, answer] {
        // Whoever was killed reads no more.
        drop(socket.write_all(part.as_bytes()).await);
    }
    drop(socket.shutdown().await);
}

fn stream(request: &Value, manner: Manner) -> String {
    let prompt = request["prompt"].as_str().expect("a prompt").len();
    let tokens = request["max_tokens"].as_u64().expect("a number");
    let prompt = prompt + usize::from(manner == Manner::Miscounts);
    let usage = json!({"prompt_tokens": prompt, "completion_tokens": tokens});
    let text = json!({"choices": [{"text": "a"}]});
    let mut events = format!("data: {text}\n\n").repeat(tokens as usize);
    events.push_str(&format!(
        "data: {}\n\n",
        json!({"choices": [], "usage": usage})
    ));
    events + "data: [DONE]\n\n"
}

async fn parlour(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
    command.arg("bench").args(arguments).kill_on_drop(true);
    command.output().await.expect("it starts")
}

async fn bench(peer: &StandIn, file: &Path, more: &[&str]) -> Output {
    let file = file.to_str().expect("a plain path");
    let mut arguments = vec!["text", "--model", "deterministic", "--quick"];
    arguments.extend(["--against", &peer.url, "--json", file]);
    arguments.extend(more);
    parlour(&arguments).await
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).expect("it was written");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn both_sides_do_the_same_work_and_everything_is_written_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text.json");
    let peer = StandIn::start(Manner::Good).await;
    let output = bench(&peer, &file, &[]).await;
    assert!(output.status.success(), "{}", told(&output));

    let asked = peer.asked();
    let mut prompts: Vec<&str> = asked
        .iter()
        .map(|request| request["prompt"].as_str().expect("a prompt"))
        .collect();
    let requests = prompts.len();
    prompts.sort_unstable();
    prompts.dedup();
    assert_eq!(prompts.len(), requests, "no prompt comes twice");
    for request in &asked {
        assert_eq!(request["ignore_eos"], true);
        assert_eq!(request["stream"], true);
    }

    let report = report(&file);
    let scenarios = report["scenarios"].as_array().expect("scenarios");
    let names: Vec<&str> = scenarios
        .iter()
        .map(|scenario| scenario["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        names,
        [
            "decode-1",
            "decode-2",
            "long-1",
            "long-2",
            "prefill-128",
            "prefill-512",
            "arrivals",
            "second-turn",
            "prose",
            "copying",
            "scoring"
        ]
    );
    for scenario in scenarios {
        let rounds = scenario["rounds"].as_array().expect("rounds");
        assert_eq!(rounds.len(), 1);
        let alone = scenario["name"] == "scoring";
        for (side, there) in [("ours", true), ("theirs", !alone)] {
            let figures = rounds[0][side].as_object();
            assert_eq!(figures.is_some(), there, "{scenario}");
            for (name, value) in figures.into_iter().flatten() {
                let value = value.as_f64().expect("a number");
                assert!(value.is_finite() && value >= 0.0, "{name} in {scenario}");
            }
        }
    }
    let warnings = report["warnings"].to_string();
    assert!(!warnings.contains("not the same work"), "{warnings}");
    let table = String::from_utf8(output.stdout).expect("text");
    for line in [
        "Reading a prompt of 512 tokens",
        "Streams at once",
        "llama.cpp",
    ] {
        assert!(table.contains(line), "no {line:?} in\n{table}");
    }
}

#[tokio::test]
async fn a_report_grows_piece_by_piece_and_becomes_a_page_and_a_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text.json");
    let peer = StandIn::start(Manner::Good).await;
    for only in ["prefill", "decode-1"] {
        let output = bench(&peer, &file, &["--only", only]).await;
        assert!(output.status.success(), "{}", told(&output));
    }
    let names = |report: &Value| -> Vec<String> {
        let scenarios = report["scenarios"].as_array().expect("scenarios");
        let name = |scenario: &Value| scenario["name"].as_str().expect("a name").to_owned();
        scenarios.iter().map(name).collect()
    };
    assert_eq!(
        names(&report(&file)),
        ["prefill-128", "prefill-512", "decode-1"]
    );

    let other = bench(&peer, &file, &["--only", "decode-1", "--threads", "200"]).await;
    assert!(!other.status.success());
    assert!(told(&other).contains("move it away"), "{}", told(&other));

    let page = folder.path().join("page.md");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    std::fs::copy(docs, &page).expect("the page is there");
    let chart = folder.path().join("chart.svg");
    let paths = [&file, &page, &chart].map(|path| path.to_str().expect("a plain path"));
    let output = parlour(&["report", paths[0], "--page", paths[1], "--chart", paths[2]]).await;
    assert!(output.status.success(), "{}", told(&output));
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(
        page.contains("| Reading a prompt of 128 tokens |"),
        "{page}"
    );
    let chart = std::fs::read_to_string(&chart).expect("a picture");
    assert!(chart.contains("Reading a prompt of 128 tokens"));
}

#[tokio::test]
async fn other_work_is_no_comparison_and_is_said_aloud() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text.json");
    let peer = StandIn::start(Manner::Miscounts).await;
    let output = bench(&peer, &file, &["--only", "prefill-128"]).await;
    assert!(output.status.success(), "{}", told(&output));
    let warning = "the other server read 129 tokens for a prompt of 128: not the same work";
    assert!(told(&output).contains(warning), "{}", told(&output));
    assert!(report(&file)["warnings"].to_string().contains(warning));
}

#[tokio::test]
async fn a_server_that_dies_ends_the_measurement_and_leaves_what_was_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text.json");
    // One request warms up, one is the first scenario's.
    let peer = StandIn::start(Manner::Dies(2)).await;
    let output = bench(&peer, &file, &["--only", "prefill"]).await;
    assert!(!output.status.success());
    assert!(
        told(&output).contains("the other server is lost"),
        "{}",
        told(&output)
    );
    let scenarios = report(&file)["scenarios"].clone();
    assert_eq!(scenarios.as_array().map(Vec::len), Some(1), "{scenarios}");
}

#[tokio::test]
async fn nobody_there_and_nothing_of_that_name_are_said_at_once() {
    let gone = parlour(&[
        "text",
        "--model",
        "deterministic",
        "--against",
        "http://127.0.0.1:1/v1",
    ]);
    let gone = gone.await;
    assert!(!gone.status.success());
    let odd = parlour(&["text", "--model", "deterministic", "--only", "nonsense"]).await;
    assert!(told(&odd).contains("there is no such scenario; there are decode-1"));
    let unknown = parlour(&["text", "--model", "no-such-model"]).await;
    assert!(!unknown.status.success());
}
