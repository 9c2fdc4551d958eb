//! What customers and operators rely on, against the shipped binary: signatures, retry schedules,
//! the first delivery after enabling, operational webhooks, and what happens at once.

#[path = "../support/mod.rs"]
mod support;

mod at_once;
mod operational;
mod schedules;
mod signatures;
