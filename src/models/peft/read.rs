//! From PEFT's two files to an adapter.
//!
//! What a file may cost is known before it is read: its size is held to the largest
//! adapter that the model's shape allows, and nothing is allocated by what it claims.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read},
    path::Path,
};

use half::{bf16, f16};
use safetensors::{
    SafeTensors,
    tensor::{Dtype, TensorInfo, TensorView},
};
use serde::Deserialize;

use super::{
    Adapter, AdapterShape, CONFIG_FILE, MAX_RANK, Part, PeftError, Size, Target, WEIGHTS_FILE,
    config::Config,
};

/// Bytes that the parameters may have.
const MAX_CONFIG: u64 = 1 << 18;
/// Bytes of the weights' header that one tensor may take, and those that belong to none.
const HEADER_PER_TENSOR: u64 = 512;
const HEADER_REST: u64 = 1 << 16;

/// Reads the adapter in `folder` for a model of this shape.
///
/// # Errors
/// When a file is missing or cannot be read, the adapter asks for what is not computed
/// here, or it does not fit the model.
pub fn read(folder: &Path, shape: &AdapterShape) -> Result<Adapter, PeftError> {
    let config = bounded(folder, CONFIG_FILE, MAX_CONFIG)?;
    let weights = bounded(folder, WEIGHTS_FILE, max_weights(shape))?;
    parse(&config, &weights, shape)
}

/// Makes an adapter of the contents of PEFT's two files.
///
/// # Errors
/// As [`read`]'s, but those of reading.
pub fn parse(config: &[u8], weights: &[u8], shape: &AdapterShape) -> Result<Adapter, PeftError> {
    let config = Config::parse(config)?;
    let tensors = tensors(weights, shape)?;
    let mut known = HashSet::new();
    let mut parts = Vec::new();
    for (layer, target) in shape.modules() {
        let name =
            |matrix: &str| format!("base_model.model.{}.{matrix}.weight", target.module(layer));
        let (down, up) = (name("lora_A"), name("lora_B"));
        let find = |name: &str| tensors.tensor(name).ok();
        if config.targets(layer, target) {
            let missing = |name| tensor(name, "is missing");
            let down = (&*down, find(&down).ok_or_else(|| missing(&down))?);
            let up = (&*up, find(&up).ok_or_else(|| missing(&up))?);
            parts.push(part(&config, shape, layer, target, down, up)?);
        } else if let Some(name) = [&down, &up].into_iter().find(|name| find(name).is_some()) {
            return Err(tensor(name, "is none of `target_modules`"));
        }
        known.extend([down, up]);
    }
    let names = tensors.names();
    if let Some(stranger) = names.into_iter().find(|name| !known.contains(*name)) {
        return Err(tensor(stranger, "belongs to no linear layer of this model"));
    }
    if parts.is_empty() {
        return Err(PeftError::Shape("it speaks to no linear layer".into()));
    }
    let adapter = Adapter::new(parts);
    adapter.check(shape)?;
    Ok(adapter)
}

/// Bytes that the weights of the largest adapter of a model have.
fn max_weights(shape: &AdapterShape) -> u64 {
    let numbers = |size: &Size| ((size.inputs + size.outputs) * MAX_RANK) as u64;
    let block: u64 = shape.sizes.iter().map(numbers).sum();
    max_header(shape) + 8 + block * shape.layers as u64 * size_of::<f32>() as u64
}

fn max_header(shape: &AdapterShape) -> u64 {
    let tensors = (shape.layers * Target::ALL.len() * 2) as u64;
    HEADER_REST + tensors * HEADER_PER_TENSOR
}

fn bounded(folder: &Path, file: &'static str, limit: u64) -> Result<Vec<u8>, PeftError> {
    let io = |error| PeftError::Io { file, error };
    let path = folder.join(file);
    // Asked before it is opened: opening a pipe would wait for who writes into it.
    if !path.metadata().map_err(io)?.is_file() {
        return Err(io(io::Error::other("it is not a plain file")));
    }
    let open = File::open(&path).map_err(io)?;
    let bytes = open.metadata().map_err(io)?.len();
    if bytes > limit {
        return Err(PeftError::TooLarge { file, bytes, limit });
    }
    let mut content = Vec::with_capacity(bytes as usize + 1);
    // It may have grown since: more than was asked for is not taken.
    open.take(bytes).read_to_end(&mut content).map_err(io)?;
    Ok(content)
}

fn malformed(problem: impl ToString) -> PeftError {
    PeftError::Weights(problem.to_string())
}

fn tensor(name: &str, problem: impl Into<String>) -> PeftError {
    PeftError::Tensor {
        tensor: name.chars().take(200).collect(),
        problem: problem.into(),
    }
}

/// The header as the format defines it.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    _metadata: Option<HashMap<String, String>>,
    #[serde(flatten)]
    tensors: HashMap<String, TensorInfo>,
}

fn tensors<'a>(file: &'a [u8], shape: &AdapterShape) -> Result<SafeTensors<'a>, PeftError> {
    let short = || malformed("it ends inside its header");
    let (length, rest) = file.split_first_chunk().ok_or_else(short)?;
    let length = u64::from_le_bytes(*length);
    if length > max_header(shape) {
        return Err(malformed(format!("its header has {length} bytes")));
    }
    let (header, data) = rest.split_at_checked(length as usize).ok_or_else(short)?;
    // The crate adds up what a header claims without asking whether the sum overflows.
    let header: Header = serde_json::from_slice(header).map_err(malformed)?;
    for (name, info) in &header.tensors {
        let (start, end) = info.data_offsets;
        if start > end || end > data.len() {
            return Err(tensor(name, "lies outside of the file"));
        }
    }
    SafeTensors::deserialize(file).map_err(malformed)
}

fn part(
    config: &Config,
    shape: &AdapterShape,
    layer: usize,
    target: Target,
    (down_name, down): (&str, TensorView<'_>),
    (up_name, up): (&str, TensorView<'_>),
) -> Result<Part, PeftError> {
    let Size { inputs, outputs } = shape.size(target);
    let rank = config.rank(layer, target);
    let down = numbers(down_name, &down, [rank, inputs])?;
    let mut up = numbers(up_name, &up, [outputs, rank])?;
    let scale = config.scale(layer, target);
    up.iter_mut().for_each(|value| *value *= scale);
    Ok(Part {
        layer,
        target,
        rank,
        down,
        up,
    })
}

fn numbers(name: &str, view: &TensorView<'_>, dims: [usize; 2]) -> Result<Vec<f32>, PeftError> {
    if view.shape() != dims {
        return Err(tensor(
            name,
            format!("is {:?}; {dims:?} belongs there", view.shape()),
        ));
    }
    let data = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => {
            let (words, _) = data.as_chunks();
            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
        }
        Dtype::F16 => {
            let (words, _) = data.as_chunks();
            let wide = |word: &[u8; 2]| f16::from_le_bytes(*word).to_f32();
            words.iter().map(wide).collect()
        }
        Dtype::BF16 => {
            let (words, _) = data.as_chunks();
            let wide = |word: &[u8; 2]| bf16::from_le_bytes(*word).to_f32();
            words.iter().map(wide).collect()
        }
        other => {
            return Err(tensor(
                name,
                format!("has the type {other:?}; F32, F16 and BF16 are read"),
            ));
        }
    };
    if !values.iter().all(|value| value.is_finite()) {
        return Err(tensor(name, "holds numbers that are not finite"));
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
