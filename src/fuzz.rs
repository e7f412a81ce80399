//! Damaged inputs for whatever reads what others wrote: files of models and adapters, and
//! the messages of the worker's socket.
//!
//! A [`Target`] has valid inputs (seeds) and a function that reads one. Each input is a
//! seed that was damaged: input n of a seed of the dice is always the same. The law is that
//! no input makes the reader panic, overflow its stack or take more than a bounded amount of
//! memory. A process that breaks it may be gone, so each target runs in one of its own,
//! whose address space is limited, and which notes the number of the input under way.
//!
//! `PARLOUR_FUZZ_INPUTS` says how many inputs each target gets, `PARLOUR_FUZZ_SEED` which
//! dice and `PARLOUR_FUZZ_FROM` the number of the first one, so that a failure can be
//! repeated.

mod damage;
mod seed;

use std::{
    cell::RefCell,
    env,
    fmt::Display,
    fs::File,
    os::unix::fs::FileExt,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Command,
    str::FromStr,
    thread,
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::damage::damaged;
pub(crate) use self::seed::{Chunk, Length, Seed};

/// Where the process of a target notes how far it is; nobody else sets it.
const PROGRESS: &str = "PARLOUR_FUZZ_PROGRESS";
/// As that of the threads on which requests are prepared.
const STACK: usize = 2 << 20;
/// Different panics that are told before a target gives up.
const TOLD: usize = 10;

thread_local! {
    /// What panicked last, and where.
    static PANICKED: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Somebody made an error of a panic in a library that promises none.
pub(crate) fn panic_was_held() {
    PANICKED.take();
}

/// Something that reads what others wrote.
pub(crate) struct Target<F> {
    /// `module_path!()` and the name of the test that runs it.
    pub(crate) test: (&'static str, &'static str),
    /// Inputs when nothing else is asked for.
    pub(crate) inputs: u64,
    /// Address space of the whole process, bytes.
    pub(crate) memory: u64,
    /// Made in the target's own process.
    pub(crate) seeds: fn() -> Vec<Seed>,
    /// Makes the reader; it gets an input's parts.
    pub(crate) reader: fn() -> F,
}

impl<F: FnMut(&[Vec<u8>])> Target<F> {
    /// Feeds all inputs.
    ///
    /// # Panics
    /// When an input breaks the law; says how to repeat it.
    pub(crate) fn run(&self) {
        let plan = Plan {
            seed: setting("SEED", 1),
            from: setting("FROM", 0),
            inputs: setting("INPUTS", self.inputs),
        };
        match env::var_os(PROGRESS) {
            Some(progress) => self.feed(&plan, Path::new(&progress)),
            None => self.watch(&plan),
        }
    }

    /// Runs the target in a process of its own.
    fn watch(&self, plan: &Plan) {
        let (module, test) = self.test;
        let (_, module) = module.split_once("::").expect("a module of this crate");
        let progress = tempfile::NamedTempFile::new().unwrap();
        let ended = Command::new("sh")
            .args(["-c", "ulimit -v \"$0\" && exec \"$@\""])
            .arg((self.memory >> 10).to_string())
            .arg(env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::{test}")])
            .args(["--nocapture", "--test-threads=1"])
            .env(PROGRESS, progress.path())
            // Each arena of glibc's takes address space that nobody uses.
            .env("MALLOC_ARENA_MAX", "1")
            .output()
            .unwrap();
        let mut done = [0; 8];
        // Nothing there: it ended before the first input.
        let begun = progress.as_file().read_exact_at(&mut done, 0).is_ok();
        let done = u64::from_le_bytes(done);
        assert!(
            ended.status.success() && begun && done == plan.from + plan.inputs,
            "{test}: {} at input {done} (PARLOUR_FUZZ_SEED={} PARLOUR_FUZZ_FROM={done} \
             PARLOUR_FUZZ_INPUTS=1 repeats it)\n{}{}",
            ended.status,
            plan.seed,
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr),
        );
    }

    fn feed(&self, plan: &Plan, progress: &Path) {
        panic::set_hook(Box::new(|info| {
            let place = info
                .location()
                .map_or_else(String::new, |at| at.to_string());
            let told = format!("{info}\n{}", std::backtrace::Backtrace::capture());
            PANICKED.with_borrow_mut(|last| *last = Some((place, told)));
        }));
        let found = thread::scope(|scope| {
            thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || self.feed_all(plan, progress))
                .unwrap()
                .join()
        });
        let _ = panic::take_hook();
        let found = found.expect("only what is fed may panic");
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    /// Gives one line for each place that panicked.
    fn feed_all(&self, plan: &Plan, progress: &Path) -> Vec<String> {
        let progress = File::options().write(true).open(progress).unwrap();
        let seeds = (self.seeds)();
        let mut reader = (self.reader)();
        for seed in &seeds {
            // A seed that cannot be read would leave all behind its first check untried.
            reader(&seed.written());
        }
        let (mut found, mut places) = (Vec::new(), Vec::new());
        let note = |number: u64| progress.write_all_at(&number.to_le_bytes(), 0).unwrap();
        for number in plan.from..plan.from + plan.inputs {
            note(number);
            let mut dice = ChaCha8Rng::seed_from_u64(plan.seed);
            dice.set_stream(number);
            let input = damaged(&seeds, &mut dice);
            // Who catches a panic himself, as runtimes of tasks do, has had one all the same.
            let caught = panic::catch_unwind(AssertUnwindSafe(|| reader(&input)));
            let Some((place, told)) = PANICKED.take() else {
                assert!(caught.is_ok(), "input {number} ended without a word");
                continue;
            };
            if !places.contains(&place) {
                found.push(format!("input {number}: {told}"));
                places.push(place);
            }
            if found.len() == TOLD {
                return found;
            }
        }
        note(plan.from + plan.inputs);
        found
    }
}

/// Which inputs are fed.
struct Plan {
    seed: u64,
    from: u64,
    inputs: u64,
}

fn setting<T: FromStr<Err: Display>>(name: &str, default: T) -> T {
    let name = format!("PARLOUR_FUZZ_{name}");
    match env::var(&name) {
        Ok(text) => match text.parse() {
            Ok(value) => value,
            Err(error) => panic!("{name}={text}: {error}"),
        },
        Err(_) => default,
    }
}

mod tests {
    use super::*;

    fn numbers() -> Vec<Seed> {
        vec![Seed::of([vec![7_u8; 8]])]
    }

    /// What a target that breaks the law is told, in a process that may break.
    fn told<F: FnMut(&[Vec<u8>])>(target: &Target<F>) -> String {
        if env::var_os(PROGRESS).is_some() {
            target.run();
            return String::new();
        }
        let caught = panic::catch_unwind(AssertUnwindSafe(|| target.run()));
        let panic = caught.expect_err("it breaks the law");
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    type Reader = fn(&[Vec<u8>]);

    fn broken(test: &'static str, reader: fn() -> Reader) -> String {
        told(&Target {
            test: (module_path!(), test),
            inputs: 500,
            memory: 1 << 30,
            seeds: numbers,
            reader,
        })
    }

    #[test]
    fn a_reader_that_panics_is_found() {
        let told = broken("a_reader_that_panics_is_found", || {
            |parts| assert!(parts[0].first() != Some(&0), "a zero")
        });
        if env::var_os(PROGRESS).is_none() {
            assert!(told.contains("a zero") && told.contains("input "), "{told}");
        }
    }

    #[test]
    fn a_reader_that_takes_too_much_memory_is_found() {
        let told = broken("a_reader_that_takes_too_much_memory_is_found", || {
            |parts| {
                let size = if parts[0].first() == Some(&7) {
                    1
                } else {
                    2 << 30
                };
                std::hint::black_box(vec![1_u8; size]);
            }
        });
        if env::var_os(PROGRESS).is_none() {
            assert!(
                told.contains("memory allocation") && told.contains("PARLOUR_FUZZ_FROM"),
                "{told}"
            );
        }
    }

    #[test]
    fn the_same_number_is_the_same_input() {
        let input = |number| {
            let mut dice = ChaCha8Rng::seed_from_u64(3);
            dice.set_stream(number);
            damaged(&numbers(), &mut dice)
        };
        assert_eq!(input(5), input(5));
        assert!((0..20).any(|number| input(number) != input(number + 1)));
    }
}
