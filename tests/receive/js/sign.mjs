// Every payload of @octokit/webhooks-examples, signed by @octokit/webhooks-methods with the secret of the
// command line: one line of JSON each, with what GitHub sends in headers. Run by tests/receive/github.rs.

import { readdir, readFile } from "node:fs/promises";
import { sign } from "@octokit/webhooks-methods";

const secret = process.argv[2];
const folder = new URL("node_modules/@octokit/webhooks-examples/", import.meta.url);
const versions = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
let number = 0;
for (const version of versions.map(({ name }) => name).sort()) {
  const events = JSON.parse(await readFile(new URL(`${version}/index.json`, folder)));
  for (const { name: event, examples } of events) {
    for (const example of examples) {
      number += 1;
      const body = JSON.stringify(example);
      const delivery = `72d3162e-cc78-11e3-81ab-${String(number).padStart(12, "0")}`;
      console.log(JSON.stringify({ event, delivery, signature: await sign(secret, body), body }));
    }
  }
}
