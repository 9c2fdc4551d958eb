//! The web app, as `npm run build` has made it, served from the binary.
//!
//! `index.html` is the operator's app and answers every path that the app itself tells apart;
//! `portal.html` is the customers' portal. Files under `assets/` have the hash of their content in
//! their names and may be kept for ever; all others are asked for anew each time and answered with 304.
//! Files that stand beside themselves as `.br` and `.gz` are sent so to who takes that.
//!
//! Nothing here needs a key, or knows anything but the files: the app calls the public API. Deliberately
//! absent: templates, anything that depends on who asks.

mod files;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::config::WebOrigin;
use files::{Coding, File, Files, Variant};

/// What `npm run build` has made, by path, as build.rs found it.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));
static FILES: LazyLock<Files> = LazyLock::new(|| Files::new(EMBEDDED));

/// First parts of the paths that the operator's app tells apart, beside `/`: those of `dashboard/src/routes.ts`, and
/// where one signs in.
const PAGES: [&str; 9] =
    ["login", "messages", "applications", "endpoints", "sources", "event-types", "settings", "tasks", "system"];
/// The customers' portal.
const PORTAL: &str = "portal";

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASKED_ANEW: HeaderValue = HeaderValue::from_static("no-cache");
/// The policy of the operator's app. The portal's differs in who may frame it and where pictures come from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Says how to build the app where it is not there.
const NOT_BUILT: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Posthouse</title>
<h1>Posthouse is running</h1>
<p>The dashboard is not in this binary, because it was built without it. To have it, run <code>make run</code>,
or <code>npm ci &amp;&amp; npm run build</code> in <code>dashboard/</code> and then
<code>cargo build --release</code>.</p>
<p>The API is complete: <a href=\"/docs\">its documentation</a>.</p>
</html>
";

/// The paths of the web app. Pages of `allowed` may show the portal in a frame.
pub fn router(allowed: &[WebOrigin]) -> Router {
    of_files(&FILES, allowed)
}

fn of_files(files: &'static Files, allowed: &[WebOrigin]) -> Router {
    let page =
        Arc::new(Page { file: files.get("index.html"), policy: HeaderValue::from_static(POLICY), framed: false });
    let portal =
        Arc::new(Page { file: files.get("portal.html"), policy: portal_policy(allowed), framed: !allowed.is_empty() });
    let mut router = Router::new().route("/", answering(Arc::clone(&page)));
    for name in PAGES {
        router = with_below(router, name, &page);
    }
    router = with_below(router, PORTAL, &portal);
    let asset = any(move |request: Request<Body>| async move {
        let name = request.uri().path().trim_start_matches('/');
        respond(&request, |headers| files.get(name).map(|file| of_file(file, headers, FOR_EVER)))
    });
    router = router.route("/assets/{*path}", asset);
    for name in files.beside_pages() {
        let file = any(move |request: Request<Body>| async move {
            respond(&request, |headers| files.get(name).map(|file| of_file(file, headers, ASKED_ANEW)))
        });
        router = router.route(&format!("/{name}"), file);
    }
    router
}

/// A page, with what browsers are told of it.
struct Page {
    /// None where the app was not built.
    file: Option<&'static File>,
    policy: HeaderValue,
    /// Whether some may frame it.
    framed: bool,
}

impl Page {
    fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let mut answer = match self.file {
            Some(file) => of_file(file, headers, ASKED_ANEW),
            None => Response::new(Body::from(NOT_BUILT)),
        };
        let headers = answer.headers_mut();
        if self.file.is_none() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            headers.insert(CACHE_CONTROL, ASKED_ANEW);
        }
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        if !self.framed {
            // For browsers that do not know the policy's word for it.
            headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        answer
    }
}

fn answering(page: Arc<Page>) -> axum::routing::MethodRouter {
    any(move |request: Request<Body>| {
        let page = Arc::clone(&page);
        async move { respond(&request, |headers| Some(page.answer(headers))) }
    })
}

fn with_below(router: Router, name: &str, page: &Arc<Page>) -> Router {
    router
        .route(&format!("/{name}"), answering(Arc::clone(page)))
        .route(&format!("/{name}/"), answering(Arc::clone(page)))
        .route(&format!("/{name}/{{*rest}}"), answering(Arc::clone(page)))
}

/// Who may frame the portal, and whose logos it may show.
fn portal_policy(allowed: &[WebOrigin]) -> HeaderValue {
    let ancestors: Vec<&str> = allowed.iter().map(WebOrigin::as_str).collect();
    let ancestors = if ancestors.is_empty() { "'none'".to_owned() } else { ancestors.join(" ") };
    let policy = POLICY
        .replace("img-src 'self' data:", "img-src 'self' data: https:")
        .replace("frame-ancestors 'none'", &format!("frame-ancestors {ancestors}"));
    // Origins are of a closed form, so that this cannot fail; and then nobody may.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(POLICY))
}

/// `GET` and `HEAD`, whose body the server leaves out, answer; other methods are not there.
fn respond(request: &Request<Body>, answer: impl FnOnce(&HeaderMap) -> Option<Response<Body>>) -> Response<Body> {
    let mut answer = if matches!(*request.method(), Method::GET | Method::HEAD) {
        answer(request.headers()).unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "No such file\n"))
    } else {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "The path does not have this method\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        refusal
    };
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A file in the coding that is taken, or 304 where it is known.
fn of_file(file: &'static File, asked: &HeaderMap, cache: HeaderValue) -> Response<Body> {
    let is_known = asked
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.split(',').map(str::trim).any(|tag| tag == "*" || tag == file.tag));
    let accepted = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let Variant { coding, bytes } = file.variant(Coding::accepted(accepted));
    let mut answer = Response::new(if is_known { Body::empty() } else { Body::from(bytes) });
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(CACHE_CONTROL, cache);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::try_from(&file.tag) {
        headers.insert(ETAG, tag);
    }
    if let Some(coding) = coding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    answer
}

#[cfg(test)]
mod tests;
