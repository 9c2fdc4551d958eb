//! From the embedded store to PostgreSQL with the shipped binary: nothing that was acknowledged is lost, and
//! all is as it was.

#[path = "../support/mod.rs"]
mod support;

mod interrupted;
mod moved;
mod versions;
mod world;
