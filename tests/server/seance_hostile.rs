//! An evening with somebody who wants to spoil the séance.

use futures_util::SinkExt as _;
use parlour::{
    play::seance::{Event, Leaving},
    wire::{
        browser::{FromClient, RefusalCode, SeanceDoing},
        sound::{Kind, SoundFrame},
    },
};
use tokio_tungstenite::tungstenite::Message;

use super::support::{
    client::Client,
    house::House,
    seance::{Guest, house},
};

fn frame(number: u32, from: u32, samples: usize) -> Message {
    let frame = SoundFrame {
        kind: Kind::Microphone,
        number,
        from,
        samples: vec![64; samples],
    };
    Message::binary(frame.encode())
}

/// Sends it, and reads up to the close.
async fn closed_after(guest: &mut Guest, message: Message) -> Option<u16> {
    // The server may hang up before it has read all of it.
    let _ = guest.client.socket.send(message).await;
    loop {
        if let Err(close) = guest.client.hear_or_close().await {
            return close.map(|close| close.code.into());
        }
    }
}

/// Has the house answer something, so that what was sent before has been looked at.
async fn settled(guest: &mut Guest) {
    let refused = guest.question("").await;
    assert!(refused.is_err(), "an empty question");
}

fn unheard(guest: &Guest) -> usize {
    let unheard = |event: &&Event| matches!(event, Event::Unheard { .. });
    guest.events.iter().filter(unheard).count()
}

#[actix_web::test]
async fn bytes_that_are_no_sound_of_a_microphone_are_hostile() {
    let house = house(&[]);
    let header = |kind: u8, from: [u8; 4]| {
        let mut bytes = vec![kind, 0, 0, 0, 1];
        bytes.extend(from);
        bytes
    };
    let with = |mut bytes: Vec<u8>, more: usize| {
        bytes.resize(bytes.len() + more, 1);
        Message::binary(bytes)
    };
    let near_the_end = [255, 255, 255, 250];
    for (what, message) in [
        ("nothing", Message::binary(Vec::new())),
        ("half a header", Message::binary(vec![1, 0, 0])),
        ("a voice", with(header(2, [0; 4]), 640)),
        ("no kind", with(header(0, [0; 4]), 640)),
        ("another kind", with(header(255, [0; 4]), 640)),
        ("half a sample", with(header(1, [0; 4]), 641)),
        ("more than 100 ms", with(header(1, [0; 4]), 3202)),
        ("beyond all numbers", with(header(1, near_the_end), 640)),
        ("10 MB", with(header(1, [0; 4]), 10 << 20)),
    ] {
        let mut guest = Guest::enter(&house, None, false).await;
        let code = closed_after(&mut guest, message).await;
        assert!(
            code == Some(4101) || (what == "10 MB" && code.is_none()),
            "{what}: {code:?}"
        );
    }
    // Nobody else noticed.
    let mut sitter = Guest::enter(&house, None, true).await;
    sitter.question("Who are you?").await.expect("it is taken");
    sitter.until(|guest| guest.whole().is_some()).await;
    assert!(house.most_memory() < 300 << 20, "{}", house.most_memory());
}

#[actix_web::test]
async fn sound_of_whoever_does_not_speak_is_of_no_use() {
    let house = house(&[]);
    let mut sitter = Guest::enter(&house, None, true).await;
    let mut waits = Guest::enter(&house, None, true).await;
    let mut watches = Guest::enter(&house, None, false).await;
    sitter.until(|guest| guest.listens).await;
    // Before the key is pressed, under any number.
    for number in 0..3 {
        let socket = &mut sitter.client.socket;
        socket.send(frame(number, 0, 1600)).await.expect("sent");
    }
    settled(&mut sitter).await;
    let utterance = sitter.press().await.expect("it listens");
    for guest in [&mut waits, &mut watches] {
        for number in [utterance, utterance + 1] {
            let socket = &mut guest.client.socket;
            socket.send(frame(number, 0, 1600)).await.expect("sent");
        }
        let release = FromClient::Spoken {
            id: 900,
            utterance,
            seed: None,
        };
        let refused = guest.ask_for(&release, 900).await;
        assert_eq!(refused, Err(RefusalCode::NotYours));
        let takes_back = FromClient::Unspoken { id: 901, utterance };
        assert!(guest.ask_for(&takes_back, 901).await.is_err());
    }
    // Of another utterance than the one that is listened to.
    let socket = &mut sitter.client.socket;
    socket
        .send(frame(utterance + 9, 0, 1600))
        .await
        .expect("sent");
    sitter.speak(utterance, "only me").await;
    sitter.release(utterance).await.expect("it was listened to");
    sitter.until(|guest| !guest.asked().is_empty()).await;
    assert_eq!(sitter.asked(), ["only me"]);
}

#[actix_web::test]
async fn sound_that_jumps_is_heard_where_it_was_and_costs_no_more_than_a_question() {
    let house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.until(|guest| guest.listens).await;
    let before = house.memory();
    let utterance = guest.press().await.expect("it listens");
    guest.speak(utterance, "before").await;
    // Again what was heard already, then as far ahead as there are numbers.
    guest.speak(utterance, "before").await;
    for from in [1_000_000, 5, 2_000_000_000, 0, 4_294_960_000] {
        let jump = frame(utterance, from, 1);
        guest.client.socket.send(jump).await.expect("sent");
    }
    guest.release(utterance).await.expect("it was listened to");
    guest.until(|guest| !guest.asked().is_empty()).await;
    assert!(house.memory().saturating_sub(before) < 64 << 20);
    // It answers, and hears the next one as ever.
    let utterance = guest.press().await.expect("it listens");
    guest.speak(utterance, "and after").await;
    guest.release(utterance).await.expect("it was listened to");
    guest.until(|guest| guest.asked().len() == 2).await;
    assert_eq!(guest.asked()[1], "and after");
}

#[actix_web::test]
async fn a_key_that_is_pressed_again_and_again_is_one_question_at_a_time() {
    let house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.until(|guest| guest.listens).await;
    let mut last = 0;
    let mut refused = 0;
    for _ in 0..60 {
        match guest.press().await {
            Ok(utterance) => last = utterance,
            Err(code) => {
                assert_eq!(code, RefusalCode::TooFast);
                refused += 1;
            }
        }
    }
    assert!(refused > 20, "{refused}");
    // What was pressed last counts; the others are no longer listened to.
    let gone = loop {
        match guest.release(last - 1).await {
            Err(RefusalCode::TooFast) => {}
            other => break other,
        }
    };
    assert_eq!(gone, Err(RefusalCode::NotNow));
    guest.speak(last, "at last").await;
    while guest.release(last).await == Err(RefusalCode::TooFast) {}
    guest.until(|guest| !guest.asked().is_empty()).await;
    assert_eq!(guest.asked(), ["at last"]);
    assert_eq!(unheard(&guest), 0);
}

#[actix_web::test]
async fn reports_of_what_nobody_said_are_of_no_use() {
    let house = house(&[]);
    let mut sitter = Guest::enter(&house, None, true).await;
    let mut watches = Guest::enter(&house, None, false).await;
    let mut waits = Guest::enter(&house, None, true).await;
    // Before anything was said.
    sitter.heard(1, 1).await;
    sitter.question("Who are you?").await.expect("it is taken");
    sitter.until(|guest| guest.whole().is_some()).await;
    let (line, voiced) = sitter.whole().expect("a line");
    let next = line + 1;
    for guest in [&mut watches, &mut waits] {
        guest.heard(line, 1).await;
        guest.question("me?").await.expect_err("they do not sit");
    }
    for (line, words) in [(0, 9), (next + 7, 9), (u32::MAX, u32::MAX), (line, 0)] {
        sitter.heard(line, words).await;
    }
    let negative = Message::text(format!(r#"{{"type":"heard","line":{line},"words":-1}}"#));
    sitter.client.socket.send(negative).await.expect("sent");
    settled(&mut sitter).await;
    let heard = |guest: &Guest| -> Vec<(u32, u32)> {
        let heard = guest.events.iter().filter_map(|event| match event {
            Event::Heard { line, words } => Some((*line, *words)),
            _ => None,
        });
        heard.collect()
    };
    assert!(heard(&sitter).is_empty(), "{:?}", heard(&sitter));
    // Beyond its end is its end, and backward is nothing.
    let all = u32::try_from(voiced.words.len()).expect("few");
    sitter.heard(line, u32::MAX).await;
    sitter.heard(line, 1).await;
    settled(&mut sitter).await;
    assert_eq!(heard(&sitter), [(line, all)]);
}

#[actix_web::test]
async fn nobody_has_heard_what_was_not_sent_yet() {
    // It takes its time over each clause, so that the second line is made before it sounds.
    let house = house(&[("PARLOUR_VOICES", "deterministic:1000ms")]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.question("Who are you?").await.expect("it is taken");
    guest.until(|guest| guest.said().len() == 2).await;
    // The second line is made and waits for its turn to sound: no report makes a third one.
    let (second, ..) = guest.said()[1].clone();
    while !guest.lines.contains_key(&second) {
        guest.heard(second, u32::MAX).await;
        assert_eq!(guest.said().len(), 2);
        guest.hear().await;
    }
    assert!(guest.lines.values().next().expect("the first").over);
}

#[actix_web::test]
async fn ten_tabs_of_one_visitor_are_one_guest() {
    let house = house(&[]);
    let mut sitter = Guest::enter(&house, None, true).await;
    let session = sitter.client.session.clone();
    let mut tabs = Vec::new();
    for _ in 0..9 {
        tabs.push(Guest::enter(&house, Some(&session), true).await);
    }
    let mut last = tabs.pop().expect("nine");
    for old in tabs.iter_mut().chain([&mut sitter]) {
        let close = old.client.until_closed().await.expect("a close frame");
        assert_eq!(u16::from(close.code), 4102);
    }
    let came = |event: &&Event| matches!(event, Event::Came { .. });
    assert_eq!(
        last.events.iter().filter(came).count(),
        0,
        "they sat already"
    );
    last.until(|guest| guest.standing == (None, 0, true)).await;
    last.question("Who are you?").await.expect("it sits");
    let mut next = Guest::enter(&house, None, true).await;
    next.until(|guest| guest.standing == (Some(1), 1, true))
        .await;
}

#[actix_web::test]
async fn who_vanishes_with_the_key_down_gives_the_seat_to_the_next_one() {
    let house = house(&[("PARLOUR_IDLE_SECONDS", "1")]);
    let mut sitter = Guest::enter(&house, None, true).await;
    let mut next = Guest::enter(&house, None, true).await;
    sitter.until(|guest| guest.listens).await;
    let utterance = sitter.press().await.expect("it listens");
    sitter.speak(utterance, "half a quest").await;
    next.until(|guest| guest.doing == SeanceDoing::Listening)
        .await;
    drop(sitter);
    next.until(|guest| guest.standing == (None, 0, true)).await;
    let away = |event: &Event| {
        matches!(
            event,
            Event::Left {
                why: Leaving::Away,
                ..
            }
        )
    };
    assert!(next.events.iter().any(away));
    assert!(next.asked().is_empty() && next.hearing.is_empty());
    next.until(|guest| guest.listens).await;
    let utterance = next.press().await.expect("nobody speaks any more");
    next.speak(utterance, "a whole one").await;
    next.release(utterance).await.expect("it was listened to");
    next.until(|guest| !guest.asked().is_empty()).await;
    assert_eq!(next.asked(), ["a whole one"]);
}

#[actix_web::test]
async fn words_about_a_seance_from_whoever_is_at_none_are_refused() {
    let house = House::with_toy(&[]);
    let mut stranger = Client::enter(&house, None).await;
    for (id, message) in [
        FromClient::Hush { id: 0 },
        FromClient::Spoken {
            id: 1,
            utterance: 1,
            seed: None,
        },
        FromClient::Listen {
            id: 2,
            utterance: 1,
            languages: vec!["x".repeat(5000)],
        },
    ]
    .iter()
    .enumerate()
    {
        stranger.say(message).await;
        let id = u32::try_from(id).expect("few");
        assert_eq!(stranger.refused().await, (id, RefusalCode::NoSuchRoom));
    }
    stranger.say(&FromClient::Heard { line: 1, words: 1 }).await;
    let id = 7;
    stranger.say(&FromClient::Hush { id }).await;
    assert_eq!(stranger.refused().await, (id, RefusalCode::NoSuchRoom));
}
