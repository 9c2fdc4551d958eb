//! The `hmac` family: a keyed hash over a template of the request, in one header, described by data.
//!
//! A preset is an [`Hmac`] in the catalogue; a `generic-hmac` source makes one from its configuration.
//! [`verify`] goes from the outside to the inside: the header and its frame, the form of the timestamp,
//! the signature, the window. [`sign`] makes the headers that [`verify`] accepts. Deliberately absent:
//! MD5, and any choice of the algorithm by the request.

mod digest;
mod frame;
mod key;
mod sign;
mod timestamp;

pub(crate) use digest::{Algorithm, Encoding};
pub(crate) use frame::Frame;
pub(crate) use key::KeyForm;
pub use sign::Signed;
pub(crate) use sign::sign;
pub(crate) use timestamp::Unit;

use std::borrow::Cow;

use subtle::{Choice, ConstantTimeEq as _};

use super::lookup;
use super::reading::Window;
use super::{Cause, Context, Failure, Request, Settings};
use frame::Framed;

/// Most secrets of one source that are tried; a rotation needs two.
pub(crate) const SECRETS_MAX: usize = 10;
/// Most signatures of one request that are looked at.
const SIGNATURES_MAX: usize = 16;

/// One piece of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// The exact bytes of the body.
    Body,
    /// The timestamp as the request writes it.
    Timestamp,
    /// The id from [`Hmac::id_header`].
    Id,
    /// The method, in upper case.
    Method,
    /// The URL that is registered at the provider.
    Url,
    /// A fixed text.
    Text(&'a str),
}

/// Where the timestamp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// In a header of its own.
    Header(&'a str),
    /// In the signature's `key=value` list, under this key.
    List(&'a str),
    /// In the verified JSON body, at this pointer; judged after the signature.
    Body(&'a str),
}

/// A timestamp: where it is, how it is written, and the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp<'a> {
    /// Where it is.
    pub place: Place<'a>,
    /// How it is written.
    pub unit: Unit,
    /// How far it may be from the clock, where the source does not say.
    pub window: Window,
}

/// A scheme of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hmac<'a> {
    /// The hash.
    pub algorithm: Algorithm,
    /// How a signature is written.
    pub encoding: Encoding,
    /// The header that has the signature; a query parameter for [`Frame::Query`].
    pub header: &'a str,
    /// What is around the signature.
    pub frame: Frame<'a>,
    /// What is signed, in order.
    pub template: &'a [Part<'a>],
    /// The timestamp, if the scheme has one.
    pub stamp: Option<Stamp<'a>>,
    /// The header that has the id, if it is signed.
    pub id_header: Option<&'a str>,
    /// How the text of the secret becomes a key.
    pub key: KeyForm,
    /// The setting that has the secret.
    pub setting: &'a str,
}

/// The template of most: the body alone.
const BODY: &[Part<'static>] = &[Part::Body];

impl<'a> Hmac<'a> {
    /// HMAC-SHA256 over the body, in hex, alone in its header, with the secret's text as the key.
    pub(crate) const fn new(header: &'a str) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            header,
            frame: Frame::Plain,
            template: BODY,
            stamp: None,
            id_header: None,
            key: KeyForm::Text,
            setting: "secret",
        }
    }

    /// With another hash.
    pub(crate) const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Written in another way.
    pub(crate) const fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Behind a prefix.
    pub(crate) const fn prefix(mut self, prefix: &'a str) -> Self {
        self.frame = Frame::Prefix(prefix);
        self
    }

    /// In another frame.
    pub(crate) const fn frame(mut self, frame: Frame<'a>) -> Self {
        self.frame = frame;
        self
    }

    /// Over more than the body.
    pub(crate) const fn template(mut self, template: &'a [Part<'a>]) -> Self {
        self.template = template;
        self
    }

    /// With a timestamp in a header of its own.
    pub(crate) const fn stamp(mut self, place: Place<'a>, unit: Unit, window: Window) -> Self {
        self.stamp = Some(Stamp { place, unit, window });
        self
    }

    /// With an id that is signed.
    pub(crate) const fn id(mut self, header: &'a str) -> Self {
        self.id_header = Some(header);
        self
    }

    /// With another form of the key.
    pub(crate) const fn key(mut self, key: KeyForm) -> Self {
        self.key = key;
        self
    }

    /// With its secret in another setting.
    pub(crate) const fn setting(mut self, setting: &'a str) -> Self {
        self.setting = setting;
        self
    }

    /// The keys of all active secrets. One that cannot be decoded was refused when the source was
    /// configured; here it matches nothing.
    fn keys<'s>(&self, settings: &'s Settings) -> Vec<Cow<'s, [u8]>> {
        let secrets = lookup::secrets(settings, self.setting);
        secrets.into_iter().take(SECRETS_MAX).filter_map(|secret| self.key.key(secret)).collect()
    }
}

/// Judges a request.
///
/// The cause is that of the first of these which fails: the headers are there, the signature's frame
/// is right, the timestamp has its form, a signature is of an active secret, the timestamp is in the
/// window. A timestamp in the body is read when the signature has been found right.
pub(crate) fn verify(scheme: &Hmac, settings: &Settings, request: &Request, context: &Context) -> Result<(), Failure> {
    Ok(judge(scheme, settings, request, request.body, context.now_ms)?)
}

/// The same for another body than the request's, by which a hint can tell what happened to it.
pub(crate) fn judge(
    scheme: &Hmac,
    settings: &Settings,
    request: &Request,
    body: &[u8],
    now_ms: i64,
) -> Result<(), Cause> {
    let value = scheme.frame.read(request, scheme.header).ok_or(Cause::MissingHeader)?;
    let id = signed_id(scheme, request)?;
    let header = match scheme.stamp {
        Some(Stamp { place: Place::Header(name), .. }) => {
            Some(lookup::header(request.headers, name).ok_or(Cause::MissingHeader)?)
        }
        _ => None,
    };
    let framed = scheme.frame.parse(&value, scheme.stamp)?;
    let written = header.as_deref().or(framed.timestamp).unwrap_or_default();
    let at = match scheme.stamp {
        Some(Stamp { place: Place::Header(_) | Place::List(_), unit, .. }) => {
            unit.read(written).ok_or(Cause::MalformedTimestamp)?
        }
        _ => None,
    };
    let pieces: Vec<&[u8]> = scheme
        .template
        .iter()
        .map(|part| match part {
            Part::Body => body,
            Part::Timestamp => written.as_bytes(),
            Part::Id => id.as_bytes(),
            Part::Method => request.method.as_str().as_bytes(),
            Part::Url => request.url.as_bytes(),
            Part::Text(text) => text.as_bytes(),
        })
        .collect();
    matches(scheme, settings, &framed, &pieces)?;
    let Some(stamp) = scheme.stamp else {
        return Ok(());
    };
    let at = match stamp.place {
        Place::Body(pointer) => Some(timestamp::in_body(body, pointer)?),
        _ => at,
    };
    at.map_or(Ok(()), |at_ms| timestamp::judge(stamp.window.configured(settings), stamp.unit, at_ms, now_ms))
}

/// The time that a request says it was signed at, in milliseconds since 1970.
pub(crate) fn timestamp_ms(scheme: &Hmac, request: &Request) -> Option<i64> {
    let stamp = scheme.stamp?;
    match stamp.place {
        Place::Header(name) => stamp.unit.read(&lookup::header(request.headers, name)?).flatten(),
        Place::List(_) => {
            let value = scheme.frame.read(request, scheme.header)?;
            stamp.unit.read(scheme.frame.parse(&value, scheme.stamp).ok()?.timestamp?).flatten()
        }
        Place::Body(pointer) => timestamp::in_body(request.body, pointer).ok(),
    }
}

/// The id that is signed; empty where none is. With a dot in it, bytes could be moved between id,
/// timestamp and body under the same signature.
fn signed_id<'r>(scheme: &Hmac, request: &Request<'r>) -> Result<Cow<'r, str>, Cause> {
    let Some(name) = scheme.id_header else {
        return Ok(Cow::Borrowed(""));
    };
    let id = lookup::header(request.headers, name).ok_or(Cause::MissingHeader)?;
    let is_joined_by_dots = scheme.template.contains(&Part::Text("."));
    if is_joined_by_dots && id.contains('.') { Err(Cause::MalformedHeader) } else { Ok(id) }
}

/// Whether any signature is that of any secret. All are compared, in the same time whether and
/// wherever they differ.
fn matches(scheme: &Hmac, settings: &Settings, framed: &Framed, pieces: &[&[u8]]) -> Result<(), Cause> {
    let mut genuine = Choice::from(0);
    for key in scheme.keys(settings) {
        let expected = scheme.encoding.write(&scheme.algorithm.mac(&key, pieces));
        for given in framed.signatures.iter().take(SIGNATURES_MAX) {
            let given = scheme.encoding.folded(given);
            genuine |= expected.as_bytes().ct_eq(given.as_bytes());
        }
    }
    if bool::from(genuine) { Ok(()) } else { Err(Cause::SignatureMismatch) }
}
