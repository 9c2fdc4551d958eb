//! What the scopes of a key open, operation by operation.

use http::Method;

use super::routes::{Needs, Operation};
use crate::model::{Scope, Scopes};

/// What `publish` opens: sending messages, and having the application that they are for.
const PUBLISHING: [(Method, &str); 3] =
    [(Method::POST, "/api/v1/app"), (Method::GET, "/api/v1/app/{app_id}"), (Method::POST, "/api/v1/app/{app_id}/msg")];
/// Operations that only read, although they are no `GET`. Those whose path ends with [`COUNT`] too. An export
/// by `POST` stores its document: who only reads has it by `GET`.
const READING: [&str; 1] = ["/api/v1/app/{app_id}/msg/search"];
/// Says how much an operation would do, and does nothing.
const COUNT: &str = "/count";

/// Whether a holder of these scopes may call an operation.
pub(super) fn allow(scopes: Scopes, operation: &Operation) -> bool {
    match operation.needs {
        Needs::Nobody | Needs::Anybody | Needs::Holder => true,
        Needs::Token => false,
        Needs::Operator => scopes.has(Scope::Operator),
        Needs::Key | Needs::Portal(_) => {
            scopes.is_full()
                || scopes.has(Scope::Read) && only_reads(operation)
                || scopes.has(Scope::Publish) && publishes(operation)
        }
    }
}

fn publishes(operation: &Operation) -> bool {
    PUBLISHING.iter().any(|(method, path)| operation.method == *method && operation.path == *path)
}

/// Whether an operation changes nothing.
pub(super) fn only_reads(operation: &Operation) -> bool {
    let is_named = READING.contains(&operation.path) || operation.path.ends_with(COUNT);
    operation.method == Method::GET || operation.method == Method::POST && is_named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::operations;

    #[test]
    fn what_is_named_is_there() {
        let all = operations();
        for (method, path) in PUBLISHING.into_iter().chain(READING.map(|path| (Method::POST, path))) {
            assert!(all.iter().any(|operation| operation.method == method && operation.path == path), "{path}");
        }
    }
}
