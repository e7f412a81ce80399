//! What a crowd does to a server, and the figures that come of it.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{clock::Waits, crowd::Crowd, sides::Side};

/// Sockets that come and go before anything is measured, so that what a server allocates
/// once is not counted as theirs.
const WARM_UP: usize = 200;

/// File handles besides sockets.
const SPARE_HANDLES: u64 = 256;

/// A visit to the product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub sockets: usize,
    /// Lines a second while they chat.
    pub lines: u32,
    pub seconds: u64,
}

/// What [`visit`] measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Visited {
    pub sockets: usize,
    /// Handshakes with a welcome, a second.
    pub connects_per_second: f64,
    /// Sockets that were pinged while at rest.
    pub pinged: usize,
    /// Resident memory that each socket at rest adds, bytes.
    pub bytes_per_socket: f64,
    /// Processor time of the server, at rest with every heartbeat, seconds a second.
    pub cpu_at_rest: f64,
    /// From a message's saying to the hearing of its answer.
    pub waits: Waits,
    /// Processor time of the server while they chat, seconds.
    pub cpu_chatting: f64,
    /// Until all were welcomed again after all were cut off, seconds.
    pub return_seconds: f64,
    /// Of them, those who came back as who they were.
    pub recognised: usize,
    /// Resident memory a socket, after the return.
    pub bytes_per_socket_returned: f64,
}

/// Takes the product from an empty house to everybody's return.
pub(super) async fn visit(plan: Plan) -> anyhow::Result<Visited> {
    let side = Side::House;
    let server = side.start(plan.sockets + WARM_UP).await?;
    let dialect = side.dialect(1);
    let mut early = Crowd::new(server.address, dialect)?;
    early.come(WARM_UP).await?;
    early.go().await;

    let empty = server.usage()?.resident;
    let per_socket = |resident: u64| resident.saturating_sub(empty) as f64 / plan.sockets as f64;
    let mut crowd = Crowd::new(server.address, dialect)?;
    let came = crowd.come(plan.sockets).await?;
    // Twice: whatever came with the handshakes is over by the second round of pings.
    crowd.all_pinged().await?;
    let (began, busy) = (Instant::now(), server.usage()?.cpu_seconds);
    let pinged = crowd.all_pinged().await?;
    let rest = server.usage()?;
    let cpu_at_rest = (rest.cpu_seconds - busy) / began.elapsed().as_secs_f64();

    let heard = crowd
        .chat(plan.lines, Duration::from_secs(plan.seconds))
        .await?;
    let cpu_chatting = server.usage()?.cpu_seconds - rest.cpu_seconds;

    let before = crowd.tokens();
    let began = Instant::now();
    crowd.go().await;
    crowd.come(plan.sockets).await?;
    let returned = began.elapsed();
    let after = crowd.tokens();
    let recognised = before
        .iter()
        .zip(&after)
        .filter(|(one, other)| one == other);
    let recognised = recognised.count();
    crowd.all_pinged().await?;
    Ok(Visited {
        sockets: plan.sockets,
        connects_per_second: plan.sockets as f64 / came.as_secs_f64(),
        pinged,
        bytes_per_socket: per_socket(rest.resident),
        cpu_at_rest,
        waits: Waits::of(&heard),
        cpu_chatting,
        return_seconds: returned.as_secs_f64(),
        recognised,
        bytes_per_socket_returned: per_socket(server.usage()?.resident),
    })
}

impl Visited {
    pub fn print(&self) {
        println!("{} sockets of parlour", self.sockets);
        println!(
            "  come in            {:.0} a second",
            self.connects_per_second
        );
        println!(
            "  at rest            {:.2} KiB resident each, {} pinged, {:.1} % of a core",
            self.bytes_per_socket / 1024.0,
            self.pinged,
            self.cpu_at_rest * 100.0
        );
        println!(
            "  a message's way    {}; {:.2} s of processor",
            self.waits, self.cpu_chatting
        );
        println!(
            "  all come back      {:.2} s, {} of them known again, {:.2} KiB each then",
            self.return_seconds,
            self.recognised,
            self.bytes_per_socket_returned / 1024.0
        );
    }
}

/// A comparison of servers at fan-out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contest {
    pub sockets: usize,
    /// Sockets that share a room.
    pub members: usize,
    /// Lines a second over all rooms.
    pub lines: u32,
    /// Sockets that share one room afterwards.
    pub gallery: usize,
    /// Lines a second that are said there.
    pub gallery_lines: u32,
    pub seconds: u64,
}

/// What [`fan_out`] measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FannedOut {
    pub side: String,
    pub sockets: usize,
    pub members: usize,
    pub gallery: usize,
    pub connects_per_second: f64,
    /// Resident memory that each socket at rest adds, bytes; every one was pinged.
    pub bytes_per_socket: f64,
    /// From a line's saying to its hearing by each member of its room.
    pub rooms: Waits,
    /// Processor time of the server for them, seconds.
    pub cpu_rooms: f64,
    /// The same in the one large room.
    pub large_room: Waits,
    pub cpu_large_room: f64,
}

/// Puts one server through a contest.
pub(super) async fn fan_out(side: &Side, plan: Contest) -> anyhow::Result<FannedOut> {
    let server = side.start(plan.sockets + WARM_UP).await?;
    let dialect = side.dialect(plan.members);
    let mut early = Crowd::new(server.address, dialect)?;
    early.come(WARM_UP).await?;
    early.go().await;

    let empty = server.usage()?.resident;
    let mut crowd = Crowd::new(server.address, dialect)?;
    let came = crowd.come(plan.sockets).await?;
    crowd.all_pinged().await?;
    let rest = server.usage()?;
    let time = Duration::from_secs(plan.seconds);
    let rooms = crowd.chat(plan.lines, time).await?;
    let chatted = server.usage()?.cpu_seconds;
    crowd.gather(plan.gallery).await?;
    let gathered = server.usage()?.cpu_seconds;
    let large_room = crowd
        .address(plan.gallery_lines, time, plan.gallery)
        .await?;
    let addressed = server.usage()?.cpu_seconds;
    Ok(FannedOut {
        side: side.name().to_owned(),
        sockets: plan.sockets,
        members: plan.members,
        gallery: plan.gallery,
        connects_per_second: plan.sockets as f64 / came.as_secs_f64(),
        bytes_per_socket: rest.resident.saturating_sub(empty) as f64 / plan.sockets as f64,
        rooms: Waits::of(&rooms),
        cpu_rooms: chatted - rest.cpu_seconds,
        large_room: Waits::of(&large_room),
        cpu_large_room: addressed - gathered,
    })
}

impl FannedOut {
    pub fn print(&self) {
        println!("{}: {} sockets", self.side, self.sockets);
        println!(
            "  come in            {:.0} a second, {:.2} KiB resident each at rest",
            self.connects_per_second,
            self.bytes_per_socket / 1024.0
        );
        let way = |members, waits: &Waits, cpu: f64| {
            println!("  {members:>4} to a room     {waits}; {cpu:.2} s of processor");
        };
        way(self.members, &self.rooms, self.cpu_rooms);
        way(self.gallery, &self.large_room, self.cpu_large_room);
    }
}

/// Medians over the rounds of one side.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Standing {
    pub side: String,
    pub connects_per_second: f64,
    pub bytes_per_socket: f64,
    pub rooms_p99_ms: f64,
    pub large_room_p99_ms: f64,
    /// What this side takes for one of ours: medians of the rounds' ratios.
    pub ratios: Ratios,
    pub rounds: Vec<FannedOut>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Ratios {
    pub memory: f64,
    pub rooms_p99: f64,
    pub rooms_cpu: f64,
    pub large_room_p99: f64,
    pub large_room_cpu: f64,
}

impl Standing {
    /// Of rounds that `ours` were run in turn with. None of no rounds.
    pub fn of(rounds: Vec<FannedOut>, ours: &[FannedOut]) -> Option<Self> {
        let middle = |figure: fn(&FannedOut) -> f64| median(rounds.iter().map(figure));
        let ratio = |figure: fn(&FannedOut) -> f64| {
            let rounds = rounds.iter().zip(ours);
            median(rounds.map(|(other, ours)| figure(other) / figure(ours)))
        };
        Some(Self {
            side: rounds.first()?.side.clone(),
            connects_per_second: middle(|round| round.connects_per_second)?,
            bytes_per_socket: middle(|round| round.bytes_per_socket)?,
            rooms_p99_ms: middle(|round| round.rooms.p99_ms)?,
            large_room_p99_ms: middle(|round| round.large_room.p99_ms)?,
            ratios: Ratios {
                memory: ratio(|round| round.bytes_per_socket)?,
                rooms_p99: ratio(|round| round.rooms.p99_ms)?,
                rooms_cpu: ratio(|round| round.cpu_rooms)?,
                large_room_p99: ratio(|round| round.large_room.p99_ms)?,
                large_room_cpu: ratio(|round| round.cpu_large_room)?,
            },
            rounds,
        })
    }

    pub fn print(&self) {
        let Ratios {
            memory,
            rooms_p99,
            rooms_cpu,
            large_room_p99,
            large_room_cpu,
        } = self.ratios;
        println!(
            "  {:<18} {:>6.2} KiB x{memory:<5.2} p99 {:>7.2} ms x{rooms_p99:<5.2} (processor x{rooms_cpu:<5.2}) large room p99 {:>7.2} ms x{large_room_p99:<5.2} (processor x{large_room_cpu:.2})",
            self.side,
            self.bytes_per_socket / 1024.0,
            self.rooms_p99_ms,
            self.large_room_p99_ms,
        );
    }
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
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

    fn round(memory: f64, p99_ms: f64) -> FannedOut {
        let waits = Waits {
            p99_ms,
            ..Waits::default()
        };
        FannedOut {
            side: "x".into(),
            sockets: 1,
            members: 1,
            gallery: 1,
            connects_per_second: 1.0,
            bytes_per_socket: memory,
            rooms: waits,
            cpu_rooms: 1.0,
            large_room: waits,
            cpu_large_room: 1.0,
        }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let ours = [round(1.0, 10.0), round(2.0, 1.0), round(4.0, 2.0)];
        let theirs = vec![round(2.0, 20.0), round(2.0, 4.0), round(20.0, 6.0)];
        let standing = Standing::of(theirs, &ours).expect("rounds");
        assert_eq!(
            (standing.ratios.memory, standing.ratios.rooms_p99),
            (2.0, 3.0)
        );
        assert_eq!(
            (standing.bytes_per_socket, standing.rooms_p99_ms),
            (2.0, 6.0)
        );
        assert!(Standing::of(Vec::new(), &ours).is_none());
    }
}
