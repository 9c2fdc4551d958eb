//! The web app's paths, over a table of files that stands for what npm builds.

use std::sync::LazyLock;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::files::Files;
use super::{NOT_BUILT, PAGES, of_files};
use crate::accept::limited::BodyBudget;
use crate::config::WebOrigin;

static TABLE: &[(&str, &[u8])] = &[
    ("index.html", b"the app"),
    ("index.html.br", b"app br"),
    ("index.html.gz", b"app gz"),
    ("portal.html", b"the portal"),
    ("icon.svg", b"<svg/>"),
    ("assets/app-1a2b.js", b"script"),
    ("assets/app-1a2b.js.br", b"script br"),
    ("assets/app-1a2b.css", b"style"),
];
static BUILT: LazyLock<Files> = LazyLock::new(|| Files::new(TABLE));
static EMPTY: LazyLock<Files> = LazyLock::new(|| Files::new(&[]));

async fn call(files: &'static Files, allowed: &[&str], request: Request<Body>) -> (Response<()>, String) {
    let allowed: Vec<WebOrigin> = allowed.iter().map(|origin| origin.parse().expect("an origin")).collect();
    let answer = of_files(files, &allowed).call(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = answer.into_parts();
    let budget = BodyBudget::new(1 << 20, 1 << 20, Duration::from_secs(1));
    let body = budget.read(body).await.expect("a body");
    (Response::from_parts(parts, ()), String::from_utf8_lossy(&body).into_owned())
}

async fn get(path: &str, headers: &[(&str, &str)]) -> (Response<()>, String) {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    call(&BUILT, &[], request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn every_path_of_the_app_is_the_app() {
    for (path, expected) in [
        ("/", "the app"),
        ("/login", "the app"),
        ("/messages", "the app"),
        ("/messages/", "the app"),
        ("/tasks", "the app"),
        ("/messages/msg_1/attempt/2?x=y", "the app"),
        ("/settings/keys", "the app"),
        ("/portal", "the portal"),
        ("/portal/endpoints/ep_1", "the portal"),
        ("/icon.svg", "<svg/>"),
        ("/assets/app-1a2b.js", "script"),
    ] {
        let (answer, body) = get(path, &[]).await;
        assert_eq!((answer.status(), &*body), (StatusCode::OK, expected), "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer", "{path}");
        let kept = answer.headers()["cache-control"].to_str().expect("text").contains("immutable");
        assert_eq!(kept, path.starts_with("/assets/"), "{path}");
    }
    for path in ["/api", "/api/v1/nothing", "/in/token", "/nothing", "/index.html.br", "/assets/nothing.js"] {
        let (answer, body) = get(path, &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert_ne!(body, "the app", "{path}");
    }
    let (answer, _) = get("/assets/../index.html", &[]).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[test]
fn pages_are_those_that_the_app_has() {
    let routes = include_str!("../../dashboard/src/routes.ts");
    let paths =
        routes.lines().filter_map(|line| line.trim().strip_prefix("['/")?.split_once('\'')).map(|(path, _)| path);
    let first = paths.filter_map(|path| path.split('/').next()).filter(|first| !first.is_empty());
    let mut of_app: std::collections::BTreeSet<&str> = first.collect();
    assert!(of_app.len() > 1, "routes.ts is written in another way");
    assert!(of_app.insert("login"), "the app has no route to where one signs in");
    assert_eq!(std::collections::BTreeSet::from(PAGES), of_app);
}

#[tokio::test]
async fn files_are_sent_in_the_coding_that_is_taken() {
    for (path, accept, coding, expected, media_type) in [
        ("/", "gzip, br", Some("br"), "app br", "text/html; charset=utf-8"),
        ("/", "gzip", Some("gzip"), "app gz", "text/html; charset=utf-8"),
        ("/", "identity", None, "the app", "text/html; charset=utf-8"),
        ("/assets/app-1a2b.js", "br", Some("br"), "script br", "text/javascript; charset=utf-8"),
        ("/assets/app-1a2b.js", "gzip", None, "script", "text/javascript; charset=utf-8"),
        ("/assets/app-1a2b.css", "br", None, "style", "text/css; charset=utf-8"),
    ] {
        let (answer, body) = get(path, &[("accept-encoding", accept)]).await;
        assert_eq!(body, expected, "{path} {accept}");
        let sent = answer.headers().get("content-encoding").map(|value| value.to_str().expect("text"));
        assert_eq!(sent, coding, "{path} {accept}");
        assert_eq!(answer.headers()["content-type"], media_type, "{path}");
        assert_eq!(answer.headers()["vary"], "accept-encoding");
    }
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let (answer, _) = get("/", &[]).await;
    let tag = answer.headers()["etag"].to_str().expect("text").to_owned();
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    for (sent, expected) in [(&*tag, 304), (&format!("\"other\", {tag}"), 304), ("*", 304), ("\"other\"", 200)] {
        let (answer, body) = get("/messages", &[("if-none-match", sent)]).await;
        assert_eq!(answer.status().as_u16(), expected, "{sent}");
        assert_eq!(body.is_empty(), expected == 304);
        assert!(answer.headers().contains_key("content-security-policy"));
    }
}

#[tokio::test]
async fn only_the_portal_is_framed_and_only_by_who_may() {
    let page = |path: &str| Request::builder().uri(path).body(Body::empty()).expect("a request");
    let policy = |answer: &Response<()>| answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
    let allowed = &["https://app.example.com", "http://localhost:3000"];
    let (app, _) = call(&BUILT, allowed, page("/")).await;
    assert!(policy(&app).ends_with("frame-ancestors 'none'"), "{}", policy(&app));
    assert_eq!(app.headers()["x-frame-options"], "DENY");
    let (portal, _) = call(&BUILT, allowed, page("/portal")).await;
    let said = policy(&portal);
    assert!(said.ends_with("frame-ancestors https://app.example.com http://localhost:3000"), "{said}");
    assert!(said.contains("img-src 'self' data: https:;"), "{said}");
    assert!(!portal.headers().contains_key("x-frame-options"));
    let (portal, _) = call(&BUILT, &[], page("/portal")).await;
    assert!(policy(&portal).ends_with("frame-ancestors 'none'"));
    assert_eq!(portal.headers()["x-frame-options"], "DENY");
    for said in [policy(&app), policy(&portal)] {
        assert!(said.starts_with("default-src 'none'; ") && !said.contains("unsafe"), "{said}");
    }
}

#[tokio::test]
async fn other_methods_are_not_there() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = Request::builder().method(method).uri("/login").body(Body::empty()).expect("a request");
        let (answer, _) = call(&BUILT, &[], request).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers()["allow"], "GET, HEAD");
    }
    let request = Request::builder().method("HEAD").uri("/").body(Body::empty()).expect("a request");
    assert_eq!(call(&BUILT, &[], request).await.0.status(), StatusCode::OK);
}

#[tokio::test]
async fn without_the_app_the_page_says_how_to_build_it() {
    for path in ["/", "/messages", "/portal"] {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        let (answer, body) = call(&EMPTY, &[], request).await;
        assert_eq!((answer.status(), &*body), (StatusCode::OK, NOT_BUILT));
        assert!(body.contains("npm ci"));
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    }
}
