//! A real Caddy with the Caddyfile of this repository.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::house::House;

/// A Caddy in front of some houses. Killed when dropped.
pub struct Caddy {
    child: Child,
    pub address: String,
    _home: TempDir,
}

impl Caddy {
    pub fn before(houses: &[&House]) -> Self {
        let port = {
            let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
            taken.local_addr().expect("bound").port()
        };
        let home = tempfile::tempdir().expect("a folder");
        let upstreams: Vec<&str> = houses.iter().map(|house| house.address.as_str()).collect();
        let program = std::env::var_os("PARLOUR_CADDY").unwrap_or("caddy".into());
        let mut child = Command::new(program)
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Caddyfile"))
            .env("PARLOUR_SITE", format!("http://127.0.0.1:{port}"))
            .env("PARLOUR_UPSTREAMS", upstreams.join(" "))
            .env("HOME", home.path())
            .env("XDG_DATA_HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Caddy starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let serving = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("serving initial configuration"));
        assert!(serving, "Caddy says that it serves");
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: format!("127.0.0.1:{port}"),
            _home: home,
        }
    }

    /// Where sockets for this room go in; for none in particular without one.
    pub fn socket(&self, room: Option<&str>) -> String {
        let room = room.map(|room| format!("/{room}")).unwrap_or_default();
        format!("ws://{}/ws{room}", self.address)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
