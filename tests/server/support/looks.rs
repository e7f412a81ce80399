//! What else can be seen of a server, and of a table, from outside.

use parlour::{play::party::Event, wire::browser::TableDoing};

use super::{house::House, known::Known};

impl House {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Resident memory, bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that was ever resident, bytes.
    pub fn most_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("procfs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("resident size");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kib * 1024
    }
}

impl Known {
    /// The round whose question came last in this game.
    pub fn round(&self) -> u32 {
        let mut round = 0;
        for event in self.told() {
            match event {
                Event::Started { .. } => round = 0,
                Event::Questioned { round: asked, .. } => round = *asked,
                _ => {}
            }
        }
        round
    }

    /// The round whose answers were revealed last in this game.
    pub fn revealed(&self) -> u32 {
        let mut round = 0;
        for event in self.told() {
            match event {
                Event::Started { .. } => round = 0,
                Event::Revealed { round: now, .. } => round = *now,
                _ => {}
            }
        }
        round
    }

    pub fn my_turn(&self) -> bool {
        matches!(
            self.doing,
            TableDoing::Asking {
                your_turn: true,
                ..
            } | TableDoing::Answering {
                your_turn: true,
                ..
            } | TableDoing::Voting {
                your_turn: true,
                ..
            }
        )
    }
}
