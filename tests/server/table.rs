//! Whole games at a table: three people, two machines, each way to judge them.

use parlour::{
    play::{
        imitation::Mode,
        party::{Act, Ballot, Bench, Chair, Event, Finish, Machine, Role, Witness},
    },
    wire::browser::{RefusalCode, TableDoing, ToClient},
};

use crate::support::{
    client::Client,
    house::House,
    known::Known,
    models::{self, REASON, WITNESS},
    replay,
    table::{Guest, all, answer_all, setup, three},
};

/// The chairs and the end, as everybody knows them afterwards.
fn outcome(known: &Known) -> (Vec<Witness>, &Event) {
    let chairs = known
        .told()
        .filter_map(|event| match event {
            Event::Started { chairs, .. } => Some(chairs.clone()),
            _ => None,
        })
        .last()
        .flatten()
        .expect("the chairs are revealed");
    let end = known
        .told()
        .filter(|event| matches!(event, Event::Finished { .. }))
        .last()
        .expect("it is over");
    (chairs, end)
}

/// Reads up to the unveiling that follows an end.
async fn unveiled(guest: &mut Guest) {
    while !matches!(guest.hear().await, ToClient::TableUnveiled { .. }) {}
}

fn human(guests: &[Guest]) -> Chair {
    guests[0].known.chair().expect("Ada sits")
}

fn sure(human: Chair) -> Ballot {
    Ballot {
        human,
        confidence: 90,
    }
}

#[tokio::test]
async fn a_game_that_the_machine_judges_is_played_and_everything_is_revealed_at_its_end() {
    let house = House::with_toy(&[]);
    let mut guests = three(&house, &setup(Bench::Machine, Mode::Explanatory)).await;
    guests[0].act(Act::Start).await;
    for round in 1..=2 {
        answer_all(&mut guests, round).await;
    }
    all(&mut guests, |known| known.finished() == 1).await;
    for guest in &mut guests {
        unveiled(guest).await;
        let (chairs, end) = outcome(&guest.known);
        let seats = chairs
            .iter()
            .filter(|witness| matches!(witness, Witness::Person { .. }));
        assert_eq!((chairs.len(), seats.count()), (5, 3));
        assert!(chairs.contains(&Witness::Machine {
            machine: Machine::Eliza
        }));
        let Event::Finished { finish, voters, .. } = end else {
            unreachable!("it is the end");
        };
        for event in guest.known.told() {
            match event {
                Event::Revealed { answers, .. } => {
                    assert!(answers.iter().all(|answer| answer.text.is_some()));
                }
                Event::Weighed { opinion, .. } => assert_eq!(opinion.beliefs.len(), 5),
                _ => {}
            }
        }
        assert_eq!(*finish, Finish::Played);
        assert_eq!(voters.len(), 1, "the machine alone");
        assert_eq!(guest.known.count(|e| matches!(e, Event::Weighed { .. })), 2);
        guest.follow(|known| known.doing == TableDoing::Over).await;
    }
    let me = guests[1].known.you;
    let mine = guests[1].known.chair().expect("Ben sits");
    let (chairs, _) = outcome(&guests[0].known);
    assert_eq!(chairs[usize::from(mine.0)], Witness::Person { member: me });
    // What is published is what those saw who were there, but not what they knew of each other.
    let address = house.url(&format!("/api/replay/{}", guests[0].known.room));
    let published = replay::of::<Event>(&address).await;
    let theirs = |event: &Event| match event {
        Event::Started { chairs, seed, .. } => Some((chairs.clone(), *seed)),
        _ => None,
    };
    let find = |events: &[parlour::wire::browser::Stamped<Event>]| {
        events
            .iter()
            .find_map(|stamped| theirs(stamped.event.as_ref()?))
    };
    assert_eq!(find(&published), find(&guests[0].known.events));
    let lower = guests[0].known.room.to_lowercase().replace('-', "");
    let address = house.url(&format!("/api/replay/{lower}?format=csv"));
    let sheet = reqwest::get(&address).await.expect("an answer");
    let sheet = sheet.text().await.expect("a text");
    assert!(sheet.contains(&guests[2].line()), "{sheet}");
}

#[tokio::test]
async fn a_person_on_the_bench_asks_and_names_the_human() {
    let house = House::with_toy(&[]);
    let mut setup = setup(Bench::Person, Mode::Blind);
    setup.people = 2;
    let judge = Guest::host(&house, &setup, Role::Judge, "Judith").await;
    let room = judge.known.room.clone();
    let mut guests = vec![judge];
    for name in ["Ada", "Ben"] {
        guests.push(Guest::join(&house, &room, Role::Witness, name).await);
    }
    guests[0].act(Act::Start).await;
    for round in 1..=2 {
        guests[0]
            .follow(|known| known.round() + 1 == round && known.my_turn())
            .await;
        let text = format!("What did you have for supper number {round}?");
        guests[0].act(Act::Question { round, text }).await;
        answer_all(&mut guests[1..], round).await;
        guests[0].follow(|known| known.revealed() == round).await;
    }
    guests[0]
        .follow(|known| known.my_turn() && matches!(known.doing, TableDoing::Voting { .. }))
        .await;
    let human = guests[1].known.chair().expect("Ada sits");
    let ballot = sure(human);
    let others = guests[1].try_act(Act::Vote { ballot }).await;
    assert!(others.is_err(), "witnesses have no vote here");
    guests[0].act(Act::Vote { ballot }).await;
    all(&mut guests, |known| known.finished() == 1).await;
    for guest in &mut guests {
        unveiled(guest).await;
        let (_, end) = outcome(&guest.known);
        let Event::Finished { finish, voters, .. } = end else {
            unreachable!("it is the end");
        };
        assert_eq!(*finish, Finish::Played);
        assert_eq!(voters.len(), 1);
        assert_eq!(voters[0].ballot, ballot);
        assert!(voters[0].right, "Ada is a person");
    }
}

#[tokio::test]
async fn everybody_votes_and_the_machine_too() {
    let house = House::with_toy(&[]);
    let mut guests = three(&house, &setup(Bench::Everybody, Mode::Explanatory)).await;
    guests[0].act(Act::Start).await;
    for round in 1..=2 {
        answer_all(&mut guests, round).await;
    }
    all(&mut guests, |known| {
        known.my_turn() && matches!(known.doing, TableDoing::Voting { .. })
    })
    .await;
    let human = human(&guests);
    let other = guests[1].known.chair().expect("Ben sits");
    guests[0]
        .act(Act::Vote {
            ballot: sure(other),
        })
        .await;
    guests[1]
        .follow(|known| known.count(|e| matches!(e, Event::Voted { .. })) == 2)
        .await;
    assert_eq!(
        guests[1].known.count(|e| matches!(
            e,
            Event::Voted {
                ballot: Some(_),
                ..
            }
        )),
        0,
        "that Ada voted is told, and not for whom"
    );
    for guest in &mut guests[1..] {
        let ballot = sure(human);
        guest.act(Act::Vote { ballot }).await;
    }
    all(&mut guests, |known| known.finished() == 1).await;
    for guest in &mut guests {
        unveiled(guest).await;
        let ballots = guest.known.count(|e| {
            matches!(
                e,
                Event::Voted {
                    ballot: Some(_),
                    ..
                }
            )
        });
        assert_eq!(ballots, 4, "three people's and the machine's are open now");
    }
}

#[tokio::test]
async fn in_blind_mode_no_byte_tells_who_is_who_before_the_end() {
    let house = models::scripted(&[]);
    let mut guests = three(&house, &setup(Bench::Everybody, Mode::Blind)).await;
    let room = guests[0].known.room.clone();
    let mut eve = Guest::join(&house, &room, Role::Spectator, "Eve").await;
    guests[0].act(Act::Start).await;
    // Two of three have answered, and the machines had all the time they need.
    for guest in &mut guests[..2] {
        guest
            .follow(|known| known.round() == 1 && known.my_turn())
            .await;
        guest.answer().await;
    }
    let veiled = |known: &Known| known.events.iter().filter(|s| s.event.is_none()).count();
    eve.follow(|known| veiled(known) >= 2).await;
    for _ in 0..5 {
        eve.client
            .say(&parlour::wire::browser::FromClient::Ping { nonce: 1 })
            .await;
        while eve.hear().await != (ToClient::Pong { nonce: 1 }) {}
    }
    assert_eq!(
        veiled(&eve.known),
        2,
        "two people's answers, and no machine's, whose come later"
    );
    for guest in &guests {
        let bytes = guest.bytes();
        assert!(!bytes.contains(WITNESS));
        for other in guests
            .iter()
            .filter(|other| other.known.you != guest.known.you)
        {
            assert!(
                !bytes.contains(&other.line()),
                "nobody reads another's answer yet"
            );
        }
    }
    assert!(!eve.bytes().contains("walnut"));
    guests[2].follow(Known::my_turn).await;
    guests[2].answer().await;
    answer_all(&mut guests, 2).await;
    all(&mut guests, |known| {
        known.my_turn() && matches!(known.doing, TableDoing::Voting { .. })
    })
    .await;
    eve.follow(|known| matches!(known.doing, TableDoing::Voting { .. }))
        .await;
    let late = Guest::join(&house, &room, Role::Spectator, "Lea").await;
    for guest in guests.iter().chain([&eve, &late]) {
        let bytes = guest.bytes();
        for word in [r#""who""#, REASON, r#""key":""#] {
            assert!(
                !bytes.contains(word),
                "{word} on the socket of {:?}",
                guest.known.you
            );
        }
        let machines = bytes.matches(r#""is":"eliza""#).count();
        let setups = bytes.matches(r#""machines":["#).count();
        assert_eq!(
            machines, setups,
            "ELIZA is named as one of the machines, and nowhere else"
        );
        assert!(
            guest.known.told().all(|event| match event {
                Event::Started { chairs, seed, .. } => chairs.is_none() && seed.is_none(),
                Event::Replied { chair, .. } => Some(*chair) == guest.known.chair(),
                Event::Weighed { .. } | Event::Vacated { .. } => false,
                _ => true,
            }),
            "{:?}",
            guest.known.events
        );
    }
    let other = guests[1].known.chair().expect("Ben sits");
    let human = human(&guests);
    for guest in &mut guests {
        let named = if guest.known.chair() == Some(human) {
            other
        } else {
            human
        };
        guest
            .act(Act::Vote {
                ballot: sure(named),
            })
            .await;
    }
    eve.follow(|known| known.finished() == 1).await;
    unveiled(&mut eve).await;
    assert!(
        eve.known
            .events
            .iter()
            .all(|stamped| stamped.event.is_some())
    );
}

#[tokio::test]
async fn a_rematch_draws_new_chairs_and_the_first_game_stays_as_it_was() {
    let house = House::with_toy(&[]);
    let mut setup = setup(Bench::Machine, Mode::Blind);
    setup.rounds = 1;
    let mut guests = three(&house, &setup).await;
    guests[0].act(Act::Start).await;
    answer_all(&mut guests, 1).await;
    for guest in &mut guests {
        guest.follow(|known| known.finished() == 1).await;
        unveiled(guest).await;
    }
    let first = guests[1].known.events.clone();
    assert_eq!(
        guests[1].try_act(Act::Rematch).await,
        Err(RefusalCode::NotYours)
    );
    guests[0].act(Act::Rematch).await;
    all(&mut guests, |known| known.round() == 1 && known.my_turn()).await;
    // Who comes in the second game sees the first one whole, and of this one no more than
    // the others.
    let room = guests[0].known.room.clone();
    let late = Guest::join(&house, &room, Role::Spectator, "Lea").await;
    let seen = |known: &Known| -> Vec<bool> {
        known.events[..first.len()]
            .iter()
            .map(|stamped| stamped.event.is_some())
            .collect()
    };
    assert_eq!(seen(&late.known), vec![true; first.len()]);
    let started = late.known.told().filter_map(|event| match event {
        Event::Started { game, chairs, .. } => Some((*game, chairs.is_some())),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>(), [(1, true), (2, false)]);
    answer_all(&mut guests, 1).await;
    for guest in &mut guests {
        guest.follow(|known| known.finished() == 2).await;
        unveiled(guest).await;
    }
    assert_eq!(guests[1].known.events[..first.len()], first[..]);
}

#[tokio::test]
async fn the_lobby_tells_of_listed_tables_as_they_come_and_go() {
    let house = House::with_toy(&[]);
    let mut watcher = Client::enter(&house, None).await;
    watcher
        .say(&parlour::wire::browser::FromClient::Lobby { id: 1, watch: true })
        .await;
    assert_eq!(watcher.hear().await, ToClient::Accepted { id: 1 });
    assert_eq!(watcher.hear().await, ToClient::Lobby { tables: Vec::new() });
    let mut hidden = setup(Bench::Machine, Mode::Blind);
    hidden.listed = false;
    let _hidden = Guest::host(&house, &hidden, Role::Witness, "Zoe").await;
    let mut ada = Guest::host(
        &house,
        &setup(Bench::Machine, Mode::Blind),
        Role::Witness,
        "Ada",
    )
    .await;
    let card = loop {
        if let ToClient::Lobby { tables } = watcher.hear().await
            && let [card] = tables.as_slice()
        {
            break card.clone();
        }
    };
    assert_eq!(
        (card.host.as_str(), card.players, card.playing),
        ("Ada", 1, false)
    );
    assert_eq!(card.room, ada.known.room);
    ada.act(Act::Start).await;
    loop {
        if let ToClient::Lobby { tables } = watcher.hear().await {
            assert_eq!(tables.len(), 1);
            if tables[0].playing {
                break;
            }
        }
    }
    ada.act(Act::Leave).await;
    while watcher.hear().await != (ToClient::Lobby { tables: Vec::new() }) {}
}

#[tokio::test]
async fn a_table_that_cannot_be_played_is_not_opened() {
    let house = House::with_toy(&[]);
    let mut client = Client::enter(&house, None).await;
    let mut setup = setup(Bench::Machine, Mode::Blind);
    setup.machines.clear();
    client
        .say(&parlour::wire::browser::FromClient::OpenTable {
            id: 7,
            setup,
            role: Role::Witness,
            name: "Ada".into(),
        })
        .await;
    assert_eq!(client.refused().await, (7, RefusalCode::Malformed));
    assert_eq!(
        Guest::refused(&mut client, "7K3M-9QXT", Role::Witness, None).await,
        RefusalCode::NoSuchRoom
    );
}
