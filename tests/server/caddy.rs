//! Behind the Caddyfile of this repository, with a real Caddy.

use futures_util::{SinkExt, StreamExt};
use parlour::play::imitation::{Kind, Mode};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::support::{caddy::Caddy, client::Client, house::House, models};

/// Sockets that a house has open now.
async fn sockets(house: &House) -> usize {
    let metrics = reqwest::get(house.url("/metrics")).await.expect("metrics");
    let metrics = metrics.text().await.expect("text");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("parlour_sockets "));
    line.expect("sockets are counted")
        .parse()
        .expect("a number")
}

#[tokio::test]
async fn pages_come_through_guarded_and_numbers_do_not() {
    let house = models::scripted(&[]);
    let caddy = Caddy::before(&[&house]);
    let page = reqwest::get(caddy.url("/")).await.expect("an answer");
    assert_eq!(page.status(), 200);
    let headers = page.headers();
    for guard in ["content-security-policy", "strict-transport-security"] {
        assert!(headers.contains_key(guard), "{guard}");
    }
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(!headers.contains_key("server"));
    let numbers = reqwest::get(caddy.url("/metrics"))
        .await
        .expect("an answer");
    assert_eq!(numbers.status(), 404);
}

#[tokio::test]
async fn a_whole_game_is_played_through_it() {
    let house = models::scripted(&[("PARLOUR_ROUNDS", "2")]);
    let caddy = Caddy::before(&[&house]);
    let mut client = Client::enter_at(&format!("ws://{}/ws", caddy.address), None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    client.play_out(&mut seen).await;
    assert!(seen.is_over());
}

#[tokio::test]
async fn all_sockets_of_a_room_meet_in_one_server_while_it_is_well() {
    let (mut first, second) = (models::scripted(&[]), models::scripted(&[]));
    let caddy = Caddy::before(&[&first, &second]);
    let mut open = Vec::new();
    let mut homes = [0, 0];
    for room in 0..16 {
        let before = [sockets(&first).await, sockets(&second).await];
        let url = format!("ws://{}/ws/ROOM-{room:04}", caddy.address);
        for _ in 0..3 {
            let (mut socket, _) = connect_async(&url).await.expect("let in");
            // An answer comes once the server has counted the socket.
            socket
                .send(Message::Ping(Vec::new().into()))
                .await
                .expect("sent");
            socket.next().await.expect("an answer").expect("a frame");
            open.push(socket);
        }
        let after = [sockets(&first).await, sockets(&second).await];
        let grew = [after[0] - before[0], after[1] - before[1]];
        assert!(grew == [3, 0] || grew == [0, 3], "{grew:?}");
        homes[usize::from(grew == [0, 3])] += 1;
    }
    assert!(homes.iter().all(|rooms| *rooms > 0), "{homes:?}");
    // Where its own server is gone, a room is let in by the other one.
    first.fall();
    for room in 0..16 {
        let url = format!("ws://{}/ws/ROOM-{room:04}", caddy.address);
        let (socket, _) = connect_async(&url).await.expect("let in");
        open.push(socket);
    }
}
