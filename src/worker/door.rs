//! What every process of ours that serves over a Unix socket does at its door.

use std::{
    fs, io,
    io::Read,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    thread,
    time::Duration,
};

use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio_util::sync::CancellationToken;

use super::WorkerError;

/// Bytes that a Unix socket's path may have on Linux (`sun_path` less its final zero).
const MAX_SOCKET_PATH: usize = 107;

/// How long a new connection may take to greet.
pub(super) const GREETING: Duration = Duration::from_secs(10);

/// Whether the system takes a socket's path.
///
/// # Errors
/// When it is too long.
pub(super) fn check_path(path: &Path) -> Result<(), WorkerError> {
    let bytes = path.as_os_str().as_bytes().len();
    if bytes > MAX_SOCKET_PATH {
        return Err(WorkerError::SocketPath {
            path: path.to_owned(),
            bytes,
            limit: MAX_SOCKET_PATH,
        });
    }
    Ok(())
}

/// Binds the socket for its owner alone; nobody can connect before the rights are set.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(64)
}

/// Cancelled when standard input closes: whoever started the process holds its other end.
pub(super) fn watch_stdin() -> io::Result<CancellationToken> {
    let closed = CancellationToken::new();
    let guard = closed.clone().drop_guard();
    thread::Builder::new().name("stdin".into()).spawn(move || {
        let _guard = guard;
        let mut buffer = [0; 64];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
                _ => {}
            }
        }
    })?;
    Ok(closed)
}

/// The next connection.
pub(super) async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            Err(error) => {
                // Out of file descriptors, most likely; it passes when a connection ends.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
