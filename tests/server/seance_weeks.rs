//! A séance that goes on for weeks in one room: its log is trimmed, a restart reads little, and
//! what was said in the sitting of now can still be taken away.

use std::time::Duration;

use parlour::{
    play::{
        Dice, UnixMillis,
        seance::{Command, Effect, Event, Seance, Tongue, TranscriptTurn, rebuild, words},
    },
    store::{Store as _, StoreError, home::Home, sqlite::SqliteStore},
    wire::transcript::SeanceTranscript,
};

use super::support::{
    client::Client,
    house::House,
    seance::{Guest, house},
};

/// Turns of a few weeks in which somebody sits all the time: a question, two lines of the
/// spirit, and what was heard of them.
const TURNS: u32 = 3_000;

/// Most events that are kept of a sitting that is long; docs/spirit-box.md says so.
const LONG: usize = 2_000;

struct NoDice;

impl Dice for NoDice {
    fn throw(&mut self, _: u32) -> u32 {
        panic!("every question has its seed")
    }
}

/// A room that no server has now, and its log as the rules go on with it.
struct Closed {
    store: SqliteStore,
    _home: Home,
    room: String,
    seance: Seance,
    /// Events in the store.
    held: usize,
    next: u32,
    at: UnixMillis,
    bodies: Vec<String>,
}

impl Closed {
    async fn open(house: &House, room: &str) -> Self {
        let home = Home::take(house.data()).expect("nobody has it");
        let store = SqliteStore::open(&home.database()).expect("a store");
        let (first, mut seance, told) = match store.read(room, 0).await {
            Ok(_) => (0, Seance::default(), 0),
            Err(StoreError::Trimmed { first, .. }) => {
                let snapshot = store.snapshot(room).await.expect("it is read");
                let snapshot = snapshot.expect("what was before is in a snapshot");
                let seance = serde_json::from_str(&snapshot.body).expect("a séance");
                (first, seance, snapshot.offset)
            }
            Err(error) => panic!("{error}"),
        };
        let log = store.read(room, first).await.expect("a log");
        for record in log.records.iter().filter(|record| record.offset >= told) {
            let event: Event = serde_json::from_str(&record.body).expect("an event");
            seance.apply(record.at, &event);
        }
        Self {
            store,
            _home: home,
            room: room.to_owned(),
            seance,
            held: log.records.len(),
            next: log.next,
            at: log.records.last().expect("some").at,
            bodies: Vec::new(),
        }
    }

    fn must(&mut self, command: Command) {
        let events = self.seance.decide(command, self.at, &mut NoDice);
        for event in events.expect("lawful") {
            self.seance.apply(self.at, &event);
            self.bodies
                .push(serde_json::to_string(&event).expect("json"));
        }
    }

    fn due(&self) -> u32 {
        let due = self
            .seance
            .effects()
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Speak { line, .. } => Some(line),
                _ => None,
            });
        due.expect("a line is due")
    }

    /// Weeks pass.
    async fn pass(mut self) {
        let member = self.seance.sitters().next().expect("somebody sits");
        for turn in 0..TURNS {
            self.must(Command::Ask {
                member,
                utterance: None,
                text: format!("Question {turn}?"),
                language: "en".into(),
                inner: None,
                seed: Some(turn),
            });
            for part in 0..2 {
                let line = self.due();
                let text = format!("I hear {turn} and {part}.");
                let words = u32::try_from(words(&text).count()).expect("few");
                self.must(Command::Say {
                    line,
                    text,
                    language: "en".into(),
                    inner: None,
                    tongue: Tongue::Own,
                });
                let by = Some(member);
                self.must(Command::Heard { by, line, words });
            }
        }
        let minute = Duration::from_secs(60);
        let lease = self.store.acquire(&self.room, "the years", minute).await;
        let fence = lease.expect("nobody has it").fence;
        let bodies = std::mem::take(&mut self.bodies);
        self.store
            .append(&self.room, fence, self.next, self.at, bodies)
            .await
            .expect("it is stored");
        let given_back = self.store.release(&self.room, fence).await;
        given_back.expect("it is given back");
    }
}

async fn back(house: &House, session: &str) -> Guest {
    Guest::enter_by(Client::enter(house, Some(session)).await, true).await
}

/// The questions of a transcript, by their numbers, and how many lines were heard.
async fn taken(house: &House, guest: &Guest) -> (Vec<u32>, usize) {
    let address = house.url(&format!("/api/seance/transcript/{}", guest.room));
    let request = reqwest::Client::new()
        .get(address)
        .bearer_auth(&guest.client.session);
    let response = request.send().await.expect("an answer");
    let transcript: SeanceTranscript = response.json().await.expect("a transcript");
    let questions = transcript.turns.iter().filter_map(|turn| match turn {
        TranscriptTurn::Asked { question, .. } => Some(*question),
        TranscriptTurn::Said { .. } => None,
    });
    let questions: Vec<u32> = questions.collect();
    let heard = transcript.turns.len() - questions.len();
    (questions, heard)
}

#[actix_web::test]
async fn a_sitting_of_weeks_is_kept_as_far_as_anybody_needs_it_and_survives_restarts() {
    let mut house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.question("The first one?").await.expect("it is taken");
    let (room, session) = (guest.room.clone(), guest.client.session.clone());
    let mut asked = 1;
    for _ in 0..2 {
        assert!(house.close().success());
        Closed::open(&house, &room).await.pass().await;
        asked += TURNS;
        // The server reads all of it, and has most of it forgotten.
        house.rise();
        let mut guest = back(&house, &session).await;
        assert_eq!(guest.room, room);
        guest.question("And now?").await.expect("it sits still");
        asked += 1;
        assert!(house.close().success());
        let closed = Closed::open(&house, &room).await;
        assert!(closed.held < LONG / 2 + 100, "{} events", closed.held);
        drop(closed);

        house.rise();
        let mut guest = back(&house, &session).await;
        assert!(guest.events.len() < LONG, "{} are told", guest.events.len());
        let begins = guest.events.first();
        assert!(matches!(begins, Some(Event::Asked { .. })), "{begins:?}");
        let (questions, heard) = taken(&house, &guest).await;
        let first = questions[0];
        assert_eq!(questions, (first..=asked).collect::<Vec<_>>());
        assert!(questions.len() >= 150, "{}", questions.len());
        // The last one was not heard.
        assert_eq!(heard, 2 * (questions.len() - 1));
        guest.question("Still there?").await.expect("it sits still");
        asked += 1;
        guest.until(|guest| guest.whole().is_some()).await;
    }
}

/// The same, by the rules alone: what is kept of a séance does not grow.
#[test]
fn the_state_of_a_seance_weighs_the_same_after_thousands_of_turns() {
    let mut seance = Seance::default();
    let mut log = Vec::new();
    let mut give = |seance: &mut Seance, command: Command| {
        for event in seance.decide(command, 5, &mut NoDice).expect("lawful") {
            seance.apply(5, &event);
            log.push((5, event));
        }
    };
    let setup = parlour::play::seance::Setup::default();
    give(&mut seance, Command::Open { setup });
    let mut weighs = Vec::new();
    for turn in 0..TURNS {
        let key = format!("visitor {turn}");
        give(&mut seance, Command::Come { key });
        let member = seance.sitters().next().expect("the seat is free");
        let text = format!("Question {turn:04}?");
        give(
            &mut seance,
            Command::Ask {
                member,
                utterance: None,
                text,
                language: "en".into(),
                inner: None,
                seed: Some(turn),
            },
        );
        let line = seance
            .effects()
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Speak { line, .. } => Some(line),
                _ => None,
            });
        give(
            &mut seance,
            Command::Say {
                line: line.expect("it answers"),
                text: format!("I hear {turn:04}."),
                language: "en".into(),
                inner: None,
                tongue: Tongue::Own,
            },
        );
        let written = serde_json::to_string(&seance).expect("json");
        let read: Seance = serde_json::from_str(&written).expect("a séance");
        assert_eq!(read, seance, "it is read as it was written");
        weighs.push(written.len());
        give(&mut seance, Command::Leave { member });
    }
    // Only the numbers have grown, by a few digits.
    let growth = weighs.iter().max().expect("some") - weighs[0];
    assert!(growth < 50, "{growth} bytes");
    assert_eq!(rebuild(log.iter().map(|(at, event)| (*at, event))), seance);
}
