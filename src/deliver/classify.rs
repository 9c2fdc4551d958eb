//! What an error says about the receiver: by type, never by text.

use std::error::Error as _;
use std::io;

use rustix::io::Errno;

use crate::model::outcome::OutcomeKind;

/// An error of `connect`. Running out of descriptors, ports or memory is our own failure.
pub(super) fn connect_error(error: &io::Error) -> OutcomeKind {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL) => OutcomeKind::Internal,
        _ => OutcomeKind::Connect,
    }
}

/// An error between the sending of the request and the end of the answer.
pub(super) fn exchange_error(error: &hyper::Error) -> OutcomeKind {
    if error.is_parse() {
        return OutcomeKind::Protocol;
    }
    if error.is_user() {
        return OutcomeKind::Internal;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return io_error(io);
        }
        source = cause.source();
    }
    OutcomeKind::Closed
}

fn io_error(error: &io::Error) -> OutcomeKind {
    // TLS 1.3 tells a client late that its handshake was not accepted.
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    if inner.is_some() {
        return OutcomeKind::Tls;
    }
    match error.kind() {
        // What hyper's chunk decoder makes of sizes and endings that are none.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => OutcomeKind::Protocol,
        _ => OutcomeKind::Closed,
    }
}
