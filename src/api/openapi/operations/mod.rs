//! What is said of each operation, one file a resource.

mod access;
mod application;
mod attempt;
mod endpoint;
mod event_type;
mod insight;
mod message;
mod operational;
mod portal;
mod server;
mod settings;
mod source;
mod task;
mod usage;

use http::Method;

use super::describe::{Described, Tag};

/// All descriptions, in the order of the documentation.
pub(super) fn all() -> Vec<Described> {
    [
        application::described(),
        endpoint::described(),
        event_type::described(),
        message::described(),
        attempt::described(),
        task::described(),
        usage::described(),
        source::described(),
        portal::described(),
        access::described(),
        settings::described(),
        operational::described(),
        insight::described(),
        server::described(),
    ]
    .concat()
}

const fn get(path: &'static str, id: &'static str, tag: Tag) -> Described {
    Described::new(Method::GET, path, id, tag)
}

const fn post(path: &'static str, id: &'static str, tag: Tag) -> Described {
    Described::new(Method::POST, path, id, tag)
}

const fn put(path: &'static str, id: &'static str, tag: Tag) -> Described {
    Described::new(Method::PUT, path, id, tag)
}

const fn patch(path: &'static str, id: &'static str, tag: Tag) -> Described {
    Described::new(Method::PATCH, path, id, tag)
}

const fn delete(path: &'static str, id: &'static str, tag: Tag) -> Described {
    Described::new(Method::DELETE, path, id, tag)
}
