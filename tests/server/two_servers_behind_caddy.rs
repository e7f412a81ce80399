//! Two servers on one Redis behind the Caddyfile of this repository: people know one address,
//! and the server behind it may go at any time.

use parlour::play::party::{Act, Role};

use crate::support::{
    caddy::Caddy,
    client::Client,
    house::House,
    street::{Street, back_through, play_out, short_game},
    table::{Guest, all},
};

/// Three at a table, each on the way in that is the room's.
async fn three_through(caddy: &Caddy) -> Vec<Guest> {
    let ada = Guest::host_at(&caddy.socket(None), &short_game(), Role::Witness, "Ada").await;
    let room = ada.known.room.clone();
    let ada = ada.back_at(&caddy.socket(Some(&room))).await;
    let mut guests = vec![ada];
    for name in ["Ben", "Cleo"] {
        let client = Client::enter_at(&caddy.socket(Some(&room)), None).await;
        guests.push(Guest::join_with(client, &room, Role::Witness, name, None, None).await);
    }
    all(&mut guests, |known| known.present.len() == 3).await;
    guests
}

async fn rooms(house: &House) -> bool {
    let page = reqwest::get(house.url("/metrics")).await.expect("metrics");
    page.text()
        .await
        .expect("text")
        .contains("\nparlour_rooms 1\n")
}

/// Which of the two has the table.
async fn holder(street: &Street) -> usize {
    let first = rooms(&street.houses[0]).await;
    assert_ne!(first, rooms(&street.houses[1]).await, "one has it");
    usize::from(!first)
}

#[tokio::test]
async fn a_server_is_killed_behind_caddy_and_the_game_goes_on() {
    let mut street = Street::open(&[]);
    let caddy = Caddy::before(&[&street.houses[0], &street.houses[1]]);
    let mut guests = three_through(&caddy).await;
    let room = guests[0].known.room.clone();
    guests[0].act(Act::Start).await;
    all(&mut guests, |known| known.round() == 1 && known.my_turn()).await;
    guests[0].answer().await;
    let holder = holder(&street).await;
    street.houses[holder].fall();
    let mut guests = back_through(guests, &caddy.socket(Some(&room))).await;
    play_out(&mut guests).await;
}

#[tokio::test]
async fn a_server_is_stopped_behind_caddy_and_nobody_finds_a_closed_door() {
    // Longer than Caddy takes between two questions for its health.
    let mut street = Street::open(&[("PARLOUR_NOTICE_MS", "2500")]);
    let caddy = Caddy::before(&[&street.houses[0], &street.houses[1]]);
    let mut guests = three_through(&caddy).await;
    let room = guests[0].known.room.clone();
    guests[0].act(Act::Start).await;
    let holder = holder(&street).await;
    street.houses[holder].signal("TERM");
    // It says so before anybody is sent away.
    loop {
        let ready = reqwest::get(street.houses[holder].url("/health/ready")).await;
        let ready = ready.expect("it answers while it goes");
        if ready.status() == 503 {
            let ready: serde_json::Value = ready.json().await.expect("json");
            assert_eq!(ready["draining"], true);
            break;
        }
    }
    for guest in &mut guests {
        let close = guest.client.until_closed().await.expect("a close frame");
        assert_eq!(u16::from(close.code), 4000);
    }
    // Their first attempt succeeds: `back_through` knows no other.
    let mut guests = back_through(guests, &caddy.socket(Some(&room))).await;
    play_out(&mut guests).await;
    assert!(street.houses[holder].end().success());
}
