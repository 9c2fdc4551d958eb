//! The API without sockets: each operation against the embedded store.

mod credentials;
mod described;
mod errors;
mod lists;
mod messages;
mod policies;
mod resources;
mod support;
mod table;

pub(super) use table::contract;
