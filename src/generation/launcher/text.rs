//! The process that computes texts.

use std::{ffi::OsString, path::PathBuf};

use super::{LaunchError, LauncherHandle, Orders, Patience, keep};
use crate::{
    config::{Device, ModelSettings, WorkerSettings},
    generation::client::WorkerClient,
};

/// What to start.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    /// Socket of a worker that somebody else runs: none is started then.
    pub existing: Option<PathBuf>,
    /// The program with the subcommand `worker`; this one by default.
    pub program: Option<PathBuf>,
    pub model: String,
    pub models: ModelSettings,
    pub settings: WorkerSettings,
    pub patience: Patience,
}

impl LaunchOptions {
    /// This program's own worker with the usual patience.
    pub fn new(model: String, models: ModelSettings, settings: WorkerSettings) -> Self {
        Self {
            existing: None,
            program: None,
            model,
            models,
            settings,
            patience: Patience::default(),
        }
    }

    fn arguments(&self) -> Result<Vec<OsString>, LaunchError> {
        let settings = &self.settings;
        let mut arguments: Vec<OsString> = vec!["worker".into()];
        let mut flag = |name: &str, value: OsString| {
            arguments.push(name.into());
            arguments.push(value);
        };
        flag("--model", self.model.clone().into());
        flag("--adapters", self.models.adapters()?.into());
        for (name, number) in [
            ("--slots", settings.slots),
            ("--shelves", settings.shelves),
            ("--adapter-places", settings.adapter_places),
            ("--queue", settings.queue),
            ("--context", settings.context),
            ("--step-ms", settings.step_ms),
            ("--draft", settings.draft),
            ("--threads", settings.threads()),
        ] {
            flag(name, number.to_string().into());
        }
        if let Some(precision) = self.models.precision {
            flag("--precision", precision.name().into());
        }
        if self.models.device == Device::Cuda {
            flag("--device", "cuda".into());
        }
        arguments.extend(where_models_are(&self.models)?);
        Ok(arguments)
    }
}

/// The flags that say where weights and their runtime are.
pub(crate) fn where_models_are(models: &ModelSettings) -> Result<Vec<OsString>, LaunchError> {
    let mut arguments = vec![
        "--models".into(),
        models.dir()?.into(),
        "--hub".into(),
        models.hub.clone().into(),
    ];
    if models.offline {
        arguments.push("--offline".into());
    }
    if let Some(ort) = &models.ort {
        arguments.push("--ort".into());
        arguments.push(ort.into());
    }
    Ok(arguments)
}

/// Starts workers.
#[derive(Debug)]
pub struct Launcher;

impl Launcher {
    /// Starts a worker in the background and keeps it alive until the handle is dropped.
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When something is wrong that no restart would mend.
    pub fn start(options: LaunchOptions) -> Result<(WorkerClient, LauncherHandle), LaunchError> {
        let client = WorkerClient::new();
        let arguments = match options.existing {
            Some(_) => Vec::new(),
            None => options.arguments()?,
        };
        let orders = Orders {
            name: "the worker",
            existing: options.existing,
            program: options.program,
            arguments,
            patience: options.patience,
        };
        let handle = keep(client.0.clone(), orders)?;
        Ok((client, handle))
    }
}
