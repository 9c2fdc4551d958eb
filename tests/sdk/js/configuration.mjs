// Applications, event types and endpoints: everything that is set up before messages flow.

import assert from "node:assert/strict";

import { failsWith, fieldRefused, proved, walk } from "./common.mjs";
import { only, onlyOf, put, putHeaders } from "./names.mjs";

const SCHEMA = {
  1: {
    title: "Invoice paid",
    type: "object",
    required: ["amount", "currency"],
    properties: { amount: { type: "integer" }, currency: { type: "string" } },
  },
};

/** What of an object is of interest. */
function of(object, ...names) {
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}

export async function applications(posthouse) {
  const api = posthouse.application;
  const wanted = { name: "SDK", uid: "sdk-1", throttleRate: 500, metadata: { plan: "pro" } };
  const made = await api.create(wanted);
  assert.deepEqual(of(made, "name", "uid", "throttleRate", "metadata"), wanted);
  assert.ok(made.createdAt instanceof Date && Math.abs(Date.now() - made.createdAt) < 60_000);
  assert.equal((await api.getOrCreate({ name: "Other", uid: "sdk-1" })).id, made.id);
  assert.equal((await failsWith(409, () => api.create({ name: "x", uid: "sdk-1" }))).code, "conflict");
  await fieldRefused("uid", () => api.create({ name: "x", uid: "no uid" }));
  proved("POST /api/v1/app");
  assert.equal((await api.get("sdk-1")).id, made.id);
  proved("GET /api/v1/app/{app_id}");
  const patched = await api.patch(made.id, { name: "Renamed" });
  assert.deepEqual(of(patched, "name", "uid", "throttleRate", "metadata"), { ...wanted, name: "Renamed" });
  assert.equal((await api.patch(made.id, { throttleRate: null })).throttleRate, null);
  proved("PATCH /api/v1/app/{app_id}");
  const others = [];
  for (const n of [2, 3, 4, 5]) others.push(await put(api, `sdk-${n}`, { name: `No. ${n}`, uid: `sdk-${n}` }));
  const again = await put(api, "sdk-2", { name: "Second", uid: "sdk-2", metadata: { a: "b" } });
  assert.deepEqual(of(again, "id", "name", "metadata"), { id: others[0].id, name: "Second", metadata: { a: "b" } });
  proved("PUT /api/v1/app/{app_id}");
  const ids = [made.id, ...others.map(({ id }) => id)].sort();
  assert.deepEqual(await walk((iterator) => api.list({ limit: 2, iterator, order: "ascending" })), ids);
  assert.deepEqual(await walk((iterator) => api.list({ limit: 2, iterator, order: "descending" })), ids.toReversed());
  await fieldRefused("iterator", () => api.list({ iterator: "nonsense" }));
  proved("GET /api/v1/app");
  for (const { id } of others) await api.delete(id);
  await failsWith(404, () => api.get("sdk-2"));
  proved("DELETE /api/v1/app/{app_id}");
  return made.id;
}

export async function eventTypes(posthouse) {
  const api = posthouse.eventType;
  const made = await api.create({ name: "invoice.paid", description: "An invoice was paid", schemas: SCHEMA });
  assert.deepEqual(of(made, "name", "archived", "schemas"), { name: "invoice.paid", archived: false, schemas: SCHEMA });
  await failsWith(409, () => api.create({ name: "invoice.paid", description: "x" }));
  await fieldRefused("name", () => api.create({ name: "no name", description: "x" }));
  proved("POST /api/v1/event-type");
  assert.equal((await api.get("invoice.paid")).description, "An invoice was paid");
  await failsWith(404, () => api.get("invoice.unknown"));
  proved("GET /api/v1/event-type/{event_type_name}");
  const replaced = await put(api, "invoice.lost", { description: "Lost", groupName: "invoice" });
  assert.deepEqual(of(replaced, "name", "groupName"), { name: "invoice.lost", groupName: "invoice" });
  const again = await put(api, "invoice.lost", { description: "Was lost", deprecated: true });
  assert.deepEqual(of(again, "description", "deprecated"), { description: "Was lost", deprecated: true });
  proved("PUT /api/v1/event-type/{event_type_name}");
  const patched = await api.patch("invoice.lost", { deprecated: false });
  assert.deepEqual(of(patched, "description", "deprecated"), { description: "Was lost", deprecated: false });
  await failsWith(404, () => api.patch("invoice.unknown", { deprecated: true }));
  proved("PATCH /api/v1/event-type/{event_type_name}");
  await removedEventTypes(api);
}

/** Archived ones are listed where they are asked for, and come back; expunged ones are gone. */
async function removedEventTypes(api) {
  await api.create({ name: "invoice.old", description: "Old" });
  const names = async (options) => (await api.list(options)).data.map(({ name }) => name);
  assert.deepEqual(await names({ limit: 2 }), ["invoice.lost", "invoice.old"]);
  assert.deepEqual((await api.list({ withContent: true })).data[2].schemas, SCHEMA);
  await api.delete("invoice.old");
  assert.ok((await api.get("invoice.old")).archived);
  assert.deepEqual(await names({ order: "descending" }), ["invoice.paid", "invoice.lost"]);
  assert.deepEqual(await names({ includeArchived: true }), ["invoice.lost", "invoice.old", "invoice.paid"]);
  proved("GET /api/v1/event-type");
  assert.ok(!(await api.create({ name: "invoice.old", description: "Back" })).archived);
  await api.delete("invoice.old", { expunge: true });
  await failsWith(404, () => api.get("invoice.old"));
  proved("DELETE /api/v1/event-type/{event_type_name}");
}

export async function endpoints(posthouse, app, receiver) {
  const api = posthouse.endpoint;
  const wanted = { url: receiver.url("/main"), uid: "main", metadata: { team: "billing" }, ...only("invoice.paid") };
  const made = await api.create(app, wanted, { idempotencyKey: "endpoint-1" });
  assert.deepEqual(of(made, ...Object.keys(wanted)), wanted);
  assert.equal((await api.create(app, wanted, { idempotencyKey: "endpoint-1" })).id, made.id);
  await failsWith(409, () => api.create(app, wanted));
  await fieldRefused("url", () => api.create(app, { url: "no url" }));
  await failsWith(404, () => api.create("nobody", wanted));
  proved("POST /api/v1/app/{app_id}/endpoint");
  assert.equal((await api.get("sdk-1", "main")).id, made.id);
  proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}");
  const patched = await api.patch(app, made.id, { description: "patched", throttleRate: 400 });
  assert.deepEqual(of(patched, "description", "throttleRate"), { description: "patched", throttleRate: 400 });
  assert.deepEqual(onlyOf(patched), ["invoice.paid"]);
  proved("PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}");
  const lost = { url: receiver.url("/broken"), uid: "broken", ...only("invoice.lost") };
  const broken = await put(api, app, "broken", { ...lost, channels: ["red"] });
  assert.deepEqual(of(broken, "uid", "channels"), { uid: "broken", channels: ["red"] });
  const again = await put(api, app, "broken", lost);
  assert.deepEqual(of(again, "id", "channels"), { id: broken.id, channels: null });
  assert.deepEqual(onlyOf(again), ["invoice.lost"]);
  proved("PUT /api/v1/app/{app_id}/endpoint/{endpoint_id}");
  const gone = await api.create(app, { url: receiver.url("/gone"), disabled: true });
  const ids = await walk((iterator) => api.list(app, { limit: 1, iterator, order: "ascending" }));
  assert.deepEqual(ids, [made.id, broken.id, gone.id].sort());
  proved("GET /api/v1/app/{app_id}/endpoint");
  await api.delete(app, gone.id);
  await failsWith(404, () => api.get(app, gone.id));
  proved("DELETE /api/v1/app/{app_id}/endpoint/{endpoint_id}");
  return [made.id, broken.id];
}

/** Leaves `x-from: sdk` and a token behind, which messages then carry. */
export async function headers(posthouse, app, endpoint) {
  const api = posthouse.endpoint;
  await putHeaders(api, app, endpoint, { headers: { "x-from": "sdk", "x-old": "1" } });
  await failsWith(422, () => putHeaders(api, app, endpoint, { headers: { "webhook-id": "mine" } }));
  proved("PUT /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers");
  const change = { headers: { authorization: "Bearer hidden" }, deleteHeaders: ["x-old"] };
  await api.patchHeaders(app, endpoint, change);
  proved("PATCH /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers");
  const shown = await api.getHeaders(app, endpoint);
  assert.equal(shown.headers["x-from"], "sdk");
  assert.ok(!("x-old" in shown.headers) && !JSON.stringify(shown).includes("hidden"), JSON.stringify(shown));
  assert.deepEqual(shown.sensitive, ["authorization"]);
  proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/headers");
}
