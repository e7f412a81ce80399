//! The keys and values of every slot, in one block of memory that the runtime writes
//! in place.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ptr::NonNull,
};

use crate::worker::engine::EngineError;

/// Where the floats start: on a cache line, for vector loads.
const ALIGNMENT: usize = 64;

/// What is asked of the allocator: beyond this it would zero the pages itself, and so
/// take the memory of every slot at once. The rest of [`ALIGNMENT`] is done by hand.
const GIVEN_ALIGNMENT: usize = 16;

/// Floats laid out [tensors, slots, heads, capacity, head_dim], where the tensors are
/// each layer's keys and values in turn.
///
/// Fresh pages come zeroed from the operating system and cost memory only once a slot
/// uses them.
pub(super) struct KvBuffer {
    /// What the allocator gave, at most [`ALIGNMENT`] bytes before `start`.
    block: NonNull<u8>,
    start: NonNull<f32>,
    layout: Layout,
    tensors: usize,
    slots: usize,
    heads: usize,
    capacity: usize,
    head_dim: usize,
}

// SAFETY: the block is owned by this value alone, and floats may be used on any thread.
unsafe impl Send for KvBuffer {}

impl KvBuffer {
    pub(super) fn new(
        tensors: usize,
        slots: usize,
        heads: usize,
        capacity: usize,
        head_dim: usize,
    ) -> Result<Self, EngineError> {
        let layout = [slots, heads, capacity, head_dim, size_of::<f32>()]
            .iter()
            .try_fold(tensors, |product, factor| product.checked_mul(*factor))
            .filter(|bytes| *bytes > 0)
            .and_then(|bytes| bytes.checked_add(ALIGNMENT))
            .and_then(|bytes| Layout::from_size_align(bytes, GIVEN_ALIGNMENT).ok())
            .ok_or_else(|| EngineError("the KV buffer is empty or too large".into()))?;
        // SAFETY: the layout's size is not zero.
        let block = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(block) else {
            handle_alloc_error(layout)
        };
        // SAFETY: the block has `ALIGNMENT` bytes more than the floats need, and the
        // offset to the next multiple of it is less than that.
        let start = unsafe { block.add(block.align_offset(ALIGNMENT)) }.cast();
        Ok(Self {
            block,
            start,
            layout,
            tensors,
            slots,
            heads,
            capacity,
            head_dim,
        })
    }

    /// [heads, capacity, head_dim] of one slot, in numbers.
    fn slot_length(&self) -> usize {
        self.heads * self.capacity * self.head_dim
    }

    /// The part of a tensor that belongs to `rows` slots from `first`, and its shape.
    /// Valid as long as this value lives, also when it moves.
    pub(super) fn view(&self, tensor: usize, first: usize, rows: usize) -> (*mut f32, [i64; 4]) {
        assert!(tensor < self.tensors && first + rows <= self.slots);
        let offset = (tensor * self.slots + first) * self.slot_length();
        // SAFETY: by the assertion the offset lies inside the block.
        let start = unsafe { self.start.as_ptr().add(offset) };
        let shape = [rows, self.heads, self.capacity, self.head_dim].map(|size| size as i64);
        (start, shape)
    }

    /// Copies the first `length` tokens of slot `from` over those of slot `to`.
    pub(super) fn copy(&mut self, from: usize, to: usize, length: usize) {
        assert!(from != to && length <= self.capacity);
        for tensor in 0..self.tensors {
            let (source, _) = self.view(tensor, from, 1);
            let (target, _) = self.view(tensor, to, 1);
            for head in 0..self.heads {
                let offset = head * self.capacity * self.head_dim;
                // SAFETY: both ranges lie inside their slot, because `length` is at most
                // `capacity`; the slots differ, so they do not overlap; `&mut self`
                // says that no run is in progress.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        source.add(offset),
                        target.add(offset),
                        length * self.head_dim,
                    );
                }
            }
        }
    }
}

impl Drop for KvBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed only here.
        unsafe { dealloc(self.block.as_ptr(), self.layout) }
    }
}
