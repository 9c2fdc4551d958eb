//! Schemes that a source's configuration describes: `generic-hmac` and `generic-token`.

use serde_json::{Map, Value};

use super::Settings;
use super::config::ConfigError;
use super::hmac::{Algorithm, Encoding, Frame, Hmac, KeyForm, Part, Place, Tolerance, Unit};
use super::token::{Token, TokenScheme};

/// Most pieces of a template.
const PIECES_MAX: usize = 32;
/// Placeholders of a template.
const PLACEHOLDERS: [(&str, Part<'static>); 6] = [
    ("{body}", Part::Body),
    ("{timestamp}", Part::Timestamp),
    ("{ts}", Part::Timestamp),
    ("{id}", Part::Id),
    ("{method}", Part::Method),
    ("{url}", Part::Url),
];

/// Whether a text is a template that signs the body.
pub(crate) fn is_template(text: &str) -> bool {
    template(text).is_some_and(|parts| parts.contains(&Part::Body))
}

/// Takes a template apart. `None` if a brace begins nothing that is known.
fn template(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && parts.len() < PIECES_MAX {
        let known = PLACEHOLDERS.iter().find(|(name, _)| rest.starts_with(name));
        if let Some((name, part)) = known {
            parts.push(*part);
            rest = &rest[name.len()..];
        } else {
            let end = rest.find('{').unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            parts.push(Part::Text(&rest[..end]));
            rest = &rest[end..];
        }
    }
    rest.is_empty().then_some(parts)
}

/// The template of a `generic-hmac` source.
pub(crate) fn template_of(settings: &Settings) -> Vec<Part<'_>> {
    template(settings.text("template").unwrap_or("{body}")).unwrap_or_else(|| vec![Part::Body])
}

/// The value of a name in a table of a configuration's words.
fn named<T: Copy>(table: &[(&str, T)], name: Option<&str>, otherwise: T) -> T {
    table.iter().find(|(known, _)| Some(*known) == name).map_or(otherwise, |(_, value)| *value)
}

/// The scheme of a `generic-hmac` source, whose configuration was checked.
pub(crate) fn hmac<'s>(settings: &'s Settings, template: &'s [Part<'s>]) -> Hmac<'s> {
    let mut hmac = Hmac::new(settings.text("header").unwrap_or_default())
        .algorithm(named(&Algorithm::NAMES, settings.text("algorithm"), Algorithm::Sha256))
        .encoding(named(&Encoding::NAMES, settings.text("encoding"), Encoding::HexAnyCase))
        .key(named(&KeyForm::NAMES, settings.text("secretEncoding"), KeyForm::Text))
        .template(template);
    if let Some(prefix) = settings.text("prefix") {
        hmac = hmac.prefix(prefix);
    }
    if let Some(key) = settings.text("signatureKey") {
        let separator = settings.text("separator").and_then(|text| text.chars().next()).unwrap_or(',');
        hmac = hmac.frame(Frame::List { separator, is_trimmed: true, key });
    }
    if let Some(header) = settings.text("idHeader") {
        hmac = hmac.id(header);
    }
    let in_list = settings.text("timestampKey").map(Place::List);
    if let Some(place) = settings.text("timestampHeader").map(Place::Header).or(in_list) {
        hmac =
            hmac.stamp(place, named(&Unit::NAMES, settings.text("timestampUnit"), Unit::Seconds), Tolerance::both(300));
    }
    hmac
}

/// The scheme of a `generic-token` source, whose configuration was checked.
pub(crate) fn token(settings: &Settings) -> TokenScheme<'_> {
    let token = match (settings.text("query"), settings.text("header"), settings.text("scheme")) {
        (Some(parameter), ..) => Token::Query(parameter),
        (None, Some(header), Some(word)) => Token::Scheme(header, word),
        (None, header, _) => Token::Header(header.unwrap_or_default()),
    };
    TokenScheme::new(token).setting("token")
}

/// Checks what no single field tells: what is signed is there.
pub(crate) fn check_hmac(config: &Map<String, Value>) -> Result<(), ConfigError> {
    let settings = Settings::new(config.clone());
    let parts = template_of(&settings);
    let has = |name: &str| config.contains_key(name);
    let wrong = |field: &str, expected: &str| Err(ConfigError::new(field, expected));
    if has("prefix") && has("signatureKey") {
        return wrong("prefix", "either a prefix or a `key=value` list, not both");
    }
    if has("timestampKey") && !has("signatureKey") {
        return wrong("timestampKey", "is for a `key=value` list, which `signatureKey` makes of the header");
    }
    if has("timestampKey") && has("timestampHeader") {
        return wrong("timestampKey", "the timestamp is in a header or in the list, not in both");
    }
    let has_timestamp = has("timestampHeader") || has("timestampKey");
    if parts.contains(&Part::Timestamp) != has_timestamp {
        return wrong("template", "a timestamp is signed exactly where `timestampHeader` or `timestampKey` names it");
    }
    if parts.contains(&Part::Id) != has("idHeader") {
        return wrong("template", "an id is signed exactly where `idHeader` names it");
    }
    let scheme = hmac(&settings, &parts);
    let secrets = settings.secrets();
    if secrets.iter().any(|secret| scheme.key.key(secret).is_none()) {
        return wrong("secret", scheme.key.expected());
    }
    Ok(())
}

/// Checks that the place of a token is named, once.
pub(crate) fn check_token(config: &Map<String, Value>) -> Result<(), ConfigError> {
    let has = |name: &str| config.contains_key(name);
    if has("query") && (has("header") || has("scheme")) {
        return Err(ConfigError::new("query", "the token is in the query or in a header, not in both"));
    }
    if !has("query") && !has("header") {
        return Err(ConfigError::new("header", "is needed, or `query`: where the token is"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_taken_apart() {
        let parts = template("v0:{ts}:{body}").expect("a template");
        assert_eq!(parts, [Part::Text("v0:"), Part::Timestamp, Part::Text(":"), Part::Body]);
        assert!(is_template("{method}{url}{body}"));
        for other in ["", "{ts}", "{bod}{body}", "{body}{", &"{body}.".repeat(20)] {
            assert!(!is_template(other), "{other}");
        }
    }
}
