//! `[egress]`: what Posthouse may connect to, and how it finds it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What Posthouse may connect to, and how it finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// Networks (CIDR) that may be delivered to although they are refused by default: private,
    /// loopback, link-local and reserved ranges. Compared with the resolved address. The metadata
    /// addresses of cloud machines stay refused, whatever stands here.
    #[schemars(with = "Vec<String>", length(max = 1_000), example = ["10.20.0.0/16", "fd00:20::/32"])]
    pub allow_networks: Vec<IpNet>,

    /// Name servers to ask instead of the machine's own (`/etc/resolv.conf`), each an address or
    /// an address and a port; port 53 where none is given.
    #[schemars(with = "Vec<String>", length(max = 16), example = ["10.20.0.2", "[fd00:20::2]:5353"])]
    pub dns_servers: Vec<DnsServer>,

    /// A PEM file of certificates that are trusted besides the public ones, for receivers with a
    /// certificate of the operator's own.
    #[schemars(example = "/etc/posthouse/ca.pem", length(min = 1))]
    pub extra_ca_file: Option<PathBuf>,

    /// Whether endpoints with plain `http` URLs are refused. Off, because a signature protects a
    /// webhook from being forged on the way also there; on, where nobody may read it either.
    pub https_only: bool,
}

/// A name server: an address, and a port that is 53 unless given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsServer(
    /// Where it is asked.
    pub SocketAddr,
);

/// The text is neither an address nor an address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address, nor one with a port")]
pub struct NotADnsServer;

impl FromStr for DnsServer {
    type Err = NotADnsServer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = match text.parse::<IpAddr>() {
            Ok(address) => SocketAddr::new(address, 53),
            Err(_) => text.parse().map_err(|_| NotADnsServer)?,
        };
        Ok(Self(address))
    }
}

impl TryFrom<String> for DnsServer {
    type Error = NotADnsServer;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DnsServer> for String {
    fn from(server: DnsServer) -> Self {
        server.to_string()
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_asked_on_port_53_unless_it_says_otherwise() {
        let check = |text: &str, expected: Option<&str>| {
            let read = text.parse::<DnsServer>().ok().map(|s| s.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("192.0.2.1", Some("192.0.2.1:53"));
        check("192.0.2.1:5353", Some("192.0.2.1:5353"));
        check("2001:db8::1", Some("[2001:db8::1]:53"));
        check("[2001:db8::1]:5353", Some("[2001:db8::1]:5353"));
        check("dns.example.com", None);
        check("", None);
    }
}
