//! A toy engine that needs no weights, for tests and benches of everything around it.
//!
//! Its logits are a pure function of the slot's whole token history and of the adapter under
//! which each token was computed, kept per slot and position exactly as a KV buffer keeps
//! it, so that a wrong `past`, a missing copy, a leak between slots or a neighbour's adapter
//! changes the tokens. Built as an engine that is not uniform, it also tells tokens that were
//! computed singly from others. What the contract forbids is an error. Its text looks like
//! lower-case words. The name `deterministic:20ms` makes every step take at least that long.

use std::{collections::HashSet, sync::Arc, thread, time::Duration};

use super::engine::{Engine, EngineError, EngineInfo, Run, Vocabulary, Want};
use crate::models::peft::Adapter;
use crate::wire::worker::{Message, Role};

/// The catalogue knows no such name; the worker does.
pub const NAME: &str = "deterministic";

const SYSTEM: u32 = 256;
const USER: u32 = 257;
const ASSISTANT: u32 = 258;
const END: u32 = 259;
const SIZE: usize = 260;
/// Like a real model's, the row of logits is longer than the vocabulary.
const ROW: usize = 264;

/// Every byte is a token; four more tokens give a chat its shape.
#[derive(Debug)]
pub struct Bytes {
    bytes: [u8; 256],
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            bytes: std::array::from_fn(|byte| byte.to_le_bytes()[0]),
        }
    }
}

impl Vocabulary for Bytes {
    fn size(&self) -> usize {
        SIZE
    }

    fn encode_text(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn encode_chat(&self, messages: &[Message], prefill: &str) -> Result<Vec<u32>, EngineError> {
        let mut tokens = Vec::new();
        for message in messages {
            tokens.push(match message.role {
                Role::System => SYSTEM,
                Role::User => USER,
                Role::Assistant => ASSISTANT,
            });
            tokens.extend(self.encode_text(&message.content));
            tokens.push(END);
        }
        tokens.push(ASSISTANT);
        tokens.extend(self.encode_text(prefill));
        Ok(tokens)
    }

    fn bytes(&self, token: u32) -> &[u8] {
        let token = token as usize;
        self.bytes.get(token..=token).unwrap_or_default()
    }

    fn ends(&self, token: u32) -> bool {
        token == END
    }

    fn end(&self) -> u32 {
        END
    }
}

/// What one position of a slot holds.
#[derive(Clone, Copy, Debug)]
struct Cell {
    token: u32,
    /// Of this token and all before it, and of how each was computed.
    hash: u64,
}

/// Which of the two families of engines the toy behaves as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// [`EngineInfo::uniform`].
    pub uniform: bool,
    /// [`EngineInfo::contiguous`].
    pub contiguous: bool,
    /// [`EngineInfo::adapter_places`].
    pub adapter_places: usize,
}

impl Habits {
    /// Any runs in any slots, and a bank of four adapters.
    pub const FREE: Self = Self {
        uniform: true,
        contiguous: false,
        adapter_places: 4,
    };
    /// As engines on `GroupQueryAttention` are.
    pub const STRICT: Self = Self {
        uniform: false,
        contiguous: true,
        adapter_places: 0,
    };
}

/// The engine itself.
#[derive(Debug)]
pub struct Deterministic {
    info: EngineInfo,
    vocabulary: Arc<Bytes>,
    slots: Vec<Vec<Cell>>,
    /// Ids of the adapters that were loaded.
    places: Vec<Option<u64>>,
    delay: Duration,
}

impl Deterministic {
    /// An engine of that many slots and that context; `delay` is what a step takes at least.
    pub fn new(slots: usize, context: usize, delay: Duration) -> Self {
        Self::with_habits(Habits::FREE, slots, context, delay)
    }

    /// As [`Self::new`], of a kind to choose.
    pub fn with_habits(habits: Habits, slots: usize, context: usize, delay: Duration) -> Self {
        Self {
            info: EngineInfo {
                slots,
                context,
                vocabulary: ROW,
                precision: "toy".into(),
                uniform: habits.uniform,
                contiguous: habits.contiguous,
                lends: true,
                adapter_places: habits.adapter_places,
            },
            vocabulary: Arc::default(),
            slots: vec![Vec::new(); slots],
            places: vec![None; habits.adapter_places],
            delay,
        }
    }

    /// Loses all that slots and places hold, as an engine that failed.
    pub fn break_down(&mut self) {
        self.slots.iter_mut().for_each(Vec::clear);
        self.places.fill(None);
    }

    /// Reads `deterministic` or `deterministic:20ms`: the delay of a step. `None` is the
    /// name of something else.
    pub fn delay_of(name: &str) -> Option<Duration> {
        match name.strip_prefix(NAME)? {
            "" => Some(Duration::ZERO),
            suffix => {
                let millis = suffix.strip_prefix(':')?.strip_suffix("ms")?;
                millis.parse().ok().map(Duration::from_millis)
            }
        }
    }

    fn check(&self, runs: &[Run]) -> Result<(), EngineError> {
        let mut taken = HashSet::new();
        for (at, run) in runs.iter().enumerate() {
            self.check_run(run)?;
            if !taken.insert(run.slot) {
                return Err(EngineError(format!("two runs in slot {}", run.slot)));
            }
            let neighbour = run.slot == at && run.tokens.len() == 1;
            if self.info.contiguous && !neighbour && at + 1 < runs.len() {
                return Err(EngineError(format!(
                    "run {at} of {} sits in slot {} with {} tokens",
                    runs.len(),
                    run.slot,
                    run.tokens.len()
                )));
            }
        }
        Ok(())
    }

    fn check_run(&self, run: &Run) -> Result<(), EngineError> {
        let slot = self
            .slots
            .get(run.slot)
            .ok_or_else(|| EngineError(format!("there is no slot {}", run.slot)))?;
        if run.tokens.is_empty() {
            return Err(EngineError("a run without tokens".into()));
        }
        if let Some(token) = run.tokens.iter().find(|token| **token as usize >= SIZE) {
            return Err(EngineError(format!("there is no token {token}")));
        }
        if run.past > slot.len() {
            return Err(EngineError(format!(
                "slot {} holds {} tokens, not {}",
                run.slot,
                slot.len(),
                run.past
            )));
        }
        if run.past + run.tokens.len() > self.info.context {
            return Err(EngineError(format!("slot {} is full", run.slot)));
        }
        if let Some(place) = run.adapter
            && !matches!(self.places.get(place), Some(Some(_)))
        {
            return Err(EngineError(format!("place {place} holds no adapter")));
        }
        Ok(())
    }
}

impl Engine for Deterministic {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn vocabulary(&self) -> Arc<dyn Vocabulary> {
        self.vocabulary.clone()
    }

    fn step(&mut self, runs: &[Run]) -> Result<Vec<Vec<f32>>, EngineError> {
        thread::sleep(self.delay);
        self.check(runs)?;
        let mut rows = Vec::with_capacity(runs.len());
        for run in runs {
            let adapter = run.adapter.and_then(|place| self.places[place]);
            let single = !self.info.uniform && run.tokens.len() == 1;
            let how = mix(adapter.map_or(0, |id| id + 1) << 1 | u64::from(single));
            let slot = &mut self.slots[run.slot];
            slot.truncate(run.past);
            let mut logits = Vec::new();
            for (at, &token) in run.tokens.iter().enumerate() {
                let before = slot.last().map_or(0, |cell| cell.hash);
                slot.push(Cell {
                    token,
                    hash: mix(before ^ mix(u64::from(token) + 1) ^ how),
                });
                let last = at + 1 == run.tokens.len();
                if run.want == Want::All || (run.want == Want::Last && last) {
                    logits.extend(row(slot));
                }
            }
            rows.push(logits);
        }
        Ok(rows)
    }

    fn copy_slot(&mut self, from: usize, to: usize, length: usize) -> Result<(), EngineError> {
        if from == to || length == 0 {
            return Err(EngineError(format!(
                "a copy of {length} tokens from slot {from} to {to} copies nothing"
            )));
        }
        let cells = self
            .slots
            .get(from)
            .and_then(|slot| slot.get(..length))
            .ok_or_else(|| EngineError(format!("slot {from} holds no {length} tokens")))?
            .to_vec();
        *self
            .slots
            .get_mut(to)
            .ok_or_else(|| EngineError(format!("there is no slot {to}")))? = cells;
        Ok(())
    }

    fn load_adapter(&mut self, place: usize, adapter: &Adapter) -> Result<(), EngineError> {
        *self
            .places
            .get_mut(place)
            .ok_or_else(|| EngineError(format!("there is no place {place} for adapters")))? =
            Some(adapter.id);
        Ok(())
    }
}

/// The finaliser of MurmurHash3 (Appleby), which spreads every bit over all others.
fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// The logits after a history: noise by its hash, and a push towards what makes words.
fn row(history: &[Cell]) -> Vec<f32> {
    let hash = history.last().map_or(0, |cell| cell.hash);
    let mut logits: Vec<f32> = (0..ROW as u64)
        .map(|token| {
            let noise = (mix(hash ^ mix(token)) >> 40) as f32 / (1u64 << 24) as f32;
            match token {
                0x20..0x7f => noise - 12.0,
                _ => noise - 24.0,
            }
        })
        .collect();
    for &token in favoured(history, hash) {
        logits[token as usize] += 16.0;
    }
    logits
}

const VOWELS: &[u32] = &[
    b'a' as u32,
    b'e' as u32,
    b'i' as u32,
    b'o' as u32,
    b'u' as u32,
];
const CONSONANTS: &[u32] = &[
    b'b' as u32,
    b'd' as u32,
    b'f' as u32,
    b'h' as u32,
    b'l' as u32,
    b'm' as u32,
    b'n' as u32,
    b'r' as u32,
    b's' as u32,
    b't' as u32,
    b'w' as u32,
];
const SPACE: &[u32] = &[b' ' as u32];
const STOP: &[u32] = &[b'.' as u32];
const QUOTE: &[u32] = &[b'"' as u32];
const ENDING: &[u32] = &[END];

/// What fits after the text since the last special token: letters in turn, a space after a
/// word, a stop after some words, then the end.
fn favoured(history: &[Cell], hash: u64) -> &'static [u32] {
    let begin = history
        .iter()
        .rposition(|cell| cell.token >= SYSTEM)
        .map_or(0, |at| at + 1);
    let text = &history[begin..];
    let is = |cell: &Cell, byte: u8| cell.token == u32::from(byte);
    let letters = text
        .iter()
        .rev()
        .take_while(|cell| (97..123).contains(&cell.token))
        .count();
    let words = text.iter().filter(|cell| is(cell, b' ')).count();
    let quoted = text.iter().filter(|cell| is(cell, b'"')).count() % 2 == 1;
    let last = text.last();
    if last.is_some_and(|cell| is(cell, b'.')) {
        return if hash.is_multiple_of(3) && words < 12 {
            SPACE
        } else {
            ENDING
        };
    }
    if letters >= 2 && (hash.is_multiple_of(3) || letters >= 7) {
        let enough = words >= 2 && (hash >> 8).is_multiple_of(4) || words >= 12;
        return match (enough, quoted) {
            (true, true) => QUOTE,
            (true, false) => STOP,
            (false, _) => SPACE,
        };
    }
    let vowel = last.is_some_and(|cell| VOWELS.contains(&cell.token));
    if letters > 0 && !vowel {
        VOWELS
    } else {
        CONSONANTS
    }
}
