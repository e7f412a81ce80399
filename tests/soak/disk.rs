//! The disk under the embedded store fills while somebody plays, and has room again: a small
//! file system of its own in a mount namespace of its own.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use parlour::{
    play::{
        imitation::{Kind, Mode},
        party::{Bench, Machine, Role, Setup, Vacancy},
    },
    store::sqlite::SqliteStore,
    wire::browser::{FromClient, RefusalCode},
};

use crate::{guest::Guest, house, ledger::Truth, moves::Todo, worker::signal};

/// Stays with its namespace when the server is gone, until its input ends.
const SCRIPT: &str = r#"mount -t tmpfs -o size=4m tmpfs "$1" &&
    "$0" serve --bind 127.0.0.1:0 --data "$1"; read _"#;

/// A server on a small disk.
struct Cramped {
    shell: Child,
    folder: tempfile::TempDir,
    address: String,
}

impl Cramped {
    fn open() -> Self {
        let mut may = Command::new("unshare");
        let may = may.args(["--map-root-user", "--mount", "true"]).status();
        assert!(
            may.is_ok_and(|status| status.success()),
            "this test needs a namespace of its own: allow user namespaces"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let mut shell = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT])
            .arg(env!("CARGO_BIN_EXE_parlour"))
            .arg(folder.path())
            .env("PARLOUR_MODEL", "deterministic")
            .env("PARLOUR_LOG", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is an unshare program");
        let address = house::ready(&mut shell);
        Self {
            shell,
            folder,
            address,
        }
    }

    /// The small disk, seen from outside.
    fn disk(&self) -> PathBuf {
        let inside = self.folder.path().strip_prefix("/").expect("absolute");
        Path::new(&format!("/proc/{}/root", self.shell.id())).join(inside)
    }

    fn fill(&self) {
        let mut ballast = fs::File::create(self.disk().join("ballast")).expect("there is room");
        while ballast.write_all(&[1; 4096]).is_ok() {}
        while ballast.write_all(&[1]).is_ok() {}
    }

    fn relieve(&self) {
        fs::remove_file(self.disk().join("ballast")).expect("it was there");
    }

    /// Kills the server, and gives what is on the disk.
    fn fall(&self, room: &Path) -> SqliteStore {
        let shell = self.shell.id();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let children = children.expect("procfs");
        let server = children.split_whitespace().next().expect("the server");
        signal("KILL", server.parse().expect("a number"));
        for file in fs::read_dir(self.disk()).expect("the disk").flatten() {
            let name = file.file_name();
            if name.to_string_lossy().starts_with("parlour.sqlite") {
                fs::copy(file.path(), room.join(name)).expect("it is copied");
            }
        }
        SqliteStore::open(&room.join("parlour.sqlite")).expect("the store")
    }

    async fn is_ready(&self) -> bool {
        let page = reqwest::get(format!("http://{}/health/ready", self.address)).await;
        page.expect("an answer").status().is_success()
    }
}

impl Drop for Cramped {
    fn drop(&mut self) {
        // With its input the shell ends, and with that its file system.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Talks until that is answered so.
async fn talk_until(guest: &mut Guest, wanted: Result<(), RefusalCode>) {
    loop {
        let answer = guest.act(&Todo::Say).await.expect("the socket stays open");
        if answer == wanted {
            return;
        }
        assert!(
            matches!(
                answer,
                Ok(()) | Err(RefusalCode::Trouble | RefusalCode::TooFast)
            ),
            "{answer:?}"
        );
        // No faster than the server lets anybody talk.
        tokio::time::sleep(Duration::from_millis(220)).await;
    }
}

#[tokio::test]
async fn on_a_full_disk_moves_are_answered_with_trouble_and_later_all_goes_on() {
    let server = Cramped::open();
    let mut ada = Guest::new("Ada");
    let url = format!("ws://{}/ws", server.address);
    ada.connect(&url).await.expect("a socket");
    let id = ada.id();
    let setup = Setup {
        kind: Kind::Direct,
        mode: Mode::Blind,
        bench: Bench::Machine,
        people: 1,
        machines: vec![Machine::Eliza],
        rounds: 1,
        seconds: 600,
        vacancy: Vacancy::Close,
        listed: false,
        open_to_spectators: false,
        line_limit: 300,
    };
    let open = FromClient::OpenTable {
        id,
        setup,
        role: Role::Witness,
        name: ada.name.clone(),
    };
    assert!(ada.enter(id, &open).await.expect("the socket stays open"));
    talk_until(&mut ada, Ok(())).await;
    server.fill();
    talk_until(&mut ada, Err(RefusalCode::Trouble)).await;
    while server.is_ready().await {}
    server.relieve();
    talk_until(&mut ada, Ok(())).await;
    while !server.is_ready().await {}
    let room = tempfile::tempdir().expect("a folder");
    let store = server.fall(room.path());
    let place = ada.place.as_ref().expect("she sits there");
    let truth = Truth::read(&store, place.room()).await;
    assert!(truth.hold_to_account(&[&ada]) >= 2);
}
