//! Both homes of the store against a plain model in memory: whatever is called in whatever
//! order, all three answer alike.

mod redis_server;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use parlour::store::{
    Expired, Fence, Log, Record, SessionRecord, Snapshot, Store, StoreError,
    board::{Kind, Outcome, Standing},
    redis::{Options, RedisStore},
    sqlite::SqliteStore,
};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

use self::redis_server::RedisServer;

/// An instant that no clock has reached (2096): a home may forget by its own.
const LATER: u64 = 4_000_000_000_000;

const LONG: Duration = Duration::from_secs(3600);

/// Which fence a call names: of those that were given for a room of that name, also before
/// it was thrown away or given back.
#[derive(Clone, Copy, Debug)]
enum Which {
    Free,
    Newest,
    /// The one before.
    Older,
}

impl Which {
    fn of<F: Copy>(self, given: Option<&Vec<F>>, free: F, unknown: F) -> F {
        let given = given.map_or(&[][..], Vec::as_slice);
        match self {
            Self::Free => free,
            Self::Newest => given.last().copied().unwrap_or(free),
            Self::Older => given.iter().rev().nth(1).copied().unwrap_or(unknown),
        }
    }
}

fn fenced(room: u8) -> StoreError {
    StoreError::Fenced {
        room: name(room),
        newest: Fence::UNLEASED,
    }
}

/// A call; rooms, owners, sessions and players are few, so that calls meet.
#[derive(Clone, Debug)]
enum Op {
    Create(u8),
    /// Where: behind the end by this much, or ahead of it.
    Append(u8, Which, i8, u8),
    Read(u8, u8),
    PutSnapshot(u8, Which, u8),
    Snapshot(u8),
    Trim(u8, Which, u8),
    Close(u8, Which, u8),
    Acquire(u8, u8),
    Renew(u8, Which),
    Release(u8, Which),
    Holder(u8),
    /// The room, which of its games, and what the game brought whom.
    AddResults(u8, u8, Vec<(bool, u8, bool, i16)>),
    Top(bool, u8),
    ForgetPlayer(bool, u8),
    OpenRooms,
    PutSession(u8, Option<u8>, u8),
    Session(u8, u8),
    Expire(u8, u8),
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        2 => Just(Which::Free),
        5 => Just(Which::Newest),
        1 => Just(Which::Older),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let room = 0..3u8;
    let small = 0..12u8;
    let outcome = (any::<bool>(), 0..4u8, any::<bool>(), any::<i16>());
    prop_oneof![
        3 => room.clone().prop_map(Op::Create),
        8 => (room.clone(), which(), -1..2i8, 0..4u8).prop_map(|(r, w, o, n)| Op::Append(r, w, o, n)),
        4 => (room.clone(), small.clone()).prop_map(|(r, from)| Op::Read(r, from)),
        3 => (room.clone(), which(), small.clone()).prop_map(|(r, w, o)| Op::PutSnapshot(r, w, o)),
        2 => room.clone().prop_map(Op::Snapshot),
        2 => (room.clone(), which(), small.clone()).prop_map(|(r, w, o)| Op::Trim(r, w, o)),
        1 => (room.clone(), which(), small.clone()).prop_map(|(r, w, at)| Op::Close(r, w, at)),
        2 => (room.clone(), 0..2u8).prop_map(|(r, who)| Op::Acquire(r, who)),
        1 => (room.clone(), which()).prop_map(|(r, w)| Op::Renew(r, w)),
        1 => (room.clone(), which()).prop_map(|(r, w)| Op::Release(r, w)),
        1 => room.clone().prop_map(Op::Holder),
        3 => (room.clone(), 0..3u8, vec(outcome, 0..4)).prop_map(|(r, g, o)| Op::AddResults(r, g, o)),
        2 => (any::<bool>(), 0..5u8).prop_map(|(people, limit)| Op::Top(people, limit)),
        1 => (any::<bool>(), 0..3u8).prop_map(|(people, id)| Op::ForgetPlayer(people, id)),
        2 => Just(Op::OpenRooms),
        2 => (0..3u8, proptest::option::of(room), small.clone()).prop_map(|(k, r, e)| Op::PutSession(k, r, e)),
        2 => (0..3u8, small.clone()).prop_map(|(k, now)| Op::Session(k, now)),
        1 => (small.clone(), small).prop_map(|(now, before)| Op::Expire(now, before)),
    ]
}

/// What a call gives, without what homes choose for themselves: epochs, fences, time left.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Done,
    Number(u32),
    Log(Vec<Record>, u32),
    Snapshot(Option<Snapshot>),
    Holder(Option<String>),
    Counted(bool),
    Board(Vec<Standing>),
    Rooms(Vec<String>),
    Session(Option<SessionRecord>),
    Expired(Expired),
}

/// The same for errors.
fn plain(error: StoreError) -> StoreError {
    match error {
        StoreError::Fenced { room, .. } => StoreError::Fenced {
            room,
            newest: Fence::UNLEASED,
        },
        other => other,
    }
}

#[derive(Default)]
struct ModelRoom {
    records: Vec<Record>,
    first: u32,
    snapshot: Option<Snapshot>,
    closed: Option<u64>,
    fence: u64,
    holder: Option<String>,
    released: Option<u64>,
    counted: BTreeSet<u8>,
    created: u64,
}

#[derive(Default)]
struct Model {
    rooms: BTreeMap<String, ModelRoom>,
    sessions: BTreeMap<String, SessionRecord>,
    board: BTreeMap<(Kind, String), Standing>,
    created: u64,
    /// Numbers given to leases, for all rooms.
    fences: u64,
    given: BTreeMap<String, Vec<u64>>,
}

fn name(room: u8) -> String {
    format!("room {room}")
}

fn bodies(count: u8, from: u32) -> Vec<String> {
    (0..u32::from(count))
        .map(|n| format!("{{\"n\":{}}}", from + n))
        .collect()
}

fn kind(person: bool) -> Kind {
    if person { Kind::Person } else { Kind::Bot }
}

fn outcomes(of: &[(bool, u8, bool, i16)]) -> Vec<Outcome> {
    of.iter()
        .map(|&(person, id, won, points)| Outcome {
            kind: kind(person),
            id: id.to_string(),
            name: format!("{id} {points}"),
            won,
            points,
        })
        .collect()
}

fn session(key: u8, room: Option<u8>, expires: u8) -> SessionRecord {
    SessionRecord {
        key: key.to_string(),
        name: format!("{key} {expires}"),
        room: room.map(name),
        expires_at: LATER + u64::from(expires),
    }
}

/// Where a call appends: relative to the end, as the model knows it.
fn place(next: u32, offset: i8) -> u32 {
    next.saturating_add_signed(i32::from(offset))
}

impl Model {
    fn room(&mut self, room: u8) -> Result<&mut ModelRoom, StoreError> {
        let room = name(room);
        self.rooms
            .get_mut(&room)
            .ok_or(StoreError::NoSuchRoom(room))
    }

    fn next(&self, room: u8) -> u32 {
        self.rooms
            .get(&name(room))
            .map_or(0, |room| room.records.len() as u32)
    }

    fn fenced(&mut self, room: u8, which: Which) -> Result<&mut ModelRoom, StoreError> {
        let named = which.of(self.given.get(&name(room)), 0, u64::MAX);
        let found = self.room(room)?;
        if named == found.fence {
            Ok(found)
        } else {
            Err(fenced(room))
        }
    }

    fn run(&mut self, op: &Op) -> Result<Told, StoreError> {
        match *op {
            Op::Create(room) => {
                if self.rooms.contains_key(&name(room)) {
                    return Err(StoreError::RoomExists(name(room)));
                }
                self.created += 1;
                let new = ModelRoom {
                    created: self.created,
                    ..ModelRoom::default()
                };
                self.rooms.insert(name(room), new);
                Ok(Told::Done)
            }
            Op::Append(room, which, offset, count) => {
                let next = self.next(room);
                let expected = place(next, offset);
                let found = self.fenced(room, which)?;
                if expected != next {
                    return Err(StoreError::Conflict {
                        room: name(room),
                        expected,
                        actual: next,
                    });
                }
                for (offset, body) in (next..).zip(bodies(count, next)) {
                    found.records.push(Record {
                        offset,
                        at: 5,
                        body,
                    });
                }
                Ok(Told::Number(found.records.len() as u32))
            }
            Op::Read(room, from) => {
                let found = self.room(room)?;
                let (from, first) = (u32::from(from), found.first);
                if from < first {
                    return Err(StoreError::Trimmed {
                        room: name(room),
                        first,
                    });
                }
                let records = found.records.iter().skip(from as usize).cloned().collect();
                Ok(Told::Log(records, found.records.len() as u32))
            }
            Op::PutSnapshot(room, which, offset) => {
                let next = self.next(room);
                let found = self.fenced(room, which)?;
                let offset = u32::from(offset);
                if offset > next {
                    return Err(StoreError::Conflict {
                        room: name(room),
                        expected: offset,
                        actual: next,
                    });
                }
                if found
                    .snapshot
                    .as_ref()
                    .is_none_or(|kept| kept.offset <= offset)
                {
                    found.snapshot = Some(snapshot(offset));
                }
                Ok(Told::Done)
            }
            Op::Snapshot(room) => Ok(Told::Snapshot(self.room(room)?.snapshot.clone())),
            Op::Trim(room, which, before) => {
                let found = self.fenced(room, which)?;
                let covered = found.snapshot.as_ref().map_or(0, |kept| kept.offset);
                found.first = found.first.max(covered.min(before.into()));
                Ok(Told::Number(found.first))
            }
            Op::Close(room, which, at) => {
                let found = self.fenced(room, which)?;
                found.closed.get_or_insert(at.into());
                Ok(Told::Done)
            }
            Op::Acquire(room, owner) => {
                let found = self.room(room)?;
                let owner = owner.to_string();
                if let Some(holder) = found.holder.clone().filter(|holder| *holder != owner) {
                    return Err(StoreError::Held {
                        room: name(room),
                        owner: holder,
                    });
                }
                found.holder = Some(owner);
                found.released = None;
                self.fences += 1;
                let fence = self.fences;
                self.room(room)?.fence = fence;
                self.given.entry(name(room)).or_default().push(fence);
                Ok(Told::Done)
            }
            Op::Renew(room, which) => {
                let found = self.fenced(room, which)?;
                if found.holder.is_none() {
                    return Err(fenced(room));
                }
                Ok(Told::Done)
            }
            Op::Release(room, which) => {
                let named = which.of(self.given.get(&name(room)), 0, u64::MAX);
                if self.room(room)?.released == Some(named) {
                    return Ok(Told::Done);
                }
                self.fences += 1;
                let next = self.fences;
                let found = self.fenced(room, which)?;
                if found.fence > 0 {
                    found.released = Some(found.fence);
                    found.fence = next;
                    found.holder = None;
                }
                Ok(Told::Done)
            }
            Op::Holder(room) => Ok(Told::Holder(self.room(room)?.holder.clone())),
            Op::AddResults(room, game, ref of) => {
                if !self.room(room)?.counted.insert(game) {
                    return Ok(Told::Counted(false));
                }
                for outcome in outcomes(of) {
                    let standing = self
                        .board
                        .entry((outcome.kind, outcome.id.clone()))
                        .or_insert_with(|| Standing {
                            id: outcome.id,
                            name: String::new(),
                            games: 0,
                            wins: 0,
                            points: 0,
                            squares: 0,
                        });
                    standing.name = outcome.name;
                    standing.games += 1;
                    standing.wins += u64::from(outcome.won);
                    standing.points += i64::from(outcome.points);
                    standing.squares += u64::from(outcome.points.unsigned_abs()).pow(2);
                }
                Ok(Told::Counted(true))
            }
            Op::Top(people, limit) => {
                let kind = kind(people);
                let mut board: Vec<_> = self
                    .board
                    .iter()
                    .filter(|((of, _), _)| *of == kind)
                    .map(|(_, standing)| standing.clone())
                    .collect();
                // Stable: ids decide where wins do not.
                board.sort_by_key(|standing| -billionths(standing));
                board.truncate(limit.into());
                Ok(Told::Board(board))
            }
            Op::ForgetPlayer(people, id) => {
                let gone = self.board.remove(&(kind(people), id.to_string()));
                Ok(Told::Counted(gone.is_some()))
            }
            Op::OpenRooms => {
                let mut open: Vec<_> = self
                    .rooms
                    .iter()
                    .filter(|(_, room)| room.closed.is_none())
                    .collect();
                open.sort_by_key(|(_, room)| room.created);
                Ok(Told::Rooms(
                    open.into_iter().map(|(name, _)| name.clone()).collect(),
                ))
            }
            Op::PutSession(key, room, expires) => {
                let session = session(key, room, expires);
                self.sessions.insert(session.key.clone(), session);
                Ok(Told::Done)
            }
            Op::Session(key, now) => Ok(Told::Session(
                self.sessions
                    .get(&key.to_string())
                    .filter(|session| session.expires_at > LATER + u64::from(now))
                    .cloned(),
            )),
            Op::Expire(now, before) => {
                let (sessions, rooms) = (self.sessions.len(), self.rooms.len());
                self.sessions
                    .retain(|_, session| session.expires_at > LATER + u64::from(now));
                self.rooms
                    .retain(|_, room| room.closed.is_none_or(|at| at >= before.into()));
                Ok(Told::Expired(Expired {
                    sessions: (sessions - self.sessions.len()) as u64,
                    rooms: (rooms - self.rooms.len()) as u64,
                }))
            }
        }
    }
}

fn billionths(standing: &Standing) -> i64 {
    if standing.wins == 0 {
        return 0;
    }
    (standing.win_interval().low * 1e9).round() as i64
}

fn snapshot(offset: u32) -> Snapshot {
    Snapshot {
        offset,
        body: format!("{{\"at\":{offset}}}"),
    }
}

/// A home, and the fences that it gave.
struct Subject<S> {
    store: S,
    fences: BTreeMap<String, Vec<Fence>>,
}

impl<S: Store> Subject<S> {
    fn new(store: S) -> Self {
        Self {
            store,
            fences: BTreeMap::new(),
        }
    }

    fn fence(&self, room: u8, which: Which) -> Fence {
        let given = self.fences.get(&name(room));
        which.of(given, Fence::UNLEASED, Fence(u64::MAX))
    }

    async fn run(&mut self, op: &Op, next: u32) -> Result<Told, StoreError> {
        let store = &self.store;
        let told = match *op {
            Op::Create(room) => store.create(&name(room), 1).await.map(|_| Told::Done),
            Op::Append(room, which, offset, count) => {
                let (fence, room) = (self.fence(room, which), name(room));
                let said = bodies(count, next);
                store
                    .append(&room, fence, place(next, offset), 5, said)
                    .await
                    .map(Told::Number)
            }
            Op::Read(room, from) => store
                .read(&name(room), from.into())
                .await
                .map(|Log { records, next, .. }| Told::Log(records, next)),
            Op::PutSnapshot(room, which, offset) => store
                .put_snapshot(
                    &name(room),
                    self.fence(room, which),
                    &snapshot(offset.into()),
                )
                .await
                .map(|()| Told::Done),
            Op::Snapshot(room) => store.snapshot(&name(room)).await.map(Told::Snapshot),
            Op::Trim(room, which, before) => store
                .trim(&name(room), self.fence(room, which), before.into())
                .await
                .map(Told::Number),
            Op::Close(room, which, at) => store
                .close(&name(room), self.fence(room, which), at.into())
                .await
                .map(|()| Told::Done),
            Op::Acquire(room, owner) => {
                let lease = store.acquire(&name(room), &owner.to_string(), LONG).await;
                lease.map(|lease| {
                    let given = self.fences.entry(name(room)).or_default();
                    assert!(given.last().is_none_or(|last| *last < lease.fence));
                    given.push(lease.fence);
                    Told::Done
                })
            }
            Op::Renew(room, which) => store
                .renew(&name(room), self.fence(room, which), LONG)
                .await
                .map(|_| Told::Done),
            Op::Release(room, which) => store
                .release(&name(room), self.fence(room, which))
                .await
                .map(|()| Told::Done),
            Op::Holder(room) => store
                .holder(&name(room))
                .await
                .map(|held| Told::Holder(held.map(|lease| lease.owner))),
            Op::AddResults(room, game, ref of) => store
                .add_results(&name(room), game.into(), &outcomes(of))
                .await
                .map(Told::Counted),
            Op::Top(people, limit) => store.top(kind(people), limit.into()).await.map(Told::Board),
            Op::ForgetPlayer(people, id) => store
                .forget_player(kind(people), &id.to_string())
                .await
                .map(Told::Counted),
            Op::OpenRooms => store.open_rooms().await.map(Told::Rooms),
            Op::PutSession(key, room, expires) => store
                .put_session(&session(key, room, expires))
                .await
                .map(|()| Told::Done),
            Op::Session(key, now) => store
                .session(&key.to_string(), LATER + u64::from(now))
                .await
                .map(Told::Session),
            Op::Expire(now, before) => store
                .expire(LATER + u64::from(now), before.into())
                .await
                .map(Told::Expired),
        };
        told.map_err(plain)
    }
}

async fn agree<S: Store>(home: &str, store: S, ops: &[Op]) -> Result<(), TestCaseError> {
    let (mut model, mut subject) = (Model::default(), Subject::new(store));
    for (step, op) in ops.iter().enumerate() {
        let next = match op {
            Op::Append(room, ..) => model.next(*room),
            _ => 0,
        };
        let (expected, told) = (model.run(op), subject.run(op, next).await);
        prop_assert_eq!(expected, told, "{}, step {}: {:?}", home, step, op);
    }
    Ok(())
}

#[test]
fn whatever_is_called_both_homes_and_a_plain_model_answer_alike() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let server = RedisServer::start();
    let folder = tempfile::tempdir().expect("a folder");
    let houses = AtomicU32::new(0);
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let verdict = TestRunner::new(config).run(&vec(op(), 1..60), |ops| {
        let number = houses.fetch_add(1, Ordering::Relaxed);
        runtime.block_on(async {
            let file = folder.path().join(format!("{number}.db"));
            let sqlite = SqliteStore::open(&file).expect("the store opens");
            agree("sqlite", sqlite, &ops).await?;
            let options = Options {
                prefix: format!("house {number}:"),
                ..Options::new(server.url())
            };
            let redis = RedisStore::open(options).await.expect("the store opens");
            agree("redis", redis, &ops).await
        })
    });
    if let Err(failure) = verdict {
        panic!("{failure}");
    }
}
