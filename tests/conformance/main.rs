//! The WebSocket cases of the Autobahn suite against the sockets that the product has: the
//! same handshake, guard, frames and goodbye, with an echo behind them.

mod echo;

use std::{collections::BTreeMap, path::Path, process::Command, sync::OnceLock};

use serde::Deserialize;

/// How a case went.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    behavior: String,
    behavior_close: String,
}

/// Where the suite's program is; it is installed, once, if it is missing.
fn suite() -> &'static str {
    static SUITE: OnceLock<String> = OnceLock::new();
    SUITE.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(root.join("tools/kosoku"))
            .output()
            .expect("tools/kosoku runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let path = String::from_utf8(output.stdout).expect("a path");
        path.trim().to_owned()
    })
}

fn run(include: &[&str]) -> BTreeMap<String, Outcome> {
    let address = echo::serve();
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(suite());
    for cases in include {
        command.args(["--include", cases]);
    }
    // Its exit status says whether a case failed, its report says which.
    command
        .args(["--parallelism", "4", "--outdir"])
        .arg(folder.path())
        .arg(format!("ws://{address}/ws"))
        .output()
        .expect("the suite runs");
    let index = std::fs::read(folder.path().join("index.json")).expect("there is a report");
    let agents: BTreeMap<String, BTreeMap<String, Outcome>> =
        serde_json::from_slice(&index).expect("a report");
    agents.into_values().flatten().collect()
}

/// `behaviors` are those that may be; a close may be informational as well, where the suite
/// only looks at who closed.
fn assert_all(outcomes: &BTreeMap<String, Outcome>, behaviors: &[&str]) {
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|(_, outcome)| {
            !behaviors.contains(&outcome.behavior.as_str())
                || !["OK", "INFORMATIONAL"].contains(&outcome.behavior_close.as_str())
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, limits (1 to 7, 10).
#[test]
fn every_case_of_the_protocol_passes_with_nothing_worse_than_non_strict() {
    let outcomes = run(&["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]);
    assert!(outcomes.len() > 240, "only {} cases", outcomes.len());
    assert_all(&outcomes, &["OK", "NON-STRICT", "INFORMATIONAL"]);
}

/// Messages of up to 16 MiB, whole, in frames and in crumbs (9).
#[test]
fn every_case_of_size_passes() {
    let outcomes = run(&["9.*"]);
    assert!(outcomes.len() > 50, "only {} cases", outcomes.len());
    assert_all(&outcomes, &["OK"]);
}

/// Compression is not offered, and who asks for it is told so by not being answered (12, 13).
#[test]
fn compression_is_declined() {
    let outcomes = run(&["12.1.1", "13.1.1"]);
    assert!(!outcomes.is_empty());
    assert_all(&outcomes, &["UNIMPLEMENTED"]);
}
