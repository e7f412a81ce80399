//! From an adapter to PEFT's two files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::json;

use super::{Adapter, AdapterShape, CONFIG_FILE, Part, PeftError, WEIGHTS_FILE};

/// The contents of PEFT's two files, parameters and weights.
///
/// The scale is in the numbers already, so that α is the rank; they are written as 32-bit
/// floats, and [`super::parse`] gives the same bits back. `base` names the model that the
/// adapter is for.
///
/// # Errors
/// When the adapter does not fit the shape.
pub fn to_files(
    adapter: &Adapter,
    shape: &AdapterShape,
    base: &str,
) -> Result<(Vec<u8>, Vec<u8>), PeftError> {
    adapter.check(shape)?;
    let config = config(adapter, shape, base);
    let bytes = |values: &[f32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let mut matrices = Vec::with_capacity(2 * adapter.parts.len());
    for part in &adapter.parts {
        let name = |matrix| format!("base_model.model.{}.{matrix}.weight", part.module());
        let size = shape.size(part.target);
        matrices.push((name("lora_A"), [part.rank, size.inputs], bytes(&part.down)));
        matrices.push((name("lora_B"), [size.outputs, part.rank], bytes(&part.up)));
    }
    let malformed = |error: safetensors::SafeTensorError| PeftError::Weights(error.to_string());
    let views = matrices
        .iter()
        .map(|(name, dims, bytes)| Ok((name, TensorView::new(Dtype::F32, dims.to_vec(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(malformed)?;
    // Torch's own reader of these files asks for this.
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let weights = serialize(views, Some(metadata)).map_err(malformed)?;
    Ok((config, weights))
}

/// Writes [`to_files`] into a folder, which is made if it is not there. Each file is
/// complete when it gets its name; the weights come first.
///
/// # Errors
/// As [`to_files`], and when the disk refuses.
pub fn write(
    folder: &Path,
    adapter: &Adapter,
    shape: &AdapterShape,
    base: &str,
) -> Result<(), PeftError> {
    let (config, weights) = to_files(adapter, shape, base)?;
    for (file, content) in [(WEIGHTS_FILE, weights), (CONFIG_FILE, config)] {
        let put = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let part = folder.join(format!("{file}.part"));
            fs::write(&part, &content)?;
            fs::rename(part, folder.join(file))
        };
        put().map_err(|error| PeftError::Io { file, error })?;
    }
    Ok(())
}

fn config(adapter: &Adapter, shape: &AdapterShape, base: &str) -> Vec<u8> {
    let by_rank = adapter
        .parts
        .iter()
        .fold(BTreeMap::new(), |mut counts, part| {
            *counts.entry(part.rank).or_insert(0) += 1;
            counts
        });
    let usual = by_rank.into_iter().max_by_key(|(_, count)| *count);
    let usual = usual.map_or(1, |(rank, _)| rank);
    let others: BTreeMap<String, usize> = adapter
        .parts
        .iter()
        .filter(|part| part.rank != usual)
        .map(|part| (format!("^{}", part.module().replace('.', "\\.")), part.rank))
        .collect();
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": usual,
        "lora_alpha": usual,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": target_modules(&adapter.parts, shape),
        "bias": "none",
        "lora_dropout": 0.0,
        "fan_in_fan_out": false,
        "use_rslora": false,
        "use_dora": false,
        "init_lora_weights": true,
    });
    format!("{config:#}\n").into_bytes()
}

/// Short names where every block has the same parts, whole ones elsewhere.
fn target_modules(parts: &[Part], shape: &AdapterShape) -> BTreeSet<String> {
    let targets: BTreeSet<_> = parts.iter().map(|part| part.target).collect();
    if parts.len() == targets.len() * shape.layers {
        let short = targets.into_iter().map(|target| target.name().to_owned());
        short.collect()
    } else {
        parts.iter().map(Part::module).collect()
    }
}
