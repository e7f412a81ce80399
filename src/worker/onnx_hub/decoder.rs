//! A decoder's graphs, run for one row at a time.

use std::{borrow::Cow, path::Path, sync::Arc};

use ort::{
    session::{Session, SessionInputValue},
    value::{DynTensor, DynTensorValueType},
};

use super::{
    failed,
    tensor::{self, check, truncated},
};
use crate::{
    models::hub_export::{
        Decoder,
        layout::{CacheTensor, DecoderLayout, Element, Reach, Whole},
    },
    worker::{engine::EngineError, runtime},
};

/// Tokens of each half of what a graph is tried with.
const PROBE: usize = 4;
/// How far its logits may be apart when cut in two, as a share of the largest: quantised
/// and 16-bit graphs round differently, but who sees tokens to come is off by far more.
const PROBE_TOLERANCE: f32 = 0.02;

/// Keys and values of a row's tokens. Never changed once made, so rows may share them.
#[derive(Clone)]
pub(in crate::worker) struct Cache {
    pub(in crate::worker) tokens: usize,
    /// In the order of the layout's tensors.
    tensors: Vec<Arc<DynTensor>>,
}

/// What an encoder made of a prompt.
pub(in crate::worker) struct Encoded {
    /// `[1, tokens, width]`.
    pub(in crate::worker) hidden: DynTensor,
    pub(in crate::worker) tokens: usize,
}

/// One graph with how it is fed.
struct Graph {
    session: Session,
    layout: DecoderLayout,
}

/// The graphs of a decoder.
pub(in crate::worker) struct DecoderGraphs {
    first: Graph,
    later: Option<Graph>,
    /// What a row keeps.
    cache: Vec<CacheTensor>,
    pub(in crate::worker) reach: Reach,
    pub(in crate::worker) vocabulary: usize,
}

impl DecoderGraphs {
    pub(in crate::worker) fn load(
        library: &Path,
        decoder: &Decoder,
        vocabulary: usize,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let graph = |path: &Path, layout: &DecoderLayout| -> Result<Graph, EngineError> {
            Ok(Graph {
                session: runtime::session(library, path, threads, || Ok(None))?,
                layout: layout.clone(),
            })
        };
        let later = match &decoder.later {
            Some((path, layout)) => Some(graph(path, layout)?),
            None => None,
        };
        let newest = decoder
            .later
            .as_ref()
            .map_or(&decoder.first_layout, |(_, layout)| layout);
        Ok(Self {
            first: graph(&decoder.first, &decoder.first_layout)?,
            cache: newest.cache.clone(),
            later,
            reach: decoder.reach,
            vocabulary,
        })
    }

    /// Makes sure that a graph reads several tokens after others as it should, and reads
    /// them one by one from now on if it does not: some were traced with a single token
    /// and mask nothing among several, others fail.
    pub(in crate::worker) fn probe(&mut self) -> Result<(), EngineError> {
        if self.reach == Reach::Singly {
            return Ok(());
        }
        let tokens: Vec<u32> = (1..=2 * PROBE as u32)
            .map(|at| at * 7919 % self.vocabulary as u32)
            .collect();
        let whole = self.pass(&mut None, None, &tokens, PROBE)?;
        let (start, rest) = tokens.split_at(PROBE);
        let mut cache = None;
        self.pass(&mut cache, None, start, 0)?;
        let agrees = match self.pass(&mut cache, None, rest, PROBE) {
            Ok(parts) => {
                let largest = whole
                    .iter()
                    .fold(0.0_f32, |largest, x| largest.max(x.abs()));
                whole
                    .iter()
                    .zip(&parts)
                    .all(|(a, b)| (a - b).abs() <= PROBE_TOLERANCE * largest)
            }
            Err(error) => {
                tracing::debug!(%error, "the graph does not read several tokens after others");
                false
            }
        };
        if !agrees {
            tracing::info!("this export reads a whole prompt or single tokens, nothing between");
            self.reach = Reach::Singly;
        }
        Ok(())
    }

    /// Computes `tokens` after those of `cache`, which becomes theirs as well. Gives the
    /// logits after each of the last `rows` of them.
    pub(in crate::worker) fn feed(
        &mut self,
        cache: &mut Option<Cache>,
        encoded: Option<&Encoded>,
        tokens: &[u32],
        rows: usize,
    ) -> Result<Vec<f32>, EngineError> {
        if self.reach == Reach::Any || cache.is_none() {
            return self.pass(cache, encoded, tokens, rows);
        }
        let mut logits = Vec::with_capacity(rows * self.vocabulary);
        for (at, token) in tokens.iter().enumerate() {
            let wanted = usize::from(at + rows >= tokens.len());
            logits.extend(self.pass(cache, encoded, &[*token], wanted)?);
        }
        Ok(logits)
    }

    fn pass(
        &mut self,
        cache: &mut Option<Cache>,
        encoded: Option<&Encoded>,
        tokens: &[u32],
        rows: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let held = cache.as_ref().map_or(0, |cache| cache.tokens);
        let past = match cache.take() {
            Some(cache) => cache.tensors,
            None => self
                .cache
                .iter()
                .map(tensor::empty)
                .collect::<Result<_, _>>()?,
        };
        let graph = match &mut self.later {
            Some(later) if held > 0 => later,
            _ => &mut self.first,
        };
        let inputs = inputs(
            &graph.layout,
            &self.cache,
            &past,
            held,
            tokens,
            rows,
            encoded,
        )?;
        let mut outputs = graph.session.run(inputs).map_err(failed)?;
        let mut take = |name: &str| {
            outputs
                .remove(name)
                .ok_or_else(|| EngineError(format!("nothing came out as {name}")))?
                .downcast::<DynTensorValueType>()
                .map_err(failed)
        };
        let logits = tensor::last_rows(&take("logits")?, rows, self.vocabulary)?;
        let mut tensors = Vec::with_capacity(past.len());
        for (tensor, past) in self.cache.iter().zip(past) {
            // A branch for later tokens gives an empty stand-in for the encoder's part.
            if tensor.cross && held > 0 {
                tensors.push(past);
                continue;
            }
            let value = take(&tensor.present)?;
            let length = match (tensor.cross, encoded) {
                (true, Some(encoded)) => encoded.tokens,
                _ => held + tokens.len(),
            };
            check(tensor, &value, length)?;
            tensors.push(Arc::new(value));
        }
        *cache = Some(Cache {
            tokens: held + tokens.len(),
            tensors,
        });
        Ok(logits)
    }

    /// The first `keep` tokens of a cache; none of none.
    pub(in crate::worker) fn cut(
        &self,
        cache: Cache,
        keep: usize,
    ) -> Result<Option<Cache>, EngineError> {
        if keep == 0 {
            return Ok(None);
        }
        if keep == cache.tokens {
            return Ok(Some(cache));
        }
        let tensors = self
            .cache
            .iter()
            .zip(&cache.tensors)
            .map(|(tensor, value)| {
                if tensor.cross {
                    return Ok(value.clone());
                }
                truncated(tensor, value, cache.tokens, keep)
            })
            .collect::<Result<_, EngineError>>()?;
        Ok(Some(Cache {
            tokens: keep,
            tensors,
        }))
    }
}

type Inputs<'a> = Vec<(Cow<'a, str>, SessionInputValue<'a>)>;

/// What a graph is fed with for `tokens` after `held` others.
fn inputs<'a>(
    layout: &'a DecoderLayout,
    cache: &'a [CacheTensor],
    past: &'a [Arc<DynTensor>],
    held: usize,
    tokens: &[u32],
    rows: usize,
    encoded: Option<&'a Encoded>,
) -> Result<Inputs<'a>, EngineError> {
    let mut inputs: Inputs<'a> = Vec::with_capacity(past.len() + 4);
    let mut whole = |name: &'static str, input: Option<Whole>, numbers: Vec<i64>| {
        if let Some(input) = input {
            inputs.push((name.into(), tensor::whole(input, numbers)?.into()));
        }
        Ok::<_, EngineError>(())
    };
    let total = held + tokens.len();
    let ids = tokens.iter().map(|token| i64::from(*token)).collect();
    whole("input_ids", Some(layout.input_ids), ids)?;
    whole("attention_mask", layout.attention_mask, vec![1; total])?;
    let positions = (held..total).map(|position| position as i64).collect();
    whole("position_ids", layout.position_ids, positions)?;
    let keep = rows.max(1) as i64;
    whole("num_logits_to_keep", layout.logits_to_keep, vec![keep])?;
    let mask = vec![1; encoded.map_or(0, |encoded| encoded.tokens)];
    whole(
        "encoder_attention_mask",
        layout.encoder_attention_mask,
        mask,
    )?;
    if layout.use_cache_branch {
        inputs.push(("use_cache_branch".into(), tensor::flag(held > 0)?.into()));
    }
    if layout.encoder_hidden_states {
        let encoded = encoded.ok_or_else(|| EngineError("there is no prompt to read".into()))?;
        inputs.push(("encoder_hidden_states".into(), (&encoded.hidden).into()));
    }
    if !layout.cache.is_empty() {
        for (tensor, value) in cache.iter().zip(past) {
            inputs.push((tensor.past.as_str().into(), value.as_ref().into()));
        }
    }
    Ok(inputs)
}

/// An encoder's graph.
pub(in crate::worker) struct EncoderGraph {
    session: Session,
    masked: bool,
}

impl EncoderGraph {
    pub(in crate::worker) fn load(
        library: &Path,
        path: &Path,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let session = runtime::session(library, path, threads, || Ok(None))?;
        let masked = session
            .inputs()
            .iter()
            .any(|input| input.name() == "attention_mask");
        Ok(Self { session, masked })
    }

    pub(in crate::worker) fn encode(&mut self, tokens: &[u32]) -> Result<Encoded, EngineError> {
        let row = Whole {
            element: Element::Int64,
            rank: 2,
        };
        let ids = tokens.iter().map(|token| i64::from(*token)).collect();
        let mut inputs: Inputs<'_> = vec![("input_ids".into(), tensor::whole(row, ids)?.into())];
        if self.masked {
            let mask = tensor::whole(row, vec![1; tokens.len()])?;
            inputs.push(("attention_mask".into(), mask.into()));
        }
        let mut outputs = self.session.run(inputs).map_err(failed)?;
        let hidden = outputs
            .remove("last_hidden_state")
            .ok_or_else(|| EngineError("the encoder gave nothing".into()))?
            .downcast::<DynTensorValueType>()
            .map_err(failed)?;
        Ok(Encoded {
            hidden,
            tokens: tokens.len(),
        })
    }
}
