//! Other people's exports, from the folder that a user brings to tokens over the socket.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser;
use parlour::{
    config::ModelSettings,
    models::{catalogue::Catalogue, download},
    wire::worker::{Finish, FromWorker},
};

use crate::support::{Worker, seeded};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
}

/// A folder of weights with the runtime in it and nothing else.
fn weights() -> tempfile::TempDir {
    let settings = Settings::parse_from(["test"]).models;
    let catalogue = Catalogue::builtin();
    let runtime = download::ensure(catalogue.runtime().unwrap(), &settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    symlink(
        runtime.path.parent().unwrap(),
        folder.path().join("onnxruntime"),
    )
    .unwrap();
    folder
}

fn export(name: &str, folder: &Path) {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/hub");
    let archive = fs::File::open(data.join(format!("{name}.zip"))).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    archive.extract(folder).unwrap();
}

/// `parlour model …`; what it said, and whether it did it.
fn model(weights: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["model", "--offline", "--models"])
        .arg(weights)
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test]
async fn an_imported_export_speaks_alone_as_among_others() {
    let weights = weights();
    let at = weights.path().to_str().unwrap();
    for archive in ["gpt2", "llama-gqa", "t5-merged"] {
        let folder = tempfile::tempdir().unwrap();
        export(archive, folder.path());
        let from = folder.path().to_str().unwrap();
        let name = &format!("my-{archive}");
        let (done, said) = model(weights.path(), &["import", from, "--name", name]);
        assert!(done, "{said}");
        drop(folder);

        let arguments = ["--models", at, "--offline", "--slots", "4"];
        let worker = Worker::start(name, &arguments).await;
        let mut line = worker.connect().await;
        line.say(&worker.generate(0, "hi there", seeded(7, 12)))
            .await;
        let alone = line.hear_ends(1).await.remove(&0).unwrap();
        assert!(
            matches!(
                alone.end,
                Some(FromWorker::Done {
                    finish: Finish::Stop | Finish::Length,
                    ..
                })
            ),
            "{alone:?}"
        );
        for (id, said, seed) in [(1, "the end", 3), (2, "hi there", 7), (3, "here", 5)] {
            line.say(&worker.generate(id, said, seeded(seed, 12))).await;
        }
        let mixed = line.hear_ends(3).await.remove(&2).unwrap();
        assert_eq!(mixed.tokens, alone.tokens, "{name}");
        assert_eq!(mixed.text, alone.text, "{name}");
    }
    let (done, said) = model(weights.path(), &["check"]);
    assert!(
        done && said.matches("checksums right, loads").count() == 3,
        "{said}"
    );
}

#[test]
fn an_export_that_cannot_be_run_is_refused_and_leaves_no_trace() {
    let weights = weights();
    let before = fs::read_dir(weights.path()).unwrap().count();
    let refuse = |change: &dyn Fn(&Path), told: &str| {
        let folder = tempfile::tempdir().unwrap();
        export("gpt2", folder.path());
        change(folder.path());
        let from = folder.path().to_str().unwrap();
        let (done, said) = model(weights.path(), &["import", from, "--name", "mine"]);
        assert!(!done && said.contains(told), "{said}");
        assert_eq!(fs::read_dir(weights.path()).unwrap().count(), before);
    };
    let remove =
        |name: &'static str| move |folder: &Path| fs::remove_file(folder.join(name)).unwrap();
    refuse(&remove("config.json"), "config.json is missing");
    refuse(&remove("tokenizer.json"), "tokenizer.json is missing");
    refuse(&remove("model.onnx"), "onnx/model.onnx");
    refuse(
        &|folder| fs::write(folder.join("model.onnx"), "no graph").unwrap(),
        "it is no ONNX file",
    );
    refuse(
        &|folder| fs::write(folder.join("tokenizer.json"), "{}").unwrap(),
        "tokenizer.json",
    );
}

#[test]
fn damage_to_an_export_is_found() {
    let weights = weights();
    let folder = tempfile::tempdir().unwrap();
    export("llama-gqa", folder.path());
    let from = folder.path().to_str().unwrap();
    let (done, said) = model(weights.path(), &["import", from, "--name", "mine"]);
    assert!(done, "{said}");
    let data = weights.path().join("mine/model.onnx.data");
    let mut bytes = fs::read(&data).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(data, bytes).unwrap();
    let (done, said) = model(weights.path(), &["check"]);
    assert!(!done && said.contains("SHA-256"), "{said}");
}
