//! Finds the precision that is fastest on this machine, by trying.

use std::time::{Duration, Instant};

use super::{
    engine::{Engine, EngineError, Run, Want},
    onnx_text::{Capacity, OnnxText, OpenError},
};
use crate::models::{
    Fetched,
    import::Precision,
    speed::{Machine, Speed, Speeds},
};

/// Those that keep the model's quality (`docs/performance.md` has the figures).
const CANDIDATES: [Precision; 2] = [Precision::Blocks, Precision::Nbits8];

/// Tokens of the prompt, those of one run, and steps of writing.
const PROMPT: usize = 256;
const CHUNK: usize = 128;
const STEPS: usize = 16;
const ROWS: usize = 8;
/// The best of so many is taken: others may use the machine meanwhile.
const ROUNDS: usize = 3;

/// The precision to open a model in: the one that is insisted on, or else the fastest here,
/// which is measured when it never was.
///
/// # Errors
/// When the model cannot be imported or opened.
pub(super) fn choose(files: &Fetched, threads: usize) -> Result<Precision, OpenError> {
    if let Some(precision) = files.precision {
        return Ok(precision);
    }
    let machine = Machine::this(threads, &files.runtime.sha256);
    let speeds = match Speeds::read(&files.folder, &files.weights.sha256, &machine) {
        Some(speeds) => speeds,
        None => {
            tracing::info!("measuring which precision is fastest here; this is done once");
            measure(files, threads)?
        }
    };
    Ok(speeds.best().unwrap_or_default())
}

/// Measures all candidates and keeps the figures.
///
/// # Errors
/// As [`choose`].
pub(super) fn measure(files: &Fetched, threads: usize) -> Result<Speeds, OpenError> {
    let capacity = Capacity {
        slots: ROWS,
        context: PROMPT + STEPS * (ROUNDS + 1),
        adapters: 0,
        threads,
    };
    let mut measured = Vec::with_capacity(CANDIDATES.len());
    for precision in CANDIDATES {
        let prepared = files.import(precision)?;
        let mut engine = OnnxText::load((&prepared).into(), capacity)?;
        let speed = speed(&mut engine, precision)?;
        tracing::info!(
            %precision,
            prefill = speed.prefill.round(),
            decode_one = speed.decode_one.round(),
            decode_eight = speed.decode_eight.round(),
            "tokens a second"
        );
        measured.push(speed);
    }
    let speeds = Speeds {
        machine: Machine::this(threads, &files.runtime.sha256),
        measured,
    };
    speeds.write(&files.folder, &files.weights.sha256)?;
    Ok(speeds)
}

fn speed(engine: &mut dyn Engine, precision: Precision) -> Result<Speed, EngineError> {
    // The first run allocates what later ones find.
    read_prompt(engine, 0)?;
    let prefill = best(|| read_prompt(engine, 0))?;
    for slot in 1..ROWS {
        read_prompt(engine, slot)?;
    }
    let one = best(|| write(engine, 1))?;
    let eight = best(|| write(engine, ROWS))?;
    let rate = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64();
    Ok(Speed {
        precision,
        prefill: rate(PROMPT, prefill),
        decode_one: rate(STEPS, one),
        decode_eight: rate(ROWS * STEPS, eight),
    })
}

fn best(mut work: impl FnMut() -> Result<Duration, EngineError>) -> Result<Duration, EngineError> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        best = best.min(work()?);
    }
    Ok(best)
}

fn read_prompt(engine: &mut dyn Engine, slot: usize) -> Result<Duration, EngineError> {
    let start = Instant::now();
    for past in (0..PROMPT).step_by(CHUNK) {
        let tokens = (past..past + CHUNK).map(|token| token as u32).collect();
        let want = if past + CHUNK == PROMPT {
            Want::Last
        } else {
            Want::None
        };
        engine.step(&[Run {
            slot,
            past,
            tokens,
            want,
            adapter: None,
        }])?;
    }
    Ok(start.elapsed())
}

fn write(engine: &mut dyn Engine, rows: usize) -> Result<Duration, EngineError> {
    let start = Instant::now();
    for step in 0..STEPS {
        let runs: Vec<Run> = (0..rows)
            .map(|slot| Run {
                slot,
                past: PROMPT + step,
                tokens: vec![step as u32],
                want: Want::Last,
                adapter: None,
            })
            .collect();
        engine.step(&runs)?;
    }
    Ok(start.elapsed())
}
