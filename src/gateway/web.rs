//! Puts the house together, opens its doors, and closes them in good order.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::Actor;
use actix_web::{
    App, HttpRequest, HttpResponse, Route, guard,
    middleware::{Compress, DefaultHeaders, from_fn},
    web,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, oneshot},
};

use super::{
    boards,
    crew::Crew,
    doorkeeper::{DoorRules, Doorkeeper},
    error::GatewayError,
    gate::{self, Gate, GateRules, password::Password},
    health::{self, Vitals},
    listen, machines, pages,
    profiles::{self, Graveyard, ProfilesError},
    reaper::Reaper,
    replay, rite,
    socket::{self, Porch},
    transcript,
};
use crate::{
    config::{BackEnd, ConfigError, Secret, ServeSettings, Workers},
    generation::{
        Backend, GenerationError, fleet::FleetError, launcher::LaunchError, remote::OpenAi,
    },
    models::{
        self, ModelError,
        catalogue::{Catalogue, Use},
    },
    rooms::{
        House, Mind,
        cast::Cast,
        hall::{Close, Drain, Hall},
        identity::now,
        seats::SeatKey,
        session::Doorway,
        tally::Tally,
        tenure::Tenure,
    },
    store::{AnyStore, Store, StoreError, home::Home},
    wire::worker::Sampling,
    worker::deterministic::Deterministic,
};

/// How long rooms get to be given up: a store that does not answer is not waited for.
const MOVING: Duration = Duration::from_secs(8);

/// How long sessions get to say goodbye.
const FAREWELL: Duration = Duration::from_secs(3);

/// How often what has expired is thrown away.
const SWEEP: Duration = Duration::from_secs(3600);

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Scripts and everything else come from here alone; nobody may frame the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// Why the server did not start, or fell.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Worker(#[from] LaunchError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    BackEnd(#[from] GenerationError),
    #[error("the profiles cannot be shown: {0}")]
    Profiles(#[from] ProfilesError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: std::net::SocketAddr,
        source: std::io::Error,
    },
    #[error("the server failed: {0}")]
    Server(#[from] std::io::Error),
}

/// Downloads and imports what the local worker needs, with progress for people to watch;
/// nothing when it is all here, when no seat is local, and when somebody else runs the workers.
///
/// # Errors
/// When the settings cannot be used, or something cannot be had.
pub fn fetch_what_is_missing(settings: &ServeSettings) -> Result<(), ServeError> {
    check(settings)?;
    if settings.minds.needs_worker()?
        && settings.workers == Workers::Local
        && settings.worker_socket.is_none()
        && !is_toy(settings)
        && models::fetch_export(&settings.model, &settings.models)?.is_none()
    {
        let files = models::fetch(&settings.model, &settings.models)?;
        files.import(files.precision.unwrap_or_default())?;
    }
    rite::fetch_speech(settings)?;
    Ok(())
}

/// Checks the settings; gives the password, which the gate alone can read.
fn check(settings: &ServeSettings) -> Result<Option<Password>, ConfigError> {
    settings.check()?;
    let phc = settings.gate.password.as_ref().map(Secret::expose);
    let password = phc.map(Password::parse).transpose();
    password.map_err(|error| ConfigError::Bad {
        name: "PARLOUR_PASSWORD",
        problem: error.to_string(),
    })
}

/// Serves until SIGTERM or SIGINT. Prints `ready on http://ADDRESS` once it listens. Runs
/// inside an actix system.
///
/// # Errors
/// When it cannot start: settings, store, worker program, address.
pub async fn serve(settings: ServeSettings) -> Result<(), ServeError> {
    let password = check(&settings)?;
    let graveyard = web::Data::new(Graveyard::read(settings.profiles.as_deref())?);
    let home = Home::take(&settings.data)?;
    let store = AnyStore::open(&settings.redis, &home).await?;
    if store.is_shared() && settings.secret.is_none() {
        tracing::warn!(
            "several servers may share the store, but PARLOUR_SECRET is not set: a seat token of \
             one is none at another"
        );
    }
    let crew = Crew::start(&settings)?;
    let keep = u64::from(settings.keep_days) * DAY;
    let house = House {
        store: store.clone(),
        witness: mind(settings.minds.witness()?, Use::Witness, &settings, &crew)?,
        judge: mind(settings.minds.judge()?, Use::Judge, &settings, &crew)?,
        typing: settings.games.typing,
        round_cap: settings.games.rounds,
        idle_limit: settings.games.idle_limit(),
        table_keep: settings.games.table_keep(),
        seats: match &settings.secret {
            Some(secret) => SeatKey::new(secret.expose().as_bytes()),
            None => SeatKey::new(&home.secret()?),
        },
        room_cap: settings.rooms as usize,
        keep: Duration::from_millis(keep),
        tally: Arc::new(Tally::default()),
        tenure: Tenure::new(store.is_shared(), settings.tenure.room_lease()),
        rite: None,
    };
    let (rite, speech) = rite::start(&settings, &crew)?;
    let house = House { rite, ..house };
    let tally = Arc::clone(&house.tally);
    let name = Arc::clone(&house.tenure.server);
    let cast = match &house.witness.backend {
        Backend::Remote(_) => Cast::default(),
        _ => Cast::new(Some(settings.models.adapters()?)),
    };
    let hall = Hall::new(Arc::new(house.clone())).start();
    let socket_cap = settings.connections.sockets as usize;
    let permits = Arc::new(Semaphore::new(socket_cap));
    let ping_every = settings.connections.ping_every();
    let keeper = Doorkeeper::new(DoorRules {
        sockets: settings.connections.sockets_per_address,
        per_minute: settings.connections.connects_per_minute,
        proxies: settings.connections.trust_proxy.clone(),
    });
    let gate = web::Data::new(Gate::new(
        GateRules {
            password,
            keep: settings.gate.keep(),
            origins: settings.origins.clone(),
        },
        store.clone(),
        Arc::clone(&keeper),
    ));
    let porch = Arc::new(Porch {
        door: Arc::new(Doorway {
            hall: hall.clone(),
            tally: Arc::clone(&tally),
            ping_every,
            cast: cast.clone(),
        }),
        reaper: Reaper::start(ping_every, tally)?,
        permits: Arc::clone(&permits),
        keeper,
        gate: gate.clone().into_inner(),
        origins: settings.origins.clone(),
        sockets: AtomicU64::new(0),
    });
    let vitals = web::Data::new(Vitals {
        house: Arc::new(house.clone()),
        crew: crew.clone(),
        gate: gate.clone().into_inner(),
        permits: Arc::clone(&permits),
        socket_cap,
        draining: AtomicBool::new(false),
    });
    let draining = vitals.clone();
    let house = web::Data::new(house);
    let cast = web::Data::new(cast);
    listen::raise_file_limit(socket_cap);
    let pages = move || {
        App::new()
            .app_data(vitals.clone())
            .app_data(house.clone())
            .app_data(cast.clone())
            .app_data(gate.clone())
            .app_data(graveyard.clone())
            .wrap(
                DefaultHeaders::new()
                    .add(("Content-Security-Policy", CONTENT_SECURITY_POLICY))
                    .add(("X-Content-Type-Options", "nosniff"))
                    .add(("X-Frame-Options", "DENY"))
                    .add(("Referrer-Policy", "same-origin")),
            )
            // A handshake does not come here.
            .route(socket::PATH, web::get().to(no_handshake))
            .route(socket::ROOM_PATH, web::get().to(no_handshake))
            .service(
                web::scope("")
                    .wrap(Compress::default())
                    .route("/health/live", read().to(health::live))
                    .route("/health/ready", read().to(health::ready))
                    .route("/metrics", read().to(health::metrics))
                    .route("/api/replay/{room}", read().to(replay::replay))
                    .route("/api/boards", read().to(boards::boards))
                    .route("/api/boards/me", web::delete().to(boards::erase))
                    .route("/api/machines", read().to(machines::machines))
                    .service(
                        web::resource(gate::PATH)
                            .app_data(gate::body_rules())
                            .route(read().to(gate::state))
                            .route(web::post().to(gate::enter))
                            .route(web::delete().to(gate::leave)),
                    )
                    .service(
                        // Whatever belongs to the séance is routed in here.
                        web::scope("/api/seance")
                            .wrap(from_fn(gate::only_inside))
                            .route("/transcript/{room}", read().to(transcript::sitting))
                            .route("/profiles", read().to(profiles::list))
                            .route("/profiles/{id}", read().to(profiles::written))
                            .route("/profiles/{id}/page", read().to(profiles::saved)),
                    )
                    .route("/", read().to(pages::index))
                    .route("/play/{room:.*}", read().to(pages::index))
                    .route("/replay/{room:.*}", read().to(pages::index))
                    .route("/t/{room:.*}", read().to(pages::index))
                    .route("/dead-profiles", read().to(pages::index))
                    .route("/dead-profiles/{rest:.*}", read().to(pages::index))
                    .route("/boards", read().to(pages::index))
                    .route("/spirit-box", read().to(pages::index))
                    .route("/tables", read().to(pages::index))
                    .route("/tables/{rest:.*}", read().to(pages::index))
                    .default_service(read().to(pages::file)),
            )
    };
    let (server, address) = listen::listen(settings.bind, socket_cap, FAREWELL, porch, pages)
        .map_err(|source| ServeError::Listen {
            address: settings.bind,
            source,
        })?;
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    let sweeper = actix_web::rt::spawn(sweep(store, keep));
    announce(address, &name);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    draining.draining.store(true, Ordering::Relaxed);
    hall.do_send(Drain);
    let notice = settings.notice();
    tracing::info!(
        ?notice,
        "closing; games go on elsewhere, or after the next start"
    );
    tokio::select! {
        () = tokio::time::sleep(notice) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let (done, moved) = oneshot::channel();
    hall.do_send(Close { done });
    if tokio::time::timeout(MOVING, moved).await.is_err() {
        tracing::warn!("some rooms were not given back; their leases will run out");
    }
    // A permit comes back when its session is gone.
    let everyone = u32::try_from(socket_cap).unwrap_or(u32::MAX);
    let goodbyes = tokio::time::timeout(FAREWELL, permits.acquire_many(everyone));
    tokio::select! {
        _ = goodbyes => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    handle.stop(false).await;
    sweeper.abort();
    if let Ok(result) = running.await {
        result?;
    }
    if let Some(speech) = speech {
        speech.stop().await;
    }
    crew.stop().await;
    Ok(())
}

/// `GET /ws` without the headers of a handshake.
async fn no_handshake(request: HttpRequest) -> Result<HttpResponse, GatewayError> {
    socket::accept(request.head()).map_err(GatewayError::Handshake)?;
    Err(GatewayError::NotFound)
}

/// GET, and HEAD for those who only ask whether it is there.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Says where the server listens, on standard output, for people and for scripts that wait.
fn announce(address: std::net::SocketAddr, server: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; the server is for those who come over the network.
    let _ = writeln!(out, "ready on http://{address}").and_then(|()| out.flush());
    tracing::info!(%address, server, "ready");
}

fn mind(
    choice: BackEnd,
    purpose: Use,
    settings: &ServeSettings,
    crew: &Crew,
) -> Result<Mind, ServeError> {
    match (choice, crew.backend()) {
        (BackEnd::OpenAi { url, model, key }, _) => Ok(Mind {
            backend: Backend::Remote(OpenAi::new(url, model, key)?),
            sampling: Sampling {
                temperature: 0.8,
                top_p: 0.95,
                max_tokens: 512,
                ..Sampling::default()
            },
        }),
        (BackEnd::Local, Some(backend)) => Ok(Mind {
            backend,
            sampling: if is_toy(settings) {
                Sampling {
                    // It writes a byte a token, and the judge's reasons must find their end.
                    max_tokens: 2048,
                    ..Sampling::default()
                }
            } else {
                Catalogue::with_imported(&settings.models)?
                    .chat_model(&settings.model)?
                    .sampling(purpose)
            },
        }),
        (BackEnd::Local, None) => Err(ServeError::BackEnd(GenerationError::WorkerLost)),
    }
}

/// Whether the model is the toy that has no weights and no place in the catalogue.
pub(super) fn is_toy(settings: &ServeSettings) -> bool {
    Deterministic::delay_of(&settings.model).is_some()
}

async fn sweep(store: AnyStore, keep: u64) {
    loop {
        let now = now();
        match store.expire(now, now.saturating_sub(keep)).await {
            Ok(gone) if gone.sessions + gone.rooms > 0 => {
                tracing::info!(
                    sessions = gone.sessions,
                    rooms = gone.rooms,
                    "threw away what expired"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "what expired could not be thrown away"),
        }
        tokio::time::sleep(SWEEP).await;
    }
}
