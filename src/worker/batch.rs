//! PURE: continuous batching. Says what the engine computes in the next step, and turns
//! what it computed into messages to the owners.
//!
//! Requests join and leave between any two steps. Each step moves every row that decodes by
//! at least one token, and beside them computes as much of the prompts as keeps the step
//! within its time ([`Pace`]), so that a long prompt holds nobody up. What a request says
//! depends on none of this. On engines that are uniform, how tokens are cut into runs
//! changes no bit; on others, prompts are cut by their own length alone and decoding rows
//! compute one token at a time.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    admission::{Admission, Owner, Room},
    bank::{Bank, Seat},
    engine::{EngineInfo, Run, Vocabulary, Want},
    job::{Job, Work},
    library::{Lending, Library, SlotCopy, in_common},
    pace::{Pace, Size},
    row::Row,
};
use crate::{
    models::peft::Adapter,
    wire::worker::{Finish, FromWorker, Load, Refusal, STEP_BOUNDS},
};

/// Rows beside which nobody guesses tokens ahead: the engine has enough to do.
const DRAFTERS: usize = 2;

/// A prompt waits for another one that is being read if that spares it so many tokens.
const SHARED: usize = 64;

/// How often a request may wait for a prompt that is being read.
const PATIENCE: u8 = 4;

/// Tokens that one step may copy from slot to slot before further requests have to wait for
/// the next.
const COPIED: usize = 4096;

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests that wait beyond those that the slots can take.
    pub(crate) queue: usize,
    /// Of the engine's slots, those that hold no row but what rows have left behind.
    pub(crate) shelves: usize,
    /// How long a step with rows that decode may take because of prompts.
    pub(crate) step: Duration,
    /// Tokens guessed ahead; 0 for none.
    pub(crate) draft: usize,
}

/// A message and the connection that it goes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outgoing {
    pub(crate) connection: u64,
    pub(crate) message: FromWorker,
}

/// One step of the engine: the loads, then the copies, both in order, then the runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) loads: Vec<(usize, Arc<Adapter>)>,
    pub(crate) copies: Vec<SlotCopy>,
    /// First those of rows that decode.
    pub(crate) runs: Vec<Run>,
    /// Whose each run is.
    owners: Vec<Owner>,
    pub(crate) size: Size,
}

/// A request that has a right to a slot and waits until a prompt that begins alike is read.
#[derive(Debug)]
struct Parked {
    owner: Owner,
    place: Option<usize>,
    job: Job,
    reader: Owner,
    /// Tokens of the reader's prompt that it waits for.
    until: usize,
    patience: u8,
}

/// All requests of the worker, waiting and under way.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Rows that there may be.
    slots: usize,
    uniform: bool,
    contiguous: bool,
    draft: usize,
    vocabulary: Arc<dyn Vocabulary>,
    waiting: Admission<Job>,
    parked: Vec<Parked>,
    /// In the order of their start.
    rows: Vec<Row>,
    alive: HashSet<Owner>,
    library: Library,
    bank: Bank,
    pace: Pace,
    /// Adapters to be loaded in the next step.
    loads: Vec<(usize, Arc<Adapter>)>,
    steps: u64,
    done: Load,
}

impl std::fmt::Debug for dyn Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vocabulary({})", self.size())
    }
}

impl Batch {
    pub(crate) fn new(info: &EngineInfo, vocabulary: Arc<dyn Vocabulary>, limits: Limits) -> Self {
        let slots = info.slots.saturating_sub(limits.shelves);
        // Where rows have to move together, what lies in the first slots is soon gone.
        let first_quiet = if info.contiguous { slots } else { 0 };
        let lending = match (info.lends, info.uniform) {
            (false, _) => Lending::Nothing,
            (true, true) => Lending::All,
            (true, false) => Lending::Chunks,
        };
        Self {
            slots,
            uniform: info.uniform,
            contiguous: info.contiguous,
            draft: limits.draft,
            vocabulary,
            waiting: Admission::new(limits.queue),
            parked: Vec::new(),
            rows: Vec::new(),
            alive: HashSet::new(),
            library: Library::new(info.slots, lending, first_quiet),
            bank: Bank::new(info.adapter_places),
            pace: Pace::new(limits.step),
            loads: Vec::new(),
            steps: 0,
            done: Load::default(),
        }
    }

    fn busy(&self) -> usize {
        self.rows.len() + self.parked.len()
    }

    /// Whether there is nothing to compute.
    pub(crate) fn idle(&self) -> bool {
        self.alive.is_empty()
    }

    pub(crate) fn load(&self) -> Load {
        let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Load {
            slots: count(self.slots),
            slots_busy: count(self.busy()),
            queued: self.waiting.queued(),
            adapter_loads: self.bank.loads(),
            adapter_evictions: self.bank.evictions(),
            ..self.done.clone()
        }
    }

    /// Whether this request is waiting or under way.
    pub(crate) fn holds(&self, owner: Owner) -> bool {
        self.alive.contains(&owner)
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when the queue is full.
    pub(crate) fn offer(&mut self, owner: Owner, job: Job) -> Result<(), Refusal> {
        let free = self.slots - self.busy();
        let room = Room::of(owner, &job.room);
        self.waiting.offer(owner, room, job, free)?;
        self.alive.insert(owner);
        Ok(())
    }

    /// Ends a request; one that has ended already is none of our business.
    pub(crate) fn cancel(&mut self, owner: Owner) -> Option<Outgoing> {
        if !self.alive.contains(&owner) {
            return None;
        }
        let row = self.rows.iter().find(|row| row.owner == owner);
        let usage = row.map(Row::usage).unwrap_or_default();
        self.end(|ends| ends == owner);
        Some(owner.says(FromWorker::Done {
            id: owner.request,
            finish: Finish::Cancelled,
            usage,
        }))
    }

    /// Forgets all requests of a connection that is gone.
    pub(crate) fn leave(&mut self, connection: u64) {
        self.end(|owner| owner.connection == connection);
    }

    /// Takes requests out wherever they are, and frees what they held.
    fn end(&mut self, ends: impl Fn(Owner) -> bool) {
        self.waiting.cancel(&ends);
        for parked in self.parked.extract_if(.., |parked| ends(parked.owner)) {
            parked.place.into_iter().for_each(|at| self.bank.leave(at));
        }
        for row in self.rows.extract_if(.., |row| ends(row.owner)) {
            self.library.release(row.slot);
            row.place.into_iter().for_each(|at| self.bank.leave(at));
        }
        self.alive.retain(|owner| !ends(*owner));
    }

    /// What to compute next; `None` when nobody wants anything. Every plan must be answered
    /// by [`Self::absorb`] or [`Self::fail`] before anything else changes the batch.
    pub(crate) fn plan(&mut self) -> Option<Plan> {
        let mut copies = Vec::new();
        if self.contiguous {
            self.compact(&mut copies);
        }
        self.start(&mut copies);
        if self.rows.is_empty() {
            return None;
        }
        self.steps += 1;
        let mut size = self.decoding();
        let mut runs: Vec<(Owner, Run)> = self
            .rows
            .iter()
            .filter(|row| row.decodes())
            .map(|row| (row.owner, row.next_token()))
            .collect();
        if self.contiguous {
            runs.sort_unstable_by_key(|(_, run)| run.slot);
        }
        let chunks = self.chunks(size);
        size.tokens += chunks
            .iter()
            .map(|(_, run)| run.tokens.len())
            .sum::<usize>();
        runs.extend(chunks);
        let (owners, runs) = runs.into_iter().unzip();
        Some(Plan {
            loads: std::mem::take(&mut self.loads),
            copies,
            runs,
            owners,
            size,
        })
    }

    /// How much the rows that decode compute. Few of them guess ahead.
    fn decoding(&mut self) -> Size {
        let rows = self.rows.iter().filter(|row| row.decodes()).count();
        let mut size = Size { rows, tokens: 0 };
        // Where runs of one token are computed together, longer ones are computed apart.
        if self.uniform && !self.contiguous && rows <= DRAFTERS {
            for row in self.rows.iter_mut().filter(|row| row.decodes()) {
                size.tokens += row.draft(self.draft, size, &self.pace);
            }
        } else {
            // What was guessed when there were fewer of them.
            self.rows.iter_mut().for_each(Row::forget_guess);
        }
        size
    }

    /// As much of the prompts as fits beside what is computed anyway. Every second step
    /// belongs to the oldest prompt first, so that none starves; the others to those with
    /// the least to go, so that short ones do not wait for long ones.
    fn chunks(&self, size: Size) -> Vec<(Owner, Run)> {
        let mut prompts: Vec<&Row> = self.rows.iter().filter(|row| !row.decodes()).collect();
        let oldest = self.steps.is_multiple_of(2);
        let from = usize::from(oldest).min(prompts.len());
        prompts[from..].sort_by_key(|row| row.left());
        let mut left = self.pace.prompt_tokens(size);
        let mut runs = Vec::new();
        for row in prompts {
            let run = row.next_chunk(self.uniform.then_some(left));
            let fits = run.tokens.len() <= left;
            if !fits && !runs.is_empty() {
                continue;
            }
            left = left.saturating_sub(run.tokens.len());
            runs.push((row.owner, run));
            // Engines that want rows side by side compute prompts one after the other.
            if left == 0 || self.contiguous {
                break;
            }
        }
        runs
    }

    /// Moves decoding rows so that they sit in slots `0..n`.
    ///
    /// A prompt's row may be in the way and has to move too. Then a slot is free: see
    /// [`Self::may_settle`].
    fn compact(&mut self, copies: &mut Vec<SlotCopy>) {
        let n = self.rows.iter().filter(|row| row.decodes()).count();
        let in_place: HashSet<usize> = self
            .rows
            .iter()
            .filter(|row| row.decodes() && row.slot < n)
            .map(|row| row.slot)
            .collect();
        let mut holes = (0..n).filter(|slot| !in_place.contains(slot));
        for at in 0..self.rows.len() {
            if !self.rows[at].decodes() || self.rows[at].slot < n {
                continue;
            }
            let hole = holes
                .next()
                .expect("as many rows sit beyond n as slots before n lack one");
            if let Some(prompt) = self.rows.iter_mut().find(|row| row.slot == hole) {
                let free = self
                    .library
                    .aside()
                    .expect("a slot is free while a prompt may have to move");
                copies.extend(self.library.relocate(hole, free, prompt.past()));
                prompt.slot = free;
            }
            let row = &mut self.rows[at];
            copies.extend(self.library.relocate(row.slot, hole, row.past()));
            row.slot = hole;
        }
    }

    /// Whether a row may take a free slot. Where rows have to move together, one slot stays
    /// free for [`Self::compact`] unless the only prompt sits in the last one.
    fn may_settle(&self) -> bool {
        let prompts = self.rows.iter().any(|row| !row.decodes());
        self.library.free() > usize::from(self.contiguous && prompts)
    }

    /// Starts requests: those first that had to wait for a prompt, then those who wait for
    /// a slot.
    fn start(&mut self, copies: &mut Vec<SlotCopy>) {
        let before = copies.len();
        let enough = |copies: &[SlotCopy]| {
            let lengths = copies[before..].iter().map(|copy| copy.length);
            lengths.sum::<usize>() > COPIED
        };
        for parked in std::mem::take(&mut self.parked) {
            let reads = |row: &Row| {
                row.owner == parked.reader && !row.decodes() && row.past() < parked.until
            };
            if enough(copies) || !self.may_settle() || self.rows.iter().any(reads) {
                self.parked.push(parked);
            } else {
                self.admit(parked, copies);
            }
        }
        while self.busy() < self.slots && self.may_settle() && !enough(copies) {
            let Some((owner, job)) = self.next_waiting() else {
                return;
            };
            let place = job.adapter.as_ref().map(|adapter| {
                let Seat { place, load } = self
                    .bank
                    .seat(adapter.id)
                    .expect("only who finds a place is taken");
                if load {
                    self.loads.push((place, adapter.clone()));
                }
                place
            });
            let parked = Parked {
                owner,
                place,
                job,
                reader: owner,
                until: 0,
                patience: PATIENCE,
            };
            self.admit(parked, copies);
        }
    }

    /// Whose turn it is among those who wait.
    fn next_waiting(&mut self) -> Option<(Owner, Job)> {
        if self.waiting.queued() == 0 {
            return None;
        }
        let mut held: HashMap<Room, usize> = HashMap::new();
        let rows = self.rows.iter().map(|row| (row.owner, &row.job));
        let parked = self.parked.iter().map(|parked| (parked.owner, &parked.job));
        for (owner, job) in rows.chain(parked) {
            *held.entry(Room::of(owner, &job.room)).or_default() += 1;
        }
        self.waiting.take(
            |room| held.get(room).copied().unwrap_or_default(),
            |job, others_first| {
                job.adapter_id()
                    .is_none_or(|id| !others_first && self.bank.has_room_for(id))
            },
        )
    }

    /// Gives a request a slot, with what is known of its prompt; or lets it wait while
    /// somebody is reading what it would have to read itself.
    fn admit(&mut self, mut request: Parked, copies: &mut Vec<SlotCopy>) {
        let tokens = request.job.borrowable();
        let adapter = request.job.adapter_id();
        if request.patience > 0 {
            let known = self.library.known(tokens, adapter);
            let sharer = self
                .rows
                .iter()
                .filter(|row| !row.decodes() && row.job.adapter_id() == adapter)
                .map(|row| (in_common(&row.job.tokens, tokens), row.owner))
                .max_by_key(|(shared, _)| *shared);
            if let Some((shared, reader)) = sharer {
                let until = self.library.whole(shared);
                if until >= known + SHARED {
                    request.reader = reader;
                    request.until = until;
                    request.patience -= 1;
                    self.parked.push(request);
                    return;
                }
            }
        }
        let settled = self
            .library
            .settle(tokens, adapter)
            .expect("whoever is admitted finds a slot");
        copies.extend(settled.copy);
        self.done.reused += settled.length as u64;
        self.done.prefix_hits += u64::from(settled.length > 0);
        self.rows.push(Row::new(
            request.owner,
            settled.slot,
            request.place,
            request.job,
            settled.length,
        ));
    }

    /// Takes what the engine gave for a plan's runs, and how long that took.
    pub(crate) fn absorb(
        &mut self,
        plan: Plan,
        logits: Vec<Vec<f32>>,
        took: Duration,
    ) -> Vec<Outgoing> {
        if !plan.runs.is_empty() {
            self.pace.observe(plan.size, took);
        }
        let mut out = Vec::new();
        let mut ended = HashSet::new();
        let at: HashMap<Owner, usize> = (0..)
            .zip(&self.rows)
            .map(|(at, row)| (row.owner, at))
            .collect();
        let size = self.vocabulary.size();
        for ((run, owner), logits) in plan.runs.iter().zip(&plan.owners).zip(logits) {
            self.library.wrote(run.slot, run.past, &run.tokens);
            // An owner who has left: its logits belong to nobody.
            let Some(row) = at.get(owner).map(|at| &mut self.rows[*at]) else {
                continue;
            };
            if !row.decodes() {
                self.done.prefilled += run.tokens.len() as u64;
            } else {
                self.done.drafted += run.tokens.len() as u64 - 1;
            }
            let turn = row.absorb(run, &logits, size, self.vocabulary.as_ref(), &mut out);
            self.done.tokens += turn.drawn as u64;
            self.done.drafts_held += turn.held as u64;
            if turn.ended {
                ended.insert(*owner);
            }
        }
        if !ended.is_empty() {
            self.end(|owner| ended.contains(&owner));
        }
        out
    }

    /// Counts a step that took so long with all that belongs to it.
    pub(crate) fn count_step(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = STEP_BOUNDS.partition_point(|bound| *bound < seconds);
        self.done.steps.counts[bucket] += 1;
        self.done.steps.seconds += seconds;
    }

    /// The engine does not take an adapter: those who would speak with it fail, the others
    /// go on with the rest of the plan.
    pub(crate) fn refuse_adapter(
        &mut self,
        plan: &mut Plan,
        place: usize,
        message: &str,
    ) -> Vec<Outgoing> {
        let rows = self.rows.iter().map(|row| (row.owner, row.place));
        let parked = self
            .parked
            .iter()
            .map(|parked| (parked.owner, parked.place));
        let ended: HashSet<Owner> = rows
            .chain(parked)
            .filter(|(_, at)| *at == Some(place))
            .map(|(owner, _)| owner)
            .collect();
        self.end(|owner| ended.contains(&owner));
        self.bank.forget(place);
        let runs = std::mem::take(&mut plan.runs).into_iter();
        (plan.runs, plan.owners) = runs
            .zip(std::mem::take(&mut plan.owners))
            .filter(|(_, owner)| !ended.contains(owner))
            .unzip();
        ended
            .into_iter()
            .map(|owner| owner.fails(message))
            .collect()
    }

    /// The engine failed: what was under way is lost. Those who wait keep their places.
    pub(crate) fn fail(&mut self, message: &str) -> Vec<Outgoing> {
        let rows = std::mem::take(&mut self.rows);
        let parked = std::mem::take(&mut self.parked);
        self.library.forget();
        self.bank.forget_all();
        self.loads.clear();
        rows.into_iter()
            .map(|row| row.owner)
            .chain(parked.into_iter().map(|parked| parked.owner))
            .map(|owner| {
                self.alive.remove(&owner);
                owner.fails(message)
            })
            .collect()
    }
}

impl Owner {
    pub(crate) fn says(self, message: FromWorker) -> Outgoing {
        Outgoing {
            connection: self.connection,
            message,
        }
    }

    fn fails(self, message: &str) -> Outgoing {
        self.says(FromWorker::Failed {
            id: self.request,
            message: message.to_owned(),
        })
    }
}

impl Work {
    /// Which logits a chunk gives that ends a prompt or lies behind its `start`.
    pub(crate) fn want(&self) -> Want {
        match self {
            Self::Generate(_) | Self::Weigh { .. } => Want::Last,
            Self::Score(_) => Want::All,
        }
    }
}
