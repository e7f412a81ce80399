//! The promises of the store contract as laws, for every home that keeps it, and what the
//! embedded home promises besides.

mod redis_server;

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use parlour::store::{
    Expired, Fence, Record, SessionRecord, Snapshot, Store, StoreError,
    board::{Kind, Outcome},
    redis::{self, RedisStore},
    sqlite::{Options, SqliteStore},
};

use self::redis_server::RedisServer;

/// A home under test: opened anew it must find what was stored before.
trait Home {
    type Store: Store;
    async fn open(&self) -> Self::Store;
}

struct SqliteHome(tempfile::TempDir);

impl SqliteHome {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("inner").join("parlour.db")
    }

    fn open_now(&self) -> SqliteStore {
        SqliteStore::open(&self.file()).expect("the store opens")
    }
}

impl Home for SqliteHome {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        self.open_now()
    }
}

/// Redis in a process of the test's own.
struct RedisHome(RedisServer);

impl Home for RedisHome {
    type Store = RedisStore;

    async fn open(&self) -> RedisStore {
        let options = redis::Options::new(self.0.url());
        RedisStore::open(options).await.expect("the store opens")
    }
}

/// What writes into rooms that nobody leased.
const FREE: Fence = Fence::UNLEASED;

/// An instant that no clock has reached (2096): a home may forget by its own.
const LATER: u64 = 4_000_000_000_000;

fn bodies(of: impl IntoIterator<Item = u32>) -> Vec<String> {
    of.into_iter().map(|n| format!("{{\"n\":{n}}}")).collect()
}

fn told(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.body.clone()).collect()
}

mod laws {
    use super::*;

    pub async fn a_log_is_read_as_it_was_written(home: &impl Home) {
        let store = home.open().await;
        let epoch = store.create("r", 1).await.expect("created");
        assert_eq!(store.append("r", FREE, 0, 5, bodies(0..2)).await, Ok(2));
        assert_eq!(store.append("r", FREE, 2, 6, bodies(2..3)).await, Ok(3));
        let log = store.read("r", 0).await.expect("read");
        assert_eq!((log.epoch, log.next), (epoch, 3));
        assert_eq!(told(&log.records), bodies(0..3));
        let places: Vec<_> = log.records.iter().map(|r| (r.offset, r.at)).collect();
        assert_eq!(places, [(0, 5), (1, 5), (2, 6)]);
        let tail = store.read("r", 2).await.expect("read");
        assert_eq!(told(&tail.records), bodies(2..3));
        for past in [3, 4, u32::MAX] {
            let nothing = store.read("r", past).await.expect("read");
            assert_eq!((nothing.records.len(), nothing.next), (0, 3));
        }
    }

    pub async fn what_was_stored_survives_a_reopening(home: &impl Home) {
        let session = session("k", LATER + 100);
        let snapshot = Snapshot {
            offset: 2,
            body: "{}".into(),
        };
        let epoch = {
            let store = home.open().await;
            let epoch = store.create("r", 1).await.expect("created");
            store
                .append("r", FREE, 0, 5, bodies(0..4))
                .await
                .expect("stored");
            store
                .put_snapshot("r", FREE, &snapshot)
                .await
                .expect("kept");
            store.put_session(&session).await.expect("kept");
            epoch
        };
        let store = home.open().await;
        let log = store.read("r", 0).await.expect("read");
        assert_eq!((log.epoch, told(&log.records)), (epoch, bodies(0..4)));
        assert_eq!(store.snapshot("r").await, Ok(Some(snapshot)));
        assert_eq!(store.session("k", LATER + 99).await, Ok(Some(session)));
        assert_eq!(store.open_rooms().await, Ok(vec!["r".to_owned()]));
    }

    pub async fn an_append_at_a_wrong_offset_changes_nothing(home: &impl Home) {
        let store = home.open().await;
        store.create("r", 1).await.expect("created");
        store
            .append("r", FREE, 0, 5, bodies(0..2))
            .await
            .expect("stored");
        let before = store.read("r", 0).await.expect("read");
        for expected in [0, 1, 3, u32::MAX] {
            assert_eq!(
                store.append("r", FREE, expected, 6, bodies(7..9)).await,
                Err(StoreError::Conflict {
                    room: "r".into(),
                    expected,
                    actual: 2
                })
            );
        }
        assert_eq!(store.read("r", 0).await, Ok(before));
    }

    pub async fn two_handles_conflict_properly(home: &impl Home) {
        let (one, two) = (home.open().await, home.open().await);
        one.create("r", 1).await.expect("created");
        assert_eq!(
            two.create("r", 2).await,
            Err(StoreError::RoomExists("r".into()))
        );
        assert_eq!(one.append("r", FREE, 0, 5, bodies(0..1)).await, Ok(1));
        let conflict = two.append("r", FREE, 0, 5, bodies(9..10)).await;
        assert!(matches!(
            conflict,
            Err(StoreError::Conflict { actual: 1, .. })
        ));
        assert_eq!(two.append("r", FREE, 1, 5, bodies(1..2)).await, Ok(2));
        let log = one.read("r", 0).await.expect("read");
        assert_eq!(told(&log.records), bodies(0..2));
    }

    /// Sixteen writers on two handles race for every offset.
    pub async fn of_many_writers_exactly_one_wins_each_offset(home: &impl Home) {
        let handles = [home.open().await, home.open().await];
        handles[0].create("r", 1).await.expect("created");
        let writers: Vec<_> = (0..16u32)
            .map(|writer| {
                let store = handles[writer as usize % 2].clone();
                tokio::spawn(async move {
                    let (mut won, mut next) = (Vec::new(), 0);
                    while won.len() < 5 {
                        match store.append("r", FREE, next, 5, bodies([writer])).await {
                            Ok(after) => {
                                won.push(next);
                                next = after;
                            }
                            Err(StoreError::Conflict { actual, .. }) => next = actual,
                            Err(other) => panic!("{other}"),
                        }
                    }
                    won
                })
            })
            .collect();
        let mut all = BTreeSet::new();
        for (writer, task) in writers.into_iter().enumerate() {
            let won = task.await.expect("the writer ends");
            let log = handles[0].read("r", 0).await.expect("read");
            for offset in won {
                assert!(all.insert(offset), "offset {offset} was won twice");
                let body = &log.records[offset as usize].body;
                assert_eq!(Some(body), bodies([writer as u32]).first());
            }
        }
        assert!(all.iter().copied().eq(0..80));
    }

    pub async fn many_rooms_at_once_keep_their_logs_apart(home: &impl Home) {
        let store = home.open().await;
        let tasks: Vec<_> = (0..20u32)
            .map(|room| {
                let store = store.clone();
                tokio::spawn(async move {
                    let name = format!("room {room}");
                    store.create(&name, 1).await.expect("created");
                    for n in 0..10 {
                        let body = bodies([room * 100 + n]);
                        assert_eq!(store.append(&name, FREE, n, 5, body).await, Ok(n + 1));
                    }
                    let log = store.read(&name, 0).await.expect("read");
                    assert_eq!(told(&log.records), bodies((0..10).map(|n| room * 100 + n)));
                    log.epoch
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("the room's task ends");
        }
        assert_eq!(store.open_rooms().await.expect("listed").len(), 20);
    }

    pub async fn a_room_that_is_not_there_is_named(home: &impl Home) {
        let store = home.open().await;
        let none = || StoreError::NoSuchRoom("x".into());
        let snapshot = Snapshot {
            offset: 0,
            body: String::new(),
        };
        assert_eq!(
            store.append("x", FREE, 0, 1, bodies(0..1)).await,
            Err(none())
        );
        assert_eq!(store.read("x", 0).await, Err(none()));
        assert_eq!(store.snapshot("x").await, Err(none()));
        assert_eq!(store.put_snapshot("x", FREE, &snapshot).await, Err(none()));
        assert_eq!(store.close("x", FREE, 1).await, Err(none()));
        assert_eq!(store.trim("x", FREE, 0).await, Err(none()));
        assert_eq!(store.acquire("x", "a", LONG).await, Err(none()));
        assert_eq!(store.renew("x", FREE, LONG).await, Err(none()));
        assert_eq!(store.release("x", FREE).await, Err(none()));
        assert_eq!(store.ask("x", LONG).await, Err(none()));
        assert_eq!(store.holder("x").await, Err(none()));
        assert_eq!(store.add_results("x", 1, &[]).await, Err(none()));
        assert_eq!(store.open_rooms().await, Ok(vec![]));
    }

    pub async fn a_snapshot_never_goes_back_nor_runs_ahead(home: &impl Home) {
        let store = home.open().await;
        let at = |offset: u32| Snapshot {
            offset,
            body: offset.to_string(),
        };
        store.create("r", 1).await.expect("created");
        assert_eq!(store.snapshot("r").await, Ok(None));
        store
            .append("r", FREE, 0, 5, bodies(0..3))
            .await
            .expect("stored");
        assert_eq!(
            store.put_snapshot("r", FREE, &at(4)).await,
            Err(StoreError::Conflict {
                room: "r".into(),
                expected: 4,
                actual: 3
            })
        );
        for (put, kept) in [(2, 2), (1, 2), (3, 3)] {
            store
                .put_snapshot("r", FREE, &at(put))
                .await
                .expect("lawful");
            assert_eq!(store.snapshot("r").await, Ok(Some(at(kept))));
        }
        let log = store.read("r", 0).await.expect("read");
        assert_eq!(told(&log.records), bodies(0..3), "the log stays whole");
    }

    pub async fn a_closed_room_is_not_listed_and_can_be_read(home: &impl Home) {
        let store = home.open().await;
        for room in ["one", "two"] {
            store.create(room, 1).await.expect("created");
        }
        assert_eq!(store.open_rooms().await.expect("listed"), ["one", "two"]);
        store.close("one", FREE, 50).await.expect("closed");
        store.close("one", FREE, 90).await.expect("closed again");
        assert_eq!(store.open_rooms().await.expect("listed"), ["two"]);
        for (room, closed) in [("one", true), ("two", false)] {
            for from in [0, u32::MAX] {
                let log = store.read(room, from).await.expect("read");
                assert_eq!(
                    (log.closed, log.records.len()),
                    (closed, 0),
                    "{room} {from}"
                );
            }
        }
        // Had closing again moved the time, the room would still be kept.
        assert_eq!(store.expire(0, 60).await.map(|gone| gone.rooms), Ok(1));
    }

    pub async fn only_what_is_due_expires(home: &impl Home) {
        let store = home.open().await;
        let mut epochs = Vec::new();
        for (room, closed) in [("old", Some(10)), ("new", Some(20)), ("open", None)] {
            epochs.push(store.create(room, 1).await.expect("created"));
            store
                .append(room, FREE, 0, 5, bodies(0..2))
                .await
                .expect("stored");
            if let Some(at) = closed {
                store.close(room, FREE, at).await.expect("closed");
            }
        }
        for (key, expires_at) in [("soon", LATER + 100), ("late", LATER + 101)] {
            store
                .put_session(&session(key, expires_at))
                .await
                .expect("kept");
        }
        assert_eq!(
            store.expire(LATER + 100, 20).await,
            Ok(Expired {
                sessions: 1,
                rooms: 1
            })
        );
        assert_eq!(
            store.read("old", 0).await,
            Err(StoreError::NoSuchRoom("old".into()))
        );
        assert!(store.read("new", 0).await.is_ok());
        assert!(store.read("open", 0).await.is_ok());
        assert_eq!(store.session("soon", 0).await, Ok(None));
        assert!(store.session("late", 0).await.expect("read").is_some());
        let again = store.create("old", 200).await.expect("the name is free");
        assert!(!epochs.contains(&again), "offsets mean something else now");
        let log = store.read("old", 0).await.expect("read");
        assert_eq!((log.records.len(), log.next), (0, 0));
    }

    pub async fn a_session_is_known_until_it_expires_and_can_change(home: &impl Home) {
        let store = home.open().await;
        assert_eq!(store.session("k", 0).await, Ok(None));
        let mut kept = session("k", LATER + 100);
        store.put_session(&kept).await.expect("kept");
        kept.room = None;
        kept.name = "another".into();
        kept.expires_at = LATER + 200;
        store.put_session(&kept).await.expect("kept");
        assert_eq!(store.session("k", LATER + 199).await, Ok(Some(kept)));
        assert_eq!(store.session("k", LATER + 200).await, Ok(None));
        assert_eq!(store.session("K", 0).await, Ok(None));
    }

    pub async fn text_comes_back_byte_for_byte(home: &impl Home) {
        let store = home.open().await;
        store.create("комната '; --", 1).await.expect("created");
        let texts = vec![
            String::new(),
            "nul \0, quote \", \u{10FFFF} 🎭 \r\n".to_owned(),
            "x".repeat(1 << 20),
        ];
        store
            .append("комната '; --", FREE, 0, u64::MAX >> 1, texts.clone())
            .await
            .expect("stored");
        let log = store.read("комната '; --", 0).await.expect("read");
        assert_eq!(told(&log.records), texts);
        assert_eq!(log.records[0].at, u64::MAX >> 1);
    }

    pub async fn a_healthy_store_says_so(home: &impl Home) {
        let store = home.open().await;
        for _ in 0..3 {
            assert_eq!(store.probe().await, Ok(()));
        }
    }

    /// A lease that does not run out within a test.
    const LONG: Duration = Duration::from_secs(3600);

    fn fenced(newest: Fence) -> StoreError {
        StoreError::Fenced {
            room: "r".into(),
            newest,
        }
    }

    pub async fn only_the_newest_lease_writes(home: &impl Home) {
        let store = home.open().await;
        store.create("r", 1).await.expect("created");
        store
            .append("r", FREE, 0, 5, bodies(0..2))
            .await
            .expect("nobody has it");
        let old = store.acquire("r", "a", LONG).await.expect("free").fence;
        let new = store.acquire("r", "a", LONG).await.expect("ours").fence;
        let snapshot = Snapshot {
            offset: 1,
            body: "{}".into(),
        };
        for stale in [FREE, old, Fence(new.0 + 1), Fence(u64::MAX)] {
            let refused = fenced(new);
            assert_eq!(
                store.append("r", stale, 2, 5, bodies(7..8)).await,
                Err(refused.clone())
            );
            assert_eq!(
                store.put_snapshot("r", stale, &snapshot).await,
                Err(refused.clone())
            );
            assert_eq!(store.trim("r", stale, 1).await, Err(refused.clone()));
            assert_eq!(store.close("r", stale, 9).await, Err(refused.clone()));
            assert_eq!(store.renew("r", stale, LONG).await, Err(refused.clone()));
            assert_eq!(store.release("r", stale).await, Err(refused));
        }
        let log = store.read("r", 0).await.expect("read");
        assert_eq!(told(&log.records), bodies(0..2));
        assert_eq!(store.snapshot("r").await, Ok(None));
        assert_eq!(store.open_rooms().await, Ok(vec!["r".to_owned()]));
        assert_eq!(store.append("r", new, 2, 5, bodies(2..3)).await, Ok(3));
        store.put_snapshot("r", new, &snapshot).await.expect("ours");
        assert_eq!(store.trim("r", new, 1).await, Ok(1));
        store.close("r", new, 9).await.expect("ours");
    }

    pub async fn a_room_has_one_holder_until_it_is_given_back(home: &impl Home) {
        let (store, other) = (home.open().await, home.open().await);
        store.create("r", 1).await.expect("created");
        assert_eq!(store.holder("r").await, Ok(None));
        let lease = store.acquire("r", "a", LONG).await.expect("free");
        let held = StoreError::Held {
            room: "r".into(),
            owner: "a".into(),
        };
        assert_eq!(other.acquire("r", "b", LONG).await, Err(held));
        let seen = other.holder("r").await.expect("asked").expect("held");
        assert_eq!((seen.owner.as_str(), seen.fence), ("a", lease.fence));
        assert!(!seen.remaining.is_zero() && seen.remaining <= LONG);
        store.renew("r", lease.fence, LONG * 2).await.expect("ours");
        let seen = other.holder("r").await.expect("asked").expect("held");
        assert!(seen.remaining > LONG, "{:?}", seen.remaining);

        store.release("r", lease.fence).await.expect("ours");
        store.release("r", lease.fence).await.expect("again");
        assert_eq!(other.holder("r").await, Ok(None));
        for gone in [
            store
                .append("r", lease.fence, 0, 5, bodies(0..1))
                .await
                .map(drop),
            store.renew("r", lease.fence, LONG).await.map(drop),
        ] {
            assert!(matches!(gone, Err(StoreError::Fenced { .. })), "{gone:?}");
        }
        let next = other.acquire("r", "b", LONG).await.expect("free").fence;
        assert!(next > lease.fence);
        assert_eq!(store.release("r", lease.fence).await, Err(fenced(next)));
        assert_eq!(other.append("r", next, 0, 5, bodies(0..1)).await, Ok(1));
    }

    pub async fn a_lease_that_ran_out_writes_until_somebody_takes_the_room(home: &impl Home) {
        let store = home.open().await;
        store.create("r", 1).await.expect("created");
        let short = Duration::from_millis(1);
        let old = store.acquire("r", "a", short).await.expect("free").fence;
        while store.holder("r").await.expect("asked").is_some() {}
        assert_eq!(store.append("r", old, 0, 5, bodies(0..1)).await, Ok(1));
        store.renew("r", old, short).await.expect("nobody took it");
        let new = loop {
            match store.acquire("r", "b", LONG).await {
                Ok(lease) => break lease.fence,
                Err(StoreError::Held { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        };
        assert!(new > old);
        let late = store.append("r", old, 1, 5, bodies(9..10)).await;
        assert_eq!(late, Err(fenced(new)));
        assert_eq!(store.renew("r", old, LONG).await, Err(fenced(new)));
    }

    pub async fn a_holder_hears_when_it_renews_that_somebody_asks_for_its_room(home: &impl Home) {
        let (store, other) = (home.open().await, home.open().await);
        store.create("r", 1).await.expect("created");
        other.ask("r", LONG).await.expect("nobody has it");
        let lease = store.acquire("r", "a", LONG).await.expect("free").fence;
        assert_eq!(store.renew("r", lease, LONG).await, Ok(false));
        other.ask("r", LONG).await.expect("asked");
        assert_eq!(store.renew("r", lease, LONG).await, Ok(true));
        assert_eq!(store.renew("r", lease, LONG).await, Ok(true));
        // Whoever asks no more is forgotten.
        other
            .ask("r", Duration::from_millis(1))
            .await
            .expect("asked");
        while store.renew("r", lease, LONG).await.expect("ours") {}
        // And who got it is not asked for what others wanted of the last.
        other.ask("r", LONG).await.expect("asked");
        store.release("r", lease).await.expect("ours");
        let lease = other.acquire("r", "b", LONG).await.expect("free").fence;
        assert_eq!(other.renew("r", lease, LONG).await, Ok(false));
    }

    pub async fn rooms_that_nobody_holds_any_more_are_found(home: &impl Home) {
        let store = home.open().await;
        for room in ["never", "held", "released", "lapsed", "closed"] {
            store.create(room, 1).await.expect("created");
        }
        assert_eq!(store.vacant(9).await, Ok(vec![]));
        let take = |room: &'static str, time| {
            let store = store.clone();
            async move { store.acquire(room, "a", time).await.expect("free").fence }
        };
        let held = take("held", LONG).await;
        let lapsed = take("lapsed", Duration::from_millis(1)).await;
        let released = take("released", LONG).await;
        store.release("released", released).await.expect("ours");
        let closed = take("closed", LONG).await;
        store.close("closed", closed, 5).await.expect("ours");
        store.renew("closed", closed, LONG).await.expect("ours");
        store.release("closed", closed).await.expect("ours");
        while store.holder("lapsed").await.expect("asked").is_some() {}
        let mut found = store.vacant(9).await.expect("asked");
        found.sort_unstable();
        assert_eq!(found, ["lapsed", "released"]);
        assert_eq!(store.vacant(1).await.map(|found| found.len()), Ok(1));
        store.renew("lapsed", lapsed, LONG).await.expect("ours");
        store.renew("held", held, LONG).await.expect("ours");
        assert_eq!(store.vacant(9).await, Ok(vec!["released".to_owned()]));
        take("released", LONG).await;
        assert_eq!(store.vacant(9).await, Ok(vec![]));
    }

    pub async fn a_fence_never_comes_again_not_even_in_a_new_room_of_that_name(home: &impl Home) {
        let mut last = FREE;
        for round in 0..3 {
            let store = home.open().await;
            store.create("r", 1).await.expect("created");
            for owner in ["a", "a", "b"] {
                if owner == "b" {
                    store.release("r", last).await.expect("ours");
                }
                let fence = store.acquire("r", owner, LONG).await.expect("free").fence;
                assert!(fence > last, "round {round}: {fence} after {last}");
                last = fence;
            }
            store.close("r", last, 10).await.expect("closed");
            assert_eq!(store.expire(0, 11).await.map(|gone| gone.rooms), Ok(1));
        }
    }

    /// Sixteen on two handles want the room at once.
    pub async fn of_many_who_take_a_room_one_gets_it(home: &impl Home) {
        let handles = [home.open().await, home.open().await];
        handles[0].create("r", 1).await.expect("created");
        let tasks: Vec<_> = (0..16usize)
            .map(|n| {
                let store = handles[n % 2].clone();
                tokio::spawn(async move { store.acquire("r", &n.to_string(), LONG).await })
            })
            .collect();
        let mut won = Vec::new();
        for task in tasks {
            match task.await.expect("it ends") {
                Ok(lease) => won.push(lease.fence),
                Err(StoreError::Held { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(won.len(), 1);
        let held = handles[1].holder("r").await.expect("asked").expect("held");
        assert_eq!(won, [held.fence]);
    }

    pub async fn a_log_is_trimmed_only_as_far_as_a_snapshot_covers_it(home: &impl Home) {
        let store = home.open().await;
        store.create("r", 1).await.expect("created");
        store
            .append("r", FREE, 0, 5, bodies(0..6))
            .await
            .expect("stored");
        assert_eq!(store.trim("r", FREE, 6).await, Ok(0), "nothing covers it");
        let snapshot = Snapshot {
            offset: 4,
            body: "{}".into(),
        };
        store
            .put_snapshot("r", FREE, &snapshot)
            .await
            .expect("kept");
        for (before, first) in [(2, 2), (1, 2), (6, 4), (u32::MAX, 4)] {
            assert_eq!(store.trim("r", FREE, before).await, Ok(first));
            let log = store.read("r", first).await.expect("read");
            assert_eq!(told(&log.records), bodies(first..6));
            for gone in 0..first {
                let room = "r".to_owned();
                assert_eq!(
                    store.read("r", gone).await,
                    Err(StoreError::Trimmed { room, first })
                );
            }
        }
        assert_eq!(store.snapshot("r").await, Ok(Some(snapshot)));
        assert_eq!(store.append("r", FREE, 6, 5, bodies(6..7)).await, Ok(7));
        let log = home.open().await.read("r", 4).await.expect("read");
        assert_eq!(told(&log.records), bodies(4..7));
    }

    fn outcome(kind: Kind, id: &str, won: bool, points: i16) -> Outcome {
        Outcome {
            kind,
            id: id.into(),
            name: id.to_uppercase(),
            won,
            points,
        }
    }

    pub async fn a_games_results_count_once(home: &impl Home) {
        let store = home.open().await;
        store.create("r", 1).await.expect("created");
        let first = [
            outcome(Kind::Person, "ada", true, -7),
            outcome(Kind::Bot, "eliza", false, 5),
        ];
        assert_eq!(store.add_results("r", 1, &first).await, Ok(true));
        let other = [outcome(Kind::Person, "ada", false, 100)];
        for _ in 0..2 {
            assert_eq!(store.add_results("r", 1, &other).await, Ok(false));
        }
        store.create("s", 1).await.expect("created");
        let mut renamed = outcome(Kind::Person, "ada", false, 3);
        renamed.name = "Lady L.".into();
        assert_eq!(store.add_results("s", 1, &[renamed]).await, Ok(true));

        let store = home.open().await;
        let people = store.top(Kind::Person, 10).await.expect("listed");
        let [ada] = people.as_slice() else {
            panic!("{people:?}");
        };
        assert_eq!((ada.id.as_str(), ada.name.as_str()), ("ada", "Lady L."));
        assert_eq!((ada.games, ada.wins), (2, 1));
        assert_eq!((ada.points, ada.squares), (-4, 58));
        let bots = store.top(Kind::Bot, 10).await.expect("listed");
        assert_eq!(bots.len(), 1);
        assert_eq!((bots[0].points, bots[0].squares), (5, 25));
    }

    pub async fn every_game_of_a_room_counts_once_in_any_order(home: &impl Home) {
        let store = home.open().await;
        store.create("r", 1).await.expect("created");
        for (game, counts) in [
            (2, true),
            (1, true),
            (2, false),
            (u32::MAX, true),
            (1, false),
        ] {
            let played = [outcome(Kind::Judge, "ada", true, 1)];
            let counted = store.add_results("r", game, &played).await;
            assert_eq!(counted, Ok(counts), "game {game}");
        }
        let board = home.open().await.top(Kind::Judge, 10).await;
        assert_eq!(board.expect("listed")[0].games, 3);
    }

    pub async fn who_is_forgotten_is_on_no_board_and_begins_anew(home: &impl Home) {
        let store = home.open().await;
        store.create("r", 1).await.expect("created");
        let played = [
            outcome(Kind::Person, "ada", true, 90),
            outcome(Kind::Person, "bob", true, 10),
            outcome(Kind::Judge, "ada", true, 80),
        ];
        assert_eq!(store.add_results("r", 1, &played).await, Ok(true));
        assert_eq!(store.forget_player(Kind::Bot, "ada").await, Ok(false));
        assert_eq!(store.forget_player(Kind::Person, "ada").await, Ok(true));
        assert_eq!(store.forget_player(Kind::Person, "ada").await, Ok(false));

        let store = home.open().await;
        let listed = async |kind| {
            let board = store.top(kind, 10).await.expect("listed");
            let games = board.into_iter().map(|one| (one.id, one.games, one.points));
            games.collect::<Vec<_>>()
        };
        assert_eq!(listed(Kind::Person).await, [("bob".into(), 1, 10)]);
        assert_eq!(listed(Kind::Judge).await, [("ada".into(), 1, 80)]);
        // What was counted does not come back.
        assert_eq!(store.add_results("r", 1, &played).await, Ok(false));
        assert_eq!(store.add_results("r", 2, &played[..1]).await, Ok(true));
        let ada = ("ada".into(), 1, 90);
        assert_eq!(listed(Kind::Person).await, [ada, ("bob".into(), 1, 10)]);
    }

    pub async fn boards_are_led_by_those_whose_wins_are_surest(home: &impl Home) {
        let store = home.open().await;
        let mut game = 0;
        // Alike from the third on: then ids decide.
        for (id, games, wins) in [
            ("lucky", 1, 1),
            ("proven", 12, 10),
            ("b", 2, 0),
            ("a", 2, 0),
            ("c", 5, 0),
        ] {
            for n in 0..games {
                game += 1;
                let room = game.to_string();
                store.create(&room, 1).await.expect("created");
                let played = outcome(Kind::Bot, id, n < wins, i16::MAX);
                let counted = store.add_results(&room, 1, &[played]).await;
                assert_eq!(counted, Ok(true));
            }
        }
        let board = store.top(Kind::Bot, 10).await.expect("listed");
        let ids: Vec<_> = board.iter().map(|standing| standing.id.as_str()).collect();
        assert_eq!(ids, ["proven", "lucky", "a", "b", "c"]);
        for (limit, listed) in [(0, 0), (2, 2), (u32::MAX, 5)] {
            let best = store.top(Kind::Bot, limit).await.expect("listed");
            assert_eq!(best, board[..listed]);
        }
        assert_eq!(store.top(Kind::Person, 10).await, Ok(vec![]));
    }

    fn session(key: &str, expires_at: u64) -> SessionRecord {
        SessionRecord {
            key: key.into(),
            name: "Ada".into(),
            room: Some("r".into()),
            expires_at,
        }
    }
}

/// Every law, for one home.
macro_rules! keeps_the_contract {
    ($home:expr) => {
        keeps_the_contract! { $home;
            a_log_is_read_as_it_was_written,
            what_was_stored_survives_a_reopening,
            an_append_at_a_wrong_offset_changes_nothing,
            two_handles_conflict_properly,
            of_many_writers_exactly_one_wins_each_offset,
            many_rooms_at_once_keep_their_logs_apart,
            a_room_that_is_not_there_is_named,
            a_snapshot_never_goes_back_nor_runs_ahead,
            a_closed_room_is_not_listed_and_can_be_read,
            only_what_is_due_expires,
            a_session_is_known_until_it_expires_and_can_change,
            text_comes_back_byte_for_byte,
            a_healthy_store_says_so,
            only_the_newest_lease_writes,
            a_room_has_one_holder_until_it_is_given_back,
            a_lease_that_ran_out_writes_until_somebody_takes_the_room,
            a_holder_hears_when_it_renews_that_somebody_asks_for_its_room,
            rooms_that_nobody_holds_any_more_are_found,
            a_fence_never_comes_again_not_even_in_a_new_room_of_that_name,
            of_many_who_take_a_room_one_gets_it,
            a_log_is_trimmed_only_as_far_as_a_snapshot_covers_it,
            a_games_results_count_once,
            every_game_of_a_room_counts_once_in_any_order,
            who_is_forgotten_is_on_no_board_and_begins_anew,
            boards_are_led_by_those_whose_wins_are_surest,
        }
    };
    ($home:expr; $($law:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                laws::$law(&$home).await;
            }
        )*
    };
}

mod redis_home {
    use super::*;

    keeps_the_contract!(RedisHome(RedisServer::start()));
}

mod sqlite {
    use super::*;

    keeps_the_contract!(SqliteHome::new());

    #[tokio::test]
    async fn a_house_alone_need_not_wait_for_the_leases_of_its_former_life() {
        let home = SqliteHome::new();
        let store = home.open_now();
        store.create("r", 1).await.expect("created");
        let before = store.acquire("r", "a", LONG).await.expect("free").fence;
        store.vacate().await.expect("ours alone");
        assert_eq!(store.holder("r").await, Ok(None));
        assert_eq!(store.vacant(9).await, Ok(vec!["r".to_owned()]));
        let late = store.append("r", before, 0, 5, bodies(0..1)).await;
        assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
        let now = store.acquire("r", "b", LONG).await.expect("free").fence;
        assert!(now > before);
    }

    #[tokio::test]
    async fn a_full_disk_is_an_error_and_loses_nothing_stored() {
        let home = SqliteHome::new();
        let cramped = Options {
            max_pages: Some(40),
        };
        let store = SqliteStore::open_with(&home.file(), cramped).expect("the store opens");
        store.create("r", 1).await.expect("created");
        let body = "x".repeat(3000);
        let mut stored = 0;
        let error = loop {
            match store.append("r", FREE, stored, 5, vec![body.clone()]).await {
                Ok(next) => stored = next,
                Err(error) => break error,
            }
            assert!(stored < 1000, "the limit does not hold");
        };
        assert!(
            matches!(&error, StoreError::Failed(why) if why.contains("full")),
            "{error}"
        );
        assert!(stored > 0);
        // All or nothing: the first of the two would fit if the second did not count.
        let two = vec!["small".to_owned(), "y".repeat(1 << 20)];
        assert!(store.append("r", FREE, stored, 5, two).await.is_err());
        let log = store
            .read("r", 0)
            .await
            .expect("what is stored can be read");
        assert_eq!(log.next, stored);
        assert!(log.records.iter().all(|record| record.body == body));

        drop(store);
        let roomy = home.open_now();
        assert_eq!(roomy.read("r", 0).await, Ok(log));
        let more = roomy.append("r", FREE, stored, 5, vec![body]).await;
        assert_eq!(more, Ok(stored + 1), "with room again the log goes on");
    }

    #[tokio::test]
    async fn one_append_that_cannot_be_stored_does_not_take_its_neighbours_along() {
        let home = SqliteHome::new();
        let cramped = Options {
            max_pages: Some(60),
        };
        let store = SqliteStore::open_with(&home.file(), cramped).expect("the store opens");
        for room in ["big", "a", "b"] {
            store.create(room, 1).await.expect("created");
        }
        // Polled together, the three wait in the queue side by side.
        let (big, a, b) = tokio::join!(
            store.append("big", FREE, 0, 5, vec!["y".repeat(1 << 20)]),
            store.append("a", FREE, 0, 5, bodies(0..1)),
            store.append("b", FREE, 0, 5, bodies(0..1)),
        );
        assert!(matches!(big, Err(StoreError::Failed(_))));
        assert_eq!((a, b), (Ok(1), Ok(1)));
        assert_eq!(store.read("big", 0).await.map(|log| log.next), Ok(0));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt;

        let home = SqliteHome::new();
        let file = home.file();
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("created");
        std::fs::write(&file, "").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
        let store = home.open_now();
        store.create("r", 1).await.expect("created");
        let beside = std::fs::read_dir(file.parent().expect("a folder")).expect("listed");
        let mut seen = 0;
        for entry in beside {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("its kind").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}", entry.file_name());
            seen += 1;
        }
        assert!(seen >= 2, "the log of WAL mode lies beside the file");
    }

    #[test]
    fn a_file_that_is_no_store_is_refused() {
        let home = SqliteHome::new();
        let file = home.0.path().join("parlour.db");
        std::fs::write(
            &file,
            "not a database, but long enough to have a header".repeat(9),
        )
        .expect("written");
        assert!(matches!(
            SqliteStore::open(&file),
            Err(StoreError::Failed(_))
        ));
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let home = SqliteHome::new();
        drop(home.open_now());
        let raw = rusqlite::Connection::open(home.file()).expect("opened");
        raw.pragma_update(None, "user_version", 999).expect("set");
        let refused = SqliteStore::open(&home.file()).expect_err("refused");
        assert!(refused.to_string().contains("newer"), "{refused}");
    }

    const CHILD_FILE: &str = "PARLOUR_TEST_CHILD_STORE";

    /// Not a law: the child of the test below, which appends until it is killed and says
    /// each offset once it was acknowledged.
    #[tokio::test]
    async fn child_that_appends_until_it_is_killed() {
        let Some(file) = std::env::var_os(CHILD_FILE) else {
            return;
        };
        let store = SqliteStore::open(Path::new(&file)).expect("the store opens");
        store.create("r", 1).await.expect("created");
        for n in 0.. {
            let next = store
                .append("r", FREE, n, 5, bodies([n]))
                .await
                .expect("stored");
            println!("acknowledged {next}");
        }
    }

    #[tokio::test]
    async fn a_killed_process_loses_no_acknowledged_event() {
        let home = SqliteHome::new();
        for enough in [1, 40, 200] {
            let file = home.0.path().join(format!("{enough}.db"));
            let mut child = Command::new(std::env::current_exe().expect("this test"))
                .args(["--exact", "sqlite::child_that_appends_until_it_is_killed"])
                .arg("--nocapture")
                .env(CHILD_FILE, &file)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("the child starts");
            let mut acknowledged = 0;
            let mut killed = false;
            // After the kill, what the child had said is still in the pipe.
            for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
                let line = line.expect("text");
                // The harness writes "test name ... " before the first line of the child.
                let Some((_, next)) = line.split_once("acknowledged ") else {
                    continue;
                };
                // The last line may be cut short; a shorter number asks for less.
                acknowledged = next.parse().unwrap_or(acknowledged).max(acknowledged);
                if acknowledged >= enough && !killed {
                    child.kill().expect("killed");
                    killed = true;
                }
            }
            assert!(killed, "the child ended by itself");
            child.wait().expect("reaped");
            let store = SqliteStore::open(&file).expect("the store opens");
            let log = store.read("r", 0).await.expect("read");
            assert!(
                log.next >= acknowledged,
                "{acknowledged} were acknowledged, {} are there",
                log.next
            );
            assert_eq!(told(&log.records), bodies(0..log.next));
            assert!(
                store
                    .append("r", FREE, log.next, 6, bodies(0..1))
                    .await
                    .is_ok()
            );
        }
    }
}
