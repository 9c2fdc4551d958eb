//! The source types: who signs how, as data.
//!
//! A [`SourceType`] names its schemes, strongest first, what its configuration holds, where an event's
//! id and type are, which handshakes it has and which answer it expects, with the document that says
//! so. Names are those of the API contract where it has them. A type whose scheme could not be
//! confirmed is listed, so that its name is known, and refused when a source is made of it.

mod fields;
mod generic;
mod keyed;
mod plain;
mod stamped;
mod standard;
mod token;

pub use fields::Field;
pub(crate) use fields::Kind;

use super::asymmetric::Asymmetric;
use super::canonical::Canonical;
use super::certificate::Certificate;
use super::handshake::Handshake;
use super::hmac::{Frame, Hmac};
use super::jwt::{self, Jwt};
use super::token::{Token, TokenScheme};

/// One kind of source.
#[derive(Debug, Clone, Copy)]
pub struct SourceType {
    /// Its name in the API and on the command line.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// How requests are verified, strongest first.
    pub(crate) schemes: &'static [Scheme],
    /// What its configuration holds, beside what every scheme of its kind takes.
    pub(crate) fields: &'static [Field],
    /// Where an event's id is; the first that is there counts.
    pub(crate) event_id: &'static [Where],
    /// Where an event's type is: the first of these whose first part is there, its parts joined by dots.
    pub(crate) event_type: &'static [&'static [Where]],
    /// What it asks for before it sends messages, or in between.
    pub(crate) handshakes: &'static [Handshake],
    /// What the provider expects as the answer to an accepted request.
    pub(crate) answer: Answer,
    /// What holds where the configuration has no secret.
    pub(crate) without_secret: WithoutSecret,
    /// The document or the code from which this entry was made.
    pub source: &'static str,
    /// How well it is known.
    pub confidence: Confidence,
}

/// What holds where a configuration has no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutSecret {
    /// No source is made.
    Refused,
    /// Nothing is verified: the API contract lets it be absent.
    Open,
    /// It comes with the provider's first request.
    Learned,
}

/// A scheme of a type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scheme {
    /// Its name in vector files.
    pub name: &'static str,
    /// Which requests, or sources, it is for.
    pub when: When,
    /// How it verifies.
    pub how: How,
}

/// Which requests, or which sources, a scheme is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// All that no scheme before it took.
    Always,
    /// Requests with this header.
    Header(&'static str),
    /// Sources with this setting.
    Setting(&'static str),
    /// Sources whose setting has this value.
    Choice(&'static str, &'static str),
}

/// How a scheme verifies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// By a keyed hash.
    Hmac(Hmac<'static>),
    /// By a token.
    Token(TokenScheme<'static>),
    /// By a public key.
    Asymmetric(Asymmetric),
    /// By a keyed hash over fields that are put together first.
    Canonical(Canonical),
    /// By a certificate.
    Certificate(Certificate),
    /// By a signed token.
    Jwt(Jwt),
    /// By a keyed hash that the source's configuration describes.
    ConfiguredHmac,
    /// By a token, at a place that the source's configuration names.
    ConfiguredToken,
    /// Not at all, and everything is accepted.
    Nothing,
    /// Not at all, because such a source receives no requests.
    Closed,
    /// The scheme is not known.
    Unconfirmed,
}

/// Where in a request something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// In a header.
    Header(&'static str),
    /// The id that the scheme signs which judges the request.
    Signed,
    /// In the JSON body, at a pointer. Where the body is a form, its field `payload` is that body.
    Body(&'static str),
    /// The same, where it is a text: a number there is something else.
    Text(&'static str),
    /// In the JSON body, at a pointer whose `*` stand for every entry of a list: what all entries have. Entries
    /// that differ have no one type, and a later place does not count either.
    Each(&'static str),
    /// In the JSON body, in the only entry of a list: a batch of several has no one id.
    Only {
        /// Where the list is.
        list: &'static str,
        /// Where it is in the entry.
        member: &'static str,
    },
    /// In a field of a form.
    Form(&'static str),
}

/// The answer to an accepted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status.
    pub status: u16,
    /// The content type of the body, if it has one.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: &'static str,
    /// A header whose value is a setting.
    pub echo: Option<(&'static str, &'static str)>,
}

impl Answer {
    /// A status with nothing else.
    pub(crate) const fn empty(status: u16) -> Self {
        Self { status, content_type: None, body: "", echo: None }
    }

    /// 200 with a body.
    pub(crate) const fn body(content_type: &'static str, body: &'static str) -> Self {
        Self { status: 200, content_type: Some(content_type), body, echo: None }
    }
}

/// How well an entry is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// From the provider's own documents, samples or libraries.
    Primary,
    /// From others' documents or code.
    Secondary,
    /// From memory, with a published test value that agrees.
    Checked,
    /// Not confirmed: no source can be made of it.
    Unconfirmed,
}

impl Confidence {
    /// Its name in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Checked => "checked",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

impl SourceType {
    /// A type with one scheme of its own name.
    pub(crate) const fn new(name: &'static str, title: &'static str, schemes: &'static [Scheme]) -> Self {
        Self {
            name,
            title,
            schemes,
            fields: fields::SECRET,
            event_id: &[],
            event_type: &[],
            handshakes: &[],
            answer: Answer::empty(200),
            without_secret: WithoutSecret::Refused,
            source: "",
            confidence: Confidence::Unconfirmed,
        }
    }

    /// With other fields than a secret.
    pub(crate) const fn fields(mut self, fields: &'static [Field]) -> Self {
        self.fields = fields;
        self
    }

    /// Not verified where the configuration has no secret.
    pub(crate) const fn open(mut self) -> Self {
        self.without_secret = WithoutSecret::Open;
        self
    }

    /// With a secret that a handshake brings.
    pub(crate) const fn learning(mut self) -> Self {
        self.without_secret = WithoutSecret::Learned;
        self
    }

    /// With an event id.
    pub(crate) const fn id(mut self, event_id: &'static [Where]) -> Self {
        self.event_id = event_id;
        self
    }

    /// With an event type.
    pub(crate) const fn kind(mut self, event_type: &'static [&'static [Where]]) -> Self {
        self.event_type = event_type;
        self
    }

    /// With handshakes.
    pub(crate) const fn handshakes(mut self, handshakes: &'static [Handshake]) -> Self {
        self.handshakes = handshakes;
        self
    }

    /// With another answer than an empty 200.
    pub(crate) const fn answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    /// By the provider's own documents, samples or libraries.
    pub(crate) const fn primary(mut self, source: &'static str) -> Self {
        self.source = source;
        self.confidence = Confidence::Primary;
        self
    }

    /// By others' documents or code.
    pub(crate) const fn secondary(mut self, source: &'static str) -> Self {
        self.source = source;
        self.confidence = Confidence::Secondary;
        self
    }

    /// By a published test value.
    pub(crate) const fn checked(mut self, source: &'static str) -> Self {
        self.source = source;
        self.confidence = Confidence::Checked;
        self
    }

    /// Whether a source can be made of it.
    pub fn is_confirmed(&self) -> bool {
        self.confidence != Confidence::Unconfirmed
    }

    /// Whether it signs by the headers of Standard Webhooks or Svix.
    pub fn is_standard(&self) -> bool {
        let is_own =
            |name: &str| ["webhook-signature", "svix-signature"].iter().any(|own| name.eq_ignore_ascii_case(own));
        self.signature_headers().any(is_own)
    }

    /// Whether such a source receives requests at all: a schedule does not.
    pub fn is_receiving(&self) -> bool {
        !self.schemes.iter().any(|scheme| matches!(scheme.how, How::Closed))
    }

    /// The names of its schemes, as vector files have them.
    pub fn scheme_names(&self) -> impl Iterator<Item = &'static str> {
        self.schemes.iter().map(|scheme| scheme.name)
    }

    /// The headers by which its signatures are known.
    pub(crate) fn signature_headers(&self) -> impl Iterator<Item = &'static str> {
        self.schemes.iter().filter_map(|scheme| scheme.how.signature_header())
    }
}

impl How {
    /// Whether the provider publishes its keys, so that a configuration needs none.
    pub(crate) fn has_published_keys(&self) -> bool {
        match self {
            Self::Asymmetric(scheme) => *scheme == Asymmetric::TravisCi,
            Self::Jwt(jwt) => matches!(jwt.keys, jwt::Keys::Set { url: Some(_) }),
            _ => false,
        }
    }

    /// The header that has the signature, where there is one of its own.
    fn signature_header(&self) -> Option<&'static str> {
        match self {
            Self::Hmac(hmac) if matches!(hmac.frame, Frame::Numbered | Frame::Query) => None,
            Self::Hmac(hmac) => Some(hmac.header),
            Self::Asymmetric(Asymmetric::Headers(headers)) => Some(headers.signature),
            Self::Canonical(Canonical::Contentful) => Some("x-contentful-signature"),
            Self::Canonical(Canonical::HubspotV1 | Canonical::HubspotV2) => Some("x-hubspot-signature"),
            Self::Canonical(Canonical::Mandrill) => Some("x-mandrill-signature"),
            Self::Canonical(Canonical::Twilio) => Some("x-twilio-signature"),
            Self::Certificate(Certificate::Paypal) => Some("paypal-transmission-sig"),
            Self::Token(TokenScheme { token: Token::Header(name), .. })
            | Self::Jwt(Jwt { place: jwt::Place::Header(name), .. }) => Some(name),
            _ => None,
        }
    }
}

impl Scheme {
    /// A scheme for all requests.
    pub(crate) const fn new(name: &'static str, how: How) -> Self {
        Self { name, when: When::Always, how }
    }

    /// A scheme by a keyed hash.
    pub(crate) const fn hmac(name: &'static str, hmac: Hmac<'static>) -> Self {
        Self::new(name, How::Hmac(hmac))
    }

    /// A scheme by a token.
    pub(crate) const fn token(name: &'static str, token: TokenScheme<'static>) -> Self {
        Self::new(name, How::Token(token))
    }

    /// For some requests or sources only.
    pub(crate) const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }
}

/// All source types.
pub fn all() -> impl Iterator<Item = &'static SourceType> {
    let rooms: [&'static [SourceType]; 7] = [
        generic::TYPES,
        standard::TYPES,
        plain::TYPES,
        stamped::TYPES,
        token::TYPES,
        keyed::TYPES,
        generic::UNCONFIRMED,
    ];
    rooms.into_iter().flatten()
}

/// The type of a name.
pub fn find(name: &str) -> Option<&'static SourceType> {
    all().find(|source_type| source_type.name == name)
}

/// The type and the scheme of a vector file's scheme name.
pub(crate) fn find_scheme(name: &str) -> Option<(&'static SourceType, &'static Scheme)> {
    all().find_map(|source_type| {
        let scheme = source_type.schemes.iter().find(|scheme| scheme.name == name)?;
        Some((source_type, scheme))
    })
}
