// Every operation that the official SDK for JavaScript offers, by the SDK as it is published.
//
// Run by tests/sdk.rs with the package to drive: `svix`, or `svix-older`. Reads POSTHOUSE_URL and
// POSTHOUSE_KEY; the server tries a failed delivery once more, within seconds, and may deliver to
// this machine. Each operation that did what is expected of it is said in a line of its own.

import { readFile } from "node:fs/promises";

import * as configuration from "./configuration.mjs";
import { ingest } from "./ingest.mjs";
import { PACKAGE, sdk } from "./names.mjs";
import * as operations from "./operations.mjs";
import { Receiver } from "./receiver.mjs";
import * as traffic from "./traffic.mjs";

const { version } = JSON.parse(await readFile(new URL(`node_modules/${PACKAGE}/package.json`, import.meta.url)));
console.log(`svix ${version}`);
const url = process.env.POSTHOUSE_URL;
const posthouse = new sdk.Svix(process.env.POSTHOUSE_KEY, { serverUrl: url });
const receiver = await Receiver.start();
await operations.health(posthouse);
const app = await configuration.applications(posthouse);
await configuration.eventTypes(posthouse);
const [endpoint, broken] = await configuration.endpoints(posthouse, app, receiver);
await configuration.headers(posthouse, app, endpoint);
const message = await traffic.messages(posthouse, app, endpoint, receiver);
await traffic.attempts(posthouse, app, endpoint, message, receiver);
await traffic.attempted(posthouse, app, endpoint, message);
await traffic.statistics(posthouse, app, endpoint);
await traffic.rotation(posthouse, app, endpoint, receiver);
await traffic.examples(posthouse, app, endpoint, receiver);
await traffic.recovery(posthouse, app, broken, receiver);
await traffic.contents(posthouse, app, message);
await operations.operational(posthouse, app, receiver);
await ingest(posthouse, receiver);
await operations.portal(posthouse, app, url);
await operations.refusals(posthouse, app, url);
await posthouse.application.delete(app);
receiver.close();
console.log("all well");
