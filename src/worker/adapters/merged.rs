//! Speaking with an adapter is speaking as a model whose weights were merged with it.

use std::{fs, path::Path};

use crate::{
    models::{
        download,
        gguf::{Gguf, fixture::tiny_llama},
        import::{self, DecoderShape, Precision},
        peft::{Adapter, AdapterShape, Part, Target, random, write},
    },
    worker::{
        adapters::Adapters,
        engine::{Engine, Run, Want},
        onnx_text::{Capacity, OnnxText, Parts},
    },
};

/// Runs a GGUF file in 32-bit floats throughout.
fn engine(file: &[u8]) -> OnnxText {
    let runtime = download::runtime_library();
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    fs::write(&gguf, file).unwrap();
    let graph = import::import(&gguf, "0123456789abcdef", folder.path(), Precision::Fp32).unwrap();
    let parts = Parts {
        runtime: &runtime.path,
        gguf: &gguf,
        graph: &graph,
        form: Precision::Fp32.into(),
        chat_template: None,
    };
    let capacity = Capacity {
        slots: 2,
        context: 64,
        adapters: 1,
        threads: 1,
    };
    OnnxText::load(parts, capacity).unwrap()
}

fn tensor(part: &Part) -> String {
    let name = match part.target {
        Target::Query => "attn_q",
        Target::Key => "attn_k",
        Target::Value => "attn_v",
        Target::Output => "attn_output",
        Target::Gate => "ffn_gate",
        Target::Up => "ffn_up",
        Target::Down => "ffn_down",
    };
    format!("blk.{}.{name}.weight", part.layer)
}

/// The row of a GGUF file's tensor that a row of the original weights became: the converter
/// of llama models puts the halves of a head's queries and keys alternately.
fn stored_row(target: Target, row: usize, head: usize) -> usize {
    match target {
        Target::Query | Target::Key => {
            let (head_start, within) = (row / head * head, row % head);
            let (half, pair) = (within / (head / 2), within % (head / 2));
            head_start + 2 * pair + half
        }
        _ => row,
    }
}

/// The file with `W + up · down` in the place of every W that the adapter speaks to.
fn merged(file: &[u8], adapter: &Adapter) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs::write(&path, file).unwrap();
    let mut gguf = Gguf::open(Path::new(&path)).unwrap();
    let head = DecoderShape::of(&gguf).unwrap().head_dim;
    let bytes = |values: &[f32]| -> Vec<u8> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        bytes.collect()
    };
    let mut merged = file.to_vec();
    for part in &adapter.parts {
        let weight = gguf.matrix(&tensor(part)).unwrap();
        let mut sum = weight.data.clone();
        for (row, up) in part.up.chunks_exact(part.rank).enumerate() {
            let stored = stored_row(part.target, row, head);
            let sum = &mut sum[stored * weight.columns..][..weight.columns];
            for (up, down) in up.iter().zip(part.down.chunks_exact(weight.columns)) {
                for (sum, down) in sum.iter_mut().zip(down) {
                    *sum += up * down;
                }
            }
        }
        let before = bytes(&weight.data);
        let at = file.windows(before.len()).position(|it| it == before);
        merged[at.unwrap()..][..before.len()].copy_from_slice(&bytes(&sum));
    }
    merged
}

/// The logits after each token of a prompt, and after one that is decoded.
fn logits(engine: &mut OnnxText, adapter: Option<usize>) -> Vec<f32> {
    let prompt: Vec<u32> = (0..20).map(|at| 3 + at * 7 % 100).collect();
    let run = |past, tokens: &[u32]| Run {
        slot: 1,
        past,
        tokens: tokens.to_vec(),
        want: Want::All,
        adapter,
    };
    let mut logits = engine.step(&[run(0, &prompt)]).unwrap().remove(0);
    logits.extend(engine.step(&[run(20, &[9])]).unwrap().remove(0));
    logits
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let distances = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    distances.fold(0.0, f32::max)
}

#[test]
fn an_adapter_speaks_as_a_model_that_it_was_merged_into() {
    let file = tiny_llama().finish();
    let mut base = engine(&file);
    let shape: AdapterShape = base.adapter_shape().unwrap().clone();
    let plain = logits(&mut base, None);
    // Each target by itself, so that none can hide behind the others.
    let mut choices: Vec<Vec<Target>> = Target::ALL.map(|target| vec![target]).into();
    choices.push(Target::ALL.into());
    for targets in choices {
        let adapter = random(&shape, &targets, 4, 0.5, 11);
        base.load_adapter(0, &adapter).unwrap();
        let adapted = logits(&mut base, Some(0));
        let expected = logits(&mut engine(&merged(&file, &adapter)), None);
        let (error, effect) = (furthest(&adapted, &expected), furthest(&plain, &expected));
        assert!(error < 0.01 * effect, "{targets:?}: {error} of {effect}");
        assert_eq!(logits(&mut base, None), plain, "{targets:?}");
    }
}

#[test]
fn a_place_that_holds_nothing_cannot_speak() {
    let mut engine = engine(&tiny_llama().finish());
    let run = Run {
        slot: 0,
        past: 0,
        tokens: vec![5],
        want: Want::Last,
        adapter: Some(0),
    };
    assert!(engine.step(std::slice::from_ref(&run)).is_err());
}

#[test]
fn files_that_were_replaced_are_heard_from_the_next_request_on() {
    let mut engine = engine(&tiny_llama().finish());
    let shape: AdapterShape = engine.adapter_shape().unwrap().clone();
    let folder = tempfile::tempdir().unwrap();
    let adapters = Adapters::new(folder.path().to_owned(), shape.clone());
    let mut heard = Vec::new();
    for seed in [1, 2] {
        let tuned = random(&shape, &Target::ALL, 4, 0.5, seed);
        write(&folder.path().join("lane"), &tuned, &shape, "tiny").unwrap();
        let opened = adapters.open("lane").unwrap();
        engine.load_adapter(0, &opened).unwrap();
        let through_the_files = logits(&mut engine, Some(0));
        engine.load_adapter(0, &tuned).unwrap();
        assert_eq!(through_the_files, logits(&mut engine, Some(0)));
        heard.push(through_the_files);
    }
    assert_ne!(heard[0], heard[1]);
}
