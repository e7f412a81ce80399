//! What is said on every new connection before anything else: who the server is, whether
//! it may hold a house at all, and what its answers are worth.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use redis::{Value, aio::MultiplexedConnection};

use super::{reply::text, scripts::SOURCES};

/// The oldest server whose scripts may read the clock before they write without further ado,
/// and go on writing when memory is full.
const OLDEST: (u32, u32) = (7, 0);

/// The first one that can be asked whether the file on disk has caught up.
const KNOWS_WAITAOF: (u32, u32) = (7, 2);

/// What survives what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Each answer waits until the disk has it.
    Disk,
    /// The disk has it about a second after the answer.
    EverySecond,
    /// The disk has it when the system likes: about half a minute.
    Kernel,
    /// Only what a snapshot of the whole server caught, if anything.
    Memory,
    /// An append-only file is kept, but the server does not say how often it is flushed.
    Unknown,
}

impl Durability {
    /// A word for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::EverySecond => "every-second",
            Self::Kernel => "kernel",
            Self::Memory => "memory",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "what is answered is on disk",
            Self::EverySecond => {
                "the last second can be lost with the machine (appendfsync everysec)"
            }
            Self::Kernel => "about half a minute can be lost with the machine (appendfsync no)",
            Self::Memory => {
                "everything since the server's last snapshot can be lost (appendonly no)"
            }
            Self::Unknown => "the server does not say how often its append-only file is flushed",
        })
    }
}

/// Why a connection cannot be used.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Now; it may be better soon.
    Passing(String),
    /// Until somebody changes a setting.
    Lasting(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passing(why) | Self::Lasting(why) => f.write_str(why),
        }
    }
}

/// What holds on one connection, which never outlives the server's process.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) line: Line,
    pub(super) version: String,
    pub(super) durability: Durability,
    /// Whether each group of writes is followed by a question whether the disk has it.
    pub(super) asks_the_disk: bool,
    /// The scripts' names at the server, in the order of [`SOURCES`].
    pub(super) scripts: Vec<String>,
    clock: (Instant, u64),
}

/// How long a clock that was read is relied upon: two clocks drift apart by milliseconds a minute.
const CLOCK_HOLDS: Duration = Duration::from_secs(60);

impl Terms {
    /// The server's clock at an instant, milliseconds since the Unix epoch; rather too early
    /// than too late, unless its clock jumped since.
    pub(super) fn server_time(&self, at: Instant) -> u64 {
        let (read, clock) = self.clock;
        let since = at.saturating_duration_since(read).as_millis();
        clock.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// Whether the server's clock should be read again.
    pub(super) fn clock_is_old(&self) -> bool {
        self.clock.0.elapsed() > CLOCK_HOLDS
    }

    /// Takes the answer to `TIME`, which was read at this instant.
    pub(super) fn set_clock(&mut self, told: Value) {
        if let Ok(clock) = time(told) {
            self.clock = (Instant::now(), clock);
        }
    }
}

/// A connection as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Another one after every start of the server.
    pub(super) run: String,
    /// A number that begins anew with every start.
    pub(super) id: i64,
}

/// Looks at the server and makes it ready. `before` is this side's last connection: it is
/// ended first, so that nothing that it still holds is done later.
pub(super) async fn greet(
    connection: &mut MultiplexedConnection,
    before: Option<&Line>,
) -> Result<Terms, Trouble> {
    let terms = look(connection).await?;
    // Nobody's number the first time: whether it is allowed at all should show at the start.
    let id = before
        .filter(|line| line.run == terms.line.run)
        .map_or(i64::MAX, |line| line.id);
    let mut end = redis::cmd("CLIENT");
    end.arg("KILL").arg("ID").arg(id);
    // To end what is gone already is no error.
    let told = connection.send_packed_command(&end).await;
    said(told.map_err(|error| Trouble::Passing(error.to_string()))?)?;
    Ok(terms)
}

async fn look(connection: &mut MultiplexedConnection) -> Result<Terms, Trouble> {
    let mut questions = redis::pipe();
    questions.cmd("CLIENT").arg("ID");
    questions.cmd("INFO");
    questions.cmd("CONFIG").arg("GET").arg("appendfsync");
    for source in SOURCES {
        questions.cmd("SCRIPT").arg("LOAD").arg(*source);
    }
    questions.cmd("TIME");
    let count = questions.len();
    let answers = connection
        .send_packed_commands(&questions, 0, count)
        .await
        .map_err(|error| Trouble::Passing(error.to_string()))?;
    let read = Instant::now();
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or_default();

    let Value::Int(id) = said(next())? else {
        return Err(unreadable());
    };
    let info = text(Some(said(next())?)).map_err(|_| unreadable())?;
    let info = fields(&info);
    let fsync = second(next());
    admit(&info)?;
    let scripts = (0..SOURCES.len())
        .map(|_| text(Some(said(next())?)).map_err(|_| unreadable()))
        .collect::<Result<_, Trouble>>()?;
    let clock = time(said(next())?)?;

    let version = info.get("redis_version").copied().unwrap_or_default();
    let (durability, asks_the_disk) = worth(&info, fsync.as_deref(), number(version));
    let run = info.get("run_id").ok_or_else(unreadable)?;
    Ok(Terms {
        line: Line {
            run: (*run).to_owned(),
            id,
        },
        version: version.to_owned(),
        durability,
        asks_the_disk,
        scripts,
        clock: (read, clock),
    })
}

/// Whether a house may live there.
fn admit(info: &HashMap<&str, &str>) -> Result<(), Trouble> {
    let says = |name: &str| info.get(name).copied().unwrap_or_default();
    let lasting = |why: String| Err(Trouble::Lasting(why));
    if says("loading") == "1" {
        return Err(Trouble::Passing("it still loads what it holds".into()));
    }
    let version = says("redis_version");
    if number(version) < OLDEST {
        return lasting(format!(
            "it is version {version}; {}.{} or newer is needed",
            OLDEST.0, OLDEST.1
        ));
    }
    if says("cluster_enabled") == "1" {
        return lasting(
            "it is a cluster; a house needs one server (with replicas, if you like)".into(),
        );
    }
    if says("role") != "master" {
        return Err(Trouble::Passing(
            "it is a replica, which takes no writes".into(),
        ));
    }
    let policy = says("maxmemory_policy");
    if policy != "noeviction" {
        return lasting(format!(
            "its maxmemory-policy is {policy}: it would throw rooms away when memory is full; \
             set it to noeviction"
        ));
    }
    Ok(())
}

/// What the server's answers are worth, and whether the disk has to be asked.
fn worth(
    info: &HashMap<&str, &str>,
    fsync: Option<&str>,
    version: (u32, u32),
) -> (Durability, bool) {
    if info.get("aof_enabled") != Some(&"1") {
        return (Durability::Memory, false);
    }
    match fsync {
        // The server flushes before it answers.
        Some("always") => (Durability::Disk, false),
        // It flushes every second: whoever waits for that has to wait so long.
        Some("everysec") | None if version >= KNOWS_WAITAOF => (Durability::Disk, true),
        Some("everysec") => (Durability::EverySecond, false),
        Some("no") => (Durability::Kernel, false),
        _ => (Durability::Unknown, false),
    }
}

/// The lines `name:value`.
fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .collect()
}

/// Major and minor.
fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The value of a setting; none when it may not be read.
fn second(value: Value) -> Option<String> {
    match value {
        Value::Array(values) => text(values.into_iter().nth(1)).ok(),
        Value::Map(pairs) => text(pairs.into_iter().next().map(|(_, value)| value)).ok(),
        _ => None,
    }
}

/// Seconds and microseconds as milliseconds.
fn time(value: Value) -> Result<u64, Trouble> {
    let Value::Array(parts) = value else {
        return Err(unreadable());
    };
    let mut parts = parts
        .into_iter()
        .map(|part| text(Some(part)).ok()?.parse::<u64>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(seconds), Some(micros)) => Ok(seconds.saturating_mul(1000) + micros / 1000),
        _ => Err(unreadable()),
    }
}

/// An answer that is no error.
fn said(value: Value) -> Result<Value, Trouble> {
    match value {
        Value::ServerError(error) => {
            let why = error.to_string();
            Err(match error.code() {
                "NOAUTH" | "WRONGPASS" | "NOPERM" => Trouble::Lasting(why),
                _ => Trouble::Passing(why),
            })
        }
        other => Ok(other),
    }
}

fn unreadable() -> Trouble {
    Trouble::Lasting("it does not answer like Redis".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(lines: &[&'static str]) -> HashMap<&'static str, &'static str> {
        let mut all = fields(
            "redis_version:7.0.15\r\ncluster_enabled:0\r\nrole:master\r\nloading:0\r\n\
             maxmemory_policy:noeviction\r\naof_enabled:1",
        );
        all.extend(lines.iter().filter_map(|line| line.split_once(':')));
        all
    }

    #[test]
    fn a_server_that_would_lose_rooms_by_its_settings_is_refused_with_the_reason() {
        assert!(admit(&info(&[])).is_ok());
        for (line, word) in [
            ("maxmemory_policy:allkeys-lru", "noeviction"),
            ("maxmemory_policy:volatile-ttl", "noeviction"),
            ("redis_version:6.2.14", "7.0"),
            ("cluster_enabled:1", "cluster"),
        ] {
            match admit(&info(&[line])) {
                Err(Trouble::Lasting(why)) => assert!(why.contains(word), "{why}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        for line in ["loading:1", "role:slave"] {
            assert!(matches!(admit(&info(&[line])), Err(Trouble::Passing(_))));
        }
    }

    #[test]
    fn what_an_answer_is_worth_follows_from_the_settings() {
        let on = info(&[]);
        let off = info(&["aof_enabled:0"]);
        for (info, fsync, version, expected) in [
            (&on, Some("always"), (7, 0), (Durability::Disk, false)),
            (&on, Some("always"), (7, 2), (Durability::Disk, false)),
            (
                &on,
                Some("everysec"),
                (7, 0),
                (Durability::EverySecond, false),
            ),
            (&on, Some("everysec"), (7, 2), (Durability::Disk, true)),
            (&on, Some("no"), (8, 0), (Durability::Kernel, false)),
            (&on, None, (7, 0), (Durability::Unknown, false)),
            (&off, Some("always"), (7, 2), (Durability::Memory, false)),
        ] {
            assert_eq!(
                worth(info, fsync, version),
                expected,
                "{fsync:?} {version:?}"
            );
        }
    }
}
