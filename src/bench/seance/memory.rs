//! What the processes of a house take in the course of many turns.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bench::usage::{family, usage};

/// Turns before which a process has not yet used all that it keeps: one in so many of all. The
/// engine touches the last of its keys and values after some hundreds.
const WARM_UP: usize = 2;

/// Of the turns after that, the first and the last one in so many are compared.
const COMPARED: usize = 4;

/// Resident memory of a house's processes, once a turn.
#[derive(Debug)]
pub(super) struct Memory {
    /// The server's process.
    pid: u32,
    /// Bytes, by what the process does.
    resident: BTreeMap<String, Vec<u64>>,
}

/// How the memory of a process went.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Course {
    pub process: String,
    /// After the first turn, and after the last.
    pub first_mib: f64,
    pub last_mib: f64,
    /// Medians of the first and of the last quarter of the turns after the warm-up.
    pub early_mib: f64,
    pub late_mib: f64,
}

impl Memory {
    pub fn of(pid: u32) -> Self {
        Self {
            pid,
            resident: BTreeMap::new(),
        }
    }

    /// Looks once. A process that was started anew begins its course anew.
    pub fn look(&mut self) -> anyhow::Result<()> {
        for (pid, role) in family(self.pid)? {
            let resident = usage(pid)?.resident;
            self.resident.entry(role).or_default().push(resident);
        }
        Ok(())
    }

    pub fn courses(&self) -> Vec<Course> {
        let courses = self.resident.iter();
        courses
            .filter_map(|(process, resident)| course(process, resident))
            .collect()
    }
}

fn course(process: &str, resident: &[u64]) -> Option<Course> {
    let warm = &resident[resident.len() / WARM_UP..];
    let part = (warm.len() / COMPARED).max(1);
    Some(Course {
        process: process.to_owned(),
        first_mib: mib(*resident.first()?),
        last_mib: mib(*resident.last()?),
        early_mib: mib(median(warm.get(..part)?)?),
        late_mib: mib(median(warm.get(warm.len() - part..)?)?),
    })
}

fn median(of: &[u64]) -> Option<u64> {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Course {
    /// How much more it takes late than early, percent.
    pub fn growth(&self) -> f64 {
        (self.late_mib / self.early_mib - 1.0) * 100.0
    }

    pub fn print(&self) {
        println!(
            "  {:8} {:8.1} MiB early   {:8.1} MiB late   {:+.2} %",
            self.process,
            self.early_mib,
            self.late_mib,
            self.growth()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_shows_and_what_is_kept_from_the_beginning_does_not() {
        let flat: Vec<u64> = (0..100)
            .map(|turn| 1 << 20 << u32::from(turn > 5))
            .collect();
        let grown = course("speech", &flat).map(|course| course.growth());
        assert_eq!(grown, Some(0.0));
        let leak: Vec<u64> = (0..100).map(|turn| (100 + turn) << 20).collect();
        assert!(course("speech", &leak).is_some_and(|course| course.growth() > 20.0));
    }
}
