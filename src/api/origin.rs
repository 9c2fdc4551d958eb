//! Whose page a browser's request comes from: its own may use the session's cookie, and those of
//! `portal.allowed_origins` may call with a key or token of their own, never with the cookie.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderName, ORIGIN,
    VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};

use super::answer;
use super::error::{ApiError, Code};
use crate::accept::Gateway;
use crate::config::WebOrigin;

/// What the browser says of where the request comes from. No script can set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// How long a browser need not ask again.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("600");

/// Refuses a change that a page of another origin asks a browser for.
pub(super) fn check(gateway: &Gateway, parts: &Parts) -> Result<(), ApiError> {
    if matches!(parts.method, Method::GET | Method::HEAD) || is_own(&gateway.public_url(), &parts.headers) {
        return Ok(());
    }
    let detail =
        "A session changes things for pages of this server only: the request's Origin is another's, or missing";
    Err(ApiError::Coded(Code::PermissionDenied, detail.into()))
}

/// Whether the request comes from a page of this server, which is reached by the request's `Host` or by
/// `public_url`.
fn is_own(public_url: &str, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else {
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
        return sites.next().is_some_and(|site| site == "same-origin") && sites.next().is_none();
    };
    let Some(origin) = origin.to_str().ok().filter(|_| origins.next().is_none()) else { return false };
    let Ok(origin) = origin.parse::<WebOrigin>() else { return false };
    if public_url_origin(public_url).is_some_and(|public| public == origin.as_str()) {
        return true;
    }
    // A proxy in front may speak TLS: the scheme is not known here.
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).filter(|_| hosts.next().is_none());
    let by_scheme = |scheme: &str| {
        let parsed = host.and_then(|host| format!("{scheme}://{host}").parse::<WebOrigin>().ok());
        parsed.is_some_and(|host| host == origin)
    };
    by_scheme("http") || by_scheme("https")
}

/// The origin of a URL that may hold a path.
fn public_url_origin(public_url: &str) -> Option<String> {
    url::Url::parse(public_url).ok().map(|url| url.origin().ascii_serialization())
}

/// The origin that the request comes from, if its scripts may call.
pub(super) fn allowed(gateway: &Gateway, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let known = gateway.portal.allowed_origins.iter().any(|allowed| origin == allowed.as_str());
    known.then(|| origin.clone())
}

/// The answer to a browser that asks whether a page may call, if it may.
pub(super) fn preflight(origin: Option<&HeaderValue>, request: &Request<Body>) -> Option<Response<Body>> {
    let asks = request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    origin.filter(|_| asks)?;
    let mut answer = answer::no_content();
    let headers = answer.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    // The star does not stand for the header with the key.
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    Some(answer)
}

/// Lets a page of that origin read the answer. Without credentials: no cookie is sent along.
pub(super) fn share(gateway: &Gateway, origin: Option<HeaderValue>, answer: &mut Response<Body>) {
    if gateway.portal.allowed_origins.is_empty() {
        return;
    }
    let headers = answer.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_server_are_its_own() {
        let check = |headers: &[(&'static str, &'static str)], expected: bool| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_own("https://hooks.example.com/base", &map), expected, "{headers:?}");
        };
        let host = ("host", "localhost:8080");
        check(&[host, ("origin", "http://localhost:8080")], true);
        check(&[host, ("origin", "https://localhost:8080")], true);
        check(&[host, ("origin", "https://hooks.example.com")], true);
        check(&[host, ("origin", "http://hooks.example.com")], false);
        check(&[host, ("origin", "http://localhost:8081")], false);
        check(&[host, ("origin", "http://localhost")], false);
        check(&[host, ("origin", "http://localhost:8080.evil.example")], false);
        check(&[host, ("origin", "null")], false);
        check(&[host, ("origin", "")], false);
        check(&[host, ("origin", "http://localhost:8080"), ("origin", "http://evil.example")], false);
        check(&[host, ("host", "evil.example"), ("origin", "http://evil.example")], false);
        check(&[("host", "HOOKS.internal"), ("origin", "https://hooks.internal")], true);
        check(&[("host", "hooks.internal:443"), ("origin", "https://hooks.internal")], true);
        check(&[host, ("sec-fetch-site", "same-origin")], true);
        check(&[host, ("sec-fetch-site", "same-site")], false);
        check(&[host, ("sec-fetch-site", "none")], false);
        check(&[host, ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")], false);
        check(&[host], false);
    }
}
