//! Other people's exports on the hub engine, against torch, and the engine's laws.
//!
//! `data/hub/*.zip` are tiny random models of every family that is promised, exported by
//! the usual tools; `data/hub/make.py` made them, with torch's logits, and says how.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Parser;
use parlour::{
    config::ModelSettings,
    models::{catalogue::Catalogue, download, hub_export::HubExport},
    wire::worker::{Message, Role},
    worker::{
        engine::{Engine, Run, Vocabulary, Want},
        onnx_hub::OnnxHub,
    },
};
use serde::Deserialize;
use tempfile::TempDir;

const SLOTS: usize = 4;
const CONTEXT: usize = 60;

/// Exports that take any number of tokens after any number of others.
const WHOLE: [&str; 9] = [
    "gpt2",
    "llama",
    "opt",
    "gpt-neo",
    "bloom",
    "bloom-fused",
    "llama-keep",
    "llama-gqa",
    "llama-gqa-fp16",
];
/// Exports in two branches or two files, and one whose mask fails for several tokens
/// after others.
const SPLIT: [&str; 4] = [
    "gpt2-merged",
    "llama-apart",
    "bloom-fused-merged",
    "llama-mha-fp16",
];
const ENCODER_DECODERS: [&str; 2] = ["t5-merged", "mt5-apart"];
/// Quantised, so that torch computes something else.
const QUANTISED: &str = "llama-gqa-int4";

#[derive(Deserialize)]
struct Reference {
    prompt: Vec<u32>,
    reply: Vec<u32>,
    /// After each token of the prompt, or of the start token and the reply.
    logits: Vec<Vec<f32>>,
}

/// An export on the disk.
struct Fixture {
    folder: TempDir,
    reference: Reference,
}

fn fixture(name: &str) -> Fixture {
    let archive =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/hub/{name}.zip"));
    let folder = tempfile::tempdir().unwrap();
    let mut archive = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    archive.extract(folder.path()).unwrap();
    let reference = fs::read(folder.path().join("reference.json")).unwrap();
    Fixture {
        folder,
        reference: serde_json::from_slice(&reference).unwrap(),
    }
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
}

fn library() -> PathBuf {
    let settings = Settings::parse_from(["test"]).models;
    let runtime = Catalogue::builtin().runtime().unwrap().clone();
    download::ensure(&runtime, &settings).unwrap().path
}

fn load(folder: &Path) -> OnnxHub {
    let export = HubExport::open(folder, None).unwrap();
    OnnxHub::load(&library(), &export, None, SLOTS, CONTEXT, 1).unwrap()
}

fn engine(name: &str) -> (OnnxHub, Reference) {
    let fixture = fixture(name);
    (load(fixture.folder.path()), fixture.reference)
}

fn run(slot: usize, past: usize, tokens: &[u32], want: Want) -> Run {
    Run {
        slot,
        past,
        tokens: tokens.to_vec(),
        want,
        adapter: None,
    }
}

fn step(engine: &mut OnnxHub, slot: usize, past: usize, tokens: &[u32], want: Want) -> Vec<f32> {
    engine
        .step(&[run(slot, past, tokens, want)])
        .unwrap()
        .remove(0)
}

/// The rows that torch gave, one after another.
fn flat(rows: &[Vec<f32>]) -> Vec<f32> {
    rows.iter().flatten().copied().collect()
}

#[track_caller]
fn assert_near(found: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted
        .iter()
        .fold(1.0_f32, |largest, x| largest.max(x.abs()));
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let apart = (found - wanted).abs() / largest;
        assert!(apart <= tolerance, "at {at}: {found} instead of {wanted}");
    }
}

fn tolerance(name: &str) -> f32 {
    if name.ends_with("fp16") { 1e-2 } else { 2e-5 }
}

#[test]
fn a_whole_prompt_gives_the_logits_of_torch() {
    for name in WHOLE.into_iter().chain(SPLIT) {
        let (mut engine, reference) = engine(name);
        let logits = step(&mut engine, 0, 0, &reference.prompt, Want::All);
        println!("{name}");
        assert_near(&logits, &flat(&reference.logits), tolerance(name));
    }
}

#[test]
fn a_prompt_in_pieces_gives_the_logits_of_torch() {
    for name in WHOLE.into_iter().chain(SPLIT) {
        println!("{name}");
        let (mut engine, reference) = engine(name);
        let prompt = &reference.prompt;
        let mut past = 0;
        for (length, want) in [
            (7, Want::None),
            (1, Want::Last),
            (1, Want::None),
            (9, Want::All),
            (1, Want::Last),
            (5, Want::All),
        ] {
            let logits = step(&mut engine, 2, past, &prompt[past..past + length], want);
            past += length;
            let rows = match want {
                Want::None => past..past,
                Want::Last => past - 1..past,
                Want::All => past - length..past,
            };
            assert_near(&logits, &flat(&reference.logits[rows]), tolerance(name));
        }
        assert_eq!(past, prompt.len());
    }
}

#[test]
fn an_encoder_decoder_reads_the_prompt_and_writes_the_reply_as_torch_does() {
    for name in ENCODER_DECODERS {
        println!("{name}");
        let (mut engine, reference) = engine(name);
        let Reference {
            prompt,
            reply,
            logits,
        } = &reference;
        // Written token by token, the prompt read in pieces.
        let mut past = 0;
        for (to, want) in [(10, Want::None), (20, Want::None), (24, Want::Last)] {
            let found = step(&mut engine, 1, past, &prompt[past..to], want);
            past = to;
            if want == Want::Last {
                assert_near(&found, &logits[0], 2e-5);
            }
        }
        for (token, wanted) in reply.iter().zip(&logits[1..]) {
            let found = step(&mut engine, 1, past, &[*token], Want::Last);
            past += 1;
            assert_near(&found, wanted, 2e-5);
        }
        // Scored at once: the last token of the prompt, then the reply.
        step(&mut engine, 0, 0, &prompt[..23], Want::None);
        let fed: Vec<u32> = prompt[23..].iter().chain(reply).copied().collect();
        let found = step(&mut engine, 0, 23, &fed, Want::All);
        assert_near(&found, &flat(logits), 2e-5);
        // Written in two parts.
        step(&mut engine, 2, 0, prompt, Want::Last);
        let found = step(&mut engine, 2, 24, &reply[..3], Want::All);
        assert_near(&found, &flat(&logits[1..4]), 2e-5);
        let found = step(&mut engine, 2, 27, &reply[3..], Want::All);
        assert_near(&found, &flat(&logits[4..]), 2e-5);
    }
}

fn all() -> impl Iterator<Item = &'static str> {
    WHOLE
        .into_iter()
        .chain(SPLIT)
        .chain(ENCODER_DECODERS)
        .chain([QUANTISED])
}

#[test]
fn a_row_alone_gives_the_same_bits_as_among_others() {
    for name in all() {
        println!("{name}");
        let (mut engine, reference) = engine(name);
        let prompt = &reference.prompt;
        let tokens = [5, 9, 11, 7];
        let mut alone = vec![step(&mut engine, 0, 0, &prompt[..9], Want::Last)];
        for (at, token) in tokens.iter().enumerate() {
            alone.push(step(&mut engine, 0, 9 + at, &[*token], Want::Last));
        }
        // Others come, write and leave in between.
        step(&mut engine, 0, 0, &prompt[3..], Want::Last);
        let first = engine.step(&[
            run(0, 21, &[4], Want::Last),
            run(3, 0, &prompt[..9], Want::Last),
            run(1, 0, &prompt[4..], Want::All),
        ]);
        let mut mixed = vec![first.unwrap().remove(1)];
        for (at, token) in tokens.iter().enumerate() {
            let runs = [
                run(0, 22 + at, &[*token + 1], Want::Last),
                run(1, 20 + at, &[*token], Want::Last),
                run(3, 9 + at, &[*token], Want::Last),
            ];
            mixed.push(engine.step(&runs).unwrap().remove(2));
        }
        assert_eq!(alone, mixed);
    }
}

#[test]
fn a_slot_goes_on_from_where_it_is_told() {
    for name in all() {
        println!("{name}");
        let (mut engine, reference) = engine(name);
        let prompt = &reference.prompt;
        step(&mut engine, 0, 0, &prompt[..8], Want::Last);
        step(&mut engine, 0, 8, &[prompt[8]], Want::Last);
        let straight = step(&mut engine, 0, 9, &[prompt[9]], Want::Last);
        // What came after the ninth token is forgotten.
        for token in [30, 31, 32] {
            step(&mut engine, 0, 9, &[token, token], Want::All);
        }
        assert_eq!(step(&mut engine, 0, 9, &[prompt[9]], Want::Last), straight);
        // And a slot that is taken for another text leaks nothing of the former.
        step(&mut engine, 1, 0, &prompt[4..20], Want::Last);
        step(&mut engine, 1, 0, &prompt[..8], Want::Last);
        step(&mut engine, 1, 8, &[prompt[8]], Want::Last);
        assert_eq!(step(&mut engine, 1, 9, &[prompt[9]], Want::Last), straight);
    }
}

#[test]
fn a_copy_goes_on_as_its_original_and_leaves_it_alone() {
    for name in all() {
        println!("{name}");
        let (mut engine, reference) = engine(name);
        let prompt = &reference.prompt;
        step(&mut engine, 0, 0, &prompt[..8], Want::Last);
        for (at, token) in (8..).zip(&prompt[8..12]) {
            step(&mut engine, 0, at, &[*token], Want::Last);
        }
        engine.copy_slot(0, 3, 12).unwrap();
        engine.copy_slot(3, 2, 10).unwrap();
        let whole = step(&mut engine, 3, 12, &[prompt[12]], Want::Last);
        // The shorter copy writes what the original had written.
        for (at, token) in (10..).zip(&prompt[10..12]) {
            step(&mut engine, 2, at, &[*token], Want::Last);
        }
        assert_eq!(step(&mut engine, 2, 12, &[prompt[12]], Want::Last), whole);
        step(&mut engine, 2, 13, &[1, 1], Want::All);
        assert_eq!(step(&mut engine, 0, 12, &[prompt[12]], Want::Last), whole);
        assert!(engine.copy_slot(0, 1, 14).is_err());
        assert!(engine.copy_slot(0, SLOTS, 2).is_err());
    }
}

#[test]
fn what_may_be_lent_is_what_the_borrower_would_have_computed() {
    for name in all() {
        let (mut engine, reference) = engine(name);
        if !engine.info().lends {
            continue;
        }
        println!("{name}");
        let prompt = &reference.prompt;
        let (start, rest) = prompt.split_at(8);
        step(&mut engine, 0, 0, start, Want::None);
        let own = step(&mut engine, 0, 8, rest, Want::All);
        step(&mut engine, 1, 0, start, Want::None);
        step(&mut engine, 1, 8, &[9; 5], Want::Last);
        engine.copy_slot(1, 2, 8).unwrap();
        assert_eq!(step(&mut engine, 2, 8, rest, Want::All), own);
    }
}

#[test]
fn only_graphs_that_take_any_run_lend() {
    for name in all() {
        let whole = !SPLIT.contains(&name) && !ENCODER_DECODERS.contains(&name);
        assert_eq!(engine(name).0.info().lends, whole, "{name}");
    }
}

#[test]
fn runs_that_do_not_fit_are_refused() {
    let (mut engine, reference) = engine("gpt2");
    step(&mut engine, 0, 0, &reference.prompt[..4], Want::None);
    for bad in [
        run(SLOTS, 0, &[1], Want::Last),
        run(0, 5, &[1], Want::Last),
        run(0, 0, &[], Want::Last),
        run(0, 0, &[40], Want::Last),
        run(0, 4, &[1; CONTEXT - 3], Want::Last),
        Run {
            adapter: Some(0),
            ..run(0, 0, &[1], Want::Last)
        },
    ] {
        assert!(engine.step(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
    let last = reference.prompt[4];
    let logits = step(&mut engine, 0, 4, &[last], Want::Last);
    assert_near(&logits, &reference.logits[4], 2e-5);
}

#[test]
fn quantised_weights_give_about_the_logits_of_torch() {
    let (mut engine, reference) = engine(QUANTISED);
    let logits = step(&mut engine, 0, 0, &reference.prompt, Want::All);
    let wanted = flat(&reference.logits);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let alike = dot(&logits, &wanted) / (dot(&logits, &logits) * dot(&wanted, &wanted)).sqrt();
    assert!(alike > 0.7, "{alike}");
}

fn vocabulary(name: &str) -> Arc<dyn Vocabulary> {
    engine(name).0.vocabulary()
}

#[test]
fn a_chat_without_a_template_becomes_named_lines() {
    let vocabulary = vocabulary("gpt2");
    let message = |role, content: &str| Message {
        role,
        content: content.into(),
    };
    let chat = [
        message(Role::User, "hi\nthere"),
        message(Role::Assistant, "a </s>"),
    ];
    let tokens = vocabulary.encode_chat(&chat, "he").unwrap();
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| vocabulary.bytes(*token))
        .copied()
        .collect();
    // This vocabulary has no capital letters, nor `<`, `/` and `>`.
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text, "ser: hi there\nssistant: a s\nssistant: he");
    assert!(!tokens.iter().any(|token| vocabulary.ends(*token)));
}
