//! Two halls on one store, as two servers have: whose room is it?

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    play::party::{Bench, Machine, Role, Setup, Vacancy},
    store::AnyStore,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A lease that runs out while a test waits, but is renewed in time.
const SHORT: Duration = Duration::from_secs(1);

/// Two servers' houses on one store, with such leases, where people keep a room for `stay`.
fn two(folder: &tempfile::TempDir, lease: Duration, stay: Duration) -> [House; 2] {
    let first = house(folder);
    let tenure = || Tenure {
        stay,
        ..Tenure::new(true, lease)
    };
    [(); 2].map(|()| House {
        tenure: tenure(),
        rite: None,
        tally: Arc::default(),
        ..first.clone()
    })
}

fn start(house: &House) -> Addr<Hall> {
    Hall::new(Arc::new(house.clone())).start()
}

fn setup() -> Setup {
    Setup {
        kind: Kind::Direct,
        mode: Mode::Explanatory,
        bench: Bench::Everybody,
        people: 3,
        machines: vec![Machine::Eliza],
        rounds: 1,
        seconds: 600,
        vacancy: Vacancy::Machine,
        listed: true,
        open_to_spectators: true,
        line_limit: 300,
    }
}

impl Client {
    async fn open_table(&mut self) -> String {
        self.hall.do_send(FromGuest {
            socket: self.socket,
            id: 1,
            wish: Wish::OpenTable {
                setup: setup(),
                role: Role::Witness,
                name: "Ada".into(),
            },
        });
        self.seated().await
    }

    async fn join_table(&mut self, room: &str) -> String {
        self.hall.do_send(FromGuest {
            socket: self.socket,
            id: 2,
            wish: Wish::JoinTable {
                room: room.to_owned(),
                want: Want {
                    role: Role::Witness,
                    name: "Ben".into(),
                    seat: None,
                },
                held: None,
            },
        });
        self.seated().await
    }

    /// The table of the next time that it is told where it sits.
    async fn seated(&mut self) -> String {
        self.until(|message| match message {
            ToSession::Say(said) => match heard(said) {
                ToClient::Seated { room, .. } => Some(room),
                refused @ ToClient::Refused { .. } => panic!("{refused:?}"),
                _ => None,
            },
            _ => None,
        })
        .await
    }

    async fn bye(&mut self) -> Bye {
        self.until(|message| match message {
            ToSession::Bye { bye, .. } => Some(*bye),
            _ => None,
        })
        .await
    }
}

async fn holder(store: &AnyStore, room: &str) -> Option<String> {
    let lease = store.holder(room).await.expect("asked");
    lease.map(|lease| lease.owner)
}

/// Takes the room for a server of another kind, though it is held.
async fn usurp(store: &AnyStore, room: &str) {
    let held = store.holder(room).await.expect("asked").expect("held");
    store.release(room, held.fence).await.expect("the newest");
    store.acquire(room, "usurper", HOUR).await.expect("free");
}

#[actix::test]
async fn a_table_at_which_nobody_sits_goes_to_the_server_that_somebody_comes_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let houses = two(&folder, SHORT, HOUR);
    let [first, second] = [start(&houses[0]), start(&houses[1])];
    let (mut ada, _) = Client::enter(&first, 1, None).await;
    let room = ada.open_table().await;
    assert_eq!(
        holder(&houses[0].store, &room).await.as_deref(),
        Some(&*houses[0].tenure.server)
    );
    first.do_send(SignOut { socket: 1 });
    let (mut ben, _) = Client::enter(&second, 2, None).await;
    assert_eq!(ben.join_table(&room).await, room);
    assert_eq!(
        holder(&houses[0].store, &room).await.as_deref(),
        Some(&*houses[1].tenure.server)
    );
}

#[actix::test]
async fn who_sits_at_a_table_keeps_it_for_a_while_and_is_then_sent_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let stay = Duration::from_millis(700);
    let houses = two(&folder, SHORT, stay);
    let [first, second] = [start(&houses[0]), start(&houses[1])];
    let (mut ada, _) = Client::enter(&first, 1, None).await;
    let began = Instant::now();
    let room = ada.open_table().await;
    let (mut ben, _) = Client::enter(&second, 2, None).await;
    assert_eq!(ben.join_table(&room).await, room);
    assert!(began.elapsed() >= stay, "{:?}", began.elapsed());
    assert_eq!(ada.bye().await, Bye::Moved);
    assert_eq!(houses[0].tally.moved.load(Ordering::Relaxed), 1);
}

#[actix::test]
async fn a_room_that_another_server_took_writes_nothing_more_and_sends_its_people_away() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nothing is renewed while this goes on: it is the write that fails.
    let [house, _] = two(&folder, HOUR, HOUR);
    let hall = start(&house);
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    usurp(&house.store, &room).await;
    client.stop(2);
    assert_eq!(client.bye().await, Bye::Moved);
    let log = house.store.read(&room, 0).await.expect("read");
    assert_eq!(log.next, 1, "no more than the opening");
    assert_eq!(
        holder(&house.store, &room).await.as_deref(),
        Some("usurper")
    );
}

#[actix::test]
async fn a_lost_room_is_noticed_at_the_next_renewal_though_nobody_does_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let [house, _] = two(&folder, SHORT, HOUR);
    let hall = start(&house);
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    usurp(&house.store, &room).await;
    assert_eq!(client.bye().await, Bye::Moved);
}

#[actix::test]
async fn a_lease_outlives_its_time_as_long_as_its_server_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let [house, _] = two(&folder, Duration::from_millis(400), HOUR);
    let hall = start(&house);
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    let first = house.store.holder(&room).await.expect("asked");
    let began = Instant::now();
    while began.elapsed() < house.tenure.lease * 2 {
        let now = house.store.holder(&room).await.expect("asked");
        assert_eq!(
            now.map(|lease| lease.fence),
            first.as_ref().map(|lease| lease.fence)
        );
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn a_room_that_lost_its_server_is_taken_by_another_though_nobody_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let [fallen, house] = two(&folder, HOUR, HOUR);
    let before = start(&fallen);
    let (mut client, _) = Client::enter(&before, 1, None).await;
    let room = client.open().await;
    let lease = fallen.store.holder(&room).await.expect("asked");
    let fence = lease.expect("held").fence;
    fallen
        .store
        .release(&room, fence)
        .await
        .expect("the newest");
    let _hall = start(&house);
    while house.tally.adopted.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let now = holder(&house.store, &room).await;
    assert_eq!(now.as_deref(), Some(&*house.tenure.server));
}

#[actix::test]
async fn a_room_that_never_began_is_cleared_away_by_whoever_finds_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let [house, _] = two(&folder, HOUR, HOUR);
    let store = &house.store;
    let room = identity::room_id();
    store.create(&room, now()).await.expect("created");
    let lease = store.acquire(&room, "fallen", HOUR).await.expect("free");
    store.release(&room, lease.fence).await.expect("ours");
    let _hall = start(&house);
    while !store.read(&room, 0).await.expect("read").closed {
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn a_room_whose_log_is_damaged_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let [house, _] = two(&folder, HOUR, HOUR);
    let (store, mut rooms) = (&house.store, Vec::new());
    for body in ["no event", "{}"] {
        let room = identity::room_id();
        store.create(&room, now()).await.expect("created");
        let lease = store.acquire(&room, "fallen", HOUR).await.expect("free");
        let bodies = vec![body.to_owned()];
        let stored = store.append(&room, lease.fence, 0, now(), bodies).await;
        stored.expect("stored");
        store.release(&room, lease.fence).await.expect("ours");
        rooms.push(room);
    }
    let _hall = start(&house);
    // Each is taken, found to be damaged, and given back; a second look takes none of them.
    while house.tally.adopted.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    while began.elapsed() < SHORT * 2 {
        tokio::task::yield_now().await;
        assert_eq!(house.tally.adopted.load(Ordering::Relaxed), 2);
    }
    for room in rooms {
        assert_eq!(holder(store, &room).await, None);
    }
}

#[actix::test]
async fn a_hall_that_closes_gives_its_rooms_back_before_it_sends_people_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let [house, _] = two(&folder, HOUR, HOUR);
    let hall = start(&house);
    let (mut client, _) = Client::enter(&hall, 1, None).await;
    let room = client.open().await;
    let (mut idle, _) = Client::enter(&hall, 2, None).await;
    let (done, closed) = tokio::sync::oneshot::channel();
    hall.do_send(Drain);
    hall.do_send(Close { done });
    assert_eq!(idle.bye().await, Bye::Restarting);
    assert_eq!(client.bye().await, Bye::Restarting);
    assert_eq!(holder(&house.store, &room).await, None);
    closed.await.expect("it says when it is done");
}

#[actix::test]
async fn a_hall_that_will_close_plays_on_and_sends_whoever_wants_a_room_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let [house, _] = two(&folder, HOUR, HOUR);
    let hall = start(&house);
    let (mut player, _) = Client::enter(&hall, 1, None).await;
    player.open().await;
    hall.do_send(Drain);
    let (mut late, _) = Client::enter(&hall, 2, None).await;
    hall.do_send(FromGuest {
        socket: 2,
        id: 1,
        wish: Wish::Open {
            kind: Kind::Direct,
            mode: Mode::Blind,
            name: "Eve".into(),
        },
    });
    assert_eq!(late.bye().await, Bye::Restarting);
    player.stop(2);
    assert_eq!(player.ended().await, Ending::Stopped);
}

#[actix::test]
async fn a_code_that_another_server_has_given_out_is_drawn_again() {
    static DRAWN: AtomicUsize = AtomicUsize::new(0);
    let folder = tempfile::tempdir().expect("a folder");
    let [house, _] = two(&folder, HOUR, HOUR);
    let taken = "AAAA-AAAA";
    house.store.create(taken, now()).await.expect("created");
    let mut hall = Hall::new(Arc::new(house.clone()));
    hall.draw_code = || {
        let codes = ["AAAA-AAAA", "AAAA-AAAA", "BBBB-BBBB"];
        codes[DRAWN.fetch_add(1, Ordering::Relaxed)].to_owned()
    };
    let hall = hall.start();
    let (mut ada, _) = Client::enter(&hall, 1, None).await;
    assert_eq!(ada.open_table().await, "BBBB-BBBB");
    let untouched = house.store.read(taken, 0).await.expect("read");
    assert_eq!(untouched.next, 0);
}
