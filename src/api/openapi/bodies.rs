//! The bodies that are taken. Which properties one has is read from the names that its reader
//! knows; what each of them takes is said in [`properties`](super::properties).

use serde_json::{Map, Value, json};

use super::properties::property;
use crate::api::{
    api_token, application, endpoint_in, environment, event_type, event_type_import, example, headers, message_in,
    portal, recover, searched, secret, session, settings, source, try_out, usage,
};

/// A body.
pub(super) struct BodyOf {
    pub(super) name: &'static str,
    /// The names that the reader knows.
    pub(super) fields: &'static [&'static str],
    /// Those of them that other bodies of the same reader have, and this one does not.
    pub(super) passed_over: &'static [&'static str],
    pub(super) required: &'static [&'static str],
    /// One that is taken as it stands.
    pub(super) example: Value,
}

fn body(
    name: &'static str,
    fields: &'static [&'static str],
    required: &'static [&'static str],
    example: Value,
) -> BodyOf {
    BodyOf { name, fields, passed_over: &[], required, example }
}

/// Every body.
pub(super) fn all() -> Vec<BodyOf> {
    let name = json!({ "name": "Acme", "uid": "acme" });
    let payload = json!({ "eventType": "invoice.paid", "payload": { "invoice": "in_1", "amount": 4200 } });
    let access = json!({ "capabilities": ["ViewBase", "ManageEndpoint"], "expiry": 3600 });
    let mut all = vec![
        body("ApplicationIn", &application::FIELDS, &["name"], name),
        body("ApplicationPatch", &application::FIELDS, &[], json!({ "throttleRate": 100 })),
        body("MessageIn", &message_in::FIELDS, &["eventType", "payload"], payload),
        body("AppPortalAccessIn", &portal::FIELDS, &[], access),
        body("SettingsInternalIn", &settings::FIELDS, &[], json!({ "retryPolicy": [5, 300, 1800] })),
        body("SettingsInternalPatch", &settings::FIELDS, &[], json!({ "whitelabelHeaders": true })),
    ];
    let stripe = json!({ "name": "Stripe", "type": "stripe", "config": { "secret": "whsec_0123456789" } });
    all.push(body("IngestSourceIn", &source::FIELDS, &["name"], stripe));
    all.push(BodyOf {
        passed_over: &["appId"],
        ..body("IngestSourcePatch", &source::FIELDS, &[], json!({ "requestsPerSecond": 100 }))
    });
    let since = json!({ "since": "2030-01-31T08:00:00Z" });
    all.push(body("VerifyAgainIn", &recover::FIELDS, &["since"], since));
    all.extend(of_access());
    all.push(body("MessageSearchIn", &searched::FIELDS, &[], json!({ "text": "in_1", "limit": 50 })));
    let usage = json!({ "since": "2030-01-01T00:00:00Z", "until": "2030-02-01T00:00:00Z", "appIds": ["acme"] });
    all.push(body("AppUsageStatsIn", &usage::FIELDS, &["since", "until"], usage));
    all.push(body("MessageTryIn", &try_out::FIELDS, &["url"], json!({ "url": "https://example.com/new" })));
    all.extend(of_endpoints());
    all.extend(of_event_types());
    all
}

fn of_access() -> [BodyOf; 9] {
    let environment: &[&str] = &environment::FIELDS;
    let token: &[&str] = &api_token::FIELDS;
    let name = json!({ "name": "staging" });
    [
        body("SessionIn", &session::FIELDS, &[], json!({ "key": "phk_0123456789abcdef" })),
        body("OneTimeTokenIn", &session::ONE_TIME_FIELDS, &["oneTimeToken"], json!({ "oneTimeToken": "pho_01234567" })),
        body("ApplicationTokenExpireIn", &portal::EXPIRE_FIELDS, &[], json!({ "sessionIds": ["user_1"] })),
        body("EnvironmentModelIn", environment, &["name", "type"], json!({ "name": "staging", "type": "development" })),
        body("EnvironmentModelUpdate", environment, &["name"], name.clone()),
        body("ApiTokenIn", token, &["name"], json!({ "name": "billing", "scopes": ["publish"] })),
        body("ApiTokenUpdate", token, &["name"], name),
        body("ApiTokenPatch", token, &[], json!({ "scopes": ["read"] })),
        body("ApiTokenExpireIn", &api_token::EXPIRE_FIELDS, &[], json!({ "expiry": 3600 })),
    ]
}

fn of_endpoints() -> [BodyOf; 19] {
    const URL: &str = "https://example.com/webhooks";
    let endpoint: &[&str] = &endpoint_in::FIELDS;
    let headers = json!({ "headers": { "x-region": "eu" } });
    let patch = json!({ "headers": { "x-region": "us" }, "deleteHeaders": ["x-old"] });
    [
        body("EndpointIn", endpoint, &["url"], json!({ "url": URL, "eventTypes": ["invoice.paid"] })),
        BodyOf {
            passed_over: &["secret", "headers"],
            ..body("EndpointUpsertIn", endpoint, &["url"], json!({ "url": URL, "description": "Billing" }))
        },
        BodyOf {
            passed_over: &["secret", "headers"],
            ..body("EndpointPatch", endpoint, &[], json!({ "disabled": true }))
        },
        BodyOf {
            passed_over: &["channels"],
            ..body("OperationalWebhookEndpointIn", endpoint, &["url"], json!({ "url": URL }))
        },
        BodyOf {
            passed_over: &["channels", "secret", "headers"],
            ..body("OperationalWebhookEndpointUpsertIn", endpoint, &["url"], json!({ "url": URL }))
        },
        body("IngestEndpointIn", endpoint, &["url"], json!({ "url": URL })),
        BodyOf {
            passed_over: &["secret", "headers"],
            ..body("IngestEndpointUpsertIn", endpoint, &["url"], json!({ "url": URL }))
        },
        body("IngestEndpointHeadersIn", &headers::PUT_FIELDS, &["headers"], headers.clone()),
        body("IngestEndpointSecretIn", &secret::FIELDS, &[], json!({ "gracePeriodSeconds": 3600 })),
        body("EndpointHeadersIn", &headers::PUT_FIELDS, &["headers"], headers.clone()),
        body("EndpointHeadersPatchIn", &headers::PATCH_FIELDS, &["headers"], patch),
        body("OperationalWebhookEndpointHeadersIn", &headers::PUT_FIELDS, &["headers"], headers),
        body("RecoverIn", &recover::FIELDS, &["since"], json!({ "since": "2030-01-31T08:00:00Z" })),
        body("ReplayIn", &recover::FIELDS, &["since"], json!({ "since": "2030-01-31T08:00:00Z" })),
        body(
            "BulkReplayIn",
            &recover::BULK_FIELDS,
            &["since"],
            json!({ "since": "2030-01-31T08:00:00Z", "eventTypes": ["invoice.paid"], "status": 2 }),
        ),
        body(
            "CancelMsgsIn",
            &recover::CANCEL_FIELDS,
            &["createdBefore"],
            json!({ "createdBefore": "2030-01-31T08:00:00Z" }),
        ),
        body("EventExampleIn", &example::FIELDS, &["eventType"], json!({ "eventType": "invoice.paid" })),
        body("EndpointSecretRotateIn", &secret::FIELDS, &[], json!({ "gracePeriodSeconds": 3600 })),
        body("OperationalWebhookEndpointSecretIn", &secret::FIELDS, &[], json!({ "gracePeriodSeconds": 3600 })),
    ]
}

fn of_event_types() -> [BodyOf; 5] {
    let fields = &event_type::FIELDS;
    let says = "An invoice was paid in full.";
    let document = json!({ "spec": {
        "openapi": "3.1.0", "info": { "title": "Events", "version": "1" },
        "webhooks": { "invoice.paid": { "post": { "description": says } } },
    } });
    let schedule = json!({ "retrySchedule": [{ "secs": 5, "nanos": 0 }, { "secs": 300, "nanos": 0 }] });
    [
        body("EventTypeIn", fields, &["name", "description"], json!({ "name": "invoice.paid", "description": says })),
        BodyOf {
            passed_over: &["name"],
            ..body("EventTypeUpsertIn", fields, &["description"], json!({ "description": says }))
        },
        BodyOf { passed_over: &["name"], ..body("EventTypePatch", fields, &[], json!({ "deprecated": true })) },
        body("EventTypeImportOpenApiIn", &event_type_import::FIELDS, &[], document),
        body("RetryScheduleInOut", &event_type::SCHEDULE_FIELDS, &[], schedule),
    ]
}

impl BodyOf {
    /// The names of its properties.
    pub(super) fn properties(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().copied().filter(|name| !self.passed_over.contains(name))
    }

    /// Its schema; a property that nothing is said of is `null`, which a test finds.
    pub(super) fn schema(&self) -> Value {
        let of = |name: &'static str| (name.to_owned(), property(self.name, name).unwrap_or_default());
        let properties: Map<String, Value> = self.properties().map(of).collect();
        let mut schema = json!({ "type": "object", "properties": properties, "examples": [self.example] });
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        schema
    }
}
