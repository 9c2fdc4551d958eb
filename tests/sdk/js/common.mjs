// What all steps use: saying what was proved, waiting, errors, pages, signatures.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

import { sdk } from "./names.mjs";
import { WAIT_MS } from "./receiver.mjs";

const PAGES_MAX = 100;

/** Says that these operations did what their step expects. tests/sdk.rs reads it. */
export function proved(...operations) {
  for (const operation of operations) console.log(`proved ${operation}`);
}

/** Waits until a condition has a value; the value. */
export async function eventually(condition) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, "not in time");
    await pause(20);
  }
}

/** The body of the error that a call ends with: of the SDK's class, with all its fields. */
export async function failsWith(status, call) {
  const error = await call().then(
    () => assert.fail(`expected ${status}`),
    (error) => error,
  );
  if (!(error instanceof sdk.ApiException)) throw error;
  assert.equal(error.code, status, JSON.stringify(error.body));
  if (status === 422) {
    assert.ok(error.body.detail.length > 0);
    for (const { loc, msg, type } of error.body.detail) assert.ok(loc.length > 0 && msg && type);
  } else if (status < 500) {
    assert.ok(error.body.code && error.body.detail, JSON.stringify(error.body));
  }
  return error.body;
}

/** A 422 that names this field, and no other. */
export async function fieldRefused(field, call) {
  const { detail } = await failsWith(422, call);
  assert.deepEqual(
    detail.map(({ loc }) => loc.at(-1)),
    [field],
  );
}

/** All ids of a list, read forward page by page, and then read back the same. */
export async function walk(readPage) {
  const idsOf = (page) => page.data.map(({ id }) => id);
  let page = await readPage(undefined);
  const forward = [idsOf(page)];
  while (!page.done) {
    assert.ok(forward.length < PAGES_MAX, "the list does not end");
    page = await readPage(page.iterator);
    forward.push(idsOf(page));
  }
  const backward = [forward.at(-1)];
  while (backward.length < forward.length) {
    page = await readPage(page.prevIterator);
    backward.unshift(idsOf(page));
  }
  assert.deepEqual(backward, forward);
  return forward.flat();
}

/** The body, found good by both libraries with each of the secrets, and wrong when it is touched.
 *
 * The older SDK reads what it verifies: it is not asked about a body that is no JSON. */
export function verified({ body, headers }, secrets, isJson = true) {
  for (const secret of secrets) {
    if (isJson) {
      new sdk.Webhook(secret).verify(body, headers);
      assert.deepEqual(new Webhook(secret).verify(body, headers), JSON.parse(body));
    } else {
      new Webhook(secret).verify(body, headers, { jsonParse: false });
    }
    const touched = () => new Webhook(secret).verify(`${body} `, headers, { jsonParse: false });
    assert.throws(touched, WebhookVerificationError);
  }
  return body;
}
