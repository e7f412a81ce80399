//! Whole games over a real socket, against a real server.

use crate::support::{client::Client, house::House, replay, seen::Seen};
use parlour::{
    play::imitation::{Ending, Event, Kind, Mode, Seat},
    wire::browser::{FromClient, RefusalCode, ToClient},
};

fn other(seat: Seat) -> Seat {
    match seat {
        Seat::A => Seat::B,
        Seat::B => Seat::A,
    }
}

/// The events of a finished game, none of them hidden.
fn events(seen: &Seen) -> Vec<&Event> {
    seen.events
        .iter()
        .map(|stamped| {
            stamped
                .event
                .as_ref()
                .expect("nothing is veiled after the end")
        })
        .collect()
}

#[tokio::test]
async fn every_kind_in_every_mode_is_played_to_its_end() {
    let house = House::with_toy(&[("PARLOUR_ROUNDS", "3")]);
    let mut client = Client::enter(&house, None).await;
    for kind in [Kind::Direct, Kind::Inverse] {
        for mode in [Mode::Blind, Mode::Explanatory] {
            let mut seen = client.open(kind, mode).await;
            client.play_out(&mut seen).await;
            let events = events(&seen);
            assert!(
                matches!(events.first(), Some(Event::Opened { seed: Some(_), .. })),
                "the seed is shown after the end"
            );
            let Some(Event::Ended { ending, outcome }) = events.last() else {
                panic!("{events:?}");
            };
            assert!(
                matches!(
                    ending,
                    Ending::Convinced | Ending::RoundsOver | Ending::Abstained
                ),
                "{kind:?} {mode:?} ended {ending:?}"
            );
            assert!(outcome.is_some());
            for round in 1..=seen.round() {
                for seat in [seen.seat, other(seen.seat)] {
                    let answers = events
                        .iter()
                        .filter(|event| matches!(event, Event::Answered { round: r, seat: s, .. } if *r == round && *s == seat))
                        .count();
                    assert_eq!(answers, 1, "round {round}, {seat:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn in_explanatory_mode_the_other_answer_comes_before_ones_own_turn() {
    let house = House::with_toy(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    assert!(seen.events.iter().any(|stamped| matches!(
        &stamped.event,
        Some(Event::Answered { seat, .. }) if *seat == other(seen.seat)
    )));
}

#[tokio::test]
async fn a_player_who_stops_ends_the_game_for_everybody() {
    let house = House::with_toy(&[]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Blind).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    let id = client.id();
    client.say(&FromClient::Stop { id }).await;
    client.unveiled(&mut seen).await;
    assert!(matches!(
        seen.ended(),
        Some(Event::Ended {
            ending: Ending::Stopped,
            outcome: None
        })
    ));
    let id = client.id();
    client.say(&FromClient::Stop { id }).await;
    assert_eq!(client.refused().await, (id, RefusalCode::NotNow));
}

#[tokio::test]
async fn a_player_who_stays_away_is_let_go() {
    let house = House::with_toy(&[("PARLOUR_IDLE_SECONDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Inverse, Mode::Explanatory).await;
    client.unveiled(&mut seen).await;
    assert!(matches!(
        seen.ended(),
        Some(Event::Ended {
            ending: Ending::Idle,
            ..
        })
    ));
}

#[tokio::test]
async fn a_full_house_says_so_and_lets_the_next_in_when_a_game_ends() {
    let house = House::with_toy(&[("PARLOUR_ROOMS", "1")]);
    let mut first = Client::enter(&house, None).await;
    let mut seen = first.open(Kind::Direct, Mode::Blind).await;
    let mut second = Client::enter(&house, None).await;
    let open = |id| FromClient::Open {
        id,
        kind: Kind::Direct,
        mode: Mode::Blind,
        name: String::new(),
    };
    second.say(&open(1)).await;
    assert_eq!(second.refused().await, (1, RefusalCode::FullHouse));
    let id = first.id();
    first.say(&FromClient::Stop { id }).await;
    first.unveiled(&mut seen).await;
    second.say(&open(2)).await;
    assert_eq!(second.hear().await, ToClient::Accepted { id: 2 });
    let seen = second.joined().await;
    assert!(matches!(
        &seen.events[0].event,
        Some(Event::Opened { player, .. }) if player == "Guest"
    ));
}

#[tokio::test]
async fn a_new_game_stops_the_one_that_was_left() {
    let house = House::with_toy(&[]);
    let mut client = Client::enter(&house, None).await;
    let left = client.open(Kind::Direct, Mode::Blind).await;
    let id = client.id();
    client
        .say(&FromClient::Open {
            id,
            kind: Kind::Direct,
            mode: Mode::Explanatory,
            name: String::new(),
        })
        .await;
    // What the first room still had to say may come before.
    while client.hear().await != (ToClient::Accepted { id }) {}
    let seen = client.joined().await;
    assert_ne!(seen.room, left.room);
    let id = client.id();
    client
        .say(&FromClient::Resume {
            id,
            room: left.room,
            epoch: left.epoch,
            offset: 0,
        })
        .await;
    let (refused, code) = client.refused().await;
    assert_eq!(refused, id);
    assert!(matches!(
        code,
        RefusalCode::NotYours | RefusalCode::NoSuchRoom
    ));
}

#[tokio::test]
async fn an_answer_out_of_its_limits_is_refused_and_nothing_is_lost() {
    let house = House::with_toy(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    for (round, text, code) in [
        (1, "   ".to_owned(), RefusalCode::Malformed),
        (1, "a".repeat(501), RefusalCode::Malformed),
        (7, "too early".to_owned(), RefusalCode::NotNow),
    ] {
        let id = client.id();
        client.say(&FromClient::Answer { id, round, text }).await;
        assert_eq!(client.refused().await, (id, code));
    }
    client.play_out(&mut seen).await;
    assert!(seen.is_over());
}

#[tokio::test]
async fn a_finished_game_can_be_looked_at_again_and_taken_away() {
    let house = House::with_toy(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Blind).await;
    let address = house.url(&format!("/api/replay/{}", seen.room));
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    let status = reqwest::get(&address).await.expect("an answer").status();
    assert_eq!(status, 404, "a game that goes on is nobody's business");
    client.play_out(&mut seen).await;

    assert_eq!(
        replay::of(&address).await,
        seen.events,
        "what the player saw is what there is"
    );

    let lines = reqwest::get(format!("{address}?format=jsonl"))
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    assert_eq!(lines.lines().count(), seen.events.len());
    let table = reqwest::get(format!("{address}?format=csv"))
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    assert!(table.starts_with("offset,at,round,"));
    let nobody = house.url("/api/replay/00000000000000000000000000000000");
    assert_eq!(reqwest::get(nobody).await.expect("an answer").status(), 404);
}

#[tokio::test]
async fn the_server_says_goodbye_and_asks_to_come_back() {
    let mut house = House::with_toy(&[]);
    let mut client = Client::enter(&house, None).await;
    client.open(Kind::Direct, Mode::Blind).await;
    let closing = tokio::task::spawn_blocking(move || house.close());
    let close = client.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4000);
    assert!(closing.await.expect("it ends").success());
    let bye = client.heard.last().expect("a goodbye");
    assert!(bye.contains(r#""code":"restarting""#), "{bye}");
    assert!(bye.contains(r#""come_back":true"#), "{bye}");
}
