//! Servers and workers are killed while many play: the table goes on, whole and once.

use parlour::{
    play::{
        imitation::Mode,
        party::{Act, Ballot, Bench, Chair, Event, Role},
    },
    wire::browser::{TableDoing, ToClient},
};

use crate::support::{
    house::House,
    known::Known,
    models,
    standin::Standin,
    table::{Guest, all, answer_all, setup, three},
};

async fn back(guests: Vec<Guest>, house: &House) -> Vec<Guest> {
    let mut again = Vec::new();
    for guest in guests {
        again.push(guest.back(house).await);
    }
    again
}

fn some_other(chair: Option<Chair>) -> Ballot {
    Ballot {
        human: Chair((chair.map_or(0, |chair| chair.0) + 1) % 5),
        confidence: 80,
    }
}

#[tokio::test]
async fn a_server_killed_in_mid_round_and_in_mid_vote_goes_on_with_the_same_game() {
    let witness = Standin::gated(models::witness);
    let judge = Standin::start(models::judge);
    let mut house = models::with(&witness, &judge, &[]);
    let mut setup = setup(Bench::Everybody, Mode::Explanatory);
    setup.rounds = 1;
    let mut guests = three(&house, &setup).await;
    let room = guests[0].known.room.clone();
    guests.push(Guest::join(&house, &room, Role::Spectator, "Eve").await);
    guests[0].act(Act::Start).await;
    guests[0]
        .follow(|known| known.round() == 1 && known.my_turn())
        .await;
    guests[0].answer().await;
    // Ada has answered, Ben and Cleo have not, and the machine is in the middle of its line.
    witness.let_pass(3);
    house.fall();
    house.rise();
    witness.open();
    let seats: Vec<_> = guests.iter().map(|guest| guest.known.you).collect();
    let mut guests = back(guests, &house).await;
    assert_eq!(
        guests
            .iter()
            .map(|guest| guest.known.you)
            .collect::<Vec<_>>(),
        seats
    );
    assert!(!guests[0].known.my_turn(), "Ada's answer is there");
    for guest in &mut guests[1..3] {
        guest.follow(Known::my_turn).await;
        guest.answer().await;
    }
    let mut eve = guests.pop().expect("Eve");
    all(&mut guests, |known| {
        known.my_turn() && matches!(known.doing, TableDoing::Voting { .. })
    })
    .await;
    let ballot = some_other(guests[0].known.chair());
    guests[0].act(Act::Vote { ballot }).await;
    house.fall();
    house.rise();
    let mut guests = back(guests, &house).await;
    eve = eve.back(&house).await;
    assert!(!guests[0].known.my_turn(), "Ada's ballot is there");
    for guest in &mut guests[1..] {
        guest.follow(Known::my_turn).await;
        let ballot = some_other(guest.known.chair());
        guest.act(Act::Vote { ballot }).await;
    }
    for guest in guests.iter_mut().chain([&mut eve]) {
        guest.follow(|known| known.finished() == 1).await;
        while !matches!(guest.hear().await, ToClient::TableUnveiled { .. }) {}
        let count = |wanted: fn(&Event) -> bool| guest.known.count(wanted);
        assert_eq!(count(|e| matches!(e, Event::Came { .. })), 4);
        assert_eq!(count(|e| matches!(e, Event::Questioned { .. })), 1);
        assert_eq!(count(|e| matches!(e, Event::Replied { .. })), 5);
        assert_eq!(count(|e| matches!(e, Event::Revealed { .. })), 1);
        assert_eq!(count(|e| matches!(e, Event::Weighed { .. })), 1);
        assert_eq!(count(|e| matches!(e, Event::Voted { .. })), 4);
    }
    assert_eq!(
        guests[1].known.events.len(),
        eve.known.events.len(),
        "the same offsets at every place"
    );
}

#[tokio::test]
async fn a_worker_killed_under_several_machines_has_them_all_answer_once() {
    let house = House::with_toy(&[("PARLOUR_MODEL", "deterministic:20ms")]);
    let mut setup = setup(Bench::Machine, Mode::Explanatory);
    setup.rounds = 1;
    setup.people = 1;
    setup.machines = vec![
        parlour::play::party::Machine::Model,
        parlour::play::party::Machine::Model,
        parlour::play::party::Machine::Model,
    ];
    let mut ada = Guest::host(&house, &setup, Role::Witness, "Ada").await;
    ada.act(Act::Start).await;
    ada.follow(|known| known.my_turn()).await;
    ada.answer().await;
    // Three machines are writing.
    let killed = std::process::Command::new("kill")
        .args(["-9", &house.worker_pid().to_string()])
        .status()
        .expect("there is a kill program");
    assert!(killed.success());
    let read = ada.follow(|known| known.finished() == 1).await;
    while !matches!(ada.hear().await, ToClient::TableUnveiled { .. }) {}
    assert!(
        read.iter().any(|message| matches!(
            message,
            ToClient::TableDoing {
                doing: TableDoing::WaitsForModel,
                ..
            }
        )),
        "the table said what it waited for"
    );
    let replies: Vec<_> = ada
        .known
        .told()
        .filter_map(|event| match event {
            Event::Replied { chair, text, .. } => Some((*chair, text.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(replies.len(), 4);
    assert!(replies.iter().all(|(_, text)| text.is_some()));
}

#[tokio::test]
async fn the_machines_of_a_game_do_not_all_say_the_same() {
    let house = House::with_toy(&[]);
    let mut setup = setup(Bench::Machine, Mode::Explanatory);
    setup.machines = vec![parlour::play::party::Machine::Model; 3];
    setup.rounds = 1;
    let mut guests = three(&house, &setup).await;
    guests[0].act(Act::Start).await;
    answer_all(&mut guests, 1).await;
    let answers = guests[0].known.told().find_map(|event| match event {
        Event::Revealed { answers, .. } => Some(answers.clone()),
        _ => None,
    });
    let mut texts: Vec<_> = answers
        .expect("they are revealed")
        .into_iter()
        .map(|answer| answer.text)
        .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 6);
}
