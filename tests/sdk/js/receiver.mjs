// A receiver of webhooks on this machine, for the scripts that drive the SDK.

import { createServer } from "node:http";
import { once } from "node:events";

export const WAIT_MS = 15_000;
export const ANSWER = "thanks";

/** Records what it is sent, by path; answers by a path's list of statuses, then 200. */
export class Receiver {
  static async start() {
    const receiver = new Receiver();
    receiver.server.listen(0, "127.0.0.1");
    await once(receiver.server, "listening");
    return receiver;
  }

  constructor() {
    this.statuses = {};
    this.received = {};
    this.waiting = new Set();
    this.server = createServer((request, response) => this.#answer(request, response));
  }

  url(path) {
    return `http://127.0.0.1:${this.server.address().port}${path}`;
  }

  /** Waits for as many requests to a path, of one message if it is named; the last of them. */
  async wait(path, messageId, count = 1) {
    const found = () => {
      const ofMessage = ({ headers }) => messageId === undefined || headers["webhook-id"] === messageId;
      return (this.received[path] ?? []).filter(ofMessage)[count - 1];
    };
    const deadline = Date.now() + WAIT_MS;
    while (!found()) {
      const rest = deadline - Date.now();
      if (rest <= 0) throw new Error(`${path}: no ${count} requests of ${messageId} in ${WAIT_MS} ms`);
      await this.#arrival(rest);
    }
    return found();
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }

  /** The next request, or the end of the time. */
  #arrival(restMs) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, restMs);
      const arrived = () => {
        clearTimeout(timer);
        this.waiting.delete(arrived);
        resolve();
      };
      this.waiting.add(arrived);
    });
  }

  async #answer(request, response) {
    const parts = await request.toArray();
    const row = { headers: request.headers, body: Buffer.concat(parts).toString("utf8") };
    (this.received[request.url] ??= []).push(row);
    response.writeHead(this.statuses[request.url]?.shift() ?? 200, { "content-length": ANSWER.length });
    response.end(ANSWER);
    for (const arrived of [...this.waiting]) arrived();
  }
}
