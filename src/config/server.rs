//! `[server]`: where Posthouse listens, and how long it waits for its clients.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Where Posthouse listens, and how long it waits for its clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address and port of the HTTP API, the receiving URLs and the metrics. Port 0 picks a
    /// free one, which is printed at start. Only this machine can reach the default: whoever
    /// opens it to a network puts a proxy with TLS in front, because keys travel in its headers.
    #[schemars(with = "String", example = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// How the server is reached from outside, such as the address of the proxy in front: what the
    /// hints of the first start begin with, and later receiving URLs and portal links. It may hold
    /// a path. Not given: `http://` and the address really listened on.
    #[serde(deserialize_with = "public_url")]
    #[schemars(example = "https://hooks.example.com")]
    pub public_url: Option<String>,

    /// Networks of proxies in front, whose `X-Forwarded-For` says who sent a request. Sources that take
    /// requests from some networks only look at it; anybody else's is not believed.
    #[schemars(with = "Vec<String>", example = ["10.0.0.0/8"])]
    pub trusted_proxies: Vec<ipnet::IpNet>,

    /// Client connections open at once. Further ones wait in the kernel's queue, so that a flood
    /// of connections takes neither all open files nor all memory.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,

    /// Milliseconds a client may take to send the head of a request, counted from the
    /// connection or from the head's first byte. Slow heads are how connections are held for nothing.
    #[schemars(range(min = 50, max = 600_000))]
    pub head_timeout_ms: u64,

    /// Milliseconds a client may take to send the body of a request before a least rate of
    /// 1 KiB/s is asked of it. Long enough for a bad line, short enough that a body that never
    /// ends gives back its share of `limits.body_bytes_in_memory_max`.
    #[schemars(range(min = 50, max = 600_000))]
    pub body_timeout_ms: u64,

    /// Milliseconds to finish what is in flight after SIGTERM, before what is left is broken off
    /// (and sent again at the next start). Longer than one attempt may take, shorter than the
    /// 30 seconds after which service managers kill.
    #[schemars(range(min = 0, max = 600_000))]
    pub shutdown_timeout_ms: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: None,
            trusted_proxies: Vec::new(),
            connections_max: 10_000,
            head_timeout_ms: 5_000,
            body_timeout_ms: 10_000,
            shutdown_timeout_ms: 25_000,
        }
    }
}

/// An `http(s)` URL that a path can be put behind: no password, no query, no slash at its end.
fn public_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let url = url::Url::parse(&text).map_err(serde::de::Error::custom)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain {
        Ok(Some(text.trim_end_matches('/').to_owned()))
    } else {
        Err(serde::de::Error::custom("not an http or https URL without credentials, query and fragment"))
    }
}
