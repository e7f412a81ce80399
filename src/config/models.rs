//! Weights: where they lie, where they come from, what computes them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ConfigError;
use crate::models::import::Precision;

/// Where weights lie and where they come from.
#[derive(Clone, Debug, Args)]
pub struct ModelSettings {
    /// Folder of weights and of the ONNX Runtime library [default: a per-user cache]
    #[arg(long, env = "PARLOUR_MODELS", value_name = "DIR")]
    models: Option<PathBuf>,
    /// Folder of LoRA adapters, one folder each [default: `adapters` in the folder of weights]
    #[arg(long, env = "PARLOUR_ADAPTERS", value_name = "DIR")]
    adapters: Option<PathBuf>,
    /// Hub that catalogue entries of kind `hub` are downloaded from
    #[arg(
        long,
        env = "PARLOUR_HUB",
        value_name = "URL",
        default_value = "https://huggingface.co"
    )]
    pub hub: String,
    /// Never download; say what is missing instead
    #[arg(long, env = "PARLOUR_OFFLINE")]
    pub offline: bool,
    /// Licences that are accepted, by the names that `parlour model list` shows
    #[arg(
        long,
        env = "PARLOUR_ACCEPT_LICENCE",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub accept_licence: Vec<String>,
    /// How chat models are held [default: what is fastest here, measured at first start]
    #[arg(long, env = "PARLOUR_PRECISION", value_parser = precision)]
    pub precision: Option<Precision>,
    /// What computes the chat model
    #[arg(long, env = "PARLOUR_DEVICE", default_value = "cpu")]
    pub device: Device,
    /// ONNX Runtime library to use instead of the catalogue's; one that can use the GPU
    /// for `--device cuda`
    #[arg(long, env = "PARLOUR_ORT", value_name = "PATH")]
    pub ort: Option<PathBuf>,
}

/// What computes a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

fn precision(name: &str) -> Result<Precision, String> {
    Precision::named(name).ok_or_else(|| {
        let known = Precision::ALL.map(Precision::name).join(", ");
        format!("no precision is called {name:?}; known are {known}")
    })
}

/// The folder of adapters within that of weights.
pub(crate) const ADAPTERS: &str = "adapters";

impl ModelSettings {
    /// The folder of adapters.
    ///
    /// # Errors
    /// As [`Self::dir`]'s, when none is set.
    pub fn adapters(&self) -> Result<PathBuf, ConfigError> {
        match &self.adapters {
            Some(dir) => Ok(dir.clone()),
            None => Ok(self.dir()?.join(ADAPTERS)),
        }
    }

    /// The folder of weights.
    ///
    /// # Errors
    /// When none is set and the user has no cache folder.
    pub fn dir(&self) -> Result<PathBuf, ConfigError> {
        match &self.models {
            Some(dir) => Ok(dir.clone()),
            None => dirs::cache_dir()
                .map(|cache| cache.join("parlour").join("models"))
                .ok_or(ConfigError::Bad {
                    name: "PARLOUR_MODELS",
                    problem: "this user has no cache folder; name one".into(),
                }),
        }
    }
}

#[cfg(test)]
impl ModelSettings {
    /// What these flags say, and where they are silent the environment.
    pub(crate) fn of_flags<T>(flags: impl IntoIterator<Item = T>) -> Self
    where
        T: Into<std::ffi::OsString> + Clone,
    {
        let command = Self::augment_args(clap::Command::new("test").no_binary_name(true));
        let matches = command.get_matches_from(flags);
        clap::FromArgMatches::from_arg_matches(&matches).unwrap()
    }
}
