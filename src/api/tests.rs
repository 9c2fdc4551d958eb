//! The API without sockets.
