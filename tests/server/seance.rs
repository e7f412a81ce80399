//! The séance from outside: questions typed and spoken, a voice, interruptions, who waits.

use futures_util::SinkExt;
use parlour::{
    play::seance::{Event, Put, TranscriptTurn},
    wire::{
        browser::{FromClient, RefusalCode, SeanceDoing},
        sound::{Kind, SoundFrame},
        transcript::SeanceTranscript,
    },
};
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::Message;

use super::support::{
    client::Client,
    house::House,
    seance::{Guest, Heard, house},
};

#[actix_web::test]
async fn a_typed_question_is_answered_in_captions_and_sound_and_the_spirit_goes_on() {
    let house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.question("Who are you?").await.expect("it is taken");
    guest.until(|guest| guest.whole().is_some()).await;
    let (line, voiced) = guest.whole().expect("a line");
    let said = guest.said();
    let (_, part, text) = said.iter().find(|said| said.0 == line).expect("in the log");
    assert_eq!(*part, 0);
    assert_eq!(voiced.words.join(" "), *text);
    assert!(voiced.samples.iter().any(|sample| *sample != 0));
    // Heard to its end, it is followed by what the spirit says next.
    let words = u32::try_from(voiced.words.len()).expect("few");
    guest.heard(line, words).await;
    guest
        .until(|guest| guest.whole().is_some_and(|(next, _)| next > line))
        .await;
    assert!(
        guest.said().iter().any(|said| said.1 == 1),
        "{:?}",
        guest.said()
    );
}

#[actix_web::test]
async fn where_all_of_an_answer_is_said_it_is_voiced_and_the_spirit_goes_on() {
    let house = house(&[("PARLOUR_SPIRIT_SAYS", "answer")]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.question("Who are you?").await.expect("it is taken");
    let mut last = 0;
    for _ in 0..3 {
        guest
            .until(|guest| guest.whole().is_some_and(|(line, _)| line > last))
            .await;
        let (line, voiced) = guest.whole().expect("a line");
        assert!(voiced.samples.iter().any(|sample| *sample != 0));
        let words = u32::try_from(voiced.words.len()).expect("few");
        guest.heard(line, words).await;
        last = line;
    }
    let parts: Vec<u32> = guest.said().iter().map(|said| said.1).collect();
    assert!(parts.starts_with(&[0, 1, 2]), "{parts:?}");
}

#[actix_web::test]
async fn never_more_than_two_lines_are_ahead_of_what_was_heard() {
    let house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.question("Who are you?").await.expect("it is taken");
    guest.until(|guest| guest.said().len() == 2).await;
    guest
        .until(|guest| guest.lines.values().filter(|line| line.over).count() == 2)
        .await;
    // The room has answered everything that it will until something is heard.
    guest.question("").await.expect_err("an empty question");
    assert_eq!(guest.said().len(), 2);
}

#[actix_web::test]
async fn a_spoken_question_is_understood_while_and_after_it_is_said() {
    let house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.until(|guest| guest.listens).await;
    let utterance = guest.press().await.expect("it listens");
    guest
        .until(|guest| guest.doing == SeanceDoing::Listening)
        .await;
    let text = "Where did you go when they closed the account that you had, and why?";
    guest.speak(utterance, text).await;
    guest.until(|guest| !guest.hearing.is_empty()).await;
    assert!(text.starts_with(&guest.hearing[0]));
    guest.release(utterance).await.expect("it was listened to");
    guest.until(|guest| !guest.asked().is_empty()).await;
    assert_eq!(guest.asked(), [text]);
    let spoken = guest.events.iter().any(|event| {
        matches!(event, Event::Asked { put: Put::Spoken, language, .. } if language == "en")
    });
    assert!(spoken);
    guest.until(|guest| guest.whole().is_some()).await;
}

#[actix_web::test]
async fn pressing_the_key_silences_the_spirit_and_only_what_was_heard_is_kept() {
    let house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.question("Who are you?").await.expect("it is taken");
    guest
        .until(|guest| guest.lines.values().any(|line| !line.samples.is_empty()))
        .await;
    let line = *guest.lines.keys().next().expect("a line");
    guest.heard(line, 1).await;
    guest.press().await.expect("it listens");
    // From here on nothing of a voice comes, whatever else does.
    let nudge = guest.client.id();
    guest.client.say(&FromClient::Hush { id: nudge }).await;
    loop {
        match guest.hear().await {
            Heard::Sound(frame) => panic!("line {} sounds on", frame.number),
            Heard::Text(message) => {
                let answered = serde_json::to_value(&message).expect("json");
                if answered["id"] == nudge {
                    break;
                }
            }
        }
    }
    let heard = guest.events.iter().find_map(|event| match event {
        Event::Heard { line, words } => Some((*line, *words)),
        _ => None,
    });
    assert_eq!(heard, Some((line, 1)));
    let at = |wanted: fn(&Event) -> bool| guest.events.iter().position(wanted);
    assert!(
        at(|event| matches!(event, Event::Heard { .. }))
            < at(|event| matches!(event, Event::Listening { .. }))
    );
}

#[actix_web::test]
async fn a_server_that_is_killed_comes_back_with_the_sitting_and_its_voice() {
    let mut house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.question("Who are you?").await.expect("it is taken");
    guest.until(|guest| guest.whole().is_some()).await;
    let (line, before) = guest.whole().expect("a line");
    guest.heard(line, 1).await;
    guest
        .until(|guest| {
            guest
                .events
                .iter()
                .any(|event| matches!(event, Event::Heard { .. }))
        })
        .await;
    let events = guest.events.clone();
    let session = guest.client.session.clone();
    house.fall();
    house.rise();
    let mut back = Guest::enter(&house, Some(&session), true).await;
    back.until(|guest| guest.whole().is_some()).await;
    let (again, after) = back.whole().expect("a line");
    assert!(again >= line);
    assert_eq!(back.asked(), ["Who are you?"]);
    let known = |event: &&Event| !matches!(event, Event::Opened { .. } | Event::Came { .. });
    let kept: Vec<&Event> = events.iter().filter(known).collect();
    let told: Vec<&Event> = back.events.iter().filter(known).collect();
    assert_eq!(told[..kept.len()], kept);
    if again == line {
        // The whole caption, and the sound of what was not heard.
        assert_eq!(after.words, before.words);
        assert!(after.samples.len() < before.samples.len());
    }
    back.question("And now?").await.expect("it is taken");
}

#[actix_web::test]
async fn a_speech_process_that_is_killed_costs_its_sentence_and_no_more() {
    let house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.until(|guest| guest.listens).await;
    let utterance = guest.press().await.expect("it listens");
    let children = speech_pids(house.pid());
    assert!(!children.is_empty());
    for pid in children {
        let status = std::process::Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }
    guest
        .until(|guest| {
            let unheard = |event: &Event| matches!(event, Event::Unheard { .. });
            guest.events.iter().any(unheard)
        })
        .await;
    assert!(guest.release(utterance).await.is_err());
    // Typed questions are answered all the while; with a voice once it is back.
    guest.question("Still there?").await.expect("it is taken");
    guest
        .until(|guest| guest.lines.values().any(|line| line.over))
        .await;
    let utterance = loop {
        if let Ok(utterance) = guest.press().await {
            break utterance;
        }
    };
    guest.speak(utterance, "and now?").await;
    guest.release(utterance).await.expect("it listens");
    guest.until(|guest| guest.asked().len() == 2).await;
}

/// What a session may take away, or what one may who only watches; also as it came.
async fn transcript(house: &House, guest: &Guest, session: &str) -> (SeanceTranscript, String) {
    let address = house.url(&format!("/api/seance/transcript/{}", guest.room));
    let request = reqwest::Client::new().get(address).bearer_auth(session);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body = response.text().await.expect("text");
    let read = serde_json::from_str(&body).expect("a transcript");
    (read, body)
}

#[actix_web::test]
async fn a_transcript_holds_what_was_asked_and_heard_in_this_sitting_and_no_session() {
    let house = house(&[]);
    let mut sitter = Guest::enter(&house, None, true).await;
    sitter.question("a secret").await.expect("it is taken");
    sitter.until(|guest| guest.whole().is_some()).await;
    let (line, voiced) = sitter.whole().expect("a line");
    let session = sitter.client.session.clone();
    let (unheard, _) = transcript(&house, &sitter, &session).await;
    assert_eq!(unheard.turns.len(), 1, "{unheard:?}");
    sitter.heard(line, 1).await;
    let was_heard = |event: &Event| matches!(event, Event::Heard { .. });
    sitter
        .until(|guest| guest.events.iter().any(was_heard))
        .await;

    let (mine, body) = transcript(&house, &sitter, &session).await;
    let [asked, said] = &mine.turns[..] else {
        panic!("{mine:?}");
    };
    let TranscriptTurn::Asked {
        member,
        text,
        seed,
        put,
        ..
    } = asked
    else {
        panic!("{asked:?}");
    };
    assert_eq!((text.as_str(), *seed, *put), ("a secret", 7, Put::Typed));
    assert_eq!(mine.you, Some(*member));
    let TranscriptTurn::Said {
        line: told,
        text,
        cut,
        ..
    } = said
    else {
        panic!("{said:?}");
    };
    assert_eq!((*told, text), (line, &voiced.words[0]));
    assert_eq!(*cut, voiced.words.len() > 1);
    let key: String = Sha256::digest(&session)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(!body.contains(&session) && !body.contains(&key));

    // Who watches sees the same; who waits, or comes when it is over, nothing.
    let mut other = Guest::enter(&house, None, true).await;
    other
        .until(|guest| guest.standing == (Some(1), 1, true))
        .await;
    let theirs = other.client.session.clone();
    let (waits, _) = transcript(&house, &sitter, &theirs).await;
    assert!(waits.turns.is_empty() && waits.you.is_some(), "{waits:?}");
    let (watches, _) = transcript(&house, &sitter, "nobody").await;
    assert_eq!((watches.you, watches.turns), (None, mine.turns));
    sitter.leave().await;
    other.until(|guest| guest.standing == (None, 0, true)).await;
    for session in [&session, &theirs] {
        let (over, body) = transcript(&house, &other, session).await;
        assert!(over.turns.is_empty() && !body.contains("secret"), "{body}");
    }
}

#[actix_web::test]
async fn a_transcript_is_exported_in_the_forms_of_a_game_and_of_no_other_room() {
    let house = house(&[]);
    let mut sitter = Guest::enter(&house, None, true).await;
    sitter.question("Who are you?").await.expect("it is taken");
    let address = house.url(&format!("/api/seance/transcript/{}", sitter.room));
    for (format, type_, begins) in [
        (
            "jsonl",
            "application/x-ndjson; charset=utf-8",
            "{\"is\":\"asked\",",
        ),
        ("csv", "text/csv; charset=utf-8", "at,who,member,question,"),
    ] {
        let response = reqwest::get(format!("{address}?format={format}")).await;
        let response = response.expect("an answer");
        assert_eq!(response.headers()["content-type"], type_);
        let name = format!("parlour-{}.{format}", sitter.room);
        let disposition = response.headers()["content-disposition"].to_str();
        assert!(disposition.expect("text").contains(&name), "{format}");
        let body = response.text().await.expect("text");
        assert!(
            body.starts_with(begins) && body.contains("Who are you?"),
            "{body}"
        );
    }
    for room in ["seance-99", "seance-", "..%2Fx", &"0".repeat(32)] {
        let response = reqwest::get(house.url(&format!("/api/seance/transcript/{room}"))).await;
        assert_eq!(response.expect("an answer").status(), 404, "{room}");
    }
}

/// The speech processes of a server.
fn speech_pids(server: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{server}/task")).expect("procfs");
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|children| {
            let pids = children.split_whitespace();
            pids.filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == b"speech")
        })
        .collect()
}

#[actix_web::test]
async fn without_a_speech_process_questions_are_typed_and_answers_read() {
    let house = House::with_toy(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    assert_eq!(guest.press().await, Err(RefusalCode::NotNow));
    guest.question("Who are you?").await.expect("it is taken");
    guest.until(|guest| guest.whole().is_some()).await;
    let (_, line) = guest.whole().expect("a line");
    assert!(line.samples.is_empty() && !line.words.is_empty());
}

#[actix_web::test]
async fn sound_of_one_who_came_to_no_seance_or_speaks_too_fast_is_hostile() {
    let house = house(&[]);
    let frame = SoundFrame {
        kind: Kind::Microphone,
        number: 1,
        from: 0,
        samples: vec![0; 1600],
    };
    let frame = Message::binary(frame.encode());
    let mut stranger = Client::enter(&house, None).await;
    stranger
        .socket
        .send(frame.clone())
        .await
        .expect("it is sent");
    let close = stranger.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4101);
    let mut guest = Guest::enter(&house, None, true).await;
    for _ in 0..330 {
        if guest.client.socket.send(frame.clone()).await.is_err() {
            break;
        }
    }
    let close = loop {
        match guest.client.hear_or_close().await {
            Ok(_) => {}
            Err(close) => break close,
        }
    };
    assert_eq!(close.map(|close| u16::from(close.code)), Some(4101));
}
