//! Providers that sign a time, or a nonce, with the body.

use super::super::canonical::Canonical;
use super::super::handshake::Handshake;
use super::super::hmac::{Encoding, Frame, Hmac, Part, Place, Unit};
use super::super::reading::Window;
use super::Where::{Body, Each, Header};
use super::fields::{self, Field, Kind};
use super::{How, Scheme, SourceType, When};
use Part::{Text, Timestamp};

/// Where the provider's documents name no window, and its own examples do not look: five minutes.
const USUAL: Window = Window::both(300);
/// `{timestamp}.{body}`.
const DOTTED: &[Part<'static>] = &[Timestamp, Text("."), Part::Body];
/// `{timestamp}:{body}`.
const WITH_COLON: &[Part<'static>] = &[Timestamp, Text(":"), Part::Body];
/// `{timestamp}{body}`.
const JOINED: &[Part<'static>] = &[Timestamp, Part::Body];
/// `v0:{timestamp}:{body}`.
const VERSION_ZERO: &[Part<'static>] = &[Text("v0:"), Timestamp, Text(":"), Part::Body];

/// A comma-separated list with seconds and hex signatures over `{timestamp}.{body}`.
const fn listed(header: &'static str, stamp: &'static str, key: &'static str, window: Window) -> Hmac<'static> {
    Hmac::new(header).frame(Frame::List { separator: ',', is_trimmed: false, key }).template(DOTTED).stamp(
        Place::List(stamp),
        Unit::Seconds,
        window,
    )
}

pub(super) const TYPES: &[SourceType] = &[
    SourceType::new(
        "stripe",
        "Stripe",
        &[Scheme::hmac("stripe", listed("stripe-signature", "t", "v1", Window::past(300)))],
    )
    .fields(&[fields::secret("The endpoint's signing secret, `whsec_…`; the whole text is the key")])
    .id(&[Body("/id")])
    .kind(&[&[Body("/type")]])
    .primary("stripe-node; stripe-python"),
    SourceType::new(
        "slack",
        "Slack",
        &[Scheme::hmac(
            "slack",
            Hmac::new("x-slack-signature").prefix("v0=").template(VERSION_ZERO).stamp(
                Place::Header("x-slack-request-timestamp"),
                Unit::Seconds,
                USUAL,
            ),
        )],
    )
    .handshakes(&[Handshake::Slack])
    .id(&[Body("/event_id")])
    .kind(&[&[Body("/event/type")], &[Body("/type")]])
    .primary("slack_sdk; @slack/bolt"),
    SourceType::new(
        "zoom",
        "Zoom",
        &[Scheme::hmac(
            "zoom",
            Hmac::new("x-zm-signature").prefix("v0=").template(VERSION_ZERO).stamp(
                Place::Header("x-zm-request-timestamp"),
                Unit::Seconds,
                USUAL,
            ),
        )],
    )
    .handshakes(&[Handshake::Zoom])
    .kind(&[&[Body("/event")]])
    .primary("zoom/webhook-sample; @zoom/rivet"),
    SourceType::new(
        "paddle",
        "Paddle Billing",
        &[Scheme::hmac(
            "paddle",
            Hmac::new("paddle-signature")
                .frame(Frame::List { separator: ';', is_trimmed: false, key: "h1" })
                .template(WITH_COLON)
                .stamp(Place::List("ts"), Unit::Seconds, Window::past(5)),
        )],
    )
    .id(&[Body("/event_id")])
    .kind(&[&[Body("/event_type")]])
    .primary("@paddle/paddle-node-sdk; paddle-python-sdk"),
    SourceType::new(
        "calendly",
        "Calendly",
        &[Scheme::hmac("calendly", listed("calendly-webhook-signature", "t", "v1", Window::both(180)))],
    )
    .kind(&[&[Body("/event")]])
    .secondary("community.calendly.com: an answer of Calendly's staff"),
    SourceType::new(
        "cloudflare-stream",
        "Cloudflare Stream",
        &[Scheme::hmac("cloudflare-stream", listed("webhook-signature", "time", "sig1", USUAL))],
    )
    .kind(&[&[Body("/status/state")]])
    .primary("cloudflare/cloudflare-docs: Stream webhooks"),
    SourceType::new(
        "buildkite",
        "Buildkite",
        &[
            Scheme::hmac(
                "buildkite",
                Hmac::new("x-buildkite-signature")
                    .frame(Frame::List { separator: ',', is_trimmed: true, key: "signature" })
                    .template(DOTTED)
                    .stamp(Place::List("timestamp"), Unit::Seconds, USUAL),
            )
            .when(When::Header("x-buildkite-signature")),
            Scheme::token("buildkite-token", super::token::in_header("x-buildkite-token"))
                .when(When::Header("x-buildkite-token")),
        ],
    )
    .kind(&[&[Header("x-buildkite-event")], &[Body("/event")]])
    .primary("buildkite/docs: webhooks"),
    SourceType::new(
        "sanity",
        "Sanity",
        &[Scheme::hmac(
            "sanity",
            Hmac::new("sanity-webhook-signature")
                .encoding(Encoding::Base64Url)
                .frame(Frame::List { separator: ',', is_trimmed: true, key: "v1" })
                .template(DOTTED)
                .stamp(Place::List("t"), Unit::Milliseconds, Window::NONE),
        )],
    )
    .id(&[Header("idempotency-key")])
    .kind(&[&[Header("sanity-operation")]])
    .primary("@sanity/webhook"),
    SourceType::new(
        "zendesk",
        "Zendesk",
        &[Scheme::hmac(
            "zendesk",
            Hmac::new("x-zendesk-webhook-signature").encoding(Encoding::Base64).template(JOINED).stamp(
                Place::Header("x-zendesk-webhook-signature-timestamp"),
                Unit::Rfc3339,
                USUAL,
            ),
        )],
    )
    .id(&[Header("x-zendesk-webhook-invocation-id"), Body("/id")])
    .kind(&[&[Body("/type")]])
    .primary("developer.zendesk.com: verifying webhooks"),
    SourceType::new(
        "twitch",
        "Twitch EventSub",
        &[Scheme::hmac(
            "twitch",
            Hmac::new("twitch-eventsub-message-signature")
                .prefix("sha256=")
                .template(&[Part::Id, Timestamp, Part::Body])
                .id("twitch-eventsub-message-id")
                .stamp(Place::Header("twitch-eventsub-message-timestamp"), Unit::Rfc3339, Window::past(600)),
        )],
    )
    .handshakes(&[Handshake::Twitch])
    .id(&[Header("twitch-eventsub-message-id")])
    .kind(&[&[Header("twitch-eventsub-subscription-type")]])
    .primary("twitchdev/twitch-cli; dev.twitch.tv"),
    SourceType::new(
        "linear",
        "Linear",
        &[Scheme::hmac(
            "linear",
            Hmac::new("linear-signature").stamp(Place::Body("/webhookTimestamp"), Unit::Milliseconds, Window::both(60)),
        )],
    )
    .id(&[Header("linear-delivery")])
    .kind(&[&[Body("/type"), Body("/action")], &[Header("linear-event")]])
    .primary("@linear/sdk"),
    SourceType::new(
        "webflow",
        "Webflow",
        &[Scheme::hmac(
            "webflow",
            Hmac::new("x-webflow-signature").template(WITH_COLON).stamp(
                Place::Header("x-webflow-timestamp"),
                Unit::Milliseconds,
                USUAL,
            ),
        )],
    )
    .kind(&[&[Body("/triggerType")]])
    .secondary("hookdeck/webhook-skills: webflow"),
    SourceType::new(
        "tailscale",
        "Tailscale",
        &[Scheme::hmac("tailscale", listed("tailscale-webhook-signature", "t", "v1", Window::NONE))],
    )
    .fields(&[
        fields::secret("The webhook secret, `tskey-webhook-…`"),
        Field::optional(
            "timestampGraceSeconds",
            Kind::Integer(1, 86_400),
            "How far the timestamp may be from the clock, in seconds; not looked at if left out",
        ),
    ])
    .kind(&[&[Each("/*/type")]])
    .primary("tailscale/ts-webhook-adapter: signature.go"),
    SourceType::new(
        "airwallex",
        "Airwallex",
        &[Scheme::hmac(
            "airwallex",
            Hmac::new("x-signature").template(JOINED).stamp(Place::Header("x-timestamp"), Unit::Milliseconds, USUAL),
        )],
    )
    .id(&[Body("/id")])
    .kind(&[&[Body("/name")]])
    .primary("airwallex.com/docs: listen for webhook events"),
    SourceType::new(
        "checkbook",
        "Checkbook",
        &[Scheme::hmac(
            "checkbook",
            Hmac::new("signature")
                .frame(Frame::List { separator: ',', is_trimmed: true, key: "signature" })
                .template(&[Part::Body, Timestamp])
                .stamp(Place::List("nonce"), Unit::Opaque, Window::NONE),
        )],
    )
    .kind(&[&[Body("/type")]])
    .primary("docs.checkbook.io: webhooks, whose example verifies"),
    SourceType::new(
        "port-io",
        "Port",
        &[Scheme::hmac(
            "port-io",
            Hmac::new("x-port-signature")
                .encoding(Encoding::Base64)
                .frame(Frame::Versions("v1"))
                .template(DOTTED)
                .stamp(Place::Header("x-port-timestamp"), Unit::Milliseconds, Window::NONE),
        )],
    )
    .primary("docs.getport.io: validating webhook signatures"),
    SourceType::new(
        "hubspot",
        "HubSpot",
        &[
            Scheme::new("hubspot-v1", How::Canonical(Canonical::HubspotV1))
                .when(When::Choice("signatureVersion", "v1")),
            Scheme::new("hubspot-v2", How::Canonical(Canonical::HubspotV2))
                .when(When::Choice("signatureVersion", "v2")),
            Scheme::hmac(
                "hubspot-v3",
                Hmac::new("x-hubspot-signature-v3")
                    .encoding(Encoding::Base64)
                    .template(&[Part::Method, Part::Url, Part::Body, Timestamp])
                    .stamp(Place::Header("x-hubspot-request-timestamp"), Unit::Milliseconds, Window::past(300)),
            ),
        ],
    )
    .fields(&[
        Field { is_required: false, ..fields::secret("The app's client secret; without it nothing is verified") },
        Field::optional(
            "signatureVersion",
            Kind::Choice(&["v3", "v2", "v1"]),
            "The only version of signatures that is accepted; v3 if left out. v1 and v2 are weaker",
        ),
        fields::NOTIFICATION_URL,
    ])
    .open()
    .kind(&[&[Each("/*/subscriptionType")]])
    .primary("@hubspot/api-client; hubspot-api-client"),
];
