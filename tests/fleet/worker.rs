//! A worker of a fleet, as a process.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Looks again and again until something is so: nothing tells.
pub async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn signal(name: &str, pid: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("kill runs");
    assert!(status.success(), "{name} {pid}");
}

/// A worker that has joined, or will.
pub struct Worker {
    pub child: Child,
}

impl Worker {
    pub fn start_at(url: &str, model: &str, arguments: &[&str], log: Stdio) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_parlour"))
            .args(["worker", "--model", model, "--models", "nowhere"])
            .args(["--redis-prefix", "t:"])
            .args(arguments)
            .env("PARLOUR_REDIS_URL", url)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        Self { child }
    }

    /// The process that computes.
    pub async fn engine(&self) -> u32 {
        let pid = self.child.id();
        let path = format!("/proc/{pid}/task/{pid}/children");
        until(|| async {
            let children = std::fs::read_to_string(&path).ok()?;
            children.split_whitespace().next()?.parse().ok()
        })
        .await
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
