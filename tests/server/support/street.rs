//! Several servers on one Redis, and a game that is played whichever of them has it.

use std::time::Instant;

use parlour::{
    play::{
        imitation::Mode,
        party::{Ballot, Bench, Chair, Event, Setup},
    },
    wire::browser::{TableDoing, ToClient},
};

use super::{
    client::Client,
    house::House,
    known::Known,
    models,
    standin::Standin,
    table::{Guest, all, setup},
};
use crate::redis_server::RedisServer;

/// Two servers with the same models.
pub struct Street {
    pub houses: [House; 2],
    _redis: RedisServer,
}

impl Street {
    /// Models answer at once.
    pub fn open(more: &[(&str, &str)]) -> Self {
        Self::with(&Standin::start(models::witness), more)
    }

    pub fn with(witness: &Standin, more: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start();
        let judge = Standin::start(models::judge);
        let url = redis.url();
        let mut settings = vec![
            ("PARLOUR_REDIS_URL", url.expose()),
            ("PARLOUR_SECRET", "known to both houses"),
            ("PARLOUR_NOTICE_MS", "0"),
        ];
        settings.extend_from_slice(more);
        let house = || models::with(witness, &judge, &settings);
        Self {
            houses: [house(), house()],
            _redis: redis,
        }
    }
}

/// A game of one round and one vote.
pub fn short_game() -> Setup {
    let mut setup = setup(Bench::Everybody, Mode::Explanatory);
    setup.rounds = 1;
    setup
}

/// All come back to this server, with what they knew.
pub async fn back(guests: Vec<Guest>, house: &House) -> Vec<Guest> {
    back_through(guests, &house.socket()).await
}

/// All come back through this URL at once. What that took each of them is printed.
pub async fn back_through(guests: Vec<Guest>, url: &str) -> Vec<Guest> {
    let began = Instant::now();
    let coming = guests.into_iter().map(|guest| async {
        let guest = guest.back_at(url).await;
        eprintln!("{} is back after {:?}", guest.known.you.0, began.elapsed());
        guest
    });
    futures_util::future::join_all(coming).await
}

/// The same people on new sockets, while the old ones stay open.
pub async fn doubled(guests: Vec<Guest>, house: &House) -> (Vec<Client>, Vec<Guest>) {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for Guest { client, known } in guests {
        let fresh = Client::enter(house, Some(&client.session)).await;
        let (room, role) = (known.room.clone(), parlour::play::party::Role::Witness);
        new.push(Guest::join_with(fresh, &room, role, "", None, Some(known)).await);
        old.push(client);
    }
    (old, new)
}

fn has_replied(known: &Known) -> bool {
    let mine = known.chair();
    known
        .told()
        .any(|event| matches!(event, Event::Replied { chair, .. } if Some(*chair) == mine))
}

/// Whoever owes an answer says it, everybody votes, and the log is whole at every place:
/// nothing is missing, nothing is there twice.
pub async fn play_out(guests: &mut [Guest]) {
    for guest in &mut *guests {
        if !has_replied(&guest.known) {
            guest.follow(Known::my_turn).await;
            guest.answer().await;
        }
    }
    for guest in &mut *guests {
        let votes = |known: &Known| {
            matches!(
                known.doing,
                TableDoing::Voting {
                    your_turn: true,
                    ..
                }
            )
        };
        guest.follow(votes).await;
        let chair = guest.known.chair().map_or(0, |chair| chair.0);
        let ballot = Ballot {
            human: Chair((chair + 1) % 5),
            confidence: 80,
        };
        guest.act(parlour::play::party::Act::Vote { ballot }).await;
    }
    all(guests, |known| known.finished() == 1).await;
    for guest in &mut *guests {
        while !matches!(guest.hear().await, ToClient::TableUnveiled { .. }) {}
    }
    let people = guests.len();
    let first = guests[0].known.events.clone();
    for guest in &*guests {
        let count = |wanted: fn(&Event) -> bool| guest.known.count(wanted);
        assert_eq!(count(|e| matches!(e, Event::Came { .. })), people);
        assert_eq!(count(|e| matches!(e, Event::Started { .. })), 1);
        assert_eq!(count(|e| matches!(e, Event::Questioned { .. })), 1);
        assert_eq!(count(|e| matches!(e, Event::Replied { .. })), 5);
        assert_eq!(count(|e| matches!(e, Event::Revealed { .. })), 1);
        assert_eq!(count(|e| matches!(e, Event::Weighed { .. })), 1);
        assert_eq!(count(|e| matches!(e, Event::Voted { .. })), people + 1);
        let offsets = guest
            .known
            .events
            .iter()
            .map(|event| (event.offset, event.at));
        assert!(
            offsets.eq(first.iter().map(|event| (event.offset, event.at))),
            "the same log at every place"
        );
    }
}
