// Sources and their endpoints: what comes in from a provider goes out to an endpoint.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";

import { failsWith, fieldRefused, proved, verified, walk } from "./common.mjs";
import { put, putHeaders } from "./names.mjs";

const SOURCES = "/ingest/api/v1/source";
const ENDPOINTS = `${SOURCES}/{source_id}/endpoint`;
const SECRET = "whsec_from_stripe";

export async function ingest(posthouse, receiver) {
  const source = await sources(posthouse);
  await endpoints(posthouse, source, receiver);
  await received(posthouse, source, receiver);
  await posthouse.ingest.source.delete(source.id);
}

/** Makes a Stripe source, and others that go again. */
async function sources(posthouse) {
  const api = posthouse.ingest.source;
  const wanted = { name: "Payments", uid: "payments", type: "stripe", config: { secret: SECRET }, metadata: { a: "b" } };
  const made = await api.create(wanted, { idempotencyKey: "source-1" });
  assert.deepEqual([made.name, made.uid, made.type, made.metadata], ["Payments", "payments", "stripe", { a: "b" }]);
  assert.ok(made.ingestUrl.startsWith("http") && !JSON.stringify(made).includes(SECRET), JSON.stringify(made));
  assert.equal((await api.create(wanted, { idempotencyKey: "source-1" })).id, made.id);
  await failsWith(409, () => api.create(wanted));
  await fieldRefused("secret", () => api.create({ name: "x", type: "stripe", config: { secret: "" } }));
  proved(`POST ${SOURCES}`);
  assert.deepEqual(await api.get("payments"), await api.get(made.id));
  await failsWith(404, () => api.get("nobody"));
  proved(`GET ${SOURCES}/{source_id}`);
  const hub = { name: "Code", uid: "code", type: "github", config: { secret: "a" } };
  const second = await put(api, "code", hub);
  const open = { name: "Any", uid: "code", type: "generic-webhook", config: {} };
  const again = await put(api, second.id, open);
  assert.deepEqual([again.id, again.name, again.type], [second.id, "Any", "generic-webhook"]);
  proved(`PUT ${SOURCES}/{source_id}`);
  const ids = await walk((iterator) => api.list({ limit: 1, iterator, order: "ascending" }));
  assert.deepEqual(ids, [made.id, second.id].sort());
  proved(`GET ${SOURCES}`);
  await api.delete("code");
  await failsWith(404, () => api.get(second.id));
  proved(`DELETE ${SOURCES}/{source_id}`);
  const { ingestUrl } = await api.rotateToken(made.id);
  assert.notEqual(ingestUrl, made.ingestUrl);
  assert.equal((await api.get(made.id)).ingestUrl, ingestUrl);
  proved(`POST ${SOURCES}/{source_id}/token/rotate`);
  return { id: made.id, urls: [made.ingestUrl, ingestUrl] };
}

async function endpoints(posthouse, source, receiver) {
  const api = posthouse.ingest.endpoint;
  const wanted = { url: receiver.url("/ingest"), uid: "in", description: "first", metadata: { a: "b" } };
  const made = await api.create(source.id, wanted);
  assert.deepEqual([made.url, made.uid, made.description, made.metadata], Object.values(wanted));
  await failsWith(409, () => api.create(source.id, wanted));
  await fieldRefused("url", () => api.create(source.id, { url: "no url" }));
  await failsWith(404, () => api.create("nobody", wanted));
  proved(`POST ${ENDPOINTS}`);
  const second = await api.create(source.id, { url: wanted.url, uid: "in-2", disabled: true });
  assert.equal((await api.get("payments", "in")).id, made.id);
  proved(`GET ${ENDPOINTS}/{endpoint_id}`);
  const ids = await walk((iterator) => api.list(source.id, { limit: 1, iterator, order: "ascending" }));
  assert.deepEqual(ids, [made.id, second.id].sort());
  proved(`GET ${ENDPOINTS}`);
  const changed = await put(api, source.id, "in-2", { url: wanted.url, uid: "in-3", description: "third" });
  assert.deepEqual([changed.id, changed.uid, changed.description], [second.id, "in-3", "third"]);
  proved(`PUT ${ENDPOINTS}/{endpoint_id}`);
  await api.delete(source.id, "in-3");
  await failsWith(404, () => api.get(source.id, second.id));
  proved(`DELETE ${ENDPOINTS}/{endpoint_id}`);
  await putHeaders(api, source.id, "in", { headers: { "x-in": "1", authorization: "Bearer hidden" } });
  proved(`PUT ${ENDPOINTS}/{endpoint_id}/headers`);
  const shown = await api.getHeaders(source.id, "in");
  assert.equal(shown.headers["x-in"], "1");
  assert.ok(!JSON.stringify(shown).includes("hidden"), JSON.stringify(shown));
  assert.deepEqual(shown.sensitive, ["authorization"]);
  proved(`GET ${ENDPOINTS}/{endpoint_id}/headers`);
  const { key: old } = await api.getSecret(source.id, "in");
  proved(`GET ${ENDPOINTS}/{endpoint_id}/secret`);
  await api.rotateSecret(source.id, "in", {});
  assert.notEqual((await api.getSecret(source.id, "in")).key, old);
  proved(`POST ${ENDPOINTS}/{endpoint_id}/secret/rotate`);
}

/** An event of the provider arrives by both URLs, signed by us. */
async function received(posthouse, { id, urls }, receiver) {
  const { key } = await posthouse.ingest.endpoint.getSecret(id, "in");
  for (const [number, url] of urls.entries()) {
    const body = JSON.stringify({ id: `evt_${number}`, type: "charge.succeeded" });
    const at = Math.floor(Date.now() / 1000);
    const signature = createHmac("sha256", SECRET).update(`${at}.${body}`).digest("hex");
    const headers = { "content-type": "application/json", "stripe-signature": `t=${at},v1=${signature}` };
    const answer = await fetch(url, { method: "POST", body, headers });
    assert.equal(answer.status, 200, await answer.text());
    const arrived = await receiver.wait("/ingest", undefined, number + 1);
    assert.equal(verified(arrived, [key]), body);
    assert.deepEqual([arrived.headers["x-in"], arrived.headers["stripe-signature"]], ["1", headers["stripe-signature"]]);
    assert.equal((await fetch(url, { method: "POST", body })).status, 401);
  }
}
