//! The engine for graphs that somebody else exported ([`crate::models::hub_export`]).
//!
//! Every run is computed by itself, in a batch of one row, so that company changes no bit
//! of it. A row's keys and values are the runtime's own values: what one pass gives goes
//! into the next as it is, and rows that begin alike share them. Memory is taken as rows
//! grow and given back when a slot is taken for another text.
//!
//! **Graphs in two branches or files** (`use_cache_branch`, `decoder_with_past_model`), and
//! others that turn out to be like them when they are tried at the start, read a whole
//! text at once or single tokens after others, nothing between. So a prompt is kept in tokens until its logits are asked for, and read in one pass then. Its state
//! therefore depends on the whole prompt, and no beginning of it may be lent
//! ([`EngineInfo::lends`]).
//!
//! **Encoder-decoders** read the prompt with the encoder once the first logits are asked
//! for; what is fed up to the first token whose logits are wanted is the prompt, and what
//! follows is the reply, which the decoder starts by a token of its own. Nothing of this
//! can be lent either.

pub(super) mod decoder;
mod tensor;
mod vocabulary;

use std::{fmt::Display, path::Path, sync::Arc};

use self::{
    decoder::{Cache, DecoderGraphs, Encoded, EncoderGraph},
    vocabulary::HubVocabulary,
};
use super::engine::{Engine, EngineError, EngineInfo, Run, Vocabulary, Want};
use crate::models::{
    FetchedExport,
    hub_export::{HubExport, layout::Reach},
    peft::Adapter,
    tokenizer_json::HubTokenizer,
};

/// Loads an export with [`OnnxHub::load`], within the catalogue's limit.
///
/// # Errors
/// As [`OnnxHub::load`].
pub fn open(
    fetched: &FetchedExport,
    slots: usize,
    context: usize,
    threads: usize,
) -> Result<OnnxHub, EngineError> {
    let limit = fetched.context.map_or(usize::MAX, |limit| limit as usize);
    let template = fetched.chat_template.as_deref();
    let library = &fetched.runtime.path;
    OnnxHub::load(
        library,
        &fetched.export,
        template,
        slots,
        context.min(limit),
        threads,
    )
}

/// What an encoder-decoder has beside a decoder.
struct Reader {
    encoder: EncoderGraph,
    /// What the encoder reads after every prompt.
    suffix: Vec<u32>,
    /// What the decoder writes after.
    start: u32,
}

/// What a slot holds.
#[derive(Clone, Default)]
struct Slot {
    /// In the batch's count: of an encoder-decoder, prompt and reply.
    tokens: Vec<u32>,
    /// Of `tokens`, those that the encoder has read, once it has.
    prompt: Option<usize>,
    encoded: Option<Arc<Encoded>>,
    /// Of `tokens`, or of the start token and the reply.
    cache: Option<Cache>,
}

/// A text model that somebody else exported.
pub struct OnnxHub {
    info: EngineInfo,
    decoder: DecoderGraphs,
    reader: Option<Reader>,
    vocabulary: Arc<HubVocabulary>,
    slots: Vec<Slot>,
}

impl OnnxHub {
    /// Loads an export with `slots` rows of `context` tokens (fewer if the model itself
    /// sees fewer), computing on `threads` threads with the runtime `library`.
    /// `chat_template` replaces the export's own.
    ///
    /// # Errors
    /// When a part cannot be loaded, or a size or token is nowhere said.
    pub fn load(
        library: &Path,
        export: &HubExport,
        chat_template: Option<&str>,
        slots: usize,
        context: usize,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let tokenizer = HubTokenizer::of(export, chat_template).map_err(failed)?;
        let config = &export.config;
        let vocabulary = export
            .decoder
            .first_layout
            .vocabulary
            .or(config.vocabulary)
            .ok_or_else(|| failed("neither the graph nor config.json says how many tokens"))?;
        let mut decoder = DecoderGraphs::load(library, &export.decoder, vocabulary, threads)?;
        decoder.probe()?;
        let reader = match &export.encoder {
            None => None,
            Some(path) => {
                let start = config
                    .decoder_start
                    .filter(|start| (*start as usize) < vocabulary)
                    .ok_or_else(|| failed("config.json names no decoder_start_token_id"))?;
                Some(Reader {
                    encoder: EncoderGraph::load(library, path, threads)?,
                    suffix: tokenizer.suffix().to_vec(),
                    start,
                })
            }
        };
        // The start token takes a place of the decoder's, the suffix one of the encoder's.
        let spare = reader
            .as_ref()
            .map_or(0, |reader| 1.max(reader.suffix.len()));
        let limit = config.context.unwrap_or(usize::MAX);
        let context = context.min(limit.saturating_sub(spare));
        if context == 0 {
            return Err(failed("a model that sees no token"));
        }
        Ok(Self {
            info: EngineInfo {
                slots,
                context,
                vocabulary,
                precision: export.variant.clone(),
                uniform: false,
                contiguous: true,
                lends: decoder.reach == Reach::Any && reader.is_none(),
                adapter_places: 0,
            },
            decoder,
            reader,
            vocabulary: Arc::new(HubVocabulary(tokenizer)),
            slots: vec![Slot::default(); slots],
        })
    }

    /// Refuses what the slot or the graph cannot hold.
    fn check(&self, run: &Run) -> Result<(), EngineError> {
        let EngineInfo {
            context,
            vocabulary,
            ..
        } = self.info;
        let held = self.slots.get(run.slot).map(|slot| slot.tokens.len());
        let fits = held.is_some_and(|held| run.past <= held)
            && run.past + run.tokens.len() <= context
            && !run.tokens.is_empty();
        let known = |token: &u32| (*token as usize) < vocabulary;
        if !fits || !run.tokens.iter().all(known) {
            return Err(EngineError(format!(
                "a run of {} tokens after {} in slot {}, which holds {held:?} of {context}",
                run.tokens.len(),
                run.past,
                run.slot,
            )));
        }
        if run.adapter.is_some() {
            return Err(failed("an exported graph takes no adapters"));
        }
        Ok(())
    }

    /// Leaves a slot its first `length` tokens; it holds as many.
    fn truncate(&self, slot: &mut Slot, length: usize) -> Result<(), EngineError> {
        if length == slot.tokens.len() {
            return Ok(());
        }
        slot.tokens.truncate(length);
        let keep = match (&self.reader, slot.prompt) {
            (None, _) => length,
            // One more for the start token.
            (Some(_), Some(prompt)) if length >= prompt => length - prompt + 1,
            // The prompt is open again.
            (Some(_), _) => {
                slot.prompt = None;
                slot.encoded = None;
                0
            }
        };
        if let Some(cache) = slot.cache.take() {
            let keep = keep.min(cache.tokens);
            slot.cache = self.decoder.cut(cache, keep)?;
        }
        Ok(())
    }

    fn run(&mut self, run: &Run) -> Result<Vec<f32>, EngineError> {
        // While it is computed the slot is empty, and so it stays if that fails.
        let mut slot = std::mem::take(&mut self.slots[run.slot]);
        self.truncate(&mut slot, run.past)?;
        let rows = match run.want {
            Want::None => 0,
            Want::Last => 1,
            Want::All => run.tokens.len(),
        };
        let logits = if self.reader.is_some() {
            self.write(&mut slot, run, rows)?
        } else {
            slot.tokens.extend_from_slice(&run.tokens);
            let waits = self.decoder.reach == Reach::Singly && slot.cache.is_none();
            if rows == 0 && waits {
                Vec::new()
            } else {
                let cached = slot.cache.as_ref().map_or(0, |cache| cache.tokens);
                let tokens = &slot.tokens[cached..];
                self.decoder.feed(&mut slot.cache, None, tokens, rows)?
            }
        };
        self.slots[run.slot] = slot;
        Ok(logits)
    }

    /// A run of an encoder-decoder.
    fn write(&mut self, slot: &mut Slot, run: &Run, rows: usize) -> Result<Vec<f32>, EngineError> {
        let reader = self
            .reader
            .as_mut()
            .expect("only encoder-decoders come here");
        let encoded = match &slot.encoded {
            Some(encoded) => encoded.clone(),
            None => {
                if rows == 0 {
                    slot.tokens.extend_from_slice(&run.tokens);
                    return Ok(Vec::new());
                }
                // The logits after the prompt's last token are those after the start token.
                let (prompt, reply) = run.tokens.split_at(run.tokens.len() - rows + 1);
                slot.tokens.extend_from_slice(prompt);
                slot.prompt = Some(slot.tokens.len());
                let read: Vec<u32> = slot.tokens.iter().chain(&reader.suffix).copied().collect();
                let encoded = Arc::new(reader.encoder.encode(&read)?);
                slot.encoded = Some(encoded.clone());
                slot.tokens.extend_from_slice(reply);
                let fed: Vec<u32> = [reader.start].iter().chain(reply).copied().collect();
                return self
                    .decoder
                    .feed(&mut slot.cache, Some(&encoded), &fed, rows);
            }
        };
        slot.tokens.extend_from_slice(&run.tokens);
        self.decoder
            .feed(&mut slot.cache, Some(&encoded), &run.tokens, rows)
    }
}

impl Engine for OnnxHub {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn vocabulary(&self) -> Arc<dyn Vocabulary> {
        self.vocabulary.clone()
    }

    fn step(&mut self, runs: &[Run]) -> Result<Vec<Vec<f32>>, EngineError> {
        runs.iter().try_for_each(|run| self.check(run))?;
        runs.iter().map(|run| self.run(run)).collect()
    }

    fn copy_slot(&mut self, from: usize, to: usize, length: usize) -> Result<(), EngineError> {
        let slot = self
            .slots
            .get(from)
            .filter(|slot| length <= slot.tokens.len() && to < self.slots.len());
        let Some(slot) = slot else {
            return Err(EngineError(format!(
                "cannot copy {length} tokens from slot {from} to {to}"
            )));
        };
        if from != to {
            let mut copy = slot.clone();
            self.truncate(&mut copy, length)?;
            self.slots[to] = copy;
        }
        Ok(())
    }

    fn load_adapter(&mut self, place: usize, _: &Adapter) -> Result<(), EngineError> {
        Err(EngineError(format!(
            "there is no place {place} for adapters"
        )))
    }
}

fn failed(error: impl Display) -> EngineError {
    EngineError(error.to_string())
}
