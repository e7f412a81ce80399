//! What the sockets are meant to hold, and whether they did.

use super::{
    scenes::{Standing, Visited},
    tables::{Streaming, Watched},
};
use crate::bench::goal::{Bound, Goal};

/// Most resident memory of a socket at rest, KiB.
const KIB_PER_SOCKET: f64 = 12.0;

/// Longest time until everybody is back, seconds.
const RETURN_SECONDS: f64 = 10.0;

/// Longest way of a token from the worker to a socket, and of a line to each of a table's
/// spectators: 99 of 100, milliseconds.
const TOKEN_P99_MS: f64 = 20.0;
const LINE_P99_MS: f64 = 50.0;

pub(super) fn of_visit(visited: &Visited) -> Vec<Goal> {
    let Visited { sockets, .. } = visited;
    let all = *sockets as f64;
    vec![
        Goal::new(
            format!("resident memory of each of {sockets} idle sockets"),
            "KiB",
            visited.bytes_per_socket / 1024.0,
            Bound::AtMost,
            KIB_PER_SOCKET,
        ),
        Goal::new(
            "of them pinged".into(),
            "sockets",
            visited.pinged as f64,
            Bound::AtLeast,
            all,
        ),
        Goal::new(
            format!("all {sockets} cut off and welcomed again"),
            "s",
            visited.return_seconds,
            Bound::AtMost,
            RETURN_SECONDS,
        ),
        Goal::new(
            "of them known again by their tokens".into(),
            "sockets",
            visited.recognised as f64,
            Bound::AtLeast,
            all,
        ),
    ]
}

pub(super) fn of_streaming(streaming: &Streaming) -> Vec<Goal> {
    let Streaming {
        tables,
        people,
        streams,
        ..
    } = streaming;
    vec![Goal::new(
        format!("token, worker to socket, {tables} tables of {people}, {streams} streams: p99"),
        "ms",
        streaming.waits.p99_ms,
        Bound::AtMost,
        TOKEN_P99_MS,
    )]
}

pub(super) fn of_gallery(watched: &Watched) -> Vec<Goal> {
    vec![Goal::new(
        format!("line to each of {} spectators: p99", watched.spectators),
        "ms",
        watched.each.p99_ms,
        Bound::AtMost,
        LINE_P99_MS,
    )]
}

pub(super) fn of_contest(others: &[Standing]) -> Vec<Goal> {
    others
        .iter()
        .flat_map(|other| {
            let ratios = other.ratios;
            [
                ("memory of a socket", ratios.memory),
                ("p99 in small rooms", ratios.rooms_p99),
                ("p99 in the large room", ratios.large_room_p99),
            ]
            .map(|(what, ratio)| {
                let what = format!("{}, {what}", other.side);
                Goal::new(what, "times ours", ratio, Bound::AtLeast, 1.0)
            })
        })
        .collect()
}
