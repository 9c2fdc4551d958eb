//! What a configuration holds.

use http::HeaderName;

use super::super::hmac::KeyForm;

/// One name of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Whether a source cannot be made without it.
    pub is_required: bool,
    /// Whether it is not shown again.
    pub is_secret: bool,
    /// What it is, for the person who fills it in.
    pub description: &'static str,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A text that is not empty.
    Text,
    /// The same, as long as a whole configuration may be.
    LongText,
    /// A text that is not empty, or a list of such: any of them.
    Texts,
    /// Secrets of this form: one, or a list.
    Keys(KeyForm),
    /// A text with a form of its own: the check, and what it expects.
    Checked(fn(&str) -> bool, &'static str),
    /// The same, or a list of such: any of them.
    CheckedEach(fn(&str) -> bool, &'static str),
    /// A whole number in a range.
    Integer(i64, i64),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A JSON object or list.
    Json,
}

impl Field {
    /// A field that is needed.
    pub(crate) const fn required(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, kind, is_required: true, is_secret: false, description }
    }

    /// A field that is not.
    pub(crate) const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, kind, is_required: false, is_secret: false, description }
    }

    /// Not shown again.
    pub(crate) const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }
}

/// A secret in the form of the type's first scheme.
pub(crate) const SECRET: &[Field] = &[secret("The signing secret, exactly as the provider shows it")];
/// A secret that the contract lets be absent: nothing is verified then.
pub(crate) const SECRET_OR_NONE: &[Field] = &[Field {
    is_required: false,
    ..secret("The signing secret, exactly as the provider shows it; without it nothing is verified")
}];
/// A secret that a handshake may bring.
pub(crate) const SECRET_LEARNED: &[Field] = &[Field {
    is_required: false,
    ..secret("The signing secret; left out where the provider's first request brings it")
}];
/// `whsec_…`.
pub(crate) const WHSEC: &[Field] =
    &[Field::required("secret", Kind::Keys(KeyForm::Whsec), "The signing secret, `whsec_…`").secret()];
/// A user name and a password.
pub(crate) const BASIC: &[Field] = &[
    Field::required("username", Kind::Text, "The user name"),
    Field::required("password", Kind::Texts, "The password, or several of which any is accepted").secret(),
];
/// Nothing.
pub(crate) const NONE: &[Field] = &[];

/// A secret used as text, with its own description.
pub(crate) const fn secret(description: &'static str) -> Field {
    Field::required("secret", Kind::Keys(KeyForm::Text), description).secret()
}

/// Another URL than the source's own, for schemes that sign it.
pub(crate) const NOTIFICATION_URL: Field = Field::optional(
    "notificationUrl",
    URL,
    "The URL as it is registered at the provider, if it is not the source's own",
);

/// An absolute URL.
pub(crate) const URL: Kind = Kind::Checked(is_url, "an absolute http or https URL");
/// The same by https only, for what is fetched and believed.
pub(crate) const HTTPS_URL: Kind = Kind::Checked(is_https_url, "an absolute https URL");
/// The name of a header.
pub(crate) const HEADER: Kind = Kind::Checked(is_header_name, "the name of a header");

fn is_header_name(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

fn is_https_url(text: &str) -> bool {
    text.starts_with("https://") && is_url(text)
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}
