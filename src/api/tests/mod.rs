//! The API without sockets: each operation against the embedded store.

mod attempted;
mod errors;
mod examples;
mod lists;
mod messages;
mod resources;
mod support;
mod table;
