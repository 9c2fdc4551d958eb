//! The API against the contract, where its file is beside the repository (`../shared/reference`):
//! what is there answers in its shapes and within its bounds, what is not answers 501.

#[path = "../support/mod.rs"]
mod support;

mod deliveries;
mod lists;
mod operations;
mod schema;
