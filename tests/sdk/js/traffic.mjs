// Messages, what became of them, and the ways to send them again.

import assert from "node:assert/strict";

import { eventually, failsWith, fieldRefused, proved, verified, walk } from "./common.mjs";
import { isNewest, sdk } from "./names.mjs";
import { ANSWER } from "./receiver.mjs";

const MINUTE_MS = 60_000;

async function send(posthouse, app, n, eventType = "invoice.paid") {
  return (await posthouse.message.create(app, { eventType, payload: { n } })).id;
}

export async function messages(posthouse, app, endpoint, receiver) {
  const api = posthouse.message;
  const { key: secret } = await posthouse.endpoint.getSecret(app, endpoint);
  assert.match(secret, /^whsec_/);
  proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/secret");
  const payload = { id: "inv_42", amount: 4200, name: "Zoë" };
  const paid = { eventType: "invoice.paid", payload, eventId: "inv-42", tags: ["a", "b/c"], channels: ["red"] };
  const options = { idempotencyKey: "key-1", withContent: true };
  const sent = await api.create(app, paid, options);
  assert.deepEqual([sent.payload, sent.eventId, sent.channels], [payload, "inv-42", ["red"]]);
  const received = await receiver.wait("/main", sent.id);
  assert.deepEqual(JSON.parse(verified(received, [secret])), payload);
  assert.deepEqual([received.headers["x-from"], received.headers.authorization], ["sdk", "Bearer hidden"]);
  assert.equal((await api.create(app, paid, options)).id, sent.id);
  const other = { eventType: "invoice.paid", payload: { other: true } };
  await failsWith(409, () => api.create(app, other, { idempotencyKey: "key-1" }));
  await fieldRefused("eventType", () => api.create(app, { eventType: "no type", payload: {} }));
  await failsWith(404, () => api.create("nobody", other));
  await rawAndDueMessages(api, app, secret, receiver);
  await inlineApplication(posthouse);
  proved("POST /api/v1/app/{app_id}/msg");
  assert.deepEqual((await api.get(app, sent.id, { withContent: true })).payload, payload);
  assert.deepEqual((await api.get(app, "inv-42", { withContent: false })).payload, {});
  proved("GET /api/v1/app/{app_id}/msg/{msg_id}");
  const filter = { eventTypes: ["invoice.paid"], tag: "a", channel: "red", withContent: true };
  const found = (await api.list(app, filter)).data.map(({ id, payload }) => ({ id, payload }));
  assert.deepEqual(found, [{ id: sent.id, payload }]);
  assert.deepEqual((await api.list(app, { tag: "c" })).data, []);
  const ids = await walk((iterator) => api.list(app, { limit: 2, iterator }));
  assert.deepEqual([ids.length, ids.at(-1), ids], [3, sent.id, ids.toSorted().toReversed()]);
  proved("GET /api/v1/app/{app_id}/msg");
  return sent.id;
}

async function rawAndDueMessages(api, app, secret, receiver) {
  const raw = await api.create(app, sdk.messageInRaw("invoice.paid", "<paid/>", "text/xml"));
  const received = await receiver.wait("/main", raw.id);
  assert.equal(verified(received, [secret], false), "<paid/>");
  assert.equal(received.headers["content-type"], "text/xml");
  const deliverAt = new Date(Date.now() + 1_000);
  const due = await api.create(app, { eventType: "invoice.paid", payload: { n: 3 }, deliverAt });
  await receiver.wait("/main", due.id);
  assert.ok(Date.now() >= deliverAt.getTime());
}

/** An application that comes with its first message, and is left alone afterwards. */
async function inlineApplication(posthouse) {
  const message = (name) => ({ eventType: "invoice.paid", payload: {}, application: { name, uid: "inline-1" } });
  const first = await posthouse.message.create("inline-1", message("Inline"));
  const second = await posthouse.message.create("inline-1", message("Ignored"));
  assert.equal((await posthouse.application.get("inline-1")).name, "Inline");
  const ids = (await posthouse.message.list("inline-1")).data.map(({ id }) => id);
  assert.deepEqual(ids, [second.id, first.id]);
  await posthouse.application.delete("inline-1");
}

export async function attempts(posthouse, app, endpoint, message, receiver) {
  const api = posthouse.messageAttempt;
  const { Success, Fail } = sdk.MessageStatus;
  receiver.statuses["/main"] = [500];
  const failing = await send(posthouse, app, 4);
  await receiver.wait("/main", failing, 2);
  const [last, first] = await eventually(async () => {
    const { data } = await api.listByMsg(app, failing, { withContent: true });
    return data.length === 2 && data;
  });
  assert.deepEqual([last.responseStatusCode, first.responseStatusCode], [200, 500]);
  assert.deepEqual([last.status, first.status], [Success, Fail]);
  assert.deepEqual([last.response, last.url], [ANSWER, receiver.url("/main")]);
  const filter = { status: Fail, statusCodeClass: sdk.StatusCodeClass.Code5xx, endpointId: endpoint };
  const failed = await api.listByMsg(app, failing, filter);
  assert.deepEqual(
    failed.data.map(({ id }) => id),
    [first.id],
  );
  proved("GET /api/v1/app/{app_id}/attempt/msg/{msg_id}");
  const page = await api.listByEndpoint(app, endpoint, { limit: 2, withMsg: true });
  assert.deepEqual([page.data[0].id, page.data[0].msg.id, page.done], [last.id, failing, false]);
  const ids = await walk((iterator) => api.listByEndpoint(app, endpoint, { limit: 2, iterator }));
  assert.deepEqual([ids.length, ids], [5, ids.toSorted().toReversed()]);
  proved("GET /api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}");
  const one = await api.get(app, failing, last.id);
  assert.deepEqual([one.endpointId, one.msgId, one.status], [endpoint, failing, Success]);
  await failsWith(404, () => api.get(app, message, last.id));
  proved("GET /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}");
  await api.resend(app, message, endpoint);
  await receiver.wait("/main", message, 2);
  await failsWith(404, () => api.resend(app, message, "nobody"));
  proved("POST /api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend");
}

export async function attempted(posthouse, app, endpoint, message) {
  const api = posthouse.messageAttempt;
  const { Success } = sdk.MessageStatus;
  const found = await eventually(async () => {
    const options = { status: Success, withContent: true };
    const { data } = await api.listAttemptedMessages(app, endpoint, options);
    return data.length === 4 && data;
  });
  assert.ok(found.every(({ status, nextAttempt }) => status === Success && nextAttempt === null));
  assert.deepEqual([found[3].id, found[3].eventId, found[0].payload], [message, "inv-42", { n: 4 }]);
  const filter = { channel: "red", eventTypes: ["invoice.paid"] };
  const red = await api.listAttemptedMessages(app, endpoint, filter);
  assert.deepEqual(
    red.data.map(({ id }) => id),
    [message],
  );
  const ids = await walk((iterator) => api.listAttemptedMessages(app, endpoint, { limit: 3, iterator }));
  assert.deepEqual(
    ids,
    found.map(({ id }) => id),
  );
  proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/msg");
  const destinations = await api.listAttemptedDestinations(app, message, { limit: 10 });
  const rows = destinations.data.map(({ id, status, uid }) => ({ id, status, uid }));
  assert.deepEqual(rows, [{ id: endpoint, status: Success, uid: "main" }]);
  assert.ok(destinations.done);
  proved("GET /api/v1/app/{app_id}/msg/{msg_id}/endpoint");
}

export async function statistics(posthouse, app, endpoint) {
  const api = posthouse.endpoint;
  const stats = await eventually(async () => {
    const stats = await api.getStats(app, endpoint);
    return stats.success >= 5 && stats.sending === 0 && stats;
  });
  const { success, fail, pending } = stats;
  assert.deepEqual({ success, fail, pending }, { success: 5, fail: 0, pending: 0 });
  const now = Date.now();
  const early = { since: new Date(now - 2_880 * MINUTE_MS), until: new Date(now - 1_440 * MINUTE_MS) };
  assert.equal((await api.getStats(app, endpoint, early)).success, 0);
  proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/stats");
}

/** While an old secret is in its grace period, it signs beside the new one. */
export async function rotation(posthouse, app, endpoint, receiver) {
  const api = posthouse.endpoint;
  const { key: old } = await api.getSecret(app, endpoint);
  const answered = await api.rotateSecret(app, endpoint, {});
  const { key: next } = await api.getSecret(app, endpoint);
  assert.notEqual(next, old);
  if (isNewest && answered) assert.equal(answered.key, next);
  const received = await receiver.wait("/main", await send(posthouse, app, 5));
  assert.deepEqual(JSON.parse(verified(received, [next, old])), { n: 5 });
  const chosen = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
  await api.rotateSecret(app, endpoint, { key: chosen });
  assert.equal((await api.getSecret(app, endpoint)).key, chosen);
  verified(await receiver.wait("/main", await send(posthouse, app, 6)), [chosen, next, old]);
  await fieldRefused("key", () => api.rotateSecret(app, endpoint, { key: "whsec_x" }));
  proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate");
}

export async function examples(posthouse, app, endpoint, receiver) {
  const api = posthouse.endpoint;
  const sent = await api.sendExample(app, endpoint, { eventType: "invoice.paid" });
  assert.equal(sent.eventType, "invoice.paid");
  const { key: secret } = await api.getSecret(app, endpoint);
  const body = JSON.parse(verified(await receiver.wait("/main", sent.id), [secret]));
  assert.ok(Number.isInteger(body.amount) && typeof body.currency === "string", JSON.stringify(body));
  await failsWith(404, () => api.sendExample(app, "nobody", { eventType: "invoice.paid" }));
  proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example");
}

/** What failed for good is sent again when its receiver works again. */
export async function recovery(posthouse, app, broken, receiver) {
  const since = new Date(Date.now() - 5 * MINUTE_MS);
  receiver.statuses["/broken"] = [500, 500];
  const lost = await send(posthouse, app, 7, "invoice.lost");
  await receiver.wait("/broken", lost, 2);
  await eventually(async () => {
    const { data } = await posthouse.messageAttempt.listAttemptedDestinations(app, lost);
    return data[0]?.status === sdk.MessageStatus.Fail;
  });
  const task = await posthouse.endpoint.recover(app, broken, { since });
  assert.match(task.id, /^qtask_/);
  assert.equal(task.task, sdk.BackgroundTaskType.EndpointRecover);
  await receiver.wait("/broken", lost, 3);
  await finished(posthouse, task);
  const until = new Date(since - MINUTE_MS);
  await failsWith(422, () => posthouse.endpoint.recover(app, broken, { since, until }));
  proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/recover");
}

/** A task that runs beside the requests says when it is done. */
async function finished(posthouse, { id, task }) {
  const api = posthouse.backgroundTask;
  const { Finished, Running } = sdk.BackgroundTaskStatus;
  await eventually(async () => (await api.get(id)).status === Finished);
  await failsWith(404, () => api.get(`qtask_${"1".repeat(27)}`));
  proved("GET /api/v1/background-task/{task_id}");
  const { data } = await api.list({ task, status: Finished, limit: 10 });
  assert.deepEqual(
    data.map((row) => row.id),
    [id],
  );
  assert.deepEqual((await api.list({ status: Running })).data, []);
  proved("GET /api/v1/background-task");
}

/** What was sent and what was answered can be taken out, each for itself. */
export async function contents(posthouse, app, message) {
  const api = posthouse.messageAttempt;
  const [attempt] = (await api.listByMsg(app, message, { withContent: true })).data;
  assert.equal(attempt.response, ANSWER);
  await api.expungeContent(app, message, attempt.id);
  assert.ok(!(await api.get(app, message, attempt.id)).response.includes(ANSWER));
  await failsWith(404, () => api.expungeContent(app, "nothing", attempt.id));
  proved("DELETE /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content");
  await posthouse.message.expungeContent(app, message);
  const { payload } = await posthouse.message.get(app, message, { withContent: true });
  assert.ok(!JSON.stringify(payload).includes("inv_42"), JSON.stringify(payload));
  await failsWith(404, () => posthouse.message.expungeContent(app, "nothing"));
  proved("DELETE /api/v1/app/{app_id}/msg/{msg_id}/content");
}
