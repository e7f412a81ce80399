//! Ending what is being said at once, from another thread.

use std::{
    fmt,
    process::Child,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ort::session::RunOptions;

/// Ends the request under way.
#[derive(Clone, Default)]
pub struct Stopper(Arc<Running>);

#[derive(Default)]
struct Running {
    stopped: AtomicBool,
    /// The child process that speaks just now.
    child: Mutex<Option<Child>>,
    /// Of every network: what ends its run between two of its operators.
    networks: Mutex<Vec<Arc<RunOptions>>>,
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopper").field(&self.is_stopped()).finish()
    }
}

impl Stopper {
    /// Ends the request under way: a child process is killed, a network's run ends, and
    /// nothing new begins until the next request.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        if let Some(child) = self.child().as_mut() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        for network in self.networks().iter() {
            if let Err(error) = network.terminate() {
                tracing::warn!(%error, "a voice cannot be stopped before its clause is done");
            }
        }
    }

    /// Whether [`Self::stop`] was called since the request under way began.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Forgets a former request's end.
    pub(in crate::worker::speech) fn begin(&self) -> ort::Result<()> {
        let networks = self.networks();
        self.0.stopped.store(false, Ordering::SeqCst);
        networks
            .iter()
            .try_for_each(|network| network.unterminate())
    }

    /// Lets a network's runs be ended.
    pub(in crate::worker::speech) fn ends(&self, network: Arc<RunOptions>) {
        self.networks().push(network);
    }

    /// Lets a child be stopped, until it is taken back.
    pub(super) fn watch(&self, mut child: Child) {
        let mut place = self.child();
        if self.is_stopped() {
            let _ = child.kill();
        }
        *place = Some(child);
    }

    pub(super) fn take(&self) -> Option<Child> {
        self.child().take()
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn networks(&self) -> MutexGuard<'_, Vec<Arc<RunOptions>>> {
        self.0
            .networks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
