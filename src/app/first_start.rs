//! What `serve` says when it starts: where it listens, and, at the first start, a key and a `curl`
//! that works when pasted.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use super::control::{self, NewKey};
use super::folder::Folder;
use crate::accept::Gateway;
use crate::accept::sign_in;
use crate::config::{Config, LogFormat};
use crate::model::Scopes;

/// Set by `make run`: keep a development key in the data folder, and print it each time.
const DEV_KEY_VARIABLE: &str = "POSTHOUSE_DEV_KEY";

/// The first line on standard error.
pub(super) fn announce_listening(url: &str, format: LogFormat) {
    let mut out = std::io::stderr().lock();
    // Nobody can be told that standard error is gone.
    let _ = match format {
        LogFormat::Text => writeln!(out, "listening on {url}"),
        LogFormat::Json => writeln!(out, r#"{{"listening":"{url}"}}"#),
    };
}

/// Makes the first environment where there is none; says whether it did. Of several nodes that start at once
/// on one database one makes it.
pub(super) async fn make_environment(gateway: &Gateway) -> anyhow::Result<bool> {
    if !gateway.queries.environments().await?.is_empty() {
        return Ok(false);
    }
    match control::create_environment(gateway, control::DEFAULT_ENVIRONMENT).await {
        Ok(_) => Ok(true),
        Err(_) if !gateway.queries.environments().await?.is_empty() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says what to try next, with a key: at the first start, and always in development.
pub(super) async fn welcome(
    gateway: &Gateway,
    config: &Config,
    folder: &Folder,
    listening: &str,
    first: bool,
) -> anyhow::Result<()> {
    let url = config.server.public_url.as_deref().unwrap_or(listening);
    // What may be delivered to by default is on the internet.
    let local = !config.egress.allow_networks.is_empty();
    let example = if local { "http://127.0.0.1:9000/webhook" } else { "https://example.com/webhook" };
    let development = std::env::var_os(DEV_KEY_VARIABLE).is_some_and(|value| value == "1");
    let key = if development {
        Some(development_key(gateway, &folder.path().join("dev.key")).await?)
    } else if first {
        Some(control::create_key(gateway, None, "first", Scopes::OPERATOR).await?)
    } else {
        None
    };
    if let Some(key) = key {
        let login = control::sign_in_link(gateway).await?;
        let hints = Hints { url, folder: folder.path(), key: &key, login: &login, development, example };
        let _ = std::io::stderr().lock().write_all(hints.text(config.log.format).as_bytes());
    }
    Ok(())
}

async fn development_key(gateway: &Gateway, file: &Path) -> anyhow::Result<NewKey> {
    if let Ok(text) = crate::config::read_capped(file, 1024) {
        let secret = text.trim().to_owned();
        let now = gateway.clock.now_ms();
        if let Some(key) = gateway.snapshots.api_key(&*gateway.queries, sign_in::hash(&secret), now).await? {
            return Ok(NewKey { key: (*key).clone(), secret });
        }
    }
    let key = control::create_key(gateway, None, "development", Scopes::OPERATOR).await?;
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("writing {}", file.display()))?;
    writeln!(out, "{}", key.secret)?;
    Ok(key)
}

/// What is said at the first start.
struct Hints<'a> {
    url: &'a str,
    folder: &'a Path,
    key: &'a NewKey,
    /// Signs in, once.
    login: &'a str,
    development: bool,
    /// A URL that an endpoint could have.
    example: &'a str,
}

impl Hints<'_> {
    fn text(&self, format: LogFormat) -> String {
        let Self { url, folder, key, login, .. } = self;
        if format == LogFormat::Json {
            let line = serde_json::json!({ "ready": url, "data": folder, "key": key.secret, "login": login });
            return format!("{line}\n");
        }
        self.for_people()
    }

    fn for_people(&self) -> String {
        let Self { url, folder, key, login, development, example } = self;
        let secret = &key.secret;
        let kept = if *development {
            format!("kept in {}", folder.join("dev.key").display())
        } else {
            "shown only now; `posthouse key create` makes another".to_owned()
        };
        format!(
            r#"
Posthouse {version} is ready.
  open  {login}  (once, within 15 minutes; `posthouse login` prints another)
  API   {url}/api/v1
  data  {folder}  (back up this folder's `key` file together with `posthouse backup FILE`)
  key   {secret}  ({kept})

Try this: make an application.
  curl {url}/api/v1/app -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' -d '{{"name":"My first customer","uid":"customer-1"}}'
Then give it an endpoint (any URL that takes POST), and publish to it.
  curl {url}/api/v1/app/customer-1/endpoint -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' -d '{{"url":"{example}"}}'
  curl {url}/api/v1/app/customer-1/msg -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' -d '{{"eventType":"invoice.paid","payload":{{"amount":42}}}}'
What became of it: {url}/api/v1/app/customer-1/attempt/msg/MSG_ID, with the id that publishing answered.

"#,
            version = env!("CARGO_PKG_VERSION"),
            folder = folder.display(),
        )
    }
}
