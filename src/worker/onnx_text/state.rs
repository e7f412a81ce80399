//! What the house's operators share with the engine: the keys and values, the adapters, and
//! the layout of the batch that is being computed.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Capacity;
use crate::{
    models::{
        import::{AttentionTables, DecoderShape},
        peft::AdapterShape,
    },
    worker::{
        engine::EngineError,
        kernels::{
            attention::{Heads, Place, QkNorms},
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
    layers: Vec<Heads>,
    rotary: Rotary,
    /// In layers with a window.
    sliding: Option<Rotary>,
    pub(super) kv: KvStore,
    pub(super) bank: LoraBank,
    /// Of each token of the run, in the order of `input_ids`.
    pub(super) places: Vec<Place>,
    /// Place in the bank of each token's adapter.
    pub(super) adapters: Vec<Option<u32>>,
}

impl State {
    /// The heads of a layer and how they are turned.
    pub(super) fn attention(&self, layer: usize) -> Option<(&Heads, &Rotary)> {
        let heads = self.layers.get(layer)?;
        Some(match (&self.sliding, heads.window) {
            (Some(sliding), Some(_)) => (heads, sliding),
            _ => (heads, &self.rotary),
        })
    }
}

impl Shared {
    pub(super) fn new(
        shape: &DecoderShape,
        tables: AttentionTables,
        capacity: Capacity,
    ) -> Result<Self, EngineError> {
        let Capacity {
            slots,
            context,
            adapters,
            ..
        } = capacity;
        let kv = KvStore::new(shape.layers, slots, shape.kv_heads, context, shape.head_dim)?;
        let mut norms = tables.norms.into_iter();
        let layers = (0..shape.layers).map(|layer| Heads {
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            scale: shape.attention_scale,
            window: shape.window(layer),
            norms: norms.next().map(|[query, key]| QkNorms {
                query,
                key,
                epsilon: shape.norm_epsilon,
            }),
        });
        let layers = layers.collect();
        Ok(Self(Arc::new(RwLock::new(State {
            layers,
            rotary: Rotary::new(
                shape.head_dim,
                shape.rope_base,
                tables.rope_factors.as_deref(),
                shape.rope_scale,
                context,
            ),
            sliding: shape
                .sliding
                .as_ref()
                .map(|sliding| Rotary::new(shape.head_dim, sliding.rope_base, None, 1.0, context)),
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
