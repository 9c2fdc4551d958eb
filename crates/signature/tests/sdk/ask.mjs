// Asks the providers' own libraries. One question a line on standard input, one answer a line on standard
// output, both JSON; run by tests/receive/sdk.rs, whose `Ask` says what a question holds.
//
// `sign`: what the library (or, where the library only verifies, node:crypto with the provider's private key)
// adds to a request; `null` where it has nothing to sign with. `verify`: whether the library takes a request.

import "./clock.mjs";

import { createInterface } from "node:readline";
import { setNow } from "./clock.mjs";

const { bodies } = await import("./bodies.mjs");
const { keyed } = await import("./keyed.mjs");
const libraries = { ...bodies, ...keyed };

async function answer(question) {
  const library = libraries[question.of];
  if (library === undefined) throw new Error(`no library is known for ${question.of}`);
  const body = Buffer.from(question.body, "base64");
  const asked = { ...question, body, text: body.toString("utf8") };
  setNow(question.now_ms);
  if (question.op === "sign") return library.sign === undefined ? null : await library.sign(asked);
  try {
    return { is_genuine: (await library.verify(asked)) === true };
  } catch (error) {
    // Libraries refuse by an error of their own kind; what a library cannot be asked at all shows as a
    // refusal of what is valid, and the test fails with this text.
    return { is_genuine: false, error: String(error.message ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
