//! Who may connect, how often, and when a socket is taken for dead.

use std::{net::IpAddr, time::Duration};

use clap::Args;
use ipnet::IpNet;

/// Bounds on the sockets that come in.
#[derive(Clone, Debug, Args)]
pub struct ConnectionSettings {
    /// Sockets that may be open at the same time
    #[arg(long, env = "PARLOUR_SOCKETS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets: u32,
    /// Sockets that one address may have open at the same time; 0 is any number
    #[arg(long, env = "PARLOUR_SOCKETS_PER_ADDRESS", default_value_t = 256)]
    pub sockets_per_address: u32,
    /// Sockets that one address may open in a minute; 0 is any number
    #[arg(long, env = "PARLOUR_CONNECTS_PER_MINUTE", default_value_t = 600)]
    pub connects_per_minute: u32,
    /// Proxies whose `X-Forwarded-For` names the client's address: addresses or networks
    /// such as `10.0.0.0/8`, comma separated; without them a proxy counts as one client
    #[arg(long, env = "PARLOUR_TRUST_PROXY", value_delimiter = ',', value_name = "NETWORK", value_parser = network)]
    pub trust_proxy: Vec<IpNet>,
    /// Seconds between two pings of a socket; one that stays silent for three is let go
    #[arg(long, env = "PARLOUR_PING_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    ping_seconds: u64,
}

impl ConnectionSettings {
    /// How often a socket has to show that it is alive.
    pub fn ping_every(&self) -> Duration {
        Duration::from_secs(self.ping_seconds)
    }
}

fn network(value: &str) -> Result<IpNet, String> {
    let value = value.trim();
    value
        .parse::<IpNet>()
        .or_else(|_| value.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{value:?} is neither an address nor a network such as 10.0.0.0/8"))
}
