//! The schemas that operations refer to: bodies, answers as their structs write them, and errors.

use schemars::SchemaGenerator;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};

use super::access;
use super::bodies;
use super::properties::setting;
use super::values::{id, nullable, text, texts};
use crate::api::error::Code;
use crate::api::{
    api_token, application, attempt, attempt_headers, attempted, background_task, endpoint, endpoint_list, environment,
    event_type, event_type_import, headers, health, jwks, lookup, message_in, overview, portal, raw, recover, sample,
    searched, secret, session, settings, source, source_log, stats, system, try_out, usage, validate,
};
use crate::model::IdKind;

/// What lists are of.
const LISTED: &[&str] = &[
    "EnvironmentModelOut",
    "ApiTokenCensoredOut",
    "ApplicationOut",
    "EndpointOut",
    "EventTypeOut",
    "MessageOut",
    "MessageAttemptOut",
    "EndpointMessageOut",
    "MessageEndpointOut",
    "MessageRowOut",
    "EndpointRowOut",
    "BackgroundTaskOut",
    "IngestSourceOut",
    "IngestLogOut",
];

/// Every schema, by name.
pub(super) fn all() -> Map<String, Value> {
    let mut all = answers();
    for body in bodies::all() {
        all.insert(body.name.to_owned(), body.schema());
    }
    for (name, schema) in by_hand() {
        all.insert(name.to_owned(), schema);
    }
    with_state(&mut all);
    pages(&mut all);
    // Where an attempt's message is asked for, it is written behind the struct.
    all["MessageAttemptOut"]["properties"]["msg"] = json!({ "$ref": "#/components/schemas/MessageOut" });
    all
}

/// What the structs of answers are written as.
fn answers() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.contract = Contract::Serialize;
    });
    let mut generator = SchemaGenerator::new(settings);
    generator.subschema_for::<application::ApplicationOut<'_>>();
    generator.subschema_for::<endpoint::EndpointOut<'_>>();
    generator.subschema_for::<headers::HeadersOut<'_>>();
    generator.subschema_for::<secret::SecretOut>();
    generator.subschema_for::<event_type::EventTypeOut<'_>>();
    generator.subschema_for::<attempt::AttemptOut<'_>>();
    generator.subschema_for::<attempt::CountOut>();
    generator.subschema_for::<attempt_headers::AttemptHeadersOut>();
    generator.subschema_for::<attempted::StateOut>();
    generator.subschema_for::<searched::StandingOut<'_>>();
    generator.subschema_for::<endpoint_list::StandingOut<'_>>();
    generator.subschema_for::<lookup::LookupOut>();
    generator.subschema_for::<attempted::DestinationOut<'_>>();
    generator.subschema_for::<background_task::TaskBegunOut>();
    generator.subschema_for::<background_task::BackgroundTaskOut>();
    generator.subschema_for::<raw::RawOut<'_>>();
    generator.subschema_for::<stats::StatsOut>();
    generator.subschema_for::<stats::AppAttemptsOut>();
    generator.subschema_for::<stats::OverTimeOut>();
    generator.subschema_for::<stats::EndpointCountOut>();
    generator.subschema_for::<stats::ActiveAppCount>();
    generator.subschema_for::<recover::CountOut>();
    generator.subschema_for::<usage::AppUsageOut>();
    generator.subschema_for::<attempt::ResentOut>();
    generator.subschema_for::<try_out::TryOut<'_>>();
    generator.subschema_for::<event_type_import::ImportOut>();
    generator.subschema_for::<sample::SampleOut>();
    generator.subschema_for::<health::Ready>();
    generator.subschema_for::<overview::OverviewOut>();
    generator.subschema_for::<system::SystemOut>();
    generator.subschema_for::<jwks::JwksOut>();
    generator.subschema_for::<portal::AccessOut>();
    generator.subschema_for::<session::SessionOut>();
    generator.subschema_for::<session::ExchangedOut>();
    generator.subschema_for::<session::WhoamiOut>();
    generator.subschema_for::<environment::EnvironmentOut<'_>>();
    generator.subschema_for::<api_token::TokenOut<'_>>();
    generator.subschema_for::<api_token::CensoredOut<'_>>();
    generator.subschema_for::<source::SourceOut<'_>>();
    generator.subschema_for::<source_log::LogOut>();
    generator.subschema_for::<source::TokenOut>();
    generator.subschema_for::<source::TypesOut>();
    generator.subschema_for::<source_log::AgainOut>();
    generator.take_definitions(true)
}

/// Rows that are a message or an endpoint, and behind it, in the same object, where it stands.
fn with_state(all: &mut Map<String, Value>) {
    for (name, of, behind) in [
        ("EndpointMessageOut", "MessageOut", "DeliveryState"),
        ("MessageEndpointOut", "MessageEndpointOut", "DeliveryState"),
        ("MessageRowOut", "MessageOut", "MessageStanding"),
        ("EndpointRowOut", "EndpointOut", "EndpointStanding"),
    ] {
        let (mut row, state) = (all[of].clone(), all[behind].clone());
        for (property, schema) in state["properties"].as_object().into_iter().flatten() {
            row["properties"][property] = schema.clone();
        }
        if let Some(required) = row["required"].as_array_mut() {
            required.extend(state["required"].as_array().into_iter().flatten().cloned());
        }
        all.insert(name.to_owned(), row);
    }
    for behind in ["DeliveryState", "MessageStanding", "EndpointStanding"] {
        all.remove(behind);
    }
}

/// Pages that say more than others.
fn pages(all: &mut Map<String, Value>) {
    for row in LISTED {
        all.insert(format!("ListResponse_{row}_"), page_of(row));
    }
    let says =
        "How far the search has looked, where its time was over before the page was full: go on with `iterator`.";
    let searched_to = json!({ "type": ["string", "null"], "format": "date-time", "description": says });
    all["ListResponse_MessageRowOut_"]["properties"]["searchedTo"] = searched_to.clone();
    let mut searched = page_of("MessageOut");
    searched["properties"]["searchedTo"] = searched_to;
    all.insert("MessageSearchOut".to_owned(), searched);
    let mut events = page_of("MessageOut");
    if let Some(properties) = events["properties"].as_object_mut() {
        properties.remove("prevIterator");
        properties["iterator"]["type"] = "string".into();
    }
    events["required"] = json!(["data", "iterator", "done"]);
    all.insert("MessageEventsOut".to_owned(), events);
}

/// What no struct is written as.
fn by_hand() -> Vec<(&'static str, Value)> {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    vec![
        ("MessageOut", message_out()),
        ("SettingsInternalOut", settings_out()),
        ("EnvironmentSettingsOut", access::portal_settings(setting)),
        ("EmptyResponse", json!({ "type": "object" })),
        ("Document", json!({ "type": "object", "additionalProperties": true })),
        ("Text", json!({ "type": "string" })),
        (
            "HttpErrorOut",
            json!({
                "type": "object",
                "properties": {
                    "code": { "type": "string", "enum": codes, "description": "What programs read." },
                    "detail": { "type": "string", "description": "What people read." },
                },
                "required": ["code", "detail"],
            }),
        ),
        (
            "HTTPValidationError",
            json!({
                "type": "object",
                "properties": {
                    "detail": { "type": "array", "items": { "$ref": "#/components/schemas/ValidationError" } },
                },
                "required": ["detail"],
            }),
        ),
        (
            "ValidationError",
            json!({
                "type": "object",
                "properties": {
                    "loc": {
                        "type": "array", "items": { "type": "string" },
                        "description": "`body`, `query`, `path` or `header`, and the field as the API spells it.",
                    },
                    "msg": { "type": "string", "description": "What is expected." },
                    "type": { "type": "string", "description": "Of what kind the problem is." },
                },
                "required": ["loc", "msg", "type"],
            }),
        ),
    ]
}

/// Messages are written byte by byte, around payloads that stay as they are.
fn message_out() -> Value {
    let time = |says: &str| json!({ "type": "string", "format": "date-time", "description": says });
    json!({
        "type": "object",
        "properties": {
            "id": id(IdKind::Message),
            "eventType": text(&validate::EVENT_TYPE, "Its type."),
            "eventId": nullable(text(&validate::UID, "The sender's id of the event.")),
            "channels": nullable(texts(text(&validate::CHANNEL, "Its channels."), (0, message_in::CHANNELS_MAX))),
            "tags": nullable(texts(text(&validate::TAG, "Its tags."), (0, message_in::TAGS_MAX))),
            "deliverAt": nullable(time("Not to be sent before.")),
            "payload": {
                "type": "object", "additionalProperties": true,
                "description": "Byte for byte as it came; `{}` where it is not shown or is no JSON object, \
                                `{\"expired\":true}` where it is no longer kept.",
            },
            "timestamp": time("When it was accepted."),
        },
        "required": ["eventType", "eventId", "channels", "tags", "deliverAt", "payload", "id", "timestamp"],
    })
}

/// Settings are written one by one.
fn settings_out() -> Value {
    let of = |name: &&str| ((*name).to_owned(), setting(name).unwrap_or_default());
    let properties: Map<String, Value> = settings::FIELDS.iter().map(of).collect();
    json!({ "type": "object", "properties": properties, "required": settings::FIELDS.to_vec() })
}

fn page_of(row: &str) -> Value {
    let iterator = |says: &str| json!({ "type": ["string", "null"], "description": says });
    json!({
        "type": "object",
        "properties": {
            "data": { "type": "array", "items": { "$ref": format!("#/components/schemas/{row}") } },
            "iterator": iterator("Leads to the page that follows."),
            "prevIterator": iterator("Leads to the page before."),
            "done": { "type": "boolean", "description": "Whether the list ends here." },
        },
        "required": ["data", "iterator", "prevIterator", "done"],
    })
}
