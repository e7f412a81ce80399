//! The graph that computes tokens of any rows in one run, with the house's own operators.

use std::path::Path;

use ort::session::{IoBinding, Session};

use super::{
    Capacity,
    bind::{bind_input, bind_output, run_bound, tensor},
    operators,
    state::Shared,
};
use crate::{
    models::{
        import::{AttentionTables, DecoderShape, names},
        peft::Adapter,
    },
    worker::{
        engine::{EngineError, Run, Want},
        kernels::attention::Place,
        runtime,
    },
};

/// A graph that is ready to run.
pub(super) struct Ragged {
    binding: IoBinding,
    session: Session,
    shared: Shared,
    vocabulary: usize,
}

impl Ragged {
    pub(super) fn open(
        library: &Path,
        graph: &Path,
        shape: &DecoderShape,
        tables: AttentionTables,
        capacity: Capacity,
    ) -> Result<Self, EngineError> {
        let shared = Shared::new(shape, tables, capacity)?;
        let session = runtime::session(library, graph, capacity.threads, || {
            operators::domain(&shared, capacity.threads).map(Some)
        })?;
        Ok(Self {
            binding: session.create_binding().map_err(super::failed)?,
            session,
            shared,
            vocabulary: shape.vocabulary,
        })
    }

    pub(super) fn copy_slot(&mut self, from: usize, to: usize, length: usize) {
        self.shared.write().kv.copy(from, to, length);
    }

    pub(super) fn load_adapter(
        &mut self,
        place: usize,
        adapter: &Adapter,
    ) -> Result<(), EngineError> {
        Ok(self.shared.write().bank.load(place, adapter)?)
    }

    /// Computes all runs at once; gives the asked logits of each.
    pub(super) fn step(&mut self, runs: &[Run]) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut ids: Vec<i64> = Vec::new();
        let mut asked: Vec<i64> = Vec::new();
        let mut counts = Vec::with_capacity(runs.len());
        {
            let mut state = self.shared.write();
            state.places.clear();
            state.adapters.clear();
            for run in runs {
                let start = ids.len() as i64;
                ids.extend(run.tokens.iter().map(|token| i64::from(*token)));
                let end = ids.len() as i64;
                let wanted = match run.want {
                    Want::None => end..end,
                    Want::Last => end - 1..end,
                    Want::All => start..end,
                };
                counts.push((wanted.end - wanted.start) as usize);
                asked.extend(wanted);
                let adapter = run.adapter.map(|place| place as u32);
                if let Some(place) = run.adapter.filter(|place| !state.bank.holds(*place)) {
                    return Err(EngineError(format!("place {place} holds no adapter")));
                }
                for position in run.past..run.past + run.tokens.len() {
                    state.places.push(Place {
                        slot: run.slot as u32,
                        position: position as u32,
                    });
                    state.adapters.push(adapter);
                }
            }
        }
        if asked.is_empty() {
            // Some operators refuse empty tensors: ask for one row, which nobody takes.
            asked.push(0);
        }
        let mut logits = vec![0.0_f32; asked.len() * self.vocabulary];
        let (tokens, rows) = (ids.len() as i64, asked.len() as i64);
        // SAFETY: the three blocks outlive this call. The binding keeps their addresses
        // after it, but nothing reads them: every run goes through here and binds all
        // three anew first.
        unsafe {
            let ids = tensor(ids.as_mut_ptr(), &[tokens])?;
            bind_input(&mut self.binding, names::INPUT_IDS, &ids)?;
            let asked = tensor(asked.as_mut_ptr(), &[rows])?;
            bind_input(&mut self.binding, names::LOGIT_IDX, &asked)?;
            let out = tensor(logits.as_mut_ptr(), &[rows, self.vocabulary as i64])?;
            bind_output(&mut self.binding, names::LOGITS, &out)?;
            run_bound(&mut self.session, &self.binding)?;
        }
        // From the end, so that what the first one asked for stays where it is: a text that is
        // scored alone has tens of megabytes.
        let mut each: Vec<Vec<f32>> = counts
            .into_iter()
            .rev()
            .map(|count| match count {
                0 => Vec::new(),
                _ => logits.split_off(logits.len() - count * self.vocabulary),
            })
            .collect();
        each.reverse();
        Ok(each)
    }
}
