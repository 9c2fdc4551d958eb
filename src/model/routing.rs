//! Which endpoints a message goes to. Pure; called when a message is accepted, and again inside
//! the writer when the configuration changed in between.

use super::entity::{AppConfig, Endpoint};
use super::id::EndpointKey;

/// One endpoint that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub endpoint: EndpointKey,
    /// The endpoint is disabled: the delivery is stored as held.
    pub held: bool,
    /// The lane has no room in memory: the delivery goes to its place in the order of due times.
    pub spilled: bool,
}

/// The endpoints of `config` that want a message of this type with these channels.
pub fn route(config: &AppConfig, event_type: &str, channels: &[String]) -> Vec<Route> {
    config
        .endpoints
        .iter()
        .filter(|endpoint| wants(endpoint, event_type, channels))
        .map(|endpoint| to(endpoint))
        .collect()
}

/// One endpoint of `config`, whatever it wants; `None` if it is not there.
pub fn route_only(config: &AppConfig, endpoint: EndpointKey) -> Option<Route> {
    config.endpoint(endpoint).map(|endpoint| to(endpoint))
}

fn to(endpoint: &Endpoint) -> Route {
    Route { endpoint: endpoint.key(), held: endpoint.spec.disabled.is_some(), spilled: false }
}

/// An endpoint without event types takes all, one without channels takes all; one with channels
/// takes only messages that share one.
pub fn wants(endpoint: &Endpoint, event_type: &str, channels: &[String]) -> bool {
    let by_type = endpoint.spec.event_types.as_ref().is_none_or(|types| types.iter().any(|t| t == event_type));
    let by_channel =
        endpoint.spec.channels.as_ref().is_none_or(|wanted| wanted.iter().any(|channel| channels.contains(channel)));
    by_type && by_channel
}
