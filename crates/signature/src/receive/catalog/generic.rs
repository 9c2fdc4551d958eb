//! Types that a user describes, those that verify nothing, and those whose scheme is not known.

use super::super::handshake::Handshake;
use super::super::hmac::KeyForm;
use super::fields::{self, Field, Kind};
use super::{How, Scheme, SourceType};
use crate::receive::configured;

const HMAC: &[Field] = &[
    Field::required("secret", Kind::Keys(KeyForm::Text), "The signing secret").secret(),
    Field::required("header", fields::HEADER, "The header that has the signature"),
    Field::optional("algorithm", Kind::Choice(&["sha256", "sha1", "sha512"]), "The hash; sha256 if left out"),
    Field::optional("encoding", Kind::Choice(&["hex", "base64", "base64url"]), "How it is written; hex if left out"),
    Field::optional(
        "secretEncoding",
        Kind::Choice(&["utf8", "hex", "base64", "whsec"]),
        "How the secret becomes a key; utf8 if left out",
    ),
    Field::optional(
        "template",
        Kind::Checked(
            configured::is_template,
            "a text with {body}, and {timestamp}, {id}, {method}, {url} where needed",
        ),
        "What is signed; `{body}` if left out",
    ),
    Field::optional("prefix", Kind::Text, "What is before the signature in its header, such as `sha256=`"),
    Field::optional("signatureKey", Kind::Text, "The key of the signature, where the header is a `key=value` list"),
    Field::optional("timestampKey", Kind::Text, "The key of the timestamp in that list"),
    Field::optional("separator", Kind::Choice(&[",", ";", " "]), "What is between its items; a comma if left out"),
    Field::optional("timestampHeader", fields::HEADER, "The header that has the timestamp"),
    Field::optional("timestampUnit", Kind::Choice(&["s", "ms", "rfc3339"]), "How it is written; s if left out"),
    Field::optional("idHeader", fields::HEADER, "The header that has the id"),
    Field::optional(
        "toleranceSeconds",
        Kind::Integer(1, 86_400),
        "How far the timestamp may be from the clock, in seconds; 300 if left out",
    ),
    fields::NOTIFICATION_URL,
];

fn is_pointer(text: &str) -> bool {
    text.starts_with('/')
}

const TOKEN: &[Field] = &[
    Field::required("token", Kind::Texts, "The token, or several of which any is accepted").secret(),
    Field::optional("header", fields::HEADER, "The header that has the token; this, `query` or `pointer` is needed"),
    Field::optional("scheme", Kind::Text, "The word before the token in its header, such as `Bearer`"),
    Field::optional("query", Kind::Text, "The parameter of the URL's query that has the token, instead of a header"),
    Field::optional(
        "pointer",
        Kind::Checked(is_pointer, "a JSON pointer, which begins with a slash"),
        "Where in the JSON body the token is, instead of a header",
    ),
];

const CRON: &[Field] = &[
    Field::required(
        "schedule",
        Kind::Text,
        "When: five crontab fields, such as `*/15 * * * *`, or `@hourly` and the like",
    ),
    Field::required("payload", Kind::LongText, "The body of each message"),
    Field::optional("contentType", Kind::Text, "Its content type; application/json if left out"),
    Field::optional("timeZone", Kind::Text, "The IANA name of the schedule's time zone; UTC if left out"),
];

pub(super) const TYPES: &[SourceType] = &[
    SourceType::new("generic-webhook", "Any webhook, not verified", &[Scheme::new("generic-webhook", How::Nothing)])
        .fields(fields::NONE)
        .primary("the API contract"),
    SourceType::new("generic-hmac", "Any webhook with an HMAC", &[Scheme::new("generic-hmac", How::ConfiguredHmac)])
        .fields(HMAC)
        .primary("RFC 2104"),
    SourceType::new("generic-token", "Any webhook with a token", &[Scheme::new("generic-token", How::ConfiguredToken)])
        .fields(TOKEN)
        .primary("RFC 6750"),
    SourceType::new(
        "generic-basic",
        "Any webhook with Basic authentication",
        &[Scheme::token("generic-basic", super::super::token::TokenScheme::new(super::super::token::Token::Basic))],
    )
    .fields(fields::BASIC)
    .primary("RFC 7617"),
    SourceType::new("cron", "A schedule", &[Scheme::new("cron", How::Closed)]).fields(CRON).primary("the API contract"),
];

/// A type whose scheme could not be confirmed.
const fn unconfirmed(name: &'static str, title: &'static str, known: &'static str) -> SourceType {
    const SCHEMES: &[Scheme] = &[Scheme::new("unconfirmed", How::Unconfirmed)];
    let mut source_type = SourceType::new(name, title, SCHEMES);
    source_type.source = known;
    source_type
}

pub(super) const UNCONFIRMED: &[SourceType] = &[
    unconfirmed("orum-io", "Orum", "RSA over body and created_at; whether that is hashed once or twice is not said"),
    unconfirmed("vgs", "VGS", "no description was found"),
    unconfirmed("klaviyo", "Klaviyo", "descriptions contradict each other"),
    unconfirmed("smartsheet", "Smartsheet", "an HMAC of the body, whose encoding was not found in a document")
        .handshakes(&[Handshake::Smartsheet]),
    unconfirmed("ebay", "eBay", "an ECDSA signature whose key takes an API call with credentials")
        .fields(&[
            Field::required("verifyToken", Kind::Text, "The verification token of the subscription").secret(),
            fields::NOTIFICATION_URL,
        ])
        .handshakes(&[Handshake::Ebay]),
];
