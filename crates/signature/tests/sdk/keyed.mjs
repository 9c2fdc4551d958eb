// Providers with a public key, a certificate or a token, and those that sign fields put together.
//
// Where the library only verifies, the provider's part is node:crypto with keys made here; an answer to `sign`
// then says under `config` what a source is to be configured with, and under `wrong` what would be wrong.

import { createHash, generateKeyPairSync, sign as signWith } from "node:crypto";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { signRequest, verifyRequest } from "@contentful/node-apps-toolkit";
import { EventWebhook } from "@sendgrid/eventwebhook";
import * as atlassian from "atlassian-jwt";
import { verifyKey } from "discord-interactions";
import { OAuth2Client } from "google-auth-library";
import twilio from "twilio";

const require = createRequire(import.meta.url);
const https = require("node:https");
const { hmacValidator } = require("@adyen/api-library");
const braintree = require("braintree");
const MessageValidator = require("sns-validator");
const telnyx = require("telnyx");

const pairs = (kind, options) => [generateKeyPairSync(kind, options), generateKeyPairSync(kind, options)];
const [ed25519, otherEd25519] = pairs("ed25519");
const [p256, otherP256] = pairs("ec", { namedCurve: "prime256v1" });
const [rsa, otherRsa] = pairs("rsa", { modulusLength: 2048 });

// The 32 bytes of an ed25519 key: what is behind the twelve that say so.
const raw = ({ publicKey }, encoding) => publicKey.export({ type: "spki", format: "der" }).subarray(12).toString(encoding);
const pem = ({ publicKey }) => publicKey.export({ type: "spki", format: "pem" });
const spki = ({ publicKey }) => publicKey.export({ type: "spki", format: "der" }).toString("base64");
const jwk = ({ publicKey }, kid) => ({ ...publicKey.export({ format: "jwk" }), kid, alg: "RS256" });
const seconds = (now_ms) => Math.floor(now_ms / 1000);
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

const fields = (text) => {
  const params = {};
  for (const [name, value] of new URLSearchParams(text)) {
    params[name] = name in params ? [params[name], value].flat() : value;
  }
  return params;
};
const isForm = ({ headers }) => headers["content-type"] === "application/x-www-form-urlencoded";

const gateway = ({ secret }) =>
  new braintree.BraintreeGateway({
    environment: braintree.Environment.Sandbox,
    merchantId: "none",
    publicKey: "public_1",
    privateKey: secret,
  });

// Verified against the certificate that the test has made, wherever the message says that it is.
let certificate = "";
https.get = (url, callback) => {
  const answer = Readable.from([certificate]);
  answer.statusCode = 200;
  callback(answer);
  return { on() {} };
};

function signedBySns({ text }) {
  const message = JSON.parse(text);
  const names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"].filter((name) => name in message);
  return names.map((name) => `${name}\n${message[name]}\n`).join("");
}

const contentful = ({ method, url, headers, text }) => {
  const { pathname, search } = new URL(url);
  return { method, path: pathname + search, headers, body: text };
};

export const keyed = {
  adyen: {
    sign: ({ secret, text }) => {
      const body = JSON.parse(text);
      for (const { NotificationRequestItem: item } of body.notificationItems) {
        item.additionalData = { hmacSignature: new hmacValidator().calculateHmac(item, secret) };
      }
      return { body: Buffer.from(JSON.stringify(body, null, 2)).toString("base64") };
    },
    verify: ({ secret, text }) =>
      JSON.parse(text).notificationItems.every(({ NotificationRequestItem: item }) =>
        new hmacValidator().validateHMAC(item, secret),
      ),
  },
  "atlassian-connect": {
    sign: ({ secret, method, url, now_ms }) => {
      const qsh = atlassian.createQueryStringHash(atlassian.fromMethodAndUrl(method, url));
      const claims = { iss: "client", iat: seconds(now_ms), exp: seconds(now_ms) + 180, qsh };
      return { headers: { authorization: `JWT ${atlassian.encodeSymmetric(claims, secret)}` } };
    },
    verify: ({ secret, method, url, headers }) => {
      const token = headers.authorization.slice("JWT ".length);
      const claims = atlassian.decodeSymmetric(token, secret, atlassian.SymmetricAlgorithm.HS256);
      // As its documentation says what is left to the caller.
      const qsh = atlassian.createQueryStringHash(atlassian.fromMethodAndUrl(method, url));
      return claims.qsh === qsh && Date.now() / 1000 < claims.exp;
    },
  },
  "aws-sns": {
    sign: (asked) => {
      const algorithm = asked.version === "1" ? "sha1" : "sha256";
      const signature = signWith(algorithm, Buffer.from(signedBySns(asked)), asked.private_key).toString("base64");
      const message = { ...JSON.parse(asked.text), SignatureVersion: asked.version, Signature: signature };
      return { body: Buffer.from(JSON.stringify(message, null, 2)).toString("base64") };
    },
    verify: ({ certificate: given, text }) => {
      certificate = given;
      return new Promise((resolve, reject) => {
        new MessageValidator().validate(text, (error) => (error ? reject(error) : resolve(true)));
      });
    },
  },
  braintree: {
    sign: (asked) => {
      const { bt_signature, bt_payload } = gateway(asked).webhookTesting.sampleNotification("check", "1");
      return { body: Buffer.from(new URLSearchParams({ bt_signature, bt_payload }).toString()).toString("base64") };
    },
    verify: async (asked) => {
      const { bt_signature, bt_payload } = fields(asked.text);
      await gateway(asked).webhookNotification.parse(bt_signature, bt_payload);
      return true;
    },
  },
  contentful: {
    sign: (asked) => ({ headers: signRequest(asked.secret, contentful(asked), asked.now_ms) }),
    verify: (asked) => verifyRequest(asked.secret, contentful(asked)),
  },
  discord: {
    sign: ({ body, now_ms }) => {
      const at = String(seconds(now_ms));
      const signature = signWith(null, Buffer.concat([Buffer.from(at), body]), ed25519.privateKey).toString("hex");
      const config = { publicKey: raw(ed25519, "hex") };
      const wrong = { publicKey: raw(otherEd25519, "hex") };
      return { headers: { "x-signature-ed25519": signature, "x-signature-timestamp": at }, config, wrong };
    },
    verify: ({ body, headers, config }) =>
      verifyKey(body, headers["x-signature-ed25519"], headers["x-signature-timestamp"], config.publicKey),
  },
  "google-pubsub": {
    sign: ({ now_ms, claims }) => {
      const at = seconds(now_ms);
      const head = base64url({ alg: "RS256", kid: "1", typ: "JWT" });
      const signed = `${head}.${base64url({ iat: at, exp: at + 3600, ...claims })}`;
      const signature = signWith("sha256", Buffer.from(signed), rsa.privateKey).toString("base64url");
      const own = { serviceAccount: "push@a.iam.gserviceaccount.com", audience: "https://a.example/in" };
      const config = { ...own, jwks: { keys: [jwk(rsa, "1")] } };
      const wrong = { ...own, jwks: { keys: [jwk(otherRsa, "1")] } };
      return { headers: { authorization: `Bearer ${signed}.${signature}` }, config, wrong };
    },
    verify: async ({ headers, config }) => {
      const keys = Object.fromEntries(config.jwks.keys.map((key) => [key.kid, key.n === jwk(rsa).n ? pem(rsa) : pem(otherRsa)]));
      const token = headers.authorization.slice("Bearer ".length);
      const issuers = ["https://accounts.google.com", "accounts.google.com"];
      const ticket = await new OAuth2Client().verifySignedJwtWithCertsAsync(token, keys, config.audience, issuers);
      // Whose token it is, Google's documentation of push subscriptions leaves to the receiver.
      const { email, email_verified } = ticket.getPayload();
      return email_verified === true && email === config.serviceAccount;
    },
  },
  sendgrid: {
    sign: ({ body, now_ms }) => {
      const at = String(seconds(now_ms));
      const signature = signWith("sha256", Buffer.concat([Buffer.from(at), body]), p256.privateKey).toString("base64");
      const name = "x-twilio-email-event-webhook";
      const headers = { [`${name}-signature`]: signature, [`${name}-timestamp`]: at };
      return { headers, config: { publicKey: spki(p256) }, wrong: { publicKey: spki(otherP256) } };
    },
    verify: ({ text, headers, config }) => {
      const events = new EventWebhook();
      const key = events.convertPublicKeyToECDSA(config.publicKey);
      const name = "x-twilio-email-event-webhook";
      return events.verifySignature(key, text, headers[`${name}-signature`], headers[`${name}-timestamp`]);
    },
  },
  telnyx: {
    sign: ({ body, now_ms }) => {
      const at = String(seconds(now_ms));
      const signed = Buffer.concat([Buffer.from(`${at}|`), body]);
      const signature = signWith(null, signed, ed25519.privateKey).toString("base64");
      const headers = { "telnyx-signature-ed25519": signature, "telnyx-timestamp": at };
      return { headers, config: { publicKey: raw(ed25519, "base64") }, wrong: { publicKey: raw(otherEd25519, "base64") } };
    },
    verify: ({ text, headers, config }) => {
      const name = "telnyx-signature-ed25519";
      const { signature } = telnyx("none").webhooks;
      return signature.verifySignature(text, headers[name], headers["telnyx-timestamp"], config.publicKey, 300);
    },
  },
  twilio: {
    sign: (asked) => {
      const hash = twilio.getExpectedBodyHash?.(asked.text) ?? createHash("sha256").update(asked.text).digest("hex");
      const url = isForm(asked) ? asked.url : `${asked.url}&bodySHA256=${hash}`;
      const params = isForm(asked) ? fields(asked.text) : {};
      const headers = { "x-twilio-signature": twilio.getExpectedTwilioSignature(asked.secret, url, params) };
      return { headers, url };
    },
    verify: (asked) => {
      const signature = asked.headers["x-twilio-signature"];
      return isForm(asked)
        ? twilio.validateRequest(asked.secret, signature, asked.url, fields(asked.text))
        : twilio.validateRequestWithBody(asked.secret, signature, asked.url, asked.text);
    },
  },
};
