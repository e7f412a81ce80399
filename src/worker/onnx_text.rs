//! The text engine: an imported graph on ONNX Runtime, over a KV buffer that it owns.
//!
//! What a slot's logits depend on, bit for bit (`tests/import.rs` holds it to this):
//! the tokens of the slot, and which of them were computed singly. Company in a step
//! changes nothing, nor does where a prompt is cut into chunks of two or more tokens. A
//! single token takes another path through attention, and its last bits differ; so
//! whoever cuts prompts, or goes on from another request's state, must leave no rest of
//! one token by chance, and must not put a state that was decoded for one that is prefilled.

mod kv;
mod session;
mod vocabulary;

use std::{path::Path, sync::Arc};

use self::{
    session::{Graph, Pass, failed},
    vocabulary::GgufVocabulary,
};
use super::engine::{Engine, EngineError, EngineInfo, Run, Vocabulary, Want};
use crate::{
    config::ModelSettings,
    models::{
        self, ModelError,
        gguf::Gguf,
        import::{LlamaShape, Precision},
        peft::Adapter,
        runtime,
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
    slots: usize,
    context: usize,
    threads: usize,
) -> Result<Box<dyn Engine>, OpenError> {
    let prepared = models::prepare(name, settings)?;
    let parts = Parts {
        runtime: &prepared.runtime.path,
        gguf: &prepared.weights.path,
        graph: &prepared.graph,
        precision: prepared.precision,
        chat_template: prepared.chat_template.as_deref(),
    };
    let context = prepared
        .context
        .map_or(context, |limit| context.min(limit as usize));
    Ok(Box::new(OnnxText::load(parts, slots, context, threads)?))
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
    pub precision: Precision,
    /// Replaces the chat template of the GGUF file.
    pub chat_template: Option<&'a str>,
}

/// A text model on ONNX Runtime.
pub struct OnnxText {
    info: EngineInfo,
    graph: Graph,
    vocabulary: Arc<GgufVocabulary>,
}

impl OnnxText {
    /// Loads a model with a KV buffer of `slots` rows of `context` tokens (fewer if the
    /// model itself sees fewer), computing on `threads` threads.
    ///
    /// # Errors
    /// When a part cannot be loaded.
    pub fn load(
        parts: Parts<'_>,
        slots: usize,
        context: usize,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let gguf = Gguf::open(parts.gguf).map_err(failed)?;
        let shape = LlamaShape::of(&gguf).map_err(failed)?;
        let vocabulary = ChatTokenizer::of(&gguf, parts.chat_template).map_err(failed)?;
        let session = runtime::session(parts.runtime, parts.graph, threads).map_err(failed)?;
        let context = context.min(shape.context);
        Ok(Self {
            info: EngineInfo {
                slots,
                context,
                vocabulary: shape.vocabulary,
                precision: parts.precision.to_string(),
                uniform: false,
                contiguous: true,
                lends: true,
                adapter_places: 0,
            },
            graph: Graph::new(session, &shape, slots, context)?,
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
        let mut logits = self.graph.run(pass)?;
        if runs.len() == 1 {
            return Ok(vec![logits]);
        }
        let rows = counts.into_iter().map(|count| {
            let rest = logits.split_off(count * self.info.vocabulary);
            std::mem::replace(&mut logits, rest)
        });
        Ok(rows.collect())
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

    fn copy_slot(&mut self, from: usize, to: usize, length: usize) -> Result<(), EngineError> {
        let EngineInfo { slots, context, .. } = self.info;
        if from >= slots || to >= slots || length > context {
            return Err(EngineError(format!(
                "cannot copy {length} tokens from slot {from} to {to}: there are {slots} slots of {context}"
            )));
        }
        if from != to {
            self.graph.copy_slot(from, to, length);
        }
        Ok(())
    }

    fn load_adapter(&mut self, place: usize, _: &Adapter) -> Result<(), EngineError> {
        Err(EngineError(format!(
            "there is no place {place} for adapters"
        )))
    }
}
