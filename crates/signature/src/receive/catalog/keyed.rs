//! Providers with a public key, a certificate, a signed token, or fields that are put together first.

use super::super::asymmetric::{Algorithm, Asymmetric, PublicKey};
use super::super::canonical::Canonical;
use super::super::certificate::Certificate;
use super::super::handshake::Handshake;
use super::super::hmac::KeyForm;
use super::super::jwt::Jwt;
use super::Where::{Body, Each, Form, Header, Only, Signed};
use super::fields::{self, Field, Kind};
use super::{Answer, How, Scheme, SourceType};

fn is_ed25519(text: &str) -> bool {
    PublicKey::of_kind(Algorithm::Ed25519, text).is_some()
}

fn is_ecdsa(text: &str) -> bool {
    PublicKey::of_kind(Algorithm::EcdsaP256Sha256Der, text).is_some()
}

fn is_rsa(text: &str) -> bool {
    PublicKey::of_kind(Algorithm::RsaSha256, text).is_some()
}

const ED25519: Kind = Kind::CheckedEach(is_ed25519, "an ed25519 public key, in hexadecimal or base64");
const ECDSA: Kind = Kind::CheckedEach(is_ecdsa, "a public key of P-256, in base64 or PEM");
const RSA: Kind = Kind::CheckedEach(is_rsa, "an RSA public key in PEM");

/// The window of a timestamp, for schemes whose provider leaves it to the receiver.
const TOLERANCE: Field = Field::optional(
    "toleranceSeconds",
    Kind::Integer(1, 86_400),
    "How far the timestamp may be from the clock, in seconds; the provider's rule if left out",
);
const TRUSTED_CA: Field = Field::optional(
    "trustedCaPem",
    Kind::Text,
    "Certificates in PEM that are trusted in place of the web's, as where a proxy stands between",
);
const JWKS: Field = Field::optional("jwks", Kind::Json, "The key set: a JSON Web Key set, or keys by their id");

const GENERIC_JWT: &[Field] = &[
    Field::required(
        "algorithm",
        Kind::Choice(&["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"]),
        "What tokens are signed with; tokens that name another are refused",
    ),
    Field::optional("secret", Kind::Keys(KeyForm::Text), "The shared secret, for HS256, HS384 and HS512").secret(),
    JWKS,
    Field::optional("jwksUrl", fields::HTTPS_URL, "Where the key set is, by https"),
    Field::optional("publicKey", Kind::Texts, "The public key in PEM, or several"),
    Field::optional("header", fields::HEADER, "The header of the token; Authorization behind Bearer if left out"),
    Field::optional("issuer", Kind::Texts, "The issuer that tokens must name, or several"),
    Field::optional("audience", Kind::Texts, "The audience that tokens must name, or several"),
    TOLERANCE,
];

pub(super) const TYPES: &[SourceType] = &[
    SourceType::new("discord", "Discord", &[Scheme::new("discord", How::Asymmetric(Asymmetric::DISCORD))])
        .fields(&[
            Field::required("publicKey", ED25519, "The application's public key"),
            Field::optional(
                "endpoint",
                Kind::Choice(&["interactions", "events"]),
                "What the URL is registered for; told by the request if left out",
            ),
            TOLERANCE,
        ])
        .handshakes(&[Handshake::Discord])
        .id(&[Body("/id")])
        .kind(&[&[Body("/event/type")], &[Body("/type")]])
        .answer(Answer::empty(204))
        .primary("discord-interactions; discord-api-docs: webhook events"),
    SourceType::new(
        "sendgrid",
        "SendGrid event webhook",
        &[Scheme::new("sendgrid", How::Asymmetric(Asymmetric::SENDGRID))],
    )
    .fields(&[Field::required("publicKey", ECDSA, "The verification key of the event webhook"), TOLERANCE])
    .id(&[Only { list: "", member: "/sg_event_id" }])
    .kind(&[&[Each("/*/event")]])
    .primary("sendgrid-python; @sendgrid/eventwebhook"),
    SourceType::new("telnyx", "Telnyx", &[Scheme::new("telnyx", How::Asymmetric(Asymmetric::TELNYX))])
        .fields(&[Field::required("publicKey", ED25519, "The public key of the account, in base64"), TOLERANCE])
        .id(&[Body("/data/id")])
        .kind(&[&[Body("/data/event_type")]])
        .primary("telnyx (npm): Webhooks"),
    SourceType::new("travis-ci", "Travis CI", &[Scheme::new("travis-ci", How::Asymmetric(Asymmetric::TravisCi))])
        .fields(&[Field::optional("publicKey", RSA, "The public key in PEM; asked of Travis CI if left out")])
        .kind(&[&[Body("/type"), Body("/state")]])
        .primary("travis-ci/docs-travis-ci-com; webhook-signature-verifier"),
    SourceType::new("aws-sns", "Amazon SNS", &[Scheme::new("aws-sns", How::Certificate(Certificate::AwsSns))])
        .fields(&[
            Field::required(
                "topicArns",
                Kind::Texts,
                "The topics that are accepted: SNS signs for all of its customers",
            ),
            Field::optional(
                "signatureVersion",
                Kind::Choice(&["1", "2"]),
                "The only version of signatures that is accepted; either if left out",
            ),
            TOLERANCE,
            TRUSTED_CA,
        ])
        .handshakes(&[Handshake::Sns])
        .id(&[Body("/MessageId")])
        .kind(&[&[Body("/Type")]])
        .primary("aws-php-sns-message-validator; sns-validator"),
    SourceType::new("paypal", "PayPal", &[Scheme::new("paypal", How::Certificate(Certificate::Paypal))])
        .fields(&[
            Field::required("webhookId", Kind::Texts, "The id of the webhook, which is signed"),
            TRUSTED_CA,
            TOLERANCE,
        ])
        .id(&[Signed])
        .kind(&[&[Body("/event_type")]])
        .primary("paypalrestsdk"),
    SourceType::new("plaid", "Plaid", &[Scheme::new("plaid", How::Jwt(Jwt::PLAID))])
        .fields(&[
            Field::required(
                "jwks",
                Kind::Json,
                "The verification key, as `/webhook_verification_key/get` gives it, or a list of such",
            ),
            TOLERANCE,
        ])
        .kind(&[&[Body("/webhook_type"), Body("/webhook_code")]])
        .primary("plaid.com/docs: webhook verification"),
    SourceType::new("wix", "Wix", &[Scheme::new("wix", How::Jwt(Jwt::WIX))])
        .fields(&[Field::required("publicKey", RSA, "The app's public key in PEM, or base64 of it"), TOLERANCE])
        .primary("@wix/sdk"),
    SourceType::new(
        "google-pubsub",
        "Google Pub/Sub push",
        &[Scheme::new("google-pubsub", How::Jwt(Jwt::GOOGLE_PUBSUB))],
    )
    .fields(&[
        Field::required("serviceAccount", Kind::Texts, "The address of the service account that signs"),
        Field::optional("audience", Kind::Texts, "The audience of the subscription; the source's URL if left out"),
        JWKS,
        TOLERANCE,
    ])
    .id(&[Body("/message/messageId")])
    .kind(&[&[Body("/message/attributes/eventType")]])
    .answer(Answer::empty(204))
    .primary("google-auth-library"),
    SourceType::new(
        "atlassian-connect",
        "Atlassian Connect",
        &[Scheme::new("atlassian-connect", How::Jwt(Jwt::ATLASSIAN_CONNECT))],
    )
    .fields(&[
        fields::secret("The shared secret of the tenant"),
        Field::optional("baseUrl", fields::URL, "The app's base URL, to which the signed path is relative"),
        TOLERANCE,
    ])
    .kind(&[&[Body("/webhookEvent")]])
    .primary("atlassian-jwt"),
    SourceType::new("monday", "monday", &[Scheme::new("monday", How::Jwt(Jwt::MONDAY))])
        .fields(&[fields::secret("The signing secret of the app"), TOLERANCE])
        .handshakes(&[Handshake::Monday])
        .id(&[Body("/event/triggerUuid")])
        .kind(&[&[Body("/event/type")]])
        .checked("a signed sample that verifies"),
    SourceType::new("generic-jwt", "Any webhook with a JWT", &[Scheme::new("generic-jwt", How::Jwt(Jwt::GENERIC))])
        .fields(GENERIC_JWT)
        .primary("RFC 7519"),
    SourceType::new("twilio", "Twilio", &[Scheme::new("twilio", How::Canonical(Canonical::Twilio))])
        .fields(&[
            fields::secret("The auth token of the account, or the shared key"),
            Field::optional(
                "algorithm",
                Kind::Choice(&["HMAC_SHA1", "HMAC_SHA256"]),
                "The only algorithm that is accepted; HMAC_SHA1 if left out. HMAC_SHA256 is that of shared keys",
            ),
            fields::NOTIFICATION_URL,
        ])
        .id(&[Header("i-twilio-idempotency-token")])
        .kind(&[&[Form("MessageStatus")], &[Form("SmsStatus")], &[Form("CallStatus")]])
        .answer(Answer::body("text/xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>"))
        .primary("twilio-python; twilio-node"),
    SourceType::new(
        "mandrill",
        "Mailchimp Transactional (Mandrill)",
        &[Scheme::new("mandrill", How::Canonical(Canonical::Mandrill))],
    )
    .fields(&[fields::secret("The webhook's key"), fields::NOTIFICATION_URL])
    .handshakes(&[Handshake::Head])
    .checked("a signed sample that verifies"),
    SourceType::new("mailgun", "Mailgun", &[Scheme::new("mailgun", How::Canonical(Canonical::Mailgun))])
        .fields(&[fields::secret("The HTTP webhook signing key"), TOLERANCE])
        .id(&[Signed])
        .kind(&[&[Body("/event-data/event")], &[Form("event")]])
        .primary("mailgun-php"),
    SourceType::new("adyen", "Adyen payments", &[Scheme::new("adyen", How::Canonical(Canonical::Adyen))])
        .fields(&[Field::required("secret", Kind::Keys(KeyForm::Hex), "The HMAC key, in hexadecimal").secret()])
        .kind(&[&[Each("/notificationItems/*/NotificationRequestItem/eventCode")]])
        .answer(Answer::body("text/plain", "[accepted]"))
        .primary("@adyen/api-library"),
    SourceType::new("braintree", "Braintree", &[Scheme::new("braintree", How::Canonical(Canonical::Braintree))])
        .fields(&[fields::secret("The private key"), Field::required("publicKeyId", Kind::Texts, "The public key")])
        .handshakes(&[Handshake::Braintree])
        .primary("braintree (npm)"),
    SourceType::new("contentful", "Contentful", &[Scheme::new("contentful", How::Canonical(Canonical::Contentful))])
        .fields(&[fields::secret("The signing secret"), TOLERANCE])
        .kind(&[&[Header("x-contentful-topic")]])
        .primary("@contentful/node-apps-toolkit"),
];
