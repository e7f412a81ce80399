//! The server, started as its users start it.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A running server. Killed when dropped.
pub struct House {
    child: Child,
    pub address: String,
    data: TempDir,
    /// For the next start.
    pub settings: Vec<(String, String)>,
    /// Where its log goes, if not to ours.
    log: Option<File>,
}

impl House {
    /// Starts a server with these settings, on a free port and an empty store.
    pub fn open(settings: &[(&str, &str)]) -> Self {
        Self::open_into(settings, None)
    }

    /// The same, with its log written into a file.
    pub fn open_into(settings: &[(&str, &str)], log: Option<File>) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (child, address) = start(data.path(), &settings, log.as_ref());
        Self {
            child,
            address,
            data,
            settings,
            log,
        }
    }

    /// One whose every seat is played by the toy model, at once.
    pub fn with_toy(more: &[(&str, &str)]) -> Self {
        let mut settings = vec![("PARLOUR_MODEL", "deterministic"), ("PARLOUR_TYPING", "0")];
        settings.extend_from_slice(more);
        Self::open(&settings)
    }

    /// Where it keeps everything.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn socket(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`: no goodbye, no flushing.
    pub fn fall(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it is gone");
    }

    /// Starts again on the same store, on another port.
    pub fn rise(&mut self) {
        let (child, address) = start(self.data.path(), &self.settings, self.log.as_ref());
        self.child = child;
        self.address = address;
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    pub fn close(&mut self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.end()
    }

    /// Waits until it has ended.
    pub fn end(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Sends the signal of this name.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .expect("there is a kill program");
        assert!(kill.success());
    }

    /// The process that holds the models.
    pub fn worker_pid(&self) -> u32 {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("procfs");
        threads
            .flatten()
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
            .chain(children)
            .find_map(|children| children.split_whitespace().next()?.parse().ok())
            .expect("there is a worker")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(data: &Path, settings: &[(String, String)], log: Option<&File>) -> (Child, String) {
    let errors = log.map_or_else(Stdio::inherit, |log| log.try_clone().expect("open").into());
    let mut child = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["serve", "--bind", "127.0.0.1:0", "--data"])
        .arg(data)
        .current_dir(data)
        .env("PARLOUR_LOG", "warn")
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .expect("the program starts");
    let address = ready(&mut child);
    (child, address)
}

/// Waits until the server that was started, its output piped, says where it listens.
pub fn ready(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("ready on http://").map(str::to_owned))
        .expect("it says where it listens");
    // Nothing more comes, but a closed pipe must not be what a server dies of.
    std::thread::spawn(move || lines.for_each(drop));
    address
}
