//! A server's traffic with Redis: jobs out, answers in, and who is there.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use redis::{RedisResult, aio::MultiplexedConnection};
use serde::Deserialize;

use super::{
    client::FleetClient,
    desk::{Entry, Outgoing},
    line::{longer, within},
    scripts::{ANSWER, LOST, Script},
};
use crate::wire::{
    fleet::{Answer, Card, Job, JobId},
    worker::{MAX_FRAME, Refusal},
};

/// Between two looks at who is there.
const CALL: Duration = Duration::from_millis(250);

/// Between two looks whether Redis still holds what it was given.
const SWEEP: Duration = Duration::from_secs(1);

/// Jobs that are looked for in one script; Redis does nothing else meanwhile.
const SWEPT_AT_ONCE: usize = 256;

/// Jobs that are added or taken back at the same time.
const AT_ONCE: usize = 64;

/// Answers that are read at once.
const BATCH: usize = 512;

/// How long the answers are waited for in one command.
const WAIT: Duration = Duration::from_secs(1);

/// Time that leaving may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Life of the answers that nobody reads.
pub(super) const ANSWERS_LIVE: Duration = Duration::from_secs(300);

/// What one entry of a stream holds.
pub(super) type Fields = HashMap<String, String>;

/// Entries of streams, as Redis gives them.
pub(super) type Streams = Vec<HashMap<String, Vec<HashMap<String, Fields>>>>;

/// Jobs that Redis does not hold any more.
#[derive(Deserialize)]
struct Lost {
    version: u16,
    entries: Vec<String>,
}

#[derive(Default)]
struct Looked {
    called: Option<Instant>,
    swept: Option<Instant>,
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

/// Tells Redis what there is to tell, for ever.
pub(super) async fn deliver(client: FleetClient) {
    let (mut looked, mut pause) = (Looked::default(), None);
    loop {
        match round(&client, &mut looked).await {
            Ok(more) => {
                pause = None;
                if !more {
                    // A time that is up is as good as a call.
                    let _ = tokio::time::timeout(CALL, client.0.wake.notified()).await;
                }
            }
            Err(_) => {
                client.see(None);
                let next = longer(pause);
                tokio::time::sleep(next).await;
                pause = Some(next);
            }
        }
    }
}

/// Whether there may be more to tell.
async fn round(client: &FleetClient, looked: &mut Looked) -> RedisResult<bool> {
    if is_due(looked.called, CALL) {
        call(client).await?;
        looked.called = Some(Instant::now());
        take_back_stranded(client).await?;
    }
    withdraw(client).await?;
    let out = client.outgoing(AT_ONCE);
    let more = out.len() == AT_ONCE;
    let sent = join_all(out.into_iter().map(|job| submit(client, job))).await;
    sent.into_iter().collect::<RedisResult<()>>()?;
    if is_due(looked.swept, SWEEP) {
        sweep(client).await?;
        looked.swept = Some(Instant::now());
    }
    Ok(more)
}

async fn call(client: &FleetClient) -> RedisResult<()> {
    let shared = &client.0;
    let cards: Vec<String> = shared
        .line
        .run(
            Script::Call,
            &[&shared.keys.workers()],
            &[&shared.keys.card_prefix()],
        )
        .await?;
    // Cards that cannot be read are those of other programs, newer ones perhaps.
    let workers = cards
        .iter()
        .filter_map(|card| serde_json::from_str::<Card>(card).ok())
        .filter(|card| card.model.name == shared.model)
        .collect();
    client.see(Some(workers));
    Ok(())
}

async fn submit(client: &FleetClient, out: Outgoing) -> RedisResult<()> {
    let shared = &client.0;
    let job = Job {
        id: JobId {
            server: shared.server.clone(),
            number: out.number,
        },
        protocol: out.version,
        attempts: shared.options.attempts,
        request: (*out.request).clone(),
    };
    let job = match serde_json::to_string(&job) {
        Ok(job) => job,
        Err(error) => {
            let message = error.to_string();
            client.refuse(out.number, Refusal::Malformed { message });
            return Ok(());
        }
    };
    if job.len() > MAX_FRAME {
        let message = format!("{} bytes; at most {MAX_FRAME}", job.len());
        client.refuse(out.number, Refusal::Malformed { message });
        return Ok(());
    }
    let left = out.left.as_millis().max(1).to_string();
    let submitted: RedisResult<(Option<String>, u32)> = shared
        .line
        .run(
            Script::Submit,
            &[
                &shared.keys.jobs(out.version, &shared.model),
                &shared.keys.once(&shared.server, out.number),
            ],
            &[
                &job,
                &left,
                &shared.options.queue.to_string(),
                &out.version.to_string(),
            ],
        )
        .await;
    match submitted {
        Ok((Some(place), _)) => client.placed(out.number, read_place(&place)),
        Ok((None, queued)) => client.refuse(out.number, Refusal::Busy { queued }),
        Err(error) => {
            client.placed(out.number, None);
            return Err(error);
        }
    }
    Ok(())
}

fn read_place(place: &str) -> Option<Entry> {
    let (version, id) = place.split_once(' ')?;
    Some(Entry {
        version: version.parse().ok()?,
        id: id.to_owned(),
    })
}

/// Takes back what nobody waits for any more.
async fn withdraw(client: &FleetClient) -> RedisResult<()> {
    let mut unwanted = client.unwanted();
    while !unwanted.is_empty() {
        let rest = unwanted.split_off(unwanted.len().min(AT_ONCE));
        let gone = join_all(
            unwanted
                .iter()
                .map(|(number, entry)| take_back(client, *number, entry, "")),
        )
        .await;
        if let Err(error) = gone.into_iter().collect::<RedisResult<Vec<bool>>>() {
            // To take back what is gone already changes nothing.
            client.still_unwanted(unwanted.into_iter().chain(rest));
            return Err(error);
        }
        unwanted = rest;
    }
    Ok(())
}

/// Takes back what waits in a stream that nobody reads, so that it goes into another one.
async fn take_back_stranded(client: &FleetClient) -> RedisResult<()> {
    for (number, entry) in client.stranded() {
        match take_back(client, number, &entry, "waiting").await {
            Ok(true) => client.placed(number, None),
            Ok(false) => client.placed(number, Some(entry)),
            Err(error) => {
                client.placed(number, Some(entry));
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn take_back(
    client: &FleetClient,
    number: u64,
    entry: &Entry,
    which: &str,
) -> RedisResult<bool> {
    let shared = &client.0;
    shared
        .line
        .run(
            Script::Withdraw,
            &[
                &shared.keys.jobs(entry.version, &shared.model),
                &shared.keys.once(&shared.server, number),
            ],
            &[&entry.id, &shared.keys.control_prefix(), which],
        )
        .await
}

/// A Redis that came back without its last writes, or that was emptied, has forgotten jobs:
/// their readers must not wait until their time is up.
async fn sweep(client: &FleetClient) -> RedisResult<()> {
    let shared = &client.0;
    let life = ANSWERS_LIVE.as_millis().to_string();
    for (version, entries) in client.queued() {
        let version_name = version.to_string();
        for entries in entries.chunks(SWEPT_AT_ONCE) {
            let mut arguments = vec![life.as_str(), version_name.as_str()];
            arguments.extend(entries.iter().map(String::as_str));
            let keys = [
                shared.keys.jobs(version, &shared.model),
                shared.keys.answers(&shared.server),
            ];
            let keys = keys.each_ref().map(String::as_str);
            let lost: u64 = shared.line.run(Script::Sweep, &keys, &arguments).await?;
            if lost > 0 {
                tracing::debug!(lost, version, "jobs are gone from Redis");
            }
        }
    }
    Ok(())
}

/// Hears what workers say, for ever.
pub(super) async fn collect(client: FleetClient) {
    let mut pause = None;
    loop {
        let error = match client.0.line.redis().connect().await {
            Ok(connection) => {
                let error = read_all(&client, connection, &mut pause).await;
                tracing::debug!(%error, "the answers' connection broke");
                error
            }
            Err(error) => error,
        };
        tracing::trace!(%error, "answers cannot be read");
        let next = longer(pause);
        tokio::time::sleep(next).await;
        pause = Some(next);
    }
}

/// Always reads from the beginning and deletes what was heard, so that neither a clock that
/// jumped back nor a Redis that forgot can hide an answer; one that is heard twice is known.
async fn read_all(
    client: &FleetClient,
    mut connection: MultiplexedConnection,
    pause: &mut Option<Duration>,
) -> redis::RedisError {
    let answers = client.0.keys.answers(&client.0.server);
    let mut heard: Vec<String> = Vec::new();
    loop {
        let mut ask = redis::pipe();
        if !heard.is_empty() {
            ask.cmd("XDEL").arg(&answers).arg(&heard).ignore();
        }
        ask.cmd("XREAD")
            .arg("COUNT")
            .arg(BATCH)
            .arg("BLOCK")
            .arg(WAIT.as_millis() as u64)
            .arg("STREAMS")
            .arg(&answers)
            .arg("0");
        let read = within(WAIT, ask.query_async::<(Option<Streams>,)>(&mut connection));
        let (streams,) = match read.await {
            Ok(read) => read,
            Err(error) => return error,
        };
        *pause = None;
        heard.clear();
        let entries = streams.into_iter().flatten().flatten();
        for (id, fields) in entries.flat_map(|(_, entries)| entries).flatten() {
            hear(client, &fields);
            heard.push(id);
        }
    }
}

fn hear(client: &FleetClient, fields: &Fields) {
    if let Some(answer) = fields.get(ANSWER) {
        match serde_json::from_str::<Answer>(answer) {
            Ok(answer) => client.hear(answer),
            Err(error) => tracing::warn!(%error, "an answer cannot be read"),
        }
    } else if let Some(lost) = fields.get(LOST) {
        match serde_json::from_str::<Lost>(lost) {
            Ok(lost) => client.lost(lost.version, &lost.entries),
            Err(error) => tracing::warn!(%error, "a list of lost jobs cannot be read"),
        }
    }
}

/// Takes back all that nobody waits for any more, as far as there is time.
pub(super) async fn farewell(client: &FleetClient) {
    if tokio::time::timeout(FAREWELL, withdraw(client))
        .await
        .is_err()
    {
        tracing::warn!("jobs are left to their deadlines");
    }
}
