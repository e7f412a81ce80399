//! Dead profiles, from outside.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use reqwest::Response;
use serde_json::Value;

use crate::support::{house::House, models};

async fn get(house: &House, path: &str) -> Response {
    reqwest::get(house.url(path)).await.expect("an answer")
}

async fn cards(house: &House) -> Vec<Value> {
    let response = get(house, "/api/seance/profiles").await;
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.expect("json");
    body["profiles"].as_array().expect("a list").clone()
}

/// What the server says to a request whose path no client would send as it is.
fn raw(house: &House, path: &str) -> String {
    let mut stream = TcpStream::connect(&house.address).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[tokio::test]
async fn every_profile_that_is_listed_can_be_had() {
    let house = models::scripted(&[]);
    let cards = cards(&house).await;
    assert_eq!(cards.len(), 5);
    for card in cards {
        let id = card["id"].as_str().expect("an id");
        let saved = card["saved"].as_bool().expect("a flag");
        let written = get(&house, &format!("/api/seance/profiles/{id}")).await;
        let page = get(&house, &format!("/api/seance/profiles/{id}/page")).await;
        assert_eq!(
            (written.status() == 200, page.status() == 200),
            (!saved, saved),
            "{id}"
        );
        if !saved {
            let profile: Value = written.json().await.expect("json");
            assert_eq!(profile["name"], card["name"]);
            assert!(
                profile["posts"]
                    .as_array()
                    .is_some_and(|posts| posts.len() > 4)
            );
        }
    }
}

#[tokio::test]
async fn a_saved_page_may_do_nothing_and_is_framed_by_us_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = "<script>steal()</script><img src=https://evil.test/x.png>";
    fs::write(folder.path().join("bad.html"), page).expect("written");
    let house = models::scripted(&[("PARLOUR_PROFILES", folder.path().to_str().expect("text"))]);
    assert_eq!(cards(&house).await.len(), 1);
    let response = get(&house, "/api/seance/profiles/bad/page").await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    let policies: Vec<&str> = headers
        .get_all("content-security-policy")
        .iter()
        .map(|policy| policy.to_str().expect("text"))
        .collect();
    let [policy] = policies.as_slice() else {
        panic!("one policy, not {policies:?}");
    };
    let rules: Vec<&str> = policy.split("; ").collect();
    for rule in [
        "sandbox allow-same-origin",
        "default-src 'none'",
        "img-src data:",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ] {
        assert!(rules.contains(&rule), "{policy}");
    }
    assert!(
        !policy.contains("script") && !policy.contains("http"),
        "{policy}"
    );
    assert_eq!(
        response.text().await.expect("text"),
        page,
        "as it was saved"
    );
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("profiles");
    fs::create_dir(&inner).expect("made");
    fs::write(folder.path().join("secret.html"), "hidden").expect("written");
    fs::write(inner.join("open.html"), "shown").expect("written");
    let house = models::scripted(&[("PARLOUR_PROFILES", inner.to_str().expect("text"))]);
    for id in [
        "../secret",
        "..%2fsecret",
        "..%2Fsecret.html",
        "%2e%2e%2fsecret",
        "....//secret",
        "open%00",
        "open.html",
        "%2fetc%2fpasswd",
        "",
        &"a".repeat(5000),
    ] {
        for path in [format!("/{id}"), format!("/{id}/page")] {
            let answer = raw(&house, &format!("/api/seance/profiles{path}"));
            assert!(
                !answer.contains("hidden") && !answer.contains("root:"),
                "{path}"
            );
            assert!(
                !answer.starts_with("HTTP/1.1 200") || path == "/",
                "{path}: {answer}"
            );
        }
    }
    assert!(raw(&house, "/api/seance/profiles/open/page").contains("shown"));
}

#[test]
fn a_folder_with_a_file_that_is_no_profile_ends_the_start_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("torn.toml"), "name = ").expect("written");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["serve", "--model", "deterministic", "--profiles"])
        .arg(folder.path())
        .current_dir(folder.path())
        .output()
        .expect("it ends");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("torn.toml"), "{said}");
}
