//! What the server and the sockets add: each token's time from the worker's socket to
//! the player's, at many streams at once. The worker's engine is the deterministic one,
//! so that nothing else moves.

use std::time::{Duration, Instant};

use clap::Args;

use super::{
    Format, Latencies,
    player::Player,
    processes::{Server, scratch, start_worker},
    tap::{Request, Tap},
};
use crate::{
    play::imitation::{Event, Kind, Mode},
    wire::browser::{Doing, Line, ToClient},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Games that stream at the same time
    #[arg(long, default_value_t = 20)]
    streams: u32,
    /// Rounds that each game plays
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Milliseconds that a step of the worker takes; each stream gets a token a step
    #[arg(long, default_value_t = 5)]
    step_ms: u32,
    #[command(flatten)]
    format: Format,
}

/// Characters in which no two streams are alike.
const TELLING: usize = 16;

/// A part of a line as the player received it.
struct Received {
    /// The last characters of the line so far, [`TELLING`] of them.
    tail: String,
    at: Instant,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let Options {
        streams, rounds, ..
    } = options;
    let added = measure(streams, rounds, options.step_ms, streams * 3).await?;
    Latencies::of("added by server and sockets, worker to player", &added)?.print(options.format)
}

/// Plays that many games at once on a worker of that many slots, and gives what was added to
/// each part of a line.
pub(super) async fn measure(
    games: u32,
    rounds: u32,
    step_ms: u32,
    slots: u32,
) -> anyhow::Result<Vec<Duration>> {
    let scratch = scratch()?;
    let model = format!("deterministic:{step_ms}ms");
    let (front, back) = (scratch.path().join("front"), scratch.path().join("back"));
    let _worker = start_worker(&back, &model, slots)?;
    let tap = Tap::start(&front, back)?;
    let front = front
        .to_str()
        .ok_or_else(|| anyhow::anyhow!("odd temporary folder"))?;
    let rounds = rounds.to_string();
    let more = [
        ("PARLOUR_WORKER_SOCKET", front),
        ("PARLOUR_ROUNDS", &rounds),
    ];
    let server = Server::start(&scratch.path().join("data"), &model, &more).await?;

    let mut playing = tokio::task::JoinSet::new();
    for _ in 0..games {
        playing.spawn(play(server.socket.clone()));
    }
    let mut received = Vec::new();
    while let Some(game) = playing.join_next().await {
        received.extend(game??);
    }
    let added = added(&tap.requests(), &received);
    anyhow::ensure!(
        !added.is_empty() && added.len() * 2 >= received.len(),
        "only {} of {} parts could be matched to the worker's",
        added.len(),
        received.len()
    );
    Ok(added)
}

/// Plays one game and notes what streamed in.
async fn play(url: String) -> anyhow::Result<Vec<Received>> {
    let mut player = Player::connect(&url).await?;
    player.open(Kind::Direct, Mode::Explanatory).await?;
    let mut received = Vec::new();
    let mut line = String::new();
    let mut owed = None;
    loop {
        match player.hear().await? {
            ToClient::Partial {
                line: Line::Question | Line::OtherAnswer,
                from,
                text,
                ..
            } => {
                line = line.chars().take(from as usize).collect();
                line.push_str(&text);
                let at = Instant::now();
                let before = line.chars().count().checked_sub(TELLING);
                received.extend(before.map(|before| Received {
                    tail: line.chars().skip(before).collect(),
                    at,
                }));
            }
            ToClient::Doing {
                doing:
                    Doing::WitnessesAnswer {
                        your_turn: true, ..
                    },
                ..
            } => {
                if let Some(round) = owed.take() {
                    player.answer(round, "a plain answer of mine").await?;
                }
            }
            ToClient::Event { stamped, .. } => {
                if let Some(Event::Asked { round, .. }) = stamped.event {
                    owed = Some(round);
                }
            }
            ToClient::Doing {
                doing: Doing::Over, ..
            } => return Ok(received),
            _ => {}
        }
    }
}

/// For each part: the time since its last character passed the worker's socket. A line may
/// begin with words that the worker did not write (a question's opener), so it is known by
/// its latest characters.
fn added(requests: &[Request], received: &[Received]) -> Vec<Duration> {
    received
        .iter()
        .filter_map(|part| {
            let mut writers = requests.iter().filter_map(|request| {
                let before = request.text.find(&part.tail)?;
                let end = request.text[..before + part.tail.len()].chars().count();
                request.pieces.iter().find(|piece| piece.end >= end)
            });
            let passed = writers.next()?;
            // Written twice: nobody can say which one this was.
            writers
                .next()
                .is_none()
                .then(|| part.at.saturating_duration_since(passed.at))
        })
        .collect()
}
