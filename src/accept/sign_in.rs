//! Signing in: a key, or a one-time token, is exchanged for a session. Tokens have 256 random bits, are
//! shown once, and are stored as their SHA-256, which tells nothing of them.

use rand::Rng;
use sha2::{Digest, Sha256};

use super::quota::QuotaExceeded;
use super::{Gateway, NotAccepted};
use crate::model::{EnvKey, ONE_TIME_MS, SessionKind};
use crate::store::command::{AccessChange, Change, Refusal};

/// The cookie that holds a session's token where the server is reached over plain HTTP.
pub const SESSION_COOKIE: &str = "posthouse_session";
/// The same over TLS. Browsers take a cookie of such a name from this very host only, over TLS only, so that no
/// neighbour in the domain can put one there.
const HOST_SESSION_COOKIE: &str = "__Host-posthouse_session";
/// What tokens of sessions begin with.
pub const SESSION_PREFIX: &str = "phs_";
/// What one-time tokens begin with.
pub const ONE_TIME_PREFIX: &str = "pho_";
/// What environment keys begin with.
pub const KEY_PREFIX: &str = "phk_";
/// Random bytes of each.
const SECRET_BYTES: usize = 32;
/// Characters at the end of a key that are shown with it: 16 of its 256 bits.
const HINT_CHARACTERS: usize = 4;

/// A new secret.
pub fn draw(prefix: &str) -> String {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    format!("{prefix}{}", crate::store::seal::hex(&bytes))
}

/// As which a secret is stored.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The end of a key, by which its holder tells it from others.
pub fn hint(secret: &str) -> String {
    secret.chars().skip(secret.len().saturating_sub(HINT_CHARACTERS)).collect()
}

/// Why a key does not sign in.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// Its requests of this second are used up.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// The session was not stored.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
}

impl Gateway {
    /// Whether browsers reach the server over TLS, as far as it was told.
    pub fn is_https(&self) -> bool {
        let scheme = self.server.public_url.as_ref().and_then(|url| url.split_once(':')).map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }

    /// The name of the cookie that holds a session's token.
    pub fn session_cookie(&self) -> &'static str {
        if self.is_https() { HOST_SESSION_COOKIE } else { SESSION_COOKIE }
    }

    /// A session's token for a key; `None` where the key opens nothing. It counts as a request of the key.
    pub async fn sign_in_with_key(&self, key: &str) -> Result<Option<String>, NotSignedIn> {
        let (now, key_hash) = (self.clock.now_ms(), hash(key));
        let found = self.snapshots.api_key(&*self.queries, key_hash, now).await.map_err(NotAccepted::Read)?;
        let Some(key) = found else { return Ok(None) };
        self.quotas.spend(&key_hash, now)?;
        self.key_use.note(key.id.key, now);
        let token = draw(SESSION_PREFIX);
        let change = Change::Access(AccessChange::OpenSession { api_key: key.id.key, hash: hash(&token) });
        Ok(self.signed_in(change, token).await?)
    }

    /// A session's token for a one-time token; `None` where that is not known, over, or was exchanged.
    pub async fn sign_in_once(&self, one_time: &str) -> Result<Option<String>, NotAccepted> {
        let one_time = hash(one_time);
        let now = self.clock.now_ms();
        let found = self.queries.session_by_hash(SessionKind::OneTime, one_time).await?;
        // A guess costs a read, and no commit.
        if found.is_none_or(|found| found.expires_at <= now) {
            return Ok(None);
        }
        let token = draw(SESSION_PREFIX);
        let change = Change::Access(AccessChange::RedeemOneTimeToken { one_time, hash: hash(&token) });
        self.signed_in(change, token).await
    }

    async fn signed_in(&self, change: Change, token: String) -> Result<Option<String>, NotAccepted> {
        match self.change(change, None).await {
            Ok(_) => Ok(Some(token)),
            // It was there a moment ago.
            Err(NotAccepted::Refused(Refusal::NotFound)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A link that signs the operator of this machine in, once.
    pub async fn sign_in_link(&self, env: EnvKey) -> Result<String, NotAccepted> {
        let token = draw(ONE_TIME_PREFIX);
        let change =
            Change::Access(AccessChange::CreateOneTimeToken { env, hash: hash(&token), lifetime_ms: ONE_TIME_MS });
        self.change(change, None).await?;
        Ok(format!("{}/login#token={token}", self.public_url()))
    }
}
