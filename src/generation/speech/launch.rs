//! Which process is kept for speech.

use std::{ffi::OsString, path::PathBuf};

use super::client::SpeechClient;
use crate::{
    config::{ModelSettings, SpeechSettings},
    generation::launcher::{
        LaunchError, LauncherHandle, Orders, Patience, keep, text::where_models_are,
    },
};

/// What to start.
#[derive(Clone, Debug)]
pub struct SpeechOptions {
    /// The program with the subcommand `speech`; this one by default.
    pub program: Option<PathBuf>,
    pub models: ModelSettings,
    pub settings: SpeechSettings,
    pub patience: Patience,
}

impl SpeechOptions {
    /// This program's own with the usual patience.
    pub fn new(models: ModelSettings, settings: SpeechSettings) -> Self {
        Self {
            program: None,
            models,
            settings,
            patience: Patience::default(),
        }
    }
}

/// Starts a speech process in the background and keeps it alive until the handle is dropped.
/// Must be called within a Tokio runtime.
///
/// # Errors
/// When something is wrong that no restart would mend.
pub fn start(options: SpeechOptions) -> Result<(SpeechClient, LauncherHandle), LaunchError> {
    let settings = &options.settings;
    let mut arguments: Vec<OsString> = vec![
        "speech".into(),
        "--ear".into(),
        settings.ear.clone().into(),
        "--voices".into(),
        settings.voices.join(",").into(),
        "--speech-threads".into(),
        settings.threads().to_string().into(),
    ];
    if !settings.translations.is_empty() {
        let pairs = settings.translations.join(",");
        arguments.extend(["--translations".into(), pairs.into()]);
    }
    if let Some(model) = &settings.clone_model {
        arguments.extend(["--clone".into(), model.into()]);
    }
    if let Some(espeak) = &settings.espeak {
        arguments.extend(["--espeak".into(), espeak.into()]);
    }
    arguments.extend(where_models_are(&options.models)?);
    let client = SpeechClient::new();
    let orders = Orders {
        name: "the speech process",
        existing: None,
        program: options.program,
        arguments,
        patience: options.patience,
    };
    let handle = keep(client.0.clone(), orders)?;
    Ok((client, handle))
}
