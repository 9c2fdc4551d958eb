//! What bodies about access and about the portal's look take.

use serde_json::{Map, Value, json};

use super::values::{nullable, number, text, texts};
use crate::api::auth::KEY_BYTES_MAX;
use crate::api::{api_token, environment, look, portal, validate};
use crate::model::Scope;

/// What a property of a body about access takes.
pub(super) fn property(body: &str, name: &str) -> Option<Value> {
    Some(match (body, name) {
        (_, "key") => nullable(token("A key. Either this or `oneTimeToken`.")),
        ("SessionIn", "oneTimeToken") => nullable(token("The token behind the `#` of a link of `posthouse login`.")),
        (_, "oneTimeToken") => token("The token behind the `#` of a link of `posthouse login`."),
        ("ApiTokenPatch", "name") => nullable(short("What it is called.")),
        (_, "name") => short("What it is called."),
        (_, "type") => json!({
            "type": "string", "enum": environment::KINDS.map(crate::model::EnvironmentKind::as_str),
            "description": "A label, without effect.",
        }),
        (_, "scopes") => nullable(texts(
            json!({
                "type": "string", "enum": Scope::ALL.map(Scope::as_str),
                "description": "`full`: everything in its environment (without this field). `read`: what only reads. \
                                `publish`: creating messages, creating and getting applications. `operator`: \
                                everything in every environment, and environments themselves.",
            }),
            (1, Scope::ALL.len()),
        )),
        ("ApiTokenExpireIn", "expiry") => {
            nullable(number((0, api_token::EXPIRY_S_MAX), "Seconds until it ends; at once if left out."))
        }
        (_, "expiry") => nullable(number((0, portal::END_S_MAX), "Seconds until they end; at once if left out.")),
        (_, "sessionIds") => nullable(texts(
            text(&validate::SESSION, "Only tokens of these sessions; all if there are none."),
            (0, portal::SESSIONS_MAX),
        )),
        _ => return None,
    })
}

fn token(says: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX, "description": says })
}

fn short(says: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": environment::NAME_BYTES_MAX, "description": says })
}

/// A setting of the portal's look, taken and shown.
pub(super) fn of_look(name: &str) -> Option<Value> {
    Some(match name {
        "displayName" => nullable(json!({
            "type": "string", "minLength": 1, "maxLength": look::NAME_BYTES_MAX,
            "description": "The name that the portal shows.",
        })),
        "customLogoUrl" => nullable(json!({
            "type": "string", "minLength": 1, "maxLength": look::LOGO_BYTES_MAX, "pattern": "^(https://|data:image/)",
            "description": "The picture that the portal shows: an `https` URL, or the picture as a `data:` URL.",
        })),
        "customColor" => color("The portal's main colour."),
        "customFontFamily" => nullable(json!({
            "type": "string", "maxLength": look::NAME_BYTES_MAX, "pattern": look::FONT_PATTERN,
            "description": "The font of the portal, where the machine that shows it has it.",
        })),
        "customThemeOverride" => nullable(json!({
            "type": "object",
            "properties": {
                "borderRadius": radii(),
                "fontSize": { "type": "null", "description": "Cannot be changed on this server." },
            },
            "description": "How round the corners of the portal are.",
        })),
        "colorPaletteLight" => palette("Colours of the portal in light surroundings."),
        "colorPaletteDark" => palette("Colours of the portal in dark surroundings."),
        "readOnly" => json!({
            "type": "boolean",
            "description": "Whether portal tokens change nothing, whatever their capabilities are.",
        }),
        _ => return None,
    })
}

fn color(says: &str) -> Value {
    nullable(json!({ "type": "string", "pattern": look::COLOR_PATTERN, "description": says }))
}

fn palette(says: &str) -> Value {
    let colors: Map<String, Value> =
        look::COLORED.iter().map(|part| ((*part).to_owned(), color("A colour such as `#336699`."))).collect();
    nullable(json!({ "type": "object", "properties": colors, "description": says }))
}

fn radii() -> Value {
    let one = json!({ "type": ["string", "null"], "description": "`none`, `sm`, `md`, `lg` or `full`." });
    let parts: Map<String, Value> = look::ROUNDED.iter().map(|part| ((*part).to_owned(), one.clone())).collect();
    json!({ "type": ["object", "null"], "properties": parts, "description": "By what has corners." })
}

/// What the portal is told.
pub(super) fn portal_settings(setting: impl Fn(&str) -> Option<Value>) -> Value {
    let names = crate::api::settings::OF_PORTAL;
    let of = |name: &&str| {
        let said = match *name {
            "logoUrl" => setting("customLogoUrl"),
            "enableMessageTags" => setting("enableTransformations"),
            name => setting(name),
        };
        ((*name).to_owned(), said.unwrap_or_default())
    };
    let properties: Map<String, Value> = names.iter().map(of).collect();
    json!({ "type": "object", "properties": properties, "required": names.to_vec() })
}
