//! `GET /docs`: the API for people, from the same description as `/openapi.json`.
//!
//! One page that is whole without a script and without any network but this server. The script
//! adds a filter and buttons that copy. Nothing is inline, so that the policy can forbid it.
//!
//! Deliberately absent: trying operations out from the page, which would want a key in a browser.

mod html;
mod page;
mod schema;

use std::sync::LazyLock;

use axum::body::Body;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use http::{Response, StatusCode};

use super::answer;
use super::call::Call;
use super::error::ApiError;
use super::openapi;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, made once.
static PAGE: LazyLock<String> = LazyLock::new(|| page::page(openapi::document()));

/// `GET /docs`.
pub(super) async fn page(_: Call, _: Body) -> Result<Response<Body>, ApiError> {
    Ok(with_policy("text/html; charset=utf-8", &PAGE))
}

/// `GET /docs/style.css`.
pub(super) async fn style(_: Call, _: Body) -> Result<Response<Body>, ApiError> {
    Ok(with_policy("text/css; charset=utf-8", STYLE))
}

/// `GET /docs/script.js`.
pub(super) async fn script(_: Call, _: Body) -> Result<Response<Body>, ApiError> {
    Ok(with_policy("text/javascript; charset=utf-8", SCRIPT))
}

fn with_policy(media_type: &'static str, text: &'static str) -> Response<Body> {
    let mut answer = answer::bytes(StatusCode::OK, media_type, text);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_on_the_page_and_every_link_leads_somewhere() {
        let page = &**PAGE;
        for methods in openapi::document()["paths"].as_object().expect("paths").values() {
            for one in methods.as_object().expect("methods").values() {
                let id = one["operationId"].as_str().expect("an id");
                assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
            }
        }
        let mut links = 0;
        for (at, _) in page.match_indices("href=\"#") {
            let rest = &page[at + "href=\"#".len()..];
            let name = &rest[..rest.find('"').expect("an end")];
            assert!(page.contains(&format!("id=\"{name}\"")), "#{name}");
            links += 1;
        }
        assert!(links > 50, "{links} links");
    }

    #[test]
    fn nothing_is_inline_and_nothing_is_elsewhere() {
        for forbidden in ["<style", " style=", "<script>", " onclick", "javascript:", "src=\"http", "href=\"http"] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("));
    }

    #[test]
    fn every_text_is_escaped() {
        let hostile = "<img src=x onerror=\"a\">&'";
        let text = openapi::document().to_string().replace("Acme", &hostile.replace('"', "\\\""));
        let text = text.replace("Rows of the page.", "`<b>` <i>");
        let made = page::page(&serde_json::from_str(&text).expect("a document"));
        assert!(!made.contains("<img") && !made.contains("<i>") && !made.contains("<b>"));
        assert!(made.contains("<code>&lt;b&gt;</code> &lt;i&gt;"));
        assert!(made.contains("&lt;img src=x"));
    }
}
