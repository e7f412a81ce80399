//! Sockets at the limit: how many come in a second, what each costs the server at rest, how
//! long a token and a line are on their way, and how long it takes until everybody is back.
//!
//! The servers are processes of their own, this one is the client of all of them, and all
//! share one machine: figures are for server and client together. A wait is taken between two
//! readings of this process's monotonic clock: when a text is written to a socket, and when
//! the bytes that carry it are read from another. The first reading travels in the text.

mod client;
mod clock;
mod crowd;
mod fanout;
mod goals;
mod scenes;
mod sides;
mod tables;
mod writer;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;

use self::{
    fanout::FanOut,
    scenes::{Contest, FannedOut, Plan, Standing, Visited},
    sides::Side,
    tables::{Gallery, Streaming, Streams, Watched},
};
use super::goal::Goal;

/// Sockets in the large room of a comparison, and lines a second that are said there.
const GALLERY: usize = 1_000;
const GALLERY_LINES: u32 = 4;

/// Between two lines that a table's spectators hear: no person may talk faster for long.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct Options {
    /// Sockets that visit Parlour itself; 0 leaves that out
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Messages a second while they chat, and lines a second in a comparison
    #[arg(long, default_value_t = 2_000)]
    lines: u32,
    /// Seconds of each part in which something is said
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Tables at which questions are written; 0 leaves that out
    #[arg(long, default_value_t = 200)]
    rooms: usize,
    /// People at each of them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=7))]
    people: u8,
    /// Questions that are written at the same time
    #[arg(long, default_value_t = 100)]
    streams: usize,
    /// Tokens a second of each question
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    tokens: u32,
    /// Spectators of one table; 0 leaves that out
    #[arg(long, default_value_t = 1_000)]
    spectators: usize,
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
    #[arg(long, default_value_t = 5)]
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
    cores: usize,
    /// Of the minute before: what else the machine had to do.
    load_average: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visited: Option<Visited>,
    #[serde(skip_serializing_if = "Option::is_none")]
    streaming: Option<Streaming>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watched: Option<Watched>,
    /// Fan-out beside others, our own sockets first.
    sides: Vec<Standing>,
    goals: Vec<Goal>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    if let Some(which) = options.serve {
        return fanout::serve(which).await;
    }
    let people = usize::from(options.people);
    let most = [
        options.sockets,
        options.rooms * people,
        options.spectators,
        options.peer_sockets,
    ];
    scenes::raise_file_limit(most.into_iter().max().unwrap_or_default())?;
    let mut report = Report {
        cores: std::thread::available_parallelism()?.get(),
        load_average: load_average(),
        ..Report::default()
    };
    println!(
        "{} cores for servers and client, load average before: {:.2}",
        report.cores,
        report.load_average.unwrap_or(f64::NAN)
    );
    if options.sockets > 0 {
        let visited = scenes::visit(Plan {
            sockets: options.sockets,
            lines: options.lines,
            seconds: options.seconds,
        })
        .await?;
        visited.print();
        report.goals.extend(goals::of_visit(&visited));
        report.visited = Some(visited);
    }
    if options.rooms > 0 {
        let streaming = tables::streams(Streams {
            tables: options.rooms,
            people,
            streams: options.streams,
            tokens_per_second: options.tokens,
            seconds: options.seconds,
        })
        .await?;
        streaming.print();
        report.goals.extend(goals::of_streaming(&streaming));
        report.streaming = Some(streaming);
    }
    if options.spectators > 0 {
        let lines = Duration::from_secs(options.seconds).as_millis() / PAUSE.as_millis();
        let watched = tables::gallery(Gallery {
            spectators: options.spectators,
            lines: usize::try_from(lines)?,
            pause: PAUSE,
        })
        .await?;
        watched.print();
        report.goals.extend(goals::of_gallery(&watched));
        report.watched = Some(watched);
    }
    if !options.against.is_empty() {
        report.sides = compare(&options).await?;
        println!("beside each other, medians of {} rounds", options.rounds);
        for side in &report.sides {
            side.print();
        }
        let others = report.sides.get(1..).unwrap_or_default();
        report.goals.extend(goals::of_contest(others));
    }
    println!("goals");
    for goal in &report.goals {
        goal.print();
    }
    if let Some(path) = options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}

/// Of the last minute; none where the system does not tell.
fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Runs all sides in turn; who begins changes from round to round.
async fn compare(options: &Options) -> anyhow::Result<Vec<Standing>> {
    let plan = Contest {
        sockets: options.peer_sockets,
        members: options.members,
        lines: options.lines,
        gallery: GALLERY.min(options.peer_sockets),
        gallery_lines: GALLERY_LINES,
        seconds: options.seconds.div_ceil(2),
    };
    let ours = Side::FanOut(FanOut::Sockets);
    let sides: Vec<&Side> = std::iter::once(&ours).chain(&options.against).collect();
    let mut rounds: Vec<Vec<FannedOut>> = vec![Vec::new(); sides.len()];
    for round in 0..options.rounds {
        for turn in 0..sides.len() {
            let at = (round + turn) % sides.len();
            println!("round {} of {}", round + 1, options.rounds);
            let figures = scenes::fan_out(sides[at], plan).await?;
            figures.print();
            rounds[at].push(figures);
        }
    }
    let ours = rounds[0].clone();
    Ok(rounds
        .into_iter()
        .filter_map(|rounds| Standing::of(rounds, &ours))
        .collect())
}
