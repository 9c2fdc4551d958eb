// Operational webhooks, access for customers, health and refusals.

import assert from "node:assert/strict";

import { failsWith, fieldRefused, proved, verified, walk } from "./common.mjs";
import { only, onlyOf, put, putHeaders, sdk } from "./names.mjs";

const ENDPOINTS = "/api/v1/operational-webhook/endpoint";

export async function operational(posthouse, app, receiver) {
  const api = posthouse.operationalWebhook.endpoint;
  const url = receiver.url("/operational");
  const made = await api.create({ url, uid: "ops", metadata: { a: "b" }, ...only("endpoint.created") });
  assert.deepEqual([made.uid, made.url, made.metadata], ["ops", url, { a: "b" }]);
  assert.deepEqual(onlyOf(made), ["endpoint.created"]);
  await failsWith(409, () => api.create({ url, uid: "ops" }));
  await fieldRefused("url", () => api.create({ url: "no url" }));
  proved(`POST ${ENDPOINTS}`);
  const second = await api.create({ url, uid: "ops-2", disabled: true });
  assert.equal((await api.get("ops")).id, made.id);
  proved(`GET ${ENDPOINTS}/{endpoint_id}`);
  const ids = await walk((iterator) => api.list({ limit: 1, iterator, order: "ascending" }));
  assert.deepEqual(ids, [made.id, second.id]);
  proved(`GET ${ENDPOINTS}`);
  const changed = await put(api, "ops-2", { url, uid: "ops-3", description: "third", disabled: true });
  assert.deepEqual([changed.id, changed.uid, changed.description], [second.id, "ops-3", "third"]);
  proved(`PUT ${ENDPOINTS}/{endpoint_id}`);
  await api.delete("ops-3");
  await failsWith(404, () => api.get(second.id));
  proved(`DELETE ${ENDPOINTS}/{endpoint_id}`);
  await headersAndSecret(api);
  const { key: secret } = await api.getSecret("ops");
  await told(posthouse, app, receiver, secret);
  await api.delete("ops");
}

async function headersAndSecret(api) {
  await putHeaders(api, "ops", { headers: { "x-ops": "1", authorization: "Bearer hidden" } });
  proved(`PUT ${ENDPOINTS}/{endpoint_id}/headers`);
  const shown = await api.getHeaders("ops");
  assert.equal(shown.headers["x-ops"], "1");
  assert.ok(!JSON.stringify(shown).includes("hidden"), JSON.stringify(shown));
  assert.deepEqual(shown.sensitive, ["authorization"]);
  proved(`GET ${ENDPOINTS}/{endpoint_id}/headers`);
  const { key: old } = await api.getSecret("ops");
  proved(`GET ${ENDPOINTS}/{endpoint_id}/secret`);
  await api.rotateSecret("ops", {});
  assert.notEqual((await api.getSecret("ops")).key, old);
  proved(`POST ${ENDPOINTS}/{endpoint_id}/secret/rotate`);
}

/** A new endpoint is told of, by a webhook like all others. */
async function told(posthouse, app, receiver, secret) {
  const created = await posthouse.endpoint.create(app, { url: receiver.url("/unused") });
  const received = await receiver.wait("/operational");
  const { type, data } = JSON.parse(verified(received, [secret]));
  assert.deepEqual([type, data.appId, data.endpointId], ["endpoint.created", app, created.id]);
  assert.equal(received.headers["x-ops"], "1");
  await posthouse.endpoint.delete(app, created.id);
}

/** A customer's token opens one application, until it is logged out. */
export async function portal(posthouse, app, serverUrl) {
  const api = posthouse.authentication;
  const access = await api.appPortalAccess(app, {});
  assert.ok(access.token && access.url.includes(access.token), access.url);
  const customer = new sdk.Svix(access.token, { serverUrl });
  assert.equal((await customer.application.get(app)).id, app);
  const made = await customer.endpoint.create(app, { url: "https://example.com/customer", disabled: true });
  await customer.endpoint.delete(app, made.id);
  await failsWith(403, () => customer.application.list());
  await failsWith(403, () => customer.message.create(app, { eventType: "invoice.paid", payload: {} }));
  const capabilities = [sdk.AppPortalCapability.ViewBase];
  const { token } = await api.appPortalAccess(app, { capabilities, expiry: 3_600 });
  const reader = new sdk.Svix(token, { serverUrl });
  assert.equal((await reader.endpoint.get(app, "main")).uid, "main");
  await failsWith(403, () => reader.endpoint.delete(app, "main"));
  await failsWith(403, () => reader.endpoint.getSecret(app, "main"));
  await fieldRefused("expiry", () => api.appPortalAccess(app, { expiry: 1 }));
  proved("POST /api/v1/auth/app-portal-access/{app_id}");
  await customer.authentication.logout();
  await failsWith(401, () => customer.application.get(app));
  assert.equal((await reader.application.get(app)).id, app);
  proved("POST /api/v1/auth/logout");
  await api.expireAll(app, { sessionIds: ["nobody"] });
  assert.equal((await reader.application.get(app)).id, app);
  await api.expireAll(app, {});
  await failsWith(401, () => reader.application.get(app));
  proved("POST /api/v1/auth/app/{app_id}/expire-all");
}

export async function health(posthouse) {
  await posthouse.health.get();
  proved("GET /api/v1/health");
}

export async function refusals(posthouse, app, serverUrl) {
  const stranger = new sdk.Svix("wrong", { serverUrl });
  const { code } = await failsWith(401, () => stranger.application.list());
  assert.equal(code, "authentication_failed");
  await failsWith(501, () => posthouse.integration.list(app));
}
