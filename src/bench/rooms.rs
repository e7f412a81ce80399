//! Sockets at the limit: how many come in a second, what each costs the server at rest, how
//! long a line is on its way, and how long it takes until everybody is back.
//!
//! The servers are processes of their own, this one is the client of all of them, and all
//! share one machine: figures are for server and client together.

mod client;
mod crowd;
mod fanout;
mod scenes;
mod sides;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use self::{
    fanout::FanOut,
    scenes::{Figures, Plan},
    sides::Side,
};
use super::{Latencies, stream};

#[derive(Debug, Args)]
pub struct Options {
    /// Sockets that visit Parlour itself
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Lines a second while they chat
    #[arg(long, default_value_t = 500)]
    lines: u32,
    /// Seconds that they chat
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rooms that stream tokens; 0 leaves that out
    #[arg(long, default_value_t = 200)]
    rooms: u32,
    /// Token streams at the same time, 20 tokens a second each
    #[arg(long, default_value_t = 100)]
    streams: u32,
    /// Measure fan-out against others as well: `baseline`, or NAME=COMMAND of a server that
    /// speaks as tests/peers do; repeatable
    #[arg(long, value_parser = against)]
    against: Vec<Side>,
    /// Sockets for each side of a comparison
    #[arg(long, default_value_t = 2_000)]
    peer_sockets: usize,
    /// Sockets that share a room in a comparison
    #[arg(long, default_value_t = 5)]
    members: usize,
    /// Rounds of the comparison, the sides in turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Write the figures here as JSON
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Be one of the servers that are measured
    #[arg(long, hide = true)]
    serve: Option<FanOut>,
}

fn against(value: &str) -> Result<Side, String> {
    match value.split_once('=') {
        None if value == "baseline" => Ok(Side::FanOut(FanOut::Baseline)),
        Some((name, command)) if !name.is_empty() && !command.trim().is_empty() => Ok(Side::Peer {
            name: name.into(),
            command: command.into(),
        }),
        _ => Err("neither `baseline` nor NAME=COMMAND".into()),
    }
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    parlour: Option<Figures>,
    /// Worker's socket to player's socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    streaming: Option<Latencies>,
    /// Medians over the rounds, our own sockets first.
    sides: Vec<Figures>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    if let Some(which) = options.serve {
        return fanout::serve(which).await;
    }
    scenes::raise_file_limit(options.sockets.max(options.peer_sockets))?;
    let mut report = Report::default();
    let plan = Plan {
        sockets: options.sockets,
        members: 1,
        lines: options.lines,
        seconds: options.seconds,
    };
    if options.sockets > 0 {
        let figures = scenes::measure(&Side::House, plan).await?;
        figures.print();
        report.parlour = Some(figures);
    }
    if options.rooms > 0 {
        let samples = stream::measure(options.rooms, 1, 50, options.streams).await?;
        let latencies = Latencies::of("token, worker's socket to player's", &samples)?;
        latencies.show();
        report.streaming = Some(latencies);
    }
    if !options.against.is_empty() {
        let plan = Plan {
            sockets: options.peer_sockets,
            members: options.members,
            ..plan
        };
        let ours = Side::FanOut(FanOut::Sockets);
        let sides: Vec<&Side> = std::iter::once(&ours).chain(&options.against).collect();
        let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); sides.len()];
        for round in 0..options.rounds {
            for (side, rounds) in sides.iter().zip(&mut rounds) {
                eprintln!("round {} of {}: {}", round + 1, options.rounds, side.name());
                rounds.push(scenes::measure(side, plan).await?);
            }
        }
        report.sides = rounds
            .iter()
            .filter_map(|rounds| Figures::median(rounds))
            .collect();
        scenes::compare(&report.sides);
    }
    if let Some(path) = options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}
