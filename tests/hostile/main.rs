//! Clients that mean harm, or do not know better: everybody else is answered as before.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod beside;
mod bodies;
mod framing;
mod pipelined;
mod quotas;
