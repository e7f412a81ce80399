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
    #[arg(long, default_value_t = 4)]
    rounds: u32,
    /// Milliseconds between a stream's tokens
    #[arg(long, default_value_t = 50)]
    step_ms: u32,
    #[command(flatten)]
    format: Format,
}

/// Characters after which no two streams begin alike.
const TELLING: usize = 16;

/// A part of a line as the player received it.
struct Received {
    /// Text of the line so far, this part included.
    line: String,
    at: Instant,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let scratch = scratch()?;
    let model = format!("deterministic:{}ms", options.step_ms);
    let (front, back) = (scratch.path().join("front"), scratch.path().join("back"));
    let _worker = start_worker(&back, &model, options.streams * 3)?;
    let tap = Tap::start(&front, back)?;
    let front = front
        .to_str()
        .ok_or_else(|| anyhow::anyhow!("odd temporary folder"))?;
    let rounds = options.rounds.to_string();
    let more = [
        ("PARLOUR_WORKER_SOCKET", front),
        ("PARLOUR_ROUNDS", &rounds),
    ];
    let server = Server::start(&scratch.path().join("data"), &model, &more).await?;

    let mut games = tokio::task::JoinSet::new();
    for _ in 0..options.streams {
        games.spawn(play(server.socket.clone()));
    }
    let mut received = Vec::new();
    while let Some(game) = games.join_next().await {
        received.extend(game??);
    }
    let added = added(&tap.requests(), &received);
    anyhow::ensure!(
        !added.is_empty() && added.len() * 10 >= received.len() * 9,
        "only {} of {} parts could be matched to the worker's",
        added.len(),
        received.len()
    );
    Latencies::of("added by server and sockets, worker to player", &added)?.print(options.format)
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
                if line.chars().count() >= TELLING {
                    received.push(Received {
                        line: line.clone(),
                        at: Instant::now(),
                    });
                }
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

/// For each part: the time since its last character passed the worker's socket.
fn added(requests: &[Request], received: &[Received]) -> Vec<Duration> {
    received
        .iter()
        .filter_map(|part| {
            requests.iter().find_map(|request| {
                let lead = request
                    .text
                    .chars()
                    .take_while(|c| c.is_whitespace())
                    .count();
                let same = request.text.trim_start().starts_with(&part.line);
                let end = lead + part.line.chars().count();
                let passed = request.pieces.iter().find(|piece| piece.end >= end)?;
                same.then(|| part.at.saturating_duration_since(passed.at))
            })
        })
        .collect()
}
