//! What stands between people and servers: it picks a server that is up, and cuts, freezes
//! or slows lines when it is told to.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How a line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Flows,
    /// Nothing comes from the server for now.
    Slow,
    /// Nothing comes any more from either side, not even the end.
    Frozen,
    Cut,
}

#[derive(Default)]
struct Lines {
    /// Where each server listens; none while it is down.
    servers: Vec<Option<String>>,
    open: HashMap<u64, watch::Sender<Line>>,
    count: u64,
}

/// The gate.
#[derive(Clone)]
pub struct Gate {
    lines: Arc<Mutex<Lines>>,
    address: String,
}

impl Gate {
    pub async fn open(servers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let lines = Arc::new(Mutex::new(Lines {
            servers: vec![None; servers],
            ..Lines::default()
        }));
        let gate = Self { lines, address };
        let doorman = gate.clone();
        tokio::spawn(async move {
            while let Ok((guest, _)) = listener.accept().await {
                tokio::spawn(doorman.clone().lead(guest));
            }
        });
        gate
    }

    /// Where somebody asks for a room, or just comes in.
    pub fn url(&self, room: Option<&str>) -> String {
        match room {
            Some(room) => format!("ws://{}/ws/{room}", self.address),
            None => format!("ws://{}/ws", self.address),
        }
    }

    /// A server listens there now, or is down.
    pub fn server(&self, nth: usize, address: Option<String>) {
        self.lines.lock().expect("no panic").servers[nth] = address;
    }

    /// Sets every line of which `chosen` says so; gives how many there were.
    pub fn set(&self, line: Line, mut chosen: impl FnMut() -> bool) -> usize {
        let lines = self.lines.lock().expect("no panic");
        let open = lines.open.values().filter(|_| chosen());
        open.map(|now| {
            // What is frozen or cut stays so.
            now.send_if_modified(|now| {
                let may = matches!(now, Line::Flows | Line::Slow);
                if may {
                    *now = line;
                }
                may
            })
        })
        .filter(|changed| *changed)
        .count()
    }

    /// By the room that is asked for, so that whoever asks for it meets; by chance else.
    fn pick(&self, path: &str) -> Option<(u64, String, watch::Receiver<Line>)> {
        let mut lines = self.lines.lock().expect("no panic");
        lines.count += 1;
        let number = lines.count;
        let up: Vec<&String> = lines.servers.iter().flatten().collect();
        let mut hasher = DefaultHasher::new();
        match path.strip_prefix("/ws/") {
            Some(room) => room.hash(&mut hasher),
            None => number.hash(&mut hasher),
        }
        let count = u64::try_from(up.len()).expect("few");
        let nth = usize::try_from(hasher.finish().checked_rem(count)?).expect("few");
        let server = up[nth].clone();
        let (sender, line) = watch::channel(Line::Flows);
        lines.open.insert(number, sender);
        Some((number, server, line))
    }

    async fn lead(self, mut guest: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 512];
            match guest.read(&mut byte).await {
                Ok(0) | Err(_) => return,
                Ok(count) => head.extend(&byte[..count]),
            }
        }
        let request = String::from_utf8_lossy(&head);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let Some((number, server, line)) = self.pick(path) else {
            return;
        };
        if let Ok(mut server) = TcpStream::connect(server).await
            && server.write_all(&head).await.is_ok()
        {
            pass(guest, server, line).await;
        }
        self.lines.lock().expect("no panic").open.remove(&number);
    }
}

async fn pass(mut guest: TcpStream, mut server: TcpStream, mut line: watch::Receiver<Line>) {
    let (mut said, mut told) = (vec![0; 4096], vec![0; 4096]);
    loop {
        let now = *line.borrow_and_update();
        match now {
            Line::Cut => return,
            Line::Frozen => return freeze(guest, server).await,
            Line::Flows | Line::Slow => {}
        }
        tokio::select! {
            changed = line.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            count = guest.read(&mut said) => match count {
                Ok(count) if count > 0 && server.write_all(&said[..count]).await.is_ok() => {}
                _ => return,
            },
            count = server.read(&mut told), if now == Line::Flows => match count {
                Ok(count) if count > 0 && guest.write_all(&told[..count]).await.is_ok() => {}
                _ => return,
            },
        }
    }
}

/// How long a server is left with a line on which nothing comes any more.
const LIMBO: Duration = Duration::from_secs(20);

/// Whoever gives up on the line takes the guest's side along; the server has to find out for
/// itself.
async fn freeze(mut guest: TcpStream, server: TcpStream) {
    let mut said = vec![0; 4096];
    while guest.read(&mut said).await.is_ok_and(|count| count > 0) {}
    drop(guest);
    tokio::time::sleep(LIMBO).await;
    drop(server);
}
