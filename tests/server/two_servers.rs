//! Two servers on one Redis serve one house: whichever falls, stops or stalls, its rooms go on
//! at the other one, whole and once.

use parlour::{
    play::{
        imitation::{Kind, Mode},
        party::{Act, Event, Role},
    },
    wire::browser::{FromClient, ToClient},
};

use crate::support::{
    client::Client,
    house::House,
    known::Known,
    models,
    standin::Standin,
    street::{Street, back, doubled, play_out, short_game},
    table::{Guest, all, three},
};

/// Three people at a table of the first house whose machine is in the middle of its line. One
/// of them has answered.
async fn in_mid_round(house: &House, witness: &Standin) -> Vec<Guest> {
    let mut guests = three(house, &short_game()).await;
    guests[0].act(Act::Start).await;
    guests[0]
        .follow(|known| known.round() == 1 && known.my_turn())
        .await;
    guests[0].answer().await;
    witness.let_pass(3);
    guests
}

/// One number of a server's.
async fn metric(house: &House, name: &str) -> u64 {
    let page = reqwest::get(house.url("/metrics")).await.expect("metrics");
    let page = page.text().await.expect("text");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.expect("it is counted")
        .trim()
        .parse()
        .expect("a number")
}

/// Reads up to the close; gives its code.
async fn close_code(client: &mut Client) -> u16 {
    client
        .until_closed()
        .await
        .expect("a close frame")
        .code
        .into()
}

#[tokio::test]
async fn a_killed_servers_table_goes_on_at_the_other_one() {
    let witness = Standin::gated(models::witness);
    let mut street = Street::with(&witness, &[]);
    let guests = in_mid_round(&street.houses[0], &witness).await;
    let seats: Vec<_> = guests.iter().map(|guest| guest.known.you).collect();
    street.houses[0].fall();
    witness.open();
    let mut guests = back(guests, &street.houses[1]).await;
    let again: Vec<_> = guests.iter().map(|guest| guest.known.you).collect();
    assert_eq!(seats, again);
    play_out(&mut guests).await;
}

#[tokio::test]
async fn a_killed_servers_game_for_one_goes_on_at_the_other_one() {
    let mut street = Street::open(&[("PARLOUR_ROUNDS", "2")]);
    let mut client = Client::enter(&street.houses[0], None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    client
        .answer(&mut seen, "I mended a kite with string")
        .await;
    street.houses[0].fall();
    let mut client = Client::enter(&street.houses[1], Some(&client.session)).await;
    assert_eq!(client.room.as_ref(), Some(&seen.room), "it is known here");
    client.resume(&mut seen).await;
    client.play_out(&mut seen).await;
}

#[tokio::test]
async fn what_a_killed_servers_machines_owe_is_done_though_nobody_comes_back() {
    let witness = Standin::gated(models::witness);
    let mut street = Street::with(&witness, &[]);
    let mut guests = in_mid_round(&street.houses[0], &witness).await;
    for guest in &mut guests[1..] {
        guest.follow(Known::my_turn).await;
        guest.answer().await;
    }
    street.houses[0].fall();
    witness.open();
    // Nobody is there: the other server finds the room by itself, and asks its own machines.
    while metric(&street.houses[1], "parlour_rooms_adopted_total").await == 0 {}
    assert_eq!(metric(&street.houses[1], "parlour_rooms ").await, 1);
    let mut guests = back(guests, &street.houses[1]).await;
    play_out(&mut guests).await;
}

#[tokio::test]
async fn a_server_told_to_stop_hands_its_tables_over() {
    let witness = Standin::gated(models::witness);
    let mut street = Street::with(&witness, &[]);
    let mut guests = in_mid_round(&street.houses[0], &witness).await;
    street.houses[0].signal("TERM");
    for guest in &mut guests {
        let told = loop {
            if let told @ ToClient::Bye { .. } = guest.hear().await {
                break told;
            }
        };
        assert!(
            matches!(
                told,
                ToClient::Bye {
                    come_back: true,
                    ..
                }
            ),
            "{told:?}"
        );
        assert_eq!(close_code(&mut guest.client).await, 4000);
    }
    // They are told when the table is free: there is no lease to wait for.
    witness.open();
    let mut guests = back(guests, &street.houses[1]).await;
    play_out(&mut guests).await;
    assert!(street.houses[0].end().success());
}

#[tokio::test]
async fn a_server_that_stalls_and_wakes_up_writes_nothing_more_and_sends_its_people_away() {
    let witness = Standin::gated(models::witness);
    let street = Street::with(&witness, &[]);
    let [first, second] = &street.houses;
    let guests = in_mid_round(first, &witness).await;
    let room = guests[0].known.room.clone();
    first.signal("STOP");
    witness.open();
    // They lose patience with it and come in anew.
    let (mut old, mut guests) = doubled(guests, second).await;
    // Something reaches the stalled server yet, as if in time.
    let stray = "that was said to a server that no longer counts";
    for client in &mut old[1..] {
        let id = client.id();
        let act = Act::Answer {
            round: 1,
            text: stray.into(),
        };
        client.say(&FromClient::Act { id, act }).await;
    }
    play_out(&mut guests).await;
    first.signal("CONT");
    for client in &mut old {
        // Either is true: the table is the other server's, and so is their session.
        let code = close_code(client).await;
        assert!([4004, 4102].contains(&code), "{code}");
    }
    let texts = guests[0].known.told().filter_map(|event| match event {
        Event::Replied { text, .. } => text.clone(),
        _ => None,
    });
    assert!(texts.into_iter().all(|text| text != stray));
    // Whoever comes to the one that woke up finds the game as it is now.
    let known = guests[0].known.clone();
    let late = Guest::join(first, &room, Role::Spectator, "Late").await;
    let said = late.known.events.len();
    assert!(said > known.events.len(), "and the newcomer is in it");
}

#[tokio::test]
async fn who_comes_to_the_wrong_server_is_at_the_table_within_seconds() {
    let street = Street::open(&[]);
    let [first, second] = &street.houses;
    let mut guests = three(first, &short_game()).await;
    let room = guests[0].known.room.clone();
    let eve = Guest::join(second, &room, Role::Spectator, "Eve").await;
    // The others are told where they stand, and follow.
    for guest in &mut guests {
        assert_eq!(close_code(&mut guest.client).await, 4004);
    }
    let mut guests = back(guests, second).await;
    guests.push(eve);
    all(&mut guests, |known| known.present.len() == 4).await;
    assert_eq!(metric(first, "parlour_rooms_moved_total").await, 1);
}

#[tokio::test]
async fn a_table_that_nobody_sits_at_goes_to_whoever_comes_without_a_delay() {
    let street = Street::open(&[]);
    let [first, second] = &street.houses;
    let ada = Guest::host(first, &short_game(), Role::Witness, "Ada").await;
    let ada = ada.back(second).await;
    let again = ada.back(first).await;
    assert_eq!(again.known.you.0, 0);
}

#[tokio::test]
async fn a_code_that_is_nowhere_is_refused_at_once_and_costs_nobody_their_seat() {
    let street = Street::open(&[]);
    let mut ada = Guest::host(&street.houses[0], &short_game(), Role::Witness, "Ada").await;
    let code = Guest::refused(&mut ada.client, "0000-0000", Role::Witness, None).await;
    assert_eq!(code, parlour::wire::browser::RefusalCode::NoSuchRoom);
    let text = "still here".to_owned();
    ada.act(Act::Say { text }).await;
}
