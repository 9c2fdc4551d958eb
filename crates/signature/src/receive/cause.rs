//! Why a request is not what it should be: a closed list.

/// Why a request is refused, or a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The signature covers a hash of the body, and the body has another.
    BodyHashMismatch,
    /// A certificate is outside of its validity.
    CertExpired,
    /// A certificate does not lead to a trusted root.
    CertUntrusted,
    /// A certificate's URL is not the provider's.
    CertUrlUntrusted,
    /// A certificate is not the provider's.
    CertWrongName,
    /// The body is not what the scheme needs.
    MalformedBody,
    /// A handshake's parameter has another form than documented.
    MalformedChallenge,
    /// A header has another frame than documented.
    MalformedHeader,
    /// A token is no compact JWT.
    MalformedJwt,
    /// A timestamp has another form than documented.
    MalformedTimestamp,
    /// A header that is needed is absent or empty.
    MissingHeader,
    /// The field that carries the signature is absent in the body.
    MissingSignature,
    /// No timestamp where the scheme has it.
    MissingTimestamp,
    /// Well-formed, and of no active secret.
    SignatureMismatch,
    /// The signed timestamp is older than the tolerance.
    TimestampExpired,
    /// The signed timestamp is too far ahead.
    TimestampInFuture,
    /// A token, or a user name with its password, is another.
    TokenMismatch,
    /// A handshake on a source that has been registered.
    UnexpectedHandshake,
    /// A key that the request names is not known.
    UnknownKey,
    /// An algorithm that the request names is not allowed.
    UnsupportedAlgorithm,
    /// Only signatures of versions that are not accepted.
    UnsupportedVersion,
    /// The signature covers the URL, and it is another.
    UrlMismatch,
    /// The `iss` claim is another.
    WrongIssuer,
    /// The `aud` claim, or the topic, is another.
    WrongRecipient,
    /// The sender's address is another, or is not verified.
    WrongSender,
}

impl Cause {
    /// All of them, by name.
    pub const ALL: [Self; 25] = [
        Self::BodyHashMismatch,
        Self::CertExpired,
        Self::CertUntrusted,
        Self::CertUrlUntrusted,
        Self::CertWrongName,
        Self::MalformedBody,
        Self::MalformedChallenge,
        Self::MalformedHeader,
        Self::MalformedJwt,
        Self::MalformedTimestamp,
        Self::MissingHeader,
        Self::MissingSignature,
        Self::MissingTimestamp,
        Self::SignatureMismatch,
        Self::TimestampExpired,
        Self::TimestampInFuture,
        Self::TokenMismatch,
        Self::UnexpectedHandshake,
        Self::UnknownKey,
        Self::UnsupportedAlgorithm,
        Self::UnsupportedVersion,
        Self::UrlMismatch,
        Self::WrongIssuer,
        Self::WrongRecipient,
        Self::WrongSender,
    ];

    /// Its name in logs, lists and vector files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BodyHashMismatch => "body_hash_mismatch",
            Self::CertExpired => "cert_expired",
            Self::CertUntrusted => "cert_untrusted",
            Self::CertUrlUntrusted => "cert_url_untrusted",
            Self::CertWrongName => "cert_wrong_name",
            Self::MalformedBody => "malformed_body",
            Self::MalformedChallenge => "malformed_challenge",
            Self::MalformedHeader => "malformed_header",
            Self::MalformedJwt => "malformed_jwt",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::MissingHeader => "missing_header",
            Self::MissingSignature => "missing_signature",
            Self::MissingTimestamp => "missing_timestamp",
            Self::SignatureMismatch => "signature_mismatch",
            Self::TimestampExpired => "timestamp_expired",
            Self::TimestampInFuture => "timestamp_in_future",
            Self::TokenMismatch => "token_mismatch",
            Self::UnexpectedHandshake => "unexpected_handshake",
            Self::UnknownKey => "unknown_key",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::UnsupportedVersion => "unsupported_version",
            Self::UrlMismatch => "url_mismatch",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongRecipient => "wrong_recipient",
            Self::WrongSender => "wrong_sender",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}
