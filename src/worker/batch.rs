//! PURE: continuous batching. Says what the engine computes in the next step, and turns
//! what it computed into messages to the owners.
//!
//! Requests join and leave between any two steps. Rows that decode sit in slots `0..n`;
//! beside them at most one chunk of one prompt is computed a step, so that a long prompt
//! holds nobody up. Chunks are cut by the request's own length alone, never by load: a
//! request's logits must not depend on its neighbours, not even in the last bit.

use std::{collections::HashSet, sync::Arc};

use super::{
    admission::{Admission, Owner},
    engine::{EngineInfo, Run, Vocabulary, Want},
    job::{Job, Work},
    library::{Library, Loan},
    row::{Row, Turn},
};
use crate::wire::worker::{Finish, FromWorker, Load, Refusal};

/// Tokens of a prompt that are computed in one step.
pub(crate) const CHUNK: usize = 64;

/// A message and the connection that it goes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outgoing {
    pub(crate) connection: u64,
    pub(crate) message: FromWorker,
}

/// The first `length` tokens of slot `from` replace what slot `to` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotCopy {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) length: usize,
}

/// One step of the engine: the copies in order, then the runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) copies: Vec<SlotCopy>,
    pub(crate) runs: Vec<Run>,
    /// Whose each run is.
    owners: Vec<Owner>,
}

/// All requests of the worker, waiting and under way.
#[derive(Debug)]
pub(crate) struct Batch {
    slots: usize,
    vocabulary: Arc<dyn Vocabulary>,
    waiting: Admission<Job>,
    /// In the order of their slots.
    decoding: Vec<Row>,
    /// In the order of their arrival.
    prefilling: Vec<Row>,
    alive: HashSet<Owner>,
    library: Library,
    /// Prompts that were read to their end in the last step, to be shelved before their
    /// slots change.
    shelving: Vec<SlotCopy>,
    steps: u64,
    tokens: u64,
    reused: u64,
}

impl std::fmt::Debug for dyn Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vocabulary({})", self.size())
    }
}

impl Batch {
    /// At most `queue` requests wait beyond those that the slots can take. The last
    /// `shelves` of the engine's slots serve no request but keep beginnings of prompts, where
    /// the engine lends.
    pub(crate) fn new(
        info: &EngineInfo,
        vocabulary: Arc<dyn Vocabulary>,
        queue: usize,
        shelves: usize,
    ) -> Self {
        let slots = info.slots.saturating_sub(shelves);
        Self {
            slots,
            vocabulary,
            waiting: Admission::new(queue),
            decoding: Vec::new(),
            prefilling: Vec::new(),
            alive: HashSet::new(),
            library: Library::new(if info.lends {
                slots..info.slots
            } else {
                info.slots..info.slots
            }),
            shelving: Vec::new(),
            steps: 0,
            tokens: 0,
            reused: 0,
        }
    }

    fn busy(&self) -> usize {
        self.decoding.len() + self.prefilling.len()
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
            tokens: self.tokens,
            reused: self.reused,
            ..Load::default()
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
        self.waiting.offer(owner, job, free)?;
        self.alive.insert(owner);
        Ok(())
    }

    /// Ends a request; one that has ended already is none of our business.
    pub(crate) fn cancel(&mut self, owner: Owner) -> Option<Outgoing> {
        if !self.alive.remove(&owner) {
            return None;
        }
        let row = [&mut self.decoding, &mut self.prefilling]
            .into_iter()
            .find_map(|rows| {
                let at = rows.iter().position(|row| row.owner == owner)?;
                Some(rows.remove(at))
            });
        if row.is_none() {
            self.waiting.cancel(|waiting| waiting == owner);
        }
        Some(owner.says(FromWorker::Done {
            id: owner.request,
            finish: Finish::Cancelled,
            usage: row.map(|row| row.usage()).unwrap_or_default(),
        }))
    }

    /// Forgets all requests of a connection that is gone.
    pub(crate) fn leave(&mut self, connection: u64) {
        let stays = |row: &Row| row.owner.connection != connection;
        self.decoding.retain(stays);
        self.prefilling.retain(stays);
        self.waiting.cancel(|owner| owner.connection == connection);
        self.alive.retain(|owner| owner.connection != connection);
    }

    /// What to compute next; `None` when nobody wants anything. Every plan must be answered
    /// by [`Self::absorb`] or [`Self::fail`] before anything else changes the batch.
    pub(crate) fn plan(&mut self) -> Option<Plan> {
        let mut moves = self.compact();
        moves.extend(self.start());
        self.steps += 1;
        let chunk = self.next_chunk();
        let rows = self.decoding.iter().chain(chunk);
        let (runs, owners): (Vec<_>, Vec<_>) = rows.map(|row| (row.run(), row.owner)).unzip();
        if runs.is_empty() {
            return None;
        }
        let mut copies = std::mem::take(&mut self.shelving);
        copies.append(&mut moves);
        Some(Plan {
            copies,
            runs,
            owners,
        })
    }

    /// Moves decoding rows so that they sit in slots `0..n`.
    ///
    /// A prompt's row may be in the way and has to move too. Then a slot is free: all slots
    /// are taken only while there is one prompt at most, in the last slot ([`Self::start`]).
    fn compact(&mut self) -> Vec<SlotCopy> {
        let n = self.decoding.len();
        let mut taken = vec![false; self.slots];
        for row in self.decoding.iter().chain(&self.prefilling) {
            taken[row.slot] = true;
        }
        let mut copies = Vec::new();
        let mut holes = (0..n)
            .filter(|slot| !self.decoding.iter().any(|row| row.slot == *slot))
            .collect::<Vec<_>>()
            .into_iter();
        for at in 0..n {
            if self.decoding[at].slot < n {
                continue;
            }
            let hole = holes
                .next()
                .expect("as many rows sit beyond n as slots before n lack one");
            if let Some(prompt) = self.prefilling.iter_mut().find(|row| row.slot == hole) {
                let free = (0..self.slots)
                    .rev()
                    .find(|&slot| !taken[slot])
                    .expect("all slots are taken only with the one prompt in the last slot");
                taken[free] = true;
                copies.extend(prompt.move_to(free));
            }
            let row = &mut self.decoding[at];
            taken[row.slot] = false;
            taken[hole] = true;
            copies.extend(row.move_to(hole));
        }
        self.decoding.sort_unstable_by_key(|row| row.slot);
        copies
    }

    /// Gives free slots to those who wait. With more than one prompt under way one slot
    /// stays free, for [`Self::compact`]. What the library holds of a prompt is copied.
    fn start(&mut self) -> Vec<SlotCopy> {
        let mut copies = Vec::new();
        loop {
            let spare = usize::from(!self.prefilling.is_empty());
            if self.busy() + spare >= self.slots {
                return copies;
            }
            let Some((owner, job)) = self.waiting.take() else {
                return copies;
            };
            let used: HashSet<usize> = self
                .decoding
                .iter()
                .chain(&self.prefilling)
                .map(|row| row.slot)
                .collect();
            let slot = (0..self.slots)
                .find(|slot| !used.contains(slot))
                .expect("fewer rows than slots");
            let loan = self.library.lend(job.lendable());
            let past = loan.map_or(0, |loan| loan.length);
            copies.extend(loan.map(|loan| SlotCopy {
                from: loan.slot,
                to: slot,
                length: loan.length,
            }));
            self.reused += past as u64;
            self.prefilling.push(Row::new(owner, slot, job, past));
        }
    }

    /// Every second step belongs to the oldest prompt, so that none starves; the others to
    /// the one with the least to go, so that short ones do not wait for long ones.
    fn next_chunk(&self) -> Option<&Row> {
        if self.steps.is_multiple_of(2) {
            self.prefilling.first()
        } else {
            self.prefilling.iter().min_by_key(|row| row.left())
        }
    }

    /// Takes what the engine gave for a plan's runs.
    pub(crate) fn absorb(&mut self, plan: Plan, logits: Vec<Vec<f32>>) -> Vec<Outgoing> {
        let mut out = Vec::new();
        let size = self.vocabulary.size();
        for ((run, owner), logits) in plan.runs.iter().zip(plan.owners).zip(logits) {
            let decodes = self
                .decoding
                .iter()
                .position(|row| row.owner == owner)
                .map(|at| (true, at));
            let found = decodes.or_else(|| {
                let at = self.prefilling.iter().position(|row| row.owner == owner)?;
                Some((false, at))
            });
            // The owner has left: its logits belong to nobody.
            let Some((decodes, at)) = found else { continue };
            let row = if decodes {
                &mut self.decoding[at]
            } else {
                &mut self.prefilling[at]
            };
            let turn = row.absorb(run, &logits, size, self.vocabulary.as_ref(), &mut out);
            self.tokens += u64::from(turn.sampled());
            if !decodes && turn != Turn::Prefills {
                self.shelving.extend(shelve(&mut self.library, row));
            }
            match (turn, decodes) {
                (Turn::Decodes, false) => {
                    let row = self.prefilling.remove(at);
                    self.decoding.push(row);
                }
                (Turn::Ended { .. }, _) => {
                    let rows = if decodes {
                        &mut self.decoding
                    } else {
                        &mut self.prefilling
                    };
                    rows.remove(at);
                    self.alive.remove(&owner);
                }
                (Turn::Decodes, true) | (Turn::Prefills, _) => {}
            }
        }
        out
    }

    /// The engine failed: what was under way is lost. Those who wait keep their places.
    pub(crate) fn fail(&mut self, message: &str) -> Vec<Outgoing> {
        let rows = std::mem::take(&mut self.decoding)
            .into_iter()
            .chain(std::mem::take(&mut self.prefilling));
        self.library.forget();
        self.shelving.clear();
        let mut out = Vec::new();
        for row in rows {
            self.alive.remove(&row.owner);
            out.push(row.owner.says(FromWorker::Failed {
                id: row.owner.request,
                message: message.to_owned(),
            }));
        }
        out
    }
}

/// How a prompt that was just read gets onto a shelf.
fn shelve(library: &mut Library, row: &Row) -> Option<SlotCopy> {
    let Loan { slot, length } = library.keep(row.lendable())?;
    Some(SlotCopy {
        from: row.slot,
        to: slot,
        length,
    })
}

impl Owner {
    pub(crate) fn says(self, message: FromWorker) -> Outgoing {
        Outgoing {
            connection: self.connection,
            message,
        }
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
