//! What the system says of processes (Linux: procfs).

use anyhow::Context as _;
use serde::Serialize;

/// What a process takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Usage {
    /// Bytes.
    pub resident: u64,
    pub cpu_seconds: f64,
}

/// Reads procfs.
pub(super) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let folder = format!("/proc/{}", pid);
    let status = std::fs::read_to_string(format!("{folder}/status"))?;
    let resident: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|size| size.trim().strip_suffix(" kB")?.trim().parse().ok())
        .context("no resident size")?;
    // proc(5): user and system time are fields 14 and 15; the second, a name in
    // parentheses, may hold spaces.
    let stat = std::fs::read_to_string(format!("{folder}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no such stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let cpu_seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(Usage {
        resident: resident * 1024,
        cpu_seconds,
    })
}

/// A process and those that it has started, each with what it does: the first argument.
pub(super) fn family(pid: u32) -> anyhow::Result<Vec<(u32, String)>> {
    let mut family = Vec::new();
    let mut unseen = vec![pid];
    while let Some(pid) = unseen.pop() {
        let folder = format!("/proc/{pid}");
        let arguments = std::fs::read(format!("{folder}/cmdline"))?;
        let role = arguments
            .split(|byte| *byte == 0)
            .nth(1)
            .unwrap_or_default();
        family.push((pid, String::from_utf8_lossy(role).into_owned()));
        for task in std::fs::read_dir(format!("{folder}/task"))? {
            let children = std::fs::read_to_string(task?.path().join("children"))?;
            unseen.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    Ok(family)
}
