//! A network whose runs a [`Stopper`] can end.

use std::{path::Path, sync::Arc};

use ort::session::{RunOptions, Session, SessionInputs, SessionOutputs};

use super::mouth::Stopper;
use crate::worker::runtime;

/// An open network.
pub(super) struct Network {
    session: Session,
    options: Arc<RunOptions>,
}

impl Network {
    /// Opens a serialised graph.
    ///
    /// # Errors
    /// Says why the graph or the library cannot be used.
    pub(super) fn open(
        library: &Path,
        graph: &[u8],
        threads: usize,
        stopper: &Stopper,
    ) -> Result<Self, String> {
        let session = runtime::yielding_session_of(library, graph, threads)
            .map_err(|error| error.to_string())?;
        let options = Arc::new(RunOptions::new().map_err(|error| error.to_string())?);
        stopper.ends(Arc::clone(&options));
        Ok(Self { session, options })
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it fails or is stopped.
    pub(super) fn run<'run, 'inputs, 'values: 'inputs, const N: usize>(
        &'run mut self,
        inputs: impl Into<SessionInputs<'inputs, 'values, N>>,
    ) -> ort::Result<SessionOutputs<'run>> {
        self.session.run_with_options(inputs, &*self.options)
    }
}
