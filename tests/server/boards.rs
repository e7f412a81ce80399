//! The leaderboards: who gets on them, when, and how one gets off.

use parlour::{
    play::{
        imitation::{Event, Kind, Mode, Winner},
        party::{Act, Bench, Finish},
    },
    wire::{
        boards::{BoardRow, Boards, Erased},
        browser::FromClient,
    },
};
use sha2::{Digest, Sha256};

use crate::support::{
    client::Client,
    house::House,
    seen::Seen,
    table::{Guest, all, answer_all, setup, three},
};

async fn text(house: &House, session: Option<&str>) -> String {
    let client = reqwest::Client::new();
    let mut request = client.get(house.url("/api/boards"));
    if let Some(session) = session {
        request = request.bearer_auth(session);
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    answer.text().await.expect("text")
}

async fn boards(house: &House, session: Option<&str>) -> Boards {
    serde_json::from_str(&text(house, session).await).expect("boards")
}

/// The boards once somebody has judged so many games: results are written after the end is
/// told. One write adds to all boards, but they are read one after another: so once more.
async fn judged(house: &House, session: &str, games: u64) -> Boards {
    loop {
        let seen = boards(house, Some(session)).await;
        let counted = seen.judges.iter().map(|row| row.games).max();
        if counted.unwrap_or_default() >= games {
            return boards(house, Some(session)).await;
        }
    }
}

async fn erase(house: &House, session: &str) -> reqwest::Response {
    let client = reqwest::Client::new();
    let request = client.delete(house.url("/api/boards/me"));
    let request = request.bearer_auth(session).send();
    request.await.expect("an answer")
}

fn names(rows: &[BoardRow]) -> Vec<&str> {
    rows.iter().map(|row| row.name.as_str()).collect()
}

/// Plays a game of one round, and gives the boards as they were before its end.
async fn play(house: &House, client: &mut Client) -> (Seen, Boards) {
    let mut seen = client.open(Kind::Direct, Mode::Explanatory).await;
    client
        .follow(&mut seen, |seen| seen.my_turn() || seen.is_over())
        .await;
    let before = boards(house, None).await;
    client.play_out(&mut seen).await;
    (seen, before)
}

#[tokio::test]
async fn a_judged_game_is_on_the_boards_after_its_end_and_not_before() {
    let house = House::with_toy(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let (seen, before) = play(&house, &mut client).await;
    let nothing = Boards {
        people: vec![],
        machines: vec![],
        judges: vec![],
    };
    assert_eq!(before, nothing);
    let Some(Event::Ended {
        outcome: Some(outcome),
        ..
    }) = seen.ended()
    else {
        panic!("the judge had to say: {:?}", seen.ended());
    };

    let after = judged(&house, &client.session, 1).await;
    let [ada] = after.people.as_slice() else {
        panic!("{after:?}");
    };
    let won = u64::from(outcome.winner == Winner::Player);
    assert_eq!((ada.name.as_str(), ada.place, ada.you), ("Ada", 1, true));
    assert_eq!((ada.games, ada.wins, ada.machine), (1, won, false));
    assert_eq!(ada.points, f64::from(outcome.player_score));
    assert!(ada.low < ada.high && (ada.low..=ada.high).contains(&ada.share));
    assert!(after.machines[0].machine && after.judges[0].machine);
    assert!(!after.machines[0].you && !after.judges[0].you);

    // Nobody else is that person, and no board tells how to be.
    let told = text(&house, None).await;
    assert!(!told.contains("\"you\":true"), "{told}");
    let key: String = Sha256::digest(client.session.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(!told.contains(&client.session) && !told.contains(&key));
    let stranger = Client::enter(&house, None).await;
    assert!(!boards(&house, Some(&stranger.session)).await.people[0].you);
}

/// A table for three and one ELIZA, one round; everybody votes.
async fn play_table(guests: &mut [Guest], act: Act, games: usize) {
    guests[0].act(act).await;
    answer_all(guests, 1).await;
    for guest in &mut *guests {
        guest.follow(|known| known.my_turn()).await;
        let own = guest.known.chair().expect("a chair");
        let human = (0..5)
            .map(parlour::play::party::Chair)
            .find(|chair| *chair != own)
            .expect("there are more");
        guest
            .act(Act::Vote {
                ballot: parlour::play::party::Ballot {
                    human,
                    confidence: 60,
                },
            })
            .await;
    }
    all(guests, |known| known.finished() == games).await;
}

#[tokio::test]
async fn every_rematch_counts_once_also_over_a_crash() {
    let mut house = House::with_toy(&[]);
    let mut setup = setup(Bench::Everybody, Mode::Explanatory);
    setup.rounds = 1;
    let mut guests = three(&house, &setup).await;
    play_table(&mut guests, Act::Start, 1).await;
    play_table(&mut guests, Act::Rematch, 2).await;
    // A game that is stopped brings nobody anything.
    guests[0].act(Act::Rematch).await;
    guests[0].act(Act::Stop).await;
    all(&mut guests, |known| known.finished() == 3).await;
    let stopped = guests[0].known.told().any(|event| {
        matches!(
            event,
            parlour::play::party::Event::Finished {
                finish: Finish::Stopped,
                ..
            }
        )
    });
    assert!(stopped);
    let session = guests[1].client.session.clone();
    let counted = judged(&house, &session, 2).await;
    let mut people = names(&counted.people);
    people.sort_unstable();
    assert_eq!(people, ["Ada", "Ben", "Cleo"]);
    assert!(counted.people.iter().all(|row| row.games == 2));
    let you: Vec<_> = counted.people.iter().filter(|row| row.you).collect();
    assert_eq!((you.len(), you[0].name.as_str()), (1, "Ben"));
    let mut machines = names(&counted.machines);
    machines.sort_unstable();
    assert_eq!(machines, ["ELIZA", "The model"]);
    // Three people and the AI voted in each.
    assert_eq!(counted.judges.iter().map(|row| row.games).sum::<u64>(), 8);

    house.fall();
    house.rise();
    assert_eq!(judged(&house, &session, 2).await, counted);
}

#[tokio::test]
async fn results_that_a_crash_kept_from_the_boards_are_counted_at_the_next_start() {
    let mut house = House::with_toy(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    play(&house, &mut client).await;
    let counted = judged(&house, &client.session, 1).await;
    house.fall();
    // As the file is when the end was stored and the process died before the boards were.
    let file = rusqlite::Connection::open(house.data().join("parlour.sqlite")).expect("the store");
    file.execute_batch("DELETE FROM board; DELETE FROM counted; UPDATE rooms SET closed_at = NULL")
        .expect("undone");
    drop(file);
    house.rise();
    assert_eq!(judged(&house, &client.session, 1).await, counted);
}

#[tokio::test]
async fn a_person_is_erased_from_the_boards_and_only_by_themselves() {
    let house = House::with_toy(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    play(&house, &mut client).await;
    judged(&house, &client.session, 1).await;
    let answer = erase(&house, "not a session").await;
    assert_eq!(answer.status(), 401);
    let answer = reqwest::Client::new()
        .delete(house.url("/api/boards/me"))
        .send();
    assert_eq!(answer.await.expect("an answer").status(), 401);
    let stranger = Client::enter(&house, None).await;
    for (session, erased) in [
        (&stranger.session, false),
        (&client.session, true),
        (&client.session, false),
    ] {
        let answer = erase(&house, session).await;
        assert_eq!(answer.status(), 200);
        let answer: Erased = answer.json().await.expect("json");
        assert_eq!(answer, Erased { erased });
    }
    let told = text(&house, None).await;
    assert!(!told.contains("Ada"), "{told}");
    assert!(told.contains("The model"), "others stay: {told}");
    // Who plays on begins anew.
    play(&house, &mut client).await;
    let again = judged(&house, &client.session, 2).await;
    assert_eq!((again.people[0].games, again.people[0].you), (1, true));
}

#[tokio::test]
async fn who_gives_no_name_is_on_no_board() {
    let house = House::with_toy(&[("PARLOUR_ROUNDS", "1")]);
    let mut client = Client::enter(&house, None).await;
    let id = client.id();
    client
        .say(&FromClient::Open {
            id,
            kind: Kind::Inverse,
            mode: Mode::Explanatory,
            name: String::new(),
        })
        .await;
    client.hear().await;
    let mut seen = client.joined().await;
    client.play_out(&mut seen).await;
    let boards = judged(&house, &client.session, 1).await;
    assert!(boards.people.is_empty(), "{boards:?}");
}
