//! Names to addresses. Literal addresses never get here, and nothing is judged here either:
//! the caller vets what comes back and connects to exactly that.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// What one look-up may take (`reliability.md` 3.2).
pub const DNS_BUDGET: Duration = Duration::from_secs(2);
/// One try of the two that fit into the budget.
const QUERY_TIMEOUT: Duration = Duration::from_millis(900);
/// Answers kept; one name takes two (A and AAAA).
const CACHE_ENTRIES_MAX: u64 = 16_384;
/// Time to live is honoured up to this, so that a moved receiver is found again within the hour.
const POSITIVE_TTL_MAX: Duration = Duration::from_secs(3_600);
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

    fn build(
        mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
    ) -> io::Result<Self> {
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
