//! What the tests of the shipped binary share: the server as a process, a client, a receiver that
//! misbehaves on purpose, and waiting for a condition.

#![expect(dead_code, reason = "each test binary uses its own share of this")]

pub(crate) mod app;
pub(crate) mod engine;
pub(crate) mod http;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod postgres;
pub(crate) mod receiver;
pub(crate) mod reply;
pub(crate) mod signature;
pub(crate) mod store;
pub(crate) mod tls;
pub(crate) mod trace;
pub(crate) mod wait;
