//! What keys open, and what stands in for them: sessions and one-time tokens.

use super::id::{EnvKey, Id, Key};
use super::time::UnixMs;

/// What an environment key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything in its environment.
    Full,
    /// Every operation that only reads.
    Read,
    /// Making messages, and making and getting applications.
    Publish,
    /// Everything in every environment, and environments themselves.
    Operator,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Read, Self::Publish, Self::Operator];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Operator => "operator",
        }
    }

    /// The scope of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Full => 1,
            Self::Read => 2,
            Self::Publish => 4,
            Self::Operator => 8,
        }
    }
}

/// The scopes of a key: what any of them allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// What a key has unless it is said.
    pub const FULL: Self = Self(Scope::Full.bit());
    /// What the operator of the machine has.
    pub const OPERATOR: Self = Self(Scope::Operator.bit());

    /// Those of a list.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Whether one is among them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether they open the whole environment.
    pub const fn is_full(self) -> bool {
        self.has(Scope::Full) || self.has(Scope::Operator)
    }

    /// Their names on the wire.
    pub fn names(self) -> Vec<&'static str> {
        Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::as_str).collect()
    }

    /// The stored code.
    pub const fn code(self) -> i64 {
        self.0 as i64
    }

    /// What a stored code means; bits of later versions are passed over.
    pub fn from_code(code: i64) -> Self {
        Self::of(Scope::ALL.into_iter().filter(|scope| code & i64::from(scope.bit()) != 0))
    }
}

/// What was exchanged for a key or a one-time token, and stands in for it until it ends. Its token is
/// shown once and kept hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: Id,
    /// The environment that it opens.
    pub env: EnvKey,
    /// The key that it stands in for; none where the operator of the machine asked for it.
    pub api_key: Option<Key>,
    /// What it may do: as much as its key may now.
    pub scopes: Scopes,
    /// When it ends: its own end, or that of its key where that is sooner.
    pub expires_at: UnixMs,
}

/// What a session's row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// A session.
    Session,
    /// A token that can be exchanged for a session, once.
    OneTime,
}

impl SessionKind {
    /// The stored code.
    pub const fn code(self) -> i64 {
        match self {
            Self::Session => 0,
            Self::OneTime => 1,
        }
    }
}

/// How long a session lives: 7 days.
pub const SESSION_MS: i64 = 7 * 24 * 3_600_000;
/// How long a one-time token can be exchanged: 15 minutes.
pub const ONE_TIME_MS: i64 = 15 * 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_come_back_from_their_code() {
        for bits in 0..16 {
            let scopes = Scopes::from_code(bits);
            assert_eq!(scopes.code(), bits);
            assert_eq!(Scopes::of(scopes.names().into_iter().filter_map(Scope::named)), scopes);
        }
        assert_eq!(Scopes::from_code(0xff), Scopes::of(Scope::ALL));
        assert!(Scopes::OPERATOR.is_full() && Scopes::FULL.is_full() && !Scopes::of([Scope::Read]).is_full());
    }
}
