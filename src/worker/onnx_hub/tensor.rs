//! Values of the runtime as rows need them: made, cut, read.

use std::sync::Arc;

use ort::{
    memory::Allocator,
    value::{DynTensor, DynValue, Tensor, TensorElementType},
};

use super::failed;
use crate::{
    models::hub_export::layout::{CacheTensor, Element, Whole},
    worker::engine::EngineError,
};

fn element_type(element: Element) -> TensorElementType {
    match element {
        Element::Float => TensorElementType::Float32,
        Element::Half => TensorElementType::Float16,
        Element::Int32 => TensorElementType::Int32,
        Element::Int64 => TensorElementType::Int64,
        Element::Bool => TensorElementType::Bool,
    }
}

/// Whole numbers as an input wants them: of its type, and in a batch of one where it has
/// rows.
pub(super) fn whole(input: Whole, numbers: Vec<i64>) -> Result<DynValue, EngineError> {
    let count = numbers.len();
    let shape = match input.rank {
        0 => vec![],
        1 => vec![count],
        _ => vec![1, count],
    };
    Ok(match input.element {
        Element::Int32 => {
            let numbers: Result<Vec<i32>, _> = numbers.into_iter().map(i32::try_from).collect();
            let numbers = numbers.map_err(failed)?;
            Tensor::from_array((shape, numbers))
                .map_err(failed)?
                .into_dyn()
        }
        _ => Tensor::from_array((shape, numbers))
            .map_err(failed)?
            .into_dyn(),
    })
}

/// One truth value, as `use_cache_branch` has it.
pub(super) fn flag(value: bool) -> Result<DynValue, EngineError> {
    let tensor = Tensor::from_array((vec![1], vec![value])).map_err(failed)?;
    Ok(tensor.into_dyn())
}

/// A cache of no tokens.
pub(super) fn empty(tensor: &CacheTensor) -> Result<Arc<DynTensor>, EngineError> {
    let value = DynTensor::new(
        &Allocator::default(),
        element_type(tensor.element),
        tensor.shape(0),
    );
    Ok(Arc::new(value.map_err(failed)?))
}

/// Refuses a cache that has not the shape that its next use counts on.
pub(super) fn check(
    tensor: &CacheTensor,
    value: &DynTensor,
    tokens: usize,
) -> Result<(), EngineError> {
    let wanted = tensor.shape(tokens);
    let shape: &[i64] = value.shape();
    if *value.data_type() != element_type(tensor.element) || *shape != *wanted {
        return Err(EngineError(format!(
            "{} came out as {shape:?} of {} where {wanted:?} belong",
            tensor.present,
            value.data_type()
        )));
    }
    Ok(())
}

/// The first `keep` of a cache's `held` tokens.
pub(super) fn truncated(
    tensor: &CacheTensor,
    value: &DynTensor,
    held: usize,
    keep: usize,
) -> Result<Arc<DynTensor>, EngineError> {
    check(tensor, value, held)?;
    if keep > held {
        return Err(EngineError(format!("{keep} tokens of a cache of {held}")));
    }
    let mut cut = DynTensor::new(
        &Allocator::default(),
        element_type(tensor.element),
        tensor.shape(keep),
    )
    .map_err(failed)?;
    if keep == 0 {
        return Ok(Arc::new(cut));
    }
    let (before, after) = tensor.dims.split_at(tensor.sequence);
    let blocks: usize = before.iter().product();
    let token = after[1..].iter().product::<usize>() * tensor.element.size();
    let (from, to) = (
        value.data_ptr().cast::<u8>(),
        cut.data_ptr_mut().cast::<u8>(),
    );
    for block in 0..blocks {
        // SAFETY: `check` made sure that `value` has `blocks · held · token` bytes of this
        // type, and `cut` was made with `blocks · keep · token`; `keep` is at most `held`;
        // both are the CPU's, initialised, and different allocations.
        unsafe {
            std::ptr::copy_nonoverlapping(
                from.add(block * held * token),
                to.add(block * keep * token),
                keep * token,
            );
        }
    }
    Ok(Arc::new(cut))
}

/// The last `rows` rows of logits `[1, tokens, vocabulary]`, as 32-bit floats.
pub(super) fn last_rows(
    logits: &DynTensor,
    rows: usize,
    vocabulary: usize,
) -> Result<Vec<f32>, EngineError> {
    let shape: &[i64] = logits.shape();
    let tokens = match *shape {
        [1, tokens, length] if usize::try_from(length) == Ok(vocabulary) => usize::try_from(tokens)
            .ok()
            .filter(|tokens| *tokens >= rows),
        _ => None,
    };
    let tokens = tokens.ok_or_else(|| {
        EngineError(format!(
            "logits of shape {shape:?} where {rows} rows of {vocabulary} are wanted"
        ))
    })?;
    let (skip, count) = ((tokens - rows) * vocabulary, rows * vocabulary);
    if count == 0 {
        return Ok(Vec::new());
    }
    match logits.data_type() {
        TensorElementType::Float32 => {
            let (_, numbers) = logits.try_extract_tensor::<f32>().map_err(failed)?;
            Ok(numbers[skip..skip + count].to_vec())
        }
        TensorElementType::Float16 => {
            // SAFETY: the tensor has `tokens · vocabulary` numbers of 16 bits, on the CPU,
            // and lives as long as the slice is read.
            let halves = unsafe {
                std::slice::from_raw_parts(logits.data_ptr().cast::<u16>().add(skip), count)
            };
            let floats = halves
                .iter()
                .map(|bits| half::f16::from_bits(*bits).to_f32());
            Ok(floats.collect())
        }
        other => Err(EngineError(format!("logits of type {other}"))),
    }
}
