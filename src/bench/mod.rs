//! Measurements that anyone can run, against real processes over real sockets.

mod goal;
mod player;
mod processes;
mod quality;
mod rooms;
mod seance;
mod stream;
mod tap;
mod text;
mod turn;
mod usage;

use std::time::Duration;

use clap::{Args, Subcommand};
use hdrhistogram::Histogram;
use serde::Serialize;

/// `parlour bench …`
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Time from the last key of an answer to the judge's first word
    Turn(turn::Options),
    /// What server and sockets add to the worker's tokens on their way to the browser
    Stream(stream::Options),
    /// Sockets at the limit: memory, connects, fan-out, everybody's return; alone or against others
    Rooms(Box<rooms::Options>),
    /// A spoken question until it is understood and answered, silences, memory in the long run
    Seance(seance::Options),
    /// Speed, waits and memory of the text engine, alone or against another server
    Text(Box<text::Options>),
    /// What each precision costs: perplexity of a text
    Quality(Box<quality::Options>),
    /// Write the page and the picture of what `bench text` has measured
    Report(text::ReportOptions),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Args)]
struct Format {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs one measurement and prints its result to stdout.
///
/// # Errors
/// When a process cannot be started or a game does not go as the protocol says.
pub fn run(command: BenchCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            BenchCommand::Turn(options) => turn::run(options).await,
            BenchCommand::Stream(options) => stream::run(options).await,
            BenchCommand::Rooms(options) => rooms::run(*options).await,
            BenchCommand::Seance(options) => seance::run(options).await,
            BenchCommand::Text(options) => text::run(*options).await,
            BenchCommand::Quality(options) => quality::run(&options),
            BenchCommand::Report(options) => text::report(&options),
        }
    })
}

/// A distribution of durations, as it is printed.
#[derive(Debug, Serialize)]
struct Latencies {
    what: &'static str,
    samples: u64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

impl Latencies {
    fn of(what: &'static str, samples: &[Duration]) -> anyhow::Result<Self> {
        let mut histogram = Histogram::<u64>::new(3)?;
        for sample in samples {
            histogram.record(u64::try_from(sample.as_micros())?)?;
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Self {
            what,
            samples: histogram.len(),
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        })
    }

    fn print(&self, format: Format) -> anyhow::Result<()> {
        if format.json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            self.show();
        }
        Ok(())
    }

    fn show(&self) {
        println!("{} ({} samples)", self.what, self.samples);
        println!(
            "  p50 {:.1} ms   p95 {:.1} ms   p99 {:.1} ms   p99.9 {:.1} ms   max {:.1} ms",
            self.p50_ms, self.p95_ms, self.p99_ms, self.p999_ms, self.max_ms
        );
    }
}
