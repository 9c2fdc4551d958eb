//! The API without sockets: each operation against the embedded store.

mod attempted;
mod errors;
mod lists;
mod messages;
mod resources;
mod support;
mod table;
