//! One sweep for all sockets: reminds each session to ping, and ends connections that no
//! session can end.
//!
//! A timer of its own for each socket would cost memory, and a client that does not read
//! holds its session up: the session's mailbox stands still. This thread looks at the
//! [`Pulse`] of every socket from outside, and shuts the connection under a session that has
//! been silent for too long.

use std::{
    net::Shutdown,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use actix::WeakAddr;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::rooms::{
    pulse::{Pulse, ticks},
    session::{Session, Tick},
    tally::Tally,
};

/// Silent pings after which the connection is shut: one more than the session itself waits
/// for, so that a client that reads is told why.
const PATIENCE: u32 = 4;

/// Parts that a sweep is done in, so that ten thousand sessions do not wake at once.
const SLICES: usize = 32;

/// A socket as the reaper holds it; nothing is kept alive by it.
struct Watched {
    stream: Weak<TcpStream>,
    session: WeakAddr<Session>,
    pulse: Arc<Pulse>,
}

#[derive(Default)]
struct Sockets {
    slices: [Mutex<Vec<Watched>>; SLICES],
    next: AtomicUsize,
}

/// The sockets that the reaper looks after.
#[derive(Clone, Default)]
pub(crate) struct Reaper {
    sockets: Arc<Sockets>,
}

impl Reaper {
    /// Starts the thread. It ends when every handle is gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(ping_every: Duration, tally: Arc<Tally>) -> std::io::Result<Self> {
        let reaper = Self::default();
        let sockets = Arc::downgrade(&reaper.sockets);
        thread::Builder::new()
            .name("reaper".into())
            .spawn(move || {
                for slice in (0..SLICES).cycle() {
                    thread::sleep(ping_every / SLICES as u32);
                    let Some(sockets) = sockets.upgrade() else {
                        return;
                    };
                    sweep(&sockets.slices[slice], ping_every * PATIENCE, &tally);
                }
            })?;
        Ok(reaper)
    }

    /// Looks after a socket from now on.
    pub(crate) fn watch(
        &self,
        stream: &Arc<TcpStream>,
        session: WeakAddr<Session>,
        pulse: Arc<Pulse>,
    ) {
        let slice = self.sockets.next.fetch_add(1, Ordering::Relaxed) % SLICES;
        self.sockets.slices[slice]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Watched {
                stream: Arc::downgrade(stream),
                session,
                pulse,
            });
    }
}

fn sweep(slice: &Mutex<Vec<Watched>>, limit: Duration, tally: &Tally) {
    let now = ticks();
    let mut watched = slice.lock().unwrap_or_else(PoisonError::into_inner);
    watched.retain(|socket| {
        let Some(stream) = socket.stream.upgrade() else {
            return false;
        };
        let silent = Duration::from_millis(socket.pulse.silence(now)) > limit;
        if silent {
            tracing::info!("a socket that neither reads nor answers is shut");
            tally.too_slow(1);
            // It may be closed already, which is what is wanted.
            let _ = SockRef::from(&*stream).shutdown(Shutdown::Both);
        } else if let Some(session) = socket.session.upgrade() {
            // A full mailbox is a session that is held up: its turn comes or its time is up.
            let _ = session.try_send(Tick);
        }
        !silent
    });
    let (held, room) = (watched.len(), watched.capacity());
    if room > 64 && held < room / 4 {
        watched.shrink_to(held * 2);
    }
}
