//! Settings of an environment: get, put, patch. Three can be changed, and those of the portal's look
//! ([`look`]); the others of the contract have the one value that it gives them when nobody asks for
//! another.

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer;
use super::call::Call;
use super::change;
use super::endpoint_in::check_schedule;
use super::error::{ApiError, Kind};
use super::json::{Fields, Given, Null};
use super::look;
use crate::model::EnvSettings;
use crate::store::command::{Change, Changed, SettingsPatch};

type Answer = Result<Response<Body>, ApiError>;

pub(super) const FIELDS: [&str; 40] = [
    "retryPolicy",
    "whitelabelHeaders",
    "sendSvixWebhookHeaders",
    "enforceHttps",
    "customColor",
    "customLogoUrl",
    "customThemeOverride",
    "customFontFamily",
    "displayName",
    "readOnly",
    "colorPaletteLight",
    "colorPaletteDark",
    "showSvixBrandFooter",
    "whitelabelLogo",
    "requireEndpointChannel",
    "enableMsgAtmptLog",
    "enableOtlp",
    "customStringsOverride",
    "customBaseFontSize",
    "customFontFamilyUrl",
    "disableEndpointOnFailure",
    "eventCatalogPublished",
    "enableChannels",
    "enableMessageStream",
    "advancedEndpointTypes",
    "enableIntegrationManagement",
    "enableTransformations",
    "requireEndpointFilterTypes",
    "enableEndpointOauthConfig",
    "enableEndpointMtlsConfig",
    "showUseSvixPlay",
    "wipeSuccessfulPayload",
    "enableApplicationAlerts",
    "applicationAlertEvents",
    "applicationAlertsDashboardUrl",
    "applicationAlertsLogoUrl",
    "showFeatureTooltips",
    "webhooksAutoConfig",
    "endpointsPerAppLimit",
    "mcpToken",
];
/// Where in [`FIELDS`] those begin that have one value.
const FIXED: usize = 12;
/// Of these, the ones whose value is not `false`.
const NULL: [&str; 7] = [
    "whitelabelLogo",
    "customStringsOverride",
    "customBaseFontSize",
    "customFontFamilyUrl",
    "applicationAlertsDashboardUrl",
    "applicationAlertsLogoUrl",
    "endpointsPerAppLimit",
];
const TRUE: [&str; 2] = ["disableEndpointOnFailure", "showUseSvixPlay"];
const EMPTY: [&str; 2] = ["advancedEndpointTypes", "applicationAlertEvents"];

/// The one value of a setting that cannot be changed.
pub(super) fn fixed(name: &str) -> Value {
    if NULL.contains(&name) {
        Value::Null
    } else if EMPTY.contains(&name) {
        json!([])
    } else {
        Value::Bool(TRUE.contains(&name))
    }
}

/// All settings as the contract names them.
pub(super) fn shown(settings: &EnvSettings, https_only: bool) -> Map<String, Value> {
    let mut out: Map<String, Value> = FIELDS[FIXED..].iter().map(|name| ((*name).to_owned(), fixed(name))).collect();
    out.insert("retryPolicy".into(), json!(settings.retry_policy));
    out.insert("whitelabelHeaders".into(), json!(settings.whitelabel_headers));
    out.insert("sendSvixWebhookHeaders".into(), json!(settings.send_svix_webhook_headers));
    out.insert("enforceHttps".into(), json!(https_only));
    look::show(&settings.look, &mut out);
    out
}

/// The settings that customers' pages are told of.
pub(super) const OF_PORTAL: [&str; 23] = [
    "customColor",
    "logoUrl",
    "customLogoUrl",
    "customFontFamily",
    "customFontFamilyUrl",
    "customThemeOverride",
    "customStringsOverride",
    "displayName",
    "enableChannels",
    "enableMessageTags",
    "enableMessageStream",
    "enableIntegrationManagement",
    "enableTransformations",
    "enableEndpointOauthConfig",
    "enableEndpointMtlsConfig",
    "colorPaletteLight",
    "colorPaletteDark",
    "showUseSvixPlay",
    "showSvixBrandFooter",
    "wipeSuccessfulPayload",
    "showFeatureTooltips",
    "advancedEndpointTypes",
    // An addition of this server.
    "readOnly",
];

/// `GET /environment/settings`: what the portal needs to know.
pub(super) async fn of_portal(call: Call, _: Body) -> Answer {
    let policy = call.gateway.snapshots.policy(call.env).await?;
    let all = shown(&policy.settings, call.gateway.https_only);
    let one = |name: &&str| {
        let value = match *name {
            "logoUrl" => all["customLogoUrl"].clone(),
            "enableMessageTags" => Value::Bool(false),
            name => all[name].clone(),
        };
        ((*name).to_owned(), value)
    };
    let out: Map<String, Value> = OF_PORTAL.iter().map(one).collect();
    Ok(answer::json(StatusCode::OK, &out))
}

/// `GET /management/environment-settings`.
pub(super) async fn get(call: Call, _: Body) -> Answer {
    let policy = call.gateway.snapshots.policy(call.env).await?;
    Ok(answer::json(StatusCode::OK, &shown(&policy.settings, call.gateway.https_only)))
}

/// `PUT /management/environment-settings`: what is not there goes back to its default.
pub(super) async fn put(call: Call, body: Body) -> Answer {
    change(&call, body, true).await
}

/// `PATCH /management/environment-settings`: what is not there stays as it is.
pub(super) async fn patch(call: Call, body: Body) -> Answer {
    change(&call, body, false).await
}

async fn change(call: &Call, body: Body, whole: bool) -> Answer {
    let body = call.read(body).await?;
    let https_only = call.gateway.https_only;
    let mut patch = read(&body, call.gateway.limits.json_depth_max, https_only)?;
    if whole {
        let default = EnvSettings::default();
        patch.retry_policy.get_or_insert(default.retry_policy);
        patch.whitelabel_headers.get_or_insert(default.whitelabel_headers);
        patch.send_svix_webhook_headers.get_or_insert(default.send_svix_webhook_headers);
        patch.look = look::reset(patch.look);
    }
    change::commit(call, Change::PatchSettings { env: call.env, patch }, &body, move |changed| match changed {
        Changed::Settings(_, settings) => change::rendered(200, &shown(settings, https_only)),
        other => change::nothing(other),
    })
    .await
}

fn read(body: &[u8], depth_max: usize, https_only: bool) -> Result<SettingsPatch, ApiError> {
    let mut fields = Fields::parse(body, &FIELDS, depth_max)?;
    let policy = fields.read("retryPolicy", Null::Taken, "must be an array of seconds", |schedule: &Vec<u32>| {
        check_schedule(schedule)
    });
    let patch = SettingsPatch {
        retry_policy: policy.patch(),
        whitelabel_headers: fields.boolean("whitelabelHeaders").value(),
        send_svix_webhook_headers: fields.boolean("sendSvixWebhookHeaders").value(),
        look: look::read(&mut fields),
    };
    if fields.boolean("enforceHttps").value().is_some_and(|asked| asked != https_only) {
        fields.problem("enforceHttps", "is set by egress.https_only of the server's configuration", Kind::Value);
    }
    for name in &FIELDS[FIXED..] {
        let expected = fixed(name);
        let given = match fields.raw(name, Null::Taken) {
            Given::Absent => continue,
            Given::Null => Value::Null,
            // What cannot be read is no value that is taken.
            Given::Value(raw) => serde_json::from_str(raw.get()).unwrap_or(Value::Object(Map::new())),
        };
        if given != expected {
            fields.problem(name, format!("cannot be changed on this server: must be {expected}"), Kind::Value);
        }
    }
    fields.finish()?;
    Ok(patch)
}
