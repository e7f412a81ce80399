//! What a decoder spends its time on, for this processor: linear layers, attention,
//! adapters. Pure computing over slices, without the runtime.
//!
//! Law of this floor: an output row is a function of its own input row (and of its own
//! slot's keys and values) alone, bit for bit, whoever else is computed beside it and
//! however the work is split. So every sum has one order, fixed by its own length.

pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
pub(crate) mod kv;
mod lanes;
pub(crate) mod linear;
pub(crate) mod lora;
mod portable;
mod quantise;
pub(crate) mod rotary;
pub(crate) mod rows;

use std::sync::{Mutex, PoisonError};

/// Threads that share a piece of work.
pub(crate) trait Team {
    /// How many work at once, at least one.
    fn members(&self) -> usize;

    /// Calls `work` once with each of `0..parts`, in any order, on any thread; returns when
    /// all are done.
    fn split(&self, parts: usize, work: &(dyn Fn(usize) + Sync));
}

/// One thread: the one that asks.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alone;

#[cfg(test)]
impl Team for Alone {
    fn members(&self) -> usize {
        1
    }

    fn split(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..parts).for_each(work);
    }
}

/// Calls `work` once for each item, shared among the team.
pub(crate) fn each<T: Send>(team: &dyn Team, items: &mut [T], work: impl Fn(&mut T) + Sync) {
    let items: Vec<Mutex<&mut T>> = items.iter_mut().map(Mutex::new).collect();
    team.split(items.len(), &|index| {
        // Each is locked once: the lock only proves that parts do not overlap.
        let mut item = items[index].lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut item);
    });
}

/// What a kernel was given does not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct KernelError(pub(crate) String);
