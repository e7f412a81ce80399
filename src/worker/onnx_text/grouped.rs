//! The graph with the runtime's `GroupQueryAttention`, its KV buffer, and the bindings
//! between them: what GPUs compute. Rows of one token each decode together while they sit
//! in neighbouring slots; longer runs are computed one by one.

use std::{collections::HashMap, path::Path};

use half::{bf16, f16};
use ort::{
    session::{IoBinding, Session},
    value::PrimitiveTensorElementType,
};

use super::{
    Capacity,
    bind::{bind_input, bind_output, run_bound, tensor, tensor_in},
    failed,
    kv::{KvBuffer, KvLayout},
    memory::{DeviceBlock, HostBlock, Memory},
};
use crate::{
    config::Device,
    models::import::{DecoderShape, Element, names},
    worker::{
        engine::{EngineError, Run, Want},
        runtime,
    },
};

/// What one run computes, with B rows of S tokens.
struct Pass {
    first_slot: usize,
    rows: usize,
    /// B·S tokens, row after row.
    ids: Vec<i64>,
    /// Per row: tokens it holds after this run, minus one.
    last_positions: Vec<i32>,
    /// Positions in `ids` whose logits are wanted.
    asked: Vec<i64>,
}

/// Names of one tensor's past and present.
struct KvNames {
    past: String,
    present: String,
}

/// Whose memory keys and values lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The process's own.
    Host,
    /// What the runtime's allocator for the device gives.
    Device,
}

impl From<Device> for Keep {
    fn from(device: Device) -> Self {
        match device {
            Device::Cpu => Self::Host,
            // From elsewhere the runtime would copy all of it for every run, and append
            // to the copy.
            Device::Cuda => Self::Device,
        }
    }
}

/// A graph that is ready to run. The fields are dropped in this order: the bindings
/// point into the buffer, and its memory may come from the session's device.
pub(super) struct Grouped {
    /// By (first slot, rows): the KV part never changes, and making it anew for each
    /// step would cost a third of the speed of a single stream.
    bindings: HashMap<(usize, usize), IoBinding>,
    kv: KvBuffer,
    session: Session,
    kv_names: Vec<KvNames>,
    vocabulary: usize,
}

impl Grouped {
    pub(super) fn open(
        library: &Path,
        graph: &Path,
        shape: &DecoderShape,
        element: Element,
        capacity: Capacity,
        (device, keep): (Device, Keep),
    ) -> Result<Self, EngineError> {
        let session = runtime::session_on(library, graph, capacity.threads, device)?;
        let mut kv_names = Vec::with_capacity(2 * shape.layers);
        for layer in 0..shape.layers {
            kv_names.push(KvNames {
                past: names::past_key(layer),
                present: names::present_key(layer),
            });
            kv_names.push(KvNames {
                past: names::past_value(layer),
                present: names::present_value(layer),
            });
        }
        let layout = KvLayout {
            element,
            tensors: kv_names.len(),
            slots: capacity.slots,
            heads: shape.kv_heads,
            capacity: capacity.context,
            head_dim: shape.head_dim,
        };
        let bytes = layout.bytes()?;
        let memory = match keep {
            Keep::Host => Memory::Host(HostBlock::new(bytes)?),
            Keep::Device => {
                let lanes = layout.tensors;
                let block = DeviceBlock::new(library, &session, device, bytes, lanes)?;
                Memory::Device(Box::new(block))
            }
        };
        Ok(Self {
            bindings: HashMap::new(),
            kv: KvBuffer::new(layout, memory),
            session,
            kv_names,
            vocabulary: shape.vocabulary,
        })
    }

    /// Copies the first `length` tokens of slot `from` over those of slot `to`.
    pub(super) fn copy_slot(
        &mut self,
        from: usize,
        to: usize,
        length: usize,
    ) -> Result<(), EngineError> {
        self.kv.copy(from, to, length)
    }

    /// Computes all runs; gives the asked logits of each.
    pub(super) fn step(&mut self, runs: &[Run]) -> Result<Vec<Vec<f32>>, EngineError> {
        // A row of the buffer is found by its slot, so only neighbours decode together.
        let decodes = runs
            .iter()
            .enumerate()
            .take_while(|(index, run)| run.slot == *index && run.tokens.len() == 1)
            .count();
        let mut results = Vec::with_capacity(runs.len());
        if decodes > 0 {
            results.extend(self.pass(&runs[..decodes])?);
        }
        for run in &runs[decodes..] {
            results.extend(self.pass(std::slice::from_ref(run))?);
        }
        Ok(results)
    }

    /// Computes runs of the same length in neighbouring slots at once.
    fn pass(&mut self, runs: &[Run]) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut pass = Pass {
            first_slot: runs[0].slot,
            rows: runs.len(),
            ids: Vec::new(),
            last_positions: Vec::with_capacity(runs.len()),
            asked: Vec::new(),
        };
        let mut counts = Vec::with_capacity(runs.len());
        for run in runs {
            let start = pass.ids.len() as i64;
            pass.ids
                .extend(run.tokens.iter().map(|token| i64::from(*token)));
            let end = pass.ids.len() as i64;
            let asked = match run.want {
                Want::None => end..end,
                Want::Last => end - 1..end,
                Want::All => start..end,
            };
            counts.push((asked.end - asked.start) as usize);
            pass.asked.extend(asked);
            let last = i32::try_from(run.past + run.tokens.len() - 1).map_err(failed)?;
            pass.last_positions.push(last);
        }
        let mut logits = self.run(pass)?;
        if runs.len() == 1 {
            return Ok(vec![logits]);
        }
        let rows = counts.into_iter().map(|count| {
            let rest = logits.split_off(count * self.vocabulary);
            std::mem::replace(&mut logits, rest)
        });
        Ok(rows.collect())
    }

    /// Runs the graph; gives the asked logits, row after row.
    fn run(&mut self, mut pass: Pass) -> Result<Vec<f32>, EngineError> {
        let key = (pass.first_slot, pass.rows);
        if !self.bindings.contains_key(&key) {
            let binding = self.bind_kv(pass.first_slot, pass.rows)?;
            self.bindings.insert(key, binding);
        }
        let binding = self.bindings.get_mut(&key).expect("it was just put there");

        let rows = pass.rows as i64;
        let tokens = pass.ids.len() as i64 / rows;
        let longest = pass.last_positions.iter().max().map_or(0, |last| last + 1);
        let mut total = [longest];
        let wanted = pass.asked.len();
        if pass.asked.is_empty() {
            // Some operators refuse empty tensors: ask for one row and drop it.
            pass.asked.push(0);
        }
        let asked = pass.asked.len();
        let mut logits = vec![0.0_f32; asked * self.vocabulary];

        // SAFETY: the five blocks outlive this call. The binding keeps their addresses
        // after it, but nothing reads them: every run goes through here and binds all
        // five anew first.
        unsafe {
            let ids = tensor(pass.ids.as_mut_ptr(), &[rows, tokens])?;
            bind_input(binding, names::INPUT_IDS, &ids)?;
            let last = tensor(pass.last_positions.as_mut_ptr(), &[rows])?;
            bind_input(binding, names::SEQLENS_K, &last)?;
            let total = tensor(total.as_mut_ptr(), &[1])?;
            bind_input(binding, names::TOTAL_SEQUENCE_LENGTH, &total)?;
            let indices = tensor(pass.asked.as_mut_ptr(), &[asked as i64])?;
            bind_input(binding, names::LOGIT_IDX, &indices)?;
            let shape = [asked as i64, self.vocabulary as i64];
            let out = tensor(logits.as_mut_ptr(), &shape)?;
            bind_output(binding, names::LOGITS, &out)?;
        }
        // SAFETY: everything is bound to memory of its shape that is alive; `&mut self` says
        // that no other run is in progress, so nobody else touches the KV buffer.
        unsafe { run_bound(&mut self.session, binding)? };
        logits.truncate(wanted * self.vocabulary);
        Ok(logits)
    }

    fn bind_kv(&self, first: usize, rows: usize) -> Result<IoBinding, EngineError> {
        let mut binding = self.session.create_binding().map_err(failed)?;
        for index in 0..self.kv_names.len() {
            match self.kv.element() {
                Element::Fp32 => self.bind_tensor::<f32>(&mut binding, index, first, rows)?,
                Element::Fp16 => self.bind_tensor::<f16>(&mut binding, index, first, rows)?,
                Element::Bf16 => self.bind_tensor::<bf16>(&mut binding, index, first, rows)?,
            }
        }
        Ok(binding)
    }

    /// `T` is the buffer's element.
    fn bind_tensor<T: PrimitiveTensorElementType + std::fmt::Debug>(
        &self,
        binding: &mut IoBinding,
        index: usize,
        first: usize,
        rows: usize,
    ) -> Result<(), EngineError> {
        let names = &self.kv_names[index];
        let (start, shape) = self.kv.view(index, first, rows);
        let info = self.kv.memory().info()?;
        // SAFETY: the view lies in the KV buffer, which is dropped after the bindings, and
        // on the device that its memory says. It starts at a multiple of the element's
        // size, because the block does and the offset counts elements. One value for past
        // and present: the operator then appends in place, as its contract for a shared
        // buffer says.
        unsafe {
            let value = tensor_in(info, start.cast::<T>(), &shape)?;
            bind_input(binding, &names.past, &value)?;
            bind_output(binding, &names.present, &value)
        }
    }
}
