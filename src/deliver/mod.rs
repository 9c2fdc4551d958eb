//! One attempt: a guarded connection, one deadline, a capped read.
//!
//! A [`Target`] is a URL taken apart once; an [`OutboundRequest`] is what one attempt sends to
//! it; [`Client::attempt`] sends it exactly once and says what it came to. Names are resolved
//! by a [`Resolve`], every answer is judged by the [`AddressGuard`], and the connection goes to
//! an address that was judged, without a second look-up in between.
//!
//! Deliberately absent: redirects, proxies from the environment, HTTP/2, and any repetition of a
//! request. Compression is never asked for, and taken off what is kept of an answer (`decode`). Whether to try again is decided in `record`.

mod classify;
pub mod client;
mod connect;
pub(crate) mod decode;
mod fair;
mod forward;
pub mod guard;
pub mod http;
mod pool;
pub mod resolve;
mod retry_after;
mod stopwatch;
pub mod target;
pub mod tls;

#[cfg(test)]
mod tests;

pub use client::{Client, ClientConfig, OutboundRequest};
pub use guard::{AddressGuard, Blocked, UrlRefused};
pub use resolve::{DnsResolver, Resolve};
pub use target::{Target, TargetError};
