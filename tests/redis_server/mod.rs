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
    pub how: How,
    pub child: Child,
}

/// How it is started, also again.
pub struct How {
    program: PathBuf,
    /// In the form of the configuration file; later ones win.
    settings: Vec<(String, String)>,
    pub folder: TempDir,
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
        let settings = SAFE
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let how = How {
            program,
            settings,
            folder: tempfile::tempdir().expect("a folder"),
        };
        let child = how.launch();
        Self { how, child }
    }

    pub fn url(&self) -> Secret {
        let socket = self.how.folder.path().join("redis.sock");
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

impl How {
    /// Starts the server on its folder and waits until it has loaded what is there.
    pub fn launch(&self) -> Child {
        let mut command = Command::new(&self.program);
        command
            .args(["--port", "0", "--dir"])
            .arg(self.folder.path())
            .arg("--unixsocket")
            .arg(self.folder.path().join("redis.sock"));
        for (name, value) in &self.settings {
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
                    self.program.display()
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
}
