//! Settings of the portal's look: reading and showing them. What is taken is shown on a page of ours, so
//! that it is of a closed form: colours, names of fonts, pictures by `https` or `data:`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::error::Kind;
use super::json::{Fields, Given, Null};
use super::json_visit::TextMap;
use crate::model::Look;
use crate::store::command::{Field, LookPatch};

/// The settings that these are.
pub(super) const NAMES: [&str; 8] = [
    "displayName",
    "customLogoUrl",
    "customColor",
    "customFontFamily",
    "customThemeOverride",
    "colorPaletteLight",
    "colorPaletteDark",
    "readOnly",
];
/// What a palette colours.
pub(super) const COLORED: [&str; 11] = [
    "primary",
    "backgroundPrimary",
    "backgroundSecondary",
    "backgroundHover",
    "textPrimary",
    "textSecondary",
    "textDanger",
    "interactiveAccent",
    "navigationAccent",
    "buttonPrimary",
    "borderPrimary",
];
/// What has corners.
pub(super) const ROUNDED: [&str; 3] = ["button", "card", "input"];
/// How round they are.
pub(super) const RADII: [&str; 5] = ["none", "sm", "md", "lg", "full"];
/// Bytes of the portal's name, and of the name of a font.
pub(super) const NAME_BYTES_MAX: usize = 128;
/// Bytes of a picture's URL, or of the picture in it.
pub(super) const LOGO_BYTES_MAX: usize = 64 << 10;
/// What colours are written as.
pub(super) const COLOR_PATTERN: &str = "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$";
/// What names of fonts are written with.
pub(super) const FONT_PATTERN: &str = r"^[a-zA-Z0-9\-_ ]+$";

/// Reads those that a body has.
pub(super) fn read<const N: usize>(fields: &mut Fields<'_, N>) -> LookPatch {
    let display_name = fields.text("displayName", Null::Taken, check_name).patch();
    let logo_url = fields.text("customLogoUrl", Null::Taken, check_logo).patch();
    let color = fields.text("customColor", Null::Taken, check_color).patch();
    let font_family = fields.text("customFontFamily", Null::Taken, check_font).patch();
    let border_radius = theme(fields);
    let palette_light = palette(fields, "colorPaletteLight");
    let palette_dark = palette(fields, "colorPaletteDark");
    let read_only = fields.boolean("readOnly").value();
    LookPatch { display_name, logo_url, color, font_family, border_radius, palette_light, palette_dark, read_only }
}

/// What a body that leaves them out replaces them with.
pub(super) fn reset(patch: LookPatch) -> LookPatch {
    LookPatch {
        display_name: patch.display_name.or(Some(None)),
        logo_url: patch.logo_url.or(Some(None)),
        color: patch.color.or(Some(None)),
        font_family: patch.font_family.or(Some(None)),
        border_radius: patch.border_radius.or(Some(None)),
        palette_light: patch.palette_light.or(Some(None)),
        palette_dark: patch.palette_dark.or(Some(None)),
        read_only: patch.read_only.or(Some(false)),
    }
}

/// Writes them as the contract names them.
pub(super) fn show(look: &Look, out: &mut Map<String, Value>) {
    let theme = look.border_radius.as_ref().map(|radius| json!({ "borderRadius": radius }));
    let values = [
        json!(look.display_name),
        json!(look.logo_url),
        json!(look.color),
        json!(look.font_family),
        json!(theme),
        json!(look.palette_light),
        json!(look.palette_dark),
        json!(look.read_only),
    ];
    out.extend(NAMES.iter().map(|name| (*name).to_owned()).zip(values));
}

fn check_name(text: &str) -> Result<(), &'static str> {
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(())
    } else {
        Err("must have 1 to 128 bytes and no control characters")
    }
}

fn check_color(text: &str) -> Result<(), &'static str> {
    let digits = text.strip_prefix('#').filter(|digits| matches!(digits.len(), 3 | 6 | 8));
    let is_color = digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_color { Ok(()) } else { Err("must be a colour such as #336699") }
}

fn check_font(text: &str) -> Result<(), &'static str> {
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b' ');
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_named) {
        Ok(())
    } else {
        Err("must match ^[a-zA-Z0-9\\-_ ]+$ and have 1 to 128 characters")
    }
}

fn check_logo(text: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "must be an https URL, or a picture as a data:image/… URL, of at most 65536 bytes";
    let is_bounded = (1..=LOGO_BYTES_MAX).contains(&text.len());
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'\\'));
    let is_picture = text.strip_prefix("data:image/").is_some_and(|rest| {
        let kind = rest.split([';', ',']).next().unwrap_or_default();
        let is_kind = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        rest.contains(',') && !kind.is_empty() && kind.bytes().all(is_kind)
    });
    let is_https = || {
        let url = url::Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
        url.is_some_and(|url| url.username().is_empty() && url.password().is_none())
    };
    if is_bounded && is_plain && (is_picture || is_https()) { Ok(()) } else { Err(EXPECTED) }
}

/// Reads an object in which each name stands once, with all that is in it.
fn object<const N: usize>(
    fields: &mut Fields<'_, N>,
    name: &'static str,
    raw: &RawValue,
) -> Option<BTreeMap<String, Value>> {
    match serde_json::from_str::<TextMap<Value>>(raw.get()) {
        Ok(map) if map.has_duplicates => fields.problem(name, "has a name twice", Kind::Duplicate),
        Ok(map) => return Some(map.texts),
        Err(_) => fields.problem(name, "must be an object", Kind::Type),
    }
    None
}

/// Takes the known parts of an object, which are texts that a rule lets through.
fn parts<const N: usize>(
    fields: &mut Fields<'_, N>,
    name: &'static str,
    all: BTreeMap<String, Value>,
    known: &[&str],
    check: impl Fn(&str) -> Result<(), &'static str>,
) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (part, value) in all.into_iter().filter(|(part, _)| known.contains(&&**part)) {
        match value {
            Value::Null => {}
            Value::String(text) => match check(&text) {
                Ok(()) => drop(found.insert(part, text)),
                Err(msg) => fields.problem_in(name, part, msg),
            },
            _ => fields.problem_in(name, part, "must be a string"),
        }
    }
    Some(found).filter(|found| !found.is_empty())
}

fn palette<const N: usize>(fields: &mut Fields<'_, N>, name: &'static str) -> Field<Option<BTreeMap<String, String>>> {
    match fields.raw(name, Null::Taken) {
        Given::Absent => None,
        Given::Null => Some(None),
        Given::Value(raw) => {
            let all = object(fields, name, raw)?;
            Some(parts(fields, name, all, &COLORED, check_color))
        }
    }
}

fn theme<const N: usize>(fields: &mut Fields<'_, N>) -> Field<Option<BTreeMap<String, String>>> {
    const NAME: &str = "customThemeOverride";
    let raw = match fields.raw(NAME, Null::Taken) {
        Given::Absent => return None,
        Given::Null => return Some(None),
        Given::Value(raw) => raw,
    };
    let theme = object(fields, NAME, raw)?;
    if theme.get("fontSize").is_some_and(|size| !size.is_null()) {
        fields.problem_in(NAME, "fontSize".to_owned(), "cannot be changed on this server: must be null");
    }
    let check = |text: &str| {
        if RADII.contains(&text) { Ok(()) } else { Err("must be one of none, sm, md, lg, full") }
    };
    if theme.get("borderRadius").is_none_or(Value::is_null) {
        return Some(None);
    }
    // Once more as it came: names that stand twice in it are a mistake, too.
    let came: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    let radii = object(fields, NAME, came.get("borderRadius")?)?;
    Some(parts(fields, NAME, radii, &ROUNDED, check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_by_https_or_in_the_url() {
        for (text, expected) in [
            ("https://example.com/logo.svg", true),
            ("data:image/png;base64,iVBORw0KGgo=", true),
            ("data:image/svg+xml,%3Csvg%2F%3E", true),
            ("http://example.com/logo.svg", false),
            ("https://user:pass@example.com/", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("data:image/,x", false),
            ("data:image/png", false),
            ("https://example.com/\"onerror", false),
            ("https://example.com/ x", false),
            ("", false),
        ] {
            assert_eq!(check_logo(text).is_ok(), expected, "{text}");
        }
        assert!(check_logo(&format!("data:image/png,{}", "a".repeat(LOGO_BYTES_MAX))).is_err());
    }

    #[test]
    fn colours_and_fonts_are_of_a_closed_form() {
        for (text, expected) in
            [("#369", true), ("#336699", true), ("#336699aa", true), ("#33669", false), ("red", false), ("#xyz", false)]
        {
            assert_eq!(check_color(text).is_ok(), expected, "{text}");
        }
        for (text, expected) in [("Open Sans", true), ("a;b", false), ("a,b", false), ("", false)] {
            assert_eq!(check_font(text).is_ok(), expected, "{text}");
        }
    }
}
