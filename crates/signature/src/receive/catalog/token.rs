//! Providers that send a token, or a user name and a password.

use super::super::handshake::Handshake;
use super::super::token::{Token, TokenScheme};
use super::Where::{Body, Each, Form, Only, Text};
use super::fields::{self, Field, Kind};
use super::{Answer, How, Scheme, SourceType, When};

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
        .id(&[Body("/ID")])
        .kind(&[&[Body("/RecordType")]])
        .secondary("Hookdeck's list of sources; hookdeck/webhook-skills"),
    SourceType::new("okta", "Okta event hooks", &[Scheme::token("okta", in_header("authorization"))])
        .fields(&[fields::secret("The authentication secret: the whole value of the Authorization header")])
        .handshakes(&[Handshake::Okta])
        .id(&[Body("/eventId"), Only { list: "/data/events", member: "/uuid" }])
        .kind(&[&[Each("/data/events/*/eventType")]])
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
    .kind(&[&[Each("/value/*/changeType")]])
    .answer(Answer::empty(202))
    .primary("microsoft-graph-docs-contrib: change notifications"),
    SourceType::new("chargebee", "Chargebee", &[Scheme::token("chargebee", BASIC)])
        .fields(fields::BASIC)
        .id(&[Body("/id")])
        .kind(&[&[Body("/event_type")]])
        .secondary("Hookdeck's list of sources; hookdeck/webhook-skills"),
    SourceType::new("pipedrive", "Pipedrive", &[Scheme::token("pipedrive", BASIC)])
        .fields(fields::BASIC)
        // Version 1 has the id of the object here, a number; version 2 has the event's.
        .id(&[Text("/meta/id")])
        .kind(&[&[Body("/meta/action"), Body("/meta/object"), Body("/meta/entity")]])
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
    SourceType::new("figma", "Figma", &[Scheme::token("figma", TokenScheme::new(Token::Pointer("/passcode")))])
        .fields(&[fields::secret("The passcode of the webhook")])
        .kind(&[&[Body("/event_type")]])
        .primary("developers.figma.com: webhooks, security"),
    SourceType::new(
        "cloudflare-notifications",
        "Cloudflare Notifications",
        &[Scheme::token("cloudflare-notifications", in_header("cf-webhook-auth"))],
    )
    .kind(&[&[Body("/alert_type")]])
    .primary("developers.cloudflare.com: webhook payload schema"),
    SourceType::new("ringcentral", "RingCentral", &[Scheme::token("ringcentral", in_header("verification-token"))])
        .fields(&[fields::secret("`verificationToken` of the subscription")])
        .handshakes(&[Handshake::EchoHeader("validation-token")])
        .id(&[Body("/uuid")])
        .kind(&[&[Body("/event")]])
        .primary("developers.ringcentral.com: receiving webhooks"),
    SourceType::new(
        "mailchimp",
        "Mailchimp Marketing",
        &[Scheme::token("mailchimp", TokenScheme::new(Token::Query("secret")))],
    )
    .fields(&[fields::secret("A text of your own, registered as `?secret=` at the end of the URL")])
    .handshakes(&[Handshake::Get])
    .kind(&[&[Form("type")]])
    .secondary("nothing is signed, so that the secret is in the URL"),
    SourceType::new(
        "mollie-classic",
        "Mollie (webhooks without signature)",
        &[Scheme::token("mollie-classic", TokenScheme::new(Token::Query("secret")))],
    )
    .fields(&[fields::secret("A text of your own, given to Mollie as `?secret=` at the end of the URL")])
    .secondary("nothing is signed, so that the secret is in the URL"),
    SourceType::new("strava", "Strava, not verified", &[Scheme::new("strava", How::Nothing)])
        .fields(&[Field::required("verifyToken", Kind::Texts, "The verify token of the subscription").secret()])
        .handshakes(&[Handshake::Strava])
        .kind(&[&[Body("/object_type"), Body("/aspect_type")]])
        .primary("developers.strava.com: webhooks, which are not signed"),
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
