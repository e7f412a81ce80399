//! Everything at once, and how long readers wait for another worker.
//!
//! `PARLOUR_CHAOS_FAULTS` says how many faults are made (12), `PARLOUR_CHAOS_SEED` by which
//! dice (0); `PARLOUR_CHAOS_KILLS` how many workers are killed for the figure (5).

use std::{
    collections::HashMap,
    env,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use parlour::generation::{Backend, GenerationError, Output};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{Items, Reading, Redis, Server, Worker, long, pieces, signal, text};

const MODEL: &str = "deterministic:10ms";
const LEASE: [&str; 4] = ["--lease-ms", "1000", "--slots", "4"];
const TOKENS: u32 = 40;
const SEEDS: u64 = 6;

fn setting<T: FromStr>(name: &str, default: T) -> T {
    let given = env::var(name).ok().map(|value| value.parse().ok());
    given.map_or(default, |value| value.expect("a number"))
}

/// A text as a room gets it: what is torn is thrown away and asked for anew.
async fn persist(backend: &Backend, seed: u64) -> (String, u64) {
    let mut torn = 0;
    loop {
        let items: Items = backend.ask(long(seed, TOKENS)).collect().await;
        match items.last() {
            Some(Ok(Output::Done { .. })) => return (pieces(&items), torn),
            Some(Err(GenerationError::WorkerLost)) => torn += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn whatever_happens_every_text_comes_whole_and_once() {
    let faults: u32 = setting("PARLOUR_CHAOS_FAULTS", 12);
    let seed = setting("PARLOUR_CHAOS_SEED", 0);
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut redis = Redis::start().await;
    let servers = [(); 2].map(|()| {
        Server::join(&redis, MODEL, |options| {
            options.attempts = 100;
            options.time = Duration::from_secs(600);
        })
    });
    let mut workers: Vec<Worker> = (0..3)
        .map(|_| Worker::start(&redis, MODEL, &LEASE))
        .collect();
    let mut truth = HashMap::new();
    for seed in 0..SEEDS {
        truth.insert(seed, text(&servers[0].say(long(seed, TOKENS)).await));
    }
    let truth = Arc::new(truth);
    let over = Arc::new(AtomicBool::new(false));
    let (done, torn) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..12u64)
        .map(|reader| {
            let backend = servers[reader as usize % 2].backend.clone();
            let (truth, over) = (Arc::clone(&truth), Arc::clone(&over));
            let (done, torn) = (Arc::clone(&done), Arc::clone(&torn));
            tokio::spawn(async move {
                let mut seed = reader;
                while !over.load(Ordering::Relaxed) {
                    seed = (seed + 1) % SEEDS;
                    let (said, times) = persist(&backend, seed).await;
                    assert_eq!(said, truth[&seed]);
                    done.fetch_add(1, Ordering::Relaxed);
                    torn.fetch_add(times, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for fault in 0..faults {
        // Each meets work that goes on after the last one.
        let before = done.load(Ordering::Relaxed);
        while done.load(Ordering::Relaxed) < before + 4 {
            assert!(readers.iter().all(|reader| !reader.is_finished()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let which = dice.random_range(0..workers.len());
        let what = dice.random_range(0..6);
        eprintln!("fault {fault}: {what} of worker {which}");
        match what {
            0 => workers[which] = Worker::start(&redis, MODEL, &LEASE),
            1 => signal("KILL", workers[which].engine().await),
            2 => {
                workers[which].signal("STOP").await;
                let before = done.load(Ordering::Relaxed);
                while done.load(Ordering::Relaxed) < before + 12 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                workers[which].signal("CONT").await;
            }
            3 => {
                redis.kill();
                redis.come_back().await;
            }
            4 => {
                let leaving =
                    std::mem::replace(&mut workers[which], Worker::start(&redis, MODEL, &LEASE));
                signal("TERM", leaving.child.id());
                let left = tokio::task::spawn_blocking(move || {
                    let mut leaving = leaving;
                    leaving.child.wait().expect("it ends");
                });
                left.await.expect("no panic");
            }
            _ => {
                let _: String = redis.ask(&["FLUSHALL"]).await;
            }
        }
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.expect("every text was whole");
    }
    for server in &servers {
        assert_eq!(server.client.in_flight(), 0);
    }
    eprintln!(
        "{faults} faults, {} texts, {} of them begun anew",
        done.load(Ordering::Relaxed),
        torn.load(Ordering::Relaxed),
    );
}

/// Prints how long a reader waits for the next piece when its worker is killed (lease 2 s, the
/// default); there is no limit here, for machines differ.
#[tokio::test]
async fn a_killed_workers_reader_waits_for_a_lease_and_little_more() {
    let kills: usize = setting("PARLOUR_CHAOS_KILLS", 5);
    let redis = Redis::start().await;
    let server = Server::join(&redis, MODEL, |_| {});
    let mut waits = Vec::new();
    let mut victim = Worker::start(&redis, MODEL, &[]);
    victim.joined(&server.client).await;
    for seed in 0..kills as u64 {
        let mut reading = Reading::begin(server.backend.ask(long(seed, 100))).await;
        let heir = Worker::start(&redis, MODEL, &[]);
        heir.joined(&server.client).await;
        victim.kill();
        let began = Instant::now();
        // What was on its way comes first; only the heir says the rest.
        while redis
            .claims(2, MODEL)
            .await
            .iter()
            .any(|(name, _)| !heir.is(name))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        reading.piece().await;
        waits.push(began.elapsed());
        text(&reading.rest().await);
        victim = heir;
    }
    waits.sort_unstable();
    let p95 = waits[(waits.len() * 95).div_ceil(100) - 1];
    eprintln!(
        "{kills} kills: median {:?}, p95 {p95:?}",
        waits[waits.len() / 2]
    );
}
