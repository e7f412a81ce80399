//! The hall's promises, with real rooms and a real store, and models that never come.

mod leases;

use actix::Addr;
use tokio::sync::mpsc;

use super::{sessions::RENEWAL, *};
use crate::{
    generation::{Backend, client::WorkerClient},
    play::imitation::{Ending, Event, Kind, Mode},
    rooms::{
        Mind,
        frame::Frame,
        messages::{FromPlayer, Move},
        pulse::Pulse,
        receipt::Receipt,
        seats::SeatKey,
        tally::Tally,
        tenure::Tenure,
    },
    store::sqlite::SqliteStore,
    wire::worker::Sampling,
};

fn heard(frame: &Frame) -> ToClient {
    serde_json::from_str(frame.text()).expect("a message of the protocol")
}

/// A socket that keeps what it is told.
struct Probe(mpsc::UnboundedSender<ToSession>);

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<ToSession> for Probe {
    type Result = ();

    fn handle(&mut self, message: ToSession, _: &mut Self::Context) {
        // The test may have heard enough.
        let _ = self.0.send(message);
    }
}

struct Client {
    hall: Addr<Hall>,
    socket: SocketId,
    outbox: actix::Recipient<ToSession>,
    heard: mpsc::UnboundedReceiver<ToSession>,
    moves: Option<actix::Recipient<FromPlayer>>,
}

impl Client {
    async fn enter(hall: &Addr<Hall>, socket: SocketId, token: Option<String>) -> (Self, String) {
        let (tell, heard) = mpsc::unbounded_channel();
        let outbox = Probe(tell).start().recipient();
        hall.do_send(SignIn {
            socket,
            token,
            outbox: outbox.clone(),
            pulse: Arc::new(Pulse::new(now())),
        });
        let mut client = Self {
            hall: hall.clone(),
            socket,
            outbox,
            heard,
            moves: None,
        };
        let token = client
            .until(|message| match message {
                ToSession::SignedIn(signed_in) => Some(signed_in.token.expose().to_owned()),
                _ => None,
            })
            .await;
        (client, token)
    }

    async fn until<T>(&mut self, wanted: impl Fn(&ToSession) -> Option<T>) -> T {
        loop {
            let message = self.heard.recv().await.expect("the hall still speaks");
            if let ToSession::Seated { moves, .. } = &message {
                self.moves = Some(moves.clone());
            }
            if let Some(found) = wanted(&message) {
                return found;
            }
        }
    }

    /// The room and events of the next time that it is told where it stands.
    async fn joined(&mut self) -> (String, u32, Vec<Option<Event>>) {
        self.until(|message| match message {
            ToSession::Say(said) => match &heard(said) {
                ToClient::Joined {
                    room,
                    offset,
                    events,
                    ..
                } => {
                    let events = events.iter().map(|stamped| stamped.event.clone()).collect();
                    Some((room.clone(), *offset, events))
                }
                _ => None,
            },
            _ => None,
        })
        .await
    }

    async fn refused(&mut self) -> (u32, RefusalCode) {
        self.until(|message| match message {
            ToSession::Say(said) => match &heard(said) {
                ToClient::Refused { id, code, .. } => Some((*id, *code)),
                _ => None,
            },
            _ => None,
        })
        .await
    }

    async fn open(&mut self) -> String {
        self.hall.do_send(FromGuest {
            socket: self.socket,
            id: 1,
            wish: Wish::Open {
                kind: Kind::Direct,
                mode: Mode::Explanatory,
                name: "Ada".into(),
            },
        });
        self.joined().await.0
    }

    fn stop(&self, id: u32) {
        let receipt = Receipt {
            socket: self.socket,
            id,
            outbox: self.outbox.clone(),
            pulse: Arc::new(Pulse::new(now())),
            tally: Arc::default(),
            answered: false,
        };
        let what = Move::Stop;
        self.moves
            .as_ref()
            .expect("it is seated")
            .do_send(FromPlayer { receipt, what });
    }

    async fn ended(&mut self) -> Ending {
        self.until(|message| match message {
            ToSession::Say(said) => match &heard(said) {
                ToClient::Event { stamped, .. } => match stamped.event {
                    Some(Event::Ended { ending, .. }) => Some(ending),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
        .await
    }
}

fn house(folder: &tempfile::TempDir) -> House {
    let away = Mind {
        backend: Backend::Local(WorkerClient::new(), "away".into()),
        sampling: Sampling::default(),
    };
    House {
        store: SqliteStore::open(&folder.path().join("store.sqlite"))
            .expect("a store")
            .into(),
        witness: away.clone(),
        judge: away,
        typing: 0.0,
        round_cap: 5,
        idle_limit: Duration::from_secs(300),
        table_keep: Duration::from_secs(1800),
        seats: SeatKey::new(b"secret"),
        room_cap: 10,
        keep: Duration::from_secs(3600),
        tally: Arc::new(Tally::default()),
        tenure: Tenure::new(false, Duration::ZERO),
        rite: None,
    }
}

/// Fells the room of this name.
#[derive(Message)]
#[rtype(result = "()")]
struct Fell(String);

impl Handler<Fell> for Hall {
    type Result = ();

    fn handle(&mut self, message: Fell, _: &mut Self::Context) {
        if let Some(standing) = self.rooms.get(&message.0) {
            standing.room.fell();
        }
    }
}

#[actix::test]
async fn a_room_that_panics_is_rebuilt_and_its_player_seated_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let house = house(&folder);
    let hall = Hall::new(Arc::new(house.clone())).start();
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    hall.do_send(Fell(room.clone()));
    let (again, offset, events) = client.joined().await;
    assert_eq!((again, offset, events.len()), (room, 0, 1));
    client.stop(2);
    assert_eq!(client.ended().await, Ending::Stopped);
}

#[actix::test]
async fn a_move_that_a_falling_room_took_with_it_is_answered_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let hall = Hall::new(Arc::new(house(&folder))).start();
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    hall.send(Fell(room)).await.expect("the hall is there");
    client.stop(2);
    assert_eq!(client.refused().await, (2, RefusalCode::Trouble));
    client.joined().await;
}

#[actix::test]
async fn a_move_of_somebody_who_just_got_up_is_answered_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let hall = Hall::new(Arc::new(house(&folder))).start();
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    client.open().await;
    let wish = Wish::Leave;
    let (socket, id) = (1, 2);
    let leave = FromGuest { socket, id, wish };
    hall.send(leave).await.expect("the hall is there");
    client.stop(3);
    assert_eq!(client.refused().await, (3, RefusalCode::NoSuchRoom));
}

#[actix::test]
async fn a_room_that_falls_again_and_again_is_left_alone_and_its_player_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let hall = Hall::new(Arc::new(house(&folder))).start();
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    for _ in 0..REBUILDS {
        hall.do_send(Fell(room.clone()));
        client.joined().await;
    }
    hall.do_send(Fell(room));
    client
        .until(|message| matches!(message, ToSession::Unseated).then_some(()))
        .await;
}

#[actix::test]
async fn a_room_whose_log_somebody_else_wrote_refuses_and_starts_over_from_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let house = house(&folder);
    let hall = Hall::new(Arc::new(house.clone())).start();
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    let foreign = Event::Asked {
        round: 1,
        text: "Who wrote this?".into(),
    };
    let body = serde_json::to_string(&foreign).expect("json");
    let lease = house.store.holder(&room).await.expect("asked");
    let fence = lease.expect("the room is held").fence;
    house
        .store
        .append(&room, fence, 1, now(), vec![body])
        .await
        .expect("it is written");
    client.stop(2);
    assert_eq!(client.refused().await, (2, RefusalCode::Trouble));
    let (_, offset, events) = client.joined().await;
    assert_eq!(offset, 0);
    assert_eq!(events.get(1), Some(&Some(foreign)));
    client.stop(3);
    assert_eq!(client.ended().await, Ending::Stopped);
}

#[actix::test]
async fn a_game_is_its_players_whatever_a_late_word_made_of_the_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let house = house(&folder);
    let hall = Hall::new(Arc::new(house.clone())).start();
    let (mut client, token) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    let key = Token::parse(&token).expect("ours").key();
    let record = house.store.session(&key.0, now()).await.expect("read");
    let late = SessionRecord {
        room: Some("a-game-that-never-began".into()),
        ..record.expect("it is known")
    };
    house.store.put_session(&late).await.expect("written");
    let resume = |socket, id| FromGuest {
        socket,
        id,
        wish: Wish::Resume {
            room: room.clone(),
            epoch: 0,
            offset: 0,
        },
    };
    let (mut client, _) = Client::enter(&hall, 2, Some(token.clone())).await;
    hall.do_send(resume(2, 1));
    assert_eq!(client.joined().await.0, room);
    let (mut other, _) = Client::enter(&hall, 3, None).await;
    hall.do_send(resume(3, 7));
    assert_eq!(other.refused().await, (7, RefusalCode::NotYours));
    // And the session knows it again.
    client.stop(2);
    client.ended().await;
    let known = house.store.session(&key.0, now()).await.expect("read");
    assert_eq!(known.expect("it is known").room, Some(room));
}

#[actix::test]
async fn a_new_hall_goes_on_with_every_open_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let house = house(&folder);
    let first = Hall::new(Arc::new(house.clone())).start();
    let (mut client, token) = Client::enter(&first, 1, None).await;
    let room = client.open().await;
    let (done, closed) = tokio::sync::oneshot::channel();
    first.do_send(Close { done });
    client
        .until(|message| matches!(message, ToSession::Bye { .. }).then_some(()))
        .await;
    closed.await.expect("every room is given back");
    let second = Hall::new(Arc::new(house.clone())).start();
    let (mut client, same) = Client::enter(&second, 2, Some(token.clone())).await;
    assert_eq!(same, token);
    second.do_send(FromGuest {
        socket: 2,
        id: 1,
        wish: Wish::Resume {
            room: room.clone(),
            epoch: 0,
            offset: 0,
        },
    });
    assert_eq!(client.joined().await.0, room);
}

#[actix::test]
async fn who_comes_while_a_finished_room_goes_is_seated_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let hall = Hall::new(Arc::new(house(&folder))).start();
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    client.stop(2);
    client.ended().await;
    // Leaving empties the room, which closes; coming back must not meet a closed door,
    // whichever of the two is quicker.
    for id in 3..50 {
        hall.do_send(FromGuest {
            socket: 1,
            id,
            wish: Wish::Leave,
        });
        if id % 3 == 0 {
            tokio::task::yield_now().await;
        }
        hall.do_send(FromGuest {
            socket: 1,
            id,
            wish: Wish::Resume {
                room: room.clone(),
                epoch: 0,
                offset: 0,
            },
        });
        assert_eq!(client.joined().await.0, room);
    }
}

#[actix::test]
async fn being_here_renews_a_session_once_it_has_aged() {
    let folder = tempfile::tempdir().expect("a folder");
    let house = house(&folder);
    let hall = Hall::new(Arc::new(house.clone())).start();
    let keep = u64::try_from(house.keep.as_millis()).expect("an hour");
    let expires = async |token: &Token| {
        let found = house.store.session(&token.key().0, now()).await;
        found.expect("a store").expect("a session").expires_at
    };
    let known_until = async |expires_at: u64| {
        let token = Token::draw();
        let record = SessionRecord {
            key: token.key().0,
            name: "Ada".into(),
            room: None,
            expires_at,
        };
        house.store.put_session(&record).await.expect("a store");
        token
    };
    let soon_enough = now() + keep - keep / RENEWAL / 2;
    let fresh = known_until(soon_enough).await;
    let aged = known_until(now() + keep / 2).await;
    Client::enter(&hall, 1, Some(fresh.expose().to_owned())).await;
    Client::enter(&hall, 2, Some(aged.expose().to_owned())).await;
    // Written after whatever the first one's coming has written.
    while expires(&aged).await < now() + keep / 2 + 1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(expires(&fresh).await, soon_enough);
}
