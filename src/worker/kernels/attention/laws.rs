//! Laws of attention, on every kind of processor that this one can be.

use std::sync::atomic::AtomicU64;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::worker::kernels::Alone;

/// Threads of the operating system, a fresh set for each piece of work.
struct Threads(usize);

impl Team for Threads {
    fn members(&self) -> usize {
        self.0
    }

    fn split(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        let work = &work;
        std::thread::scope(|scope| {
            for part in 0..parts {
                scope.spawn(move || work(part));
            }
        });
    }
}

const LAYERS: usize = 2;
const SLOTS: usize = 5;
const CAPACITY: usize = 700;

#[derive(Clone)]
struct Model {
    unit: Unit,
    heads: Heads,
}

impl Model {
    fn new(heads: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self {
            unit: Unit::detect(),
            heads: Heads {
                heads,
                kv_heads,
                head_dim,
                scale: (head_dim as f32).sqrt().recip(),
                window: None,
                norms: None,
            },
        }
    }

    fn window(mut self, window: usize) -> Self {
        self.heads.window = Some(window);
        self
    }

    fn norms(mut self) -> Self {
        let weights = |salt: usize| {
            (0..self.heads.head_dim)
                .map(|i| 0.5 + ((i * 7 + salt) % 11) as f32 / 10.0)
                .collect()
        };
        self.heads.norms = Some(QkNorms {
            query: weights(0),
            key: weights(5),
            epsilon: 1e-6,
        });
        self
    }

    /// Different ones: each size of a piece, odd sides, groups that do not divide a piece.
    fn various() -> Vec<Self> {
        vec![
            Self::new(9, 3, 64),
            Self::new(9, 3, 64).window(100),
            Self::new(2, 2, 40),
            Self::new(8, 1, 32).norms(),
            Self::new(10, 2, 128),
            Self::new(4, 1, 256).norms().window(33),
        ]
    }

    fn rotary(&self) -> Rotary {
        Rotary::new(self.heads.head_dim, 10_000.0, None, 1.0, CAPACITY)
    }

    fn store(&self) -> KvStore {
        KvStore::new(
            LAYERS,
            SLOTS,
            self.heads.kv_heads,
            CAPACITY,
            self.heads.head_dim,
        )
        .unwrap()
    }

    fn width(&self) -> usize {
        self.heads.heads * self.heads.head_dim
    }

    /// Queries, keys and values of a text: numbers as a model has them, a few large.
    fn text(&self, tokens: usize, seed: u64) -> Vec<f32> {
        let mut dice = StdRng::seed_from_u64(seed);
        (0..tokens * self.heads.width())
            .map(|_| {
                let value = dice.random_range(-1.5..1.5_f32);
                value
                    * if dice.random_range(0..50) == 0 {
                        6.0
                    } else {
                        1.0
                    }
            })
            .collect()
    }
}

/// Tokens `range` of a text in a slot.
#[derive(Clone)]
struct Chunk<'a> {
    slot: u32,
    range: Range<usize>,
    text: &'a [f32],
}

/// One call; gives the output of each chunk.
fn call(model: &Model, store: &KvStore, chunks: &[Chunk], team: &dyn Team) -> Vec<Vec<u32>> {
    let width = model.heads.width();
    let (mut places, mut qkv) = (Vec::new(), Vec::new());
    for Chunk { slot, range, text } in chunks {
        let place = |position: usize| Place {
            slot: *slot,
            position: position as u32,
        };
        places.extend(range.clone().map(place));
        qkv.extend_from_slice(&text[range.start * width..range.end * width]);
    }
    let mut output = vec![f32::NAN; places.len() * model.width()];
    let batch = Batch {
        unit: model.unit,
        heads: &model.heads,
        rotary: &model.rotary(),
        store,
        layer: 1,
        places: &places,
        qkv: &qkv,
    };
    batch.run(&mut output, team);
    let bits: Vec<u32> = output.iter().map(|value| value.to_bits()).collect();
    let mut rest = &bits[..];
    chunks
        .iter()
        .map(|chunk| {
            let (own, others) = rest.split_at(chunk.range.len() * model.width());
            rest = others;
            own.to_vec()
        })
        .collect()
}

/// A whole text in chunks of the given lengths (the last again and again).
fn in_chunks(model: &Model, text: &[f32], lengths: &[usize], team: &dyn Team) -> Vec<u32> {
    let store = model.store();
    let tokens = text.len() / model.heads.width();
    let mut lengths = lengths.iter().copied();
    let (mut output, mut start, mut length) = (Vec::new(), 0, 1);
    while start < tokens {
        length = lengths.next().unwrap_or(length);
        let range = start..tokens.min(start + length);
        start = range.end;
        let chunk = Chunk {
            slot: 2,
            range,
            text,
        };
        output.extend(call(model, &store, &[chunk], team).remove(0));
    }
    output
}

fn whole(model: &Model, text: &[f32]) -> Vec<u32> {
    in_chunks(model, text, &[usize::MAX / 2], &Alone)
}

/// The definition, in `f64`, but for keys and values that are rounded to halves.
fn exact(model: &Model, text: &[f32]) -> Vec<f64> {
    let Heads {
        heads,
        kv_heads,
        head_dim,
        scale,
        window,
        ..
    } = model.heads;
    let tokens = text.len() / model.heads.width();
    let prepared = |token: usize, head: usize, weights: Option<&Vec<f32>>| -> Vec<f64> {
        let head = &text[token * model.heads.width() + head * head_dim..][..head_dim];
        let mut head: Vec<f64> = head.iter().map(|value| f64::from(*value)).collect();
        if let (Some(weights), Some(norms)) = (weights, &model.heads.norms) {
            let square: f64 = head.iter().map(|value| value * value).sum();
            let root = (square / head_dim as f64 + f64::from(norms.epsilon)).sqrt();
            for (value, weight) in head.iter_mut().zip(weights) {
                *value *= f64::from(*weight) / root;
            }
        }
        (0..head_dim)
            .map(|i| {
                let half = head_dim / 2;
                let pair = i % half;
                let angle = token as f64 * 10_000_f64.powf(-2.0 * pair as f64 / head_dim as f64);
                let (a, b) = (head[pair], head[pair + half]);
                if i < half {
                    a * angle.cos() - b * angle.sin()
                } else {
                    a * angle.sin() + b * angle.cos()
                }
            })
            .collect()
    };
    let norms = model.heads.norms.as_ref();
    let rounded = |value: f64| f16::from_f32(value as f32).to_f64();
    let mut output = Vec::new();
    for token in 0..tokens {
        for head in 0..heads {
            let kv_head = head / (heads / kv_heads);
            let query = prepared(token, head, norms.map(|norms| &norms.query));
            let first = window.map_or(0, |window| (token + 1).saturating_sub(window));
            let scores: Vec<f64> = (first..=token)
                .map(|past| {
                    let key = prepared(past, heads + kv_head, norms.map(|norms| &norms.key));
                    let product = |(a, b): (&f64, &f64)| a * rounded(*b);
                    query.iter().zip(&key).map(product).sum::<f64>() * f64::from(scale)
                })
                .collect();
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for i in 0..head_dim {
                let value = |past: usize| {
                    let head = (heads + kv_heads + kv_head) * head_dim;
                    rounded(f64::from(text[past * model.heads.width() + head + i]))
                };
                let weighted = (first..=token).zip(&weights);
                output.push(weighted.map(|(past, it)| it * value(past)).sum::<f64>() / sum);
            }
        }
    }
    output
}

#[test]
fn it_is_what_the_definition_says() {
    for model in Model::various() {
        let text = model.text(150, 1);
        let output = whole(&model, &text);
        for (got, expected) in output.iter().zip(exact(&model, &text)) {
            let got = f64::from(f32::from_bits(*got));
            // A key on the border of two halves may fall on the other side: 2⁻¹¹ of it.
            assert!((got - expected).abs() < 4e-3, "{got} for {expected}");
        }
    }
}

#[test]
fn chunks_do_not_change_a_bit() {
    for model in Model::various() {
        let text = model.text(620, 2);
        let reference = whole(&model, &text);
        for lengths in [&[1][..], &[3, 1, 64, 63, 7], &[255, 2, 1, 128], &[619]] {
            assert!(in_chunks(&model, &text, lengths, &Alone) == reference);
        }
    }
}

#[test]
fn neighbours_do_not_change_a_bit() {
    for model in Model::various() {
        let texts: Vec<_> = (0..SLOTS as u64)
            .map(|seed| model.text(300, seed))
            .collect();
        let alone: Vec<_> = texts.iter().map(|text| whole(&model, text)).collect();
        let store = model.store();
        let mut dice = StdRng::seed_from_u64(3);
        let mut done = [0; SLOTS];
        while done.iter().any(|done| *done < 300) {
            // Any of the slots in any order, one token or many.
            let mut chunks = Vec::new();
            let first = dice.random_range(0..SLOTS);
            for slot in (0..SLOTS).map(|slot| (slot + first) % SLOTS) {
                let length = [0, 1, 1, 17, 60][dice.random_range(0..5)];
                let range = done[slot]..300.min(done[slot] + length);
                if !range.is_empty() {
                    let (slot, text) = (slot as u32, &texts[slot][..]);
                    chunks.push(Chunk { slot, range, text });
                }
            }
            let outputs = call(&model, &store, &chunks, &Threads(3));
            for (Chunk { slot, range, .. }, output) in chunks.iter().zip(outputs) {
                let slot = *slot as usize;
                let width = model.width();
                assert!(output == alone[slot][range.start * width..range.end * width]);
                done[slot] = range.end;
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for model in Model::various() {
        let text = model.text(600, 4);
        let reference = whole(&model, &text);
        for threads in [2, 5, 16] {
            let lengths = [500, 1, 1, 40];
            assert!(in_chunks(&model, &text, &lengths, &Threads(threads)) == reference);
        }
    }
}

#[test]
fn every_processor_gives_the_same_bits() {
    for model in Model::various() {
        let text = model.text(300, 5);
        let plain = Model {
            unit: Unit::Plain,
            ..model.clone()
        };
        assert!(whole(&model, &text) == whole(&plain, &text));
    }
}

#[test]
fn a_reused_slot_never_sees_its_former_owners_keys() {
    for model in Model::various() {
        let store = model.store();
        // Nothing that a sum could swallow.
        let former = vec![f32::NAN; 400 * model.heads.width()];
        let text = model.text(300, 6);
        let chunk = |text, range| Chunk {
            slot: 1,
            range,
            text,
        };
        call(&model, &store, &[chunk(&former, 0..400)], &Alone);
        let first = call(&model, &store, &[chunk(&text, 0..299)], &Alone).remove(0);
        let last = call(&model, &store, &[chunk(&text, 299..300)], &Alone).remove(0);
        assert!([first, last].concat() == whole(&model, &text));
    }
}

#[test]
fn a_copied_slot_goes_on_like_the_original() {
    for model in Model::various() {
        let mut store = model.store();
        let text = model.text(200, 7);
        let other = vec![f32::NAN; 200 * model.heads.width()];
        let chunk = |slot, text, range| Chunk { slot, range, text };
        call(&model, &store, &[chunk(0, &text, 0..150)], &Alone);
        call(&model, &store, &[chunk(4, &other, 0..200)], &Alone);
        store.copy(0, 4, 133);
        let output = call(&model, &store, &[chunk(4, &text, 133..200)], &Alone).remove(0);
        assert!(output == whole(&model, &text)[133 * model.width()..]);
    }
}

#[test]
fn a_window_forgets_what_lies_behind_it() {
    let model = Model::new(3, 1, 64).window(50);
    let text = model.text(200, 8);
    let mut other = text.clone();
    other[..100 * model.heads.width()].fill(f32::NAN);
    let (text, other) = (whole(&model, &text), whole(&model, &other));
    let seen = |token: usize| token * model.width()..;
    assert!(text[seen(149)] == other[seen(149)]);
    assert!(text[seen(148)] != other[seen(148)]);
}

#[test]
fn a_layer_never_sees_another_layers_keys() {
    let model = Model::new(3, 1, 64);
    let (store, rotary) = (model.store(), model.rotary());
    let place = |position| Place { slot: 0, position };
    let (first, second) = (model.text(1, 9), model.text(2, 10));
    let run = |layer, position, qkv: &[f32]| {
        let mut output = vec![0.0; model.width()];
        let places = [place(position)];
        let layer = Layer {
            heads: &model.heads,
            rotary: &rotary,
            store: &store,
            index: layer,
        };
        attend(&layer, &places, qkv, &mut output, &Alone);
        output
    };
    run(0, 0, &first);
    let width = model.heads.width();
    run(1, 0, &second[..width]);
    let output = run(1, 1, &second[width..]);
    let bits: Vec<u32> = output.iter().map(|value| value.to_bits()).collect();
    assert!(bits == whole(&model, &second)[model.width()..]);
}

#[test]
fn values_beyond_a_half_are_its_largest() {
    let model = Model::new(1, 1, 8);
    let mut text = vec![0.0; 24];
    text[16..].fill(1e9);
    let output = whole(&model, &text);
    assert!(output.iter().all(|bits| f32::from_bits(*bits) == 65_504.0));
}

#[test]
#[should_panic(expected = "a slot is one group")]
fn a_slot_that_comes_twice_is_refused() {
    let model = Model::new(1, 1, 8);
    let text = model.text(4, 11);
    let chunk = |slot, range| Chunk {
        slot,
        range,
        text: &text,
    };
    let chunks = [chunk(0, 0..1), chunk(1, 0..1), chunk(0, 1..2)];
    call(&model, &model.store(), &chunks, &Alone);
}

#[test]
#[should_panic(expected = "limit")]
fn a_place_beyond_the_store_is_refused() {
    let model = Model::new(1, 1, 8);
    let text = model.text(CAPACITY + 1, 12);
    let chunk = Chunk {
        slot: 0,
        range: CAPACITY..CAPACITY + 1,
        text: &text,
    };
    call(&model, &model.store(), &[chunk], &Alone);
}

#[test]
fn work_is_shared_about_equally() {
    // (lengths of rows, threads, the longest part in shares of a thread)
    for (rows, threads) in [
        (vec![1024], 2),
        (vec![650], 2),
        (vec![690, 20, 20, 20], 4),
        (vec![500; 5], 4),
    ] {
        let model = Model::new(9, 3, 64);
        let places: Vec<Place> = rows
            .iter()
            .enumerate()
            .map(|(slot, length)| Place {
                slot: slot as u32,
                position: (*length as u32 - 1).min(CAPACITY as u32 - 1),
            })
            .collect();
        let (store, rotary) = (model.store(), model.rotary());
        let batch = Batch {
            unit: model.unit,
            heads: &model.heads,
            rotary: &rotary,
            store: &store,
            layer: 0,
            places: &places,
            qkv: &[],
        };
        let jobs = batch.jobs(&batch.groups(), threads);
        let loads: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(0)).collect();
        for job in &jobs {
            // Whoever is free first takes the next.
            let least = loads
                .iter()
                .min_by_key(|it| it.load(Ordering::Relaxed))
                .unwrap();
            least.fetch_add(job.cost as u64, Ordering::Relaxed);
        }
        let loads: Vec<u64> = loads.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        let (most, sum) = (*loads.iter().max().unwrap(), loads.iter().sum::<u64>());
        assert!(
            most as f64 * threads as f64 <= 1.35 * sum as f64,
            "{rows:?}: {loads:?}"
        );
    }
}
