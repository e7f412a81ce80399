//! The keys and values of every slot, in one block of memory that the runtime writes
//! in place.

use super::memory::Memory;
use crate::{models::import::Element, worker::engine::EngineError};

/// How numbers lie in the buffer: [tensors, slots, heads, capacity, head_dim], where the
/// tensors are each layer's keys and values in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct KvLayout {
    pub(super) element: Element,
    pub(super) tensors: usize,
    pub(super) slots: usize,
    pub(super) heads: usize,
    pub(super) capacity: usize,
    pub(super) head_dim: usize,
}

impl KvLayout {
    /// Bytes of the whole buffer.
    pub(super) fn bytes(&self) -> Result<usize, EngineError> {
        let Self {
            element,
            tensors,
            slots,
            heads,
            capacity,
            head_dim,
        } = *self;
        [slots, heads, capacity, head_dim, element.size()]
            .iter()
            .try_fold(tensors, |product, factor| product.checked_mul(*factor))
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .ok_or_else(|| EngineError("the KV buffer is too large".into()))
    }

    /// Bytes of one head of one slot.
    fn head(&self) -> usize {
        self.capacity * self.head_dim * self.element.size()
    }

    fn offset(&self, tensor: usize, slot: usize) -> usize {
        (tensor * self.slots + slot) * self.heads * self.head()
    }
}

/// Keys and values; zeroed at first.
pub(super) struct KvBuffer {
    memory: Memory,
    layout: KvLayout,
}

impl KvBuffer {
    /// The memory must have [`KvLayout::bytes`] bytes.
    pub(super) fn new(layout: KvLayout, memory: Memory) -> Self {
        Self { memory, layout }
    }

    pub(super) fn element(&self) -> Element {
        self.layout.element
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The part of a tensor that belongs to `rows` slots from `first`, and its shape.
    /// Valid as long as this value lives, also when it moves.
    pub(super) fn view(&self, tensor: usize, first: usize, rows: usize) -> (*mut u8, [i64; 4]) {
        let layout = &self.layout;
        assert!(tensor < layout.tensors && first + rows <= layout.slots);
        // SAFETY: by the assertion the offset lies inside the block.
        let start = unsafe { self.memory.start().add(layout.offset(tensor, first)) };
        let shape = [rows, layout.heads, layout.capacity, layout.head_dim];
        (start, shape.map(|size| size as i64))
    }

    /// Copies the first `length` tokens of slot `from` over those of slot `to`.
    pub(super) fn copy(
        &mut self,
        from: usize,
        to: usize,
        length: usize,
    ) -> Result<(), EngineError> {
        let layout = self.layout;
        assert!(from != to && from < layout.slots && to < layout.slots);
        assert!(length <= layout.capacity);
        let moves: Vec<_> = (0..layout.heads)
            .flat_map(|head| (0..layout.tensors).map(move |tensor| (tensor, head)))
            .map(|(tensor, head)| {
                let at = |slot| layout.offset(tensor, slot) + head * layout.head();
                (at(from), at(to))
            })
            .collect();
        let bytes = length * layout.head_dim * layout.element.size();
        // SAFETY: every range lies inside its slot, because `length` is at most `capacity`;
        // the slots differ, so they do not overlap; `&mut self` says that no run is in
        // progress.
        unsafe { self.memory.copy(&moves, bytes) }
    }
}
