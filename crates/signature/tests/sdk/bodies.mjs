// Providers that sign the body, perhaps with a time or the URL, with a shared secret.

import { createRequire } from "node:module";
import { LinearWebhookClient } from "@linear/sdk/webhooks";
import { validateSignature } from "@line/bot-sdk";
import { Nango } from "@nangohq/node";
import { signWebhookPayload, verifyWebhookSignature } from "@notionhq/client";
import * as github from "@octokit/webhooks-methods";
import * as sanity from "@sanity/webhook";
import { verifySignature } from "gocardless-nodejs/webhooks";
import OpenAI from "openai";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const require = createRequire(import.meta.url);
const { hmacValidator } = require("@adyen/api-library");
const { Paddle } = require("@paddle/paddle-node-sdk");
require("@shopify/shopify-api/adapters/node");
const { shopifyApi, ApiVersion } = require("@shopify/shopify-api");
const { verifyRequestSignature } = require("@slack/events-api");
const { Webhook: coinbase } = require("coinbase-commerce-node");
const Razorpay = require("razorpay");
const { WebhooksHelper } = require("square");
const Stripe = require("stripe");

const stripe = new Stripe("sk_test_none");
const paddle = new Paddle("none");
const openai = new OpenAI({ apiKey: "none" });

// The three headers of Standard Webhooks, under either name.
function standard(Library, prefix) {
  return {
    sign: ({ secret, id, now_ms, text }) => ({
      headers: {
        [`${prefix}-id`]: id,
        [`${prefix}-timestamp`]: String(Math.floor(now_ms / 1000)),
        [`${prefix}-signature`]: new Library(secret).sign(id, new Date(now_ms), text),
      },
    }),
    verify: ({ secret, headers, text }) => {
      try {
        new Library(secret).verify(text, headers);
      } catch (error) {
        // It parses the body when it has found the signature right: that is another question.
        if (!(error instanceof SyntaxError)) throw error;
      }
      return true;
    },
  };
}

// What Shopify sends beside the signature, and its library asks for, under the names of both its kinds.
const SHOPIFY = Object.fromEntries(
  ["shopify", "x-shopify"].flatMap((prefix) => [
    [`${prefix}-topic`, "orders/create"],
    [`${prefix}-api-version`, "2026-01"],
    [`${prefix}-shop-domain`, "a.myshopify.com"],
    [`${prefix}-webhook-id`, "1"],
    [`${prefix}-event-id`, "1"],
  ]),
);

async function isShopifys({ secret, headers, text }) {
  const shopify = shopifyApi({
    apiKey: "none",
    apiSecretKey: secret,
    scopes: ["none"],
    hostName: "hooks.example.com",
    apiVersion: ApiVersion.January26,
    isEmbeddedApp: false,
    logger: { level: 0 },
  });
  const rawRequest = { method: "POST", url: "/", headers: { ...SHOPIFY, ...headers } };
  return (await shopify.webhooks.validate({ rawBody: text, rawRequest, rawResponse: {} })).valid;
}

export const bodies = {
  "adyen-platform": {
    sign: ({ secret, text }) => ({ headers: { hmacsignature: new hmacValidator().calculateHmac(text, secret) } }),
  },
  "coinbase-commerce": {
    sign: ({ secret, text }) => ({ headers: { "x-cc-webhook-signature": coinbase.computeSignature(text, secret) } }),
    verify: ({ secret, headers, text }) => coinbase.verifySigHeader(text, headers["x-cc-webhook-signature"], secret),
  },
  github: {
    sign: async ({ secret, text }) =>
      text === "" ? null : { headers: { "x-hub-signature-256": await github.sign(secret, text) } },
    verify: ({ secret, headers, text }) => github.verify(secret, text, headers["x-hub-signature-256"]),
  },
  gocardless: {
    verify: ({ secret, headers, text }) => {
      verifySignature(text, secret, headers["webhook-signature"]);
      return true;
    },
  },
  line: { verify: ({ secret, headers, body }) => validateSignature(body, secret, headers["x-line-signature"]) },
  linear: {
    verify: ({ secret, headers, body }) => new LinearWebhookClient(secret).verify(body, headers["linear-signature"]),
  },
  nango: {
    verify: ({ secret, headers, text }) =>
      new Nango({ apiKey: "none", webhookSigningKey: secret }).verifyIncomingWebhookRequest(text, headers),
  },
  notion: {
    sign: async ({ secret, text }) => {
      const signature = await signWebhookPayload({ body: text, verificationToken: secret });
      return { headers: { "x-notion-signature": signature } };
    },
    verify: ({ secret, headers, body }) =>
      verifyWebhookSignature({ body, signature: headers["x-notion-signature"], verificationToken: secret }),
  },
  "open-ai": {
    verify: async ({ secret, headers, text }) => {
      await openai.webhooks.verifySignature(text, headers, secret);
      return true;
    },
  },
  paddle: { verify: ({ secret, headers, text }) => paddle.webhooks.isSignatureValid(text, secret, headers["paddle-signature"]) },
  razorpay: {
    verify: ({ secret, headers, text }) =>
      Razorpay.validateWebhookSignature(text, headers["x-razorpay-signature"], secret),
  },
  sanity: {
    sign: async ({ secret, now_ms, text }) =>
      text === ""
        ? null
        : { headers: { "sanity-webhook-signature": await sanity.encodeSignatureHeader(text, now_ms, secret) } },
    verify: ({ secret, headers, text }) => sanity.isValidSignature(text, headers["sanity-webhook-signature"], secret),
  },
  shopify: { verify: isShopifys },
  slack: {
    verify: ({ secret, headers, text }) =>
      verifyRequestSignature({
        signingSecret: secret,
        requestSignature: headers["x-slack-signature"],
        requestTimestamp: Number(headers["x-slack-request-timestamp"]),
        body: text,
      }),
  },
  square: {
    verify: ({ secret, headers, url, text }) =>
      WebhooksHelper.isValidWebhookEventSignature(text, headers["x-square-hmacsha256-signature"], secret, url),
  },
  "standard-webhooks": standard(StandardWebhook, "webhook"),
  stripe: {
    sign: ({ secret, now_ms, text }) => {
      const timestamp = Math.floor(now_ms / 1000);
      const signature = stripe.webhooks.generateTestHeaderString({ payload: text, secret, timestamp });
      return { headers: { "stripe-signature": signature } };
    },
    verify: ({ secret, headers, body }) =>
      stripe.webhooks.signature.verifyHeader(body, headers["stripe-signature"], secret, 300),
  },
  svix: standard(SvixWebhook, "svix"),
};
