//! What waits for a blocking thread: few things, in order, and the question whether the
//! thread is alive, which it answers between two pieces of work and not behind them.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Answers a ping when the last thread that was asked has let it go.
pub(super) type Pong = std::sync::Arc<super::ticket::PongOnDrop>;

struct State<J> {
    jobs: VecDeque<J>,
    pongs: Vec<Pong>,
    closed: bool,
}

/// Shared by those who bring work and the thread that does it.
pub(super) struct Desk<J> {
    state: Mutex<State<J>>,
    wake: Condvar,
    bound: usize,
}

impl<J> Desk<J> {
    /// On which `bound` jobs may wait.
    pub(super) fn new(bound: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                pongs: Vec::new(),
                closed: false,
            }),
            wake: Condvar::new(),
            bound,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Every change is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job on the desk.
    ///
    /// # Errors
    /// The job, when the desk is full or closed.
    pub(super) fn offer(&self, job: J) -> Result<(), J> {
        let mut state = self.lock();
        if state.closed || state.jobs.len() >= self.bound {
            return Err(job);
        }
        state.jobs.push_back(job);
        self.wake.notify_one();
        Ok(())
    }

    /// Puts a job there that belongs to one which was admitted: it is not counted.
    pub(super) fn add(&self, job: J) {
        let mut state = self.lock();
        if !state.closed {
            state.jobs.push_back(job);
            self.wake.notify_one();
        }
    }

    pub(super) fn ping(&self, pong: Pong) {
        let mut state = self.lock();
        if !state.closed {
            state.pongs.push(pong);
            self.wake.notify_one();
        }
    }

    /// Nothing more will be brought; the thread ends with what it has in hand.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.jobs.clear();
        state.pongs.clear();
        self.wake.notify_all();
    }

    /// Shows that the thread is alive.
    pub(super) fn beat(&self) {
        let pongs = std::mem::take(&mut self.lock().pongs);
        drop(pongs);
    }

    /// The next job; waits for one. `None` when the desk is closed.
    pub(super) fn take(&self) -> Option<J> {
        let mut state = self.lock();
        loop {
            let pongs = std::mem::take(&mut state.pongs);
            if !pongs.is_empty() {
                drop(state);
                drop(pongs);
                state = self.lock();
                continue;
            }
            if state.closed {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job, if there is one.
    pub(super) fn take_now(&self) -> Option<J> {
        self.beat();
        self.lock().jobs.pop_front()
    }
}
