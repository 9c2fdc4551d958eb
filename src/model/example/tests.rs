use serde_json::{Value, json};

use super::*;

fn check(schema: &Value, expected: &Value) {
    assert_eq!(example_of(schema, 0), Ok(Some(expected.clone())), "{schema}");
}

/// The example of a property, inside of an object that has only that.
fn check_property(schema: &Value, expected: &Value) {
    check(&json!({ "properties": { "a": schema } }), &json!({ "a": expected }));
}

#[test]
fn what_the_schema_gives_comes_first() {
    check(&json!({ "examples": [{ "x": 1 }, { "x": 2 }], "properties": { "a": {} } }), &json!({ "x": 1 }));
    check(&json!({ "example": { "x": 1 } }), &json!({ "x": 1 }));
    check(&json!({ "const": { "x": 1 } }), &json!({ "x": 1 }));
    check(&json!({ "default": { "x": 1 } }), &json!({ "x": 1 }));
    check(&json!({ "enum": [{ "x": 1 }, 2] }), &json!({ "x": 1 }));
    for (schema, expected) in [
        (json!({ "type": "string", "examples": ["x", "y"], "example": "z" }), json!("x")),
        (json!({ "type": "string", "example": "z", "default": "d" }), json!("z")),
        (json!({ "type": "string", "default": "d", "enum": ["e"] }), json!("d")),
        (json!({ "enum": ["e", "f"] }), json!("e")),
        (json!({ "const": null }), json!(null)),
        (json!({ "type": "string", "examples": [] }), json!("string")),
    ] {
        check_property(&schema, &expected);
    }
}

#[test]
fn an_index_chooses_one_of_the_examples() {
    let schema = json!({ "examples": [{ "x": 1 }, { "x": 2 }] });
    assert_eq!(example_of(&schema, 1), Ok(Some(json!({ "x": 2 }))));
    assert_eq!(example_of(&schema, 2), Err(NoExample::NoSuchIndex { listed: 2 }));
    // Where none are listed, it means nothing.
    assert_eq!(example_of(&json!({ "type": "object" }), 7), Ok(Some(json!({}))));
}

#[test]
fn values_are_of_the_type_that_is_asked_for() {
    for (schema, expected) in [
        (json!({ "type": "string" }), json!("string")),
        (json!({ "type": "integer" }), json!(1)),
        (json!({ "type": "number" }), json!(0.5)),
        (json!({ "type": "boolean" }), json!(true)),
        (json!({ "type": "null" }), json!(null)),
        (json!({ "type": ["null", "string"] }), json!("string")),
        (json!({ "type": ["null"] }), json!(null)),
        (json!({ "type": "object" }), json!({})),
        (json!({ "type": "array" }), json!([])),
        (json!({ "type": "array", "items": { "type": "integer" } }), json!([1])),
        (json!({ "type": "array", "items": { "type": "integer" }, "minItems": 3 }), json!([1, 1, 1])),
        (json!({ "items": { "type": "integer" }, "maxItems": 0 }), json!([])),
        (json!({ "prefixItems": [{ "const": 1 }, { "const": "b" }] }), json!([1, "b"])),
        (json!({ "items": [{ "const": 1 }, { "const": "b" }] }), json!([1, "b"])),
        (json!({ "additionalProperties": { "type": "integer" } }), json!({ "key": 1 })),
        (json!({ "required": ["b"] }), json!({ "b": null })),
        (json!({}), json!(null)),
        (json!(true), json!(null)),
        (json!({ "type": "unheard of" }), json!(null)),
    ] {
        check_property(&schema, &expected);
    }
    check(&json!({ "properties": { "a": false, "b": true } }), &json!({ "b": null }));
}

#[test]
fn texts_follow_format_pattern_and_length() {
    for (schema, expected) in [
        (json!({ "format": "email" }), "user@example.com"),
        (json!({ "type": "string", "format": "date-time" }), "2030-01-31T08:00:00Z"),
        (json!({ "type": "string", "format": "uuid" }), "123e4567-e89b-42d3-a456-426614174000"),
        (json!({ "type": "string", "format": "unheard-of" }), "string"),
        (json!({ "pattern": "^[A-Z]{3}-\\d{2}$" }), "AAA-00"),
        (json!({ "pattern": "^(?=x)y$" }), "string"),
        (json!({ "type": "string", "minLength": 8 }), "stringst"),
        (json!({ "type": "string", "maxLength": 3 }), "str"),
        (json!({ "format": "email", "maxLength": 5 }), "strin"),
        (json!({ "type": "string", "maxLength": 0 }), ""),
    ] {
        check_property(&schema, &json!(expected));
    }
}

#[test]
fn numbers_are_within_their_bounds() {
    for (schema, expected) in [
        (json!({ "type": "integer", "minimum": 5 }), json!(5)),
        (json!({ "type": "integer", "exclusiveMinimum": 5 }), json!(6)),
        (json!({ "type": "integer", "minimum": 5, "exclusiveMinimum": true }), json!(6)),
        (json!({ "type": "integer", "maximum": -5 }), json!(-5)),
        (json!({ "type": "integer", "exclusiveMaximum": -5 }), json!(-6)),
        (json!({ "type": "integer", "minimum": 7, "multipleOf": 5 }), json!(10)),
        (json!({ "type": "integer", "minimum": 4.5, "maximum": 5.5 }), json!(5)),
        (json!({ "type": "integer", "maximum": 0 }), json!(0)),
        (json!({ "type": "number", "minimum": 0.1, "maximum": 0.3 }), json!(0.2)),
        (json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5 }), json!(0.25)),
        (json!({ "minimum": 2.5 }), json!(2.5)),
        (json!({ "type": "number", "multipleOf": 0.25 }), json!(0.25)),
    ] {
        check_property(&schema, &expected);
    }
    for schema in [
        json!({ "type": "integer", "minimum": 1e300 }),
        json!({ "type": "integer", "maximum": -1e300 }),
        json!({ "type": "number", "minimum": 5, "maximum": 1 }),
        json!({ "type": "number", "multipleOf": 1e-320, "minimum": 1 }),
    ] {
        let example = example_of(&json!({ "properties": { "a": schema } }), 0);
        assert!(example.is_ok_and(|example| example.is_some_and(|example| example["a"].is_number())));
    }
}

#[test]
fn combinations_are_followed() {
    let a = json!({ "properties": { "a": { "const": 1 } } });
    let b = json!({ "properties": { "b": { "const": 2 }, "a": { "const": 3 } } });
    check(&json!({ "allOf": [a, b] }), &json!({ "a": 1, "b": 2 }));
    check(&json!({ "oneOf": [b, a] }), &json!({ "a": 3, "b": 2 }));
    check(&json!({ "anyOf": [a, b], "properties": { "c": { "const": 4 } } }), &json!({ "a": 1, "c": 4 }));
    check(&json!({ "type": "object", "allOf": [{ "required": ["x"] }] }), &json!({ "x": null }));
    check_property(&json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] }), &json!(1));
    check_property(&json!({ "type": "string", "allOf": [{ "minLength": 2 }] }), &json!("string"));
}

#[test]
fn references_are_followed_as_far_as_they_lead() {
    let schema = json!({
        "$defs": { "user": { "properties": { "name": { "type": "string" }, "friend": { "$ref": "#/$defs/user" } } } },
        "definitions": { "a/b c": { "const": 7 } },
        "properties": {
            "user": { "$ref": "#/$defs/user" },
            "odd": { "$ref": "#/definitions/a~1b%20c" },
            "outside": { "$ref": "https://example.com/schema" },
            "none": { "$ref": "#/nothing" },
            "self": { "$ref": "#" },
        },
    });
    let inner = json!({ "user": { "name": "string" }, "odd": 7 });
    check(&schema, &json!({ "user": { "name": "string" }, "odd": 7, "self": inner }));
    let turning =
        json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" });
    assert_eq!(example_of(&turning, 0), Ok(None));
}

#[test]
fn what_is_no_object_has_no_example() {
    for schema in [json!({ "type": "string" }), json!({}), json!(true), json!(null), json!({ "examples": [5] })] {
        assert_eq!(example_of(&schema, 0), Ok(None), "{schema}");
    }
}

#[test]
fn examples_are_bounded_whatever_the_schema() {
    // Each level holds the one below it twice: 2^40 values if nobody counted.
    let mut definitions = serde_json::Map::new();
    for i in 0..40 {
        let below = json!({ "$ref": format!("#/$defs/{}", i + 1) });
        definitions.insert(i.to_string(), json!({ "properties": { "a": below, "b": below } }));
    }
    let tree = json!({ "$defs": definitions, "$ref": "#/$defs/0" });
    let long = "x".repeat(BYTES_MAX / 4);
    let wide = json!({ "properties": { "a": { "minItems": 10, "items": { "default": long } } } });
    let many = json!({ "properties": { "a": { "minItems": 1_000_000, "items": { "type": "integer" } } } });
    for schema in [tree, wide, many] {
        let example = example_of(&schema, 0).ok().flatten().expect("an object");
        let mut measure = Maker { root: &Value::Null, values: 0, bytes: 0, steps: usize::MAX, open: Vec::new() };
        let (values, bytes) = measure.size(&example).expect("steps enough");
        assert!(values <= VALUES_MAX && bytes <= BYTES_MAX, "{values} values, {bytes} bytes");
        assert!(values > 1);
    }
}

#[test]
fn the_newest_version_counts() {
    let one = |version: &str| json!({ "v": version });
    for (versions, newest_one) in [
        (&["1"][..], "1"),
        (&["1", "2", "10"], "10"),
        (&["1.9", "1.10", "1.2.3"], "1.10"),
        (&["v1", "v2"], "v2"),
        (&["2030-01-31", "2029-12-31"], "2030-01-31"),
        (&["draft", "1"], "1"),
    ] {
        let schemas: serde_json::Map<_, _> = versions.iter().map(|v| ((*v).to_owned(), one(v))).collect();
        assert_eq!(newest(&Value::Object(schemas)), Some(&one(newest_one)), "{versions:?}");
    }
    assert_eq!(newest(&json!({ "2": 5, "1": { "v": "1" } })), Some(&one("1")));
    assert_eq!(newest(&json!({})), None);
    assert_eq!(newest(&json!([])), None);
}

#[test]
fn a_schema_that_is_all_work_and_no_value_is_given_up_soon() {
    let properties: Map<String, Value> = (0..4_000).map(|i| (format!("p{i}"), json!({ "$ref": "#/y" }))).collect();
    let branches = vec![json!({ "$ref": "#/x" }); 20_000];
    let heavy = json!({
        "type": "object", "properties": properties, "y": { "allOf": branches }, "x": { "example": vec![0; 150_000] },
    });
    let long = "a".repeat(100_000);
    let repeated = vec![json!({ "$ref": "#/s" }); 10_000];
    let patterned = json!({ "type": "object", "allOf": repeated, "s": { "type": "string", "pattern": long } });
    for schema in [heavy, patterned] {
        let began = std::time::Instant::now();
        let _ = example_of(&schema, 0);
        assert!(began.elapsed() < std::time::Duration::from_millis(500), "{:?}", began.elapsed());
    }
}
