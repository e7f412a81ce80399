//! Blocks of memory for keys and values: the processor's own, or a device's.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    path::Path,
    ptr::NonNull,
};

use ort::{
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{IoBinding, Session},
};

use super::{
    bind::{bind_input, bind_output, run_bound, tensor, tensor_in},
    failed,
};
use crate::{
    config::Device,
    models::import::copies,
    worker::{engine::EngineError, runtime},
};

/// Where the numbers start: on a cache line, for vector loads.
const ALIGNMENT: usize = 64;

/// What is asked of the allocator: beyond this it would zero the pages itself, and so
/// take the memory of every slot at once. The rest of [`ALIGNMENT`] is done by hand.
const GIVEN_ALIGNMENT: usize = 16;

/// A block of bytes that nobody else holds.
pub(super) enum Memory {
    Host(HostBlock),
    Device(Box<DeviceBlock>),
}

impl Memory {
    /// The first byte; whether the processor may follow it depends on the kind.
    pub(super) fn start(&self) -> *mut u8 {
        match self {
            Self::Host(block) => block.start.as_ptr(),
            Self::Device(block) => block.start.as_ptr(),
        }
    }

    /// What the runtime is to know about tensors in this block.
    pub(super) fn info(&self) -> Result<MemoryInfo<'static>, EngineError> {
        match self {
            Self::Host(_) => Ok(MemoryInfo::default()),
            Self::Device(block) => info(&block.device),
        }
    }

    /// Copies `length` bytes from each first offset to the second.
    ///
    /// # Safety
    /// All ranges must lie inside the block and no target overlap a source; no graph
    /// may be running on the block.
    pub(super) unsafe fn copy(
        &mut self,
        moves: &[(usize, usize)],
        length: usize,
    ) -> Result<(), EngineError> {
        if length == 0 {
            return Ok(());
        }
        match self {
            Self::Host(block) => {
                for (from, to) in moves {
                    // SAFETY: by this function's own contract.
                    unsafe {
                        let start = block.start.as_ptr();
                        std::ptr::copy_nonoverlapping(start.add(*from), start.add(*to), length);
                    }
                }
                Ok(())
            }
            // SAFETY: by this function's own contract.
            Self::Device(block) => unsafe { block.copy(moves, length) },
        }
    }
}

/// Fresh pages come zeroed from the operating system and cost memory only once they are
/// used.
pub(super) struct HostBlock {
    /// What the allocator gave, at most [`ALIGNMENT`] bytes before `start`.
    block: NonNull<u8>,
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block is owned by this value alone, and bytes may be used on any thread.
unsafe impl Send for HostBlock {}

impl HostBlock {
    pub(super) fn new(bytes: usize) -> Result<Self, EngineError> {
        let layout = Some(bytes)
            .filter(|bytes| *bytes > 0)
            .and_then(|bytes| bytes.checked_add(ALIGNMENT))
            .and_then(|bytes| Layout::from_size_align(bytes, GIVEN_ALIGNMENT).ok())
            .ok_or_else(|| EngineError("the KV buffer is empty or too large".into()))?;
        // SAFETY: the layout's size is not zero.
        let block = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(block) else {
            handle_alloc_error(layout)
        };
        // SAFETY: the block has `ALIGNMENT` bytes more than were asked for, and the offset
        // to the next multiple of it is less than that.
        let start = unsafe { block.add(block.align_offset(ALIGNMENT)) };
        Ok(Self {
            block,
            start,
            layout,
        })
    }
}

impl Drop for HostBlock {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed only here.
        unsafe { dealloc(self.block.as_ptr(), self.layout) }
    }
}

/// Memory from the allocator of a session's device. The processor may not follow pointers
/// into it, so a graph does the copying. (`CopyTensors` of the C interface knows only
/// devices of providers that are plugins of the environment; CUDA's is part of a session.)
///
/// Fields are dropped in this order: the binding points into the block.
pub(super) struct DeviceBlock {
    /// One lane per move that is made in one run.
    binding: IoBinding,
    copier: Session,
    lanes: usize,
    start: NonNull<u8>,
    bytes: usize,
    allocator: Allocator,
    device: AllocationDevice<'static>,
}

// SAFETY: the block is owned by this value alone; the pointer is only handed to the runtime,
// which may be called from any thread, one at a time: every use takes `&mut self`.
unsafe impl Send for DeviceBlock {}

/// The device's own memory.
fn info(device: &AllocationDevice<'static>) -> Result<MemoryInfo<'static>, EngineError> {
    MemoryInfo::new(
        device.clone(),
        0,
        AllocatorType::Device,
        MemoryType::Default,
    )
    .map_err(failed)
}

impl DeviceBlock {
    /// Zeroed memory on the device that `session` runs on; `lanes` moves are made at once.
    pub(super) fn new(
        library: &Path,
        session: &Session,
        on: Device,
        bytes: usize,
        lanes: usize,
    ) -> Result<Self, EngineError> {
        if bytes == 0 || lanes == 0 {
            return Err(EngineError("the KV buffer is empty".into()));
        }
        let device = match on {
            Device::Cpu => AllocationDevice::CPU,
            Device::Cuda => AllocationDevice::CUDA,
        };
        let copier = runtime::session_of(library, &copies::model(lanes), on)?;
        let binding = copier.create_binding().map_err(failed)?;
        let allocator = Allocator::new(session, info(&device)?).map_err(failed)?;
        let start = allocator.alloc::<u8>(bytes).map_err(failed)?.into_raw();
        let start = NonNull::new(start.cast())
            .ok_or_else(|| EngineError("the device gave no memory".into()))?;
        let mut block = Self {
            binding,
            copier,
            lanes,
            start,
            bytes,
            allocator,
            device,
        };
        block.zero()?;
        Ok(block)
    }

    /// A kernel may multiply by nought what it masks, and what lay in the memory before may
    /// be no number. The first part comes from the processor's zeros, the rest from it.
    fn zero(&mut self) -> Result<(), EngineError> {
        const PART: usize = 1 << 22;
        let first = self.bytes.min(PART);
        let mut zeros = vec![0_u8; first];
        // SAFETY: zeros and scratch outlive the run, and whoever runs the copier again binds
        // every lane anew first. The first part lies inside the block, which nobody else
        // knows of yet. The other lanes, which must be bound too, copy a byte each.
        unsafe {
            let source = tensor(zeros.as_mut_ptr(), &[first as i64])?;
            let target = self.part(0, first)?;
            bind_input(&mut self.binding, &copies::from(0), &source)?;
            bind_output(&mut self.binding, &copies::to(0), &target)?;
            let mut scratch = vec![0_u8; self.lanes];
            for lane in 1..self.lanes {
                let source = tensor(zeros.as_mut_ptr(), &[1])?;
                let target = tensor(scratch.as_mut_ptr().add(lane), &[1])?;
                bind_input(&mut self.binding, &copies::from(lane), &source)?;
                bind_output(&mut self.binding, &copies::to(lane), &target)?;
            }
            run_bound(&mut self.copier, &self.binding)?;
        }
        let mut done = first;
        while done < self.bytes {
            let length = first.min(self.bytes - done);
            let count = ((self.bytes - done) / length).min(self.lanes);
            let moves: Vec<_> = (0..count).map(|at| (0, done + at * length)).collect();
            // SAFETY: the ranges lie inside the block, none begins before the end of the
            // first part, and no graph runs.
            unsafe { self.copy(&moves, length)? };
            done += count * length;
        }
        Ok(())
    }

    /// # Safety
    /// The range must lie inside the block.
    unsafe fn part(
        &self,
        offset: usize,
        length: usize,
    ) -> Result<ort::value::TensorRefMut<'static, u8>, EngineError> {
        // SAFETY: by this function's own contract; the memory is the device's.
        unsafe {
            let start = self.start.as_ptr().add(offset);
            tensor_in(info(&self.device)?, start, &[length as i64])
        }
    }

    /// # Safety
    /// As [`Memory::copy`]'s.
    unsafe fn copy(&mut self, moves: &[(usize, usize)], length: usize) -> Result<(), EngineError> {
        for moves in moves.chunks(self.lanes) {
            for lane in 0..self.lanes {
                // Lanes that are left over make the last move again: the same bytes.
                let Some((from, to)) = moves.get(lane).or(moves.last()) else {
                    return Ok(());
                };
                // SAFETY: the ranges lie inside the block and do not overlap.
                unsafe {
                    let (source, target) = (self.part(*from, length)?, self.part(*to, length)?);
                    bind_input(&mut self.binding, &copies::from(lane), &source)?;
                    bind_output(&mut self.binding, &copies::to(lane), &target)?;
                }
            }
            // SAFETY: every lane was just bound to memory that is alive; no graph runs on
            // the block, by this function's contract. A run ends when the device has ended.
            unsafe { run_bound(&mut self.copier, &self.binding)? };
        }
        Ok(())
    }
}

impl Drop for DeviceBlock {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` by this allocator, and freed only here; what is bound
        // to it is never run again.
        unsafe { self.allocator.free(self.start.as_ptr()) }
    }
}
