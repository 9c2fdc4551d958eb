//! What goes on of a request that came in from outside: its method, its headers but those of its
//! connection, and path and query if its source says so.

use http::header::{AUTHORIZATION, HeaderMap};
use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::Target;
use crate::model::Received;

/// Headers that are about one connection (RFC 9110, 7.6.1), or that HTTP sets anew.
const OF_CONNECTION: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-real-ip",
];
/// What we sign with, and name our own headers by. A sender has such headers by right only where it signs by
/// these names itself; nobody from outside can say when a schedule was due.
const SIGNING: [&str; 3] = ["webhook-", "svix-", "posthouse-"];

/// The method; `POST` where it is none that HTTP knows.
pub(super) fn method(received: &Received) -> Method {
    Method::from_bytes(received.method.as_bytes()).unwrap_or(Method::POST)
}

/// Adds the sender's own headers. Those named in `Connection` are about the connection too.
pub(super) fn add_headers(headers: &mut HeaderMap, received: &Received, target: &Target) {
    let named: Vec<String> = received
        .headers
        .iter()
        .filter(|(name, _)| name == "connection")
        .flat_map(|(_, value)| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    for (name, value) in &received.header_map() {
        if OF_CONNECTION.contains(&name.as_str()) || named.iter().any(|named| name == named.as_str()) {
            continue;
        }
        let is_signing = received.is_from_outside() && SIGNING.iter().any(|prefix| name.as_str().starts_with(prefix));
        if is_signing && (!received.is_standard || name.as_str().starts_with("posthouse-")) {
            continue;
        }
        // What the endpoint's URL says of its receiver goes before what the sender said to us.
        if name == AUTHORIZATION && target.basic_auth.is_some() {
            continue;
        }
        headers.append(name.clone(), value.clone());
    }
}

/// The endpoint's path with the rest of the sender's behind it, and both queries; `None` where it is the
/// endpoint's alone.
pub(super) fn path(received: &Received, target: &Target) -> Option<Uri> {
    if !received.forward_path || (received.path.is_empty() && received.query.is_none()) {
        return None;
    }
    // It never leads out of the endpoint's path.
    let decoded = received.path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    if decoded.split(['/', '\\']).any(|part| part == "." || part == "..") {
        return None;
    }
    let own = target.path.path();
    let mut all = match received.path.as_str() {
        "" => own.to_owned(),
        rest => format!("{}{rest}", own.trim_end_matches('/')),
    };
    let queries: Vec<&str> = target.path.query().into_iter().chain(received.query.as_deref()).collect();
    if !queries.is_empty() {
        all.push('?');
        all.push_str(&queries.join("&"));
    }
    PathAndQuery::try_from(all).ok().map(Uri::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cron::SCHEDULED_AT;

    fn received(path: &str, query: Option<&str>, headers: &[(&str, &str)]) -> Received {
        Received {
            method: "PUT".into(),
            path: path.into(),
            query: query.map(str::to_owned),
            forward_path: true,
            is_standard: false,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn paths_and_queries_are_joined() {
        for (url, rest, query, joined) in [
            ("http://a.example/", "", None, None),
            ("http://a.example/", "/b/c", None, Some("/b/c")),
            ("http://a.example/x/", "/b", Some("q=1"), Some("/x/b?q=1")),
            ("http://a.example/x?own=2", "", Some("q=1"), Some("/x?own=2&q=1")),
            ("http://a.example/x", "/../y", None, None),
            ("http://a.example/x", "/%2E%2e/y", None, None),
            ("http://a.example/x", "/a%2f..%5cy", None, None),
            ("http://a.example/x", "/..y/z", None, Some("/x/..y/z")),
        ] {
            let target = Target::parse(url).expect("a URL");
            let found = path(&received(rest, query, &[]), &target).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), joined, "{url} {rest} {query:?}");
        }
        let mut kept_back = received("/b", Some("q=1"), &[]);
        kept_back.forward_path = false;
        assert_eq!(path(&kept_back, &Target::parse("http://a.example/").expect("a URL")), None);
    }

    #[test]
    fn headers_go_on_but_those_of_the_connection() {
        let target = Target::parse("http://user:password@a.example/").expect("a URL");
        let received = received(
            "",
            None,
            &[
                ("host", "in.example"),
                ("connection", "close, X-Hop"),
                ("x-hop", "1"),
                ("content-length", "3"),
                ("authorization", "Bearer theirs"),
                ("x-github-event", "push"),
                ("webhook-id", "theirs"),
                ("posthouse-signature", "theirs"),
                ("cookie", "a=b"),
                ("x-two", "1"),
                ("x-two", "\u{e9}"),
            ],
        );
        let mut headers = HeaderMap::new();
        add_headers(&mut headers, &received, &target);
        let found: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(found, [("x-github-event", &b"push"[..]), ("x-two", b"1"), ("x-two", b"\xe9")]);
    }

    #[test]
    fn nobody_from_outside_says_when_a_schedule_was_due() {
        let target = Target::parse("http://a.example/").expect("a URL");
        let forwarded = |received: &Received| {
            let mut headers = HeaderMap::new();
            add_headers(&mut headers, received, &target);
            headers.contains_key(SCHEDULED_AT)
        };
        let own = Received::nothing(vec![(SCHEDULED_AT.into(), "2026-01-01T00:00:00.000Z".into())]);
        assert!(forwarded(&own));
        assert_eq!(method(&own), Method::POST);
        let mut forged = Received { method: "POST".into(), ..own };
        assert!(!forwarded(&forged));
        forged.is_standard = true;
        assert!(!forwarded(&forged));
    }
}
