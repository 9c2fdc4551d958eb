//! stub until the api branch lands
use std::sync::Arc;
/// Router.
pub fn router(_gateway: Arc<crate::accept::Gateway>) -> axum::Router {
    axum::Router::new()
}
