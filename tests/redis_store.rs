//! What the Redis home promises beyond the contract: restarts, silence, full memory, lost
//! answers, lost writes; with a real server that is stopped, killed and frozen.

mod redis_server;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use parlour::{
    config::Secret,
    store::{
        AnyStore, Fence, SessionRecord, Snapshot, Store, StoreError,
        board::{Kind, Outcome},
        neighbours::{Heard, Word},
        redis::{Durability, Options, RedisStore},
    },
};

use self::redis_server::RedisServer;

mod cutter {
    //! A way to the server that can be cut at a bad moment.

    use std::{
        path::{Path, PathBuf},
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{UnixListener, UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
        sync::watch,
    };

    /// A Unix socket in front of another one.
    pub struct Cutter {
        pub socket: PathBuf,
        lose: Arc<AtomicBool>,
        hold: watch::Sender<Option<u64>>,
        connections: watch::Receiver<u64>,
    }

    impl Cutter {
        pub fn before(server: &Path) -> Self {
            let socket = server.with_extension("cut");
            let listener = UnixListener::bind(&socket).expect("a socket");
            let lose = Arc::new(AtomicBool::new(false));
            let hold = watch::Sender::new(None);
            let (count, connections) = watch::channel(0);
            let server = server.to_owned();
            let (losing, holding) = (Arc::clone(&lose), hold.subscribe());
            tokio::spawn(async move {
                while let Ok((near, _)) = listener.accept().await {
                    let far = UnixStream::connect(&server).await.expect("a server");
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    count.send_modify(|count| *count += 1);
                    let number = *count.borrow();
                    tokio::spawn(forth(near_in, far_out, number, holding.clone()));
                    tokio::spawn(back(far_in, near_out, Arc::clone(&losing)));
                }
            });
            Self {
                socket,
                lose,
                hold,
                connections,
            }
        }

        /// The next answer is lost: the server has given it, and the connection ends.
        pub fn lose_an_answer(&self) {
            self.lose.store(true, Ordering::SeqCst);
        }

        /// Whether an answer was lost since.
        pub fn has_lost_it(&self) -> bool {
            !self.lose.load(Ordering::SeqCst)
        }

        /// What is said on the connection of now stays on the way until it is let go.
        pub fn hold(&self) {
            self.hold.send_replace(Some(*self.connections.borrow()));
        }

        pub fn let_go(&self) {
            self.hold.send_replace(None);
        }
    }

    async fn forth(
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        number: u64,
        mut hold: watch::Receiver<Option<u64>>,
    ) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            // Also when the near end has gone meanwhile: networks deliver late.
            if hold.wait_for(|held| *held != Some(number)).await.is_err()
                || to.write_all(&buffer[..length]).await.is_err()
            {
                return;
            }
        }
    }

    async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lose: Arc<AtomicBool>) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if lose.swap(false, Ordering::SeqCst) || to.write_all(&buffer[..length]).await.is_err()
            {
                return;
            }
        }
    }
}

use self::cutter::Cutter;

impl RedisServer {
    fn socket(&self) -> PathBuf {
        self.how.folder.path().join("redis.sock")
    }

    /// `kill -9`.
    fn fall(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it is gone");
    }

    /// As a service manager does it.
    fn stop(&mut self) {
        signal(self.child.id(), "-TERM");
        self.child.wait().expect("it ends");
    }

    fn rise(&mut self) {
        self.child = self.how.launch();
    }

    /// Stops it in its tracks, and returns when it stands.
    fn freeze(&self) {
        signal(self.child.id(), "-STOP");
        let status = format!("/proc/{}/stat", self.child.id());
        while !std::fs::read_to_string(&status)
            .expect("it is there")
            .contains(") T ")
        {}
    }

    fn thaw(&self) {
        signal(self.child.id(), "-CONT");
    }

    /// Says something to it beside the store.
    fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url().expose()).expect("a URL");
        let mut connection = client.get_connection().expect("a connection");
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query(&mut connection).expect("an answer")
    }

    fn at(socket: &Path) -> Options {
        Options::new(Secret::from(format!("redis+unix://{}", socket.display())))
    }

    async fn open(&self) -> RedisStore {
        let options = Self::at(&self.socket());
        RedisStore::open(options).await.expect("the store opens")
    }

    async fn open_impatient(&self, patience: Duration) -> RedisStore {
        let options = Options {
            patience,
            ..Self::at(&self.socket())
        };
        RedisStore::open(options).await.expect("the store opens")
    }

    /// The folder of its append-only files.
    fn files(&self) -> PathBuf {
        self.how.folder.path().join("appendonlydir")
    }
}

fn signal(pid: u32, which: &str) {
    let kill = Command::new("kill")
        .args([which, &pid.to_string()])
        .status()
        .expect("there is a kill program");
    assert!(kill.success());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for file in std::fs::read_dir(from).expect("listed") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("copied");
    }
}

const FREE: Fence = Fence::UNLEASED;
const LONG: Duration = Duration::from_secs(3600);
const LATER: u64 = 4_000_000_000_000;

fn bodies(of: impl IntoIterator<Item = u32>) -> Vec<String> {
    of.into_iter().map(|n| format!("{{\"n\":{n}}}")).collect()
}

async fn told(store: &RedisStore, room: &str) -> Vec<String> {
    let log = store.read(room, 0).await.expect("read");
    log.records.into_iter().map(|record| record.body).collect()
}

fn session(name: &str) -> SessionRecord {
    SessionRecord {
        key: "k".into(),
        name: name.into(),
        room: None,
        expires_at: LATER,
    }
}

// ---- restarts

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_keeps_what_it_acknowledged_and_the_store_goes_on() {
    let mut server = RedisServer::start();
    let store = server.open().await;
    store.create("r", 1).await.expect("created");
    let mut next = 0;
    for enough in [1, 30, 100] {
        let writer = tokio::spawn({
            let store = store.clone();
            async move {
                let mut acknowledged = next;
                // Until the kill shows; what is in doubt then is looked up below.
                loop {
                    match store
                        .append("r", FREE, acknowledged, 5, bodies([acknowledged]))
                        .await
                    {
                        Ok(after) => acknowledged = after,
                        Err(error) => break (acknowledged, error),
                    }
                    if acknowledged == next + enough {
                        return (acknowledged, StoreError::Failed("enough".into()));
                    }
                }
            }
        });
        let (acknowledged, _) = writer.await.expect("it ends");
        assert!(acknowledged > next);
        server.fall();
        server.rise();
        let log = store.read("r", 0).await.expect("it is back");
        assert!(log.next >= acknowledged);
        assert_eq!(told(&store, "r").await, bodies(0..log.next));
        next = log.next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_server_that_is_being_restarted() {
    let mut server = RedisServer::start();
    let store = server.open_impatient(Duration::from_secs(60)).await;
    store.create("r", 1).await.expect("created");
    server.stop();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.append("r", FREE, 0, 5, bodies(0..2)).await }
    });
    server.rise();
    assert_eq!(waiting.await.expect("it ends"), Ok(2));
    assert_eq!(told(&store, "r").await, bodies(0..2));
}

#[tokio::test]
async fn a_restart_gives_rooms_another_epoch_and_disturbs_no_writer() {
    let mut server = RedisServer::start();
    let store = server.open().await;
    let mut epochs = vec![store.create("r", 1).await.expect("created")];
    let lease = store.acquire("r", "a", LONG).await.expect("free");
    for n in 0..3 {
        let appended = store.append("r", lease.fence, n, 5, bodies([n])).await;
        assert_eq!(appended, Ok(n + 1), "the writer goes on");
        server.stop();
        server.rise();
        let epoch = store.read("r", 0).await.expect("read").epoch;
        let other = server.open().await.read("r", 0).await.expect("read").epoch;
        assert_eq!(epoch, other, "all servers of a house agree");
        assert!(!epochs.contains(&epoch), "{epoch} in {epochs:?}");
        epochs.push(epoch);
    }
}

/// The server comes back with an older copy of its files, as from a backup or a replica that
/// lagged.
#[tokio::test]
async fn lost_acknowledged_writes_are_never_taken_for_what_was_before() {
    let mut server = RedisServer::start();
    let store = server.open().await;
    store.create("r", 1).await.expect("created");
    let early = store.acquire("r", "a", LONG).await.expect("free").fence;
    store
        .append("r", early, 0, 5, bodies(0..4))
        .await
        .expect("stored");
    server.stop();
    let backup = server.how.folder.path().join("backup");
    copy(&server.files(), &backup);
    server.rise();
    let lost = store.acquire("r", "a", LONG).await.expect("ours").fence;
    store
        .append("r", lost, 4, 5, bodies(4..10))
        .await
        .expect("stored");
    store.create("gone", 1).await.expect("created");
    let before = store.read("r", 0).await.expect("read");

    server.fall();
    std::fs::remove_dir_all(server.files()).expect("removed");
    copy(&backup, &server.files());
    server.rise();

    let after = store.read("r", 0).await.expect("read");
    assert_eq!(after.next, 4);
    assert_ne!(after.epoch, before.epoch, "offsets mean something else");
    // Who wrote before the loss cannot go on as if nothing had happened.
    let stale = store.append("r", lost, 10, 5, bodies(10..11)).await;
    assert!(matches!(stale, Err(StoreError::Fenced { .. })), "{stale:?}");
    let ahead = store.append("r", early, 10, 5, bodies(10..11)).await;
    assert!(matches!(ahead, Err(StoreError::Conflict { actual: 4, .. })));
    assert_eq!(
        store.append("gone", FREE, 0, 5, bodies(0..1)).await,
        Err(StoreError::NoSuchRoom("gone".into()))
    );
    // The log grows past the lost offsets, in an epoch that nobody saw before.
    let new = store.acquire("r", "a", LONG).await.expect("ours").fence;
    assert!(new > lost);
    store
        .append("r", new, 4, 5, bodies(50..60))
        .await
        .expect("stored");
    let grown = store.read("r", 0).await.expect("read");
    assert_eq!(grown.epoch, after.epoch);
    assert_ne!(grown.epoch, before.epoch);
}

// ---- silence

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_an_error_in_bounded_time_and_nothing_is_done_later() {
    let server = RedisServer::start();
    let patience = Duration::from_millis(400);
    let store = server.open_impatient(patience).await;
    let patient = server.open().await;
    patient.create("r", 1).await.expect("created");
    store.probe().await.expect("connected");

    server.freeze();
    let begin = Instant::now();
    let append = store.append("r", FREE, 0, 5, bodies(0..1)).await;
    assert!(begin.elapsed() >= patience);
    assert!(
        matches!(append, Err(StoreError::Unanswered(_))),
        "{append:?}"
    );
    let read = store.read("r", 0).await;
    assert!(matches!(read, Err(StoreError::Failed(_))), "{read:?}");
    server.thaw();

    // What had reached the server lies in its socket, and comes too late.
    patient.probe().await.expect("it is back");
    while store.probe().await.is_err() {}
    assert_eq!(told(&patient, "r").await, bodies(0..0));
    assert_eq!(store.append("r", FREE, 0, 5, bodies(3..4)).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_to_a_server_that_hangs_all_end() {
    let server = RedisServer::start();
    let store = server.open_impatient(Duration::from_secs(1)).await;
    store.probe().await.expect("connected");
    server.freeze();
    let calls: Vec<_> = (0..3000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.create(&n.to_string(), 1).await })
        })
        .collect();
    for call in calls {
        let error = call.await.expect("it ends").expect_err("nobody answers");
        assert!(matches!(
            error,
            StoreError::Failed(_) | StoreError::Unanswered(_)
        ));
    }
    server.thaw();
    while store.probe().await.is_err() {}
    assert_eq!(store.open_rooms().await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_at_once_are_all_done() {
    let server = RedisServer::start();
    let store = server.open_impatient(Duration::from_secs(60)).await;
    let calls: Vec<_> = (0..3000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.create(&n.to_string(), 1).await })
        })
        .collect();
    for call in calls {
        call.await.expect("it ends").expect("created");
    }
    assert_eq!(store.open_rooms().await.expect("listed").len(), 3000);
}

// ---- lost answers

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_answer_is_lost_is_done_once_and_answered_truly() {
    let server = RedisServer::start();
    let cutter = Cutter::before(&server.socket());
    let options = Options {
        patience: Duration::from_secs(60),
        ..RedisServer::at(&cutter.socket)
    };
    let store = RedisStore::open(options).await.expect("the store opens");

    cutter.lose_an_answer();
    let epoch = store.create("r", 1).await.expect("created once");
    assert!(cutter.has_lost_it());
    assert_eq!(store.read("r", 0).await.expect("read").epoch, epoch);
    assert_eq!(
        store.create("r", 1).await,
        Err(StoreError::RoomExists("r".into())),
        "another call is another call"
    );

    cutter.lose_an_answer();
    assert_eq!(store.append("r", FREE, 0, 5, bodies(0..3)).await, Ok(3));
    assert!(cutter.has_lost_it());
    assert_eq!(told(&store, "r").await, bodies(0..3));
    assert!(matches!(
        store.append("r", FREE, 0, 5, bodies(0..3)).await,
        Err(StoreError::Conflict { actual: 3, .. })
    ));

    cutter.lose_an_answer();
    let fence = store.acquire("r", "a", LONG).await.expect("ours").fence;
    assert!(cutter.has_lost_it());
    assert_eq!(store.append("r", fence, 3, 5, bodies(3..4)).await, Ok(4));

    let snapshot = Snapshot {
        offset: 2,
        body: "{}".into(),
    };
    cutter.lose_an_answer();
    store
        .put_snapshot("r", fence, &snapshot)
        .await
        .expect("kept");
    cutter.lose_an_answer();
    assert_eq!(store.trim("r", fence, 9).await, Ok(2));
    cutter.lose_an_answer();
    let played = [Outcome {
        kind: Kind::Person,
        id: "ada".into(),
        name: "Ada".into(),
        won: true,
        points: 3,
    }];
    assert_eq!(store.add_results("r", 1, &played).await, Ok(true));
    let board = store.top(Kind::Person, 9).await.expect("listed");
    assert_eq!((board[0].games, board[0].points), (1, 3));
    cutter.lose_an_answer();
    store.close("r", fence, 10).await.expect("closed");
    cutter.lose_an_answer();
    store.release("r", fence).await.expect("given back");
    assert!(cutter.has_lost_it());
    assert_eq!(store.holder("r").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_network_delivers_late_does_not_undo_what_came_after() {
    let server = RedisServer::start();
    let cutter = Cutter::before(&server.socket());
    let options = Options {
        patience: Duration::from_secs(60),
        ..RedisServer::at(&cutter.socket)
    };
    let store = RedisStore::open(options).await.expect("the store opens");
    store.probe().await.expect("connected");
    cutter.hold();
    // Silence makes the store take another connection, and ends the first.
    store.put_session(&session("old")).await.expect("kept");
    store.put_session(&session("new")).await.expect("kept");
    cutter.let_go();
    store.probe().await.expect("connected");
    let kept = store.session("k", 0).await.expect("read").expect("kept");
    assert_eq!(kept.name, "new");
    let killed: String = server.ask(&["CLIENT", "LIST"]);
    // Ours, and the one that asks.
    assert_eq!(killed.lines().count(), 2, "{killed}");
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_loaded_again() {
    let server = RedisServer::start();
    let store = server.open().await;
    store.create("r", 1).await.expect("created");
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(store.append("r", FREE, 0, 5, bodies(0..2)).await, Ok(2));
    assert_eq!(told(&store, "r").await, bodies(0..2));
}

// ---- memory

#[tokio::test]
async fn full_memory_is_an_error_nothing_is_half_done_and_it_goes_on_when_there_is_room() {
    let server = RedisServer::start_with(&[("maxmemory", "6mb")]);
    let store = server.open().await;
    store.create("r", 1).await.expect("created");
    let body = "x".repeat(20_000);
    let mut stored = 0;
    let error = loop {
        let three = vec![body.clone(), body.clone(), body.clone()];
        match store.append("r", FREE, stored, 5, three).await {
            Ok(next) => stored = next,
            Err(error) => break error,
        }
        assert!(stored < 3000, "the limit does not hold");
    };
    assert!(
        matches!(&error, StoreError::Failed(why) if why.contains("OOM")),
        "{error}"
    );
    assert!(stored > 0);
    // Where a long line finds no room, a short one may.
    let short = || vec!["y".repeat(200)];
    while let Ok(next) = store.append("r", FREE, stored, 5, short()).await {
        stored = next;
    }
    assert!(store.probe().await.is_err(), "health shows it");
    assert!(store.create("s", 1).await.is_err());
    let log = store
        .read("r", 0)
        .await
        .expect("what is stored can be read");
    assert_eq!((log.next, log.records.len()), (stored, stored as usize));
    assert_eq!(store.open_rooms().await, Ok(vec!["r".to_owned()]));

    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "7mb"]);
    let snapshot = Snapshot {
        offset: stored,
        body: "{}".into(),
    };
    store
        .put_snapshot("r", FREE, &snapshot)
        .await
        .expect("kept");
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "6mb"]);
    assert!(store.probe().await.is_err(), "it is full again");
    // What frees memory is done when there is none.
    assert_eq!(store.trim("r", FREE, stored).await, Ok(stored));
    store.probe().await.expect("there is room");
    let more = store.append("r", FREE, stored, 5, vec![body]).await;
    assert_eq!(more, Ok(stored + 1), "with room the log goes on");
}

#[tokio::test]
async fn what_people_said_is_gone_from_redis_when_it_has_expired() {
    let server = RedisServer::start();
    let store = server.open().await;
    store.create("r", 1).await.expect("created");
    store
        .append("r", FREE, 0, 5, bodies(0..3))
        .await
        .expect("stored");
    store.put_session(&session("Ada")).await.expect("kept");
    store.close("r", FREE, 10).await.expect("closed");
    store.expire(LATER, 11).await.expect("thrown away");
    let mut left: Vec<String> = server.ask(&["KEYS", "*"]);
    left.sort();
    assert_eq!(left, ["parlour:rooms"], "a counter, nobody's");
    // By its own clock Redis forgets a session that nobody throws away.
    let mut past = session("Ada");
    past.expires_at = 1;
    store.put_session(&past).await.expect("taken");
    let there: i64 = server.ask(&["EXISTS", "parlour:session:k"]);
    assert_eq!(there, 0);
}

// ---- settings

#[tokio::test]
async fn a_server_that_would_throw_rooms_away_is_refused_at_the_start() {
    let server = RedisServer::start();
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let _: String = server.ask(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let refused = RedisStore::open(RedisServer::at(&server.socket()))
            .await
            .expect_err("refused");
        let why = refused.to_string();
        assert!(why.contains(policy) && why.contains("noeviction"), "{why}");
    }
}

#[tokio::test]
async fn the_store_says_what_its_answers_are_worth() {
    for (settings, worth) in [
        (vec![], Durability::Disk),
        (vec![("appendfsync", "everysec")], Durability::EverySecond),
        (vec![("appendfsync", "no")], Durability::Kernel),
        (vec![("appendonly", "no")], Durability::Memory),
    ] {
        let server = RedisServer::start_with(&settings);
        assert_eq!(server.open().await.durability(), worth, "{settings:?}");
    }
}

/// With `appendfsync everysec` a server that knows WAITAOF is asked after each group of writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_disk_can_be_asked_each_answer_waits_for_it() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/valkey");
    let found = Command::new(tool).output().expect("the tool runs");
    let said = String::from_utf8(found.stdout).expect("text");
    let program = said.lines().next().unwrap_or_else(|| {
        panic!("no Valkey: {}", String::from_utf8_lossy(&found.stderr));
    });
    let server = RedisServer::start_program(program.into(), &[("appendfsync", "everysec")]);
    let store = server.open_impatient(Duration::from_secs(60)).await;
    assert_eq!(store.durability(), Durability::Disk);
    store.create("r", 1).await.expect("created");
    let before: String = server.ask(&["INFO", "commandstats"]);
    assert!(before.contains("cmdstat_waitaof:calls=1,"), "{before}");
    let writers: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.create(&n.to_string(), 1).await })
        })
        .collect();
    for writer in writers {
        writer.await.expect("it ends").expect("created");
    }
    store.read("r", 0).await.expect("reading waits for no disk");
    let after: String = server.ask(&["INFO", "commandstats"]);
    let asked = after.split("cmdstat_waitaof:calls=").nth(1).expect("asked");
    let asked: u32 = asked
        .split(',')
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    assert!((2..=21).contains(&asked), "{asked} times for 20 writes");
}

#[tokio::test]
async fn a_password_is_used_and_never_told() {
    let secret = "correct-horse";
    let server = RedisServer::start_with(&[("requirepass", secret)]);
    let at = |password: &str, socket: &Path| {
        let url = format!("redis+unix://{}?pass={password}", socket.display());
        Options {
            patience: Duration::from_secs(1),
            ..Options::new(Secret::from(url))
        }
    };
    let options = at(secret, &server.socket());
    assert!(!format!("{options:?}").contains(secret));
    let store = RedisStore::open(options).await.expect("the store opens");
    assert!(!format!("{store:?}").contains(secret));
    for (password, socket) in [
        ("wrong-donkey", server.socket()),
        ("", server.socket()),
        ("wrong-donkey", server.how.folder.path().join("nobody")),
    ] {
        let refused = RedisStore::open(at(password, &socket)).await;
        let why = refused.expect_err("refused").to_string();
        assert!(!why.contains("donkey"), "{why}");
        assert!(why.contains("Redis"), "{why}");
    }
    let nonsense = Options::new(Secret::from(format!("redis//{secret}@host")));
    let why = RedisStore::open(nonsense).await.expect_err("refused");
    assert!(!why.to_string().contains(secret), "{why}");
}

/// `parlour serve`. Killed when dropped.
struct House(std::process::Child);

impl Drop for House {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_house_without_its_redis_is_alive_but_not_ready_and_tells_no_password() {
    let secret = "correct-horse";
    let server = RedisServer::start_with(&[("requirepass", secret)]);
    let data = tempfile::tempdir().expect("a folder");
    let log = data.path().join("said");
    let mut child = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .arg("serve")
        .env("PARLOUR_REDIS_URL", {
            let url = server.url();
            format!("{}?pass={secret}", url.expose())
        })
        .env("PARLOUR_BIND", "127.0.0.1:0")
        .env("PARLOUR_DATA", data.path())
        // Nobody answers there, and nobody asks.
        .env("PARLOUR_WITNESS", "http://127.0.0.1:9/v1")
        .env("PARLOUR_JUDGE", "http://127.0.0.1:9/v1")
        .env("PARLOUR_LOG", "trace")
        .stdout(std::process::Stdio::piped())
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("the program starts");
    let said = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let _house = House(child);
    let address = std::io::BufRead::lines(said)
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("ready on ")?.to_owned()))
        .unwrap_or_else(|| panic!("{}", std::fs::read_to_string(&log).expect("text")));
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{address}{path}")).await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("text"))
    };
    let ready = get("/health/ready").await;
    assert_eq!(ready.0, 200, "{}", ready.1);
    assert!(ready.1.contains("\"home\":\"redis\""), "{}", ready.1);
    assert!(ready.1.contains("\"durability\":\"disk\""), "{}", ready.1);
    let metrics = get("/metrics").await.1;
    let fact = "parlour_store_info{home=\"redis\",durability=\"disk\"} 1";
    assert!(metrics.contains(fact), "{metrics}");

    server.freeze();
    let away = get("/health/ready").await;
    assert_eq!(away.0, 503);
    assert!(away.1.contains("Redis"), "{}", away.1);
    assert_eq!(get("/health/live").await.0, 200);
    server.thaw();
    while get("/health/ready").await.0 != 200 {}
    let told = std::fs::read_to_string(&log).expect("text") + &away.1;
    assert!(told.contains("the store is Redis"), "{told}");
    assert!(!told.contains(secret), "{told}");
}

#[tokio::test]
async fn two_houses_on_one_server_do_not_meet() {
    let server = RedisServer::start();
    let other = Options {
        prefix: "other:".into(),
        ..RedisServer::at(&server.socket())
    };
    let (one, two) = (
        server.open().await,
        RedisStore::open(other).await.expect("the store opens"),
    );
    one.create("r", 1).await.expect("created");
    assert_eq!(two.open_rooms().await, Ok(vec![]));
    two.create("r", 1).await.expect("the name is free there");
}

// ---- neighbours

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_had_a_session_before_hears_once_that_it_went_on() {
    let server = RedisServer::start();
    let (one, other) = (server.open().await, server.open().await);
    let one = AnyStore::from(one);
    let other = AnyStore::from(other);
    let (one, other) = (
        one.neighbours().expect("shared"),
        other.neighbours().expect("shared"),
    );
    let first = one.arrive("s", "one", LONG).await.expect("there");
    let again = one.arrive("s", "one", LONG).await.expect("there");
    assert!(again > first);
    let start = Heard::default();
    let (words, heard) = one.words("one", &start).await.expect("read");
    assert_eq!(words, [], "nobody tells themselves");
    let number = other.arrive("s", "other", LONG).await.expect("there");
    assert!(number > again);
    let room = "r".to_owned();
    let left = Word::Abandoned { room };
    other.tell("one", &left).await.expect("told");
    let (words, now) = one.words("one", &heard).await.expect("read");
    let session = "s".to_owned();
    assert_eq!(words, [Word::Elsewhere { session, number }, left]);
    assert_eq!(one.words("one", &now).await, Ok((vec![], now.clone())));
    assert_eq!(other.words("other", &start).await, Ok((vec![], start)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_tables_is_shown_to_the_others_until_it_is_taken_away_or_its_time_is_up() {
    let server = RedisServer::start();
    let store = AnyStore::from(server.open().await);
    let house = store.neighbours().expect("shared");
    let list = |text: &str| Some(text.to_owned());
    house
        .list_tables("a", list("of a"), LONG)
        .await
        .expect("shown");
    house
        .list_tables("b", list("of b"), LONG)
        .await
        .expect("shown");
    assert_eq!(house.tables("a").await, Ok(vec!["of b".to_owned()]));
    house
        .list_tables("b", list("new"), LONG)
        .await
        .expect("shown");
    assert_eq!(house.tables("a").await, Ok(vec!["new".to_owned()]));
    house.list_tables("b", None, LONG).await.expect("gone");
    assert_eq!(house.tables("a").await, Ok(vec![]));
    let blink = Duration::from_millis(1);
    house
        .list_tables("b", list("brief"), blink)
        .await
        .expect("shown");
    while house.tables("a").await != Ok(vec![]) {}
    assert_eq!(house.tables("b").await, Ok(vec!["of a".to_owned()]));
}
