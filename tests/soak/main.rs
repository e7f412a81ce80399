//! Nothing is lost: clients, servers, workers and Redis are cut off, hung and killed while
//! games go on, and at the end what clients know, what they said and what the store has are
//! held against each other. One binary, so that its tests have the machine to themselves.

#[path = "../server/support/house.rs"]
mod house;
#[path = "../server/support/known.rs"]
mod known;
#[path = "../redis_server/mod.rs"]
mod redis_server;
#[path = "../server/support/seen.rs"]
mod seen;
#[path = "../fleet/worker.rs"]
mod worker;

mod clock;
mod disk;
mod gate;
mod guest;
mod ledger;
mod moves;
mod players;
mod soak;
mod town;
mod truth;

use std::{env, str::FromStr};

use tokio::sync::{Mutex, MutexGuard};

/// A number from the environment.
fn setting<T: FromStr>(name: &str, default: T) -> T {
    let given = env::var(name).ok().map(|value| value.parse().ok());
    given.map_or(default, |value| value.expect("a number"))
}

/// The machine to oneself: these tests look at the time that things take.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}
