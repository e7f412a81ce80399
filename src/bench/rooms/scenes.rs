//! What a crowd does to a server, and the figures that come of it.

use std::time::Duration;

use serde::Serialize;

use super::{crowd::Crowd, sides::Side};

/// Sockets that come and go before anything is measured, so that what a server allocates
/// once is not counted as theirs.
const WARM_UP: usize = 200;

/// File handles besides sockets.
const SPARE_HANDLES: u64 = 256;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub sockets: usize,
    /// Sockets that share a room.
    pub members: usize,
    pub lines: u32,
    pub seconds: u64,
}

/// What one server was measured at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub side: String,
    pub sockets: usize,
    pub members: usize,
    /// Handshakes with a welcome, a second.
    pub connects_per_second: f64,
    /// Sockets that were pinged while at rest.
    pub pinged: usize,
    /// Resident memory that each socket at rest adds, bytes.
    pub bytes_per_socket: f64,
    /// Processor time of the server, at rest with every heartbeat, seconds a second.
    pub cpu_at_rest: f64,
    /// From a line's saying to its hearing, milliseconds.
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    /// Processor time of the server while they chat, seconds.
    pub cpu_chatting: f64,
    /// Until all were welcomed again after all were cut off, seconds.
    pub return_seconds: f64,
    /// Resident memory a socket, after the return.
    pub bytes_per_socket_returned: f64,
}

/// Puts one server through everything.
pub(super) async fn measure(side: &Side, plan: Plan) -> anyhow::Result<Figures> {
    let server = side.start(plan.sockets + WARM_UP).await?;
    let dialect = side.dialect(plan.members);
    let mut early = Crowd::new(server.address, dialect)?;
    early.come(WARM_UP).await?;
    early.all_pinged().await?;
    early.go().await;

    let empty = server.usage()?.resident;
    let per_socket = |resident: u64| resident.saturating_sub(empty) as f64 / plan.sockets as f64;
    let mut crowd = Crowd::new(server.address, dialect)?;
    let came = crowd.come(plan.sockets).await?;
    // Twice: whatever came with the handshakes is over by the second round of pings.
    crowd.all_pinged().await?;
    let (began, busy) = (std::time::Instant::now(), server.usage()?.cpu_seconds);
    let pinged = crowd.all_pinged().await?;
    let rest = server.usage()?;
    let cpu_at_rest = (rest.cpu_seconds - busy) / began.elapsed().as_secs_f64();

    let heard = crowd
        .chat(plan.lines, Duration::from_secs(plan.seconds))
        .await?;
    let cpu_chatting = server.usage()?.cpu_seconds - rest.cpu_seconds;
    let at = |quantile| heard.value_at_quantile(quantile) as f64 / 1000.0;

    let began = std::time::Instant::now();
    crowd.go().await;
    crowd.come(plan.sockets).await?;
    let returned = began.elapsed();
    crowd.all_pinged().await?;
    Ok(Figures {
        side: side.name().to_owned(),
        sockets: plan.sockets,
        members: plan.members,
        connects_per_second: plan.sockets as f64 / came.as_secs_f64(),
        pinged,
        bytes_per_socket: per_socket(rest.resident),
        cpu_at_rest,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        cpu_chatting,
        return_seconds: returned.as_secs_f64(),
        bytes_per_socket_returned: per_socket(server.usage()?.resident),
    })
}

impl Figures {
    pub fn print(&self) {
        println!(
            "{}: {} sockets, {} to a room",
            self.side, self.sockets, self.members
        );
        println!("  come in         {:.0} a second", self.connects_per_second);
        println!(
            "  at rest         {:.2} KiB resident each, {} pinged, {:.1} % of a core",
            self.bytes_per_socket / 1024.0,
            self.pinged,
            self.cpu_at_rest * 100.0
        );
        println!(
            "  a line's way    p50 {:.2} ms   p99 {:.2} ms   p99.9 {:.2} ms   {:.2} s of processor",
            self.p50_ms, self.p99_ms, self.p999_ms, self.cpu_chatting
        );
        println!(
            "  all come back   {:.2} s, {:.2} KiB each then",
            self.return_seconds,
            self.bytes_per_socket_returned / 1024.0
        );
    }

    /// Each figure's median over the rounds; none of no rounds.
    pub fn median(rounds: &[Self]) -> Option<Self> {
        let middle = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        let first = rounds.first()?;
        Some(Self {
            side: first.side.clone(),
            sockets: first.sockets,
            members: first.members,
            pinged: first.pinged,
            connects_per_second: middle(|round| round.connects_per_second),
            bytes_per_socket: middle(|round| round.bytes_per_socket),
            cpu_at_rest: middle(|round| round.cpu_at_rest),
            p50_ms: middle(|round| round.p50_ms),
            p99_ms: middle(|round| round.p99_ms),
            p999_ms: middle(|round| round.p999_ms),
            cpu_chatting: middle(|round| round.cpu_chatting),
            return_seconds: middle(|round| round.return_seconds),
            bytes_per_socket_returned: middle(|round| round.bytes_per_socket_returned),
        })
    }
}

/// Prints every side, and what the others take for each of the first's.
pub(super) fn compare(sides: &[Figures]) {
    let Some((ours, others)) = sides.split_first() else {
        return;
    };
    ours.print();
    for other in others {
        other.print();
        println!(
            "  against ours    memory a socket x{:.2}   p99 x{:.2}   processor x{:.2}",
            other.bytes_per_socket / ours.bytes_per_socket,
            other.p99_ms / ours.p99_ms,
            other.cpu_chatting / ours.cpu_chatting
        );
    }
}

/// Asks for handles enough for so many sockets.
///
/// # Errors
/// When the system does not allow them.
pub(super) fn raise_file_limit(sockets: usize) -> anyhow::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let wanted = sockets as u64 + SPARE_HANDLES;
    anyhow::ensure!(
        limit.maximum.is_none_or(|handles| handles >= wanted),
        "{wanted} file handles are needed; raise the hard limit (ulimit -Hn)"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_taken_figure_by_figure() {
        let round = |memory: f64, p99_ms: f64| Figures {
            side: "x".into(),
            sockets: 1,
            members: 1,
            connects_per_second: 0.0,
            pinged: 1,
            bytes_per_socket: memory,
            cpu_at_rest: 0.0,
            p50_ms: 0.0,
            p99_ms,
            p999_ms: 0.0,
            cpu_chatting: 0.0,
            return_seconds: 0.0,
            bytes_per_socket_returned: 0.0,
        };
        let rounds = [round(1.0, 9.0), round(3.0, 7.0), round(2.0, 8.0)];
        let median = Figures::median(&rounds).expect("rounds");
        assert_eq!((median.bytes_per_socket, median.p99_ms), (2.0, 8.0));
        assert!(Figures::median(&[]).is_none());
    }
}
