//! The API without sockets: each operation against the embedded store.

mod errors;
mod lists;
mod maintenance;
mod messages;
mod resources;
mod support;
mod table;
