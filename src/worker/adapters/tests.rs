use std::{fs, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    models::peft::{Size, Target, random, write},
    wire::worker::Terms,
    worker::{
        deterministic::{Deterministic, Habits},
        engine::Engine,
        job::Preparer,
    },
};

fn shape() -> AdapterShape {
    AdapterShape {
        layers: 2,
        sizes: [Size {
            inputs: 16,
            outputs: 16,
        }; Target::ALL.len()],
    }
}

/// A folder with an adapter `name`, made from `seed`.
fn put(folder: &TempDir, name: &str, seed: u64) {
    let adapter = random(&shape(), &[Target::Query], 2, 0.1, seed);
    write(&folder.path().join(name), &adapter, &shape(), "a model").unwrap();
}

fn adapters(folder: &TempDir) -> Adapters {
    Adapters::new(folder.path().to_owned(), shape())
}

fn problem(adapters: &Adapters, name: &str) -> String {
    match adapters.open(name) {
        Err(Refusal::BadAdapter { adapter, problem }) if adapter == name => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_adapter_is_read_once_and_means_what_its_files_say() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "lady-bracknell", 1);
    let adapters = adapters(&folder);
    let first = adapters.open("lady-bracknell").unwrap();
    let expected = random(&shape(), &[Target::Query], 2, 0.1, 1);
    assert_eq!(first.parts, expected.parts);
    let second = adapters.open("lady-bracknell").unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn a_name_is_never_a_path() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "inner/real", 1);
    put(&folder, "real", 1);
    let adapters = Adapters::new(folder.path().join("inner"), shape());
    assert!(adapters.open("real").is_ok());
    let long = "x".repeat(100_000);
    for name in [
        "../real",
        "inner/real",
        "/real",
        "",
        ".",
        "..",
        ".real",
        "REAL",
        "réal",
        "real\0",
        &long,
    ] {
        let Err(Refusal::UnknownAdapter { adapter }) = adapters.open(name) else {
            panic!("{name:?} was taken");
        };
        assert!(name.starts_with(&adapter) && adapter.len() <= TOLD);
    }
}

#[test]
fn an_adapter_that_was_tuned_anew_speaks_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "algernon", 1);
    let adapters = adapters(&folder);
    let old = adapters.open("algernon").unwrap();
    // The same sizes: only the times tell.
    put(&folder, "algernon", 2);
    let new = adapters.open("algernon").unwrap();
    assert_ne!(old.id, new.id);
    assert_ne!(old.parts, new.parts);
    fs::remove_dir_all(folder.path().join("algernon")).unwrap();
    let gone = adapters.open("algernon");
    assert!(matches!(gone, Err(Refusal::UnknownAdapter { .. })));
    put(&folder, "algernon", 1);
    assert_eq!(adapters.open("algernon").unwrap().parts, old.parts);
}

#[test]
fn what_is_wrong_is_said_in_words_without_a_path_and_can_be_mended() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cecily");
    let adapters = adapters(&folder);
    fs::create_dir(&place).unwrap();
    let no_files = problem(&adapters, "cecily");
    assert!(no_files.contains(CONFIG_FILE), "{no_files}");
    put(&folder, "cecily", 1);
    let config = fs::read_to_string(place.join(CONFIG_FILE)).unwrap();
    let dora = config.replace(r#""use_dora": false"#, r#""use_dora": true"#);
    fs::write(place.join(CONFIG_FILE), dora).unwrap();
    let variant = problem(&adapters, "cecily");
    assert!(variant.contains("use_dora"), "{variant}");
    assert_eq!(problem(&adapters, "cecily"), variant);
    fs::write(place.join(CONFIG_FILE), config).unwrap();
    fs::write(place.join(WEIGHTS_FILE), "not weights").unwrap();
    let broken = problem(&adapters, "cecily");
    for told in [no_files, variant, broken] {
        assert!(!told.contains(folder.path().to_str().unwrap()), "{told}");
    }
    put(&folder, "cecily", 1);
    assert!(adapters.open("cecily").is_ok());
}

#[test]
fn the_longest_unused_adapters_are_given_up_and_come_back_as_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c"];
    for (seed, name) in names.iter().enumerate() {
        put(&folder, name, seed as u64);
    }
    let mut adapters = adapters(&folder);
    let open = |adapters: &Adapters, name: &str| Arc::downgrade(&adapters.open(name).unwrap());
    let id = adapters.open("a").unwrap().id;
    adapters.kept_bytes = 2 * adapters.open("a").unwrap().bytes();
    let [a, b, c] = names.map(|name| open(&adapters, name));
    assert!(a.upgrade().is_none());
    assert!(b.upgrade().is_some() && c.upgrade().is_some());
    let again = open(&adapters, "a").upgrade().unwrap();
    assert_eq!(again.id, id);
    assert!(b.upgrade().is_none());
    // What a request holds is the same one that others get.
    open(&adapters, "b");
    open(&adapters, "c");
    assert!(Arc::ptr_eq(&again, &adapters.open("a").unwrap()));
}

#[test]
fn whoever_asks_at_the_same_time_gets_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "gwendolen", 1);
    let adapters = adapters(&folder);
    let opened: Vec<Arc<Adapter>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| adapters.open("gwendolen").unwrap()))
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(opened.iter().all(|other| Arc::ptr_eq(other, &opened[0])));
}

#[test]
fn a_request_gets_the_adapter_that_it_names_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "miss-prism", 1);
    let adapters = adapters(&folder);
    let id = adapters.open("miss-prism").unwrap().id;
    let engine = Deterministic::with_habits(Habits::STRICT, 1, 256, Duration::ZERO);
    let preparer = || Preparer::new("any", engine.info(), engine.vocabulary());
    let terms = |adapter: Option<&str>| Terms {
        adapter: adapter.map(str::to_owned),
        ..Terms::default()
    };
    // An engine without places for adapters.
    let refused = preparer().adapter(&terms(Some("miss-prism")));
    assert!(matches!(refused, Err(Refusal::BadAdapter { .. })));
    assert!(preparer().adapter(&terms(None)).unwrap().is_none());
    let preparer = preparer().with_adapters(Box::new(move |name| adapters.open(name)));
    let opened = preparer.adapter(&terms(Some("miss-prism"))).unwrap();
    assert_eq!(opened.unwrap().id, id);
    let refused = preparer.adapter(&terms(Some("canon-chasuble")));
    assert!(matches!(refused, Err(Refusal::UnknownAdapter { .. })));
}
