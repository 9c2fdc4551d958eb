//! Example texts: by format, by pattern, else a word; of the length that is asked for.

use serde_json::{Map, Value};

use super::pattern;

/// Longest text that is made.
const CHARACTERS_MAX: usize = 1_024;
const WORD: &str = "string";

/// A text that the schema describes.
pub(super) fn of(schema: &Map<String, Value>) -> String {
    let size = |name: &str| schema.get(name).and_then(Value::as_u64).map(|size| size as usize);
    let (shortest, longest) = (size("minLength").unwrap_or(0), size("maxLength").unwrap_or(CHARACTERS_MAX));
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    let fits = |text: &str| (shortest..=longest).contains(&text.chars().count());
    let formatted = text("format").and_then(of_format).filter(|text| fits(text));
    if let Some(formatted) = formatted {
        return formatted.to_owned();
    }
    let matching = text("pattern").and_then(pattern::example_of).filter(|text| fits(text));
    matching.unwrap_or_else(|| {
        let count = WORD.len().max(shortest).min(longest).min(CHARACTERS_MAX);
        WORD.chars().cycle().take(count).collect()
    })
}

/// What a format looks like.
fn of_format(format: &str) -> Option<&'static str> {
    Some(match format {
        "date-time" => "2030-01-31T08:00:00Z",
        "date" => "2030-01-31",
        "time" => "08:00:00Z",
        "duration" => "P1D",
        "email" | "idn-email" => "user@example.com",
        "hostname" | "idn-hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "url" | "iri" => "https://example.com/",
        "uri-reference" | "iri-reference" => "/path",
        "uri-template" => "/path/{id}",
        "uuid" => "123e4567-e89b-42d3-a456-426614174000",
        "json-pointer" => "/a/b",
        "relative-json-pointer" => "0/a",
        "regex" => "^a+$",
        "byte" | "base64" => "ZXhhbXBsZQ==",
        _ => return None,
    })
}
