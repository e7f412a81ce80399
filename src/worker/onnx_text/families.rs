//! Tiny models of each family against llama.cpp on the same numbers.

use std::fs;

use super::*;
use crate::{
    models::{
        download,
        gguf::fixture::Family,
        import::{self, Form},
    },
    worker::engine::Want,
};

fn engine(family: &Family, form: Form) -> OnnxText {
    engine_keeping(family, form, Keep::Host)
}

pub(super) fn engine_keeping(family: &Family, form: Form, keep: Keep) -> OnnxText {
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    fs::write(&gguf, family.writer().finish()).unwrap();
    let graph = import::import(&gguf, "0123456789abcdef", folder.path(), form).unwrap();
    let parts = Parts {
        runtime: &download::runtime_library().path,
        gguf: &gguf,
        graph: &graph,
        form,
        chat_template: None,
    };
    let capacity = Capacity {
        slots: 4,
        context: 128,
        adapters: 0,
        threads: 1,
    };
    OnnxText::load_keeping(parts, capacity, Device::Cpu, keep).unwrap()
}

fn log_probs(logits: &[f32]) -> Vec<f64> {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - largest).exp()).sum();
    let norm = largest + sum.ln();
    logits.iter().map(|x| f64::from(*x) - norm).collect()
}

/// Greatest distance of log-probabilities, nats, along llama.cpp's own tokens; and the
/// tokens that are likeliest here.
fn along_the_reference(engine: &mut OnnxText, family: &Family) -> (f64, Vec<u32>) {
    let mut run = Run {
        slot: 1,
        past: 0,
        tokens: family.prompt.clone(),
        want: Want::Last,
        adapter: None,
    };
    let (mut worst, mut likeliest) = (0_f64, Vec::new());
    for (step, token) in family.steps.iter().zip(&family.tokens) {
        let logits = engine.step(std::slice::from_ref(&run)).unwrap().remove(0);
        let found = log_probs(&logits);
        let best = (0..found.len()).max_by(|a, b| found[*a].total_cmp(&found[*b]));
        likeliest.push(best.unwrap() as u32);
        for (token, expected) in step {
            worst = worst.max((found[*token as usize] - expected).abs());
        }
        run.past += run.tokens.len();
        run.tokens = vec![*token];
    }
    (worst, likeliest)
}

/// `tolerance` in nats, by the family's name; greedy tokens are compared where the graph is
/// as exact as llama.cpp.
fn agree(form: Form, exact: bool, tolerance: impl Fn(&str) -> f64) {
    let families = Family::all();
    let mut off = Vec::new();
    for family in &families {
        let mut engine = engine(family, form);
        let (worst, likeliest) = along_the_reference(&mut engine, family);
        println!("{} as {form}: {worst} nats", family.name);
        if worst > tolerance(&family.name) || (exact && likeliest != family.tokens) {
            off.push((&family.name, worst));
        }
    }
    assert_eq!(families.len(), 9);
    assert!(off.is_empty(), "as {form}: {off:?}");
}

/// llama.cpp rounds the other activation to 16 bits by a table.
fn rounding(name: &str) -> f64 {
    if name.starts_with("gemma") {
        0.02
    } else {
        0.001
    }
}

#[test]
fn in_floats_every_family_gives_llama_cpps_tokens_and_log_probabilities() {
    let form = Form {
        precision: Precision::Fp32,
        attention: Attention::Grouped,
    };
    agree(form, true, rounding);
}

/// Here keys and values are halves.
#[test]
fn the_houses_own_attention_does_so_too() {
    agree(Precision::Fp32.into(), true, |name| rounding(name) + 0.05);
}

/// What a GPU computes, computed by the processor, with weights and hidden states in halves
/// as well. The bound is twice what was seen (0.10 nats), and a small part of what a graph
/// that is wrong is off.
#[test]
fn in_halves_every_family_stays_near() {
    agree(Precision::Fp16.into(), false, |_| 0.2);
}

/// Random weights have no structure that blocks of bytes could keep: these bounds only tell
/// a graph that is right from one that is not, which is nine or more nats off.
#[test]
fn in_blocks_every_family_stays_near() {
    agree(Precision::Blocks.into(), false, |_| 2.5);
}

#[test]
fn texts_become_the_tokens_that_llama_cpp_makes() {
    for family in Family::all() {
        let vocabulary = engine(&family, Precision::Fp32.into()).vocabulary();
        for text in &family.texts {
            let tokens = vocabulary.encode_text(&text.text);
            assert_eq!(tokens, text.tokens, "{}: {:?}", family.name, text.text);
        }
        let first = vocabulary
            .begin()
            .unwrap_or_else(|| vocabulary.encode_text("a")[0]);
        assert_eq!(first, family.first, "{}", family.name);
    }
}
