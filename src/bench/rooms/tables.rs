//! People at tables of the product: many tables where the AI's question grows before
//! everybody's eyes, and one table with very many who watch.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    client::{Frame, Socket},
    clock::{Clock, Waits, histogram, stamps, word},
    crowd::{Dialect, enter},
    writer::Writer,
};
use crate::{
    bench::{
        processes::{Server, scratch},
        usage::{Usage, usage},
    },
    play::{
        imitation::{Kind, Mode},
        party::{Act, Bench, Event, Machine, Role, Setup, Vacancy},
    },
    wire::browser::{FromClient, ToClient},
};

/// People who come at the same time.
const AT_ONCE: usize = 64;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

const GLANCE: Duration = Duration::from_millis(5);

/// How long is waited, once all streams run or all have come, before anything is measured.
const SETTLE: Duration = Duration::from_secs(3);

/// Share of what was said that must be heard for the waits to mean anything.
const WHOLE: f64 = 0.99;

/// Many tables, and how much is written at them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    pub tables: usize,
    pub people: usize,
    /// Questions that are written at the same time.
    pub streams: usize,
    pub tokens_per_second: u32,
    pub seconds: u64,
}

/// One table, and how much is said there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gallery {
    pub spectators: usize,
    pub lines: usize,
    pub pause: Duration,
}

/// What [`streams`] measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Streaming {
    pub tables: usize,
    pub people: usize,
    pub streams: usize,
    /// Of all streams, as they were written.
    pub tokens_per_second: f64,
    /// From the worker's writing of a token to its arrival at each socket.
    pub waits: Waits,
    /// Share of tokens that arrived, over all sockets.
    pub heard: f64,
    /// Cores that server and client took.
    pub server_cores: f64,
    pub client_cores: f64,
}

/// What [`gallery`] measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Watched {
    pub spectators: usize,
    pub lines: usize,
    /// From the speaker's writing of a line to its arrival at each spectator.
    pub each: Waits,
    /// To its arrival at the last of them.
    pub last: Waits,
    /// What each spectator adds to the server's resident memory, their table with them.
    pub bytes_per_socket: f64,
    /// Processor time of the server a line, milliseconds.
    pub cpu_ms_per_line: f64,
}

/// What all who sit somewhere write down.
struct Record {
    clock: Clock,
    waits: Mutex<Histogram<u64>>,
    /// When each line of the gallery was last heard, microseconds.
    last: Vec<AtomicU64>,
    /// Events that each one has, summed.
    events: AtomicUsize,
}

impl Record {
    fn new(clock: Clock, lines: usize) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            clock,
            waits: Mutex::new(histogram()?),
            last: (0..lines).map(|_| AtomicU64::new(0)).collect(),
            events: AtomicUsize::new(0),
        }))
    }

    fn note(&self, stamp: u32, heard_at: Instant) -> u64 {
        let wait = u64::from(self.clock.at(heard_at).saturating_sub(stamp));
        self.lock().saturating_record(wait);
        wait
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Histogram<u64>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The least that has to be read of what a table says.
#[derive(Deserialize)]
struct Heard<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

/// Somebody at a table.
struct Person {
    socket: Socket,
    room: String,
    /// Events that it holds.
    held: u32,
    id: u32,
}

impl Person {
    /// Opens a table.
    async fn open(server: SocketAddr, number: usize, setup: &Setup) -> anyhow::Result<Self> {
        let ask = |id| FromClient::OpenTable {
            id,
            setup: setup.clone(),
            role: Role::Witness,
            name: "Host".into(),
        };
        Self::sit(server, number, ask).await
    }

    async fn join(
        server: SocketAddr,
        number: usize,
        room: &str,
        role: Role,
    ) -> anyhow::Result<Self> {
        let ask = |id| FromClient::JoinTable {
            id,
            room: room.to_owned(),
            role,
            name: format!("Guest {number}"),
            seat: None,
            held: None,
        };
        Self::sit(server, number, ask).await
    }

    async fn sit(
        server: SocketAddr,
        number: usize,
        ask: impl FnOnce(u32) -> FromClient,
    ) -> anyhow::Result<Self> {
        let (mut socket, _) = enter(server, Dialect::House, number, None).await?;
        socket.say(&serde_json::to_string(&ask(1))?).await?;
        loop {
            let Frame::Text(text) = socket.hear().await? else {
                continue;
            };
            match serde_json::from_str(&text)? {
                ToClient::Seated {
                    room,
                    offset,
                    events,
                    ..
                } => {
                    return Ok(Self {
                        socket,
                        room,
                        held: offset + u32::try_from(events.len())?,
                        id: 1,
                    });
                }
                ToClient::Refused { message, .. } | ToClient::Bye { message, .. } => {
                    anyhow::bail!("not let in: {message}")
                }
                _ => {}
            }
        }
    }

    async fn act(&mut self, act: Act) -> anyhow::Result<()> {
        self.id += 1;
        let act = FromClient::Act { id: self.id, act };
        self.socket.say(&serde_json::to_string(&act)?).await
    }

    /// Watches the AI's questions grow. A host has another game begin as soon as a question
    /// stands.
    async fn watch_questions(mut self, is_host: bool, record: &Record) -> anyhow::Result<()> {
        if is_host {
            self.act(Act::Start).await?;
        }
        loop {
            let Frame::Text(text) = self.socket.hear().await? else {
                continue;
            };
            let heard: Heard<'_> = serde_json::from_str(&text)?;
            match heard.kind {
                "partial" => {
                    for stamp in stamps(&heard.text) {
                        record.note(stamp, self.socket.heard_at());
                    }
                }
                "table_event" if is_host => match event(&text)? {
                    Some(Event::Questioned { .. }) => self.act(Act::Stop).await?,
                    Some(Event::Finished { .. }) => self.act(Act::Rematch).await?,
                    _ => {}
                },
                "refused" | "bye" => anyhow::bail!("the table does not go on: {text}"),
                _ => {}
            }
        }
    }

    /// Hears what is said, and says what it is told to.
    async fn listen(
        mut self,
        record: &Record,
        mut lines: mpsc::UnboundedReceiver<u32>,
    ) -> anyhow::Result<()> {
        record
            .events
            .fetch_add(self.held as usize, Ordering::Relaxed);
        loop {
            let frame = tokio::select! {
                Some(line) = lines.recv() => {
                    let text = format!("{} {}", word(line), word(record.clock.now()));
                    self.act(Act::Say { text }).await?;
                    continue;
                }
                frame = self.socket.hear() => frame?,
            };
            let Frame::Text(text) = frame else { continue };
            let heard: Heard<'_> = serde_json::from_str(&text)?;
            match heard.kind {
                "table_event" => {
                    let heard_at = self.socket.heard_at();
                    record.events.fetch_add(1, Ordering::Relaxed);
                    if let Some(Event::Said { text, .. }) = event(&text)? {
                        let mut stamps = stamps(&text);
                        if let (Some(line), Some(stamp)) = (stamps.next(), stamps.next()) {
                            let wait = record.note(stamp, heard_at);
                            if let Some(last) = record.last.get(line as usize) {
                                last.fetch_max(wait, Ordering::Relaxed);
                            }
                        }
                    }
                }
                "refused" | "bye" => anyhow::bail!("a line was not taken: {text}"),
                _ => {}
            }
        }
    }
}

fn event(text: &str) -> anyhow::Result<Option<Event>> {
    match serde_json::from_str(text)? {
        ToClient::TableEvent { stamped, .. } => Ok(stamped.event),
        other => anyhow::bail!("{other:?} for an event"),
    }
}

fn setup(people: u8, open_to_spectators: bool) -> Setup {
    Setup {
        kind: Kind::Direct,
        mode: Mode::Explanatory,
        bench: Bench::Machine,
        people,
        machines: vec![Machine::Eliza],
        rounds: 1,
        seconds: 3600,
        vacancy: Vacancy::Close,
        listed: false,
        open_to_spectators,
        line_limit: 300,
    }
}

/// Everybody who sits somewhere. The first who fails fails the measurement.
#[derive(Default)]
struct Seated(JoinSet<anyhow::Result<()>>);

impl Seated {
    /// Waits until it is so.
    async fn until(&mut self, what: &str, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
        let patience = Instant::now() + PATIENCE;
        while !is_so() {
            anyhow::ensure!(Instant::now() < patience, "{what}: not in {PATIENCE:?}");
            self.pass(GLANCE).await?;
        }
        Ok(())
    }

    /// Seats somebody who says nothing.
    fn watch(&mut self, person: Person, record: &Arc<Record>) {
        let record = Arc::clone(record);
        let (_, no_lines) = mpsc::unbounded_channel();
        self.0
            .spawn(async move { person.listen(&record, no_lines).await });
    }

    /// Lets time pass.
    async fn pass(&mut self, time: Duration) -> anyhow::Result<()> {
        tokio::time::sleep(time).await;
        match self.0.try_join_next() {
            None => Ok(()),
            Some(left) => left?.and_then(|()| anyhow::bail!("somebody left")),
        }
    }
}

/// Processor time of this process, seconds.
fn own_cpu() -> anyhow::Result<f64> {
    Ok(usage(std::process::id())?.cpu_seconds)
}

/// Measures each token's way from the worker's socket to every socket at its table.
pub(super) async fn streams(plan: Streams) -> anyhow::Result<Streaming> {
    let scratch = scratch()?;
    let socket = scratch.path().join("worker");
    let clock = Clock::start();
    let pace = Duration::from_secs(1) / plan.tokens_per_second;
    let writer = Writer::start(&socket, clock, plan.streams, pace)?;
    let socket = socket.to_str().context("odd temporary folder")?;
    let cap = (plan.tables * plan.people + 100).to_string();
    let rooms = (plan.tables + 10).to_string();
    let more = [
        ("PARLOUR_WORKER_SOCKET", socket),
        ("PARLOUR_SOCKETS", &cap),
        ("PARLOUR_ROOMS", &rooms),
    ];
    let server = Server::start(&scratch.path().join("data"), "deterministic", &more).await?;
    let (address, pid) = (
        server.address()?,
        server.pid().context("the server is gone")?,
    );

    let record = Record::new(clock, 0)?;
    let mut seated = Seated::default();
    let setup = setup(u8::try_from(plan.people)?, false);
    let mut coming = JoinSet::new();
    let gate = Arc::new(Semaphore::new(AT_ONCE.div_ceil(plan.people)));
    for table in 0..plan.tables {
        let permit = Arc::clone(&gate).acquire_owned().await?;
        let setup = setup.clone();
        coming.spawn(async move {
            let number = table * plan.people;
            let mut people = vec![Person::open(address, number, &setup).await?];
            for place in 1..plan.people {
                let room = &people[0].room;
                people.push(Person::join(address, number + place, room, Role::Witness).await?);
            }
            drop(permit);
            anyhow::Ok(people)
        });
    }
    while let Some(people) = coming.join_next().await {
        for (place, person) in people??.into_iter().enumerate() {
            let record = Arc::clone(&record);
            seated
                .0
                .spawn(async move { person.watch_questions(place == 0, &record).await });
        }
    }
    seated
        .until("every stream runs", || writer.streams() == plan.streams)
        .await?;
    seated.pass(SETTLE).await?;

    let (began, busy, own) = (Instant::now(), usage(pid)?, own_cpu()?);
    writer.stamp(true);
    seated.pass(Duration::from_secs(plan.seconds)).await?;
    writer.stamp(false);
    let seconds = began.elapsed().as_secs_f64();
    let (done, own_done) = (usage(pid)?, own_cpu()?);
    // What is on its way arrives.
    seated.pass(Duration::from_secs(1)).await?;
    let waits = Waits::of(&record.lock());
    let heard = waits.samples as f64 / (writer.stamped() as f64 * plan.people as f64);
    anyhow::ensure!(
        heard >= WHOLE,
        "only {:.1} % of the tokens arrived",
        heard * 100.0
    );
    Ok(Streaming {
        tables: plan.tables,
        people: plan.people,
        streams: plan.streams,
        tokens_per_second: writer.stamped() as f64 / seconds,
        waits,
        heard,
        server_cores: (done.cpu_seconds - busy.cpu_seconds) / seconds,
        client_cores: (own_done - own) / seconds,
    })
}

/// Measures each line's way from who says it to everybody who watches the table.
pub(super) async fn gallery(plan: Gallery) -> anyhow::Result<Watched> {
    let scratch = scratch()?;
    let cap = (plan.spectators + 100).to_string();
    let more = [("PARLOUR_SOCKETS", cap.as_str())];
    let server = Server::start(scratch.path(), "deterministic", &more).await?;
    let (address, pid) = (
        server.address()?,
        server.pid().context("the server is gone")?,
    );

    let clock = Clock::start();
    let record = Record::new(clock, plan.lines)?;
    let mut seated = Seated::default();
    let host = Person::open(address, 0, &setup(1, true)).await?;
    let room = host.room.clone();
    let empty: Usage = usage(pid)?;
    let (say, lines) = mpsc::unbounded_channel();
    // The host hears it as everybody does, but only who watches counts.
    let hosts = Record::new(clock, 0)?;
    seated
        .0
        .spawn(async move { host.listen(&hosts, lines).await });

    let mut coming = JoinSet::new();
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    for number in 1..=plan.spectators {
        let permit = Arc::clone(&gate).acquire_owned().await?;
        let room = room.clone();
        coming.spawn(async move {
            let person = Person::join(address, number, &room, Role::Spectator).await;
            drop(permit);
            person
        });
        while let Some(person) = coming.try_join_next() {
            seated.watch(person??, &record);
        }
    }
    while let Some(person) = coming.join_next().await {
        seated.watch(person??, &record);
    }
    // The opening, the host, and each spectator's coming are events that all of them have.
    let events = (plan.spectators + 2) * plan.spectators;
    seated
        .until("everybody knows of everybody", || {
            record.events.load(Ordering::Relaxed) == events
        })
        .await?;
    seated.pass(SETTLE).await?;

    let rest = usage(pid)?;
    for line in 0..plan.lines {
        say.send(u32::try_from(line)?)?;
        seated.pass(plan.pause).await?;
    }
    let expected = (plan.lines * plan.spectators) as u64;
    seated
        .until("every line is heard by all", || {
            record.lock().len() == expected
        })
        .await?;
    let busy = usage(pid)?;
    let mut last = histogram()?;
    for wait in &record.last {
        last.saturating_record(wait.load(Ordering::Relaxed));
    }
    Ok(Watched {
        spectators: plan.spectators,
        lines: plan.lines,
        each: Waits::of(&record.lock()),
        last: Waits::of(&last),
        bytes_per_socket: rest.resident.saturating_sub(empty.resident) as f64
            / plan.spectators as f64,
        cpu_ms_per_line: (busy.cpu_seconds - rest.cpu_seconds) * 1000.0 / plan.lines as f64,
    })
}

impl Streaming {
    pub fn print(&self) {
        println!(
            "{} tables of {}, {} questions written at a time, {:.0} tokens a second in all",
            self.tables, self.people, self.streams, self.tokens_per_second
        );
        println!("  worker to socket   {}", self.waits);
        println!(
            "  heard              {:.2} % of {} arrivals; {:.2} cores of the server, {:.2} of the client",
            self.heard * 100.0,
            self.waits.samples,
            self.server_cores,
            self.client_cores
        );
    }
}

impl Watched {
    pub fn print(&self) {
        println!(
            "one table, {} spectators, {} lines, one at a time",
            self.spectators, self.lines
        );
        println!("  to each            {}", self.each);
        println!("  to the last        {}", self.last);
        println!(
            "  cost               {:.1} ms of processor a line; {:.1} KiB resident a spectator",
            self.cpu_ms_per_line,
            self.bytes_per_socket / 1024.0
        );
    }
}
