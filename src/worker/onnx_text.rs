//! The text engine: an imported graph on ONNX Runtime, over keys and values that it owns.
//!
//! On the CPU (`ragged`) a token's logits depend, bit for bit, on the tokens before it in
//! its slot, on the adapter and on nothing else: neither on company in a step nor on how the
//! tokens were cut into runs (`tests/import.rs` holds it to this).
//!
//! With the runtime's own attention (`grouped`) they depend also on which tokens were
//! computed singly: a single token takes another path through attention, and its last bits
//! differ. So whoever cuts prompts, or goes on from another request's state, must leave no
//! rest of one token by chance, and must not put a state that was decoded for one that is
//! prefilled.

mod bind;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod families;
mod grouped;
mod kv;
mod memory;
mod operators;
mod ragged;
mod state;
mod vocabulary;

use std::{fmt::Display, path::Path, sync::Arc};

use self::{
    grouped::{Grouped, Keep},
    ragged::Ragged,
    vocabulary::GgufVocabulary,
};
use super::{
    engine::{Engine, EngineError, EngineInfo, Run, Vocabulary},
    kernels::KernelError,
    runtime, tune,
};
use crate::{
    config::{Device, ModelSettings},
    models::{
        self, Fetched, ModelError, Prepared,
        gguf::Gguf,
        import::{Attention, AttentionTables, DecoderShape, Element, Form, Precision},
        peft::{Adapter, AdapterShape},
        tokenizer::ChatTokenizer,
    },
};

/// Why no engine could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Opens the chat model of this name with [`OnnxText::load`], first downloading and
/// importing what is not here. Blocks, for minutes if there is much to do.
///
/// # Errors
/// When the name is unknown, something cannot be had, or a part cannot be loaded.
pub fn open(
    name: &str,
    settings: &ModelSettings,
    capacity: Capacity,
) -> Result<Box<dyn Engine>, OpenError> {
    let files = models::fetch(name, settings)?;
    let precision = match settings.device {
        Device::Cpu => tune::choose(&files, capacity.threads)?,
        Device::Cuda => {
            runtime::usable(&files.runtime.path, Device::Cuda).map_err(|why| {
                EngineError(format!("PARLOUR_DEVICE=cuda, but it cannot be used: {why}"))
            })?;
            device_precision(&files)?
        }
    };
    open_files(&files, precision, capacity, settings.device)
}

/// What a GPU is to compute in.
fn device_precision(files: &Fetched) -> Result<Precision, EngineError> {
    let precision = files.precision.unwrap_or(Precision::Fp16);
    match precision.element() {
        Element::Fp16 | Element::Bf16 => Ok(precision),
        Element::Fp32 => Err(EngineError(format!(
            "{precision} is computed on the CPU only: with PARLOUR_DEVICE=cuda, \
             PARLOUR_PRECISION is fp16 or bf16"
        ))),
    }
}

fn open_files(
    files: &Fetched,
    precision: Precision,
    capacity: Capacity,
    device: Device,
) -> Result<Box<dyn Engine>, OpenError> {
    let prepared = files.import(precision)?;
    let context = files.context.map_or(capacity.context, |limit| {
        capacity.context.min(limit as usize)
    });
    let capacity = Capacity {
        context,
        ..capacity
    };
    let engine = OnnxText::load_on((&prepared).into(), capacity, device)?;
    Ok(Box::new(engine))
}

/// How much an engine is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Rows of keys and values.
    pub slots: usize,
    /// Tokens of a row (fewer if the model itself sees fewer).
    pub context: usize,
    /// Adapters at once.
    pub adapters: usize,
    /// Threads that compute.
    pub threads: usize,
}

/// A model's tokens, without its engine.
///
/// # Errors
/// When the GGUF file cannot be read or has a tokenizer that is not reproduced here.
pub fn vocabulary(files: &Fetched) -> Result<Arc<dyn Vocabulary>, ModelError> {
    let path = &files.weights.path;
    let gguf = Gguf::open(path).map_err(|error| ModelError::gguf(path, error))?;
    let tokenizer = ChatTokenizer::of(&gguf, files.chat_template.as_deref())?;
    Ok(Arc::new(GgufVocabulary(tokenizer)))
}

/// Where an engine's parts lie.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The ONNX Runtime library.
    pub runtime: &'a Path,
    /// The GGUF file that the graph was imported from: its tokenizer is used.
    pub gguf: &'a Path,
    /// The imported graph.
    pub graph: &'a Path,
    pub form: Form,
    /// Replaces the chat template of the GGUF file.
    pub chat_template: Option<&'a str>,
}

impl<'a> From<&'a Prepared> for Parts<'a> {
    fn from(prepared: &'a Prepared) -> Self {
        let Prepared { files, graph, form } = prepared;
        Self {
            runtime: &files.runtime.path,
            gguf: &files.weights.path,
            graph,
            form: *form,
            chat_template: files.chat_template.as_deref(),
        }
    }
}

enum Graph {
    Ragged(Box<Ragged>),
    Grouped(Box<Grouped>),
}

/// A text model on ONNX Runtime.
pub struct OnnxText {
    info: EngineInfo,
    adapter_shape: AdapterShape,
    graph: Graph,
    vocabulary: Arc<GgufVocabulary>,
}

impl OnnxText {
    /// Loads a model onto the CPU.
    ///
    /// # Errors
    /// When a part cannot be loaded.
    pub fn load(parts: Parts<'_>, capacity: Capacity) -> Result<Self, EngineError> {
        Self::load_on(parts, capacity, Device::Cpu)
    }

    /// Loads a model onto a device.
    ///
    /// # Errors
    /// When a part cannot be loaded, or the graph has operators that only the CPU has.
    pub fn load_on(
        parts: Parts<'_>,
        capacity: Capacity,
        device: Device,
    ) -> Result<Self, EngineError> {
        Self::load_keeping(parts, capacity, device, device.into())
    }

    fn load_keeping(
        parts: Parts<'_>,
        capacity: Capacity,
        device: Device,
        keep: Keep,
    ) -> Result<Self, EngineError> {
        let mut gguf = Gguf::open(parts.gguf).map_err(failed)?;
        let shape = DecoderShape::of(&gguf).map_err(failed)?;
        let vocabulary = ChatTokenizer::of(&gguf, parts.chat_template).map_err(failed)?;
        let capacity = Capacity {
            context: capacity.context.min(shape.context),
            ..capacity
        };
        let (slots, context) = (capacity.slots, capacity.context);
        let Form {
            precision,
            attention,
        } = parts.form;
        let (graph, adapter_places) = match attention {
            Attention::Ragged if device != Device::Cpu => {
                return Err(EngineError(format!(
                    "{} is computed on the CPU only",
                    parts.form
                )));
            }
            Attention::Ragged => {
                let tables = AttentionTables::of(&mut gguf, &shape).map_err(failed)?;
                let graph = Ragged::open(parts.runtime, parts.graph, &shape, tables, capacity)?;
                (Graph::Ragged(Box::new(graph)), capacity.adapters)
            }
            Attention::Grouped => {
                let graph = Grouped::open(
                    parts.runtime,
                    parts.graph,
                    &shape,
                    precision.element(),
                    capacity,
                    (device, keep),
                )?;
                (Graph::Grouped(Box::new(graph)), 0)
            }
        };
        Ok(Self {
            info: EngineInfo {
                slots,
                context,
                vocabulary: shape.vocabulary,
                precision: parts.form.to_string(),
                // The runtime multiplies a single row of floats in another order than several.
                uniform: attention == Attention::Ragged && precision != Precision::Fp32,
                contiguous: attention == Attention::Grouped,
                lends: true,
                adapter_places,
            },
            adapter_shape: AdapterShape::from(&shape),
            graph,
            vocabulary: Arc::new(GgufVocabulary(vocabulary)),
        })
    }

    /// Refuses what would read or write outside the buffers.
    fn check(&self, run: &Run) -> Result<(), EngineError> {
        let EngineInfo {
            slots,
            context,
            vocabulary,
            ..
        } = self.info;
        let fits = run
            .past
            .checked_add(run.tokens.len())
            .is_some_and(|total| total <= context);
        let known = run
            .tokens
            .iter()
            .all(|token| (*token as usize) < vocabulary);
        if run.slot >= slots || run.tokens.is_empty() || !fits || !known {
            return Err(EngineError(format!(
                "a run of {} tokens after {} in slot {} does not fit {slots} slots of {context}",
                run.tokens.len(),
                run.past,
                run.slot
            )));
        }
        Ok(())
    }
}

impl Engine for OnnxText {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn vocabulary(&self) -> Arc<dyn Vocabulary> {
        self.vocabulary.clone()
    }

    fn step(&mut self, runs: &[Run]) -> Result<Vec<Vec<f32>>, EngineError> {
        runs.iter().try_for_each(|run| self.check(run))?;
        match &mut self.graph {
            Graph::Ragged(graph) => graph.step(runs),
            Graph::Grouped(graph) => graph.step(runs),
        }
    }

    fn copy_slot(&mut self, from: usize, to: usize, length: usize) -> Result<(), EngineError> {
        let EngineInfo { slots, context, .. } = self.info;
        if from >= slots || to >= slots || length > context {
            return Err(EngineError(format!(
                "cannot copy {length} tokens from slot {from} to {to}: there are {slots} slots of {context}"
            )));
        }
        if from != to {
            match &mut self.graph {
                Graph::Ragged(graph) => graph.copy_slot(from, to, length),
                Graph::Grouped(graph) => graph.copy_slot(from, to, length)?,
            }
        }
        Ok(())
    }

    fn adapter_shape(&self) -> Option<&AdapterShape> {
        (self.info.adapter_places > 0).then_some(&self.adapter_shape)
    }

    fn load_adapter(&mut self, place: usize, adapter: &Adapter) -> Result<(), EngineError> {
        match &mut self.graph {
            Graph::Ragged(graph) if place < self.info.adapter_places => {
                graph.load_adapter(place, adapter)
            }
            _ => Err(EngineError(format!(
                "there is no place {place} for adapters"
            ))),
        }
    }
}

fn failed(error: impl Display) -> EngineError {
    EngineError(error.to_string())
}

impl From<KernelError> for EngineError {
    fn from(error: KernelError) -> Self {
        failed(error)
    }
}
