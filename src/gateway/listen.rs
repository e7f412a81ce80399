//! Takes connections: HTTP goes to the pages, handshakes go to the porch.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_http::{HttpService, Request};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{AppConfig, Response},
};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::socket::{self, Porch};

/// Connections that wait to be taken; the system may allow fewer. Sized for a house full of
/// browsers that come back at once.
const BACKLOG: u32 = 4096;

/// File handles besides sockets: the store, the worker's socket, pages being read.
const SPARE_HANDLES: u64 = 256;

/// Listens on `bind`; gives the server, which runs once it is awaited, and its address.
///
/// # Errors
/// When the address cannot be had.
pub(super) fn listen<F, A, S, B>(
    bind: SocketAddr,
    sockets: usize,
    farewell: Duration,
    porch: Arc<Porch>,
    pages: F,
) -> io::Result<(Server, SocketAddr)>
where
    F: Fn() -> A + Send + Clone + 'static,
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let listener = bind_tcp(bind)?;
    let address = listener.local_addr()?;
    let server = Server::build()
        .disable_signals()
        .shutdown_timeout(farewell.as_secs())
        .backlog(BACKLOG)
        .max_concurrent_connections(sockets.saturating_mul(2))
        .listen("parlour", listener, move || {
            let porch = Arc::clone(&porch);
            let pages = pages().into_factory().map_err(|error| {
                let error: Error = error.into();
                error.error_response()
            });
            HttpService::build()
                .local_addr(address)
                .upgrade(fn_service(move |handshake| {
                    socket::open(handshake, Arc::clone(&porch))
                }))
                .finish(map_config(pages, |()| AppConfig::default()))
                .tcp()
        })?
        .run();
    Ok((server, address))
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    // A server that starts again must not wait for the connections of its former life.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Asks for as many file handles as the system allows, and says so if they are too few.
pub(super) fn raise_file_limit(sockets: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of file handles cannot be raised");
        }
    }
    let handles = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = sockets as u64 + SPARE_HANDLES;
    if handles < wanted {
        tracing::warn!(
            handles,
            wanted,
            "too few file handles for PARLOUR_SOCKETS; raise the hard limit (ulimit -Hn)"
        );
    }
}
