//! Mixed games under faults of every kind, one after the other: nothing is lost, nothing is
//! there twice, no room stands still, and after a kill all go on soon.
//!
//! `PARLOUR_SOAK_FAULTS` says how many faults (40), `PARLOUR_SOAK_SEED` by which dice (0),
//! `PARLOUR_SOAK_ONLY` names the one kind of fault that happens, as it is printed (any),
//! `PARLOUR_SOAK_SERVERS` how many servers share the Redis (2), and `PARLOUR_SOAK_LOG` what the
//! servers write to the terminal (`off`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    gate::Line,
    guest::{Fate, Guest},
    ledger::Truth,
    players::{Circle, Player, Sort},
    setting,
    town::{Homes, Town},
    worker::signal,
};

/// A room in which nothing happens for so long once a fault is over is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// What 95 of 100 rooms do not wait longer than for whoever is killed to be replaced.
const RESUMED: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    ServerKilled,
    ServerStopped,
    ServerHangs,
    WorkerKilled,
    EngineKilled,
    WorkerHangs,
    RedisRestarts,
    RedisHangs,
    LinesCut,
    LinesFrozen,
    LinesSlow,
}

impl Fault {
    const ALL: [Self; 11] = [
        Self::ServerKilled,
        Self::ServerStopped,
        Self::ServerHangs,
        Self::WorkerKilled,
        Self::EngineKilled,
        Self::WorkerHangs,
        Self::RedisRestarts,
        Self::RedisHangs,
        Self::LinesCut,
        Self::LinesFrozen,
        Self::LinesSlow,
    ];

    fn needs_redis(self) -> bool {
        matches!(
            self,
            Self::RedisRestarts | Self::RedisHangs | Self::EngineKilled
        )
    }

    fn is_kill(self) -> bool {
        matches!(
            self,
            Self::ServerKilled | Self::WorkerKilled | Self::EngineKilled
        )
    }
}

/// How rooms took it.
#[derive(Default)]
struct Took {
    /// From the fault's beginning to the end of a room's longest silence, by fault.
    waits: BTreeMap<Fault, Vec<Duration>>,
    faults: BTreeMap<Fault, usize>,
}

/// The one at so many hundredths.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let nth = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(nth).copied().unwrap_or_default()
}

/// Makes one fault happen, and gives when it began; it is over when this returns.
async fn strike(town: &mut Town, fault: Fault, dice: &mut ChaCha8Rng) -> Instant {
    let server = dice.random_range(0..town.houses.len());
    let worker = dice.random_range(0..town.workers.len().max(1));
    let share = dice.random_range(0.2..1.0);
    let blink = Duration::from_millis(dice.random_range(0..300));
    // Most hang for a moment, some for longer than anybody waits for them.
    let pause = if dice.random_bool(0.2) {
        5500..7000
    } else {
        200..2000
    };
    let pause = Duration::from_millis(dice.random_range(pause));
    let engine = fault == Fault::EngineKilled;
    // Any instant is as good as any other.
    sleep(Duration::from_millis(dice.random_range(0..200))).await;
    let began = Instant::now();
    if dice.random_bool(0.2) {
        // It never rains but it pours.
        town.gate.set(Line::Cut, || dice.random_bool(share));
    }
    match fault {
        Fault::ServerKilled => {
            town.fall(server);
            sleep(blink).await;
            tokio::task::block_in_place(|| town.rise(server));
        }
        Fault::ServerStopped => {
            tokio::task::block_in_place(|| town.close(server));
            sleep(blink).await;
            tokio::task::block_in_place(|| town.rise(server));
        }
        Fault::ServerHangs => {
            town.signal_server(server, "STOP");
            sleep(pause).await;
            town.signal_server(server, "CONT");
        }
        Fault::WorkerKilled | Fault::EngineKilled => town.kill_worker(worker, engine).await,
        Fault::WorkerHangs => {
            let processes = town.worker(worker).await;
            for process in &processes {
                signal("STOP", *process);
            }
            sleep(pause).await;
            for process in processes {
                // It may have been taken for dead, and be it now.
                let _ = std::panic::catch_unwind(|| signal("CONT", process));
            }
        }
        Fault::RedisRestarts => tokio::task::block_in_place(|| town.restart_redis()),
        Fault::RedisHangs => {
            town.signal_redis("STOP");
            sleep(pause).await;
            town.signal_redis("CONT");
        }
        Fault::LinesCut => drop(town.gate.set(Line::Cut, || dice.random_bool(share))),
        Fault::LinesFrozen => drop(town.gate.set(Line::Frozen, || dice.random_bool(share))),
        Fault::LinesSlow => {
            town.gate.set(Line::Slow, || dice.random_bool(share));
            sleep(pause).await;
            town.gate.set(Line::Flows, || true);
        }
    }
    began
}

/// Waits until something new has happened in every room since the fault was over.
async fn all_go_on(
    circles: &[Arc<Circle>],
    players: &[JoinHandle<Guest>],
    what: &str,
    began: Instant,
) -> Vec<Duration> {
    let over = Instant::now();
    let before: Vec<u64> = circles.iter().map(|circle| circle.steps()).collect();
    let mut waits = vec![None; circles.len()];
    while waits.contains(&None) {
        assert!(
            !players.iter().any(JoinHandle::is_finished),
            "somebody gave up after {what}"
        );
        for ((circle, before), wait) in circles.iter().zip(&before).zip(&mut waits) {
            if wait.is_none() && circle.steps() > *before {
                *wait = Some(circle.silence(began));
            }
            assert!(
                wait.is_some() || over.elapsed() < STUCK,
                "{} is stuck after {what}: {}",
                circle.name,
                circle.state()
            );
        }
        sleep(Duration::from_millis(5)).await;
    }
    waits.into_iter().flatten().collect()
}

/// Whether such faults happen in this run.
fn is_wanted(fault: Fault) -> bool {
    std::env::var("PARLOUR_SOAK_ONLY").map_or(true, |only| only == format!("{fault:?}"))
}

async fn soak(home: Homes, faults: usize, seed: u64) {
    let began = Instant::now();
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut town = Town::found(home).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut circles = Vec::new();
    let mut players = Vec::new();
    for (name, sort) in Sort::all() {
        let circle = Circle::new(name, sort);
        for nth in 0..circle.people() {
            let player = Player::new(Arc::clone(&circle), nth, town.gate.clone(), dice.random());
            players.push(tokio::spawn(player.play(Arc::clone(&over))));
        }
        circles.push(circle);
    }
    all_go_on(&circles, &players, "the beginning", Instant::now()).await;
    let mut took = Took::default();
    let possible: Vec<Fault> = Fault::ALL
        .into_iter()
        .filter(|fault| home != Homes::Embedded || !fault.needs_redis())
        .filter(|fault| is_wanted(*fault))
        .collect();
    for nth in 0..faults {
        let fault = possible[dice.random_range(0..possible.len())];
        let struck = strike(&mut town, fault, &mut dice).await;
        let what = format!("fault {nth}, {fault:?}, of {home:?} with PARLOUR_SOAK_SEED={seed}");
        let waits = all_go_on(&circles, &players, &what, struck).await;
        took.waits.entry(fault).or_default().extend(waits);
        *took.faults.entry(fault).or_default() += 1;
        if (nth + 1) % 50 == 0 {
            eprintln!("{} faults after {:.0?}", nth + 1, began.elapsed());
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut guests = Vec::new();
    for player in players {
        let last = tokio::time::timeout(STUCK * 12, player).await;
        let states: Vec<String> = circles.iter().map(|circle| circle.state()).collect();
        let guest = last.unwrap_or_else(|_| panic!("it does not come to an end: {states:#?}"));
        guests.push(guest.expect("nobody gives up"));
    }
    let account = settle_accounts(town, &guests).await;
    report(home, began.elapsed(), &account, &mut took);
}

/// What the store has, in numbers.
#[derive(Default)]
struct Account {
    rooms: usize,
    events: usize,
    /// Events that somebody saw, each as often as it was seen.
    seen: usize,
    accepted: usize,
    unanswered: usize,
    broken: usize,
}

/// Holds everything that anybody saw and said against the store.
async fn settle_accounts(town: Town, guests: &[Guest]) -> Account {
    let (store, _town) = town.close_down().await;
    let all: Vec<&Guest> = guests.iter().collect();
    let mut account = Account::default();
    let places = |guest: &'_ Guest| {
        guest
            .past
            .iter()
            .chain(&guest.place)
            .cloned()
            .collect::<Vec<_>>()
    };
    let rooms: BTreeSet<String> = guests
        .iter()
        .flat_map(places)
        .map(|place| place.room().to_owned())
        .collect();
    for room in &rooms {
        let truth = Truth::read(&store, room).await;
        for guest in guests {
            for place in places(guest).iter().filter(|place| place.room() == room) {
                account.seen += truth.is_seen(guest, place);
            }
        }
        account.accepted += truth.hold_to_account(&all);
        account.events += truth.len();
        account.broken += truth.broken();
    }
    account.rooms = rooms.len();
    let unknown = |guest: &Guest| {
        let said = guest.said.iter();
        said.filter(|said| said.fate == Fate::Unknown).count()
    };
    account.unanswered = guests.iter().map(unknown).sum();
    account
}

fn report(home: Homes, took_all: Duration, account: &Account, took: &mut Took) {
    let faults: usize = took.faults.values().sum();
    eprintln!("\n{home:?}: {faults} faults in {took_all:.0?}");
    for (fault, waits) in &mut took.waits {
        waits.sort_unstable();
        eprintln!(
            "  {:<14} {:>4} times; rooms silent until p50 {:>5.2?} p95 {:>5.2?} at most {:>5.2?}",
            format!("{fault:?}"),
            took.faults[fault],
            quantile(waits, 50),
            quantile(waits, 95),
            quantile(waits, 100),
        );
    }
    let kills = took.waits.iter().filter(|(fault, _)| fault.is_kill());
    let mut kills: Vec<Duration> = kills.flat_map(|(_, waits)| waits.clone()).collect();
    kills.sort_unstable();
    let p95 = quantile(&kills, 95);
    eprintln!(
        "  {} rooms, {} events stored, seen {} times; {} lines and ballots accepted, {} without an \
         answer; {} games broken off",
        account.rooms,
        account.events,
        account.seen,
        account.accepted,
        account.unanswered,
        account.broken
    );
    eprintln!(
        "  0 events lost, 0 lines twice, 0 rooms stuck beyond {STUCK:?}; after a kill of a server \
         or worker rooms go on after {p95:.2?} (p95 of {})",
        kills.len()
    );
    // A few waits on a busy machine say little.
    let enough = kills.len() >= 300;
    assert!(
        !enough || p95 <= RESUMED,
        "rooms go on too late after kills: {p95:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_store_whatever_happens_nothing_is_lost_or_twice() {
    let _alone = crate::alone().await;
    let faults: usize = setting("PARLOUR_SOAK_FAULTS", 40);
    soak(
        Homes::Embedded,
        faults * 3 / 10,
        setting("PARLOUR_SOAK_SEED", 0),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_with_a_fleet_whatever_happens_nothing_is_lost_or_twice() {
    let _alone = crate::alone().await;
    let faults: usize = setting("PARLOUR_SOAK_FAULTS", 40);
    let home = Homes::Shared {
        servers: setting("PARLOUR_SOAK_SERVERS", 2),
        workers: 2,
    };
    soak(
        home,
        faults - faults * 3 / 10,
        setting("PARLOUR_SOAK_SEED", 0),
    )
    .await;
}
