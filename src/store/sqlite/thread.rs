//! The thread that owns the connection: takes what waits, commits it together, and only
//! then answers.

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::store::StoreError;

/// Calls that share one commit, at most.
const GROUP: usize = 128;

/// What a call does to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A call in the queue.
pub(super) trait Job: Send {
    fn access(&self) -> Access;
    /// Does the work inside a transaction and keeps the outcome. May be called again after
    /// the transaction was undone. False when what it did must be undone.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Takes success back: what was done could not be stored. A failure of its own stays,
    /// because it says more.
    fn fail(&mut self, error: StoreError);
    /// Tells the caller, who may be gone.
    fn answer(self: Box<Self>);
}

/// A [`Job`] from a closure.
pub(super) struct Task<T, W> {
    access: Access,
    work: W,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Task<T, W> {
    pub(super) fn new(
        access: Access,
        work: W,
        reply: oneshot::Sender<Result<T, StoreError>>,
    ) -> Self {
        Self {
            access,
            work,
            outcome: None,
            reply,
        }
    }
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnMut(&Connection) -> Result<T, StoreError> + Send,
{
    fn access(&self) -> Access {
        self.access
    }

    fn run(&mut self, connection: &Connection) -> bool {
        let outcome = (self.work)(connection);
        let done = outcome.is_ok();
        self.outcome = Some(outcome);
        done
    }

    fn fail(&mut self, error: StoreError) {
        if !matches!(self.outcome, Some(Err(_))) {
            self.outcome = Some(Err(error));
        }
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // A caller that went away needs no answer.
            let _ = self.reply.send(outcome);
        }
    }
}

/// Serves until the last handle is dropped.
pub(super) fn serve(connection: Connection, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
        if let Err(error) = commit(&connection, &mut group) {
            // One call that cannot be stored must not take its neighbours along.
            tracing::warn!(%error, calls = group.len(), "a group of store calls failed; trying one by one");
            for job in &mut group {
                if let Err(error) = commit(&connection, std::slice::from_mut(job)) {
                    job.fail(error.into());
                }
            }
        }
        for job in group.drain(..) {
            job.answer();
        }
    }
}

/// Runs all jobs in one transaction; each that fails is undone alone. On an error nothing
/// of the group was stored.
fn commit(connection: &Connection, group: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let writes = group.iter().any(|job| job.access() == Access::Write);
    connection.execute_batch(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
    let stored = run_all(connection, group).and_then(|()| connection.execute_batch("COMMIT"));
    if stored.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    stored
}

fn run_all(connection: &Connection, group: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    for job in group {
        connection.execute_batch("SAVEPOINT job")?;
        if !job.run(connection) {
            // A full disk may have undone the whole transaction already: then this fails,
            // and with it the group.
            connection.execute_batch("ROLLBACK TO job")?;
        }
        connection.execute_batch("RELEASE job")?;
    }
    Ok(())
}
