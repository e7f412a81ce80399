//! Adapters on the real model: a persona per row, and nobody feels the others'.

use std::sync::{Mutex, MutexGuard};

use clap::Parser;
use parlour::{
    config::ModelSettings,
    models::{
        catalogue::Catalogue,
        download,
        import::{self, Precision},
        peft::{Adapter, AdapterShape, Target, random},
    },
    worker::{
        engine::{Engine, Run, Want},
        onnx_text::{Capacity, OnnxText, Parts},
    },
};

const MODEL: &str = "smollm2-135m";
const ROWS: usize = 16;
const DECODED: usize = 6;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
}

/// One engine at a time: several would fight for the cores and the memory.
static TURN: Mutex<()> = Mutex::new(());

fn load() -> (OnnxText, MutexGuard<'static, ()>) {
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let settings = Settings::parse_from(["test"]).models;
    let catalogue = Catalogue::builtin();
    let entry = catalogue.chat_model(MODEL).unwrap();
    let weights = download::ensure(entry, &settings).unwrap();
    let runtime = download::ensure(catalogue.runtime().unwrap(), &settings).unwrap();
    let folder = download::folder(entry, &settings).unwrap();
    let precision = Precision::default();
    let graph = import::import(&weights.path, &weights.sha256, &folder, precision).unwrap();
    let parts = Parts {
        runtime: &runtime.path,
        gguf: &weights.path,
        graph: &graph,
        form: precision.into(),
        chat_template: None,
    };
    let capacity = Capacity {
        slots: ROWS,
        context: 128,
        adapters: ROWS,
        threads: 2,
    };
    (OnnxText::load(parts, capacity).unwrap(), turn)
}

/// Sixteen adapters, of several ranks, on PEFT's default targets or on all.
fn personas(shape: &AdapterShape) -> Vec<Adapter> {
    let persona = |seed: usize| {
        let targets: &[Target] = match seed % 3 {
            0 => &Target::ALL,
            _ => &[Target::Query, Target::Value],
        };
        random(shape, targets, 4 + 4 * (seed % 3), 0.2, seed as u64)
    };
    (0..ROWS).map(persona).collect()
}

/// A request's way through the engine.
#[derive(Clone)]
struct Row {
    slot: usize,
    adapter: Option<usize>,
    held: usize,
    /// To be computed next.
    tokens: Vec<u32>,
    /// Bits of all logits that were asked for.
    logits: Vec<Vec<u32>>,
}

impl Row {
    fn new(engine: &OnnxText, slot: usize, adapter: Option<usize>) -> Self {
        let text = format!("Number {slot} of the guests begins: \"I never travel without my");
        Self {
            slot,
            adapter,
            held: 0,
            tokens: engine.vocabulary().encode_text(&text),
            logits: Vec::new(),
        }
    }

    fn run(&self) -> Run {
        Run {
            slot: self.slot,
            past: self.held,
            tokens: self.tokens.clone(),
            want: Want::Last,
            adapter: self.adapter,
        }
    }

    /// Goes on with the likeliest token.
    fn take(&mut self, logits: &[f32]) {
        let likeliest = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        self.held += self.tokens.len();
        self.tokens = vec![likeliest.unwrap().0 as u32];
        self.logits
            .push(logits.iter().map(|x| x.to_bits()).collect());
    }
}

/// One step of all these rows; those that decode come first.
fn step(engine: &mut OnnxText, rows: &mut [&mut Row]) {
    rows.sort_by_key(|row| (row.tokens.len() > 1, row.slot));
    let runs: Vec<Run> = rows.iter().map(|row| row.run()).collect();
    let logits = engine.step(&runs).unwrap();
    for (row, logits) in rows.iter_mut().zip(logits) {
        row.take(&logits);
    }
}

fn alone(engine: &mut OnnxText, slot: usize, adapter: Option<usize>) -> Row {
    let mut row = Row::new(engine, slot, adapter);
    for _ in 0..DECODED {
        step(engine, &mut [&mut row]);
    }
    row
}

/// All rows; each joins one step after the one before it, so that prompts are read beside
/// rows that decode.
fn together(engine: &mut OnnxText, rows: &mut [Row]) {
    for turn in 0..rows.len() + DECODED {
        let mut present: Vec<&mut Row> = rows
            .iter_mut()
            .take(turn + 1)
            .filter(|row| row.logits.len() < DECODED)
            .collect();
        if !present.is_empty() {
            step(engine, &mut present);
        }
    }
}

#[test]
fn sixteen_personas_say_the_same_alone_and_together() {
    let (mut engine, _turn) = load();
    let shape = engine.adapter_shape().unwrap().clone();
    for (place, persona) in personas(&shape).iter().enumerate() {
        engine.load_adapter(place, persona).unwrap();
    }
    let adapter = |slot: usize| (slot % 5 != 4).then_some(slot);
    let expected: Vec<Row> = (0..ROWS)
        .map(|slot| alone(&mut engine, slot, adapter(slot)))
        .collect();
    let mut rows: Vec<Row> = (0..ROWS)
        .map(|slot| Row::new(&engine, slot, adapter(slot)))
        .collect();
    together(&mut engine, &mut rows);
    for (row, expected) in rows.iter().zip(&expected) {
        assert!(row.logits == expected.logits, "slot {}", row.slot);
    }
    // And the adapters are felt.
    let plain = alone(&mut engine, 0, None);
    assert!(plain.logits != expected[0].logits);
}

#[test]
fn who_speaks_without_an_adapter_does_not_feel_those_who_speak_with_one() {
    let (mut engine, _turn) = load();
    let plain: Vec<Row> = (0..4).map(|slot| Row::new(&engine, slot, None)).collect();
    let mut among_themselves = plain.clone();
    together(&mut engine, &mut among_themselves);
    let shape = engine.adapter_shape().unwrap().clone();
    for (place, persona) in personas(&shape).iter().enumerate() {
        engine.load_adapter(place, persona).unwrap();
    }
    let mut mixed = plain;
    mixed.extend((4..ROWS).map(|slot| Row::new(&engine, slot, Some(slot))));
    together(&mut engine, &mut mixed);
    for (mixed, expected) in mixed.iter().zip(&among_themselves) {
        assert!(mixed.logits == expected.logits, "slot {}", mixed.slot);
    }
}

#[test]
fn an_adapter_is_changed_while_others_speak() {
    let (mut engine, _turn) = load();
    let shape = engine.adapter_shape().unwrap().clone();
    let personas = personas(&shape);
    let expected: Vec<Row> = (0..4)
        .map(|at| {
            engine.load_adapter(at, &personas[at]).unwrap();
            alone(&mut engine, at, Some(at))
        })
        .collect();
    // Three speak; place 3 holds somebody else until they are half through.
    engine.load_adapter(3, &personas[9]).unwrap();
    let mut rows: Vec<Row> = (0..4)
        .map(|slot| Row::new(&engine, slot, Some(slot)))
        .collect();
    let (others, newcomer) = rows.split_at_mut(3);
    for turn in 0..2 * DECODED {
        if turn == DECODED / 2 {
            engine.load_adapter(3, &personas[3]).unwrap();
        }
        let waits = turn < DECODED / 2;
        let mut present: Vec<&mut Row> = others
            .iter_mut()
            .chain(newcomer.iter_mut().filter(|_| !waits))
            .filter(|row| row.logits.len() < DECODED)
            .collect();
        if !present.is_empty() {
            step(&mut engine, &mut present);
        }
    }
    for (row, expected) in rows.iter().zip(&expected) {
        assert!(row.logits == expected.logits, "slot {}", row.slot);
    }
}

#[test]
fn what_the_bank_cannot_take_is_refused() {
    let (mut engine, _turn) = load();
    let mut shape = engine.adapter_shape().unwrap().clone();
    let persona = random(&shape, &[Target::Query], 2, 0.1, 1);
    assert!(engine.load_adapter(ROWS, &persona).is_err());
    shape.layers += 1;
    let stranger = random(&shape, &[Target::Query], 2, 0.1, 1);
    assert!(engine.load_adapter(0, &stranger).is_err());
    let row = Row::new(&engine, 0, Some(0));
    assert!(engine.step(&[row.run()]).is_err());
}
