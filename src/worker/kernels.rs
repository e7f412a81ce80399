//! What a decoder spends its time on, for this processor: linear layers, attention,
//! adapters. Pure computing over slices, without the runtime.
//!
//! Law of this floor: an output row is a function of its own input row (and of its own
//! slot's keys and values) alone, bit for bit, whoever else is computed beside it and
//! however the work is split. So every sum has one order, fixed by its own length.

#[cfg(target_arch = "x86_64")]
mod avx2;
pub(crate) mod linear;
mod portable;
mod quantise;

/// Threads that share a piece of work.
pub(crate) trait Team {
    /// How many work at once, at least one.
    fn members(&self) -> usize;

    /// Calls `work` once with each of `0..parts`, in any order, on any thread; returns when
    /// all are done.
    fn split(&self, parts: usize, work: &(dyn Fn(usize) + Sync));
}

/// One thread: the one that asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alone;

impl Team for Alone {
    fn members(&self) -> usize {
        1
    }

    fn split(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..parts).for_each(work);
    }
}
