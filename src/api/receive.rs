//! Receiving URLs: `/in/{token}`, any method, anything behind the token.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};

use super::Peer;
use super::error::ApiError;
use super::source::TOKEN_CHARACTERS;
use crate::accept::Gateway;
use crate::accept::receive::{Answer, Arrival};

/// What all receiving URLs begin with.
pub(crate) const RECEIVING: &str = "/in/";
/// Takes a request in.
pub(super) async fn receive(gateway: Arc<Gateway>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let rest = parts.uri.path().strip_prefix(RECEIVING).unwrap_or_default();
    let (token, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if token.len() != TOKEN_CHARACTERS || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return ApiError::not_found().into_answer();
    }
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let arrival = Arrival {
        token,
        path,
        query: parts.uri.query(),
        method: &parts.method,
        headers: &parts.headers,
        peer: peer.map(|peer| sender(&gateway, peer, &parts.headers)),
    };
    match gateway.receive(arrival, gateway.body_budget.read(body)).await {
        Ok(answer) => respond(answer),
        Err(error) => ApiError::from(error).into_answer(),
    }
}

/// Who sent it: the last address that a trusted proxy names and that is no trusted proxy itself.
fn sender(gateway: &Gateway, peer: IpAddr, headers: &http::HeaderMap) -> IpAddr {
    let trusted = &gateway.server.trusted_proxies;
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address.to_canonical()));
    let mut sender = peer;
    let named = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
    for address in named.into_iter().rev() {
        if !is_trusted(sender) {
            break;
        }
        let Ok(address) = address.parse() else { break };
        sender = address;
    }
    sender
}

fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    // What is echoed is never taken for a page, and no page of an endpoint is one of this server's.
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response.headers_mut().insert("content-security-policy", HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}
