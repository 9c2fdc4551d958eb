//! The headers that a scheme of this family accepts, for a given body: for trying a source out, and for
//! tests.

use super::super::{Request, Settings};
use super::{Frame, Hmac, Part, Place};

/// What is to be added to a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signed {
    /// Headers, names as the catalogue has them.
    pub headers: Vec<(String, String)>,
    /// A parameter of the URL's query.
    pub query: Option<(String, String)>,
}

/// Signs a request with the first of a source's secrets. `id` is used where the scheme signs one. `None`
/// if there is no secret.
pub(crate) fn sign(scheme: &Hmac, settings: &Settings, request: &Request, at_ms: i64, id: &str) -> Option<Signed> {
    let keys = scheme.keys(settings);
    let key = keys.first()?;
    let written = scheme.stamp.map(|stamp| stamp.unit.write(at_ms)).unwrap_or_default();
    let pieces: Vec<&[u8]> = scheme
        .template
        .iter()
        .map(|part| match part {
            Part::Body => request.body,
            Part::Timestamp => written.as_bytes(),
            Part::Id => id.as_bytes(),
            Part::Method => request.method.as_str().as_bytes(),
            Part::Url => request.url.as_bytes(),
            Part::Text(text) => text.as_bytes(),
        })
        .collect();
    let signature = scheme.encoding.write(&scheme.algorithm.mac(key, &pieces));
    let place = scheme.stamp.map(|stamp| stamp.place);
    let mut signed = Signed::default();
    if let Some(name) = scheme.id_header {
        signed.headers.push((name.to_owned(), id.to_owned()));
    }
    if let Some(Place::Header(name)) = place {
        signed.headers.push((name.to_owned(), written.clone()));
    }
    let name = scheme.header.to_owned();
    match scheme.frame {
        Frame::Plain => signed.headers.push((name, signature)),
        Frame::Prefix(prefix) => signed.headers.push((name, format!("{prefix}{signature}"))),
        Frame::List { separator, key, .. } => {
            let stamp = match place {
                Some(Place::List(stamp_key)) => format!("{stamp_key}={written}{separator}"),
                _ => String::new(),
            };
            signed.headers.push((name, format!("{stamp}{key}={signature}")));
        }
        Frame::Versions(version) => signed.headers.push((name, format!("{version},{signature}"))),
        Frame::Numbered => signed.headers.push((format!("{name}1"), signature)),
        Frame::Query => signed.query = Some((name, signature)),
    }
    Some(signed)
}
