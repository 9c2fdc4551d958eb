//! The API without sockets: each operation against the embedded store.

mod credentials;
mod errors;
mod lists;
mod messages;
mod policies;
mod resources;
mod support;
mod table;
