//! How a worker comes by jobs: new ones, as many as it has places for, and those that another
//! one has forsaken.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{RedisResult, aio::MultiplexedConnection};

use super::{
    agent::{Agent, PING},
    claims::Place,
    line::{longer, within},
    post::{Fields, Streams},
    rules,
    scripts::GROUP,
};

impl Agent {
    fn places(&self) -> usize {
        let slots = self.engine.models().first().map_or(0, |model| model.slots);
        rules::places(slots, *self.claims.count().borrow())
    }

    /// Takes jobs until the worker leaves, whatever becomes of Redis.
    pub(super) async fn take_jobs(self: Arc<Self>) {
        let mut pause = None;
        let mut was_lost = false;
        while !self.leaving.is_cancelled() {
            let error = match self.claims.line.redis().connect().await {
                Ok(connection) => match self.take_over(connection, was_lost, &mut pause).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            // A stream that has no group was lost with it: both are made anew.
            if error.code() != Some("NOGROUP") {
                tracing::debug!(%error, "jobs cannot be taken");
                was_lost = true;
            }
            let next = longer(pause);
            tokio::time::sleep(next).await;
            pause = Some(next);
        }
    }

    /// Takes jobs until the worker leaves, both new ones and those that were forsaken.
    async fn take_over(
        self: &Arc<Self>,
        mut connection: MultiplexedConnection,
        was_lost: bool,
        pause: &mut Option<Duration>,
    ) -> RedisResult<()> {
        let connected = Instant::now();
        let mut count = self.claims.count();
        let mut ready = self.engine.ready();
        for stream in &self.streams {
            make_group(&mut connection, stream).await?;
        }
        let mut cursors = vec!["0-0".to_owned(); self.streams.len()];
        let mut first = 0;
        loop {
            tokio::select! {
                biased;
                () = self.leaving.cancelled() => return Ok(()),
                // Closed only with the engine's client, which lives as long as this.
                _ = ready.wait_for(|ready| *ready) => {}
            }
            if self.places() == 0 {
                tokio::select! {
                    () = self.leaving.cancelled() => return Ok(()),
                    _ = count.changed() => continue,
                    // The engine may have come back with more slots.
                    () = tokio::time::sleep(PING) => continue,
                }
            }
            // Neither version may starve the other.
            first = (first + 1) % self.streams.len();
            let back = was_lost.then(|| connected.elapsed());
            if rules::may_take_over(back, self.lease) {
                for at in (0..self.streams.len()).map(|n| (n + first) % self.streams.len()) {
                    self.claim(&mut connection, &self.streams[at], &mut cursors[at])
                        .await?;
                }
            }
            let mut found = false;
            for at in (0..self.streams.len()).map(|n| (n + first) % self.streams.len()) {
                let stream = std::slice::from_ref(&self.streams[at]);
                found |= self
                    .read(&mut connection, stream, self.places(), None)
                    .await?;
            }
            *pause = None;
            if !found && self.places() > 0 {
                self.read(&mut connection, &self.streams, 1, Some(self.rhythm.look))
                    .await?;
            }
        }
    }

    /// Takes over jobs of a stream whose claims were not renewed.
    async fn claim(
        self: &Arc<Self>,
        connection: &mut MultiplexedConnection,
        stream: &str,
        cursor: &mut String,
    ) -> RedisResult<()> {
        let places = self.places();
        if places == 0 {
            return Ok(());
        }
        let mut claim = redis::cmd("XAUTOCLAIM");
        claim
            .arg(stream)
            .arg(GROUP)
            .arg(&self.claims.me)
            .arg(self.lease.as_millis() as u64)
            .arg(&*cursor)
            .arg("COUNT")
            .arg(places);
        type Claimed = (String, Vec<HashMap<String, Fields>>, Vec<String>);
        let (next, entries, _deleted): Claimed =
            within(Duration::ZERO, claim.query_async(connection)).await?;
        *cursor = next;
        for (entry, fields) in entries.into_iter().flatten() {
            tracing::info!(stream, entry, "a job is taken over");
            self.begin(stream, entry, fields);
        }
        Ok(())
    }

    /// Reads new jobs; whether there were any.
    async fn read(
        self: &Arc<Self>,
        connection: &mut MultiplexedConnection,
        streams: &[String],
        count: usize,
        wait: Option<Duration>,
    ) -> RedisResult<bool> {
        if count == 0 {
            return Ok(false);
        }
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&self.claims.me);
        read.arg("COUNT").arg(count);
        if let Some(wait) = wait {
            read.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        }
        read.arg("STREAMS").arg(streams);
        for _ in streams {
            read.arg(">");
        }
        let read = read.query_async::<Option<Streams>>(connection);
        let found = within(wait.unwrap_or_default(), read).await?;
        let mut any = false;
        for (stream, entries) in found.into_iter().flatten().flatten() {
            for (entry, fields) in entries.into_iter().flatten() {
                any = true;
                if self.leaving.is_cancelled() || self.places() == 0 {
                    self.give_back(&stream, entry);
                } else {
                    self.begin(&stream, entry, fields);
                }
            }
        }
        Ok(any)
    }

    /// A new job that came too late, or beside another one where there was one place.
    fn give_back(self: &Arc<Self>, stream: &str, entry: String) {
        let place = Place {
            stream: stream.to_owned(),
            entry,
        };
        let agent = Arc::clone(self);
        self.tasks
            .spawn(async move { agent.claims.release(&place, 1, false).await });
    }

    fn begin(self: &Arc<Self>, stream: &str, entry: String, fields: Fields) {
        let place = Place {
            stream: stream.to_owned(),
            entry,
        };
        // It came once more when a claim was renewed too late: the other attempt ends by
        // itself at its next word, and this one waits for a lease.
        let Some(stop) = self.claims.take(&place) else {
            return;
        };
        let agent = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Some((claim, left)) = agent.claims.open(place.clone(), &fields).await {
                agent.run(claim, left, stop).await;
            }
            agent.claims.put_down(&place);
        });
    }
}

/// Makes the group of workers, unless it is there.
async fn make_group(connection: &mut MultiplexedConnection, stream: &str) -> RedisResult<()> {
    let mut make = redis::cmd("XGROUP");
    make.arg("CREATE")
        .arg(stream)
        .arg(GROUP)
        .arg("0")
        .arg("MKSTREAM");
    match within(Duration::ZERO, make.query_async::<()>(connection)).await {
        Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
        _ => Ok(()),
    }
}
