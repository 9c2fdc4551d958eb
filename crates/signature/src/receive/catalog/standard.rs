//! Standard Webhooks, Svix, and who signs as they do.

use super::super::asymmetric::Asymmetric;
use super::super::hmac::{Encoding, Frame, Hmac, KeyForm, Part, Place, Unit};
use super::super::reading::Window;
use super::Where::{Body, Header, Signed};
use super::fields::{self, Field, Kind};
use super::{How, Scheme, SourceType, When};
use crate::standard::PublicKey;

/// `{id}.{timestamp}.{body}`.
const TEMPLATE: &[Part<'static>] = &[Part::Id, Part::Text("."), Part::Timestamp, Part::Text("."), Part::Body];

fn is_public_key(text: &str) -> bool {
    PublicKey::parse(text).is_ok()
}

/// The scheme, with the names of its three headers.
const fn signed(id: &'static str, stamp: &'static str, signature: &'static str) -> Hmac<'static> {
    Hmac::new(signature)
        .encoding(Encoding::Base64)
        .frame(Frame::Versions("v1"))
        .template(TEMPLATE)
        .id(id)
        .stamp(Place::Header(stamp), Unit::Seconds, Window::both(300))
        .key(KeyForm::Whsec)
}

/// With the headers of Standard Webhooks.
const STANDARD: Hmac<'static> = signed("webhook-id", "webhook-timestamp", "webhook-signature");
/// With the headers of Svix.
const SVIX: Hmac<'static> = signed("svix-id", "svix-timestamp", "svix-signature");

/// Svix, whose libraries take either set of headers.
const SVIX_SCHEMES: &[Scheme] = &[
    Scheme::hmac("svix", SVIX).when(When::Header("svix-signature")),
    Scheme::hmac("standard-webhooks", STANDARD).when(When::Header("webhook-signature")),
];

/// Who sends by Svix.
const fn svix(name: &'static str, title: &'static str) -> SourceType {
    SourceType::new(name, title, SVIX_SCHEMES)
        .fields(fields::WHSEC)
        .id(&[Signed])
        .kind(&[&[Body("/type")], &[Body("/event_type")], &[Body("/event")]])
        .primary("svix (Rust): ingest_source_in.rs; svix (npm, PyPI)")
}

pub(super) const TYPES: &[SourceType] = &[
    SourceType::new(
        "standard-webhooks",
        "Standard Webhooks",
        &[
            Scheme::new("standard-webhooks-ed25519", How::Asymmetric(Asymmetric::StandardWebhooks))
                .when(When::Setting("publicKey")),
            Scheme::hmac("standard-webhooks", STANDARD),
        ],
    )
    .fields(&[
        Field::optional("secret", Kind::Keys(KeyForm::Whsec), "The signing secret, `whsec_…`").secret(),
        Field::optional(
            "publicKey",
            Kind::CheckedEach(is_public_key, "`whpk_` followed by base64 of 32 bytes"),
            "The public key, `whpk_…`, where messages are signed with a private one; a secret is not looked at then",
        ),
    ])
    .id(&[Signed])
    .kind(&[&[Body("/type")]])
    .primary("standard-webhooks/standard-webhooks: specification and libraries"),
    svix("svix", "Svix"),
    svix("beehiiv", "beehiiv"),
    svix("brex", "Brex"),
    svix("clerk", "Clerk"),
    svix("guesty", "Guesty"),
    svix("incident-io", "incident.io"),
    svix("lithic", "Lithic"),
    svix("nash", "Nash"),
    svix("pleo", "Pleo"),
    svix("psi-fi", "PsiFi"),
    svix("render", "Render"),
    svix("replicate", "Replicate"),
    svix("resend", "Resend"),
    svix("safebase", "SafeBase"),
    svix("sardine", "Sardine"),
    svix("stych", "Stytch"),
    SourceType::new("open-ai", "OpenAI", &[Scheme::hmac("openai", STANDARD.key(KeyForm::WhsecOrText))])
        .fields(
            &[Field::required("secret", Kind::Keys(KeyForm::WhsecOrText), "The signing secret, `whsec_…`").secret()],
        )
        .id(&[Signed])
        .kind(&[&[Body("/type")]])
        .primary("openai-node"),
    SourceType::new("bigcommerce", "BigCommerce", &[Scheme::hmac("bigcommerce", STANDARD.key(KeyForm::Text))])
        .fields(&[fields::secret("The client secret of the app")])
        .id(&[Signed])
        .kind(&[&[Body("/scope")]])
        .primary("bigcommerce/docs: webhooks"),
    SourceType::new(
        "gitlab",
        "GitLab",
        &[
            Scheme::hmac("gitlab-signing", STANDARD.setting("signingSecret")).when(When::Setting("signingSecret")),
            Scheme::token("gitlab-token", super::token::in_header("x-gitlab-token")),
        ],
    )
    .fields(&[
        Field::optional("secret", Kind::Keys(KeyForm::Text), "The secret token of the webhook").secret(),
        Field::optional(
            "signingSecret",
            Kind::Keys(KeyForm::Whsec),
            "The signing token of the webhook, `whsec_…`; where it is set, the secret token is not enough",
        )
        .secret(),
    ])
    // `x-gitlab-event-uuid` is that of a whole chain of hooks which set each other off.
    .id(&[Signed, Header("idempotency-key")])
    .kind(&[&[Body("/object_kind")], &[Body("/event_name")], &[Header("x-gitlab-event")]])
    .primary("gitlabhq: webhooks.md; gitlab-org merge request 230944"),
];
