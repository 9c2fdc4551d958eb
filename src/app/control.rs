//! What operators' commands do: through a 0600 socket in the data folder while the server runs,
//! and straight on the store while it does not. One request and one answer a connection, as JSON lines.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use super::App;
use super::folder::{InUse, socket_of};
use super::moving::Stillness;
use super::rotation::Rotation;
use crate::accept::sign_in::{self, KEY_PREFIX};
use crate::accept::{ChangeAccepted, Gateway};
use crate::config::Config;
use crate::model::{ApiKey, EnvKey, EnvironmentKind, Id, IdKind, ONE_TIME_MS, Scope, Scopes};
use crate::store::command::{AccessChange, Change, Changed};

/// The environment that the first start makes, and commands mean when none is named.
pub const DEFAULT_ENVIRONMENT: &str = "default";
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Environments and keys have names of 1 to this many bytes.
const NAME_BYTES_MAX: usize = 256;

/// How long a command waits for a store that another process has open without serving commands.
const IN_USE_TIME_MAX: Duration = Duration::from_secs(5);
const IN_USE_PAUSE: Duration = Duration::from_millis(50);

/// What a command asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Make an environment.
    CreateEnvironment {
        /// Its name.
        name: String,
    },
    /// List environments.
    ListEnvironments,
    /// Make a key.
    CreateKey {
        /// For which environment; none means the default one.
        environment: Option<String>,
        /// What it is called.
        name: String,
        /// What it may do, by the names of scopes; none means everything in its environment.
        #[serde(default)]
        scopes: Vec<String>,
    },
    /// A link that signs the operator in, once.
    SignIn,
    /// List keys.
    ListKeys,
    /// Revoke a key.
    RevokeKey {
        /// Its id.
        id: String,
    },
    /// Copy the store to a file.
    Backup {
        /// An absolute path.
        file: PathBuf,
    },
    /// Replace the encryption key.
    RotateKeyFile,
    /// Whether messages are taken. Asks the running server, and nothing else.
    Health,
    /// Accept and deliver nothing as long as this connection lasts, and no more at all where the store was moved
    /// meanwhile. Asks the running server, and nothing else.
    StandStill,
    /// What waits.
    QueueShape {
        /// How many endpoints.
        limit: usize,
    },
}

impl Request {
    /// Only what makes something may make the store that it goes to.
    const fn may_make_a_store(&self) -> bool {
        matches!(self, Self::CreateEnvironment { .. } | Self::CreateKey { .. })
    }
}

/// What a command is answered.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    #[serde(rename = "ok")]
    Ok(Value),
    #[serde(rename = "error")]
    Error(String),
}

/// A key that was just made: the only time that its secret is seen.
pub struct NewKey {
    /// What is stored of it.
    pub key: ApiKey,
    /// The secret.
    pub secret: String,
}

/// Has the running server do it, or does it on the store where none runs. Where another process has
/// the store and no socket yet (it starts, or is a command itself), waits for the one or the other.
pub async fn call(config: Config, request: &Request) -> anyhow::Result<Value> {
    let socket = socket_of(&config.storage.data_dir);
    let until = Instant::now() + IN_USE_TIME_MAX;
    let app = loop {
        if super::folder::is_ours(&socket)
            && let Ok(stream) = UnixStream::connect(&socket).await
        {
            return ask(stream, request).await;
        }
        if matches!(request, Request::Health) {
            bail!("no server runs on {}", config.storage.data_dir.display());
        }
        let is_embedded = config.storage.url.is_none();
        if is_embedded && !request.may_make_a_store() && !super::folder::has_store(&config.storage.data_dir) {
            bail!(
                "there is no store in {}: name its folder with --data-dir, or in the configuration",
                config.storage.data_dir.display()
            );
        }
        super::folder::check_owner(&config.storage.data_dir)?;
        match App::open(config.clone()).await {
            Err(error) if error.is::<InUse>() && Instant::now() < until => tokio::time::sleep(IN_USE_PAUSE).await,
            opened => break opened?,
        }
    };
    app.join_as_guest().await?;
    let result = handle(&app.gateway, &app.rotation, request).await;
    app.close().await?;
    result
}

async fn ask(mut stream: UnixStream, request: &Request) -> anyhow::Result<Value> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut answer).await?;
    match serde_json::from_str(&answer).context("the server's answer is not whole")? {
        Answer::Ok(value) => Ok(value),
        Answer::Error(error) => bail!(error),
    }
}

/// Answers commands until the process ends.
pub(super) async fn serve(
    listener: UnixListener,
    gateway: Arc<Gateway>,
    rotation: Arc<Rotation>,
    stillness: Arc<Stillness>,
) -> std::convert::Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (gateway, rotation) = (Arc::clone(&gateway), Arc::clone(&rotation));
                let stillness = Arc::clone(&stillness);
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &gateway, &rotation, &stillness).await {
                        tracing::debug!(%error, "a command went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Makes the socket.
pub(super) fn bind(socket: &Path) -> anyhow::Result<UnixListener> {
    // The folder is locked: a socket that is there was left by a process that is gone.
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).with_context(|| format!("making {}", socket.display()))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(
    stream: UnixStream,
    gateway: &Gateway,
    rotation: &Rotation,
    stillness: &Stillness,
) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_BYTES_MAX));
    read.read_line(&mut line).await?;
    let result = match serde_json::from_str(&line) {
        Ok(Request::StandStill) => return stand_still(read, write, stillness).await,
        Ok(request) => handle(gateway, rotation, &request).await,
        Err(error) => Err(error.into()),
    };
    tell(&mut write, result).await
}

async fn tell(write: &mut OwnedWriteHalf, result: anyhow::Result<Value>) -> anyhow::Result<()> {
    let answer = match result {
        Ok(value) => Answer::Ok(value),
        Err(error) => Answer::Error(format!("{error:#}")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    Ok(())
}

/// Stands still until the other side closes the connection, or ends.
async fn stand_still(
    mut read: BufReader<tokio::io::Take<OwnedReadHalf>>,
    mut write: OwnedWriteHalf,
    stillness: &Stillness,
) -> anyhow::Result<()> {
    let asked = match stillness.ask() {
        Ok(asked) => asked,
        Err(error) => return tell(&mut write, Err(error)).await,
    };
    let begun = stillness.begin().await;
    let is_still = begun.is_ok();
    let told = tell(&mut write, begun.map(|()| json!({}))).await;
    if is_still {
        if told.is_ok() {
            // Nothing more is said on it: this is its end, or a fault, which is one too.
            let _ = read.read_line(&mut String::new()).await;
        }
        stillness.end().await;
    }
    drop(asked);
    told
}

async fn handle(gateway: &Gateway, rotation: &Rotation, request: &Request) -> anyhow::Result<Value> {
    match request {
        Request::CreateEnvironment { name } => {
            let id = create_environment(gateway, name).await?;
            Ok(json!({ "id": id.format(IdKind::Environment), "name": name }))
        }
        Request::ListEnvironments => {
            let environments = gateway.queries.environments().await?;
            let row = |environment: &crate::model::Environment| json!({ "id": environment.id.format(IdKind::Environment), "name": environment.name });
            Ok(environments.iter().map(row).collect())
        }
        Request::CreateKey { environment, name, scopes } => {
            let scopes = scopes_named(scopes)?;
            let created = create_key(gateway, environment.as_deref(), name, scopes).await?;
            let mut shown = key_json(&created.key);
            shown["key"] = created.secret.into();
            Ok(shown)
        }
        Request::SignIn => {
            let url = sign_in_link(gateway).await?;
            Ok(json!({ "url": url, "expiresInSeconds": ONE_TIME_MS / 1_000 }))
        }
        Request::ListKeys => Ok(gateway.queries.api_keys(None).await?.iter().map(key_json).collect()),
        Request::RevokeKey { id } => {
            let id = Id::parse(IdKind::ApiKey, id).context("this is no id of a key: it looks like key_…")?;
            match access(gateway, AccessChange::RevokeApiKey { id, after_ms: 0 }).await.context("revoking the key")? {
                Changed::ApiKey(key) => Ok(key_json(&key)),
                other => bail!("unexpected answer: {other:?}"),
            }
        }
        Request::Backup { file } => {
            gateway.journal.backup(file.clone()).await?;
            Ok(json!({ "file": file }))
        }
        Request::RotateKeyFile => {
            let rotated = rotation.rotate(gateway).await?;
            Ok(json!({ "resealed": rotated.resealed, "continued": rotated.continued }))
        }
        Request::Health => {
            let admission = &gateway.admission;
            Ok(json!({ "accepting": admission.check().is_ok() && !admission.is_draining() }))
        }
        Request::StandStill => bail!("no server runs"),
        Request::QueueShape { limit } => {
            let shape = gateway.queries.queue_shape(None, gateway.clock.now_ms(), *limit).await?;
            Ok(serde_json::to_value(shape)?)
        }
    }
}

async fn access(gateway: &Gateway, change: AccessChange) -> anyhow::Result<Changed> {
    match gateway.change(Change::Access(change), None).await? {
        ChangeAccepted::New(changed) => Ok(*changed),
        ChangeAccepted::Repeated(..) => bail!("unexpected answer"),
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        bail!("a name has 1 to {NAME_BYTES_MAX} bytes and no control characters");
    }
    Ok(())
}

/// Makes an environment.
pub(super) async fn create_environment(gateway: &Gateway, name: &str) -> anyhow::Result<Id> {
    check_name(name)?;
    let (name, kind) = (name.to_owned(), EnvironmentKind::Production);
    let created = access(gateway, AccessChange::CreateEnvironment { name: name.clone(), kind }).await;
    match created.with_context(|| format!("making the environment {name}"))? {
        Changed::Environment(environment) => Ok(environment.id),
        other => bail!("unexpected answer: {other:?}"),
    }
}

/// Makes a key; in a store that has no environment yet, that too.
pub(super) async fn create_key(
    gateway: &Gateway,
    environment: Option<&str>,
    name: &str,
    scopes: Scopes,
) -> anyhow::Result<NewKey> {
    check_name(name)?;
    let wanted = environment.unwrap_or(DEFAULT_ENVIRONMENT);
    let env = match gateway.queries.environment_named(wanted).await? {
        Some(found) => EnvKey(found.id.key),
        None if environment.is_none() && gateway.queries.environments().await?.is_empty() => {
            EnvKey(create_environment(gateway, DEFAULT_ENVIRONMENT).await?.key)
        }
        None => bail!("there is no environment {wanted}; `posthouse environment list` shows them"),
    };
    let secret = sign_in::draw(KEY_PREFIX);
    let (name, hash, hint) = (name.to_owned(), sign_in::hash(&secret), sign_in::hint(&secret));
    match access(gateway, AccessChange::CreateApiKey { env, name, hash, scopes, hint }).await? {
        Changed::ApiKey(key) => Ok(NewKey { key, secret }),
        other => bail!("unexpected answer: {other:?}"),
    }
}

fn scopes_named(names: &[String]) -> anyhow::Result<Scopes> {
    if names.is_empty() {
        return Ok(Scopes::FULL);
    }
    let one = |name: &String| Scope::named(name).with_context(|| format!("there is no scope {name}"));
    Ok(Scopes::of(names.iter().map(one).collect::<anyhow::Result<Vec<_>>>()?))
}

/// A link that signs the operator of this machine in, once: first into the default environment.
pub(super) async fn sign_in_link(gateway: &Gateway) -> anyhow::Result<String> {
    let environments = gateway.queries.environments().await?;
    let default = environments.iter().find(|environment| environment.name == DEFAULT_ENVIRONMENT);
    let env = default.or(environments.first()).context("there is no environment yet: start the server first")?;
    gateway.sign_in_link(EnvKey(env.id.key)).await.context("making a one-time token")
}

fn key_json(key: &ApiKey) -> Value {
    json!({
        "id": key.id.format(IdKind::ApiKey),
        "name": key.name,
        "scopes": key.scopes.names(),
        "createdAt": timestamp(key.created_at),
        "revokedAt": key.revoked_at.map(timestamp),
        "lastUsedAt": key.last_used_at.map(timestamp),
    })
}

fn timestamp(at: crate::model::UnixMs) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}
