//! Whose workers compute for this server.

use std::sync::Arc;

use super::web::ServeError;
use crate::{
    config::{ServeSettings, Workers},
    generation::{
        Backend,
        client::WorkerClient,
        fleet::{FleetClient, FleetHandle, FleetOptions},
        launcher::{LaunchOptions, Launcher, LauncherHandle},
    },
};

/// The workers, as far as any seat needs them.
#[derive(Clone)]
pub(crate) enum Crew {
    /// Every seat is played by another server.
    None,
    Local {
        client: WorkerClient,
        launcher: Arc<LauncherHandle>,
        model: String,
    },
    Fleet {
        client: FleetClient,
        handle: Arc<FleetHandle>,
    },
}

impl Crew {
    /// Starts the worker, or joins the fleet, or neither.
    ///
    /// # Errors
    /// When the settings do not allow it, or the worker's program cannot be started.
    pub(crate) fn start(settings: &ServeSettings) -> Result<Self, ServeError> {
        if !settings.minds.needs_worker()? {
            return Ok(Self::None);
        }
        let model = settings.model.clone();
        if settings.workers == Workers::Fleet {
            let options = FleetOptions::new(&settings.redis, &settings.fleet)?;
            let (client, handle) = FleetClient::start(options, &model)?;
            let handle = Arc::new(handle);
            return Ok(Self::Fleet { client, handle });
        }
        let (client, launcher) = Launcher::start(LaunchOptions {
            existing: settings.worker_socket.clone(),
            ..LaunchOptions::new(
                model.clone(),
                settings.models.clone(),
                settings.worker.clone(),
            )
        })?;
        Ok(Self::Local {
            client,
            launcher: Arc::new(launcher),
            model,
        })
    }

    /// Where texts of our own model come from.
    pub(crate) fn backend(&self) -> Option<Backend> {
        match self {
            Self::None => None,
            Self::Local { client, model, .. } => {
                Some(Backend::Local(client.clone(), model.clone()))
            }
            Self::Fleet { client, .. } => Some(Backend::Fleet(client.clone())),
        }
    }

    /// `ready`, `away`, or `none`.
    pub(crate) fn state(&self) -> &'static str {
        match self.backend() {
            None => "none",
            Some(backend) if *backend.ready().borrow() => "ready",
            Some(_) => "away",
        }
    }

    /// Ends the worker, or leaves the fleet.
    pub(crate) async fn stop(self) {
        match self {
            Self::None => {}
            Self::Local { launcher, .. } => {
                if let Some(launcher) = Arc::into_inner(launcher) {
                    launcher.stop().await;
                }
            }
            Self::Fleet { handle, .. } => handle.stop().await,
        }
    }
}
