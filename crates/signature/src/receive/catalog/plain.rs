//! Providers that sign the body, or the body and the URL, and no time.

use super::super::handshake::Handshake;
use super::super::hmac::{Algorithm, Encoding, Frame, Hmac, KeyForm, Part};
use super::Where::{Body, Each, Header, Only};
use super::fields::{self, Field, Kind};
use super::{Answer, Scheme, SourceType, When};

/// HMAC-SHA256 over the body in base64.
const fn base64(header: &'static str) -> Hmac<'static> {
    Hmac::new(header).encoding(Encoding::Base64)
}

/// HMAC-SHA256 over the body in hex behind `sha256=`.
const fn hub(header: &'static str) -> Hmac<'static> {
    Hmac::new(header).prefix("sha256=")
}

const URL_SECRET: &[Field] =
    &[fields::secret("The signature key, exactly as the provider shows it"), fields::NOTIFICATION_URL];

pub(super) const TYPES: &[SourceType] = &[
    SourceType::new(
        "github",
        "GitHub",
        &[
            Scheme::hmac("github-sha256", hub("x-hub-signature-256")).when(When::Header("x-hub-signature-256")),
            Scheme::hmac("github-sha1", Hmac::new("x-hub-signature").algorithm(Algorithm::Sha1).prefix("sha1="))
                .when(When::Header("x-hub-signature")),
        ],
    )
    .fields(fields::SECRET_OR_NONE)
    .open()
    .id(&[Header("x-github-delivery")])
    .kind(&[&[Header("x-github-event"), Body("/action")]])
    .primary("github/docs: validating webhook deliveries; @octokit/webhooks-methods"),
    SourceType::new(
        "shopify",
        "Shopify",
        &[
            Scheme::hmac("shopify-events", base64("shopify-hmac-sha256")).when(When::Header("shopify-hmac-sha256")),
            Scheme::hmac("shopify", base64("x-shopify-hmac-sha256")),
        ],
    )
    // One event can be several deliveries: to each of the webhooks that are registered for it.
    .id(&[
        Header("shopify-webhook-id"),
        Header("shopify-event-id"),
        Header("x-shopify-webhook-id"),
        Header("x-shopify-event-id"),
    ])
    .kind(&[&[Header("shopify-topic")], &[Header("x-shopify-topic")]])
    .primary("@shopify/shopify-api"),
    SourceType::new(
        "typeform",
        "Typeform",
        &[Scheme::hmac("typeform", base64("typeform-signature").prefix("sha256="))],
    )
    .id(&[Body("/event_id")])
    .kind(&[&[Body("/event_type")]])
    .secondary("hookdeck/webhook-skills: typeform"),
    SourceType::new(
        "intercom",
        "Intercom",
        &[Scheme::hmac("intercom", Hmac::new("x-hub-signature").algorithm(Algorithm::Sha1).prefix("sha1="))],
    )
    .id(&[Body("/id")])
    .kind(&[&[Body("/topic")]])
    .primary("developers.intercom.com: signed notifications"),
    SourceType::new(
        "meta",
        "Meta (Facebook, Instagram, WhatsApp)",
        &[Scheme::hmac("meta", hub("x-hub-signature-256"))],
    )
    .fields(&[
        fields::secret("The app secret"),
        Field::required("verifyToken", Kind::Texts, "The verify token that the subscription names").secret(),
    ])
    .handshakes(&[Handshake::Meta])
    .kind(&[&[Body("/object"), Each("/entry/*/changes/*/field")]])
    .primary("fbsamples/graph-api-webhooks-samples"),
    SourceType::new("line", "LINE", &[Scheme::hmac("line", base64("x-line-signature"))])
        .id(&[Only { list: "/events", member: "/webhookEventId" }])
        .kind(&[&[Each("/events/*/type")]])
        .primary("@line/bot-sdk; line-bot-sdk"),
    SourceType::new("xero", "Xero", &[Scheme::hmac("xero", base64("x-xero-signature"))])
        .kind(&[&[Each("/events/*/eventCategory"), Each("/events/*/eventType")]])
        .primary("developer.xero.com: configuring your server"),
    SourceType::new("razorpay", "Razorpay", &[Scheme::hmac("razorpay", Hmac::new("x-razorpay-signature"))])
        .id(&[Header("x-razorpay-event-id")])
        .kind(&[&[Body("/event")]])
        .primary("razorpay-node; razorpay-python"),
    SourceType::new(
        "woocommerce",
        "WooCommerce",
        &[Scheme::hmac("woocommerce", base64("x-wc-webhook-signature").key(KeyForm::HtmlText))],
    )
    .handshakes(&[Handshake::Woocommerce])
    // No id: that of a delivery is made of the webhook and the second, and two of one second share it.
    .kind(&[&[Header("x-wc-webhook-topic")]])
    .primary("WooCommerce: WC_Webhook::generate_signature"),
    SourceType::new(
        "twitter",
        "X (Twitter)",
        &[Scheme::hmac("twitter", base64("x-twitter-webhooks-signature").prefix("sha256="))],
    )
    .handshakes(&[Handshake::X])
    .primary("xdevplatform/docs: webhooks"),
    SourceType::new(
        "notion",
        "Notion",
        &[Scheme::hmac("notion", hub("x-notion-signature").encoding(Encoding::HexAnyCase))],
    )
    .fields(fields::SECRET_LEARNED)
    .learning()
    .handshakes(&[Handshake::Notion])
    .id(&[Body("/id")])
    .kind(&[&[Body("/type")]])
    .primary("@notionhq/client"),
    SourceType::new(
        "gocardless",
        "GoCardless",
        &[Scheme::hmac("gocardless", Hmac::new("webhook-signature").encoding(Encoding::HexAnyCase))],
    )
    .id(&[Body("/meta/webhook_id"), Only { list: "/events", member: "/id" }])
    .kind(&[&[Each("/events/*/resource_type"), Each("/events/*/action")]])
    .answer(Answer::empty(204))
    .primary("gocardless-nodejs"),
    SourceType::new(
        "coinbase-commerce",
        "Coinbase Commerce",
        &[Scheme::hmac("coinbase-commerce", Hmac::new("x-cc-webhook-signature"))],
    )
    .id(&[Body("/event/id")])
    .kind(&[&[Body("/event/type")]])
    .primary("coinbase-commerce-node"),
    SourceType::new("dropbox", "Dropbox", &[Scheme::hmac("dropbox", Hmac::new("x-dropbox-signature"))])
        .handshakes(&[Handshake::EchoParameter("challenge")])
        .primary("dropbox/mdwebhook"),
    SourceType::new("asana", "Asana", &[Scheme::hmac("asana", Hmac::new("x-hook-signature"))])
        .fields(fields::SECRET_LEARNED)
        .learning()
        .handshakes(&[Handshake::Asana])
        .kind(&[&[Each("/events/*/resource/resource_type"), Each("/events/*/action")]])
        .primary("Asana/devrel-examples"),
    SourceType::new(
        "vercel",
        "Vercel",
        &[Scheme::hmac("vercel", Hmac::new("x-vercel-signature").algorithm(Algorithm::Sha1))],
    )
    .id(&[Body("/id")])
    .kind(&[&[Body("/type")]])
    .secondary("hookdeck/webhook-skills: vercel"),
    SourceType::new(
        "paystack",
        "Paystack",
        &[Scheme::hmac("paystack", Hmac::new("x-paystack-signature").algorithm(Algorithm::Sha512))],
    )
    .kind(&[&[Body("/event")]])
    .secondary("receivers of others"),
    SourceType::new("lemon-squeezy", "Lemon Squeezy", &[Scheme::hmac("lemonsqueezy", Hmac::new("x-signature"))])
        .kind(&[&[Header("x-event-name")], &[Body("/meta/event_name")]])
        .checked("a signed sample that verifies"),
    SourceType::new("sentry", "Sentry", &[Scheme::hmac("sentry", Hmac::new("sentry-hook-signature"))])
        .id(&[Header("request-id")])
        .kind(&[&[Header("sentry-hook-resource"), Body("/action")]])
        .secondary("docs.sentry.io: webhooks; receivers of others"),
    SourceType::new("bitbucket", "Bitbucket Cloud", &[Scheme::hmac("bitbucket", hub("x-hub-signature"))])
        .id(&[Header("x-request-uuid")])
        .kind(&[&[Header("x-event-key")]])
        .checked("the test value of Atlassian's page on securing webhooks"),
    SourceType::new("jira", "Jira", &[Scheme::hmac("jira", hub("x-hub-signature"))])
        .id(&[Header("x-atlassian-webhook-identifier")])
        .kind(&[&[Body("/webhookEvent")]])
        .checked("the scheme of Bitbucket, whose test value verifies"),
    SourceType::new("checkout-com", "Checkout.com", &[Scheme::hmac("checkout.com", Hmac::new("cko-signature"))])
        .id(&[Body("/id")])
        .kind(&[&[Body("/type")]])
        .primary("checkout.com/docs: set up your webhook receiver"),
    SourceType::new(
        "docusign",
        "DocuSign Connect",
        &[Scheme::hmac("docusign", base64("x-docusign-signature-").frame(Frame::Numbered))],
    )
    .fields(fields::SECRET_OR_NONE)
    .open()
    .kind(&[&[Body("/event")]])
    .secondary("receivers of others"),
    SourceType::new(
        "airtable",
        "Airtable",
        &[Scheme::hmac("airtable", Hmac::new("x-airtable-content-mac").prefix("hmac-sha256=").key(KeyForm::Base64))],
    )
    .fields(&[Field::required("secret", Kind::Keys(KeyForm::Base64), "`macSecretBase64` of the webhook").secret()])
    .secondary("pyairtable"),
    SourceType::new(
        "adyen-platform",
        "Adyen platforms, management and banking",
        &[Scheme::hmac("adyen-platform", base64("hmacsignature").key(KeyForm::Hex))],
    )
    .fields(&[Field::required("secret", Kind::Keys(KeyForm::Hex), "The HMAC key, in hexadecimal").secret()])
    .kind(&[&[Body("/type")]])
    .answer(Answer::body("text/plain", "[accepted]"))
    .primary("@adyen/api-library"),
    SourceType::new(
        "circleci",
        "CircleCI",
        &[Scheme::hmac(
            "circleci",
            Hmac::new("circleci-signature").frame(Frame::List { separator: ',', is_trimmed: false, key: "v1" }),
        )],
    )
    .id(&[Body("/id")])
    .kind(&[&[Header("circleci-event-type")], &[Body("/type")]])
    .primary("circleci/circleci-docs: outbound webhooks"),
    SourceType::new(
        "pagerduty",
        "PagerDuty",
        &[Scheme::hmac(
            "pagerduty",
            Hmac::new("x-pagerduty-signature").encoding(Encoding::HexAnyCase).frame(Frame::List {
                separator: ',',
                is_trimmed: false,
                key: "v1",
            }),
        )],
    )
    .id(&[Body("/event/id")])
    .kind(&[&[Body("/event/event_type")]])
    .primary("PagerDuty/go-pagerduty: webhookv3"),
    SourceType::new("mollie", "Mollie (webhooks with signature)", &[Scheme::hmac("mollie", hub("x-mollie-signature"))])
        .id(&[Body("/id")])
        .kind(&[&[Body("/type")]])
        .secondary("receivers of others"),
    SourceType::new(
        "flutterwave-v4",
        "Flutterwave v4",
        &[Scheme::hmac("flutterwave-v4", base64("flutterwave-signature"))],
    )
    .id(&[Body("/webhook_id")])
    .kind(&[&[Body("/type")]])
    .secondary("receivers of others"),
    SourceType::new("gitea", "Gitea", &[Scheme::hmac("gitea", Hmac::new("x-gitea-signature"))])
        .id(&[Header("x-gitea-delivery")])
        .kind(&[&[Header("x-gitea-event"), Body("/action")]])
        .secondary("documents of others"),
    SourceType::new("forgejo", "Forgejo", &[Scheme::hmac("forgejo", Hmac::new("x-forgejo-signature"))])
        .id(&[Header("x-forgejo-delivery")])
        .kind(&[&[Header("x-forgejo-event"), Body("/action")], &[Header("x-gitea-event"), Body("/action")]])
        .secondary("documents of others"),
    SourceType::new(
        "square",
        "Square",
        &[Scheme::hmac("square", base64("x-square-hmacsha256-signature").template(&[Part::Url, Part::Body]))],
    )
    .fields(URL_SECRET)
    .id(&[Body("/event_id")])
    .kind(&[&[Body("/type")]])
    .primary("square (npm)"),
    SourceType::new(
        "trello",
        "Trello",
        &[Scheme::hmac(
            "trello",
            base64("x-trello-webhook").algorithm(Algorithm::Sha1).template(&[Part::Body, Part::Url]),
        )],
    )
    .fields(URL_SECRET)
    .handshakes(&[Handshake::Head])
    .id(&[Body("/action/id")])
    .kind(&[&[Body("/action/type")]])
    .primary("developer.atlassian.com: Trello webhooks"),
    SourceType::new(
        "easypost",
        "EasyPost",
        &[Scheme::hmac("easypost", Hmac::new("x-hmac-signature").prefix("hmac-sha256-hex="))],
    )
    .fields(fields::SECRET_OR_NONE)
    .open()
    .id(&[Body("/id")])
    .kind(&[&[Body("/description")]])
    .primary("easypost-python: Webhook.validate_webhook"),
    SourceType::new("nango", "Nango", &[Scheme::hmac("nango", Hmac::new("x-nango-hmac-sha256"))])
        .kind(&[&[Body("/type")]])
        .primary("@nangohq/node: verifyIncomingWebhookRequest"),
    SourceType::new("panda-doc", "PandaDoc", &[Scheme::hmac("panda-doc", Hmac::new("signature").frame(Frame::Query))])
        .kind(&[&[Each("/*/event")]])
        .primary("developers.pandadoc.com: webhook verification"),
    SourceType::new(
        "segment",
        "Segment",
        &[Scheme::hmac("segment", Hmac::new("x-signature").algorithm(Algorithm::Sha1))],
    )
    .fields(fields::SECRET_OR_NONE)
    .open()
    .id(&[Body("/messageId")])
    .kind(&[&[Body("/type")]])
    .secondary("support.twilio.com: Segment's x-signature; a batch is signed by its first event alone"),
    SourceType::new("rutter", "Rutter", &[Scheme::hmac("rutter", base64("x-rutter-signature").prefix("sha256="))])
        .fields(&[fields::secret("The client secret of the organization")])
        .kind(&[&[Body("/code")], &[Body("/type")]])
        .primary("docs.rutterapi.com: webhook security"),
    SourceType::new("nylas", "Nylas", &[Scheme::hmac("nylas", Hmac::new("x-nylas-signature"))])
        .fields(&[fields::secret("`webhook_secret` of the webhook")])
        .handshakes(&[Handshake::EchoParameter("challenge")])
        .id(&[Body("/id")])
        .kind(&[&[Body("/type")]])
        .primary("developer.nylas.com: verify webhook signatures"),
    SourceType::new("veriff", "Veriff", &[Scheme::hmac("veriff", Hmac::new("x-hmac-signature"))])
        .fields(&[fields::secret("The shared secret key of the integration")])
        .kind(&[&[Body("/action")]])
        .primary("devdocs.veriff.com: HMAC authentication and endpoint security"),
];
