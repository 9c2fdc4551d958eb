//! Changes of who may call: environments, their keys, and what stands in for keys.

use crate::model::{EnvKey, EnvironmentKind, Id, Key, Scopes, UnixMs};

/// A change of who may call. Judged inside the writer, as all changes are.
#[derive(Debug, Clone)]
pub enum AccessChange {
    /// A new environment.
    CreateEnvironment {
        /// Its unique name.
        name: String,
        /// What it is used for.
        kind: EnvironmentKind,
    },
    /// Another name of an environment.
    RenameEnvironment {
        /// Which.
        env: EnvKey,
        /// Its unique name from now on.
        name: String,
    },
    /// An environment goes with all that it holds.
    DeleteEnvironment {
        /// Which.
        env: EnvKey,
    },
    /// A new environment key.
    CreateApiKey {
        /// The environment that it opens.
        env: EnvKey,
        /// What it is called.
        name: String,
        /// SHA-256 of the key.
        hash: [u8; 32],
        /// What it may do.
        scopes: Scopes,
        /// The last characters of the key.
        hint: String,
    },
    /// Another name of a key, or other scopes.
    PatchApiKey {
        /// Whose.
        env: EnvKey,
        /// Which.
        id: Id,
        /// What it is called from now on.
        name: Option<String>,
        /// What it may do from now on.
        scopes: Option<Scopes>,
    },
    /// An environment key opens nothing any more, nor do the sessions that stand in for it.
    RevokeApiKey {
        /// Which.
        id: Id,
        /// After how many milliseconds; 0 at once.
        after_ms: i64,
    },
    /// When keys were last used: at most 1,000 at once.
    NoteKeyUse {
        /// The keys of the keys, and when.
        used: Vec<(Key, UnixMs)>,
    },
    /// A session that stands in for a key.
    OpenSession {
        /// The key of the key.
        api_key: Key,
        /// SHA-256 of the session's token.
        hash: [u8; 32],
    },
    /// A token that the operator of the machine can exchange for a session, once.
    CreateOneTimeToken {
        /// The environment that the session opens at first.
        env: EnvKey,
        /// SHA-256 of the token.
        hash: [u8; 32],
        /// How long it can be exchanged, in milliseconds.
        lifetime_ms: i64,
    },
    /// A one-time token is exchanged for a session.
    RedeemOneTimeToken {
        /// SHA-256 of the one-time token.
        one_time: [u8; 32],
        /// SHA-256 of the session's token.
        hash: [u8; 32],
    },
    /// A session opens nothing any more.
    CloseSession {
        /// Which.
        id: Id,
    },
}
