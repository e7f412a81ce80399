//! Servers, workers and the Redis that they share, and what can happen to them.

use std::process::Stdio;

use parlour::{
    config::RedisSettings,
    store::{AnyStore, home::Home},
};

use crate::{
    gate::Gate,
    house::House,
    redis_server::RedisServer,
    worker::{Worker, signal},
};

/// Every token takes a while, so that there is a middle of a text to be hit in.
const MODEL: &str = "deterministic:2ms";
const PREFIX: &str = "t:";

/// What it has to read when it starts must not grow for ever.
const COMPACT: [(&str, &str); 2] = [
    ("auto-aof-rewrite-percentage", "100"),
    ("auto-aof-rewrite-min-size", "1mb"),
];

/// Where rooms are kept, and who computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Homes {
    /// The embedded store and a worker of the server's own.
    Embedded,
    /// Redis for the rooms and for a fleet of workers.
    Shared { servers: usize, workers: usize },
}

/// All of it.
pub struct Town {
    pub houses: Vec<House>,
    pub workers: Vec<Worker>,
    pub redis: Option<RedisServer>,
    pub gate: Gate,
}

impl Town {
    pub async fn found(home: Homes) -> Self {
        let log = std::env::var("PARLOUR_SOAK_LOG").unwrap_or("off".into());
        let mut settings = vec![
            ("PARLOUR_MODEL", MODEL),
            ("PARLOUR_LOG", &log),
            ("PARLOUR_ROUNDS", "2"),
            ("PARLOUR_PING_SECONDS", "2"),
            // Everybody leaves table after table, and the house is not to fill with them.
            ("PARLOUR_TABLE_SECONDS", "60"),
            ("PARLOUR_CONNECTS_PER_MINUTE", "0"),
            ("PARLOUR_SOCKETS_PER_ADDRESS", "0"),
            // The gate knows at once who is up.
            ("PARLOUR_NOTICE_MS", "300"),
            ("PARLOUR_SECRET", "a secret that all of them share"),
        ];
        let (redis, servers, workers) = match home {
            Homes::Embedded => (None, 1, 0),
            Homes::Shared { servers, workers } => {
                (Some(RedisServer::start_with(&COMPACT)), servers, workers)
            }
        };
        let url = redis.as_ref().map(RedisServer::url);
        if let Some(url) = &url {
            settings.push(("PARLOUR_REDIS_URL", url.expose()));
            settings.push(("PARLOUR_REDIS_PREFIX", PREFIX));
            settings.push(("PARLOUR_WORKERS", "fleet"));
        }
        let houses: Vec<House> = (0..servers).map(|_| House::with_toy(&settings)).collect();
        let gate = Gate::open(servers).await;
        for (nth, house) in houses.iter().enumerate() {
            gate.server(nth, Some(house.address.clone()));
        }
        let mut town = Self {
            houses,
            workers: Vec::new(),
            redis,
            gate,
        };
        for _ in 0..workers {
            let worker = town.hire();
            town.workers.push(worker);
        }
        town
    }

    fn hire(&self) -> Worker {
        let redis = self.redis.as_ref().expect("a fleet has a Redis");
        Worker::start_at(redis.url().expose(), MODEL, &[], Stdio::null())
    }

    /// `kill -9` of a server. It is up again with [`Self::rise`].
    pub fn fall(&mut self, nth: usize) {
        self.gate.server(nth, None);
        self.houses[nth].fall();
    }

    /// A server is told to end, and does.
    pub fn close(&mut self, nth: usize) {
        self.gate.server(nth, None);
        assert!(self.houses[nth].close().success(), "it ends well");
    }

    pub fn rise(&mut self, nth: usize) {
        self.houses[nth].rise();
        let address = self.houses[nth].address.clone();
        self.gate.server(nth, Some(address));
    }

    pub fn signal_server(&self, nth: usize, name: &str) {
        signal(name, self.houses[nth].pid());
    }

    /// Who computes dies: the server's own, or one of the fleet, or its engine.
    pub async fn kill_worker(&mut self, nth: usize, engine: bool) {
        if self.workers.is_empty() {
            signal("KILL", self.houses[0].worker_pid());
        } else if engine {
            signal("KILL", self.workers[nth].engine().await);
        } else {
            self.workers[nth].kill();
            self.workers[nth] = self.hire();
        }
    }

    /// The processes of whoever computes.
    pub async fn worker(&self, nth: usize) -> Vec<u32> {
        match self.workers.get(nth) {
            None => vec![self.houses[0].worker_pid()],
            Some(worker) => vec![worker.child.id(), worker.engine().await],
        }
    }

    pub fn restart_redis(&mut self) {
        let redis = self.redis.as_mut().expect("a Redis");
        redis.child.kill().expect("it runs");
        redis.child.wait().expect("it is gone");
        redis.child = redis.how.launch();
    }

    pub fn signal_redis(&self, name: &str) {
        signal(name, self.redis.as_ref().expect("a Redis").child.id());
    }

    /// Everybody goes home; what is left is the store.
    pub async fn close_down(mut self) -> (AnyStore, Self) {
        for nth in 0..self.houses.len() {
            self.close(nth);
        }
        let settings = RedisSettings {
            redis_url: self.redis.as_ref().map(RedisServer::url),
            redis_prefix: PREFIX.into(),
        };
        let home = Home::take(self.houses[0].data()).expect("the server is gone");
        let store = AnyStore::open(&settings, &home).await.expect("the store");
        (store, self)
    }
}
