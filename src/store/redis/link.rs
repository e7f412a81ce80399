//! The one task that speaks with the server. It takes what waits, sends it together, and
//! asks again over a new connection when an answer was lost: every script knows its own
//! call again, so that nothing is done twice.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::RngExt as _;
use redis::{AsyncConnectionConfig, Client, Cmd, ServerError, Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    greeting::{Line, Terms, Trouble, greet},
    reply::{LATE, Reply},
    scripts::Script,
};
use crate::store::StoreError;

/// Calls that are sent together, at most.
const GROUP: usize = 128;

/// How long a connection may keep silent before another one is tried.
const SILENCE: Duration = Duration::from_secs(2);

/// How soon the server is tried again: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_AT_MOST: Duration = Duration::from_secs(1);

/// What the caller is told, and since when it could be true.
pub(super) type Answer = oneshot::Sender<Result<Reply, StoreError>>;

/// A call in the queue.
pub(super) struct Call {
    pub(super) script: Script,
    pub(super) keys: Vec<String>,
    pub(super) args: Vec<Vec<u8>>,
    /// The caller waits no longer, and the server does nothing any more.
    pub(super) until: Instant,
    /// True from when the server may have heard of it.
    pub(super) asked: Arc<AtomicBool>,
    pub(super) answer: Answer,
    /// An answer was lost, so that it may be done already.
    pub(super) in_doubt: bool,
}

impl Call {
    fn command(&self, terms: &Terms) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&terms.scripts[self.script as usize]);
        command.arg(self.keys.len()).arg(&self.keys);
        if self.script.writes() {
            command.arg(terms.server_time(self.until));
        } else {
            command.arg("");
        }
        command.arg(&terms.line.run).arg(&self.args);
        command
    }

    /// The server refused to run the script at all.
    fn fail(self, why: String) {
        let error = if self.in_doubt && self.script.writes() {
            StoreError::Unanswered(why)
        } else {
            StoreError::Failed(why)
        };
        self.reply(Err(error));
    }

    fn reply(self, answer: Result<Reply, StoreError>) {
        // A caller that went away needs no answer.
        let _ = self.answer.send(answer);
    }
}

/// What everybody may know of the link.
#[derive(Debug, Default)]
pub(super) struct Weather(Mutex<Option<String>>);

impl Weather {
    /// Why the server cannot be reached now, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Keeps the newest trouble; true when it is another one than before.
    fn set(&self, trouble: Option<String>) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *known != trouble;
        *known = trouble;
        changed
    }
}

/// The link to one server. Runs until the last handle of the store is dropped.
pub(super) struct Link {
    client: Client,
    /// Host and port, or the path of a socket; never the password.
    address: String,
    connection: Option<(MultiplexedConnection, Terms)>,
    /// The last connection, which has to be ended before another one is used.
    before: Option<Line>,
    terms: watch::Sender<Terms>,
    weather: Arc<Weather>,
    pause: Duration,
}

impl Link {
    /// Connects, trying until `until`.
    pub(super) async fn open(client: Client, until: Instant) -> Result<Self, StoreError> {
        let address = client.get_connection_info().addr().to_string();
        let mut pause = PAUSE;
        let (connection, terms) = loop {
            match connect(&client, None).await {
                Ok(connected) => break connected,
                Err(Trouble::Passing(_)) if Instant::now() + pause < until => {
                    tokio::time::sleep(jittered(pause)).await;
                    pause = (pause * 2).min(PAUSE_AT_MOST);
                }
                Err(why) => {
                    return Err(StoreError::Failed(format!(
                        "Redis at {address} cannot be used: {why}"
                    )));
                }
            }
        };
        let link = Self {
            client,
            address,
            terms: watch::Sender::new(terms.clone()),
            connection: Some((connection, terms.clone())),
            before: None,
            weather: Arc::default(),
            pause: PAUSE,
        };
        link.announce(&terms);
        Ok(link)
    }

    pub(super) fn terms(&self) -> watch::Receiver<Terms> {
        self.terms.subscribe()
    }

    pub(super) fn weather(&self) -> Arc<Weather> {
        Arc::clone(&self.weather)
    }

    pub(super) async fn serve(mut self, mut calls: mpsc::Receiver<Call>) {
        let mut waiting = Vec::with_capacity(GROUP);
        loop {
            if waiting.is_empty() && calls.recv_many(&mut waiting, GROUP).await == 0 {
                return;
            }
            // Whose caller waits no longer may be done or not, as ever.
            let now = Instant::now();
            waiting.retain(|call: &Call| call.until > now && !call.answer.is_closed());
            if waiting.is_empty() {
                continue;
            }
            if self.connection.is_none() {
                self.reconnect().await;
            }
            if let Some((mut connection, mut terms)) = self.connection.take() {
                match exchange(&mut connection, &mut terms, &mut waiting).await {
                    Ok(()) => {
                        self.connection = Some((connection, terms));
                        self.pause = PAUSE;
                    }
                    Err(why) => {
                        self.before = Some(terms.line);
                        self.complain(&why);
                    }
                }
            }
            if !waiting.is_empty() {
                tokio::time::sleep(jittered(self.pause)).await;
                self.pause = (self.pause * 2).min(PAUSE_AT_MOST);
            }
        }
    }

    async fn reconnect(&mut self) {
        match connect(&self.client, self.before.as_ref()).await {
            Ok((connection, terms)) => {
                let before = self.before.take();
                if before.is_some_and(|line| line.run != terms.line.run) {
                    tracing::warn!(
                        address = self.address,
                        "Redis was started anew; every room gets another epoch"
                    );
                }
                if self.weather.set(None) {
                    tracing::info!(address = self.address, "Redis is back");
                }
                if terms.durability != self.terms.borrow().durability {
                    self.announce(&terms);
                }
                self.terms.send_replace(terms.clone());
                self.connection = Some((connection, terms));
            }
            Err(why) => self.complain(&why.to_string()),
        }
    }

    fn complain(&self, why: &str) {
        if self.weather.set(Some(why.to_owned())) {
            tracing::warn!(address = self.address, why, "Redis cannot be used now");
        }
    }

    fn announce(&self, terms: &Terms) {
        use super::Durability;

        let (address, version) = (&self.address, &terms.version);
        match terms.durability {
            Durability::Disk => {
                tracing::info!(address, version, "the store is Redis: {}", terms.durability);
            }
            less => tracing::warn!(
                address,
                version,
                "the store is Redis and KEEPS LESS THAN IT COULD: {less}; \
                 set `appendonly yes` and `appendfsync always`"
            ),
        }
    }
}

async fn connect(
    client: &Client,
    before: Option<&Line>,
) -> Result<(MultiplexedConnection, Terms), Trouble> {
    let passing = |error: redis::RedisError| match error.kind() {
        redis::ErrorKind::AuthenticationFailed | redis::ErrorKind::InvalidClientConfig => {
            Trouble::Lasting(error.to_string())
        }
        _ => Trouble::Passing(error.to_string()),
    };
    // Only the link measures time: a group of calls takes as long as the slowest.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(SILENCE))
        .set_response_timeout(None);
    let work = async {
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(passing)?;
        let terms = greet(&mut connection, before).await?;
        Ok((connection, terms))
    };
    tokio::time::timeout(SILENCE, work)
        .await
        .unwrap_or_else(|_| Err(Trouble::Passing("it does not answer".into())))
}

/// Sends all calls that wait and answers them. What is left in `waiting` has to be asked
/// again. On an error the connection is of no use any more.
async fn exchange(
    connection: &mut MultiplexedConnection,
    terms: &mut Terms,
    waiting: &mut Vec<Call>,
) -> Result<(), String> {
    let mut group = redis::pipe();
    for call in waiting.iter() {
        group.add_command(call.command(terms));
        call.asked.store(true, Ordering::Relaxed);
    }
    let asks_the_disk = terms.asks_the_disk && waiting.iter().any(|call| call.script.writes());
    let asks_the_time = terms.clock_is_old();
    if asks_the_time {
        group.cmd("TIME");
    }
    if asks_the_disk {
        let patience = SILENCE.as_millis() as u64;
        group.cmd("WAITAOF").arg(1).arg(0).arg(patience);
    }
    let count = group.len();
    let work = connection.send_packed_commands(&group, 0, count);
    // The disk may take its whole time and still answer.
    let patience = if asks_the_disk { SILENCE * 2 } else { SILENCE };
    let lost = match tokio::time::timeout(patience, work).await {
        Ok(Ok(mut answers)) if answers.len() == count => {
            let on_disk = !asks_the_disk || answers.pop().is_some_and(|told| disk_has_it(&told));
            if asks_the_time && let Some(told) = answers.pop() {
                terms.set_clock(told);
            }
            return settle(answers, on_disk, waiting);
        }
        Ok(Ok(_)) => "it answers more or less than it was asked".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    };
    for call in waiting {
        call.in_doubt = true;
    }
    Err(lost)
}

/// Gives each call its answer, or keeps it.
fn settle(answers: Vec<Value>, on_disk: bool, waiting: &mut Vec<Call>) -> Result<(), String> {
    let mut again = Vec::new();
    let mut unfit = None;
    for (call, answer) in waiting.drain(..).zip(answers) {
        match Verdict::of(answer) {
            Verdict::Answered(Ok(_)) if call.script.writes() && !on_disk => {
                call.reply(Err(StoreError::Unanswered(
                    "Redis has it, but its disk does not yet".into(),
                )));
            }
            Verdict::Answered(reply) => call.reply(reply),
            Verdict::Refused(why) => call.fail(format!("Redis refuses: {why}")),
            Verdict::NotNow { why, connection } => {
                // It was not done this time.
                call.asked.store(call.in_doubt, Ordering::Relaxed);
                if connection {
                    unfit = Some(why);
                }
                again.push(call);
            }
        }
    }
    *waiting = again;
    unfit.map_or(Ok(()), Err)
}

/// What an answer means for the call.
enum Verdict {
    Answered(Result<Reply, StoreError>),
    /// Not done, and it would not be done again either.
    Refused(String),
    /// Not done, and worth another try; over another connection when this one is unfit.
    NotNow {
        why: String,
        connection: bool,
    },
}

impl Verdict {
    fn of(answer: Value) -> Self {
        match answer {
            Value::ServerError(error) => Self::of_error(&error),
            answer => match Reply::new(answer) {
                // The clock on the other side went ahead of what we believed; greeting reads it.
                Ok(reply) if reply.is(LATE) => Self::NotNow {
                    why: "its clock jumped, or it was too slow".into(),
                    connection: true,
                },
                reply => Self::Answered(reply),
            },
        }
    }

    fn of_error(error: &ServerError) -> Self {
        let why = error.to_string();
        match error.code() {
            // Scripts are loaded, and the server is looked at, on a new connection.
            "NOSCRIPT" | "READONLY" | "MASTERDOWN" => Self::NotNow {
                why,
                connection: true,
            },
            "LOADING" | "BUSY" | "TRYAGAIN" => Self::NotNow {
                why,
                connection: false,
            },
            _ => Self::Refused(why),
        }
    }
}

/// WAITAOF gives how many local disks and how many replicas have it.
fn disk_has_it(told: &Value) -> bool {
    matches!(told, Value::Array(counts) if matches!(counts.first(), Some(Value::Int(1..))))
}

/// Between half and the whole of a pause, so that many servers do not return at one instant.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}
