//! Where the database is, and how it is spoken to.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::SessionError;
use crate::store::seal::Sealer;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what was sent may stay without the other side having it: then the connection is given up.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
/// Silence after which the other side is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;

/// Where the database is. Cheap to clone.
#[derive(Clone)]
pub struct PgOptions {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// Opens and seals secrets.
    pub sealer: Arc<Sealer>,
    /// Connections of the readers.
    pub readers: usize,
}

impl PgOptions {
    /// From a `postgres://` URL. TLS as its `sslmode` says: `disable`, `prefer` (the default), `require`;
    /// the server's certificate is checked against the public roots and `roots`.
    pub fn new(url: &str, tls: Arc<rustls::ClientConfig>, sealer: Arc<Sealer>, readers: usize) -> anyhow::Result<Self> {
        let mut config: Config = url.parse().map_err(|error| anyhow::anyhow!("storage.url: {error}"))?;
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(UNACKNOWLEDGED_MAX)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        if config.get_application_name().is_none() {
            config.application_name("posthouse");
        }
        let tls = (config.get_ssl_mode() != SslMode::Disable).then(|| MakeRustlsConnect::new((*tls).clone()));
        Ok(Self { config, tls, sealer, readers })
    }

    /// The same database at another place: what listens does not go through a pooler.
    pub fn at(&self, url: &str) -> anyhow::Result<Self> {
        let other: Config = url.parse().map_err(|error| anyhow::anyhow!("storage.listen_url: {error}"))?;
        Ok(Self { config: other, ..self.clone() })
    }

    /// Connects; the connection's wheels turn on the runtime of the caller.
    pub(super) async fn connect(&self) -> Result<Client, SessionError> {
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub(super) fn tls(&self) -> Option<MakeRustlsConnect> {
        self.tls.clone()
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }
}
