//! The text engine from outside: throughput, waits and memory, by real requests to real
//! processes; with `--against`, the very same requests to another server in turn.

mod adapters;
mod chart;
mod exchange;
mod figures;
mod machine;
mod ours;
mod page;
mod peer;
mod prompts;
mod report;
mod scenario;
mod table;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use clap::Args;
use sha2::{Digest as _, Sha256};

use self::{
    exchange::{Answer, Ask},
    figures::{Figures, name},
    machine::{Machine, Process},
    ours::Ours,
    peer::Peer,
    prompts::Prompts,
    report::{Measured, Program, Report, Round, Settings},
    scenario::{Outcome, SHORT, Scenario, Sizes},
};
use super::processes::{scratch, start_text_worker};
use crate::{
    config::{ModelSettings, default_threads},
    worker::deterministic::Deterministic,
};

/// Streams that speak through an adapter each.
const ADAPTERS: usize = 16;

#[derive(Debug, Args)]
pub struct Options {
    /// Chat model
    #[arg(long, env = "PARLOUR_MODEL", default_value = "smollm2-135m")]
    model: String,
    #[command(flatten)]
    models: ModelSettings,
    /// Unix socket of a worker that somebody else runs, instead of one of our own
    #[arg(long, env = "PARLOUR_WORKER_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Rows of our own worker; give the other server as many
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256))]
    slots: u32,
    /// Longest prompt plus output of our own worker, tokens
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1664..))]
    context: u32,
    /// Threads that compute [default: the machine's cores, at most 16]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Option<u32>,
    /// OpenAI-compatible server that gets the same requests, e.g. http://127.0.0.1:8081/v1;
    /// it must hold the same model
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// What the other server is called in tables
    #[arg(long, value_name = "NAME", default_value = "llama.cpp")]
    against_name: String,
    /// Something to remember about the other server, such as its build's features
    #[arg(long, value_name = "TEXT")]
    against_note: Vec<String>,
    /// Times that each scenario is measured on each side
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Scenarios to measure, by name or by the name's beginning up to a dash [default: all]
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Numbers of streams at the same time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16, 32])]
    streams: Vec<usize>,
    /// Output tokens of a stream
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=512))]
    tokens: u32,
    /// Seconds between two people who arrive at random, on average
    #[arg(long, default_value_t = 1.0)]
    arrival_gap: f64,
    /// Adds the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// As little as possible of everything: shows that it works, measures nothing
    #[arg(long)]
    quick: bool,
}

impl Options {
    fn sizes(&self) -> Sizes {
        if self.quick {
            return Sizes {
                streams: vec![1, 2],
                tokens: 8,
                prefills: 1,
                people: 4,
                gap: Duration::from_millis(10),
                adapters: Vec::new(),
            };
        }
        Sizes {
            streams: self.streams.clone(),
            tokens: self.tokens,
            prefills: 2,
            people: 16,
            gap: Duration::from_secs_f64(self.arrival_gap),
            adapters: Vec::new(),
        }
    }

    fn threads(&self) -> u32 {
        self.threads.unwrap_or_else(default_threads)
    }

    fn wants(&self, scenario: Scenario) -> bool {
        let name = scenario.name();
        let begins = |only: &String| {
            name.strip_prefix(only.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.only.is_empty() || self.only.iter().any(begins)
    }
}

#[derive(Debug, Args)]
pub struct ReportOptions {
    /// What `parlour bench text --json` has written
    file: PathBuf,
    /// Page whose measured part is written anew
    #[arg(long, default_value = "docs/performance.md")]
    page: PathBuf,
    /// Picture that is drawn anew
    #[arg(long, default_value = "docs/pictures/performance.svg")]
    chart: PathBuf,
}

/// Writes the page and the picture of a report.
pub(super) fn report(options: &ReportOptions) -> anyhow::Result<()> {
    let report = Report::read(&options.file)?;
    page::write(&report, &options.page)?;
    chart::draw(&report, &options.chart)
}

/// Who is asked. Cheap to clone.
#[derive(Clone)]
enum Side {
    Ours(Ours),
    Theirs(Peer),
}

impl Side {
    async fn ask(&self, ask: &Ask) -> anyhow::Result<Answer> {
        match self {
            Self::Ours(ours) => ours.ask(ask).await,
            Self::Theirs(peer) => peer.ask(ask).await.context(peer.model.clone()),
        }
    }

    /// Tokens so far that were guessed and held, where that is known.
    async fn guessed(&self) -> anyhow::Result<Option<u64>> {
        match self {
            Self::Ours(ours) => Ok(Some(ours.load().await?.drafts_held)),
            Self::Theirs(_) => Ok(None),
        }
    }

    fn process(&self) -> Option<Process> {
        match self {
            Self::Ours(ours) => ours.process,
            Self::Theirs(peer) => peer.process,
        }
    }
}

/// Both sides, and what is known of them.
struct Bench {
    ours: Side,
    theirs: Option<Side>,
    prompts: Prompts,
    report: Report,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let mut sizes = options.sizes();
    // Adapters are written for a worker of this bench's own, and the toy takes any or none.
    let adapts = options.socket.is_none() && Deterministic::delay_of(&options.model).is_none();
    let can = |scenario| scenario != Scenario::Adapters || adapts;
    let scenarios: Vec<Scenario> = Scenario::all(&sizes)
        .into_iter()
        .filter(|scenario| options.wants(*scenario) && can(*scenario))
        .collect();
    if scenarios.is_empty() {
        let all = Scenario::all(&sizes).into_iter();
        let names: Vec<_> = all.map(Scenario::name).collect();
        anyhow::bail!(
            "there is no such scenario, or not for this worker; there are {}",
            names.join(", ")
        );
    }
    let scratch = scratch()?;
    let folder = scratch.path().join("adapters");
    if scenarios.contains(&Scenario::Adapters) {
        sizes.adapters = adapters::write(&folder, &options.model, &options.models, ADAPTERS)?;
    }
    let socket = match &options.socket {
        Some(socket) => socket.clone(),
        None => scratch.path().join("worker"),
    };
    let mut worker = match &options.socket {
        Some(_) => None,
        None => Some(start_text_worker(
            &socket,
            &options.model,
            &options.models,
            [options.slots, options.context, options.threads()],
            &folder,
        )?),
    };
    // Waiting for a child closes its standard input, at whose end a worker ends.
    let _stdin = worker.as_mut().and_then(|worker| worker.stdin.take());
    let died = async {
        match &mut worker {
            Some(worker) => worker.wait().await,
            None => std::future::pending().await,
        }
    };
    let mut bench = tokio::select! {
        bench = Bench::start(&options, &sizes, &socket) => bench?,
        status = died => anyhow::bail!("the worker ended: {}", status?),
    };
    if let Some(file) = &options.json {
        bench.report.resume(file)?;
    }
    let rounds = if options.quick { 1 } else { options.rounds };
    for scenario in scenarios {
        eprintln!("{} …", scenario.name());
        let measured = bench.measure(scenario, &sizes, rounds).await;
        // What was measured before something broke is kept.
        if let Ok(measured) = &measured {
            bench.report.put(measured.clone());
        }
        if let Some(file) = &options.json {
            bench.report.write(file)?;
        }
        measured?;
    }
    print!("{}", table::text(&bench.report));
    Ok(())
}

impl Bench {
    /// Connects to both sides and warms them up.
    async fn start(options: &Options, sizes: &Sizes, socket: &Path) -> anyhow::Result<Self> {
        let seconds = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        // A thousand prompts a second is more than anybody asks for: no number comes twice.
        let prompts = Prompts::of(&options.model, &options.models, seconds * 1000)?;
        let ours = Ours::connect(socket, prompts.no_end()).await?;
        let theirs = match &options.against {
            Some(url) => Some(Peer::connect(url).await?),
            None => None,
        };
        let report = Report {
            machine: Machine::here(),
            ours: Program {
                name: "Parlour".into(),
                version: ours.version.clone(),
                build: match options.socket {
                    Some(_) => String::new(),
                    None => own_build()?,
                },
                model: ours.model.name.clone(),
                remarks: vec![format!("weights held as {}", ours.model.precision)],
            },
            theirs: theirs.as_ref().map(|peer| Program {
                name: options.against_name.clone(),
                version: peer.build.clone(),
                build: peer.build.clone(),
                model: peer.model.clone(),
                remarks: options.against_note.clone(),
            }),
            settings: Settings {
                slots: ours.model.slots,
                context: ours.model.context,
                threads: options.threads(),
                tokens: sizes.tokens,
                people: sizes.people,
                arrival_gap_s: sizes.gap.as_secs_f64(),
            },
            warnings: Vec::new(),
            scenarios: Vec::new(),
        };
        let mut bench = Self {
            ours: Side::Ours(ours),
            theirs: theirs.map(Side::Theirs),
            prompts,
            report,
        };
        let warm_up = Ask::new(bench.prompts.scene(SHORT)?, 8);
        bench.ours.ask(&warm_up).await?;
        if let Some(theirs) = &bench.theirs {
            theirs.ask(&warm_up).await?;
        }
        Ok(bench)
    }

    async fn measure(
        &mut self,
        scenario: Scenario,
        sizes: &Sizes,
        rounds: u32,
    ) -> anyhow::Result<Measured> {
        let mut measured = Measured {
            name: scenario.name(),
            rounds: Vec::new(),
        };
        for round in 0..rounds {
            let work = scenario.work(sizes, &mut self.prompts, u64::from(round))?;
            let theirs = self.theirs.clone().filter(|_| scenario.for_both());
            let (first, second) = match &theirs {
                // Who begins changes, so that what drifts drifts for both.
                Some(theirs) if round % 2 == 1 => (theirs, Some(&self.ours)),
                theirs => (&self.ours, theirs.as_ref()),
            };
            let one = timed(work.clone(), first, second).await?;
            let other = match second {
                Some(side) => Some(timed(work, side, Some(first)).await?),
                None => None,
            };
            let (ours, theirs) = match (first, other) {
                (Side::Theirs(_), Some(other)) => (other, Some(one)),
                (_, other) => (one, other),
            };
            self.check(scenario, &ours, theirs.as_ref());
            measured.rounds.push(Round {
                same_text: theirs.as_ref().map(|theirs| same_text(&ours, theirs)),
                ours: ours.figures,
                theirs: theirs.map(|outcome| outcome.figures),
            });
        }
        Ok(measured)
    }

    /// Says aloud what makes a comparison unfair.
    fn check(&mut self, scenario: Scenario, ours: &Outcome, theirs: Option<&Outcome>) {
        let name = scenario.name();
        let mut sides = vec![("Parlour", ours)];
        sides.extend(theirs.map(|theirs| ("the other server", theirs)));
        for (who, outcome) in sides {
            for (ask, answer) in &outcome.answers {
                let prompt = self.prompts.count(&ask.prompt);
                if prompt as u64 != u64::from(answer.prompt_tokens) {
                    self.report.warn(format!(
                        "{name}: {who} read {} tokens for a prompt of {prompt}: not the same work",
                        answer.prompt_tokens
                    ));
                }
                if answer.output_tokens != ask.tokens {
                    self.report.warn(format!(
                        "{name}: {who} wrote another number of tokens than the {} asked for",
                        ask.tokens
                    ));
                }
            }
            let busy = outcome.figures.get(name::OTHERS_IDLE);
            if busy.is_some_and(|cores| *cores > 0.05) {
                self.report.warn(format!(
                    "{name}: while {who} was measured, the other side used the processor"
                ));
            }
        }
    }
}

/// Does the work, and notes what it cost and what everybody else did meanwhile.
async fn timed(work: scenario::Work, side: &Side, idle: Option<&Side>) -> anyhow::Result<Outcome> {
    let used = |process: Option<Process>| process.and_then(Process::cpu_seconds);
    let others = || used(idle.and_then(Side::process));
    let own = || used(Some(Process(std::process::id())));
    let before = (Instant::now(), others(), own());
    let mut outcome = work.run(side).await?;
    let wall = before.0.elapsed().as_secs_f64();
    let share = |before: Option<f64>, after: Option<f64>| Some((after? - before?) / wall);
    let figures: &mut Figures = &mut outcome.figures;
    let mut set = |name: &str, value: Option<f64>| {
        figures.extend(value.map(|value| (name.to_owned(), value)));
    };
    set(name::OTHERS_IDLE, share(before.1, others()));
    set(name::CLIENT, share(before.2, own()));
    set(name::PEAK, side.process().and_then(Process::peak_mib));
    Ok(outcome)
}

/// How much of both sides' texts is the same from the beginning on, on average, of 1.
fn same_text(ours: &Outcome, theirs: &Outcome) -> f64 {
    let shares: Vec<f64> = ours
        .answers
        .iter()
        .zip(&theirs.answers)
        .map(|((_, ours), (_, theirs))| {
            let same = ours.text.bytes().zip(theirs.text.bytes());
            let same = same.take_while(|(a, b)| a == b).count();
            same as f64 / ours.text.len().max(theirs.text.len()).max(1) as f64
        })
        .collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

/// Tells this build of the program from others.
fn own_build() -> anyhow::Result<String> {
    let program = std::env::current_exe()?;
    let mut hash = Sha256::new();
    std::io::copy(
        &mut std::fs::File::open(program)?,
        &mut HashWriter(&mut hash),
    )?;
    let digest = hash.finalize();
    Ok(digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
