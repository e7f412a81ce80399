//! Adapters that change what is said and mean nothing, to measure what speaking in many
//! voices costs.

use std::path::Path;

use anyhow::Context as _;

use crate::{
    config::ModelSettings,
    models::{
        self,
        gguf::Gguf,
        import::DecoderShape,
        peft::{self, AdapterShape, Target},
    },
};

const RANK: usize = 8;
/// What PEFT adapts in a llama unless it is told otherwise.
const TARGETS: [Target; 2] = [Target::Query, Target::Value];
/// Enough to change every answer, too little for babble.
const STRENGTH: f32 = 0.1;

/// Writes so many adapters of a model into a folder and gives their names.
///
/// # Errors
/// When the model is not here, or the folder cannot be written.
pub(super) fn write(
    folder: &Path,
    model: &str,
    settings: &ModelSettings,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let weights = models::fetch(model, settings)?.weights.path;
    let gguf = Gguf::open(&weights).with_context(|| weights.display().to_string())?;
    let shape = AdapterShape::from(&DecoderShape::of(&gguf)?);
    let write = |number: usize| {
        let name = format!("bench-{number}");
        let adapter = peft::random(&shape, &TARGETS, RANK, STRENGTH, number as u64);
        peft::write(&folder.join(&name), &adapter, &shape, model)?;
        Ok(name)
    };
    (0..count).map(write).collect()
}
