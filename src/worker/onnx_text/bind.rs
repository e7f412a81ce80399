//! Tensors over the engine's own memory, bound to a graph.
//!
//! `ort`'s safe binding copies borrowed tensors, which would copy keys, values and logits,
//! so the bindings are made through the C interface.

use std::{
    ffi::{CStr, CString},
    ptr,
};

use ort::{
    AsPointer,
    memory::MemoryInfo,
    session::{IoBinding, Session},
    value::{PrimitiveTensorElementType, Shape, TensorRefMut},
};

use super::failed;
use crate::worker::engine::EngineError;

/// A tensor over memory that is not its own.
///
/// # Safety
/// `data` must be valid for reads and writes of the shape's numbers for as long as the
/// runtime may use the tensor.
pub(super) unsafe fn tensor<T: PrimitiveTensorElementType + std::fmt::Debug>(
    data: *mut T,
    shape: &[i64],
) -> Result<TensorRefMut<'static, T>, EngineError> {
    // SAFETY: by this function's own contract; the memory is the CPU's.
    unsafe { tensor_in(MemoryInfo::default(), data, shape) }
}

/// A tensor over memory of a device.
///
/// # Safety
/// As for [`tensor`], on the device that `memory` names.
pub(super) unsafe fn tensor_in<T: PrimitiveTensorElementType + std::fmt::Debug>(
    memory: MemoryInfo<'_>,
    data: *mut T,
    shape: &[i64],
) -> Result<TensorRefMut<'static, T>, EngineError> {
    let shape = Shape::from(shape);
    // SAFETY: by this function's own contract.
    unsafe { TensorRefMut::from_raw(memory, data.cast(), shape) }.map_err(failed)
}

/// Binds a tensor to an input of the graph. The binding holds the runtime's value itself,
/// so the wrapper may go.
///
/// # Safety
/// The tensor's memory must be valid whenever the binding is run.
pub(super) unsafe fn bind_input<T: PrimitiveTensorElementType + std::fmt::Debug>(
    binding: &mut IoBinding,
    name: &str,
    tensor: &TensorRefMut<'_, T>,
) -> Result<(), EngineError> {
    // SAFETY: by this function's own contract.
    unsafe { bind(binding, ort::api().BindInput, &c_name(name)?, tensor) }
}

/// Binds a tensor to an output of the graph, as [`bind_input`] does.
///
/// # Safety
/// As for [`bind_input`].
pub(super) unsafe fn bind_output<T: PrimitiveTensorElementType + std::fmt::Debug>(
    binding: &mut IoBinding,
    name: &str,
    tensor: &TensorRefMut<'_, T>,
) -> Result<(), EngineError> {
    // SAFETY: by this function's own contract.
    unsafe { bind(binding, ort::api().BindOutput, &c_name(name)?, tensor) }
}

type Bind = unsafe extern "system" fn(
    *mut ort::sys::OrtIoBinding,
    *const std::ffi::c_char,
    *const ort::sys::OrtValue,
) -> ort::sys::OrtStatusPtr;

unsafe fn bind<T: PrimitiveTensorElementType + std::fmt::Debug>(
    binding: &mut IoBinding,
    function: Bind,
    name: &CStr,
    tensor: &TensorRefMut<'_, T>,
) -> Result<(), EngineError> {
    // SAFETY: all three are alive; the runtime copies the name and shares the value.
    unsafe {
        let status = function(binding.ptr_mut(), name.as_ptr(), tensor.ptr());
        ort::Error::result_from_status(status).map_err(failed)
    }
}

/// Runs a graph on what is bound to it.
///
/// # Safety
/// Every input and output must be bound to memory of its shape that is alive and that
/// nobody else touches meanwhile.
pub(super) unsafe fn run_bound(
    session: &mut Session,
    binding: &IoBinding,
) -> Result<(), EngineError> {
    let run = ort::api().RunWithBinding;
    // SAFETY: both objects are alive; the rest is this function's own contract.
    unsafe {
        let status = run(session.ptr().cast_mut(), ptr::null(), binding.ptr());
        ort::Error::result_from_status(status).map_err(failed)
    }
}

fn c_name(name: &str) -> Result<CString, EngineError> {
    CString::new(name).map_err(failed)
}
