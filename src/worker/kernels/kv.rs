//! The keys and values of every slot, as halves, in one block of memory.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ptr::NonNull,
    sync::{Mutex, MutexGuard, PoisonError},
};

use half::f16;

use super::KernelError;

/// Where the numbers start: on a cache line, for vector loads.
const ALIGNMENT: usize = 64;

/// What is asked of the allocator: beyond this it would zero the pages itself, and so
/// take the memory of every slot at once. The rest of [`ALIGNMENT`] is done by hand.
const GIVEN_ALIGNMENT: usize = 16;

/// Positions whose keys lie side by side.
pub(super) const SIDE: usize = 16;

/// Halves (IEEE 754 binary16) laid out [layer, key or value, slot, head, capacity, head
/// dimension], where the capacity is rounded up to whole [`SIDE`]s and each [`SIDE`]
/// positions of keys are turned to [head dimension, position]: so a vector holds one
/// dimension of many keys, and their products with a query need no sum across lanes.
///
/// Fresh pages come zeroed from the operating system and cost memory only once a slot
/// uses them. Numbers beyond what a half can hold are held as its largest.
pub(crate) struct KvStore {
    /// What the allocator gave, at most [`ALIGNMENT`] bytes before `start`.
    block: NonNull<u8>,
    start: NonNull<u16>,
    layout: Layout,
    layers: usize,
    slots: usize,
    kv_heads: usize,
    capacity: usize,
    head_dim: usize,
    /// Held by whoever reads or writes through a shared reference.
    turn: Mutex<()>,
}

// SAFETY: the block is owned by this value alone, and numbers may be used on any thread.
unsafe impl Send for KvStore {}
// SAFETY: through a shared reference the block is touched only by `unsafe` functions that
// ask for the turn, and for disjoint places among the threads of its holder.
unsafe impl Sync for KvStore {}

impl KvStore {
    /// An empty store of `slots` sequences of at most `capacity` tokens.
    ///
    /// # Errors
    /// When a size is zero, the head dimension is not a multiple of 8, or the whole is
    /// larger than an address.
    pub(crate) fn new(
        layers: usize,
        slots: usize,
        kv_heads: usize,
        capacity: usize,
        head_dim: usize,
    ) -> Result<Self, KernelError> {
        if !head_dim.is_multiple_of(8) {
            return Err(KernelError(format!(
                "heads of {head_dim} numbers, which are not whole vectors of 8"
            )));
        }
        let layout = capacity
            .checked_next_multiple_of(SIDE)
            .and_then(|capacity| {
                [2, slots, kv_heads, capacity, head_dim, size_of::<u16>()]
                    .iter()
                    .try_fold(layers, |product, factor| product.checked_mul(*factor))
            })
            .filter(|bytes| *bytes > 0)
            .and_then(|bytes| bytes.checked_add(ALIGNMENT))
            .and_then(|bytes| Layout::from_size_align(bytes, GIVEN_ALIGNMENT).ok())
            .ok_or_else(|| KernelError("the store of keys is empty or too large".into()))?;
        // SAFETY: the layout's size is not zero.
        let block = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(block) else {
            handle_alloc_error(layout)
        };
        // SAFETY: the block has `ALIGNMENT` bytes more than the numbers need, and the
        // offset to the next multiple of it is less than that.
        let start = unsafe { block.add(block.align_offset(ALIGNMENT)) }.cast();
        Ok(Self {
            block,
            start,
            layout,
            layers,
            slots,
            kv_heads,
            capacity,
            head_dim,
            turn: Mutex::default(),
        })
    }

    /// Copies the first `length` tokens of slot `from` over those of slot `to`, which also
    /// loses up to 15 tokens behind them.
    pub(crate) fn copy(&mut self, from: usize, to: usize, length: usize) {
        assert!(from != to && length <= self.capacity);
        let numbers = length.next_multiple_of(SIDE) * self.head_dim;
        for layer in 0..self.layers {
            for head in 0..self.kv_heads {
                for start in [Self::keys, Self::values] {
                    let source = start(self, layer, from, head);
                    let target = start(self, layer, to, head);
                    // SAFETY: both ranges lie inside their slot's head, because `length`
                    // is at most the capacity, which is held in whole sides; the slots
                    // differ, so they do not overlap; `&mut self` says that nobody else
                    // reads or writes.
                    unsafe { std::ptr::copy_nonoverlapping(source, target, numbers) };
                }
            }
        }
    }

    /// Waits until nobody else uses the store through a shared reference.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        // A panic of another holder leaves numbers, not rules, half done.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tokens a slot can hold.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sizes that a caller's must match: layers, slots, heads of keys, head dimension.
    pub(super) fn shape(&self) -> [usize; 4] {
        [self.layers, self.slots, self.kv_heads, self.head_dim]
    }

    fn head(&self, layer: usize, kind: usize, slot: usize, head: usize) -> *mut u16 {
        assert!(layer < self.layers && slot < self.slots && head < self.kv_heads);
        let index = ((layer * 2 + kind) * self.slots + slot) * self.kv_heads + head;
        let offset = index * self.capacity.next_multiple_of(SIDE) * self.head_dim;
        // SAFETY: by the assertion the offset lies inside the block.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// The keys of one head of a slot: [position / side, head dimension, side].
    pub(super) fn keys(&self, layer: usize, slot: usize, head: usize) -> *mut u16 {
        self.head(layer, 0, slot, head)
    }

    /// The values of one head of a slot: [position, head dimension].
    pub(super) fn values(&self, layer: usize, slot: usize, head: usize) -> *mut u16 {
        self.head(layer, 1, slot, head)
    }

    /// Holds a token's key and value for one head.
    ///
    /// # Safety
    /// The caller holds the turn, and no other thread reads or writes this very place.
    pub(super) unsafe fn write(
        &self,
        layer: usize,
        [slot, head, position]: [usize; 3],
        key: &[f16],
        value: &[f16],
    ) {
        assert!(position < self.capacity);
        assert!(key.len() == self.head_dim && value.len() == self.head_dim);
        let side = position / SIDE * SIDE * self.head_dim + position % SIDE;
        let (keys, values) = (self.keys(layer, slot, head), self.values(layer, slot, head));
        for (dimension, bits) in key.iter().enumerate() {
            // SAFETY: inside the head by the assertions; ours alone as the caller says.
            unsafe { keys.add(side + dimension * SIDE).write(bits.to_bits()) };
        }
        // SAFETY: as above; a half is its bits.
        unsafe {
            let target = values.add(position * self.head_dim);
            std::ptr::copy_nonoverlapping(value.as_ptr().cast(), target, self.head_dim);
        }
    }
}

impl Drop for KvStore {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed only here.
        unsafe { dealloc(self.block.as_ptr(), self.layout) }
    }
}
