//! What a measurement ran on and what a process costs, as Linux tells it. Elsewhere the
//! answers are `None`.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

/// Clock ticks a second in `/proc/PID/stat`: `USER_HZ`, fixed by Linux's interface.
const TICKS: f64 = 100.0;

/// Instructions that matter to a text engine, as `/proc/cpuinfo` names them.
const TELLING: [&str; 12] = [
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "sve",
];

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    /// Those of its instructions that matter to a text engine.
    pub instructions: Vec<String>,
    pub system: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |names: &[&str]| {
            cpu.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                names.contains(&name.trim()).then(|| value.trim())
            })
        };
        let flags: Vec<&str> = field(&["flags", "Features"])
            .unwrap_or_default()
            .split(' ')
            .collect();
        let kib = fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| kib(&text, "MemTotal:"));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: field(&["model name"]).unwrap_or("unknown").into(),
            cores: std::thread::available_parallelism().map_or(0, |cores| cores.get()),
            memory_gib: kib.unwrap_or(0).div_ceil(1 << 20),
            instructions: TELLING
                .iter()
                .filter(|name| flags.contains(name))
                .map(|name| (*name).to_owned())
                .collect(),
            system: format!("{} {}", std::env::consts::OS, kernel.trim())
                .trim()
                .to_owned(),
        }
    }
}

/// The number behind a name in `/proc`'s tables of "Name:   123 kB".
fn kib(table: &str, name: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A running process of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process(pub u32);

impl Process {
    /// The process that listens at a local TCP port.
    pub fn listening_at(port: u16) -> Option<Self> {
        let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| listeners(&table, port))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        let holds = |process: &Path| {
            let files = fs::read_dir(process.join("fd")).ok()?;
            files
                .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
                .any(|link| sockets.iter().any(|socket| link == Path::new(socket)))
                .then_some(())
        };
        fs::read_dir("/proc").ok()?.find_map(|entry| {
            let path = entry.ok()?.path();
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            holds(&path).map(|()| Self(pid))
        })
    }

    /// Most memory that it ever had resident, MiB.
    pub fn peak_mib(self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        Some(kib(&status, "VmHWM:")? as f64 / 1024.0)
    }

    /// Processor time that it used so far, seconds, of all its threads.
    pub fn cpu_seconds(self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        cpu_seconds(&stat)
    }
}

/// Fields 14 and 15 of proc(5)'s `stat`; the second field may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// The inodes of the sockets that listen at `port` in a table of `/proc/net`.
fn listeners(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let fits = u16::from_str_radix(local, 16) == Ok(port) && *fields.get(3)? == LISTEN;
        fits.then(|| fields.get(9)?.parse().ok()).flatten()
    };
    table.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processes_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194304 90 0 0 0 250 50 0 0 20 0 1 0 5";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (a) R 1"), None);
    }

    #[test]
    fn only_a_listening_socket_names_its_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1\n";
        assert_eq!(listeners(table, 8080), [4711]);
        assert_eq!(listeners(table, 8081), [0; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_of_this_machine_is_found_with_its_cost() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let process = Process::listening_at(port).expect("found");
        assert_eq!(process, Process(std::process::id()));
        assert!(process.peak_mib().is_some_and(|mib| mib > 1.0));
        assert!(process.cpu_seconds().is_some());
    }
}
