//! A connection to Redis that comes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{FromRedisValue, RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::sync::{Mutex, watch};

use super::{
    FleetError,
    scripts::{SOURCES, Script},
};
use crate::config::Secret;

/// How long Redis may take to be reached, and to answer what does not wait for anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pauses before it is tried again, the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// One Redis, by an address that can be shown.
#[derive(Clone)]
pub(super) struct Redis {
    client: redis::Client,
    address: String,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redis({})", self.address)
    }
}

impl Redis {
    pub(super) fn new(url: &Secret) -> Result<Self, FleetError> {
        // The error's own text may hold a part of the URL, and that a password.
        let client = redis::Client::open(url.expose()).map_err(|_| FleetError::Url)?;
        let address = client.get_connection_info().addr().to_string();
        Ok(Self { client, address })
    }

    /// A connection for commands that wait in Redis; whoever uses it limits their time.
    pub(super) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        self.open(None).await
    }

    async fn open(&self, patience: Option<Duration>) -> RedisResult<MultiplexedConnection> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(patience);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }
}

/// What `work` gives, which waits in Redis for up to `wait`.
pub(super) async fn within<T>(
    wait: Duration,
    work: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    match tokio::time::timeout(wait + PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

/// The next pause after `pause`.
pub(super) fn longer(pause: Option<Duration>) -> Duration {
    pause.map_or(PAUSES.0, |pause| (pause * 2).min(PAUSES.1))
}

#[derive(Clone)]
struct Open {
    /// Which connection this is.
    number: u64,
    connection: MultiplexedConnection,
    /// SHA-1 of each script, as Redis told it.
    hashes: Arc<[String]>,
}

/// How Redis has been reached lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing was asked of it yet.
    Unknown,
    Away,
    Here,
}

impl Reach {
    pub(super) fn is_here(self) -> bool {
        self == Self::Here
    }
}

/// Runs scripts over one shared connection; opens another one when that breaks.
pub(super) struct Line {
    redis: Redis,
    open: Mutex<Option<Open>>,
    opened: AtomicU64,
    reach: watch::Sender<Reach>,
}

impl Line {
    pub(super) fn new(redis: Redis) -> Self {
        Self {
            redis,
            open: Mutex::default(),
            opened: AtomicU64::new(0),
            reach: watch::Sender::new(Reach::Unknown),
        }
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.redis
    }

    /// Whether the last thing that was asked of Redis was answered.
    pub(super) fn reach(&self) -> Reach {
        *self.reach.borrow()
    }

    /// Runs a script. What it does is done once, or not, or, when the connection broke, nobody
    /// knows: each is made so that it can be run again.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: Script,
        keys: &[&str],
        arguments: &[&str],
    ) -> RedisResult<T> {
        let answer = match self.connection().await {
            Ok(open) => {
                let mut connection = open.connection;
                let answer = redis::cmd("EVALSHA")
                    .arg(&open.hashes[script as usize])
                    .arg(keys.len())
                    .arg(keys)
                    .arg(arguments)
                    .query_async(&mut connection)
                    .await;
                if answer.is_err() {
                    // Another one may have taken its place already.
                    let mut now = self.open.lock().await;
                    now.take_if(|now| now.number == open.number);
                }
                answer
            }
            Err(error) => Err(error),
        };
        match &answer {
            Ok(_) => self.is_here(),
            Err(error) => self.is_away(error),
        }
        answer
    }

    /// As [`Self::run`], until it is answered.
    pub(super) async fn insist<T: FromRedisValue>(
        &self,
        script: Script,
        keys: &[&str],
        arguments: &[&str],
    ) -> T {
        let mut pause = None;
        loop {
            match self.run(script, keys, arguments).await {
                Ok(answer) => return answer,
                Err(error) => tracing::debug!(%error, ?script, "to be run again"),
            }
            let next = longer(pause);
            tokio::time::sleep(next).await;
            pause = Some(next);
        }
    }

    async fn connection(&self) -> RedisResult<Open> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        let mut connection = self.redis.open(Some(PATIENCE)).await?;
        let mut load = redis::pipe();
        for source in SOURCES {
            load.cmd("SCRIPT").arg("LOAD").arg(source);
        }
        let hashes: Vec<String> = load.query_async(&mut connection).await?;
        let opened = Open {
            number: self.opened.fetch_add(1, Ordering::Relaxed),
            connection,
            hashes: hashes.into(),
        };
        *open = Some(opened.clone());
        Ok(opened)
    }

    fn is_here(&self) {
        let was_away = self.reach.send_replace(Reach::Here) == Reach::Away;
        if was_away {
            tracing::info!(redis = self.redis.address, "Redis is back");
        }
    }

    /// One that answers no (its memory is full, it is still reading its file) is of no more
    /// use than one that does not answer.
    fn is_away(&self, error: &RedisError) {
        let changed = self.reach.send_replace(Reach::Away) != Reach::Away;
        if changed {
            tracing::warn!(redis = self.redis.address, %error, "Redis is away");
        }
    }
}
