//! What an operator does with the shipped binary: replacing the encryption key, restoring a backup,
//! asking after its health, packaging it.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod cluster;
mod load;
mod packaging;
mod restore;
mod rotate;
