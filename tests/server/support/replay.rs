//! What a server shows of finished games.

use parlour::wire::browser::Stamped;
use serde::{Deserialize, de::DeserializeOwned};

#[derive(Deserialize)]
struct Replay<E> {
    events: Vec<Stamped<E>>,
}

/// The events at this address.
pub async fn of<E: DeserializeOwned>(address: &str) -> Vec<Stamped<E>> {
    let replay: Replay<E> = reqwest::get(address)
        .await
        .expect("an answer")
        .json()
        .await
        .expect("a replay");
    replay.events
}
