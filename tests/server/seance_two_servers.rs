//! One séance at two servers on one Redis: whoever comes finds it wherever it is, and it goes on
//! from what was heard when its server falls.

use parlour::play::seance::Event;

use super::support::{
    house::House,
    seance::{Guest, SPEECH},
};
use crate::redis_server::RedisServer;

/// Two houses with a toy model and a toy voice each.
struct Street {
    houses: [House; 2],
    _redis: RedisServer,
}

impl Street {
    fn open(more: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start();
        let url = redis.url();
        let mut settings = vec![
            ("PARLOUR_REDIS_URL", url.expose()),
            ("PARLOUR_SECRET", "known to both houses"),
            ("PARLOUR_NOTICE_MS", "0"),
        ];
        settings.extend(SPEECH);
        settings.extend_from_slice(more);
        Self {
            houses: [House::with_toy(&settings), House::with_toy(&settings)],
            _redis: redis,
        }
    }
}

/// Whoever was sent away comes back to this house.
async fn back(guest: &Guest, house: &House, sit: bool) -> Guest {
    Guest::enter(house, Some(&guest.client.session), sit).await
}

fn heard(guest: &Guest) -> Option<(u32, u32)> {
    guest.events.iter().rev().find_map(|event| match event {
        Event::Heard { line, words } => Some((*line, *words)),
        _ => None,
    })
}

/// What the séance tells of people and words.
fn told(guest: &Guest) -> Vec<Event> {
    let told = guest.events.iter().filter(|event| {
        matches!(
            event,
            Event::Asked { .. } | Event::Said { .. } | Event::Heard { .. }
        )
    });
    told.cloned().collect()
}

#[actix_web::test]
async fn a_killed_servers_seance_goes_on_at_the_other_one_from_what_was_heard() {
    let mut street = Street::open(&[("PARLOUR_TRANSLATIONS", "deterministic")]);
    let mut sitter = Guest::enter(&street.houses[0], None, true).await;
    let line = sitter.ask_in_german().await;
    sitter.until(|guest| guest.lines[&line].is_whole()).await;
    let before = sitter.lines[&line].clone();
    sitter.heard(line, 1).await;
    sitter.until(|guest| heard(guest).is_some()).await;
    street.houses[0].fall();
    let mut sitter_there = back(&sitter, &street.houses[1], true).await;
    assert_eq!(sitter_there.room, sitter.room);
    let kept = told(&sitter);
    assert_eq!(told(&sitter_there)[..kept.len()], kept);
    sitter_there
        .until(|guest| guest.lines.get(&line).is_some_and(|line| line.is_whole()))
        .await;
    let after = sitter_there.lines[&line].clone();
    assert_eq!(after.words, before.words, "the caption is whole");
    assert!(
        after.samples.len() < before.samples.len(),
        "what was heard does not sound again"
    );
    let before = sitter_there.said().len();
    sitter_there.question("And now?").await.expect("they sit");
    sitter_there
        .until(|guest| guest.said().len() > before)
        .await;
}

#[actix_web::test]
async fn who_comes_to_the_wrong_server_waits_at_the_same_seance() {
    let street = Street::open(&[]);
    let [first, second] = &street.houses;
    let mut sitter = Guest::enter(first, None, true).await;
    sitter.question("a secret").await.expect("it is taken");
    sitter.until(|guest| guest.whole().is_some()).await;
    let came = Guest::enter(second, None, true);
    // The séance goes where somebody asked for it, and its people are told to come back.
    let sent_away = async {
        loop {
            if let Err(close) = sitter.client.hear_or_close().await {
                return close.map(|close| u16::from(close.code));
            }
        }
    };
    let (mut came, closed) = tokio::join!(came, sent_away);
    assert_eq!(closed, Some(4004));
    let mut sitter = back(&sitter, second, true).await;
    assert_eq!(came.room, sitter.room, "there is one séance");
    came.until(|guest| guest.standing == (Some(1), 1, true))
        .await;
    assert!(came.asked().is_empty() && came.said().is_empty());
    assert!(came.lines.is_empty(), "it hears nothing");
    assert_eq!(sitter.asked(), ["a secret"]);
    sitter.question("and now?").await.expect("it sits still");
    sitter.leave().await;
    came.until(|guest| guest.standing == (None, 0, true)).await;
    came.question("and me?").await.expect("it sits");
}

#[actix_web::test]
async fn a_sitter_who_does_not_come_back_from_a_server_that_fell_makes_room() {
    let mut street = Street::open(&[("PARLOUR_IDLE_SECONDS", "2")]);
    let mut sitter = Guest::enter(&street.houses[0], None, true).await;
    sitter.question("a secret").await.expect("it is taken");
    street.houses[0].fall();
    let mut next = Guest::enter(&street.houses[1], None, true).await;
    assert_eq!(next.room, sitter.room);
    next.until(|guest| guest.standing == (None, 0, true)).await;
    assert!(next.asked().is_empty(), "nothing of the sitting before");
    next.question("Is it my turn?").await.expect("it sits");
    next.until(|guest| !guest.asked().is_empty()).await;
    assert_eq!(next.asked(), ["Is it my turn?"]);
}
