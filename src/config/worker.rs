//! The generation process: its slots, queue and threads.

use clap::Args;

/// How much one worker does at once.
#[derive(Clone, Debug, Args)]
pub struct WorkerSettings {
    /// Requests that the worker serves at the same time
    #[arg(long, env = "PARLOUR_SLOTS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub slots: u32,
    /// Beginnings of prompts that the worker keeps, so as not to read them again
    #[arg(long, env = "PARLOUR_SHELVES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub shelves: u32,
    /// Adapters that the worker holds ready at once
    #[arg(long, env = "PARLOUR_ADAPTER_PLACES", default_value_t = 32, value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub adapter_places: u32,
    /// Requests that may wait for a slot before the worker refuses
    #[arg(long, env = "PARLOUR_QUEUE", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub queue: u32,
    /// Longest prompt plus output, tokens; the model's own limit if that is lower
    #[arg(long, env = "PARLOUR_CONTEXT", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..))]
    pub context: u32,
    /// How long a step of the model may take because of prompts that are read beside texts
    /// that are written: longer steps read faster, shorter ones write more evenly; milliseconds
    #[arg(long, env = "PARLOUR_STEP_MS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub step_ms: u32,
    /// Tokens guessed ahead while few texts are written; 0 turns guessing off. It changes no token
    #[arg(long, env = "PARLOUR_DRAFT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..=32))]
    pub draft: u32,
    /// Threads that compute [default: the machine's cores, at most 16]
    #[arg(long, env = "PARLOUR_THREADS", value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Option<u32>,
}

impl WorkerSettings {
    /// Threads that compute.
    pub fn threads(&self) -> u32 {
        self.threads.unwrap_or_else(default_threads)
    }
}

/// The machine's cores, at most 16: beyond, memory is what a small model waits for.
pub fn default_threads() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    u32::try_from(cores.min(16)).unwrap_or(16)
}
