//! Attention over a ragged batch: any mix of decoding rows and chunks of prompts.
//!
//! What a token's result is made of, in this order, and of nothing else (so neither chunks
//! nor neighbours nor threads change a bit):
//! 1. a score is the sum over the head's dimensions, ascending, each product added without
//!    rounding between;
//! 2. positions are taken in blocks of [`BLOCK`], aligned to position 0: their largest score
//!    joins the running maximum, sums so far are scaled to it, then weights are summed in 8
//!    lanes by position modulo 8 and values are added position by position (Milakov and
//!    Gimelshein, "Online normalizer calculation for softmax", 2018);
//! 3. each span of [`SPAN`] positions starts afresh, and spans are joined in ascending
//!    order (as in Flash-Decoding, Dao et al., 2023): threads can share one long row.

mod tile;

use std::{
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use half::{f16, slice::HalfFloatSliceExt};

use self::tile::{Rows, Scratch, Tile};
use super::{
    Team,
    kv::KvStore,
    lanes::{Lanes, Plain, Unit},
    rotary::Rotary,
};

/// Positions between two looks at the running maximum.
const BLOCK: usize = 64;

/// Positions that are summed from zero.
const SPAN: usize = 4 * BLOCK;

/// Numbers of queries that one job holds beside each other, about: they, their sums and a
/// block of keys and values shall stay in the nearest caches.
const TILE_NUMBERS: usize = 3072;

/// Jobs for each thread at least, where a long row must be split for it.
const JOBS_A_THREAD: usize = 4;

/// Products below which waking others costs more than it gains.
const WORTH_SHARING: usize = 100_000;

/// Tokens whose keys are stored as one piece of work.
const TOKENS_A_PIECE: usize = 8;

/// Where a token of the batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: u32,
    pub(crate) position: u32,
}

/// RMS norm of each query and key head before rotation (Qwen 3, Gemma 3): weights of
/// `[head_dim]`.
#[derive(Clone, Debug)]
pub(crate) struct QkNorms {
    pub(crate) query: Vec<f32>,
    pub(crate) key: Vec<f32>,
    pub(crate) epsilon: f32,
}

/// What the heads of a layer are.
#[derive(Clone, Debug)]
pub(crate) struct Heads {
    /// Of queries: a multiple of `kv_heads`, neighbours sharing one.
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    /// A multiple of 8.
    pub(crate) head_dim: usize,
    /// What scores are multiplied by, mostly head_dim^(-1/2).
    pub(crate) scale: f32,
    /// How many keys are seen, the token's own included (Gemma 3's local layers).
    pub(crate) window: Option<usize>,
    pub(crate) norms: Option<QkNorms>,
}

impl Heads {
    /// Query heads that share a key head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Numbers of a token in the input.
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// The positions that a token at `position` sees.
    fn seen(&self, position: usize) -> Range<usize> {
        let end = position + 1;
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }
}

/// Stores the keys and values of all tokens, then gives for each what it attends to.
///
/// `qkv` is [tokens, (heads + 2 · kv_heads) · head_dim]: queries, keys, values; `output` is
/// [tokens, heads · head_dim]. Tokens of one slot are neighbours at consecutive positions,
/// and what stands before them in the slot has been stored by earlier calls.
///
/// # Panics
/// When sizes do not fit together, a place lies beyond the store, or a slot comes twice.
pub(crate) fn attend(
    layer: &Layer<'_>,
    places: &[Place],
    qkv: &[f32],
    output: &mut [f32],
    team: &dyn Team,
) {
    let batch = Batch {
        unit: Unit::detect(),
        heads: layer.heads,
        rotary: layer.rotary,
        store: layer.store,
        layer: layer.index,
        places,
        qkv,
    };
    batch.run(output, team);
}

/// The layer that attends.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a> {
    pub(crate) heads: &'a Heads,
    pub(crate) rotary: &'a Rotary,
    pub(crate) store: &'a KvStore,
    /// Its place in the store.
    pub(crate) index: usize,
}

/// One call.
struct Batch<'a> {
    unit: Unit,
    heads: &'a Heads,
    rotary: &'a Rotary,
    store: &'a KvStore,
    layer: usize,
    places: &'a [Place],
    qkv: &'a [f32],
}

/// Some tokens of one slot and the heads that share a key head.
#[derive(Clone)]
struct Job {
    tokens: Range<usize>,
    kv_head: usize,
    /// Of positions, that some of the tokens see.
    spans: Range<usize>,
    /// Pairs of a query and a key.
    cost: usize,
    /// Where the sums go if the spans of these tokens are several jobs.
    part: Option<usize>,
}

/// The output, which jobs fill at places of their own.
struct Output(*mut f32);

// SAFETY: jobs write disjoint places, see `Batch::finish`.
unsafe impl Sync for Output {}

impl Batch<'_> {
    fn run(&self, output: &mut [f32], team: &dyn Team) {
        let heads = self.heads;
        assert!(heads.kv_heads > 0 && heads.heads.is_multiple_of(heads.kv_heads));
        assert!(heads.window != Some(0), "a token sees itself at least");
        assert_eq!(self.rotary.head_dim(), heads.head_dim);
        assert_eq!(self.store.shape()[2..], [heads.kv_heads, heads.head_dim]);
        assert_eq!(self.qkv.len(), self.places.len() * heads.width());
        let width = heads.heads * heads.head_dim;
        assert_eq!(output.len(), self.places.len() * width);
        if let Some(norms) = &heads.norms {
            assert!([norms.query.len(), norms.key.len()] == [heads.head_dim; 2]);
        }
        let groups = self.groups();

        let _turn = self.store.turn();
        self.store_all(team);

        let jobs = self.jobs(&groups, team.members());
        let parts: Vec<OnceLock<Rows>> = jobs.iter().map(|_| OnceLock::new()).collect();
        let products = jobs.iter().map(|job| job.cost).sum::<usize>() * heads.head_dim;
        let output = Output(output.as_mut_ptr());
        let threads = if products < WORTH_SHARING {
            1
        } else {
            team.members()
        };
        share(
            team,
            threads,
            jobs.len(),
            Scratch::default,
            |index, scratch| {
                let job = &jobs[index];
                let total = self.compute(job, scratch);
                match job.part {
                    None => self.finish(job, total, &output),
                    Some(part) => parts[part]
                        .set(total.clone())
                        .expect("each job is handed out once"),
                }
            },
        );
        self.join(&jobs, parts, &output);
    }

    /// The tokens of each slot.
    fn groups(&self) -> Vec<Range<usize>> {
        let limit = self.store.capacity().min(self.rotary.context());
        let slots = self.store.shape()[1];
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (token, place) in self.places.iter().enumerate() {
            assert!(
                (place.position as usize) < limit && (place.slot as usize) < slots,
                "{place:?} is beyond the limits: {slots} slots of {limit}"
            );
            match (groups.last_mut(), token.checked_sub(1)) {
                (Some(group), Some(last)) if self.places[last].slot == place.slot => {
                    let expected = self.places[last].position + 1;
                    assert_eq!(place.position, expected, "positions are consecutive");
                    group.end = token + 1;
                }
                _ => groups.push(token..token + 1),
            }
        }
        let mut seen: Vec<u32> = groups.iter().map(|it| self.places[it.start].slot).collect();
        seen.sort_unstable();
        assert!(seen.is_sorted_by(|a, b| a < b), "a slot is one group");
        groups
    }

    /// Norms, turns and stores the keys of all tokens, and their values.
    fn store_all(&self, team: &dyn Team) {
        let pieces = self.places.len().div_ceil(TOKENS_A_PIECE);
        let threads = pieces.min(team.members());
        share(team, threads, pieces, Halves::default, |piece, scratch| {
            let end = self.places.len().min((piece + 1) * TOKENS_A_PIECE);
            for token in piece * TOKENS_A_PIECE..end {
                match self.unit {
                    // SAFETY: plain lanes ask nothing of the processor; the turn is held
                    // by `run`, and each token has a place of its own (`groups`) and is in
                    // one piece, handed out once.
                    Unit::Plain => unsafe { self.store_token::<Plain>(token, scratch) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: detected; the rest as above.
                    Unit::Avx2 => unsafe { avx2::store_token(self, token, scratch) },
                }
            }
        });
    }

    /// # Safety
    /// The processor has the lanes; the turn is held, and nobody else is at this token's
    /// place.
    #[inline(always)]
    unsafe fn store_token<L: Lanes>(&self, token: usize, scratch: &mut Halves) {
        let heads = self.heads;
        let Place { slot, position } = self.places[token];
        let row = &self.qkv[token * heads.width()..][heads.heads * heads.head_dim..heads.width()];
        let (keys, values) = row.split_at(heads.kv_heads * heads.head_dim);
        let per_head = keys
            .chunks_exact(heads.head_dim)
            .zip(values.chunks_exact(heads.head_dim));
        for (head, (key, value)) in per_head.enumerate() {
            let floats = &mut scratch.floats;
            floats.clear();
            floats.extend_from_slice(key);
            if let Some(norms) = &heads.norms {
                // SAFETY: the caller answers for the processor.
                unsafe { tile::norm::<L>(floats, &norms.key, norms.epsilon) };
            }
            self.rotary.turn(floats, position as usize);
            to_halves(floats, &mut scratch.key);
            floats.copy_from_slice(value);
            to_halves(floats, &mut scratch.value);
            let place = [slot as usize, head, position as usize];
            // SAFETY: as the caller says.
            unsafe {
                self.store
                    .write(self.layer, place, &scratch.key, &scratch.value);
            }
        }
    }

    /// Who computes what: longest first, and long rows in parts where whole ones could
    /// not keep the threads equally busy.
    fn jobs(&self, groups: &[Range<usize>], threads: usize) -> Vec<Job> {
        let heads = self.heads;
        let tokens = (TILE_NUMBERS / (heads.group() * heads.head_dim)).max(1);
        let mut jobs = Vec::new();
        for group in groups {
            for start in group.clone().step_by(tokens) {
                let tokens = start..group.end.min(start + tokens);
                let positions = tokens.clone().map(|it| self.places[it].position as usize);
                let seen = positions.clone().map(|it| heads.seen(it));
                let cost = heads.group() * seen.clone().map(|it| it.len()).sum::<usize>();
                let begin = seen.clone().map(|it| it.start).min().unwrap_or(0);
                let end = seen.map(|it| it.end).max().unwrap_or(0);
                jobs.extend((0..heads.kv_heads).map(|kv_head| Job {
                    tokens: tokens.clone(),
                    kv_head,
                    spans: begin / SPAN..end.div_ceil(SPAN),
                    cost,
                    part: None,
                }));
            }
        }
        let total: usize = jobs.iter().map(|job| job.cost).sum();
        let most = total / (threads * JOBS_A_THREAD);
        let whole = |job: &Job| threads == 1 || job.cost <= most || job.spans.len() == 1;
        let mut parts = 0;
        let mut split: Vec<Job> = Vec::with_capacity(jobs.len());
        for job in jobs {
            if whole(&job) {
                split.push(job);
                continue;
            }
            for span in job.spans.clone() {
                split.push(Job {
                    spans: span..span + 1,
                    cost: job.cost / job.spans.len(),
                    part: Some(parts),
                    ..job.clone()
                });
                parts += 1;
            }
        }
        // Stable: the parts of a job stay in ascending order of their numbers anyway.
        split.sort_by_key(|job| std::cmp::Reverse(job.cost));
        split
    }

    fn compute<'s>(&self, job: &Job, scratch: &'s mut Scratch) -> &'s Rows {
        let heads = self.heads;
        let Place { slot, position } = self.places[job.tokens.start];
        let tile = Tile {
            heads,
            rotary: self.rotary,
            keys: self.store.keys(self.layer, slot as usize, job.kv_head),
            values: self.store.values(self.layer, slot as usize, job.kv_head),
            position: position as usize,
            tokens: job.tokens.len(),
        };
        let stride = heads.width();
        let first = job.tokens.start * stride + job.kv_head * heads.group() * heads.head_dim;
        let (queries, spans) = (&self.qkv[first..], job.spans.clone());
        match self.unit {
            // SAFETY: plain lanes ask nothing of the processor; the positions lie inside
            // the store (`groups`), the turn is held by `run`, whose threads have all
            // stored what they had to (`share`) and only read now.
            Unit::Plain => unsafe { tile.compute::<Plain>(spans, queries, stride, scratch) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: detected; the rest as above.
            Unit::Avx2 => unsafe { avx2::compute(&tile, spans, queries, stride, scratch) },
        }
    }

    /// Writes a job's results to the output.
    fn finish(&self, job: &Job, rows: &Rows, output: &Output) {
        let heads = self.heads;
        for (index, token) in job.tokens.clone().enumerate() {
            let head = token * heads.heads + job.kv_head * heads.group();
            let first = index * heads.group();
            let means = first..first + heads.group();
            // SAFETY: `run` has asserted that the output has every token and head; jobs
            // differ in tokens or in the key head, so no two write here. What kind of
            // processor it is was detected.
            unsafe {
                let output = output.0.add(head * heads.head_dim);
                match self.unit {
                    Unit::Plain => tile::means::<Plain>(rows, means, heads.head_dim, output),
                    #[cfg(target_arch = "x86_64")]
                    Unit::Avx2 => avx2::means(rows, means, heads.head_dim, output),
                }
            }
        }
    }

    fn add(&self, total: &mut Rows, span: &Rows) {
        let head_dim = self.heads.head_dim;
        match self.unit {
            // SAFETY: plain lanes ask nothing of the processor.
            Unit::Plain => unsafe { tile::join::<Plain>(total, span, head_dim) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: detected.
            Unit::Avx2 => unsafe { avx2::join(total, span, head_dim) },
        }
    }

    /// Joins what was computed in parts, in ascending order of positions.
    fn join(&self, jobs: &[Job], mut parts: Vec<OnceLock<Rows>>, output: &Output) {
        let mut split: Vec<(usize, &Job)> = jobs
            .iter()
            .filter_map(|job| job.part.map(|part| (part, job)))
            .collect();
        split.sort_by_key(|(part, _)| *part);
        let same = |a: &(usize, &Job), b: &(usize, &Job)| {
            a.1.tokens == b.1.tokens && a.1.kv_head == b.1.kv_head
        };
        for whole in split.chunk_by(same) {
            let mut total: Option<Rows> = None;
            for (part, _) in whole {
                let rows = parts[*part].take().expect("`share` has computed every job");
                match &mut total {
                    None => total = Some(rows),
                    Some(total) => self.add(total, &rows),
                }
            }
            if let Some(total) = total {
                self.finish(whole[0].1, &total, output);
            }
        }
    }
}

/// Halves of floats, the largest of them for what is beyond.
fn to_halves(floats: &mut [f32], halves: &mut Vec<f16>) {
    let most = f16::MAX.to_f32();
    for value in floats.iter_mut() {
        *value = value.clamp(-most, most);
    }
    halves.resize(floats.len(), f16::ZERO);
    halves.convert_from_f32_slice(floats);
}

/// What a thread stores keys with.
#[derive(Default)]
struct Halves {
    floats: Vec<f32>,
    key: Vec<f16>,
    value: Vec<f16>,
}

/// Does each of `jobs` once, in this order, each as soon as one of `threads` is free.
fn share<S>(
    team: &dyn Team,
    threads: usize,
    jobs: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(usize, &mut S) + Sync,
) {
    if threads <= 1 {
        let mut scratch = scratch();
        (0..jobs).for_each(|job| work(job, &mut scratch));
        return;
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    team.split(threads, &|_| {
        let mut own = None;
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return;
            }
            work(job, own.get_or_insert_with(&scratch));
            done.fetch_add(1, Ordering::Release);
        }
    });
    // What follows reads what the jobs wrote.
    assert_eq!(done.load(Ordering::Acquire), jobs, "a team does all parts");
}

/// The same functions, compiled for AVX2.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::ops::Range;

    use super::{
        Batch, Halves,
        tile::{self, Rows, Scratch, Tile},
    };
    use crate::worker::kernels::lanes::Avx2;

    /// # Safety
    /// As [`Batch::store_token`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn store_token(batch: &Batch<'_>, token: usize, scratch: &mut Halves) {
        // SAFETY: passed on.
        unsafe { batch.store_token::<Avx2>(token, scratch) }
    }

    /// # Safety
    /// As [`tile::join`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn join(total: &mut Rows, span: &Rows, head_dim: usize) {
        // SAFETY: passed on.
        unsafe { tile::join::<Avx2>(total, span, head_dim) }
    }

    /// # Safety
    /// As [`tile::means`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn means(sums: &Rows, rows: Range<usize>, head_dim: usize, output: *mut f32) {
        // SAFETY: passed on.
        unsafe { tile::means::<Avx2>(sums, rows, head_dim, output) }
    }

    /// # Safety
    /// As [`Tile::compute`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn compute<'s>(
        tile: &Tile<'_>,
        spans: Range<usize>,
        queries: &[f32],
        stride: usize,
        scratch: &'s mut Scratch,
    ) -> &'s Rows {
        // SAFETY: passed on.
        unsafe { tile.compute::<Avx2>(spans, queries, stride, scratch) }
    }
}

#[cfg(test)]
mod laws;
