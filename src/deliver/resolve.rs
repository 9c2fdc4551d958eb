//! Names to addresses. Literal addresses never get here, and nothing is judged here either:
//! the caller vets what comes back and connects to exactly that.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// What one look-up may take (`reliability.md` 3.2).
pub const DNS_BUDGET: Duration = Duration::from_secs(2);
/// One try of the two that fit into the budget.
const QUERY_TIMEOUT: Duration = Duration::from_millis(900);
/// Answers kept; one name takes two (A and AAAA).
const CACHE_ENTRIES_MAX: u64 = 16_384;
/// Time to live is honoured up to this, so that a moved receiver is found again within the hour.
const POSITIVE_TTL_MAX: Duration = Duration::from_hours(1);
/// That a name does not exist is believed for at most this long.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(30);

/// Where addresses come from; a trait so that tests and the simulation can lie.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of `host`, a name without a trailing dot, in the order to try them.
    /// An empty answer counts as a failure.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// DNS by hickory: hosts file first, then the network, with a bounded cache.
pub struct DnsResolver {
    hickory: TokioResolver,
}

impl DnsResolver {
    /// The resolver of `/etc/resolv.conf` and `/etc/hosts`, both read once.
    pub fn system() -> io::Result<Self> {
        let builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
        Self::build(builder)
    }

    /// Other servers than the system's (`egress.dns_servers`), asked on port 53 by UDP and TCP
    /// unless the address names another port. The hosts file still comes first.
    pub fn with_servers(servers: &[std::net::SocketAddr]) -> io::Result<Self> {
        let servers = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let provider = TokioRuntimeProvider::default();
        Self::build(TokioResolver::builder_with_config(config, provider))
    }

    fn build(mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>) -> io::Result<Self> {
        set_limits(builder.options_mut());
        let hickory = builder.build().map_err(io::Error::other)?;
        Ok(Self { hickory })
    }
}

fn set_limits(options: &mut ResolverOpts) {
    options.timeout = QUERY_TIMEOUT;
    options.attempts = 1;
    options.cache_size = CACHE_ENTRIES_MAX;
    options.use_hosts_file = ResolveHosts::Always;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.positive_max_ttl = Some(POSITIVE_TTL_MAX);
    options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
}

#[async_trait]
impl Resolve for DnsResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let lookup = tokio::time::timeout(DNS_BUDGET, self.hickory.lookup_ip(host)).await?;
        Ok(lookup.map_err(io::Error::other)?.iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::UdpSocket;
    use tokio::time::Instant;

    use super::*;

    async fn server() -> (UdpSocket, DnsResolver) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        let resolver = DnsResolver::with_servers(&[address]).expect("a resolver");
        (socket, resolver)
    }

    /// The answer to one question: 127.0.0.7 for A, nothing (with an SOA) for AAAA.
    fn answer(query: &[u8]) -> Vec<u8> {
        const HEADER: usize = 12;
        let labels = query[HEADER..].iter().position(|b| *b == 0).expect("a name");
        let question = &query[HEADER..HEADER + labels + 5];
        let is_a = question[labels + 2] == 1;
        let mut bytes = query[..2].to_vec();
        bytes.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, u8::from(!is_a), 0, 0]);
        bytes.extend(question);
        // A record of the name asked for, class IN, kept for a minute.
        let record = |kind, data: &[u8]| {
            let fixed = [0xc0, 0x0c, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8];
            [&fixed, data].concat()
        };
        // That there is nothing is remembered only with an SOA beside it (RFC 2308).
        let soa = [&[0, 0][..], &[0, 0, 0, 60].repeat(5)].concat();
        bytes.extend(if is_a { record(1, &[127, 0, 0, 7]) } else { record(6, &soa) });
        bytes
    }

    #[tokio::test]
    async fn asks_the_given_servers_and_remembers() {
        let (socket, resolver) = server().await;
        let serving = tokio::spawn(async move {
            let mut query = [0; 512];
            // A and AAAA, once each: what more is asked gets no answer.
            for _ in 0..2 {
                let (length, from) = socket.recv_from(&mut query).await?;
                socket.send_to(&answer(&query[..length]), from).await?;
            }
            io::Result::Ok(socket)
        });
        for _ in 0..3 {
            let seen = resolver.resolve("hook.example.com").await.expect("an answer");
            assert_eq!(seen, [IpAddr::from(Ipv4Addr::new(127, 0, 0, 7))]);
        }
        let _open = serving.await.expect("no panic").expect("no error");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_costs_no_more_than_the_budget() {
        let (_silent, resolver) = server().await;
        let began = Instant::now();
        assert!(resolver.resolve("hook.example.com").await.is_err());
        assert!(began.elapsed() <= DNS_BUDGET, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn the_hosts_file_comes_first() {
        let (_silent, resolver) = server().await;
        let seen = resolver.resolve("localhost").await.expect("an answer");
        assert!(!seen.is_empty() && seen.iter().all(IpAddr::is_loopback));
    }
}
