//! A Redis of a test's own: a child process on a Unix socket in a folder that goes with it.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use parlour::config::Secret;
use tempfile::TempDir;

/// What makes every answer safe.
const SAFE: [(&str, &str); 5] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("maxmemory-policy", "noeviction"),
    ("save", ""),
    ("auto-aof-rewrite-percentage", "0"),
];

/// A running server. Killed when dropped.
pub struct RedisServer {
    pub program: PathBuf,
    pub child: Child,
    pub folder: TempDir,
    /// In the form of the configuration file; later ones win.
    pub settings: Vec<(String, String)>,
}

impl RedisServer {
    /// Starts one that loses nothing, on an empty folder.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with other settings.
    pub fn start_with(more: &[(&str, &str)]) -> Self {
        let program = std::env::var_os("PARLOUR_REDIS_SERVER");
        Self::start_program(program.unwrap_or("redis-server".into()).into(), more)
    }

    pub fn start_program(program: PathBuf, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings: Vec<_> = SAFE
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let child = launch(&program, &folder, &settings);
        Self {
            program,
            child,
            folder,
            settings,
        }
    }

    pub fn url(&self) -> Secret {
        let socket = self.folder.path().join("redis.sock");
        Secret::from(format!("redis+unix://{}", socket.display()))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the server on its folder and waits until it has loaded what is there.
pub fn launch(program: &PathBuf, folder: &TempDir, settings: &[(String, String)]) -> Child {
    let mut command = Command::new(program);
    command
        .args(["--port", "0", "--dir"])
        .arg(folder.path())
        .arg("--unixsocket")
        .arg(folder.path().join("redis.sock"));
    for (name, value) in settings {
        command.arg(format!("--{name}")).arg(value);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{} cannot be started: {error}. `tools/redis` installs one",
                program.display()
            )
        });
    let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut heard = Vec::new();
    loop {
        let line = said.next().and_then(Result::ok);
        let line = line.unwrap_or_else(|| panic!("Redis did not start:\n{}", heard.join("\n")));
        if line.to_lowercase().contains("ready to accept connections") {
            break;
        }
        heard.push(line);
    }
    // It must never wait for somebody to read what it says.
    std::thread::spawn(move || said.for_each(drop));
    child
}
