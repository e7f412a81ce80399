//! One graph, one KV buffer, and the bindings between them.
//!
//! `ort`'s safe binding copies borrowed tensors, which would copy the KV buffer, so the
//! bindings are made through the C interface, with the same memory as past and present.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    fmt::Display,
    ptr,
};

use ort::{
    AsPointer,
    memory::MemoryInfo,
    session::{IoBinding, Session},
    value::{PrimitiveTensorElementType, Shape, TensorRefMut},
};

use super::kv::KvBuffer;
use crate::{
    models::import::{DecoderShape, names},
    worker::engine::EngineError,
};

/// What one run computes, with B rows of S tokens.
pub(super) struct Pass {
    pub(super) first_slot: usize,
    pub(super) rows: usize,
    /// B·S tokens, row after row.
    pub(super) ids: Vec<i64>,
    /// Per row: tokens it holds after this run, minus one.
    pub(super) last_positions: Vec<i32>,
    /// Positions in `ids` whose logits are wanted.
    pub(super) asked: Vec<i64>,
}

/// Names of one tensor's past and present.
struct KvNames {
    past: CString,
    present: CString,
}

/// A graph that is ready to run. The fields are dropped in this order: the bindings
/// point into the buffer.
pub(super) struct Graph {
    /// By (first slot, rows): the KV part never changes, and making it anew for each
    /// step would cost a third of the speed of a single stream.
    bindings: HashMap<(usize, usize), IoBinding>,
    session: Session,
    kv: KvBuffer,
    kv_names: Vec<KvNames>,
    vocabulary: usize,
}

impl Graph {
    pub(super) fn new(
        session: Session,
        shape: &DecoderShape,
        slots: usize,
        capacity: usize,
    ) -> Result<Self, EngineError> {
        let c_name = |name: String| CString::new(name).map_err(failed);
        let mut kv_names = Vec::with_capacity(2 * shape.layers);
        for layer in 0..shape.layers {
            kv_names.push(KvNames {
                past: c_name(names::past_key(layer))?,
                present: c_name(names::present_key(layer))?,
            });
            kv_names.push(KvNames {
                past: c_name(names::past_value(layer))?,
                present: c_name(names::present_value(layer))?,
            });
        }
        Ok(Self {
            bindings: HashMap::new(),
            session,
            kv: KvBuffer::new(
                kv_names.len(),
                slots,
                shape.kv_heads,
                capacity,
                shape.head_dim,
            )?,
            kv_names,
            vocabulary: shape.vocabulary,
        })
    }

    /// Copies the first `length` tokens of slot `from` over those of slot `to`.
    pub(super) fn copy_slot(&mut self, from: usize, to: usize, length: usize) {
        self.kv.copy(from, to, length);
    }

    /// Runs the graph; gives the asked logits, row after row.
    pub(super) fn run(&mut self, mut pass: Pass) -> Result<Vec<f32>, EngineError> {
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
            bind(binding, INPUT, &c_str(names::INPUT_IDS), &ids)?;
            let last = tensor(pass.last_positions.as_mut_ptr(), &[rows])?;
            bind(binding, INPUT, &c_str(names::SEQLENS_K), &last)?;
            let total = tensor(total.as_mut_ptr(), &[1])?;
            bind(binding, INPUT, &c_str(names::TOTAL_SEQUENCE_LENGTH), &total)?;
            let indices = tensor(pass.asked.as_mut_ptr(), &[asked as i64])?;
            bind(binding, INPUT, &c_str(names::LOGIT_IDX), &indices)?;
            let shape = [asked as i64, self.vocabulary as i64];
            let out = tensor(logits.as_mut_ptr(), &shape)?;
            bind(binding, OUTPUT, &c_str(names::LOGITS), &out)?;
        }
        // SAFETY: both objects are alive; every input and output is bound to memory of
        // its shape that is alive; `&mut self` says that no other run is in progress, so
        // nobody else touches the KV buffer.
        unsafe {
            let run = ort::api().RunWithBinding;
            let status = run(self.session.ptr().cast_mut(), ptr::null(), binding.ptr());
            ort::Error::result_from_status(status).map_err(failed)?;
        }
        logits.truncate(wanted * self.vocabulary);
        Ok(logits)
    }

    fn bind_kv(&self, first: usize, rows: usize) -> Result<IoBinding, EngineError> {
        let mut binding = self.session.create_binding().map_err(failed)?;
        for (index, names) in self.kv_names.iter().enumerate() {
            let (start, shape) = self.kv.view(index, first, rows);
            // SAFETY: the view lies in the KV buffer, which is dropped after the
            // bindings. One value for past and present: the operator then appends in
            // place, as its contract for a shared buffer says.
            unsafe {
                let value = tensor(start, &shape)?;
                bind(&mut binding, INPUT, &names.past, &value)?;
                bind(&mut binding, OUTPUT, &names.present, &value)?;
            }
        }
        Ok(binding)
    }
}

const INPUT: bool = true;
const OUTPUT: bool = false;

/// A tensor over memory that is not its own.
///
/// # Safety
/// `data` must be valid for reads and writes of the shape's numbers for as long as the
/// runtime may use the tensor.
unsafe fn tensor<T: PrimitiveTensorElementType + std::fmt::Debug>(
    data: *mut T,
    shape: &[i64],
) -> Result<TensorRefMut<'static, T>, EngineError> {
    let shape = Shape::from(shape);
    // SAFETY: by this function's own contract; the memory is the CPU's.
    unsafe { TensorRefMut::from_raw(MemoryInfo::default(), data.cast(), shape) }.map_err(failed)
}

/// Binds a tensor to an input or output of the graph. The binding holds the runtime's
/// value itself, so the wrapper may go.
///
/// # Safety
/// The tensor's memory must be valid whenever the binding is run.
unsafe fn bind<T: PrimitiveTensorElementType + std::fmt::Debug>(
    binding: &mut IoBinding,
    input: bool,
    name: &CStr,
    tensor: &TensorRefMut<'_, T>,
) -> Result<(), EngineError> {
    let api = ort::api();
    let function = if input { api.BindInput } else { api.BindOutput };
    // SAFETY: all three are alive; the runtime copies the name and shares the value.
    unsafe {
        let status = function(binding.ptr_mut(), name.as_ptr(), tensor.ptr());
        ort::Error::result_from_status(status).map_err(failed)
    }
}

fn c_str(name: &str) -> CString {
    CString::new(name).expect("the graph's names contain no zero byte")
}

pub(super) fn failed(error: impl Display) -> EngineError {
    EngineError(error.to_string())
}
