//! Many sockets of one server, and what they hear.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    client::{Frame, Socket},
    clock::{Clock, histogram},
};
use crate::wire::browser::{FromClient, PROTOCOL, ToClient};

/// Handshakes that are under way at the same time.
const AT_ONCE: usize = 512;

/// How often progress is looked at. Times are taken where things happen, not here.
const GLANCE: Duration = Duration::from_millis(2);

/// How long a crowd may take to come in, or to be pinged.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a server of [`super::fanout`] answers to who joins.
const JOINED: &str = "joined";

/// The language of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The browser protocol. Each socket is a visitor of its own; a line is a `ping` and
    /// what comes of it a `pong`, through session and mailbox.
    House,
    /// That of [`super::fanout`]: so many sockets share a room.
    FanOut { members: usize },
}

impl Dialect {
    /// What socket `number` says first.
    fn enter(self, number: usize, token: Option<String>) -> anyhow::Result<String> {
        Ok(match self {
            Self::House => serde_json::to_string(&FromClient::Hello {
                protocol: PROTOCOL,
                session: token,
            })?,
            Self::FanOut { members } => format!("join {}", number / members),
        })
    }

    /// Whether this lets it in, and the token to come back with.
    fn entered(self, text: &str) -> anyhow::Result<Option<Option<String>>> {
        match self {
            Self::FanOut { .. } => Ok((text == JOINED).then_some(None)),
            Self::House => match serde_json::from_str(text)? {
                ToClient::Welcome { session, .. } => Ok(Some(Some(session))),
                ToClient::Bye { message, .. } => anyhow::bail!("sent away: {message}"),
                _ => Ok(None),
            },
        }
    }

    fn line(self, stamp: u32) -> anyhow::Result<String> {
        Ok(match self {
            Self::House => serde_json::to_string(&FromClient::Ping { nonce: stamp })?,
            Self::FanOut { .. } => format!("say {stamp}"),
        })
    }

    fn stamp(self, text: &str) -> Option<u32> {
        match self {
            Self::FanOut { .. } => text.parse().ok(),
            Self::House => match serde_json::from_str(text).ok()? {
                ToClient::Pong { nonce } => Some(nonce),
                _ => None,
            },
        }
    }

    /// Who hears a line.
    fn audience(self) -> usize {
        match self {
            Self::House => 1,
            Self::FanOut { members } => members,
        }
    }
}

/// What a socket is told to do.
enum Order {
    /// Say a line that tells when it was said.
    Line,
    Say(String),
}

/// What all sockets of a crowd write down.
struct Record {
    clock: Clock,
    entered: AtomicUsize,
    /// Answers to [`Crowd::gather`].
    joined: AtomicUsize,
    /// Sockets that were pinged in this round of pings.
    pinged: AtomicUsize,
    round: AtomicU32,
    lost: AtomicUsize,
    latencies: Mutex<Histogram<u64>>,
    tokens: Mutex<Vec<Option<String>>>,
}

/// The crowd.
pub(super) struct Crowd {
    server: SocketAddr,
    dialect: Dialect,
    record: Arc<Record>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(server: SocketAddr, dialect: Dialect) -> anyhow::Result<Self> {
        Ok(Self {
            server,
            dialect,
            record: Arc::new(Record {
                clock: Clock::start(),
                entered: AtomicUsize::new(0),
                joined: AtomicUsize::new(0),
                pinged: AtomicUsize::new(0),
                round: AtomicU32::new(0),
                lost: AtomicUsize::new(0),
                latencies: Mutex::new(histogram()?),
                tokens: Mutex::default(),
            }),
            orders: Vec::new(),
            tasks: JoinSet::new(),
        })
    }

    /// Lets `sockets` come in, those of before with what they were given. Gives how long it
    /// took until the last was welcomed.
    pub async fn come(&mut self, sockets: usize) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.record.entered.store(0, Ordering::Relaxed);
        lock(&self.record.tokens).resize(sockets, None);
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        for number in 0..sockets {
            let (order, orders) = mpsc::unbounded_channel();
            self.orders.push(order);
            let (server, dialect) = (self.server, self.dialect);
            let record = Arc::clone(&self.record);
            // Before it is spawned: thousands of tasks that wait for their turn would keep
            // those that have it waiting in the runtime's queue.
            let permit = Arc::clone(&gate).acquire_owned().await?;
            self.tasks.spawn(async move {
                let token = lock(&record.tokens)[number].clone();
                let entered = enter(server, dialect, number, token).await;
                drop(permit);
                match entered {
                    Ok((socket, token)) => {
                        lock(&record.tokens)[number] = token;
                        record.entered.fetch_add(1, Ordering::Relaxed);
                        if let Err(error) = attend(socket, dialect, &record, orders).await {
                            tracing::debug!(%error, number, "a socket is lost");
                            record.lost.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, number, "a socket did not come in");
                        record.lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        self.wait_for(sockets, |record| &record.entered).await?;
        Ok(began.elapsed())
    }

    /// Hangs up everywhere, without a goodbye.
    pub async fn go(&mut self) {
        self.orders.clear();
        self.tasks.shutdown().await;
    }

    /// Waits until every socket was pinged from now on, and says how many were.
    pub async fn all_pinged(&self) -> anyhow::Result<usize> {
        self.record.pinged.store(0, Ordering::Relaxed);
        self.record.round.fetch_add(1, Ordering::Relaxed);
        self.wait_for(self.orders.len(), |record| &record.pinged)
            .await?;
        Ok(self.record.pinged.load(Ordering::Relaxed))
    }

    /// Says `lines` a second for that long, by turns of the rooms; gives each listener's wait.
    pub async fn chat(&self, lines: u32, time: Duration) -> anyhow::Result<Histogram<u64>> {
        let audience = self.dialect.audience();
        let rooms = self.orders.len() / audience;
        anyhow::ensure!(rooms > 0, "nobody to say anything");
        // Neighbours in turn are far apart, so that no room hears two lines at once.
        let speaker = |said: usize| said * 7919 % rooms * audience;
        self.talk(lines, time, speaker, audience).await
    }

    /// Lets the first `people` join one room besides their own.
    pub async fn gather(&self, people: usize) -> anyhow::Result<()> {
        self.record.joined.store(0, Ordering::Relaxed);
        for order in self.orders.iter().take(people) {
            order.send(Order::Say("join gallery".into()))?;
        }
        self.wait_for(people, |record| &record.joined).await
    }

    /// Has the first of those who gathered say `lines` a second to the `people` there.
    pub async fn address(
        &self,
        lines: u32,
        time: Duration,
        people: usize,
    ) -> anyhow::Result<Histogram<u64>> {
        self.talk(lines, time, |_| 0, people).await
    }

    async fn talk(
        &self,
        lines: u32,
        time: Duration,
        speaker: impl Fn(usize) -> usize,
        audience: usize,
    ) -> anyhow::Result<Histogram<u64>> {
        lock(&self.record.latencies).reset();
        anyhow::ensure!(lines > 0, "nothing to say");
        let mut beat = tokio::time::interval(Duration::from_secs(1) / lines);
        let total = u64::from(lines) * time.as_secs();
        for said in 0..usize::try_from(total)? {
            beat.tick().await;
            self.orders[speaker(said)].send(Order::Line)?;
        }
        let expected = total * audience as u64;
        let patience = Instant::now() + Duration::from_secs(10);
        while lock(&self.record.latencies).len() < expected && Instant::now() < patience {
            tokio::time::sleep(GLANCE).await;
        }
        let heard = lock(&self.record.latencies).clone();
        anyhow::ensure!(
            heard.len() == expected,
            "{} of {expected} lines were heard",
            heard.len()
        );
        Ok(heard)
    }

    /// What each was given to come back with.
    pub fn tokens(&self) -> Vec<Option<String>> {
        lock(&self.record.tokens).clone()
    }

    async fn wait_for(
        &self,
        count: usize,
        of: impl Fn(&Record) -> &AtomicUsize,
    ) -> anyhow::Result<()> {
        let patience = Instant::now() + PATIENCE;
        while of(&self.record).load(Ordering::Relaxed) < count {
            let lost = self.record.lost.load(Ordering::Relaxed);
            anyhow::ensure!(lost == 0, "{lost} sockets are lost");
            anyhow::ensure!(
                Instant::now() < patience,
                "only {} of {count} after {} s",
                of(&self.record).load(Ordering::Relaxed),
                PATIENCE.as_secs()
            );
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }
}

/// Shakes hands and says who it is; gives the token to come back with.
pub(super) async fn enter(
    server: SocketAddr,
    dialect: Dialect,
    number: usize,
    token: Option<String>,
) -> anyhow::Result<(Socket, Option<String>)> {
    let mut socket = Socket::open(server, "/ws", number).await?;
    socket.say(&dialect.enter(number, token)?).await?;
    loop {
        match socket.hear().await? {
            Frame::Text(text) => {
                if let Some(token) = dialect.entered(&text)? {
                    return Ok((socket, token));
                }
            }
            Frame::Ping => {}
            Frame::Close => anyhow::bail!("closed at the door"),
        }
    }
}

/// Listens, and says what it is told to.
async fn attend(
    mut socket: Socket,
    dialect: Dialect,
    record: &Record,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> anyhow::Result<()> {
    let mut pinged = 0;
    loop {
        let frame = tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Line) => {
                    let line = dialect.line(record.clock.now())?;
                    socket.say(&line).await?;
                    continue;
                }
                Some(Order::Say(text)) => {
                    socket.say(&text).await?;
                    continue;
                }
                None => return Ok(()),
            },
            frame = socket.hear() => frame?,
        };
        match frame {
            Frame::Text(text) => {
                if let Some(stamp) = dialect.stamp(&text) {
                    let heard_at = record.clock.at(socket.heard_at());
                    let wait = heard_at.saturating_sub(stamp);
                    lock(&record.latencies).saturating_record(u64::from(wait));
                } else if text == JOINED {
                    record.joined.fetch_add(1, Ordering::Relaxed);
                }
            }
            Frame::Ping => {
                let round = record.round.load(Ordering::Relaxed);
                if pinged != round {
                    pinged = round;
                    record.pinged.fetch_add(1, Ordering::Relaxed);
                }
            }
            Frame::Close => anyhow::bail!("the server closed a socket"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
