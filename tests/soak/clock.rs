//! The server's clock jumps while somebody plays: libfaketime tells it another time of day.
//! Its timers go on as before, as those of a machine do whose clock is set.

use std::{fs, path::PathBuf, time::Duration};

use parlour::{
    play::imitation::{Ending, Event, Kind, Mode},
    wire::browser::{Doing, FromClient, RefusalCode},
};

use crate::{
    guest::{Guest, Place},
    house::House,
    moves::Todo,
    seen::Seen,
};

/// A house with a clock that can be set.
struct Clock {
    house: House,
    offset: tempfile::NamedTempFile,
}

impl Clock {
    fn new() -> Self {
        let offset = tempfile::NamedTempFile::new().expect("a file");
        fs::write(offset.path(), "+0").expect("written");
        let file = offset.path().to_str().expect("a name").to_owned();
        let library = library();
        let house = House::with_toy(&[
            ("LD_PRELOAD", library.to_str().expect("a name")),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("PARLOUR_PING_SECONDS", "1"),
            ("PARLOUR_ROUNDS", "2"),
        ]);
        Self { house, offset }
    }

    /// Seconds from the true time, such as `+600`.
    fn set(&self, offset: &str) {
        fs::write(self.offset.path(), offset).expect("written");
    }
}

fn library() -> PathBuf {
    let given = std::env::var_os("PARLOUR_FAKETIME").map(PathBuf::from);
    let folders = fs::read_dir("/usr/lib").expect("a folder").flatten();
    let usual = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    given
        .into_iter()
        .chain(usual)
        .find(|path| path.exists())
        .expect("libfaketime is there; `tools/faketime` installs it")
}

fn seen(guest: &Guest) -> &Seen {
    match &guest.place {
        Some(Place::Game(seen)) => seen,
        other => panic!("{other:?}"),
    }
}

fn ending(guest: &Guest) -> Option<Ending> {
    match seen(guest).ended() {
        Some(Event::Ended { ending, .. }) => Some(*ending),
        _ => None,
    }
}

/// Somebody in a game, whose turn it is.
async fn in_turn(clock: &Clock) -> Guest {
    let mut ada = Guest::new("Ada");
    ada.connect(&clock.house.socket()).await.expect("a socket");
    let id = ada.id();
    let open = FromClient::Open {
        id,
        kind: Kind::Direct,
        mode: Mode::Blind,
        name: ada.name.clone(),
    };
    assert!(ada.enter(id, &open).await.expect("the socket is open"));
    while !seen(&ada).my_turn() {
        ada.hear().await.expect("the socket is open");
    }
    ada
}

/// What is refused whatever happens, and costs a message.
async fn nonsense(ada: &mut Guest) -> RefusalCode {
    let answer = ada.act(&Todo::Answer(99)).await;
    answer
        .expect("the socket stays open")
        .expect_err("there is no such round")
}

#[tokio::test]
async fn when_the_clock_jumps_ahead_nobody_is_cut_off_and_who_is_late_is_let_go() {
    let clock = Clock::new();
    let mut ada = in_turn(&clock).await;
    clock.set("+600");
    // Longer than silence is borne.
    for _ in 0..50 {
        ada.ping().await.expect("the socket stays open");
        tokio::time::sleep(Duration::from_millis(220)).await;
    }
    assert_eq!(ending(&ada), None);
    // The next time that the room looks round it is too late.
    ada.hang_up();
    ada.connect(&clock.house.socket()).await.expect("a socket");
    assert!(ada.sit().await.expect("the socket is open"));
    while ending(&ada).is_none() {
        ada.hear().await.expect("the socket is open");
    }
    assert_eq!(ending(&ada), Some(Ending::Idle));
}

#[tokio::test]
async fn when_the_clock_jumps_back_nothing_ends_early_and_nobody_is_silenced() {
    let clock = Clock::new();
    let mut ada = in_turn(&clock).await;
    let Doing::WitnessesAnswer { until, .. } = seen(&ada).doing else {
        panic!("it is her turn");
    };
    while nonsense(&mut ada).await != RefusalCode::TooFast {}
    clock.set("-3600");
    while nonsense(&mut ada).await == RefusalCode::TooFast {
        tokio::time::sleep(Duration::from_millis(220)).await;
    }
    while ending(&ada).is_none() {
        if seen(&ada).my_turn() {
            let todo = Todo::Answer(seen(&ada).round());
            let answer = ada.act(&todo).await.expect("the socket stays open");
            match answer {
                // Somebody else's turn may have come meanwhile.
                Ok(()) | Err(RefusalCode::NotNow) => {}
                Err(RefusalCode::TooFast) => {
                    tokio::time::sleep(Duration::from_millis(220)).await;
                    continue;
                }
                Err(code) => panic!("{code:?}"),
            }
        }
        ada.hear().await.expect("the socket stays open");
    }
    assert_ne!(ending(&ada), Some(Ending::Idle));
    let last = seen(&ada).events.last().expect("the end").at;
    assert!(
        until.is_some_and(|until| last < until),
        "the clock was set back"
    );
}
