//! Sockets break, tabs multiply, servers are killed: the game goes on, whole and once.

use parlour::{
    play::imitation::{Event, Kind, Mode},
    wire::browser::{Doing, FromClient, Line, RefusalCode, ToClient},
};

use crate::support::{client::Client, house::House, models, replay, seen::Seen, standin::Standin};

/// The text of a line as far as it was sent, by the rules of the protocol.
fn partial(messages: &[ToClient], wanted: Line) -> String {
    let mut current = (0, String::new());
    for message in messages {
        if let ToClient::Partial {
            line,
            attempt,
            from,
            text,
            ..
        } = message
            && *line == wanted
        {
            if *attempt > current.0 || *from == 0 {
                current = (*attempt, String::new());
            }
            assert_eq!(
                current.1.chars().count(),
                *from as usize,
                "no gap, no repeat"
            );
            current.1.push_str(text);
        }
    }
    current.1
}

#[tokio::test]
async fn who_comes_back_in_mid_line_gets_the_gap_and_the_line_so_far() {
    let witness = Standin::gated(models::witness);
    let judge = Standin::start(models::judge);
    let house = models::with(&witness, &judge, &[]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    let opened = seen.clone();
    witness.let_pass(3);
    let mut read = client.follow(&mut seen, |seen| seen.round() == 1).await;
    while partial(&read, Line::OtherAnswer).split(' ').count() < 3 {
        read.push(client.hear().await);
    }
    let half = partial(&read, Line::OtherAnswer);
    drop(client.socket);

    let mut again = Client::enter(&house, Some(&client.session)).await;
    assert_eq!(
        again.room.as_ref(),
        Some(&seen.room),
        "the welcome names the room"
    );
    let mut late = opened;
    again.resume(&mut late).await;
    assert_eq!(late.events, seen.events, "the gap came whole");
    let mut read = Vec::new();
    while partial(&read, Line::OtherAnswer) != half {
        read.push(again.hear().await);
    }
    witness.open();
    again.follow(&mut late, |seen| seen.my_turn()).await;
    let answers = late
        .events
        .iter()
        .filter(|stamped| matches!(stamped.event, Some(Event::Answered { .. })))
        .count();
    assert_eq!(answers, 1);
}

#[tokio::test]
async fn a_client_whose_offsets_mean_nothing_here_gets_everything_from_the_start() {
    let house = models::scripted(&[]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    for (epoch, offset) in [(seen.epoch + 1, 2), (seen.epoch, 999)] {
        let id = client.id();
        client
            .say(&FromClient::Resume {
                id,
                room: seen.room.clone(),
                epoch,
                offset,
            })
            .await;
        while client.hear().await != (ToClient::Accepted { id }) {}
        let again = client.joined().await;
        assert_eq!(again.events, seen.events);
    }
}

#[tokio::test]
async fn the_newer_of_two_tabs_takes_the_seat() {
    let house = models::scripted(&[("PARLOUR_ROUNDS", "1")]);
    let mut older = Client::enter(&house, None).await;
    let mut seen = older.open(Kind::Direct, Mode::Explanatory).await;
    older.follow(&mut seen, |seen| seen.my_turn()).await;
    let mut newer = Client::enter(&house, Some(&older.session)).await;
    let close = older.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4102);
    newer.resume(&mut seen).await;
    newer.play_out(&mut seen).await;
    assert!(seen.is_over());
}

#[tokio::test]
async fn somebody_elses_room_is_not_entered() {
    let house = models::scripted(&[]);
    let mut player = Client::enter(&house, None).await;
    let seen = player.open(Kind::Direct, Mode::Blind).await;
    let mut stranger = Client::enter(&house, None).await;
    let resume = |id, room: &str| FromClient::Resume {
        id,
        room: room.to_owned(),
        epoch: seen.epoch,
        offset: 0,
    };
    stranger.say(&resume(1, &seen.room)).await;
    assert_eq!(stranger.refused().await, (1, RefusalCode::NotYours));
    stranger
        .say(&resume(2, "00000000000000000000000000000000"))
        .await;
    assert_eq!(stranger.refused().await, (2, RefusalCode::NoSuchRoom));
    stranger.say(&FromClient::Stop { id: 3 }).await;
    assert_eq!(stranger.refused().await, (3, RefusalCode::NoSuchRoom));
}

#[tokio::test]
async fn who_left_comes_back_to_the_same_game() {
    let house = models::scripted(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    let id = client.id();
    client.say(&FromClient::Leave { id }).await;
    while client.hear().await != (ToClient::Accepted { id }) {}
    client.resume(&mut seen).await;
    client.play_out(&mut seen).await;
    assert!(seen.is_over());
}

#[tokio::test]
async fn a_finished_game_is_still_there_for_who_missed_its_end() {
    let house = models::scripted(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Blind).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    let mut missed = seen.clone();
    client.play_out(&mut seen).await;
    drop(client.socket);
    let mut again = Client::enter(&house, Some(&client.session)).await;
    assert_eq!(again.room, None, "the room is over");
    again.resume(&mut missed).await;
    again.unveiled(&mut missed).await;
    assert_eq!(missed.doing, Doing::Over);
    assert_eq!(missed.events, seen.events);
}

#[tokio::test]
async fn a_server_killed_in_mid_round_goes_on_with_the_same_game() {
    let witness = Standin::gated(models::witness);
    let judge = Standin::start(models::judge);
    let mut house = models::with(&witness, &judge, &[("PARLOUR_ROUNDS", "2")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    witness.let_pass(3);
    let mut read = client.follow(&mut seen, |seen| seen.round() == 1).await;
    while partial(&read, Line::OtherAnswer).is_empty() {
        read.push(client.hear().await);
    }
    // Half of the bot's line is out.
    house.fall();
    house.rise();
    witness.open();
    client = back(&house, &client, &mut seen).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    client.answer(&mut seen, "I like the sea").await;
    // The answer was accepted: it is in the log, whatever happens now.
    house.fall();
    house.rise();
    client = back(&house, &client, &mut seen).await;
    client.play_out(&mut seen).await;
    let told: Vec<&Event> = seen
        .events
        .iter()
        .filter_map(|stamped| stamped.event.as_ref())
        .collect();
    let count = |wanted: &dyn Fn(&Event) -> bool| told.iter().filter(|e| wanted(e)).count();
    assert_eq!(count(&|e| matches!(e, Event::Asked { .. })), 2);
    assert_eq!(count(&|e| matches!(e, Event::Answered { .. })), 4);
    assert_eq!(count(&|e| matches!(e, Event::Judged { .. })), 2);
    assert_eq!(
        count(&|e| matches!(e, Event::Answered { text, .. } if text == "I like the sea")),
        1
    );
    let address = house.url(&format!("/api/replay/{}", seen.room));
    assert_eq!(
        replay::of(&address).await,
        seen.events,
        "what was seen across three servers is what there is"
    );
}

/// A new socket of the same session, in the same seat.
async fn back(house: &House, before: &Client, seen: &mut Seen) -> Client {
    let mut client = Client::enter(house, Some(&before.session)).await;
    client.resume(seen).await;
    client
}

#[tokio::test]
async fn a_worker_killed_in_mid_line_writes_the_line_again_and_once() {
    let house = House::with_toy(&[
        ("PARLOUR_MODEL", "deterministic:20ms"),
        ("PARLOUR_ROUNDS", "1"),
    ]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    // The question is being written.
    let mut read = Vec::new();
    while partial(&read, Line::Question).is_empty() {
        let message = client.hear().await;
        seen.take(&message);
        read.push(message);
    }
    let worker = house.worker_pid();
    let killed = std::process::Command::new("kill")
        .args(["-9", &worker.to_string()])
        .status()
        .expect("there is a kill program");
    assert!(killed.success());
    read.extend(client.follow(&mut seen, |seen| seen.round() == 1).await);
    assert!(
        read.iter().any(|message| matches!(
            message,
            ToClient::Doing {
                doing: Doing::WaitsForModel,
                ..
            }
        )),
        "the room said what it waited for"
    );
    client.play_out(&mut seen).await;
    assert!(seen.is_over());
}

#[tokio::test]
async fn a_line_that_breaks_off_is_taken_back_and_written_again_with_the_same_seed() {
    let witness = Standin::start(models::witness);
    let judge = Standin::start(models::judge);
    witness.stumble(1);
    let house = models::with(&witness, &judge, &[]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    let read = client.follow(&mut seen, |seen| seen.my_turn()).await;
    let seeds: Vec<_> = witness
        .asked()
        .iter()
        .map(|request| request["seed"].clone())
        .collect();
    assert_eq!(seeds.len(), 2);
    assert_eq!(seeds[0], seeds[1]);
    assert!(
        read.iter().any(|message| matches!(
            message,
            ToClient::Partial { line: Line::OtherAnswer, attempt: 1, from: 0, text, .. } if text.is_empty()
        )),
        "the half line was withdrawn: {read:?}"
    );
    let answers: Vec<_> = seen
        .events
        .iter()
        .filter_map(|stamped| match &stamped.event {
            Some(Event::Answered { text, .. }) => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [&partial(&read, Line::OtherAnswer)]);
}
