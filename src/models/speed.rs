//! Which precision is fastest on this machine: measured once by the worker, kept beside the
//! model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    ModelError,
    import::{IMPORTER, Precision},
};

/// What one precision reached, tokens a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    pub precision: Precision,
    /// A prompt being read.
    pub prefill: f64,
    /// One text being written.
    pub decode_one: f64,
    /// Eight texts being written, all together.
    pub decode_eight: f64,
}

impl Speed {
    /// The geometric mean, so that twice the speed counts the same everywhere.
    pub fn score(&self) -> f64 {
        (self.prefill * self.decode_one * self.decode_eight).cbrt()
    }
}

/// What the figures hold for. When any of it changes they are measured anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub threads: usize,
    /// SHA-256 of the ONNX Runtime library.
    pub runtime: String,
    pub importer: u32,
    /// Whether the program that measured was optimised.
    pub optimised: bool,
}

impl Machine {
    /// This machine, computing on that many threads.
    pub fn this(threads: usize, runtime: &str) -> Self {
        Self {
            processor: processor(),
            threads,
            runtime: runtime.to_owned(),
            importer: IMPORTER,
            optimised: !cfg!(debug_assertions),
        }
    }
}

/// The processor's name and those of its abilities that decide about speed.
fn processor() -> String {
    // Elsewhere than on Linux only the architecture is known.
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |key: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(key)?.split_once(':'))
            .map_or("", |(_, value)| value.trim())
    };
    let mut words = vec![std::env::consts::ARCH, line("model name")];
    words.extend(
        line("flags").split(' ').filter(|flag| {
            ["avx2", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16"].contains(flag)
        }),
    );
    words.join(" ")
}

/// The figures of one model on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speeds {
    pub machine: Machine,
    pub measured: Vec<Speed>,
}

impl Speeds {
    /// The precision with the best [`Speed::score`].
    pub fn best(&self) -> Option<Precision> {
        self.measured
            .iter()
            .max_by(|a, b| a.score().total_cmp(&b.score()))
            .map(|speed| speed.precision)
    }

    fn path(model_dir: &Path, gguf_sha256: &str) -> PathBuf {
        let digest = gguf_sha256.get(..16).unwrap_or(gguf_sha256);
        model_dir.join(format!("speed-{digest}.json"))
    }

    /// What was measured for this file on this machine; none when nothing was, or nothing
    /// that can be read: it is measured again then.
    pub fn read(model_dir: &Path, gguf_sha256: &str, machine: &Machine) -> Option<Self> {
        let text = fs::read_to_string(Self::path(model_dir, gguf_sha256)).ok()?;
        let speeds: Self = serde_json::from_str(&text).ok()?;
        (speeds.machine == *machine).then_some(speeds)
    }

    /// Keeps the figures for [`Self::read`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, model_dir: &Path, gguf_sha256: &str) -> Result<(), ModelError> {
        let path = Self::path(model_dir, gguf_sha256);
        let text = serde_json::to_string_pretty(self).expect("numbers and names become JSON");
        let staging = path.with_extension("part");
        fs::write(&staging, text)
            .and_then(|()| fs::rename(&staging, &path))
            .map_err(|error| ModelError::io(&path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speeds() -> Speeds {
        let speed = |precision, prefill, decode_one, decode_eight| Speed {
            precision,
            prefill,
            decode_one,
            decode_eight,
        };
        Speeds {
            machine: Machine::this(2, "abc"),
            measured: vec![
                speed(Precision::Nbits8, 200.0, 70.0, 140.0),
                speed(Precision::Blocks, 900.0, 150.0, 500.0),
                speed(Precision::Int8Row, 1000.0, 90.0, 300.0),
            ],
        }
    }

    #[test]
    fn the_fastest_on_the_whole_is_chosen() {
        assert_eq!(speeds().best(), Some(Precision::Blocks));
    }

    #[test]
    fn figures_of_another_machine_are_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let speeds = speeds();
        speeds.write(folder.path(), "0123").unwrap();
        let here = Speeds::read(folder.path(), "0123", &speeds.machine);
        assert_eq!(here, Some(speeds.clone()));
        let other = Machine {
            threads: 4,
            ..speeds.machine
        };
        assert_eq!(Speeds::read(folder.path(), "0123", &other), None);
    }

    #[test]
    fn damaged_figures_are_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(Speeds::path(folder.path(), "0123"), "{\"machine\":").unwrap();
        let machine = Machine::this(2, "abc");
        assert_eq!(Speeds::read(folder.path(), "0123", &machine), None);
    }
}
