//! How values are shown: their type in words, their bounds, and the properties of objects.

use serde_json::Value;

use super::html::Html;

/// Where components are referred to.
const SCHEMAS: &str = "#/components/schemas/";

/// The name that a reference has.
pub(super) fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix(SCHEMAS)
}

/// A schema's place on the page.
pub(super) fn place_of(name: &str) -> String {
    format!("schema-{name}")
}

/// The properties of an object, required ones first.
pub(super) fn properties(page: &mut Html, schema: &Value) {
    let Some(properties) = schema["properties"].as_object().filter(|all| !all.is_empty()) else {
        page.raw("<p class=\"quiet\">An object.</p>");
        return;
    };
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort_by_key(|name| !is_required(name));
    page.raw("<dl class=\"values\">");
    for name in names {
        value(page, name, is_required(name), &properties[name], properties[name]["description"].as_str());
    }
    page.raw("</dl>");
}

/// A property or a parameter.
pub(super) fn value(page: &mut Html, name: &str, required: bool, schema: &Value, says: Option<&str>) {
    page.raw("<div><dt><code>");
    for (at, part) in name.split('_').enumerate() {
        // A long name may break before its underscores.
        page.raw(if at > 0 { "<wbr>_" } else { "" }).text(part);
    }
    page.raw("</code> <span class=\"type\">");
    kind(page, schema);
    page.raw("</span>");
    if required {
        page.raw(" <span class=\"required\">required</span>");
    }
    page.raw("</dt><dd>").prose(says.unwrap_or_default());
    bounds(page, schema);
    page.raw("</dd></div>");
}

/// The type in words.
fn kind(page: &mut Html, schema: &Value) {
    if let Some(name) = name_of(schema) {
        page.link(&place_of(name), name);
        return;
    }
    if let Some(any) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        for (at, one) in any.iter().enumerate() {
            kind(page.raw(if at > 0 { " or " } else { "" }), one);
        }
        return;
    }
    if let Some(constant) = schema["const"].as_str() {
        page.text(constant);
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => vec![one.as_str().unwrap_or("any value")],
    };
    let (nullable, types): (Vec<&str>, Vec<&str>) = types.into_iter().partition(|one| *one == "null");
    page.text(&types.join(" or "));
    if schema["items"].is_object() {
        kind(page.raw(" of "), &schema["items"]);
    } else if let Some(format) = schema["format"].as_str().filter(|format| !format.contains("int")) {
        page.raw(", ").text(format);
    }
    if !nullable.is_empty() {
        page.raw(if types.is_empty() { "null" } else { " or null" });
    }
}

/// What else must hold, in a line.
fn bounds(page: &mut Html, schema: &Value) {
    let mut facts = facts(schema);
    if let Some(default) = schema.get("default") {
        facts.push(format!("`{default}` if left out"));
    }
    if !facts.is_empty() {
        page.raw(" <span class=\"bounds\">").prose(&facts.join(" · ")).raw("</span>");
    }
}

fn facts(schema: &Value) -> Vec<String> {
    let mut facts = Vec::new();
    let mut between = |least: &str, most: &str, unit: &str| match (schema[least].as_u64(), schema[most].as_u64()) {
        (Some(least), Some(most)) => facts.push(format!("{least} to {most}{unit}")),
        (None, Some(most)) => facts.push(format!("at most {most}{unit}")),
        (Some(least), None) if least > 0 => facts.push(format!("at least {least}{unit}")),
        _ => {}
    };
    between("minimum", "maximum", "");
    between("minLength", "maxLength", " characters");
    between("minItems", "maxItems", " items");
    between("minProperties", "maxProperties", " entries");
    if schema["items"]["type"].is_string() {
        facts.extend(self::facts(&schema["items"]).into_iter().map(|fact| format!("each {fact}")));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        facts.push(format!("`{pattern}`"));
    }
    if let Some(allowed) = schema["enum"].as_array() {
        let allowed: Vec<String> =
            allowed.iter().map(|one| format!("`{}`", one.to_string().trim_matches('"'))).collect();
        facts.push(allowed.join(" "));
    }
    facts
}
