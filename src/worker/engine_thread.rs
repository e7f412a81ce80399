//! The thread that owns the engine: takes commands between steps, computes, hands out.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{
    self,
    error::{TryRecvError, TrySendError},
};
use tokio_util::sync::CancellationToken;

use super::{
    admission::Owner,
    batch::{Batch, Limits, Outgoing, Plan},
    engine::{Engine, EngineError, Want},
    job::Job,
};
use crate::wire::worker::FromWorker;

/// Commands taken between two steps, so that a flood of them cannot stop the steps.
const COMMANDS_A_STEP: usize = 1024;

/// Steps that may fail one after another before the process gives up and is started anew.
const FAILURES: u32 = 3;

/// What connections tell the thread.
#[derive(Debug)]
pub(super) enum Command {
    Open { connection: u64, line: Line },
    Submit { owner: Owner, job: Job },
    Cancel { owner: Owner },
    Ping { connection: u64, nonce: u64 },
    Leave { connection: u64 },
}

/// The way back to a connection.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) outbox: mpsc::Sender<FromWorker>,
    /// Ends the connection.
    pub(super) hang_up: CancellationToken,
}

/// Runs until all senders of commands are gone.
///
/// # Errors
/// When the engine fails again and again.
pub(super) fn run(
    mut engine: Box<dyn Engine>,
    limits: Limits,
    mut commands: mpsc::Receiver<Command>,
) -> Result<(), EngineError> {
    let batch = Batch::new(engine.info(), engine.vocabulary(), limits);
    let mut desk = Desk {
        batch,
        lines: HashMap::new(),
    };
    let mut failures = 0;
    loop {
        if desk.batch.idle() {
            match commands.blocking_recv() {
                Some(command) => desk.take(command),
                None => return Ok(()),
            }
        }
        for _ in 0..COMMANDS_A_STEP {
            match commands.try_recv() {
                Ok(command) => desk.take(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        let Some(mut plan) = desk.batch.plan() else {
            continue;
        };
        let began = Instant::now();
        desk.load_adapters(engine.as_mut(), &mut plan);
        match compute(engine.as_mut(), &plan) {
            Ok((logits, took)) => {
                failures = 0;
                desk.batch.count_step(began.elapsed());
                let out = desk.batch.absorb(plan, logits, took);
                desk.deliver(out);
            }
            Err(error) => {
                failures += 1;
                tracing::error!(%error, failures, "a step failed");
                let out = desk.batch.fail(&error.to_string());
                desk.deliver(out);
                if failures >= FAILURES {
                    return Err(error);
                }
            }
        }
    }
}

/// The logits of a plan, and how long the runs took without what had to go before.
fn compute(engine: &mut dyn Engine, plan: &Plan) -> Result<(Vec<Vec<f32>>, Duration), EngineError> {
    for copy in &plan.copies {
        engine.copy_slot(copy.from, copy.to, copy.length)?;
    }
    // Nobody may be left once an adapter was refused.
    if plan.runs.is_empty() {
        return Ok((Vec::new(), Duration::ZERO));
    }
    let began = Instant::now();
    let logits = engine.step(&plan.runs)?;
    let took = began.elapsed();
    let vocabulary = engine.info().vocabulary;
    let wanted = plan.runs.iter().map(|run| match run.want {
        Want::None => 0,
        Want::Last => vocabulary,
        Want::All => vocabulary * run.tokens.len(),
    });
    if !logits.iter().map(Vec::len).eq(wanted) {
        return Err(EngineError(
            "it gave other logits than were asked for".into(),
        ));
    }
    Ok((logits, took))
}

struct Desk {
    batch: Batch,
    lines: HashMap<u64, Line>,
}

impl Desk {
    fn take(&mut self, command: Command) {
        match command {
            Command::Open { connection, line } => {
                self.lines.insert(connection, line);
            }
            Command::Submit { owner, job } => {
                if !self.lines.contains_key(&owner.connection) {
                    return;
                }
                if self.batch.holds(owner) {
                    tracing::warn!(
                        connection = owner.connection,
                        request = owner.request.0,
                        "a request's id came twice"
                    );
                    self.hang_up(owner.connection);
                } else if let Err(refusal) = self.batch.offer(owner, job) {
                    let id = owner.request;
                    self.deliver([owner.says(FromWorker::Refused { id, refusal })]);
                }
            }
            Command::Cancel { owner } => {
                let out = self.batch.cancel(owner);
                self.deliver(out);
            }
            Command::Ping { connection, nonce } => {
                let load = self.batch.load();
                let message = FromWorker::Pong { nonce, load };
                self.deliver([Outgoing {
                    connection,
                    message,
                }]);
            }
            Command::Leave { connection } => {
                self.lines.remove(&connection);
                self.batch.leave(connection);
            }
        }
    }

    /// An adapter that the engine does not take is lost to those who asked for it alone.
    fn load_adapters(&mut self, engine: &mut dyn Engine, plan: &mut Plan) {
        for (place, adapter) in std::mem::take(&mut plan.loads) {
            if let Err(error) = engine.load_adapter(place, &adapter) {
                tracing::error!(%error, place, "an adapter cannot be loaded");
                let out = self.batch.refuse_adapter(plan, place, &error.to_string());
                self.deliver(out);
            }
        }
    }

    /// Puts messages into the outboxes. A connection that leaves its outbox full does not
    /// read: it is ended with all that it had, and nobody waits for it.
    fn deliver(&mut self, out: impl IntoIterator<Item = Outgoing>) {
        for Outgoing {
            connection,
            message,
        } in out
        {
            let Some(line) = self.lines.get(&connection) else {
                continue;
            };
            match line.outbox.try_send(message) {
                Ok(()) => {}
                // It has just ended by itself.
                Err(TrySendError::Closed(_)) => self.hang_up(connection),
                Err(TrySendError::Full(_)) => {
                    tracing::warn!(connection, "the other end does not read; hanging up");
                    self.hang_up(connection);
                }
            }
        }
    }

    fn hang_up(&mut self, connection: u64) {
        if let Some(line) = self.lines.remove(&connection) {
            line.hang_up.cancel();
        }
        self.batch.leave(connection);
    }
}
