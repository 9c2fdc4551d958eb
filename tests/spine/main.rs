//! The story of a message, told by the shipped binary: accepted, kept, delivered, retried,
//! recorded, and held back where it must not go.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod front;
mod guard;
mod hostile;
mod once;
mod outbound;
mod routing;
mod story;
