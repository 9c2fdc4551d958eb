//! Providers that send a token, or a user name and a password.

use super::super::handshake::Handshake;
use super::super::token::{Token, TokenScheme};
use super::Where::{Body, Only};
use super::fields::{self, Field, Kind};
use super::{Answer, Scheme, SourceType, When};

/// The token alone in a header.
pub(super) const fn in_header(name: &'static str) -> TokenScheme<'static> {
    TokenScheme::new(Token::Header(name))
}

/// Basic authentication.
const BASIC: TokenScheme<'static> = TokenScheme::new(Token::Basic);

pub(super) const TYPES: &[SourceType] = &[
    SourceType::new("telegram", "Telegram", &[Scheme::token("telegram", in_header("x-telegram-bot-api-secret-token"))])
        .fields(&[fields::secret("`secret_token` of `setWebhook`")])
        .id(&[Body("/update_id")])
        .checked("a signed sample that verifies"),
    SourceType::new("postmark", "Postmark", &[Scheme::token("postmark", BASIC)])
        .fields(fields::BASIC)
        .id(&[Body("/ID"), Body("/MessageID")])
        .kind(&[&[Body("/RecordType")]])
        .secondary("Hookdeck's list of sources; hookdeck/webhook-skills"),
    SourceType::new("okta", "Okta event hooks", &[Scheme::token("okta", in_header("authorization"))])
        .fields(&[fields::secret("The authentication secret: the whole value of the Authorization header")])
        .handshakes(&[Handshake::Okta])
        .id(&[Body("/eventId"), Only { list: "/data/events", member: "/uuid" }])
        .kind(&[&[Body("/data/events/0/eventType")]])
        .primary("okta/okta-developer-docs: event hooks"),
    SourceType::new("flutterwave", "Flutterwave v3", &[Scheme::token("flutterwave", in_header("verif-hash"))])
        .fields(&[fields::secret("The secret hash")])
        .kind(&[&[Body("/event")]])
        .secondary("receivers of others"),
    SourceType::new(
        "microsoft-graph",
        "Microsoft Graph",
        &[Scheme::token("microsoft-graph", TokenScheme::new(Token::Each { list: "/value", member: "clientState" }))],
    )
    .fields(&[fields::secret("`clientState` of the subscription")])
    .handshakes(&[Handshake::MicrosoftGraph])
    .id(&[Only { list: "/value", member: "/id" }])
    .kind(&[&[Body("/value/0/changeType")]])
    .answer(Answer::empty(202))
    .primary("microsoft-graph-docs-contrib: change notifications"),
    SourceType::new("chargebee", "Chargebee", &[Scheme::token("chargebee", BASIC)])
        .fields(fields::BASIC)
        .id(&[Body("/id")])
        .kind(&[&[Body("/event_type")]])
        .secondary("Hookdeck's list of sources; hookdeck/webhook-skills"),
    SourceType::new("pipedrive", "Pipedrive", &[Scheme::token("pipedrive", BASIC)])
        .fields(fields::BASIC)
        .id(&[Body("/meta/id")])
        .kind(&[&[Body("/meta/action"), Body("/meta/object")], &[Body("/meta/action"), Body("/meta/entity")]])
        .secondary("Hookdeck's list of sources"),
    SourceType::new(
        "vapi",
        "Vapi",
        &[
            Scheme::hmac("vapi", super::super::hmac::Hmac::new("x-vapi-signature"))
                .when(When::Header("x-vapi-signature")),
            Scheme::token("vapi-token", in_header("x-vapi-secret")).when(When::Header("x-vapi-secret")),
        ],
    )
    .kind(&[&[Body("/message/type")]])
    .secondary("trigger.dev/docs: webhooks of Vapi"),
    SourceType::new(
        "openclaw",
        "OpenClaw",
        &[
            Scheme::token("openclaw", TokenScheme::new(Token::Scheme("authorization", "Bearer")))
                .when(When::Header("authorization")),
            Scheme::token("openclaw-token", in_header("x-openclaw-token")).when(When::Header("x-openclaw-token")),
        ],
    )
    .secondary("hookdeck/webhook-skills: openclaw"),
    SourceType::new(
        "adobe-sign",
        "Adobe Acrobat Sign",
        &[Scheme::token("adobe-sign", in_header("x-adobesign-clientid").setting("clientId"))],
    )
    .fields(&[Field::required("clientId", Kind::Texts, "The client id of the application that made the webhook")])
    .handshakes(&[Handshake::AdobeSign])
    .id(&[Body("/webhookNotificationId")])
    .kind(&[&[Body("/event")]])
    .answer(Answer { echo: Some(("x-adobesign-clientid", "clientId")), ..Answer::empty(200) })
    .secondary("the API contract; Adobe's page on the intent of a webhook"),
];
