//! Two clients with real sockets, a server that is killed at random instants and started
//! again, and a model of the truth: at the end of every run all of them agree.
//!
//! `PARLOUR_TRUTH_RUNS` says how many runs (20), `PARLOUR_TRUTH_SEED` from which seed on (0). A
//! run that fails says how to repeat it; `PARLOUR_TRUTH_STEPS` then leaves out all but the
//! first steps of its script.

use std::time::Duration;

use parlour::{
    config::RedisSettings,
    play::{
        imitation::{Kind, Mode},
        party::{Bench, Machine, Setup, Vacancy},
    },
    store::{AnyStore, home::Home},
    wire::browser::{Bye, FromClient},
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_tungstenite::MaybeTlsStream;

use crate::{
    guest::{Cut, Fate, Guest, Place, last_words},
    house::House,
    ledger::{Truth, nothing_was_told_too_early},
    moves::{Todo, role},
    redis_server::RedisServer,
    setting,
};

/// Nothing waits this long but for something that will never come.
const NEVER: Duration = Duration::from_secs(90);

/// What one of the two does in a step.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// Whatever the rules wait for.
    Act,
    /// The same without waiting for the answer: the socket is cut at once.
    Blurt,
    /// The same, cut in the middle of the frame.
    HalfAFrame { bytes: u16 },
    /// Reads for a while.
    Listen { millis: u64 },
    /// The socket is gone, with or without a goodbye of the system's.
    Cut { reset: bool },
    /// The session is opened in another tab.
    Tab,
    /// The seat is taken from another browser.
    Phone,
    /// Gets up and comes back.
    Leave,
}

#[derive(Debug)]
struct Step {
    ops: [Op; 2],
    /// Milliseconds after which the server is killed.
    kill: Option<u64>,
}

#[derive(Debug)]
struct Script {
    /// None: each plays a game alone.
    table: Option<Setup>,
    modes: [(Kind, Mode); 2],
    games: usize,
    redis: bool,
    steps: Vec<Step>,
}

impl Script {
    fn draw(seed: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let dice = &mut dice;
        let modes = [(); 2].map(|()| (kind(dice), mode(dice)));
        let table = dice.random_bool(0.6).then(|| setup(dice, modes[0]));
        let games = if dice.random_bool(0.2) { 2 } else { 1 };
        let redis = dice.random_bool(0.3);
        let steps = (0..dice.random_range(6..20)).map(|_| Step {
            ops: [op(dice), op(dice)],
            kill: dice.random_bool(0.3).then(|| dice.random_range(0..60)),
        });
        let steps = steps.take(setting("PARLOUR_TRUTH_STEPS", usize::MAX));
        Self {
            table,
            modes,
            games,
            redis,
            steps: steps.collect(),
        }
    }
}

fn kind(dice: &mut impl Rng) -> Kind {
    [Kind::Direct, Kind::Inverse][dice.random_range(0..2)]
}

fn mode(dice: &mut impl Rng) -> Mode {
    [Mode::Blind, Mode::Blind, Mode::Explanatory][dice.random_range(0..3)]
}

fn setup(dice: &mut impl Rng, (kind, mode): (Kind, Mode)) -> Setup {
    let bench = [Bench::Machine, Bench::Person, Bench::Everybody][dice.random_range(0..3)];
    let machines = [
        vec![Machine::Eliza],
        vec![Machine::Model],
        vec![Machine::Eliza, Machine::Model],
    ];
    Setup {
        kind,
        mode,
        bench,
        people: 2,
        machines: machines[dice.random_range(0..3)].clone(),
        rounds: dice.random_range(1..3),
        seconds: 600,
        vacancy: Vacancy::Machine,
        listed: true,
        open_to_spectators: true,
        line_limit: 300,
    }
}

fn op(dice: &mut impl Rng) -> Op {
    match dice.random_range(0..20) {
        0..7 => Op::Act,
        7..9 => Op::Blurt,
        9..11 => Op::HalfAFrame {
            bytes: dice.random(),
        },
        11..14 => Op::Listen {
            millis: dice.random_range(0..80),
        },
        14..16 => Op::Cut {
            reset: dice.random(),
        },
        16..18 => Op::Tab,
        18 => Op::Phone,
        _ => Op::Leave,
    }
}

/// Says how a run that failed is repeated.
struct Tell<'a>(u64, &'a Script);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(seed, script) = self;
            eprintln!(
                "again: PARLOUR_TRUTH_SEED={seed} PARLOUR_TRUTH_RUNS=1 cargo test --test soak \
                 truth\n{script:?}"
            );
        }
    }
}

/// The room that both come to, once one of them knows it.
struct Run<'a> {
    script: &'a Script,
    url: String,
    room: Option<String>,
}

impl Run<'_> {
    /// Whatever there is to do, up to opening a room.
    async fn act(&self, guest: &mut Guest, nth: usize, dice: &mut ChaCha8Rng) -> Result<(), Cut> {
        if guest.place.is_none() {
            return self.enter(guest, nth).await;
        }
        let todo = guest.todo(dice, self.script.games, 2);
        if matches!(todo, Todo::Wait | Todo::Done) {
            return listen(guest, 10).await;
        }
        // What is refused is held against the log as well.
        guest.act(&todo).await.map(drop)
    }

    async fn enter(&self, guest: &mut Guest, nth: usize) -> Result<(), Cut> {
        let id = guest.id();
        let name = guest.name.clone();
        let (kind, mode) = self.script.modes[nth];
        let message = match (&self.script.table, &self.room, nth) {
            (None, ..) => FromClient::Open {
                id,
                kind,
                mode,
                name,
            },
            (Some(setup), None, 0) => FromClient::OpenTable {
                id,
                setup: setup.clone(),
                role: role(true, setup.bench == Bench::Person),
                name,
            },
            (Some(_), Some(room), 1) => FromClient::JoinTable {
                id,
                room: room.clone(),
                role: role(false, false),
                name,
                seat: None,
                held: None,
            },
            _ => return listen(guest, 10).await,
        };
        guest.enter(id, &message).await.map(drop)
    }

    async fn step(
        &self,
        guest: &mut Guest,
        nth: usize,
        op: Op,
        falls: bool,
        dice: &mut ChaCha8Rng,
    ) -> Result<(), Cut> {
        match op {
            Op::Act => self.act(guest, nth, dice).await,
            Op::Listen { millis } => listen(guest, millis).await,
            Op::Blurt | Op::HalfAFrame { .. } => {
                let todo = guest.todo(dice, self.script.games, 2);
                if guest.place.is_none() || matches!(todo, Todo::Wait | Todo::Done) {
                    return listen(guest, 10).await;
                }
                let (what, message) = guest.words(&todo);
                let whole = matches!(op, Op::Blurt);
                let fate = if whole { Fate::Unknown } else { Fate::Torn };
                if let Some(what) = what {
                    guest.note(what, fate);
                }
                match op {
                    Op::HalfAFrame { bytes } => tear(guest, &message, bytes).await,
                    _ => guest.say(&message).await?,
                }
                hang_up(guest, false);
                Err(Cut)
            }
            Op::Cut { reset } => {
                hang_up(guest, reset);
                Err(Cut)
            }
            Op::Tab => {
                let older = guest.hang_up();
                guest.connect(&self.url).await?;
                if let Some(older) = older {
                    // Nothing is said if the server fell before.
                    let bye = last_words(older).await;
                    let told = bye == Some(Bye::Elsewhere);
                    assert!(told || bye.is_none() && falls, "{bye:?}");
                }
                guest.sit().await.map(drop)
            }
            Op::Phone => {
                let Some(Place::Table(_)) = &guest.place else {
                    return listen(guest, 10).await;
                };
                let older = guest.hang_up();
                let session = guest.session.take();
                let arrived = guest.connect(&self.url).await;
                if arrived.is_err() {
                    guest.session = guest.session.take().or(session);
                }
                arrived?;
                let sat = guest.sit().await;
                // The older one may never have heard of it if the server fell.
                drop(older);
                sat.map(drop)
            }
            Op::Leave => {
                let id = guest.id();
                guest.ask(id, &FromClient::Leave { id }).await?.ok();
                guest.sit().await.map(drop)
            }
        }
    }
}

/// Reads what comes for so long.
async fn listen(guest: &mut Guest, millis: u64) -> Result<(), Cut> {
    let reading = async {
        loop {
            if let Err(cut) = guest.hear().await {
                return cut;
            }
        }
    };
    match timeout(Duration::from_millis(millis), reading).await {
        Ok(cut) => Err(cut),
        Err(_) => Ok(()),
    }
}

fn hang_up(guest: &mut Guest, reset: bool) {
    if let Some(socket) = guest.hang_up()
        && let MaybeTlsStream::Plain(stream) = socket.get_ref()
        && reset
    {
        socket2::SockRef::from(stream)
            .set_linger(Some(Duration::ZERO))
            .expect("it can be reset");
    }
}

/// Sends the beginning of a frame.
async fn tear(guest: &mut Guest, message: &FromClient, bytes: u16) {
    let text = serde_json::to_string(message).expect("json");
    let length = u16::try_from(text.len()).expect("short");
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    // A mask of zeros leaves the text as it is.
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    let whole = u16::try_from(frame.len()).expect("short");
    frame.truncate(usize::from(1 + bytes % (whole - 1)));
    if let Some(mut socket) = guest.hang_up()
        && let MaybeTlsStream::Plain(stream) = socket.get_mut()
    {
        // The server may be gone, which is as good a cut.
        let _ = stream.write_all(&frame).await;
    }
}

/// Comes back as often as it takes.
async fn come_back(guest: &mut Guest, url: &str) {
    loop {
        if guest.connect(url).await.is_ok() {
            match guest.sit().await {
                Ok(true) => return,
                Ok(false) if guest.place.is_none() && !guest.owed_a_place => return,
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn run(seed: u64, redis: &RedisServer) {
    let script = Script::draw(seed);
    let tell = Tell(seed, &script);
    let mut dice = ChaCha8Rng::seed_from_u64(!seed);
    let url = redis.url();
    let prefix = format!("truth{seed}:");
    let mut settings = vec![
        ("PARLOUR_ROUNDS", "2"),
        ("PARLOUR_CONNECTS_PER_MINUTE", "0"),
        ("PARLOUR_SECRET", "a secret of this house alone"),
        ("PARLOUR_REDIS_PREFIX", &prefix),
    ];
    if script.redis {
        settings.push(("PARLOUR_REDIS_URL", url.expose()));
    }
    let mut house = House::with_toy(&settings);
    let mut run = Run {
        script: &script,
        url: house.socket(),
        room: None,
    };
    let mut guests = ["Ada", "Ben"].map(|name| {
        let mut guest = Guest::new(name);
        guest.frames = Some(Vec::new());
        guest
    });
    for step in &script.steps {
        settle(&mut guests, &mut run).await;
        let [ada, ben] = &mut guests;
        let mut others = ChaCha8Rng::seed_from_u64(dice.random());
        let falls = step.kill.is_some();
        let both = async {
            let ada = run.step(ada, 0, step.ops[0], falls, &mut dice);
            let ben = run.step(ben, 1, step.ops[1], falls, &mut others);
            // Whoever was cut off comes back after the step.
            let _ = tokio::join!(ada, ben);
        };
        match step.kill {
            None => timeout(NEVER, both).await.expect("a step ends"),
            Some(millis) => {
                let falls = async {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    house.fall();
                };
                timeout(NEVER, async { tokio::join!(both, falls) })
                    .await
                    .expect("a step ends");
                // What the old server still had to say is lost.
                for guest in &mut guests {
                    hang_up(guest, false);
                }
                house.rise();
                run.url = house.socket();
            }
        }
    }
    let played = timeout(NEVER, async {
        while !is_over(&guests, script.games) {
            settle(&mut guests, &mut run).await;
            for (nth, guest) in guests.iter_mut().enumerate() {
                // The next turn of the loop brings back who was cut off.
                let _ = run.act(guest, nth, &mut dice).await;
            }
        }
        // Whatever else was said meanwhile.
        for guest in &mut guests {
            hang_up(guest, false);
        }
        settle(&mut guests, &mut run).await;
    });
    if played.await.is_err() {
        let places: Vec<_> = guests.iter().map(|guest| &guest.place).collect();
        panic!("it does not go on: {places:#?}");
    }
    house.fall();
    let redis = RedisSettings {
        redis_url: script.redis.then_some(url),
        redis_prefix: prefix,
    };
    check(&guests, &house, &redis).await;
    drop(tell);
}

async fn settle(guests: &mut [Guest; 2], run: &mut Run<'_>) {
    for guest in guests {
        if !guest.is_connected() {
            timeout(NEVER, come_back(guest, &run.url))
                .await
                .expect("who comes back is let in");
        }
        if let (Some(Place::Table(known)), None) = (&guest.place, &run.room) {
            run.room = Some(known.room.clone());
        }
    }
}

fn is_over(guests: &[Guest], games: usize) -> bool {
    // Any dice: whether there is nothing more to do does not depend on them.
    let mut dice = ChaCha8Rng::seed_from_u64(0);
    let mut guests = guests.iter();
    guests.all(|guest| guest.todo(&mut dice, games, 2) == Todo::Done)
}

async fn check(guests: &[Guest; 2], house: &House, redis: &RedisSettings) {
    let home = Home::take(house.data()).expect("the server is gone");
    let store = AnyStore::open(redis, &home).await.expect("the store");
    for guest in guests {
        let place = guest.place.as_ref().expect("both played");
        let truth = Truth::read(&store, place.room()).await;
        truth.is_seen(guest, place);
        truth.hold_to_account(&[&guests[0], &guests[1]]);
        nothing_was_told_too_early(&truth, guest, place);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_a_server_that_is_killed_and_the_store_agree_at_the_end_of_every_run() {
    let _alone = crate::alone().await;
    let redis = RedisServer::start();
    let first: u64 = setting("PARLOUR_TRUTH_SEED", 0);
    let runs: u64 = setting("PARLOUR_TRUTH_RUNS", 20);
    for seed in first..first + runs {
        run(seed, &redis).await;
    }
    eprintln!("{runs} runs from seed {first}: clients, store and truth agree");
}
