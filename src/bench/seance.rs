//! A séance in time: how soon a spoken question is understood and answered, how the voice goes
//! on, how soon it is silent; and what hours of it cost.
//!
//! The house is a process of its own with its workers, the microphone is WAV files in the pace
//! in which people speak, and the loudspeaker is a clock. All share one machine.

mod loudspeaker;
mod memory;
mod sitter;
mod turn;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use self::{
    memory::{Course, Memory},
    sitter::Sitter,
    turn::{Listener, Manner, Turn},
};
use super::{
    Latencies,
    goal::{Bound, Goal},
    processes::{Server, scratch},
};
use crate::{wire::sound::MICROPHONE_RATE, worker::speech::wav};

/// Milliseconds from the end of a question: until it is known, and until the answer sounds.
const TRANSCRIPT_P50_MS: f64 = 400.0;
const SOUND_P50_MS: f64 = 800.0;
const SOUND_P95_MS: f64 = 1_300.0;

/// Longest silence between two lines that is none, milliseconds.
const GAP_P95_MS: f64 = 0.0;

/// From the key to silence at the socket, milliseconds.
const BARGE_IN_MS: f64 = 150.0;

/// Growth of a process that is none, percent.
const GROWTH: f64 = 1.0;

/// Turns of one visitor in the long run.
const VISIT: usize = 5;

#[derive(Debug, Args)]
pub struct Options {
    /// Questions: WAV files, asked in turn
    #[arg(required = true)]
    questions: Vec<PathBuf>,
    /// Chat model
    #[arg(long, env = "PARLOUR_MODEL", default_value = "smollm2-135m")]
    model: String,
    /// Questions to measure
    #[arg(long, default_value_t = 30)]
    turns: usize,
    /// Lines of an answer that are listened to before the next question
    #[arg(long, default_value_t = 3)]
    lines: u32,
    /// Minutes of hurried questions and short visits after that, to see whether memory grows
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// How much faster than people a hurried question is said
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    haste: u32,
    /// Write the figures to a file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All that was measured.
#[derive(Debug, Default, Serialize)]
struct Report {
    turns: usize,
    /// Questions in which no word was found, lines that no voice said, and times that the
    /// spirit had nothing to say.
    unheard: usize,
    unvoiced: u32,
    silences: u32,
    /// What the questions were taken for, in the order of the files.
    understood: Vec<String>,
    stages: Vec<Latencies>,
    hurried_turns: usize,
    memory: Vec<Course>,
    goals: Vec<Goal>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let questions = options
        .questions
        .iter()
        .map(|file| Ok(wav::read(file, MICROPHONE_RATE)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let data = scratch()?;
    let settings = [("PARLOUR_SPEECH", "true")];
    let server = Server::start(data.path(), &options.model, &settings).await?;
    let mut listener = Listener::new(Sitter::sit(&server.socket).await?);
    listener.until_means().await?;
    let mut report = Report::default();
    measure(&mut listener, &questions, &options, &mut report).await?;
    if options.minutes > 0 {
        endure(&mut listener, &questions, &options, &server, &mut report).await?;
    }
    println!("goals");
    for goal in &report.goals {
        goal.print();
    }
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Asks as people do.
async fn measure(
    listener: &mut Listener,
    questions: &[Vec<i16>],
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    let manner = Manner {
        haste: 1,
        lines: options.lines,
    };
    let mut turns = Vec::new();
    // The first ones find engines that have computed nothing yet.
    let warm_up = questions.iter().take(2);
    for question in warm_up {
        listener.ask(question, manner).await?;
    }
    listener.speaker.forget();
    for question in questions.iter().cycle().take(options.turns) {
        turns.push(listener.ask(question, manner).await?);
    }
    report.turns = turns.len();
    report.unheard = turns
        .iter()
        .filter(|turn| turn.transcript.is_none())
        .count();
    report.unvoiced = turns.iter().map(|turn| turn.unvoiced).sum();
    report.silences = turns.iter().map(|turn| turn.silences).sum();
    report.understood = turns
        .iter()
        .take(questions.len())
        .map(|turn| {
            turn.transcript
                .as_ref()
                .map_or_else(String::new, |(_, text)| text.clone())
        })
        .collect();
    for text in &report.understood {
        println!("understood: {text}");
    }
    println!(
        "{} questions: {} not heard, {} times nothing to say, {} clauses not voiced",
        report.turns, report.unheard, report.silences, report.unvoiced
    );
    let each = |of: fn(&Turn) -> Option<Duration>| -> Vec<Duration> {
        turns.iter().filter_map(of).collect()
    };
    let transcript = each(|turn| turn.transcript.as_ref().map(|(took, _)| *took));
    let transcript = Latencies::of("end of the question to the transcript", &transcript)?;
    let answer = Latencies::of("… to the answer in writing", &each(|turn| turn.answer))?;
    let sound = Latencies::of("… to the first sound", &each(|turn| turn.sound))?;
    let between = Latencies::of("silence between two lines", &listener.speaker.between)?;
    let inside = Latencies::of(
        "silence inside a line, where there was any",
        &listener.speaker.inside,
    )?;
    let barge_in = Latencies::of("key to silence at the socket", &each(|turn| turn.barge_in))?;
    let most = |what: &str, got, goal| Goal::new(what.to_owned(), "ms", got, Bound::AtMost, goal);
    report.goals.extend([
        most(
            "end of a question to its transcript: p50",
            transcript.p50_ms,
            TRANSCRIPT_P50_MS,
        ),
        most(
            "end of a question to the first sound: p50",
            sound.p50_ms,
            SOUND_P50_MS,
        ),
        most(
            "end of a question to the first sound: p95",
            sound.p95_ms,
            SOUND_P95_MS,
        ),
        most("silence between two lines: p95", between.p95_ms, GAP_P95_MS),
        most(
            "key to silence at the socket: longest",
            barge_in.max_ms,
            BARGE_IN_MS,
        ),
    ]);
    report.stages = vec![transcript, answer, sound, between, inside, barge_in];
    for stage in &report.stages {
        stage.show();
    }
    Ok(())
}

/// A day of visitors in minutes: questions said in haste, each answer cut off early, each
/// visitor gone after a few of them.
async fn endure(
    listener: &mut Listener,
    questions: &[Vec<i16>],
    options: &Options,
    server: &Server,
    report: &mut Report,
) -> anyhow::Result<()> {
    let pid = server.pid().context("the server ended")?;
    let manner = Manner {
        haste: options.haste,
        lines: 1,
    };
    let end = Instant::now() + Duration::from_secs(60 * options.minutes);
    let mut memory = Memory::of(pid);
    for (turn, question) in (1..).zip(questions.iter().cycle()) {
        listener.ask(question, manner).await?;
        memory.look()?;
        report.hurried_turns = turn;
        if Instant::now() >= end {
            break;
        }
        if turn % VISIT == 0 {
            listener.sitter.leave().await?;
            // Nobody may speak faster than people for long on one socket.
            *listener = Listener::new(Sitter::sit(&server.socket).await?);
        }
    }
    report.memory = memory.courses();
    println!(
        "memory in the course of {} hurried questions",
        report.hurried_turns
    );
    for course in &report.memory {
        course.print();
        let what = format!("growth of the process `{}`", course.process);
        let grown = Goal::new(what, "%", course.growth(), Bound::AtMost, GROWTH);
        report.goals.push(grown);
    }
    Ok(())
}
