//! The API without sockets: each operation against the embedded store.

mod described;
mod errors;
mod lists;
mod messages;
mod resources;
mod support;
mod table;

pub(super) use table::contract;
