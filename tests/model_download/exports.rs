//! Exports of several files from a stand-in hub: each file as a single one, and together a
//! model that answers.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser;
use parlour::{
    models::{
        ModelError,
        catalogue::{Catalogue, ModelEntry, Place},
        download,
        hub_export::HubExport,
    },
    worker::{
        engine::{Engine, Run, Want},
        onnx_hub::OnnxHub,
    },
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    Settings,
    hubs::{Act, FileHub, hexadecimal},
    settings,
};

/// What torch computes, in the archive of each export.
#[derive(Deserialize)]
struct Reference {
    prompt: Vec<u32>,
    reply: Vec<u32>,
    logits: Vec<Vec<f32>>,
}

/// A tiny export as a repository has it: the files by name, renamed as told.
fn repository(archive: &str, renamed: &[(&str, &str)]) -> (BTreeMap<String, Vec<u8>>, Reference) {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("tests/data/hub/{archive}.zip");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    archive.extract(folder.path()).unwrap();
    let mut files = BTreeMap::new();
    for item in fs::read_dir(folder.path()).unwrap() {
        let item = item.unwrap();
        let name = item.file_name().into_string().unwrap();
        let new = renamed.iter().find(|(old, _)| *old == name);
        let new = new.map_or(name.clone(), |(_, new)| (*new).to_owned());
        files.insert(new, fs::read(item.path()).unwrap());
    }
    let reference = files.remove("reference.json").unwrap();
    (files, serde_json::from_slice(&reference).unwrap())
}

/// An entry of the catalogue for these files of `someone/tiny`.
fn entry(files: &BTreeMap<String, Vec<u8>>, folder: Option<&str>, pinned: bool) -> ModelEntry {
    let line = |(path, content): (&String, &Vec<u8>)| {
        let sha256 = match pinned {
            true => format!(", sha256 = \"{}\"", hexadecimal(&Sha256::digest(content))),
            false => String::new(),
        };
        format!("{{ path = \"{path}\"{sha256} }}")
    };
    let lines = files.iter().map(line).collect::<Vec<_>>().join(", ");
    let folder = folder.map_or(String::new(), |folder| format!("folder = \"{folder}\""));
    let catalogue: Catalogue = toml::from_str(&format!(
        r#"
        [[model]]
        name = "tiny"
        kind = "chat"
        format = "onnx"
        licence = "MIT"
        [[model.source]]
        kind = "hub_export"
        repository = "someone/tiny"
        revision = "0123456"
        {folder}
        files = [{lines}]
        "#
    ))
    .unwrap();
    catalogue.chat_model("tiny").unwrap().clone()
}

const ROOT: &str = "/someone/tiny/resolve/0123456";

fn ensure(folder: &Path, hub: &FileHub, entry: &ModelEntry) -> Result<PathBuf, ModelError> {
    download::ensure_export(entry, &settings(folder, &hub.address, &[]))
}

fn library() -> PathBuf {
    let settings = Settings::parse_from(["test"]).models;
    let catalogue = Catalogue::builtin();
    let runtime = catalogue.runtime().unwrap();
    download::ensure(runtime, &settings).unwrap().path
}

/// Opens what was fetched and asks it what torch was asked.
fn assert_answers(folder: &Path, entry: &ModelEntry, reference: &Reference) {
    let export = HubExport::open(folder, entry.graph()).unwrap();
    let mut engine = OnnxHub::load(&library(), &export, None, 1, 60, 1).unwrap();
    let run = |past: usize, tokens: &[u32]| Run {
        slot: 0,
        past,
        tokens: tokens.to_vec(),
        want: Want::Last,
        adapter: None,
    };
    let last = if reference.reply.is_empty() {
        engine.step(&[run(0, &reference.prompt)]).unwrap().remove(0)
    } else {
        // An encoder-decoder reads the prompt, then writes token by token.
        let prompt = reference.prompt.len();
        let mut logits = engine.step(&[run(0, &reference.prompt)]).unwrap();
        for (at, token) in reference.reply.iter().enumerate() {
            logits = engine.step(&[run(prompt + at, &[*token])]).unwrap();
        }
        logits.remove(0)
    };
    let wanted = reference.logits.last().unwrap();
    assert_eq!(last.len(), wanted.len());
    for (found, wanted) in last.iter().zip(wanted) {
        assert!((found - wanted).abs() < 1e-3, "{found} instead of {wanted}");
    }
}

/// Everything in the model's folder but its lock and the memory of checks.
fn left(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, above: &str, names: &mut Vec<String>) {
        for item in fs::read_dir(folder).unwrap() {
            let item = item.unwrap();
            let name = format!("{above}{}", item.file_name().into_string().unwrap());
            if item.path().is_dir() {
                walk(&item.path(), &format!("{name}/"), names);
            } else if name != ".lock" && !name.ends_with(".verified") {
                names.push(name);
            }
        }
    }
    let mut names = Vec::new();
    walk(&folder.join("tiny"), "", &mut names);
    names.sort();
    names
}

/// An archive, what its files are called on the hub, and the folder they lie in there.
type Layout = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
);

#[test]
fn an_export_of_several_files_is_fetched_opens_and_answers() {
    let layouts: [Layout; 4] = [
        ("gpt2", &[("model.onnx", "onnx/model_quantized.onnx")], None),
        (
            "llama-gqa",
            &[
                ("model.onnx", "onnx/model_q4.onnx"),
                ("model.onnx.data", "onnx/model.onnx.data"),
            ],
            None,
        ),
        ("gpt2-merged", &[], Some("onnx")),
        ("t5-merged", &[], Some("exports/cpu")),
    ];
    for (archive, renamed, place) in layouts {
        for pinned in [true, false] {
            println!("{archive} {pinned}");
            let (files, reference) = repository(archive, renamed);
            let entry = entry(&files, place, pinned);
            let folder = tempfile::tempdir().unwrap();
            let root = place.map_or(ROOT.to_owned(), |place| format!("{ROOT}/{place}"));
            let hub = FileHub::start(&root, &files, &[]);
            let settings = settings(folder.path(), &hub.address, &[]);
            let installed = || download::installed_export(&entry, &settings, false).unwrap();
            assert_eq!(installed(), None);
            let here = ensure(folder.path(), &hub, &entry).unwrap();
            assert_eq!(installed(), Some(here.clone()));
            assert_eq!(
                left(folder.path()),
                files.keys().cloned().collect::<Vec<_>>()
            );
            assert_eq!(hub.asked().len(), files.len());
            assert_answers(&here, &entry, &reference);
            // What is here is not fetched again.
            ensure(folder.path(), &hub, &entry).unwrap();
            assert!(hub.asked().is_empty());
        }
    }
}

#[test]
fn a_cut_part_goes_on_where_it_stopped_and_whole_ones_are_not_fetched_again() {
    let (files, reference) = repository("llama-gqa", &[]);
    let data = "model.onnx.data";
    let acts: &[Act] = &[Act::Cut(1000), Act::Cut(500), Act::Status("403 Forbidden")];
    let hub = FileHub::start(ROOT, &files, &[(data, acts)]);
    let entry = entry(&files, None, false);
    let folder = tempfile::tempdir().unwrap();
    let error = ensure(folder.path(), &hub, &entry).unwrap_err().to_string();
    for told in [
        "403",
        "hub someone/tiny/model.onnx.data",
        "parlour model pull tiny",
    ] {
        assert!(error.contains(told), "{told} is not in {error}");
    }
    let starts = |asked: &[(String, Option<usize>)]| -> Vec<Option<usize>> {
        let of_data = asked.iter().filter(|(name, _)| name == data);
        of_data.map(|(_, start)| *start).collect()
    };
    assert_eq!(starts(&hub.asked()), [None, Some(1000), Some(1500)]);
    let whole: Vec<String> = left(folder.path());
    assert!(whole.contains(&format!("{data}.part")), "{whole:?}");

    let here = ensure(folder.path(), &hub, &entry).unwrap();
    let asked = hub.asked();
    assert_eq!(starts(&asked), [Some(1500)]);
    for (name, _) in &asked {
        assert!(!whole.contains(name), "{name} was fetched again");
    }
    assert_answers(&here, &entry, &reference);
}

#[test]
fn wrong_bytes_of_any_part_are_refused_and_the_next_run_fetches_it_anew() {
    for part in [
        "model.onnx",
        "model.onnx.data",
        "config.json",
        "tokenizer.json",
    ] {
        for pinned in [true, false] {
            let (files, reference) = repository("llama-gqa", &[]);
            let hub = FileHub::start(ROOT, &files, &[(part, &[Act::Garble])]);
            let entry = entry(&files, None, pinned);
            let folder = tempfile::tempdir().unwrap();
            let error = ensure(folder.path(), &hub, &entry).unwrap_err().to_string();
            let named = error.contains(&format!("hub someone/tiny/{part}: "));
            assert!(named && error.contains("instead of"), "{error}");
            let leftover = [part.to_owned(), format!("{part}.part")];
            let names = left(folder.path());
            assert!(
                !names.iter().any(|name| leftover.contains(name)),
                "{names:?}"
            );
            let here = ensure(folder.path(), &hub, &entry).unwrap();
            assert_answers(&here, &entry, &reference);
        }
    }
}

#[test]
fn a_part_that_the_hub_has_not_is_named() {
    let (mut files, _) = repository("llama-gqa", &[]);
    let entry = entry(&files, None, false);
    files.remove("model.onnx.data");
    let hub = FileHub::start(ROOT, &files, &[]);
    let folder = tempfile::tempdir().unwrap();
    let error = ensure(folder.path(), &hub, &entry).unwrap_err().to_string();
    assert!(error.contains("model.onnx.data: "), "{error}");
    assert!(error.contains("404"), "{error}");
    let settings = settings(folder.path(), &hub.address, &[]);
    let installed = download::installed_export(&entry, &settings, false);
    assert_eq!(installed.unwrap(), None);
}

#[test]
fn a_part_that_was_damaged_or_cut_on_the_disk_is_told_and_fetched_once_it_is_gone() {
    for (part, pinned) in [("model.onnx.data", false), ("tokenizer.json", true)] {
        let (files, reference) = repository("llama-gqa", &[]);
        let hub = FileHub::start(ROOT, &files, &[]);
        let entry = entry(&files, None, pinned);
        let folder = tempfile::tempdir().unwrap();
        let here = ensure(folder.path(), &hub, &entry).unwrap();
        hub.asked();
        fs::write(here.join(part), &files[part][..100]).unwrap();
        let error = ensure(folder.path(), &hub, &entry).unwrap_err();
        assert!(matches!(error, ModelError::Checksum { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(hub.asked().is_empty());

        fs::remove_file(here.join(part)).unwrap();
        ensure(folder.path(), &hub, &entry).unwrap();
        assert_eq!(hub.asked(), [(part.to_owned(), None)]);
        assert_answers(&here, &entry, &reference);
    }
}

#[test]
fn what_the_disk_has_no_room_for_is_not_begun() {
    let (files, _) = repository("gpt2", &[]);
    let hub = FileHub::start(ROOT, &files, &[]);
    let mut entry = entry(&files, None, false);
    if let Place::HubExport { files, .. } = &mut entry.sources[0].place {
        files[0].size = Some(1 << 60);
    }
    let folder = tempfile::tempdir().unwrap();
    let error = ensure(folder.path(), &hub, &entry).unwrap_err().to_string();
    assert!(error.contains("MB free"), "{error}");
    assert!(hub.asked().is_empty());
    assert!(left(folder.path()).is_empty());
}

#[test]
fn a_path_of_a_part_cannot_leave_the_models_folder() {
    for path in ["../config.json", "/config.json", "onnx/../../x", ""] {
        let files = BTreeMap::from([(path.to_owned(), Vec::new())]);
        let hub = FileHub::start(ROOT, &files, &[]);
        let folder = tempfile::tempdir().unwrap();
        let error = ensure(folder.path(), &hub, &entry(&files, None, false)).unwrap_err();
        assert!(matches!(error, ModelError::Name(_)), "{path}: {error}");
    }
}

#[test]
fn offline_the_error_names_all_files() {
    let (files, _) = repository("t5-merged", &[]);
    let entry = entry(&files, Some("onnx"), false);
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "http://127.0.0.1:9", &["--offline"]);
    let error = download::ensure_export(&entry, &settings)
        .unwrap_err()
        .to_string();
    let place = folder.path().join("tiny");
    for told in files.keys().map(String::as_str).chain([
        "hub someone/tiny/onnx",
        "parlour model pull tiny",
        "PARLOUR_OFFLINE",
        place.to_str().unwrap(),
    ]) {
        assert!(error.contains(told), "{told} is not in {error}");
    }
}

/// `parlour model …`; what it said, and whether it did it.
pub(crate) fn model(weights: &Path, hub: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["model", "--hub", hub, "--models"])
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

/// A folder of weights with the runtime in it and nothing else.
pub(crate) fn weights() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let runtime = folder.path().join("onnxruntime");
    symlink(library().parent().unwrap(), runtime).unwrap();
    folder
}

#[test]
fn an_entry_of_the_catalogue_is_pulled_listed_and_loads() {
    let (mut files, _) = repository("gpt2-merged", &[]);
    for more in ["generation_config.json", "special_tokens_map.json"] {
        files.insert(more.into(), b"{}".to_vec());
    }
    let root = "/openai-community/gpt2/resolve/607a30d783dfa663caf39e06633721c8d4cfcd7e/onnx";
    let hub = FileHub::start(root, &files, &[]);
    let weights = weights();
    let (done, said) = model(weights.path(), &hub.address, &["pull", "gpt2"]);
    assert!(done, "{said}");
    let (done, said) = model(weights.path(), &hub.address, &["list"]);
    let row = said.lines().find(|line| line.starts_with("gpt2 ")).unwrap();
    assert!(done && row.ends_with("/gpt2"), "{row}");
    let (done, said) = model(weights.path(), &hub.address, &["check"]);
    assert!(
        done && said.contains("gpt2: checksums right, loads"),
        "{said}"
    );
}

#[test]
fn a_model_that_nobody_gives_says_how_to_make_it_and_is_imported_by_its_name() {
    let weights = weights();
    let nowhere = "http://127.0.0.1:9";
    let (done, said) = model(weights.path(), nowhere, &["pull", "gpt-neo-1.3b"]);
    assert!(!done, "{said}");
    for told in [
        "optimum-cli export onnx --model EleutherAI/gpt-neo-1.3B --task text-generation-with-past gpt-neo-1.3b",
        "parlour model import gpt-neo-1.3b --name gpt-neo-1.3b",
    ] {
        assert!(said.contains(told), "{said}");
    }
    // The folder that these commands make stands in the working directory.
    let made = tempfile::tempdir().unwrap();
    let import = |archive: &str| {
        let (files, _) = repository(archive, &[]);
        for (name, content) in files {
            fs::write(made.path().join(name), content).unwrap();
        }
        let from = made.path().to_str().unwrap();
        model(
            weights.path(),
            nowhere,
            &["import", from, "--name", "gpt-neo-1.3b"],
        )
    };
    let (done, said) = import("gpt2");
    assert!(!done && said.contains("gpt_neo"), "{said}");
    let (done, said) = import("gpt-neo");
    assert!(done, "{said}");
    let (done, said) = model(weights.path(), nowhere, &["list"]);
    let rows: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("gpt-neo-1.3b "))
        .collect();
    assert!(
        done && rows.len() == 1 && rows[0].ends_with("/gpt-neo-1.3b"),
        "{said}"
    );
    let (done, said) = model(weights.path(), nowhere, &["check"]);
    assert!(
        done && said.contains("gpt-neo-1.3b: checksums right, loads"),
        "{said}"
    );
    // Other built-in names stay taken.
    let from = made.path().to_str().unwrap();
    let (done, said) = model(weights.path(), nowhere, &["import", from, "--name", "gpt2"]);
    assert!(!done && said.contains("taken"), "{said}");
}
