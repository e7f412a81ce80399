//! How long a player looks at a silent judge: from the moment the answer leaves the
//! client to the first token of the judge's reasoning.

use std::time::{Duration, Instant};

use clap::Args;

use super::{Format, Latencies, player::Player, processes::Server};
use crate::{
    play::imitation::{Event, Kind, Mode},
    wire::browser::{Doing, Line, ToClient},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Chat model
    #[arg(long, env = "PARLOUR_MODEL", default_value = "smollm2-135m")]
    model: String,
    /// Answers to measure
    #[arg(long, default_value_t = 20)]
    turns: usize,
    #[command(flatten)]
    format: Format,
}

const ANSWERS: [&str; 4] = [
    "honestly i overslept and just had cold pizza standing in the kitchen",
    "Hmm, probably the smell of rain on the road behind my gran's house.",
    "no idea lol, ask my sister",
    "I would take the bus, the train is always late on Mondays.",
];

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let data = super::processes::scratch()?;
    let server = Server::start(data.path(), &options.model, &[("PARLOUR_ROUNDS", "5")]).await?;
    let mut waits = Vec::new();
    while waits.len() < options.turns {
        play(&server.socket, &mut waits).await?;
    }
    waits.truncate(options.turns);
    Latencies::of("last key of an answer to the judge's first token", &waits)?.print(options.format)
}

/// Plays one game to its end and notes each wait.
async fn play(url: &str, waits: &mut Vec<Duration>) -> anyhow::Result<()> {
    let mut player = Player::connect(url).await?;
    player.open(Kind::Direct, Mode::Explanatory).await?;
    let mut owed = None;
    let mut answered: Option<Instant> = None;
    loop {
        match player.hear().await? {
            ToClient::Event { stamped, .. } => {
                if let Some(Event::Asked { round, .. }) = stamped.event {
                    owed = Some(round);
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
                    let text = ANSWERS[round as usize % ANSWERS.len()];
                    answered = Some(Instant::now());
                    player.answer(round, text).await?;
                }
            }
            ToClient::Partial {
                line: Line::Reasoning,
                ..
            } => {
                waits.extend(answered.take().map(|at| at.elapsed()));
            }
            ToClient::Doing {
                doing: Doing::Over, ..
            } => return Ok(()),
            _ => {}
        }
    }
}
