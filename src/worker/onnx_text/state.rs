//! What the house's operators share with the engine: the keys and values, the adapters, and
//! the layout of the batch that is being computed.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Capacity;
use crate::{
    models::{import::DecoderShape, peft::AdapterShape},
    worker::{
        engine::EngineError,
        kernels::{
            attention::{Heads, Place},
            kv::KvStore,
            lora::LoraBank,
            rotary::Rotary,
        },
    },
};

/// The engine writes it between runs; operators read it during one.
#[derive(Clone)]
pub(super) struct Shared(Arc<RwLock<State>>);

pub(super) struct State {
    everything: Reach,
    sliding: Option<Reach>,
    /// Per layer: whether it has a window.
    windowed: Vec<bool>,
    pub(super) kv: KvStore,
    pub(super) bank: LoraBank,
    /// Of each token of the run, in the order of `input_ids`.
    pub(super) places: Vec<Place>,
    /// Place in the bank of each token's adapter.
    pub(super) adapters: Vec<Option<u32>>,
}

/// How layers attend that see equally far.
pub(super) struct Reach {
    pub(super) heads: Heads,
    pub(super) rotary: Rotary,
}

impl Reach {
    fn new(
        shape: &DecoderShape,
        window: Option<usize>,
        factors: Option<&[f32]>,
        context: usize,
    ) -> Self {
        let (base, scale, factors) = match &shape.sliding {
            Some(sliding) if window.is_some() => (sliding.rope_base, 1.0, None),
            _ => (shape.rope_base, shape.rope_scale, factors),
        };
        Self {
            heads: Heads {
                heads: shape.heads,
                kv_heads: shape.kv_heads,
                head_dim: shape.head_dim,
                scale: shape.attention_scale,
                window,
                // The graph norms them before.
                norms: None,
            },
            rotary: Rotary::new(shape.head_dim, base, factors, scale, context),
        }
    }
}

impl State {
    /// How a layer attends.
    pub(super) fn reach(&self, layer: usize) -> &Reach {
        match &self.sliding {
            Some(sliding) if self.windowed.get(layer) == Some(&true) => sliding,
            _ => &self.everything,
        }
    }
}

impl Shared {
    /// `factors` divide the rotary angles ([`crate::models::import::rope_factors`]).
    pub(super) fn new(
        shape: &DecoderShape,
        factors: Option<&[f32]>,
        capacity: Capacity,
    ) -> Result<Self, EngineError> {
        let Capacity {
            slots,
            context,
            adapters,
            ..
        } = capacity;
        let kv = KvStore::new(shape.layers, slots, shape.kv_heads, context, shape.head_dim)?;
        Ok(Self(Arc::new(RwLock::new(State {
            everything: Reach::new(shape, None, factors, context),
            sliding: shape
                .sliding
                .as_ref()
                .map(|sliding| Reach::new(shape, Some(sliding.window), factors, context)),
            windowed: (0..shape.layers)
                .map(|layer| shape.window(layer).is_some())
                .collect(),
            kv,
            bank: LoraBank::new(adapters, &AdapterShape::from(shape)),
            places: Vec::new(),
            adapters: Vec::new(),
        }))))
    }

    /// For operators, while a run is in progress.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the engine, between runs.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
