//! Which addresses, names, ports and schemes may be delivered to. Pure: no look-ups here.
//!
//! The rules are judged on what a name resolved to, right before connecting ([`AddressGuard::vet`]),
//! and early, as far as a URL alone can tell, when an endpoint is saved ([`AddressGuard::check_url`]).
//! The allow-list is compared with the resolved address itself, never with an IPv4 address embedded
//! in it; it overrides the rules on names, ports and ranges, but not the metadata addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// Why an address, or a name with its addresses, may not be delivered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// A cloud's metadata or control address, which no allow-list opens.
    #[error("a metadata address")]
    Metadata,
    /// Private, loopback, link-local, reserved, or not a public unicast address at all.
    #[error("not a public address")]
    Range,
    /// One of the addresses that this installation keeps for itself.
    #[error("an address of this installation")]
    Own,
    /// A name of the inside: single-label, or under `.localhost`, `.local` or `.internal`.
    #[error("a local name")]
    Name,
    /// A port on which no webhook receiver is to be expected.
    #[error("a refused port")]
    Port,
    /// Plain `http` where only `https` is allowed.
    #[error("plain http")]
    Scheme,
}

/// Why a URL cannot be saved as a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// Neither `http` nor `https`.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// `http`, where `egress.https_only` is set.
    #[error("the URL must begin with https://")]
    HttpsOnly,
    /// No host.
    #[error("the URL has no host")]
    Host,
    /// Its address, name or port may not be delivered to.
    #[error("the URL may not be delivered to: {0}")]
    Blocked(#[from] Blocked),
}

/// The rules of one installation. Immutable: a change of the configuration builds a new guard
/// and a new client, so that no pooled connection outlives the rules it was judged by.
#[derive(Debug, Clone, Default)]
pub struct AddressGuard {
    allowed: Vec<IpNet>,
    own: Vec<IpNet>,
    https_only: bool,
}

impl AddressGuard {
    /// A guard with the networks of `egress.allow_networks`.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed, ..Self::default() }
    }

    /// Refuses plain `http` (`egress.https_only`).
    #[must_use]
    pub fn https_only(mut self, https_only: bool) -> Self {
        self.https_only = https_only;
        self
    }

    /// Refuses this installation's own public addresses (listeners, database) as well, unless
    /// they are allow-listed.
    #[must_use]
    pub fn refusing(mut self, own: Vec<IpNet>) -> Self {
        self.own = own;
        self
    }

    /// Judges one address by itself.
    pub fn check(&self, address: IpAddr) -> Result<(), Blocked> {
        if is_metadata(address) {
            return Err(Blocked::Metadata);
        }
        if contains(&self.allowed, address) {
            return Ok(());
        }
        if contains(&self.own, address) {
            return Err(Blocked::Own);
        }
        match address {
            IpAddr::V4(v4) if is_public_v4(v4) => Ok(()),
            IpAddr::V6(v6) if is_public_v6(v6) => Ok(()),
            _ => Err(Blocked::Range),
        }
    }

    /// Judges a destination with all addresses that its name resolved to: one that is forbidden
    /// refuses the whole. `name` is `None` for a literal address.
    pub fn vet(&self, https: bool, name: Option<&str>, port: u16, addresses: &[IpAddr]) -> Result<(), Blocked> {
        self.check_scheme(https)?;
        for &address in addresses {
            self.check(address)?;
            if !contains(&self.allowed, address) {
                check_name(name)?;
                check_port(port)?;
            }
        }
        Ok(())
    }

    /// Judges a URL before it is saved, as far as that is possible without resolving its name.
    ///
    /// Where there is an allow-list, rules on names and ports wait for the resolved address.
    pub fn check_url(&self, url: &Url) -> Result<(), UrlRefused> {
        // The scheme first: `url` reads hosts of unknown schemes as names, whatever they look like.
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(UrlRefused::Scheme),
        };
        self.check_scheme(https).map_err(|_| UrlRefused::HttpsOnly)?;
        let port = url.port_or_known_default().ok_or(UrlRefused::Host)?;
        let literal = match url.host().ok_or(UrlRefused::Host)? {
            Host::Ipv4(v4) => IpAddr::V4(v4),
            Host::Ipv6(v6) => IpAddr::V6(v6),
            Host::Domain("") => return Err(UrlRefused::Host),
            Host::Domain(name) if self.allowed.is_empty() => {
                check_name(Some(name))?;
                return Ok(check_port(port)?);
            }
            Host::Domain(_) => return Ok(()),
        };
        Ok(self.vet(https, None, port, &[literal])?)
    }

    fn check_scheme(&self, https: bool) -> Result<(), Blocked> {
        if self.https_only && !https {
            return Err(Blocked::Scheme);
        }
        Ok(())
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Names that mean something only inside: RFC 6761 and 6762, ICANN's `.internal`, and every name
/// without a dot.
fn check_name(name: Option<&str>) -> Result<(), Blocked> {
    let Some(name) = name else { return Ok(()) };
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = match name.rsplit_once('.') {
        Some((before, last)) if !before.is_empty() && !last.is_empty() => last,
        _ => return Err(Blocked::Name),
    };
    let inside = ["localhost", "local", "internal"];
    if inside.iter().any(|n| last.eq_ignore_ascii_case(n)) {
        return Err(Blocked::Name);
    }
    Ok(())
}

/// Ports from 1024 on that are refused: those of the WHATWG fetch standard's "bad ports", and
/// those of stores that a POST of somebody else's choosing should not reach (Docker, `MySQL`,
/// `PostgreSQL`, Redis, memcached, `MongoDB`).
const REFUSED_PORTS: [u16; 26] = [
    1719, 1720, 1723, 2049, 2375, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080, 11211, 27017, 27018,
];

fn check_port(port: u16) -> Result<(), Blocked> {
    let open = matches!(port, 80 | 443 | 1024..) && REFUSED_PORTS.binary_search(&port).is_err();
    if open { Ok(()) } else { Err(Blocked::Port) }
}

/// EC2 and most clouds, ECS, EKS, Alibaba, Oracle, Azure's wire server.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// EC2 (`fd00:ec2::254`, EKS `fd00:ec2::23`) and Google (`fd20:ce::254`).
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => METADATA_V6.contains(&v6) || embedded_v4(v6).iter().any(|v4| METADATA_V4.contains(v4)),
    }
}

/// Public unicast by `reliability.md` 3.2: what no registry has set aside, less the relay
/// anycast of 6to4 and Azure's wire server (a metadata address).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !reserved && !METADATA_V4.contains(&address)
}

/// Global unicast is `2000::/3`, less `2001::/23` (Teredo, ORCHID, benchmarks), `2001:db8::/32`,
/// `2002::/16` (6to4) and `3fff::/20`. All translations of IPv4 lie outside: with NAT64 unsupported,
/// `64:ff9b::/96` is refused whatever it holds.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let reserved = matches!((first, second), (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff));
    first & 0xe000 == 0x2000 && !reserved
}

/// Every IPv4 address that some mechanism would read in an IPv6 address; none where none applies.
///
/// Only metadata addresses need this: all of these ranges are refused as such, and only an
/// allow-list could open them.
fn embedded_v4(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let o = address.octets();
    let v4 = |a: usize, b: usize, c: usize, d: usize| Ipv4Addr::new(o[a], o[b], o[c], o[d]);
    let last = v4(12, 13, 14, 15);
    match address.segments() {
        // Compatible and mapped (RFC 4291), translated by SIIT (RFC 2765, `::ffff:0:a.b.c.d`), and
        // NAT64 with the well-known prefix (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            vec![last]
        }
        // NAT64, local use (RFC 8215): any of RFC 6052's forms may be configured within it.
        [0x64, 0xff9b, 1, ..] => vec![last, v4(6, 7, 9, 10), v4(7, 9, 10, 11), v4(9, 10, 11, 12)],
        // 6to4 (RFC 3056).
        [0x2002, ..] => vec![v4(2, 3, 4, 5)],
        // Teredo (RFC 4380): server, and client with its bits inverted.
        [0x2001, 0, ..] => vec![v4(4, 5, 6, 7), Ipv4Addr::from_bits(!last.to_bits())],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
