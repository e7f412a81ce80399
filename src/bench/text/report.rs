//! What was measured, as it is kept in a file: every round's figures, not only the medians.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    figures::{Figures, median},
    machine::Machine,
};

/// Everything that was measured on one machine with one pair of programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub machine: Machine,
    pub ours: Program,
    pub theirs: Option<Program>,
    pub settings: Settings,
    /// What makes figures doubtful.
    pub warnings: Vec<String>,
    pub scenarios: Vec<Measured>,
}

/// One of the two programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Program {
    pub name: String,
    pub version: String,
    /// Tells one build from another: figures of two builds do not mix.
    pub build: String,
    pub model: String,
    /// How ours holds the weights; what theirs says of itself.
    pub remarks: Vec<String>,
}

/// How it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub slots: u32,
    pub context: u32,
    pub threads: u32,
    /// Output tokens of a stream.
    pub tokens: u32,
    /// People that arrive at random, and seconds between two of them on average.
    pub people: usize,
    pub arrival_gap_s: f64,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    pub name: String,
    pub rounds: Vec<Round>,
}

/// Both sides, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Round {
    pub ours: Figures,
    pub theirs: Option<Figures>,
    /// How much of both sides' texts is the same from the beginning on, of 1.
    pub same_text: Option<f64>,
}

/// A figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub ours: f64,
    pub theirs: Option<f64>,
    /// Ours to theirs, where both have it.
    pub ratio: Option<Spread>,
}

/// A ratio in each round: in the middle, at least, at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Measured {
    /// A figure's medians; `None` where a round lacks it.
    pub fn summary(&self, figure: &str) -> Option<Summary> {
        let ours: Option<Vec<f64>> = self
            .rounds
            .iter()
            .map(|round| round.ours.get(figure).copied())
            .collect();
        let ours = ours?;
        let theirs: Option<Vec<f64>> = self
            .rounds
            .iter()
            .map(|round| round.theirs.as_ref()?.get(figure).copied())
            .collect();
        let ratio = theirs.as_ref().and_then(|theirs| {
            let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
            Spread::of(&ratios.collect::<Vec<_>>())
        });
        Some(Summary {
            ours: median(&ours)?,
            theirs: theirs.and_then(|theirs| median(&theirs)),
            ratio,
        })
    }
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            median: median(values)?,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

impl Report {
    /// The report in a file.
    ///
    /// # Errors
    /// When there is none or it is none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no report of this version", path.display()))
    }

    /// Adds to what the file holds already, if there is one: a scenario that is there is
    /// replaced.
    ///
    /// # Errors
    /// When the file cannot be read, or holds what was measured otherwise.
    pub fn resume(&mut self, path: &Path) -> anyhow::Result<()> {
        match fs::exists(path) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
        let old = Self::read(path)?;
        let same = old.machine == self.machine
            && old.ours == self.ours
            && old.theirs == self.theirs
            && old.settings == self.settings;
        anyhow::ensure!(
            same,
            "{} was measured with another machine, program or setting: move it away",
            path.display()
        );
        self.scenarios = old.scenarios;
        self.warnings = old.warnings;
        Ok(())
    }

    /// Takes a scenario's rounds in place of older ones.
    pub fn put(&mut self, measured: Measured) {
        match self
            .scenarios
            .iter_mut()
            .find(|old| old.name == measured.name)
        {
            Some(old) => *old = measured,
            None => self.scenarios.push(measured),
        }
    }

    pub fn warn(&mut self, warning: String) {
        eprintln!("WARNING: {warning}");
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The scenario of this name.
    pub fn scenario(&self, name: &str) -> Option<&Measured> {
        self.scenarios.iter().find(|measured| measured.name == name)
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            io::Write::write_all(&mut file, b"\n")?;
            file.persist(path)?;
            Ok(())
        };
        write().with_context(|| path.display().to_string())
    }
}

/// A small report, for tests of what is made of it.
#[cfg(test)]
pub(super) fn example() -> Report {
    let program = |name: &str| Program {
        name: name.into(),
        version: "1".into(),
        build: "b".into(),
        model: "m".into(),
        remarks: vec!["CPU : AVX2 = 1 | REPACK = 1".into()],
    };
    let figures = |figures: &[(&str, f64)]| -> Figures {
        figures
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    };
    let cell = |streams: usize, prompt: &str| {
        let n = streams as f64;
        let side = |scale: f64| {
            figures(&[
                ("total_tokens_per_s", 90.0 * n.sqrt() * scale),
                ("decode_tokens_per_s", 100.0 * n.sqrt() * scale),
                ("first_token_p50_ms", 80.0 * n / scale),
                ("first_token_p95_ms", 90.0 * n / scale),
                ("gap_p50_ms", 9.0 * n / scale),
                ("gap_p99_ms", 20.0 * n / scale),
                ("peak_mib", 900.0),
            ])
        };
        let rounds = [0.5, 1.5, 1.25].map(|scale| Round {
            ours: side(scale),
            theirs: Some(side(1.0)),
            same_text: None,
        });
        Measured {
            name: format!("{prompt}-{streams}"),
            rounds: rounds.to_vec(),
        }
    };
    let rate = |name: &str, figure: &str, ours: f64, theirs: Option<f64>| Measured {
        name: name.into(),
        rounds: vec![Round {
            ours: figures(&[(figure, ours)]),
            theirs: theirs.map(|theirs| figures(&[(figure, theirs)])),
            same_text: None,
        }],
    };
    Report {
        machine: Machine::here(),
        ours: program("Parlour"),
        theirs: Some(program("llama.cpp")),
        settings: Settings {
            slots: 32,
            context: 2048,
            threads: 2,
            tokens: 64,
            people: 16,
            arrival_gap_s: 1.0,
        },
        warnings: Vec::new(),
        scenarios: vec![
            cell(1, "decode"),
            cell(32, "decode"),
            cell(1, "long"),
            rate("prefill-512", "prefill_tokens_per_s", 500.0, Some(300.0)),
            rate("arrivals", "first_token_p95_ms", 500.0, Some(1000.0)),
            rate("scoring", "score_to_prefill", 0.9, None),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_middle_one_of_the_rounds_and_tells_its_spread() {
        let report = example();
        let measured = report.scenario("decode-1").expect("there");
        let summary = measured.summary("decode_tokens_per_s").expect("there");
        assert_eq!((summary.ours, summary.theirs), (125.0, Some(100.0)));
        let spread = Spread {
            median: 1.25,
            min: 0.5,
            max: 1.5,
        };
        assert_eq!(summary.ratio, Some(spread));
        assert_eq!(measured.summary("score_to_prefill"), None);
    }

    #[test]
    fn a_figure_that_one_round_lacks_has_no_median() {
        let mut report = example();
        report.scenarios[0].rounds[1]
            .ours
            .remove("decode_tokens_per_s");
        assert_eq!(report.scenarios[0].summary("decode_tokens_per_s"), None);
    }

    #[test]
    fn pieces_of_one_measurement_add_up_and_others_do_not_mix() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/text.json");
        let mut first = example();
        let second = first.scenarios.split_off(2);
        first.write(&path).expect("written");
        let mut more = Report {
            scenarios: Vec::new(),
            ..first.clone()
        };
        more.resume(&path).expect("the same");
        for measured in second {
            more.put(measured);
        }
        more.put(first.scenarios[0].clone());
        more.write(&path).expect("written");
        assert_eq!(Report::read(&path).expect("read"), example());

        let mut other = example();
        other.settings.threads += 1;
        let refused = other.resume(&path).expect_err("another setting");
        assert!(refused.to_string().contains("move it away"));
    }
}
