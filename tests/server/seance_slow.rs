//! Whoever listens too slowly at a séance, or says nothing of what was heard.

use parlour::play::seance::{Event, Leaving};
use tokio::net::TcpSocket;
use tokio_tungstenite::{MaybeTlsStream, client_async};

use super::support::{
    client::Client,
    house::House,
    seance::{Guest, Line, house},
};

/// Samples a second of the toy's voice.
const RATE: usize = 16_000;

/// A socket that holds as little unread as its system lets it.
async fn small(house: &House) -> Client {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let address = house.address.parse().expect("an address");
    let stream = socket.connect(address).await.expect("a connection");
    let stream = MaybeTlsStream::Plain(stream);
    let (socket, _) = client_async(house.socket(), stream)
        .await
        .expect("a socket");
    Client::enter_by(socket, None).await
}

#[actix_web::test]
async fn who_stops_reading_loses_ends_of_clauses_and_nobody_else_loses_anything() {
    let house = house(&[]);
    let mut sitter = Guest::enter(&house, None, true).await;
    let mut watcher = Guest::enter_by(small(&house).await, false).await;
    watcher.is_slow = true;
    sitter.question("Who are you?").await.expect("it is taken");
    // It reads nothing while the spirit speaks: longer than system, socket and mailbox hold, and
    // less long than one is waited for.
    sitter.listen_for(16 * RATE).await;
    let last = *sitter.lines.keys().next_back().expect("a line");
    // It reads again, and the spirit goes on.
    let (_, ()) = tokio::join!(
        watcher.until(|guest| guest.whole().is_some_and(|(line, _)| line > last)),
        sitter.listen_for(8 * RATE),
    );
    let (line, _) = watcher.whole().expect("it hears again");
    sitter.until(|guest| guest.lines[&line].over).await;

    let lost = |line: &Line| line.over && !line.is_whole();
    assert!(watcher.lines.values().any(lost), "it lost nothing");
    for (number, told) in watcher.lines.range(..=line) {
        let whole = &sitter.lines[number];
        assert!(whole.is_whole(), "another one lost line {number}");
        assert_eq!(told.words, whole.words, "its captions are whole");
        assert_eq!(told.announced, whole.announced);
        for (_, to) in &told.holes {
            assert!(told.clauses.contains(to), "line {number} goes on at {to}");
        }
    }
    // The log is told without a gap: see `Guest::take`.
    let shared = watcher.events.len().min(sitter.events.len());
    assert!(shared > 10);
    let said = |guest: &Guest| {
        guest
            .said()
            .into_iter()
            .take_while(|said| said.0 <= line)
            .count()
    };
    assert_eq!(said(&watcher), said(&sitter));
}

#[actix_web::test]
async fn what_nobody_says_to_have_heard_is_said_once_more_and_then_the_spirit_waits() {
    let house = house(&[("PARLOUR_SITTER_IDLE_SECONDS", "30")]);
    let mut guest = Guest::enter(&house, None, true).await;
    guest.question("Who are you?").await.expect("it is taken");
    guest
        .until(|guest| guest.begun.values().filter(|times| **times == 2).count() == 2)
        .await;
    let got_up = |event: &Event| {
        matches!(
            event,
            Event::Left {
                why: Leaving::Idle,
                ..
            }
        )
    };
    guest.until(|guest| guest.events.iter().any(got_up)).await;
    let asked: Vec<u32> = guest.begun.values().take(2).copied().collect();
    assert_eq!(asked, [2, 2], "never a third time");
}

#[actix_web::test]
async fn who_comes_back_to_a_line_that_is_over_is_told_it_again_from_what_was_heard() {
    let house = house(&[("PARLOUR_TRANSLATIONS", "deterministic")]);
    let mut guest = Guest::enter(&house, None, true).await;
    let line = guest.ask_in_german().await;
    guest.heard(line, 1).await;
    let heard = |event: &Event| matches!(event, Event::Heard { .. });
    guest.until(|guest| guest.events.iter().any(heard)).await;
    guest.until(|guest| guest.lines[&line].over).await;
    let words = guest.lines[&line].words.clone();
    let whole = guest.lines[&line].announced;
    let session = guest.client.session.clone();
    guest.client.socket.close(None).await.expect("it closes");
    let mut back = Guest::strange(Client::enter(&house, Some(&session)).await);
    back.is_slow = true;
    back.come(true).await;
    // The rest of it may still sound for who comes back; then it is voiced anew.
    back.until(|guest| guest.lines.get(&line).is_some_and(Line::is_whole))
        .await;
    assert_eq!(back.lines[&line].words, words);
    assert!(back.lines[&line].announced < whole, "one word was heard");
    let all = u32::try_from(words.len()).expect("few");
    back.heard(line, all).await;
    back.until(|guest| guest.said().len() > 2).await;
}
