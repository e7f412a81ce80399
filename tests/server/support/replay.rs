//! What a server shows of a finished game.

use parlour::wire::browser::Stamped;
use serde::Deserialize;

#[derive(Deserialize)]
struct Replay {
    events: Vec<Stamped>,
}

/// The events at this address.
pub async fn of(address: &str) -> Vec<Stamped> {
    let replay: Replay = reqwest::get(address)
        .await
        .expect("an answer")
        .json()
        .await
        .expect("a replay");
    replay.events
}
