//! The catalogue: its names, its completeness, its configurations.

use std::collections::HashSet;

use posthouse_signature::receive::{self, Confidence, SetupError, Verifier};
use serde_json::{Map, Value, json};

/// The types of the API contract.
const CONTRACT: [&str; 43] = [
    "adobe-sign",
    "airwallex",
    "beehiiv",
    "brex",
    "checkbook",
    "clerk",
    "cron",
    "docusign",
    "easypost",
    "generic-webhook",
    "github",
    "guesty",
    "hubspot",
    "incident-io",
    "lithic",
    "meta",
    "nango",
    "nash",
    "open-ai",
    "openclaw",
    "orum-io",
    "panda-doc",
    "pleo",
    "port-io",
    "psi-fi",
    "render",
    "replicate",
    "resend",
    "rutter",
    "safebase",
    "sardine",
    "segment",
    "shopify",
    "slack",
    "stripe",
    "stych",
    "svix",
    "tailscale",
    "telnyx",
    "vapi",
    "veriff",
    "vgs",
    "zoom",
];

/// A public key of P-256.
const P256_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEY2/ksTFqvqRyNM5/8HecEk5+SjNZwxbluQ8GEcK6zYlcLGWjzxO0p827DiIT\
     5/wiwDF3jEaC1Uir5PwE/tPtpg==";
/// A public key of RSA, of 2,048 bits.
const RSA_KEY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAkI7sO7UCHoOyRPMY1d46W3yBv8wqEniNsEwFyUdwWBQBi0/ULqh7rgZz\
     6lD6E27RLHeDaxM9tyRH8BfcyuP/c+GglYRxDR+K6EGYbmFEsqDNMZ7Wdj/JRyM0KnphfFVUJAcBV0IvAblBZyyjeW0+VONAvH6/\
     9I3SMF60p0PYvXIHPqBKj43/4sPyEhKdLg8Ivy7qehnDrpPYOEeJHHuqLk8AHrZr7VY9qH0K4sasfIRP6XrQ7OuvmThcwxADIls7\
     YWSKOBZSsh/dY8lhmtSmXtHJ1K4uV2RBAtii9iuWjyg82KpWDDK8Kki3MA367A5FyDBYKGseZhbV1mfEtv9h7QIDAQAB";

fn config(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(config) => config,
        other => panic!("{other} is no configuration"),
    }
}

#[test]
fn there_are_ninety_types_and_each_has_one_name() {
    let confirmed = receive::all().filter(|source_type| source_type.is_confirmed()).count();
    assert!(confirmed >= 90, "{confirmed} types");
    let mut names = HashSet::new();
    for source_type in receive::all() {
        let name = source_type.name;
        assert!(names.insert(name), "{name} is there twice");
        let is_kebab = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        assert!(is_kebab && !name.starts_with('-') && !name.ends_with('-'), "{name}");
        assert!(!source_type.title.is_empty() && !source_type.source.is_empty(), "{name}");
        assert!(source_type.scheme_names().count() > 0, "{name}");
        assert_eq!(receive::find(name).map(|found| found.name), Some(name));
    }
    for name in CONTRACT {
        assert!(names.contains(name), "{name} of the contract");
    }
    assert!(receive::find("no-such").is_none());
}

#[test]
fn what_is_not_confirmed_is_refused() {
    let unconfirmed: Vec<_> = receive::all().filter(|t| t.confidence == Confidence::Unconfirmed).collect();
    assert!(!unconfirmed.is_empty());
    for source_type in unconfirmed {
        let made = Verifier::new(source_type.name, config(json!({ "secret": "a" })));
        let expected = SetupError::Unconfirmed { name: source_type.name, known: source_type.source };
        assert_eq!(made.err(), Some(expected));
    }
    let unknown = Verifier::new("no-such", Map::new());
    assert_eq!(unknown.err(), Some(SetupError::UnknownType("no-such".to_owned())));
}

/// Checks that a configuration is refused for a field.
fn refused(type_name: &str, given: &Value, field: &str) {
    match Verifier::new(type_name, config(given.clone())) {
        Err(SetupError::Config(error)) => assert_eq!(error.field, field, "{type_name} {given}: {error}"),
        other => panic!("{type_name} {given}: {other:?}"),
    }
}

#[test]
fn a_wrong_configuration_names_the_field() {
    refused("stripe", &json!({}), "secret");
    refused("stripe", &json!({ "secret": null }), "secret");
    refused("stripe", &json!({ "secret": "" }), "secret");
    refused("stripe", &json!({ "secret": 5 }), "secret");
    refused("stripe", &json!({ "secret": "a", "sekret": "b" }), "sekret");
    refused("stripe", &json!({ "secrets": [] }), "secrets");
    refused("stripe", &json!({ "secrets": "a" }), "secrets");
    refused("stripe", &json!({ "secrets": vec!["a"; 11] }), "secrets");
    refused("stripe", &json!({ "secret": "a", "toleranceSeconds": 0 }), "toleranceSeconds");
    refused("stripe", &json!({ "secret": "a", "toleranceSeconds": "60" }), "toleranceSeconds");
    refused("github", &json!({ "secret": "a", "toleranceSeconds": 60 }), "toleranceSeconds");
    refused("svix", &json!({ "secret": "whsec_not base64" }), "secret");
    refused("svix", &json!({ "secret": "whpk_aZj3sJqnBBxM5sJcwsoCiqHYWTqLLXvTDC9qGZ9ZzVU=" }), "secret");
    refused("adyen-platform", &json!({ "secret": "xyz" }), "secret");
    refused("airtable", &json!({ "secret": "not base64!" }), "secret");
    refused("meta", &json!({ "secret": "a" }), "verifyToken");
    refused("postmark", &json!({ "username": "a" }), "password");
    refused("square", &json!({ "secret": "a", "notificationUrl": "ftp://x" }), "notificationUrl");
    refused("cron", &json!({ "schedule": "* * * * *" }), "payload");
    refused("generic-token", &json!({ "token": "a" }), "header");
    refused("generic-token", &json!({ "token": "a", "header": "x y" }), "header");
    refused("generic-token", &json!({ "token": "a", "header": "x", "query": "y" }), "query");
    refused("generic-token", &json!({ "token": "a", "query": "x", "scheme": "Bearer" }), "scheme");
    refused("generic-token", &json!({ "token": "a", "pointer": "x" }), "pointer");
    refused("gitlab", &json!({}), "secret");
    refused("standard-webhooks", &json!({ "publicKey": "whpk_short" }), "publicKey");
    refused("discord", &json!({ "publicKey": "00" }), "publicKey");
    refused("travis-ci", &json!({ "publicKey": "-----BEGIN PUBLIC KEY-----" }), "publicKey");
    refused("generic-jwt", &json!({ "algorithm": "HS256" }), "secret");
    refused("generic-jwt", &json!({ "algorithm": "none", "secret": "a" }), "algorithm");
    refused("sendgrid", &json!({ "publicKey": "none" }), "publicKey");
    refused("sendgrid", &json!({ "publicKey": [P256_KEY, RSA_KEY] }), "publicKey");
    refused("wix", &json!({ "publicKey": P256_KEY }), "publicKey");
    refused("google-pubsub", &json!({ "jwks": {} }), "serviceAccount");
    refused("aws-sns", &json!({}), "topicArns");
    refused("paypal", &json!({}), "webhookId");
    refused("hubspot", &json!({ "secret": "a", "signatureVersion": "v4" }), "signatureVersion");
    let hmac = |more: Value| {
        let mut given = config(json!({ "secret": "a", "header": "x-sig" }));
        given.extend(config(more));
        Value::Object(given)
    };
    refused("generic-hmac", &hmac(json!({ "algorithm": "md5" })), "algorithm");
    refused("generic-hmac", &hmac(json!({ "template": "{ts}" })), "template");
    refused("generic-hmac", &hmac(json!({ "template": "{ts}.{body}" })), "template");
    refused("generic-hmac", &hmac(json!({ "timestampHeader": "x-ts" })), "template");
    refused("generic-hmac", &hmac(json!({ "idHeader": "x-id" })), "template");
    refused("generic-hmac", &hmac(json!({ "timestampKey": "t", "template": "{ts}{body}" })), "timestampKey");
    refused("generic-hmac", &hmac(json!({ "prefix": "a", "signatureKey": "b" })), "prefix");
    refused("generic-hmac", &hmac(json!({ "secretEncoding": "hex" })), "secret");
}

#[test]
fn a_list_is_refused_where_one_is_read() {
    for (name, value) in [
        ("template", json!(["{url}{body}", "{body}"])),
        ("header", json!(["x-sig"])),
        ("timestampHeader", json!(["x-time"])),
        ("notificationUrl", json!(["https://a.example/"])),
        ("prefix", json!(["sha256="])),
    ] {
        let mut given = config(json!({ "secret": "a", "header": "x-sig" }));
        given.insert(name.to_owned(), value);
        refused("generic-hmac", &Value::Object(given), name);
    }
    refused("generic-token", &json!({ "token": "a", "pointer": ["/x"] }), "pointer");
    refused("square", &json!({ "secret": "a", "notificationUrl": ["https://a.example/"] }), "notificationUrl");
    for url in [json!(["https://a.example/"]), json!("http://a.example/"), json!("https://")] {
        let given = json!({ "algorithm": "RS256", "jwksUrl": url, "audience": "b" });
        refused("generic-jwt", &given, "jwksUrl");
    }
    for (name, given) in [
        ("sendgrid", json!({ "publicKey": [P256_KEY, P256_KEY] })),
        ("generic-hmac", json!({ "secret": ["a", "b"], "header": "x-sig" })),
        ("postmark", json!({ "username": "a", "password": ["b", "c"] })),
    ] {
        assert!(Verifier::new(name, config(given)).is_ok(), "{name}");
    }
}

#[test]
fn a_token_needs_keys_of_its_kind_and_a_recipient() {
    let refused = |given: Value, field: &str| refused("generic-jwt", &given, field);
    refused(json!({ "algorithm": "HS256", "publicKey": RSA_KEY }), "publicKey");
    refused(json!({ "algorithm": "HS256", "secret": "a", "jwks": {} }), "jwks");
    refused(json!({ "algorithm": "RS256", "secret": "a" }), "publicKey");
    refused(json!({ "algorithm": "RS256", "publicKey": P256_KEY }), "publicKey");
    refused(json!({ "algorithm": "RS256", "jwksUrl": "https://a.example/" }), "audience");
    for right in [
        json!({ "algorithm": "HS256", "secrets": ["a", "b"] }),
        json!({ "algorithm": "RS256", "publicKey": RSA_KEY }),
        json!({ "algorithm": "ES256", "publicKey": [P256_KEY, P256_KEY] }),
        json!({ "algorithm": "ES256", "jwks": { "keys": [] } }),
        json!({ "algorithm": "RS256", "jwksUrl": "https://a.example/", "audience": "b" }),
    ] {
        assert!(Verifier::new("generic-jwt", config(right.clone())).is_ok(), "{right}");
    }
}

#[test]
fn published_keys_are_not_asked_of_the_owner() {
    for (name, given) in [
        ("google-pubsub", json!({ "serviceAccount": "a@b.iam.gserviceaccount.com" })),
        ("travis-ci", json!({})),
        ("aws-sns", json!({ "topicArns": ["arn:aws:sns:eu-central-1:1:t"] })),
        ("paypal", json!({ "webhookId": "WH-1" })),
    ] {
        let made = Verifier::new(name, config(given)).map(|verifier| verifier.is_verifying());
        assert_eq!(made, Ok(true), "{name}");
    }
}

#[test]
fn a_schema_says_what_a_configuration_takes() {
    for source_type in receive::all() {
        let schema = receive::config_schema(source_type);
        let properties = schema["properties"].as_object().expect("properties");
        for (name, property) in properties {
            assert!(property["description"].is_string(), "{}: {name}", source_type.name);
            let is_secret =
                ["secret", "secrets", "password", "token", "signingSecret", "verifyToken"].contains(&&**name);
            assert_eq!(property["writeOnly"] == true, is_secret, "{}: {name}", source_type.name);
        }
        for name in schema["required"].as_array().expect("a list") {
            assert!(properties.contains_key(name.as_str().expect("a name")), "{}", source_type.name);
        }
        assert_eq!(schema["additionalProperties"], false);
    }
    let tailscale = receive::config_schema(receive::find("tailscale").expect("a type"));
    assert_eq!(tailscale["properties"]["timestampGraceSeconds"]["type"], "integer");
    assert!(tailscale["properties"]["toleranceSeconds"].is_null(), "one setting has one name");
    let meta = receive::config_schema(receive::find("meta").expect("a type"));
    assert_eq!(meta["required"], json!(["verifyToken"]));
    assert_eq!(meta["anyOf"], json!([{ "required": ["secret"] }, { "required": ["secrets"] }]));
}
