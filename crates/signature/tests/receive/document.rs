//! `docs/providers.md` says what the catalogue says. `UPDATE_GENERATED=1` writes it.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use posthouse_signature::receive::{self, SourceType};

/// Most bytes of the document.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// What is written before the tables.
const HEAD: &str = "\
# Providers

The types that a source can be of, made from the catalogue in `crates/signature/src/receive/catalog`; do not
edit. `posthouse sources types` prints the same.

`secret` takes one secret, and `secrets` a list while one is being replaced: any of them is accepted. Fields in
bold are needed (`secret`, or `secrets` in its place). Where a type has several schemes, the first that applies
to the request or to the configuration judges it, and a weaker one never helps beside a stronger one.

The last columns name what the entry was made from, and how well it is known: *primary* is the provider's own
documents, samples or libraries; *secondary* is others' documents or code; *checked* is knowledge without a
document at hand, with a published or captured value that agrees. A window is the provider's rule; where the
provider's documents leave it to the receiver it is five minutes (Calendly three) or none, and
`toleranceSeconds` sets another.

Types that the API's SDKs do not know by name work over HTTP and on the command line.
";

/// What is written before the types that are refused.
const UNCONFIRMED: &str = "
## Not confirmed

How these sign could not be confirmed. Their names are known, and no source can be made of them: the error says
so, and names the generic types that may serve.
";

/// What is written behind the tables.
const TAIL: &str = "
## What some schemes do not protect

- A token (`gitlab` with a secret token, `telegram`, `okta`, `figma` and others) binds nothing: whoever has seen
  one request can make others. Basic authentication is the same.
- `mailgun`, `adyen`, `paypal`, `google-pubsub`, `atlassian-connect` and `monday` leave all or part of the body
  unsigned, or bind it by a checksum that can be forged.
- Schemes without a signed time cannot tell an old request that is sent again: dedupe by the event's id does.
- `generic-webhook` and `strava` accept everything; where the API contract lets a secret be absent (`github`,
  `docusign`, `easypost`, `hubspot`, `segment`) a source without one does too.
- `hubspot` accepts signatures of version 3 only, unless the configuration names another: versions 1 and 2 are
  plain hashes, which can be extended.
- `travis-ci` signs with one key for all of its customers: that a request is Travis CI's does not say whose it is.
  It may be about anybody's repository; look at the one that the payload names.
- `twilio` signs with HMAC-SHA1 unless the configuration's `algorithm` says otherwise: a request chooses nothing.
- `checkbook` signs body and nonce without anything between them.
";

fn row(document: &mut String, source_type: &SourceType) {
    let schema = receive::config_schema(source_type);
    let is_in = |list: &serde_json::Value, name: &str| {
        list.as_array().is_some_and(|names| names.iter().any(|other| other == name))
    };
    let has_secret = schema["anyOf"].is_array();
    let fields: Vec<String> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| {
            let is_needed = is_in(&schema["required"], name) || (has_secret && name == "secret");
            if is_needed { format!("**{name}**") } else { name.clone() }
        })
        .collect();
    let schemes: Vec<&str> = source_type.scheme_names().collect();
    let (name, title, source) = (source_type.name, source_type.title, source_type.source);
    let (schemes, fields) = (schemes.join(", "), fields.join(", "));
    let known = source_type.confidence.as_str();
    writeln!(document, "| `{name}` | {title} | {schemes} | {fields} | {source} | {known} |").expect("a text");
}

fn document() -> String {
    let mut document = HEAD.to_owned();
    let confirmed: Vec<&SourceType> = receive::all().filter(|source_type| source_type.is_confirmed()).collect();
    let table = "\n| type | provider | schemes | configuration | made from | known |\n|---|---|---|---|---|---|\n";
    writeln!(document, "\n## {} types", confirmed.len()).expect("a text");
    document.push_str(table);
    for source_type in confirmed {
        row(&mut document, source_type);
    }
    document.push_str(UNCONFIRMED);
    document.push_str("\n| type | provider | what is known |\n|---|---|---|\n");
    for source_type in receive::all().filter(|source_type| !source_type.is_confirmed()) {
        let (name, title, known) = (source_type.name, source_type.title, source_type.source);
        writeln!(document, "| `{name}` | {title} | {known} |").expect("a text");
    }
    document.push_str(TAIL);
    document
}

#[test]
fn the_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    let document = document();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &document).expect("the file can be written");
    }
    let mut committed = String::new();
    let file = std::fs::File::open(&path).expect("the document is there");
    file.take(DOCUMENT_BYTES_MAX).read_to_string(&mut committed).expect("the document is text");
    assert!(committed == document, "{} is not fresh: run make generated", path.display());
}
