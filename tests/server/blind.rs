//! What a blind game hides never leaves the server before the end: judged by the bytes on
//! the player's socket, not by what a client makes of them.

use parlour::play::imitation::{Event, Kind, Mode};

use crate::support::{
    client::Client,
    models::{self, REASON, WITNESS},
    seen::Seen,
    standin::Standin,
};

/// Whether any frame holds what only the bot or the judge's reasons say.
fn tells(frames: &[String]) -> Option<&String> {
    frames
        .iter()
        .find(|frame| frame.contains(WITNESS) || frame.contains(REASON))
}

/// Frames up to the one that ends the game.
fn before_the_end(client: &Client) -> &[String] {
    let end = client
        .heard
        .iter()
        .position(|frame| frame.contains(r#""type":"ended""#))
        .unwrap_or(client.heard.len());
    &client.heard[..end]
}

fn whole(seen: &Seen) -> String {
    serde_json::to_string(&seen.events).expect("json")
}

async fn keeps_silent(kind: Kind) {
    let house = models::scripted(&[("PARLOUR_ROUNDS", "2")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(kind, Mode::Blind).await;
    client.play_out(&mut seen).await;
    assert_eq!(seen.round(), 2, "more than one round was judged");
    assert!(
        matches!(
            seen.ended(),
            Some(Event::Ended {
                outcome: Some(_),
                ..
            })
        ),
        "{:?}",
        seen.ended()
    );
    assert_eq!(tells(before_the_end(&client)), None);
    assert!(
        whole(&seen).contains(WITNESS) && whole(&seen).contains(REASON),
        "the test would see them if they were there"
    );
}

#[tokio::test]
async fn in_a_direct_game() {
    keeps_silent(Kind::Direct).await;
}

#[tokio::test]
async fn in_an_inverse_game() {
    keeps_silent(Kind::Inverse).await;
}

#[tokio::test]
async fn not_even_to_one_who_comes_back() {
    let mut house = models::scripted(&[("PARLOUR_ROUNDS", "2")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Blind).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    client.answer(&mut seen, "I like the sea").await;
    client
        .follow(&mut seen, |seen| seen.round() == 2 && seen.my_turn())
        .await;
    assert_eq!(tells(&client.heard), None);
    let mut nothing = Seen {
        events: Vec::new(),
        ..seen.clone()
    };
    let mut again = Client::enter(&house, Some(&client.session)).await;
    again.resume(&mut nothing).await;
    assert_eq!(nothing.round(), 2);
    assert_eq!(tells(&again.heard), None);
    house.fall();
    house.rise();
    let mut nothing = Seen {
        events: Vec::new(),
        ..seen.clone()
    };
    let mut again = Client::enter(&house, Some(&client.session)).await;
    again.resume(&mut nothing).await;
    assert_eq!(tells(&again.heard), None);
}

#[tokio::test]
async fn nor_whether_the_other_has_answered_yet() {
    let house = models::scripted(&[]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Blind).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    let before = seen.events.len();
    // The bot is at once and has long answered when this has gone there and back.
    for nonce in 0..5 {
        client
            .say(&parlour::wire::browser::FromClient::Ping { nonce })
            .await;
        while client.hear().await != (parlour::wire::browser::ToClient::Pong { nonce }) {}
    }
    client.answer(&mut seen, "I like the sea").await;
    client
        .follow(&mut seen, |seen| seen.events.len() >= before + 2)
        .await;
    assert!(
        matches!(&seen.events[before].event, Some(Event::Answered { seat, .. }) if *seat == seen.seat),
        "the log shows the player's answer first, however fast the bot was"
    );
    assert_eq!(seen.events[before + 1].event, None);
    assert!(seen.events[before + 1].at >= seen.events[before].at);
}

#[tokio::test]
async fn in_explanatory_mode_all_of_it_is_shown() {
    let house = models::scripted(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    client.follow(&mut seen, |seen| seen.my_turn()).await;
    assert!(whole(&seen).contains(WITNESS));
    client.play_out(&mut seen).await;
    assert!(whole(&seen).contains(REASON));
}

#[tokio::test]
async fn the_bot_never_reads_what_the_player_says_and_the_judge_not_who_is_who() {
    let witness = Standin::start(models::witness);
    let judge = Standin::start(models::judge);
    let house = models::with(&witness, &judge, &[("PARLOUR_ROUNDS", "2")]);
    let mut client = Client::enter(&house, None).await;
    let mut seen = client.open(Kind::Direct, Mode::Blind).await;
    client.play_out(&mut seen).await;
    let said = |requests: Vec<serde_json::Value>, word: &str| {
        requests
            .iter()
            .any(|request| request.to_string().contains(word))
    };
    assert!(said(judge.asked(), "by the river"), "the judge reads both");
    assert!(said(judge.asked(), WITNESS));
    assert!(!said(witness.asked(), "by the river"));
    assert!(!said(judge.asked(), "Ada"), "a name would tell");
}
