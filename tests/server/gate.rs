//! The gate of the séance, from outside.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Output, Stdio},
    time::Instant,
};

use futures_util::{StreamExt as _, stream};
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, COOKIE, ORIGIN, RETRY_AFTER, SET_COOKIE},
};
use serde_json::{Value, json};

use crate::support::{house::House, models};

pub const PASSWORD: &str = "die Tür steht offen";

/// `parlour gate hash` as a script uses it.
fn hash_of(password: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["gate", "hash"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    writeln!(input, "{password}").expect("it reads");
    drop(input);
    child.wait_with_output().expect("it ends")
}

pub fn phc() -> String {
    let said = hash_of(PASSWORD);
    assert!(said.status.success());
    String::from_utf8(said.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

fn url(house: &House) -> String {
    house.url("/api/gate")
}

pub async fn say(
    house: &House,
    password: &str,
    cookie: Option<&str>,
    from: Option<&str>,
) -> Response {
    let mut request = reqwest::Client::new()
        .post(url(house))
        .json(&json!({ "password": password }));
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    if let Some(from) = from {
        request = request.header("X-Forwarded-For", from);
    }
    request.send().await.expect("an answer")
}

/// The cookies of an answer, as a browser sends them back.
pub fn cookies(response: &Response) -> String {
    let pairs = response.headers().get_all(SET_COOKIE).iter().map(|line| {
        let line = line.to_str().expect("text");
        line.split(';').next().expect("a pair").to_owned()
    });
    pairs.collect::<Vec<_>>().join("; ")
}

async fn state(house: &House, cookie: &str) -> Value {
    let request = reqwest::Client::new()
        .get(url(house))
        .header(COOKIE, cookie);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
    response.json().await.expect("json")
}

async fn transcript(house: &House, cookie: &str) -> StatusCode {
    let request = reqwest::Client::new().get(house.url("/api/seance/transcript/seance-1"));
    let response = request.header(COOKIE, cookie).send().await;
    response.expect("an answer").status()
}

async fn profiles(house: &House, cookie: &str) -> StatusCode {
    let request = reqwest::Client::new().get(house.url("/api/seance/profiles"));
    let response = request.header(COOKIE, cookie).send().await;
    response.expect("an answer").status()
}

fn shut() -> Value {
    json!({ "needed": true, "open": false })
}

fn open() -> Value {
    json!({ "needed": true, "open": true })
}

/// A count of the metrics page.
async fn counted(house: &House, result: &str) -> u64 {
    let page = reqwest::get(house.url("/metrics"))
        .await
        .expect("an answer");
    let page = page.text().await.expect("text");
    let name = format!("parlour_gate_attempts_total{{result=\"{result}\"}} ");
    page.lines()
        .find_map(|line| line.strip_prefix(&name)?.parse().ok())
        .expect("it is counted")
}

#[tokio::test]
async fn who_says_the_password_comes_in_and_stays_in_when_the_server_falls() {
    let mut house = models::scripted(&[("PARLOUR_PASSWORD", &phc())]);
    assert_eq!(state(&house, "").await, shut());
    assert_eq!(profiles(&house, "").await, 401);
    assert_eq!(transcript(&house, "").await, 401);
    let answer = say(&house, PASSWORD, None, None).await;
    assert_eq!(answer.status(), 204);
    for line in answer.headers().get_all(SET_COOKIE) {
        let line = line.to_str().expect("text");
        assert!(line.contains("; HttpOnly; SameSite=Strict"), "{line}");
        assert!(line.contains("; Path=/; Max-Age="), "{line}");
        assert!(!line.contains("Secure"), "this is no TLS: {line}");
    }
    let cookie = cookies(&answer);
    assert_eq!(state(&house, &cookie).await, open());
    assert_eq!(profiles(&house, &cookie).await, 200);
    assert_eq!(transcript(&house, &cookie).await, 404, "none was held");
    house.fall();
    house.rise();
    assert_eq!(state(&house, &cookie).await, open());
    assert_eq!(counted(&house, "wrong").await, 0);
}

#[tokio::test]
async fn who_leaves_is_out_for_good_and_nobody_else_is() {
    let house = models::scripted(&[("PARLOUR_PASSWORD", &phc())]);
    let mine = cookies(&say(&house, PASSWORD, None, None).await);
    let theirs = cookies(&say(&house, PASSWORD, None, None).await);
    assert_ne!(mine, theirs);
    let request = reqwest::Client::new()
        .delete(url(&house))
        .header(COOKIE, &mine);
    let gone = request.send().await.expect("an answer");
    assert_eq!(gone.status(), 204);
    let line = gone.headers()[SET_COOKIE].to_str().expect("text");
    assert!(
        line.starts_with("parlour_gate=; Path=/; Max-Age=0"),
        "{line}"
    );
    assert_eq!(
        state(&house, &mine).await,
        shut(),
        "also to who kept the cookie"
    );
    assert_eq!(state(&house, &theirs).await, open());
}

#[tokio::test]
async fn a_new_hash_sends_everybody_out() {
    let mut house = models::scripted(&[("PARLOUR_PASSWORD", &phc())]);
    let cookie = cookies(&say(&house, PASSWORD, None, None).await);
    house.fall();
    house
        .settings
        .retain(|(name, _)| name != "PARLOUR_PASSWORD");
    house.settings.push(("PARLOUR_PASSWORD".into(), phc()));
    house.rise();
    assert_eq!(state(&house, &cookie).await, shut());
    assert_eq!(
        say(&house, PASSWORD, Some(&cookie), None).await.status(),
        204
    );
}

#[tokio::test]
async fn a_thousand_addresses_are_wrong_five_times_and_a_known_browser_still_comes_in() {
    let house = models::scripted(&[
        ("PARLOUR_PASSWORD", &phc()),
        ("PARLOUR_TRUST_PROXY", "127.0.0.1"),
    ]);
    let known = cookies(&say(&house, PASSWORD, None, Some("192.0.2.1")).await);
    let tries = (0..1000u32).map(|n| {
        let house = &house;
        async move {
            let from = format!("10.0.{}.{}", n / 250, n % 250);
            let answer = say(house, "let me in, please", None, Some(&from)).await;
            let wait = answer.headers().get(RETRY_AFTER).cloned();
            (answer.status(), wait)
        }
    });
    let began = Instant::now();
    let answers: Vec<_> = stream::iter(tries).buffer_unordered(50).collect().await;
    let minutes = 1 + usize::try_from(began.elapsed().as_secs() / 60).expect("few");
    let wrong = answers.iter().filter(|(status, _)| *status == 401).count();
    assert!((1..=5 * minutes).contains(&wrong), "{wrong}");
    for (status, wait) in &answers {
        if *status != 401 {
            assert_eq!(*status, 429);
            let wait: u64 = wait.as_ref().unwrap().to_str().unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
        }
    }
    // One who was inside has a turn of its own, from whichever address.
    let again = say(&house, PASSWORD, Some(&known), Some("10.0.0.1")).await;
    assert_eq!(again.status(), 204);
    assert_eq!(counted(&house, "wrong").await, wrong as u64);
    assert_eq!(counted(&house, "refused").await, 1000 - wrong as u64);
    assert_eq!(counted(&house, "right").await, 2);
}

#[tokio::test]
async fn garbage_opens_nothing_and_breaks_nothing() {
    let house = models::scripted(&[("PARLOUR_PASSWORD", &phc())]);
    for cookie in [
        "parlour_gate=".to_owned(),
        format!("parlour_gate={}", "0".repeat(64)),
        format!("parlour_gate={}", "g".repeat(64)),
        format!("parlour_gate={}; parlour_gate=", "f".repeat(5000)),
        ";;=;==;parlour_gate;parlour_known=x".to_owned(),
    ] {
        assert_eq!(state(&house, &cookie).await, shut(), "{cookie}");
        assert_eq!(profiles(&house, &cookie).await, 401);
    }
    let post = |body: String, kind: &'static str| {
        let request = reqwest::Client::new()
            .post(url(&house))
            .header(CONTENT_TYPE, kind);
        async move { request.body(body).send().await.expect("an answer") }
    };
    for (body, kind, status) in [
        ("", "application/json", 400),
        ("[]", "application/json", 400),
        (r#"{"password":7}"#, "application/json", 400),
        (
            r#"{"password":"hunter2hunter2","x":1}"#,
            "application/json",
            400,
        ),
        (r#"{"password":"\ud800"}"#, "application/json", 400),
        // What a form of a foreign page could send without asking first.
        (r#"{"password":"x"}"#, "text/plain", 400),
        ("password=x", "application/x-www-form-urlencoded", 400),
    ] {
        let answer = post(body.to_owned(), kind).await;
        assert_eq!(answer.status(), status, "{body}");
        let said = answer.text().await.expect("text");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let long = json!({ "password": "x".repeat(1025) }).to_string();
    assert_eq!(post(long, "application/json").await.status(), 413);
    assert_eq!(
        counted(&house, "wrong").await + counted(&house, "refused").await,
        0
    );
}

/// A body of which more is announced than anybody takes.
#[test]
fn a_huge_body_is_not_read() {
    let house = models::scripted(&[("PARLOUR_PASSWORD", &phc())]);
    let mut stream = TcpStream::connect(&house.address).expect("a connection");
    let head = "POST /api/gate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 10000000000\r\n\r\n{\"password\":\"";
    stream.write_all(head.as_bytes()).expect("it listens");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("it answers at once");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_foreign_page_neither_opens_nor_shuts_the_gate() {
    let house = models::scripted(&[
        ("PARLOUR_PASSWORD", &phc()),
        ("PARLOUR_ORIGINS", "https://friend.test"),
    ]);
    let cookie = cookies(&say(&house, PASSWORD, None, None).await);
    let client = reqwest::Client::new();
    for (origin, enters, leaves) in [
        ("https://evil.test", 403, 403),
        ("null", 403, 403),
        ("https://friend.test", 204, 204),
    ] {
        let body = json!({ "password": PASSWORD });
        let enter = client.post(url(&house)).header(ORIGIN, origin).json(&body);
        assert_eq!(
            enter.send().await.expect("an answer").status(),
            enters,
            "{origin}"
        );
        let leave = client
            .delete(url(&house))
            .header(ORIGIN, origin)
            .header(COOKIE, &cookie);
        assert_eq!(
            leave.send().await.expect("an answer").status(),
            leaves,
            "{origin}"
        );
    }
    assert_eq!(state(&house, &cookie).await, shut());
}

#[tokio::test]
async fn behind_tls_the_cookies_are_sent_over_tls_alone() {
    let hash = phc();
    for (proxy, secure) in [("127.0.0.1", true), ("192.0.2.1", false)] {
        let house =
            models::scripted(&[("PARLOUR_PASSWORD", &hash), ("PARLOUR_TRUST_PROXY", proxy)]);
        let request = reqwest::Client::new().post(url(&house));
        let request = request.header("X-Forwarded-Proto", "https");
        let answer = request.json(&json!({ "password": PASSWORD })).send().await;
        for line in answer.expect("an answer").headers().get_all(SET_COOKIE) {
            assert_eq!(line.to_str().expect("text").ends_with("; Secure"), secure);
        }
    }
}

#[tokio::test]
async fn a_house_without_a_password_asks_for_none() {
    let house = models::scripted(&[]);
    assert_eq!(
        state(&house, "").await,
        json!({ "needed": false, "open": true })
    );
    assert_eq!(profiles(&house, "").await, 200);
    let answer = say(&house, "anything", None, None).await;
    assert_eq!(answer.status(), 204);
    assert!(answer.headers().get(SET_COOKIE).is_none());
}

/// Everything that the server says at its most talkative.
#[tokio::test]
async fn neither_password_nor_hash_nor_cookie_is_ever_logged() {
    let hash = phc();
    let log = tempfile::NamedTempFile::new().expect("a file");
    let house = models::scripted_into(
        &[("PARLOUR_PASSWORD", &hash), ("PARLOUR_LOG", "trace")],
        log.reopen().expect("it is there"),
    );
    let wrong = "the wrong pass phrase";
    assert_eq!(
        say(&house, wrong, None, Some("10.1.1.1")).await.status(),
        401
    );
    assert_eq!(say(&house, wrong, None, None).await.status(), 429);
    let cookie = loop {
        let answer = say(&house, PASSWORD, None, None).await;
        if answer.status() == 204 {
            break cookies(&answer);
        }
        assert_eq!(answer.status(), 429, "only its pause stands between");
    };
    assert_eq!(state(&house, &cookie).await, open());
    drop(house);
    let said = std::fs::read_to_string(log.path()).expect("text");
    assert!(
        said.contains("TRACE") || said.contains("DEBUG"),
        "it was talkative: {said}"
    );
    let salt = hash.rsplit('$').nth(1).expect("a salt");
    let secrets = [PASSWORD, wrong, &hash, salt, &hash[hash.len() - 20..]];
    let tokens = cookie
        .split("; ")
        .map(|pair| pair.split_once('=').expect("a pair").1);
    for secret in secrets.into_iter().chain(tokens) {
        assert!(!said.contains(secret), "{secret}");
    }
}

#[test]
fn a_plain_password_is_no_setting_and_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = |folder: &Path, variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
        command
            .arg("serve")
            .current_dir(folder)
            .env("PARLOUR_LOG", "trace");
        command.envs(variables.iter().copied());
        let output = command.output().expect("it ends");
        assert!(!output.status.success());
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let said = serve(folder.path(), &[("PARLOUR_PASSWORD", PASSWORD)]);
    assert!(
        said.contains("PARLOUR_PASSWORD") && said.contains("parlour gate hash"),
        "{said}"
    );
    assert!(!said.contains(PASSWORD), "{said}");
    // Without quotes `.env` loses what follows each dollar sign.
    let line = format!("PARLOUR_PASSWORD={}\n", phc());
    std::fs::write(folder.path().join(".env"), line).expect("written");
    let said = serve(folder.path(), &[]);
    assert!(said.contains("single quotes"), "{said}");
}

#[test]
fn a_hash_is_printed_once_on_standard_output_and_a_short_password_is_refused() {
    let said = hash_of(PASSWORD);
    let hash = String::from_utf8(said.stdout).expect("text");
    assert!(
        hash.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"),
        "{hash}"
    );
    assert_eq!(hash.lines().count(), 1);
    let aside = String::from_utf8(said.stderr).expect("text");
    assert!(
        !aside.contains("argon2id") && !aside.contains(PASSWORD),
        "{aside}"
    );
    let short = hash_of("kurz");
    assert!(!short.status.success() && short.stdout.is_empty());
    assert!(!String::from_utf8_lossy(&short.stderr).contains("kurz"));
}
