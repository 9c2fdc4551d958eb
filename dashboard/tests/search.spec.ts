// One word of one payload is found among 100,000 messages, within a time that is stated.
import { Agent, request } from 'node:http';
import { settled } from './support/pages';
import { Server } from './support/server';
import { expect, signIn, test } from './support/test';

const MESSAGES = 100_000;
const CONNECTIONS = 64;
/** From the last key to the row, in milliseconds: unoptimised builds and busy machines have to make it, too. */
const FOUND_MS_MAX = 20_000;

/** Publishes messages over many connections; number `special` carries the word. */
async function publish(server: Server, app: string, special: number, word: string): Promise<string> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const { hostname, port } = new URL(server.url);
  let next = 0;
  let found = '';
  const one = (i: number) =>
    new Promise<string>((done, fail) => {
      const body = JSON.stringify({ eventType: 'invoice.paid', payload: { number: i, customer: `customer-${i % 977}`, note: i === special ? `it holds ${word} within` : 'nothing of note' } });
      const call = request(
        { agent, hostname, port, method: 'POST', path: `/api/v1/app/${app}/msg?with_content=false`, headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.on('end', () => (answer.statusCode === 202 ? done(Buffer.concat(parts).toString()) : fail(new Error(`${answer.statusCode} ${Buffer.concat(parts).toString()}`))));
        },
      );
      call.on('error', fail);
      call.end(body);
    });
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (next < MESSAGES) {
        const i = next++;
        const answer = await one(i);
        if (i === special) found = (JSON.parse(answer) as { id: string }).id;
      }
    }),
  );
  agent.destroy();
  return found;
}

test('a word of a payload is found among 100,000 messages', async ({ page }) => {
  test.setTimeout(300_000);
  const server = await Server.start();
  try {
    const { id: app } = await server.call<{ id: string }>('POST', '/api/v1/app', { name: 'Busy' });
    const word = 'quetzalcoatlus';
    // Far back: nearly everything is newer.
    const message = await publish(server, app, 1_234, word);
    await signIn(page.context(), server);
    await page.goto(`${server.url}/messages`);
    await settled(page);
    await expect(page.getByRole('link', { name: 'invoice.paid' }).first()).toBeVisible();
    await page.getByRole('searchbox').first().fill(word);
    const begun = Date.now();
    await page.keyboard.press('Enter');
    const rows = page.getByRole('table').getByRole('link', { name: 'invoice.paid' });
    await expect(rows).toHaveCount(1, { timeout: FOUND_MS_MAX });
    test.info().annotations.push({ type: 'found after', description: `${Date.now() - begun} ms` });
    await rows.click();
    await expect(page).toHaveURL(new RegExp(`/messages/${message}`));
    await expect(page.getByText(word).first()).toBeVisible();

    await page.goto(`${server.url}/messages?text=archaeopteryx-that-nobody-sent`);
    // A search goes on by itself for a while, and then when it is asked to.
    await expect(async () => {
      const goOn = page.getByRole('button', { name: 'Go on' });
      if (await goOn.isVisible()) await goOn.click();
      await expect(page.getByText(/No message|Nothing/).first()).toBeVisible({ timeout: 2_000 });
    }).toPass({ timeout: 120_000 });
  } finally {
    await server.stop();
  }
});
