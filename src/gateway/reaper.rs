//! Shuts sockets from outside. A session whose client does not read is not polled, so no
//! timer inside it can end it; this thread looks at its [`Pulse`] and ends the connection
//! under it.

use std::{
    any::Any,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    thread,
    time::Duration,
};

use actix_web::dev::Extensions;

use crate::rooms::{identity::now, pulse::Pulse, tally::Tally};

/// Silent pings after which the connection is shut: one more than the session itself waits
/// for, so that a client that reads is told why.
const PATIENCE: u32 = 4;

/// A connection as the reaper holds it. Lives as long as the connection.
pub(crate) struct Lifeline {
    /// A second handle on the connection's socket.
    stream: TcpStream,
    pulse: OnceLock<Arc<Pulse>>,
}

/// Keeps a handle on every new connection, beside the connection's own.
pub(crate) fn on_connect(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() else {
        return;
    };
    match stream.as_fd().try_clone_to_owned() {
        Ok(handle) => {
            extensions.insert(Arc::new(Lifeline {
                stream: TcpStream::from(handle),
                pulse: OnceLock::new(),
            }));
        }
        Err(error) => tracing::warn!(%error, "no handle is left for a connection"),
    }
}

/// The sockets that the reaper looks after.
#[derive(Clone, Default)]
pub(crate) struct Reaper {
    lines: Arc<Mutex<Vec<Weak<Lifeline>>>>,
}

impl Reaper {
    /// Starts the thread. It ends when every handle is gone.
    pub(crate) fn start(ping_every: Duration, tally: Arc<Tally>) -> std::io::Result<Self> {
        let reaper = Self::default();
        let lines = Arc::downgrade(&reaper.lines);
        thread::Builder::new()
            .name("reaper".into())
            .spawn(move || {
                while let Some(lines) = lines.upgrade() {
                    reap(&lines, ping_every * PATIENCE, &tally);
                    drop(lines);
                    thread::sleep(ping_every / 2);
                }
            })?;
        Ok(reaper)
    }

    /// Looks after a socket from now on.
    pub(crate) fn watch(&self, line: &Arc<Lifeline>, pulse: Arc<Pulse>) {
        if line.pulse.set(pulse).is_ok() {
            self.lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Arc::downgrade(line));
        }
    }
}

fn reap(lines: &Mutex<Vec<Weak<Lifeline>>>, limit: Duration, tally: &Tally) {
    let now = now();
    lines
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|line| {
            let Some(line) = line.upgrade() else {
                return false;
            };
            let silent = line
                .pulse
                .get()
                .is_some_and(|pulse| Duration::from_millis(pulse.silence(now)) > limit);
            if silent {
                tracing::info!("a socket that neither reads nor answers is shut");
                tally.too_slow(1);
                // It may be closed already, which is what is wanted.
                let _ = line.stream.shutdown(Shutdown::Both);
            }
            !silent
        });
}
