//! What a session owes to those who do not read.

use std::net::SocketAddr;

use actix::prelude::SendError;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::*;
use crate::{
    generation::{Backend, client::WorkerClient},
    rooms::{House, Mind},
    rooms::{frame::Frame, seats::SeatKey, tenure::Tenure},
    store::sqlite::SqliteStore,
    wire::worker::Sampling,
};

struct Fixture {
    session: Addr<Session>,
    pulse: Arc<Pulse>,
    client: TcpStream,
    _folder: tempfile::TempDir,
}

/// A session with a client that holds as little unread as a system lets it.
async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("store.db")).expect("a store");
    let mind = Mind {
        backend: Backend::Local(WorkerClient::new(), "away".into()),
        sampling: Sampling::default(),
    };
    let tally = Arc::<Tally>::default();
    let hall = Hall::new(Arc::new(House {
        store: store.into(),
        witness: mind.clone(),
        judge: mind,
        typing: 0.0,
        round_cap: 1,
        idle_limit: Duration::from_secs(60),
        room_cap: 1,
        keep: Duration::from_secs(60),
        table_keep: Duration::from_secs(60),
        seats: SeatKey::new(b"secret"),
        tally: Arc::clone(&tally),
        tenure: Tenure::new(false, Duration::ZERO),
        rite: None,
    }))
    .start();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    let client = TcpSocket::new_v4().expect("a socket");
    client.set_recv_buffer_size(4096).expect("a small buffer");
    let (client, accepted) = tokio::join!(client.connect(address), listener.accept());
    let (stream, _) = accepted.expect("a connection");
    let pulse = Arc::new(Pulse::new(ticks()));
    let session = Session::new(
        Arc::new(Doorway {
            hall,
            tally,
            cast: Cast::default(),
            ping_every: Duration::from_secs(10),
        }),
        1,
        Arc::clone(&pulse),
        Link::new(stream, &[], LIMITS),
        Ok(Box::new(())),
        true,
    )
    .start();
    Fixture {
        session,
        pulse,
        client: client.expect("a connection"),
        _folder: folder,
    }
}

async fn everything(mut client: TcpStream) -> String {
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.expect("an end");
    String::from_utf8_lossy(&heard).into_owned()
}

#[actix::test]
async fn whoever_is_doomed_hears_why_and_whether_to_return() {
    for (bye, code, come_back) in [
        (Bye::TooSlow, 4001_u16, true),
        (Bye::Restarting, 4000, true),
        (Bye::Moved, 4004, true),
        (Bye::Elsewhere, 4102, false),
    ] {
        let fixture = fixture().await;
        fixture.pulse.doom(bye);
        fixture.session.do_send(Tick);
        let mut client = fixture.client;
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.expect("an end");
        let said = String::from_utf8_lossy(&heard);
        assert!(
            said.contains(&format!("\"come_back\":{come_back}")),
            "{said}"
        );
        let [high, low] = code.to_be_bytes();
        assert!(
            heard.windows(2).any(|pair| pair == [high, low]),
            "{code} in {heard:?}"
        );
    }
}

#[actix::test]
async fn messages_wait_in_a_bounded_mailbox_and_none_is_lost_of_those_taken() {
    let fixture = fixture().await;
    let say = |number: usize| {
        let message = format!("{number:08} {}", "x".repeat(1000));
        ToSession::Say(Frame::of(&refused(0, RefusalCode::NotNow, message)))
    };
    let mut taken = 0;
    // Whoever runs on this thread gets to, until nothing moves any more.
    let mut full = 0;
    while full < 1000 {
        match fixture.session.try_send(say(taken)) {
            Ok(()) => (taken, full) = (taken + 1, 0),
            Err(SendError::Full(_)) => full += 1,
            Err(SendError::Closed(_)) => panic!("the session is gone"),
        }
        tokio::task::yield_now().await;
    }
    // Mailbox, high water, and what the system keeps on both sides.
    let most = MAILBOX + 2 + (HIGH_WATER + (1 << 20)) / 1000;
    assert!(taken > MAILBOX && taken < most, "{taken} were taken");
    // It reads again, and then it is over.
    fixture.pulse.doom(Bye::TooSlow);
    let reading = tokio::spawn(everything(fixture.client));
    let heard = reading.await.expect("no panic");
    let said = heard.matches("\"refused\"").count();
    assert!(said > 0 && heard.contains("too_slow"), "{said} were said");
    for number in 0..said {
        assert!(
            heard.contains(&format!("{number:08} ")),
            "{number} is missing"
        );
    }
}
