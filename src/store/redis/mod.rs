//! The home of the store contract for many servers: one Redis, or what speaks like it.
//!
//! - Each call is one script, so it is done wholly or not at all; the log of a room is a
//!   stream, everything else about the room a hash beside it.
//! - A call is asked again when its answer was lost, and the script knows it again.
//! - A call that nobody waits for any longer is not done later: it carries an instant of the
//!   server's own clock, and a connection that fell silent is ended at the server before
//!   another one is used.
//! - Writes that were acknowledged can be lost with the server's machine, depending on its
//!   settings. Each start of the server therefore gives every room another epoch, and fences
//!   are drawn from its clock: offsets and leases of a lost past are never taken for new ones.

mod greeting;
mod keys;
mod link;
pub mod neighbours;
mod reply;
mod scripts;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

use rand::RngExt as _;
use redis::Client;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::greeting::Durability;
use self::{
    greeting::Terms,
    keys::Keys,
    link::{Call, Link, Weather},
    reply::{Reply, nonsense, text},
    scripts::Script,
};
use super::{
    Expired, Fence, Lease, Log, Record, SessionRecord, Snapshot, Store, StoreError,
    board::{Kind, Outcome, Standing},
    lease,
};
use crate::config::Secret;

/// Calls that may wait for the link; further callers wait for a place.
const QUEUE: usize = 1024;

/// Rooms and sessions that are thrown away together.
const SWEEP: usize = 256;

/// Times and durations beyond the year 200,000 are the end of time: what a script can count with.
const END_OF_TIME: u64 = 1 << 52;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, or
    /// `redis+unix:///path[?db=…&pass=…]`.
    pub url: Secret,
    /// What every key begins with, so that others can share the server.
    pub prefix: String,
    /// How long a call may take, waiting for its place included; and how long the server may
    /// be away when the store is opened.
    pub patience: Duration,
}

impl Options {
    /// The usual ones.
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            prefix: "parlour:".into(),
            patience: Duration::from_secs(5),
        }
    }
}

/// A handle on the store; clones share its connection.
#[derive(Clone)]
pub struct RedisStore {
    calls: mpsc::Sender<Call>,
    terms: watch::Receiver<Terms>,
    weather: Arc<Weather>,
    keys: Keys,
    patience: Duration,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("durability", &self.durability())
            .finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects and checks that the server can hold a house. Needs a tokio runtime, in which
    /// the connection lives on.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the URL cannot be read, nobody answers in time, or the
    /// server is too old, a cluster, or set up to throw data away when memory is full.
    pub async fn open(options: Options) -> Result<Self, StoreError> {
        // The library's own words would repeat the URL, which may hold a password.
        let client = Client::open(options.url.expose()).map_err(|_| {
            StoreError::Failed(
                "the URL of Redis cannot be read; it looks like redis://user:password@host:6379/0"
                    .into(),
            )
        })?;
        let link = Link::open(client, Instant::now() + options.patience).await?;
        let (calls, waiting) = mpsc::channel(QUEUE);
        let store = Self {
            calls,
            terms: link.terms(),
            weather: link.weather(),
            keys: Keys::new(options.prefix),
            patience: options.patience,
        };
        tokio::spawn(link.serve(waiting));
        Ok(store)
    }

    /// What the server's answers are worth now.
    pub fn durability(&self) -> Durability {
        self.terms.borrow().durability
    }

    async fn call(
        &self,
        script: Script,
        keys: Vec<String>,
        args: Vec<Vec<u8>>,
    ) -> Result<Reply, StoreError> {
        let until = Instant::now() + self.patience;
        let asked = Arc::new(AtomicBool::new(false));
        let (answer, told) = oneshot::channel();
        let call = Call {
            script,
            keys,
            args,
            until,
            asked: Arc::clone(&asked),
            answer,
            in_doubt: false,
        };
        let work = async {
            self.calls.send(call).await.ok()?;
            told.await.ok()
        };
        match tokio::time::timeout_at(until.into(), work).await {
            Ok(Some(answer)) => answer,
            // The link lets a call go when its time is up, perhaps before we notice.
            Ok(None) | Err(_) => {
                let trouble = self.weather.trouble();
                let why = trouble.unwrap_or_else(|| "it takes too long".into());
                let why = format!("no answer from Redis in {:?}: {why}", self.patience);
                Err(if script.writes() && asked.load(Ordering::Relaxed) {
                    StoreError::Unanswered(why)
                } else {
                    StoreError::Failed(why)
                })
            }
        }
    }

    /// All members of a sorted set with scores between two bounds, at most [`SWEEP`].
    async fn due(&self, set: String, until: String) -> Result<Vec<String>, StoreError> {
        let args = vec!["-inf".into(), until.into_bytes(), SWEEP.to_string().into()];
        names(self.call(Script::List, vec![set], args).await?.ok()?)
    }

    /// Throws away one room or session, if it is due.
    async fn forget(
        &self,
        script: Script,
        keys: Vec<String>,
        name: String,
        until: u64,
    ) -> Result<u64, StoreError> {
        let args = vec![name.into_bytes(), digits(until)];
        self.call(script, keys, args).await?.ok()?.number()
    }
}

/// The names that an answer lists.
fn names(mut reply: Reply) -> Result<Vec<String>, StoreError> {
    let names = reply.list()?.into_iter();
    names.map(|name| text(Some(name))).collect()
}

/// A number as scripts read it.
fn digits(number: impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// Names a call, so that the script knows it again.
fn token() -> Vec<u8> {
    format!("{:032x}", rand::rng().random::<u128>()).into_bytes()
}

fn ttl(duration: Duration) -> Vec<u8> {
    digits(lease::millis(duration).min(END_OF_TIME))
}

impl Store for RedisStore {
    async fn create(&self, room: &str, at: u64) -> Result<u32, StoreError> {
        // Drawn by chance: a counter could be lost with what was acknowledged, and count again.
        let epoch: u32 = rand::rng().random_range(1..=u32::MAX);
        let keys = vec![self.keys.room(room), self.keys.open(), self.keys.rooms()];
        let args = vec![room.into(), digits(epoch), digits(at), token()];
        let reply = self.call(Script::Create, keys, args).await?;
        reply.of_room(room)?.number()
    }

    async fn append(
        &self,
        room: &str,
        fence: Fence,
        expected: u32,
        at: u64,
        bodies: Vec<String>,
    ) -> Result<u32, StoreError> {
        let keys = vec![self.keys.room(room), self.keys.log(room)];
        let mut args = vec![digits(fence), digits(expected), digits(at), token()];
        args.extend(bodies.into_iter().map(String::into_bytes));
        let reply = self.call(Script::Append, keys, args).await?;
        reply.of_log(room, expected)?.number()
    }

    async fn read(&self, room: &str, from: u32) -> Result<Log, StoreError> {
        let keys = vec![self.keys.room(room), self.keys.log(room)];
        let reply = self.call(Script::Read, keys, vec![digits(from)]).await?;
        let mut reply = reply.of_room(room)?;
        let epoch = reply.number()?;
        let next: u32 = reply.number()?;
        let entries = reply.list()?.into_iter();
        let records = entries.map(record).collect::<Result<Vec<_>, _>>()?;
        let offsets = records.iter().map(|record| record.offset);
        if !offsets.eq(from..next.max(from)) {
            return Err(StoreError::Failed(format!(
                "the log of room {room} has gaps"
            )));
        }
        Ok(Log {
            epoch,
            records,
            next,
            closed: reply.number::<u8>()? == 1,
        })
    }

    async fn snapshot(&self, room: &str) -> Result<Option<Snapshot>, StoreError> {
        let reply = self.call(Script::Snapshot, vec![self.keys.room(room)], vec![]);
        let mut reply = reply.await?.of_room(room)?;
        let Some(offset) = reply.maybe_text()? else {
            return Ok(None);
        };
        Ok(Some(Snapshot {
            offset: offset.parse().map_err(|_| nonsense())?,
            body: reply.text()?,
        }))
    }

    async fn put_snapshot(
        &self,
        room: &str,
        fence: Fence,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let keys = vec![self.keys.room(room)];
        let args = vec![
            digits(fence),
            digits(snapshot.offset),
            snapshot.body.clone().into_bytes(),
        ];
        let reply = self.call(Script::PutSnapshot, keys, args).await?;
        reply.of_log(room, snapshot.offset).map(drop)
    }

    async fn trim(&self, room: &str, fence: Fence, before: u32) -> Result<u32, StoreError> {
        let keys = vec![self.keys.room(room), self.keys.log(room)];
        let args = vec![digits(fence), digits(before)];
        let reply = self.call(Script::Trim, keys, args).await?;
        reply.of_room(room)?.number()
    }

    async fn close(&self, room: &str, fence: Fence, at: u64) -> Result<(), StoreError> {
        let keys = vec![
            self.keys.room(room),
            self.keys.open(),
            self.keys.closed(),
            self.keys.leases(),
        ];
        let args = vec![room.into(), digits(fence), digits(at)];
        let reply = self.call(Script::Close, keys, args).await?;
        reply.of_room(room).map(drop)
    }

    async fn acquire(&self, room: &str, owner: &str, time: Duration) -> Result<Lease, StoreError> {
        let keys = vec![self.keys.room(room), self.keys.leases()];
        let args = vec![owner.into(), ttl(time), room.into()];
        let reply = self.call(Script::Acquire, keys, args);
        let fence = reply.await?.of_room(room)?.number()?;
        Ok(Lease {
            owner: owner.to_owned(),
            fence: Fence(fence),
            remaining: Duration::from_millis(lease::millis(time)),
        })
    }

    async fn renew(&self, room: &str, fence: Fence, time: Duration) -> Result<bool, StoreError> {
        let keys = vec![self.keys.room(room), self.keys.leases()];
        let args = vec![digits(fence), ttl(time), room.into()];
        let reply = self.call(Script::Renew, keys, args);
        let asked: u8 = reply.await?.of_room(room)?.number()?;
        Ok(asked == 1)
    }

    async fn ask(&self, room: &str, time: Duration) -> Result<(), StoreError> {
        let keys = vec![self.keys.room(room)];
        let reply = self.call(Script::Ask, keys, vec![ttl(time)]);
        reply.await?.of_room(room).map(drop)
    }

    async fn release(&self, room: &str, fence: Fence) -> Result<(), StoreError> {
        let keys = vec![self.keys.room(room), self.keys.leases()];
        let reply = self.call(Script::Release, keys, vec![digits(fence), room.into()]);
        reply.await?.of_room(room).map(drop)
    }

    async fn holder(&self, room: &str) -> Result<Option<Lease>, StoreError> {
        let reply = self.call(Script::Holder, vec![self.keys.room(room)], vec![]);
        let mut reply = reply.await?.of_room(room)?;
        let Some(owner) = reply.maybe_text()? else {
            return Ok(None);
        };
        Ok(Some(Lease {
            owner,
            fence: Fence(reply.number()?),
            remaining: Duration::from_millis(reply.number()?),
        }))
    }

    async fn add_results(
        &self,
        room: &str,
        game: u32,
        outcomes: &[Outcome],
    ) -> Result<bool, StoreError> {
        let mut keys = vec![self.keys.room(room)];
        let mut args = vec![token(), digits(game)];
        for outcome in outcomes {
            let kind = outcome.kind.name();
            keys.push(self.keys.players(kind) + &outcome.id);
            keys.push(self.keys.board(kind));
            args.push(outcome.id.clone().into_bytes());
            args.push(outcome.name.clone().into_bytes());
            args.push(digits(u8::from(outcome.won)));
            args.push(digits(outcome.points));
        }
        let reply = self.call(Script::AddResults, keys, args).await?;
        let counted: u8 = reply.of_room(room)?.number()?;
        Ok(counted == 1)
    }

    async fn top(&self, kind: Kind, limit: u32) -> Result<Vec<Standing>, StoreError> {
        let keys = vec![self.keys.board(kind.name())];
        let args = vec![self.keys.players(kind.name()).into_bytes(), digits(limit)];
        let mut reply = self.call(Script::Top, keys, args).await?.ok()?;
        reply.list()?.into_iter().map(standing).collect()
    }

    async fn forget_player(&self, kind: Kind, id: &str) -> Result<bool, StoreError> {
        let player = self.keys.players(kind.name()) + id;
        let keys = vec![player, self.keys.board(kind.name())];
        let reply = self.call(Script::ForgetPlayer, keys, vec![id.into()]);
        let gone: u8 = reply.await?.ok()?.number()?;
        Ok(gone == 1)
    }

    async fn open_rooms(&self) -> Result<Vec<String>, StoreError> {
        let args = vec!["-inf".into(), "+inf".into(), "-1".into()];
        let reply = self
            .call(Script::List, vec![self.keys.open()], args)
            .await?;
        let rooms = reply.ok()?.list()?.into_iter();
        rooms.map(|room| text(Some(room))).collect()
    }

    async fn vacant(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        let args = vec![digits(limit)];
        let reply = self.call(Script::Vacant, vec![self.keys.leases()], args);
        names(reply.await?.ok()?)
    }

    async fn put_session(&self, session: &SessionRecord) -> Result<(), StoreError> {
        let keys = vec![self.keys.session(&session.key), self.keys.sessions()];
        let args = vec![
            session.key.clone().into_bytes(),
            session.name.clone().into_bytes(),
            digits(u8::from(session.room.is_some())),
            session.room.clone().unwrap_or_default().into_bytes(),
            digits(session.expires_at),
            digits(session.expires_at.min(END_OF_TIME)),
        ];
        self.call(Script::PutSession, keys, args)
            .await?
            .ok()
            .map(drop)
    }

    async fn session(&self, key: &str, now: u64) -> Result<Option<SessionRecord>, StoreError> {
        let keys = vec![self.keys.session(key)];
        let mut reply = self.call(Script::Session, keys, vec![]).await?.ok()?;
        let Some(name) = reply.maybe_text()? else {
            return Ok(None);
        };
        let seated: u8 = reply.number()?;
        let room = reply.text()?;
        let session = SessionRecord {
            key: key.to_owned(),
            name,
            room: (seated == 1).then_some(room),
            expires_at: reply.number()?,
        };
        Ok(Some(session).filter(|session| session.expires_at > now))
    }

    async fn expire(&self, now: u64, closed_before: u64) -> Result<Expired, StoreError> {
        let mut gone = Expired::default();
        let (now, closed_before) = (now.min(END_OF_TIME), closed_before.min(END_OF_TIME));
        loop {
            let due = self.due(self.keys.sessions(), now.to_string()).await?;
            let rest = due.len() < SWEEP;
            for key in due {
                let keys = vec![self.keys.session(&key), self.keys.sessions()];
                gone.sessions += self.forget(Script::ForgetSession, keys, key, now).await?;
            }
            if rest {
                break;
            }
        }
        loop {
            // A parenthesis excludes the bound itself.
            let due = self
                .due(self.keys.closed(), format!("({closed_before}"))
                .await?;
            let rest = due.len() < SWEEP;
            for room in due {
                let keys = vec![
                    self.keys.room(&room),
                    self.keys.log(&room),
                    self.keys.closed(),
                ];
                gone.rooms += self
                    .forget(Script::ForgetRoom, keys, room, closed_before)
                    .await?;
            }
            if rest {
                return Ok(gone);
            }
        }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let reply = self.call(Script::Probe, vec![self.keys.probe()], vec![]);
        reply.await?.ok().map(drop)
    }
}

/// An entry of a log: its id, and names and values in the order in which they were written.
fn record(entry: redis::Value) -> Result<Record, StoreError> {
    let mut entry = Reply::within(entry)?;
    let id = entry.text()?;
    let offset = id.strip_suffix("-1").ok_or_else(nonsense)?;
    let fields = entry.list()?;
    let [_, at, _, body, ..] = <[redis::Value; 6]>::try_from(fields).map_err(|_| nonsense())?;
    Ok(Record {
        offset: offset.parse().map_err(|_| nonsense())?,
        at: text(Some(at))?.parse().map_err(|_| nonsense())?,
        body: text(Some(body))?,
    })
}

fn standing(player: redis::Value) -> Result<Standing, StoreError> {
    let mut player = Reply::within(player)?;
    Ok(Standing {
        id: player.text()?,
        name: player.text()?,
        games: player.number()?,
        wins: player.number()?,
        points: player.number()?,
        squares: player.number()?,
    })
}
