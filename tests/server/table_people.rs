//! Who sits where at a table: coming late, leaving, coming back, being shown out.

use std::time::Duration;

use parlour::{
    play::{
        imitation::Mode,
        party::{Act, Ballot, Bench, Chair, Event, Machine, Role, Vacancy, Witness},
    },
    wire::browser::{FromClient, RefusalCode, TableDoing, ToClient},
};

use crate::support::{
    client::Client,
    house::House,
    table::{Guest, all, answer_all, setup, three},
};

#[tokio::test]
async fn who_comes_late_sees_what_the_others_see_and_plays_the_next_game() {
    let house = House::with_toy(&[]);
    let mut setup = setup(Bench::Machine, Mode::Blind);
    setup.rounds = 1;
    setup.people = 4;
    let mut guests = three(&house, &setup).await;
    guests[0].act(Act::Start).await;
    all(&mut guests, |known| known.round() == 1 && known.my_turn()).await;
    let room = guests[0].known.room.to_lowercase();
    let mut late = Guest::join(&house, &room, Role::Witness, "Dora").await;
    assert_eq!(late.known.chair(), None);
    assert_eq!(late.known.round(), 1);
    assert!(!late.known.my_turn());
    answer_all(&mut guests, 1).await;
    late.follow(|known| known.finished() == 1).await;
    guests[0].follow(|known| known.finished() == 1).await;
    guests[0].act(Act::Rematch).await;
    late.follow(|known| known.round() == 1 && known.my_turn())
        .await;
    assert!(late.known.chair().is_some());
}

#[tokio::test]
async fn a_session_finds_its_place_again_with_the_gap_and_nothing_twice() {
    let house = House::with_toy(&[]);
    let mut guests = three(&house, &setup(Bench::Machine, Mode::Explanatory)).await;
    guests[0].act(Act::Start).await;
    all(&mut guests, |known| known.round() == 1 && known.my_turn()).await;
    let ben = guests.remove(1);
    let (you, chair) = (ben.known.you, ben.known.chair());
    let mut ben = ben.back(&house).await;
    assert_eq!((ben.known.you, ben.known.chair()), (you, chair));
    ben.follow(|known| known.my_turn()).await;
    guests.insert(1, ben);
    answer_all(&mut guests, 1).await;
    // Getting up and sitting down again is the same.
    let id = guests[1].client.id();
    guests[1].client.say(&FromClient::Leave { id }).await;
    while guests[1].hear().await != (ToClient::Accepted { id }) {}
    guests[0]
        .follow(|known| !known.present.contains(&you))
        .await;
    let ben = guests.remove(1);
    let (client, known) = (ben.client, ben.known);
    let room = known.room.clone();
    let ben = Guest::join_with(client, &room, Role::Spectator, "Else", None, Some(known)).await;
    assert_eq!(ben.known.you, you, "name and role stay as they were");
    guests.insert(1, ben);
    guests[0].follow(|known| known.present.contains(&you)).await;
    answer_all(&mut guests, 2).await;
    all(&mut guests, |known| known.finished() == 1).await;
    let came = |event: &Event| matches!(event, Event::Came { .. });
    assert_eq!(guests[0].known.count(came), 3, "nobody came twice");
}

#[tokio::test]
async fn a_seat_token_gives_a_place_to_whoever_holds_it_and_the_older_tab_is_told() {
    let house = House::with_toy(&[]);
    let mut guests = three(&house, &setup(Bench::Machine, Mode::Blind)).await;
    guests[0].act(Act::Start).await;
    all(&mut guests, |known| known.round() == 1 && known.my_turn()).await;
    let mut older = guests.remove(1);
    let (room, seat) = (older.known.room.clone(), older.known.seat.clone());
    let phone = Client::enter(&house, None).await;
    assert_ne!(phone.session, older.client.session);
    let mut newer =
        Guest::join_with(phone, &room, Role::Spectator, "Else", Some(&seat), None).await;
    assert_eq!(newer.known.you, older.known.you);
    assert_eq!(newer.known.chair(), older.known.chair());
    let close = older.client.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4102);
    newer.follow(|known| known.my_turn()).await;
    newer.answer().await;
    // And the session that came first can have it back.
    let again = Client::enter(&house, Some(&older.client.session)).await;
    let again = Guest::join_with(again, &room, Role::Witness, "", None, Some(older.known)).await;
    assert_eq!(again.known.you, newer.known.you);
    let close = newer.client.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4102);
}

#[tokio::test]
async fn the_newer_of_two_tabs_of_one_session_has_the_seat() {
    let house = House::with_toy(&[]);
    let ada = Guest::host(
        &house,
        &setup(Bench::Machine, Mode::Blind),
        Role::Witness,
        "Ada",
    )
    .await;
    let mut older = ada.client;
    let newer = Client::enter(&house, Some(&older.session)).await;
    assert_eq!(
        newer.room.as_ref(),
        Some(&ada.known.room),
        "the welcome names the table"
    );
    let close = older.until_closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 4102);
    let room = ada.known.room.clone();
    let mut newer = Guest::join_with(newer, &room, Role::Witness, "", None, Some(ada.known)).await;
    newer.act(Act::Start).await;
}

#[tokio::test]
async fn a_forged_seat_token_gives_nobody_elses_place() {
    let house = House::with_toy(&[]);
    let guests = three(&house, &setup(Bench::Machine, Mode::Blind)).await;
    let mut closed = setup(Bench::Machine, Mode::Blind);
    closed.open_to_spectators = false;
    let other = Guest::host(&house, &closed, Role::Witness, "Zoe").await;
    let room = guests[0].known.room.clone();
    let theirs = &guests[0].known.seat;
    let signature = theirs.split_once('.').expect("two parts").1;
    for forged in [
        format!("1.{signature}"),
        format!("0.{}", "0".repeat(64)),
        other.known.seat.clone(),
        "0".to_owned(),
        String::new(),
    ] {
        let mallory = Client::enter(&house, None).await;
        let mallory = Guest::join_with(
            mallory,
            &room,
            Role::Spectator,
            "Mallory",
            Some(&forged),
            None,
        )
        .await;
        assert!(
            guests
                .iter()
                .all(|guest| guest.known.you != mallory.known.you),
            "{forged:?} was taken for somebody's"
        );
    }
    // Where newcomers are not let in, a forged token lets nobody in.
    let mut mallory = Client::enter(&house, None).await;
    let code = Guest::refused(
        &mut mallory,
        &other.known.room,
        Role::Spectator,
        Some(theirs),
    )
    .await;
    assert_eq!(code, RefusalCode::NotYours);
}

#[tokio::test]
async fn a_machine_takes_the_chair_of_who_is_removed_and_nobody_else_is_told_which() {
    let house = House::with_toy(&[]);
    let mut guests = three(&house, &setup(Bench::Machine, Mode::Blind)).await;
    guests[0].act(Act::Start).await;
    all(&mut guests, |known| known.round() == 1 && known.my_turn()).await;
    let (cleo, chair) = (guests[2].known.you, guests[2].known.chair());
    guests[0].act(Act::Remove { member: cleo }).await;
    let went =
        |event: &Event| matches!(event, Event::Went { member, removed: true } if *member == cleo);
    guests[2].follow(|known| known.count(went) == 1).await;
    let mut cleo_again = guests.remove(2);
    assert_eq!(
        cleo_again.try_act(Act::Leave).await,
        Err(RefusalCode::NoSuchRoom),
        "the seat is gone"
    );
    let room = cleo_again.known.room.clone();
    let seat = cleo_again.known.seat.clone();
    let code = Guest::refused(&mut cleo_again.client, &room, Role::Witness, Some(&seat)).await;
    assert_eq!(code, RefusalCode::NotYours);
    for round in 1..=2 {
        answer_all(&mut guests, round).await;
    }
    for guest in &mut guests {
        let told = guest.known.count(|e| matches!(e, Event::Vacated { .. }));
        assert_eq!(told, 0, "not before the end");
        guest.follow(|known| known.finished() == 1).await;
        while !matches!(guest.hear().await, ToClient::TableUnveiled { .. }) {}
        let vacated = guest.known.told().find_map(|event| match event {
            Event::Vacated { chair, vacancy } => Some((*chair, *vacancy)),
            _ => None,
        });
        assert_eq!(vacated, chair.map(|chair| (chair, Vacancy::Machine)));
        let Some(Event::Finished { chairs, .. }) = guest.known.told().last() else {
            panic!("the end is the last event");
        };
        let score = chairs.iter().find(|score| Some(score.chair) == chair);
        assert!(matches!(
            score.expect("it is scored").witness,
            Witness::Machine {
                machine: Machine::Model
            }
        ));
    }
}

#[tokio::test]
async fn an_idle_witness_loses_the_chair_which_is_closed_for_all_to_see() {
    let house = House::with_toy(&[]);
    let mut setup = setup(Bench::Machine, Mode::Blind);
    setup.vacancy = Vacancy::Close;
    setup.seconds = 3;
    setup.rounds = 4;
    let mut guests = three(&house, &setup).await;
    guests[0].act(Act::Start).await;
    let idle = guests.remove(2);
    let chair = idle.known.chair();
    let is_closed = |event: &Event| matches!(event, Event::Vacated { .. });
    let mut round = 0;
    while guests[0].known.count(is_closed) == 0 {
        assert_eq!(
            guests[0].known.finished(),
            0,
            "the chair is closed before the end"
        );
        for guest in &mut guests {
            guest
                .follow(|known| {
                    known.round() > round && known.my_turn()
                        || known.count(is_closed) > 0
                        || known.finished() > 0
                })
                .await;
            if guest.known.count(is_closed) == 0 {
                // Whoever is a blink too late is as good as idle for this round.
                let (round, text) = (guest.known.round(), guest.line());
                let _ = guest.try_act(Act::Answer { round, text }).await;
            }
        }
        round = guests[0].known.round();
    }
    let closed = guests[0].known.told().find_map(|event| match event {
        Event::Vacated { chair, .. } => Some(*chair),
        _ => None,
    });
    assert!(closed.is_some());
    assert!(closed == chair || chair.is_none(), "{closed:?} {chair:?}");
}

#[tokio::test]
async fn a_host_who_leaves_or_stays_away_passes_the_table_on() {
    let house = House::with_toy(&[("PARLOUR_IDLE_SECONDS", "1")]);
    let mut guests = three(&house, &setup(Bench::Machine, Mode::Blind)).await;
    let (ben, cleo) = (guests[1].known.you, guests[2].known.you);
    guests[0].act(Act::Leave).await;
    let host =
        |who| move |event: &Event| matches!(event, Event::HostChanged { member } if *member == who);
    guests[1].follow(|known| known.count(host(ben)) == 1).await;
    // Ben's socket breaks and does not come back.
    drop(guests.remove(1));
    let mut cleo_ = guests.remove(1);
    cleo_.follow(|known| known.count(host(cleo)) == 1).await;
    cleo_.act(Act::Start).await;
}

#[tokio::test]
async fn who_is_muted_is_not_heard() {
    let house = House::with_toy(&[]);
    let mut guests = three(&house, &setup(Bench::Machine, Mode::Blind)).await;
    let member = guests[1].known.you;
    let text = || "Good evening!".to_owned();
    guests[1].act(Act::Say { text: text() }).await;
    guests[0]
        .act(Act::Mute {
            member,
            muted: true,
        })
        .await;
    assert_eq!(
        guests[1].try_act(Act::Say { text: text() }).await,
        Err(RefusalCode::NotNow)
    );
    guests[0]
        .act(Act::Mute {
            member,
            muted: false,
        })
        .await;
    guests[1].act(Act::Say { text: text() }).await;
    all(&mut guests, |known| {
        known.count(|e| matches!(e, Event::Said { .. })) == 2
    })
    .await;
}

#[tokio::test]
async fn a_table_with_nobody_at_it_is_closed_and_its_code_is_nothing_any_more() {
    let house = House::with_toy(&[("PARLOUR_TABLE_SECONDS", "1"), ("PARLOUR_ROOMS", "1")]);
    let ada = Guest::host(
        &house,
        &setup(Bench::Machine, Mode::Blind),
        Role::Witness,
        "Ada",
    )
    .await;
    let (room, session) = (ada.known.room.clone(), ada.client.session.clone());
    let mut zoe = Client::enter(&house, None).await;
    let open = FromClient::OpenTable {
        id: 1,
        setup: setup(Bench::Machine, Mode::Blind),
        role: Role::Witness,
        name: "Zoe".into(),
    };
    zoe.say(&open).await;
    assert_eq!(
        zoe.refused().await,
        (1, RefusalCode::FullHouse),
        "a table counts"
    );
    zoe.say(&FromClient::Lobby { id: 2, watch: true }).await;
    drop(ada);
    while zoe.hear().await != (ToClient::Lobby { tables: Vec::new() }) {}
    let zoe = Guest::open_on(zoe, &open, 1).await;
    assert_ne!(zoe.known.room, room);
    let mut ada = Client::enter(&house, Some(&session)).await;
    assert_eq!(ada.room, None);
    let code = Guest::refused(&mut ada, &room, Role::Witness, None).await;
    assert_eq!(code, RefusalCode::NoSuchRoom);
}

#[tokio::test]
async fn in_a_full_house_a_table_that_nobody_is_at_makes_room_for_who_comes() {
    let house = House::with_toy(&[("PARLOUR_TABLE_SECONDS", "30"), ("PARLOUR_ROOMS", "1")]);
    let setup = setup(Bench::Machine, Mode::Blind);
    let ada = Guest::host(&house, &setup, Role::Witness, "Ada").await;
    let room = ada.known.room.clone();
    let mut zoe = Client::enter(&house, None).await;
    let open = |id| FromClient::OpenTable {
        id,
        setup: setup.clone(),
        role: Role::Witness,
        name: "Zoe".into(),
    };
    zoe.say(&open(1)).await;
    assert_eq!(zoe.refused().await, (1, RefusalCode::FullHouse));
    drop(ada);
    // Whoever was only cut off has a while to come back.
    let mut id = 1;
    loop {
        id += 1;
        zoe.say(&open(id)).await;
        match zoe.hear().await {
            ToClient::Refused { code, .. } => {
                assert_eq!(code, RefusalCode::FullHouse);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            ToClient::Seated { room: other, .. } => {
                assert_ne!(other, room);
                break;
            }
            _ => {}
        }
    }
    let mut ada = Client::enter(&house, None).await;
    let code = Guest::refused(&mut ada, &room, Role::Witness, None).await;
    assert_eq!(code, RefusalCode::NoSuchRoom);
}

#[tokio::test]
async fn a_hundred_spectators_hear_the_same_bytes() {
    let house = House::with_toy(&[]);
    let mut setup = setup(Bench::Everybody, Mode::Blind);
    setup.rounds = 1;
    let mut guests = three(&house, &setup).await;
    let room = guests[0].known.room.clone();
    let mut spectators = Vec::new();
    for number in 0..100 {
        let name = format!("S{number}");
        spectators.push(Guest::join(&house, &room, Role::Spectator, &name).await);
    }
    all(&mut spectators, |known| known.present.len() == 103).await;
    let from: Vec<usize> = spectators.iter().map(|s| s.client.heard.len()).collect();
    guests[0].act(Act::Start).await;
    answer_all(&mut guests, 1).await;
    for guest in &mut guests {
        guest
            .follow(|known| known.my_turn() && matches!(known.doing, TableDoing::Voting { .. }))
            .await;
        // Nobody may name the own chair.
        let own = guest.known.chair().expect("a witness");
        let ballot = Ballot {
            human: Chair((own.0 + 1) % 5),
            confidence: 70,
        };
        guest.act(Act::Vote { ballot }).await;
    }
    let mut heard = Vec::new();
    for (spectator, from) in spectators.iter_mut().zip(from) {
        spectator.follow(|known| known.finished() == 1).await;
        while !matches!(spectator.hear().await, ToClient::TableUnveiled { .. }) {}
        // How a line is cut into pieces is up to how fast each one reads.
        let lines = spectator.client.heard[from..].iter();
        let lines = lines.filter(|line| line.contains("table_event") || line.contains("unveiled"));
        heard.push(lines.cloned().collect::<Vec<_>>());
    }
    assert!(heard[0].len() > 8);
    for other in &heard {
        assert_eq!(*other, heard[0]);
    }
}

#[tokio::test]
async fn the_welcome_of_who_left_or_was_removed_names_the_table_no_more() {
    let mut house = House::with_toy(&[]);
    let mut guests = three(&house, &setup(Bench::Machine, Mode::Blind)).await;
    let room = guests[0].known.room.clone();
    let sessions: Vec<String> = guests
        .iter()
        .map(|guest| guest.client.session.clone())
        .collect();
    let (cleo, ben) = (guests.pop().expect("Cleo"), guests.pop().expect("Ben"));
    let mut ada = guests.pop().expect("Ada");
    // One sits there when she is removed, the other one is away.
    let ben_is = ben.known.you;
    drop(ben);
    ada.follow(|known| !known.present.contains(&ben_is)).await;
    let away = Client::enter(&house, Some(&sessions[1])).await;
    assert_eq!(away.room.as_ref(), Some(&room), "a place is kept");
    drop(away);
    for member in [cleo.known.you, ben_is] {
        ada.act(Act::Remove { member }).await;
    }
    ada.follow(|known| known.count(|event| matches!(event, Event::Went { .. })) == 2)
        .await;
    for session in &sessions[1..] {
        let again = Client::enter(&house, Some(session)).await;
        assert_eq!((again.session == *session, again.room), (true, None));
    }
    house.fall();
    house.rise();
    for (session, expected) in sessions.iter().zip([Some(&room), None, None]) {
        let again = Client::enter(&house, Some(session)).await;
        assert_eq!(again.room.as_ref(), expected);
    }
}
