// Texts of others are shown as text: whatever they hold, no script runs, nobody is asked for anything, and the
// content security policy has nothing to stop.
import type { Page } from '@playwright/test';
import { CORPUS, HOSTILE } from './support/hostile';
import { fits, portalLink, settled, visit } from './support/pages';
import type { Server } from './support/server';
import { expect, test } from './support/test';
import { fill, type World } from './support/world';

test.describe.configure({ mode: 'parallel' });

let world: World;
let link: string;
test.beforeAll(async ({ server, receiver }) => {
  world = await fill(server, receiver, 'hostile', HOSTILE);
  link = (await server.portal(world.app)).url;
  await everythingElse(server);
});

/** Names of what a world does not have. */
async function everythingElse(server: Server) {
  const line = HOSTILE.line;
  await server.call('PATCH', '/api/v1/management/environment-settings', { displayName: line });
  const who = await server.call<{ envId: string }>('GET', '/api/v1/auth/session');
  await server.call('POST', `/api/v1/management/authentication/${who.envId}/api-token`, { name: line });
  await server.call('POST', '/api/v1/operational-webhook/endpoint', { url: `http://127.0.0.1:1/${HOSTILE.url}`, description: line });
  // References that lead nowhere, to themselves, and to what is no reference.
  await server.call('POST', '/api/v1/event-type', {
    name: 'hostile.references', description: CORPUS.join(' ').replaceAll('\0', ''), groupName: 'hostile.group',
    schemas: {
      '1': { type: 'object', properties: { a: { $ref: '#/%' }, b: { $ref: '#/properties/b' }, c: { $ref: `javascript:window.pwned=40` }, __proto__x: { type: 'string', pattern: '(a+)+$', default: { constructor: line } }, constructor: { enum: CORPUS }, '': { const: line } } },
      [`2.<b>`.replace(/[^\w.]/g, '')]: { $schema: 'http://hostile.invalid/schema', type: ['object', 'null'], required: [line], oneOf: [{ properties: { deep: nested(40) } }] },
    },
  });
}

function nested(levels: number): object {
  return levels ? { type: 'object', title: CORPUS[levels % CORPUS.length], properties: { deeper: nested(levels - 1) } } : { type: 'string' };
}

/** Opens what can be opened, and looks for elements that only markup of the corpus would have made. */
async function check(page: Page, what: string) {
  await settled(page);
  for (const button of await page.locator('main button[aria-expanded=false]:not([aria-haspopup]), main summary').all()) {
    await button.click({ timeout: 3_000 }).catch(() => undefined);
  }
  await settled(page);
  const made = await page.evaluate(() =>
    [...document.querySelectorAll('script:not([src]), iframe, object, embed, base, form[action], [formaction], math, meta[http-equiv], style, img:not([src^="/assets/"]), a[href^="javascript:" i], [srcdoc], video, details[ontoggle]')]
      .concat([...document.querySelectorAll('*')].filter((element) => element.getAttributeNames().some((name) => name.startsWith('on'))))
      .map((element) => element.outerHTML.slice(0, 200)),
  );
  expect(made, what).toEqual([]);
  await fits(page, what);
}

test('what the watch sees: markup that is not taken for text', async ({ page, watch }) => {
  await visit(page, '/login');
  await page.evaluate((markup) => document.body.insertAdjacentHTML('beforeend', markup), CORPUS.join(''));
  await expect.poll(() => watch.seen.length).toBeGreaterThan(3);
  watch.seen.length = 0;
  await page.close();
  await new Promise((done) => setTimeout(done, 200));
  watch.seen.length = 0;
});

for (const width of [1440, 390]) {
  test.describe(`${width} px`, () => {
    test.use({ viewport: { width, height: 900 } });
    test.setTimeout(240_000);

    test('in every field of the operator', async ({ signedIn: page, context }) => {
      const outside: string[] = [];
      context.on('request', (request) => /hostile\.invalid/.test(request.url()) && outside.push(request.url()));
      let shown = 0;
      for (const path of [...world.operator, '/event-types/hostile.references', '/event-types/hostile.references?version=1']) {
        await visit(page, path);
        await check(page, path);
        if ((await page.locator('body').innerText()).includes('onerror=')) shown++;
      }
      expect(shown, 'pages that show a text of the corpus').toBeGreaterThan(15);
      expect(outside).toEqual([]);
    });

    test('in every field of the portal', async ({ page, context }) => {
      const outside: string[] = [];
      context.on('request', (request) => /hostile\.invalid/.test(request.url()) && outside.push(request.url()));
      for (const path of [...world.portal, '/event-types/hostile.references', '/event-types/hostile.references?version=1']) {
        await page.goto('about:blank');
        await page.goto(portalLink(link, path));
        await check(page, `portal ${path}`);
      }
      expect(outside).toEqual([]);
    });
  });
}

test('in the address: paths, queries and fragments', async ({ signedIn: page, watch }) => {
  test.setTimeout(120_000);
  // What is not there is not found: that is said, and no error of the page.
  watch.allow(/status of (404|422)/, /status of 401 .*(whoami|settings|session)$/);
  const paths = (part: string) => [
    `/messages?text=${part}&application=${part}&source=${part}&event_types=${part}&channel=${part}&tag=${part}&status=${part}&range=${part}&after=${part}`,
    `/messages/${part}`, `/applications/${part}?q=${part}`, `/applications?q=${part}`, `/sources/${part}?tab=${part}`, `/sources/new?type=${part}&text=${part}`,
    `/event-types/${part}?version=${part}`, `/settings/${part}`, `/endpoints?state=${part}`, `/login#token=${part}`,
    `/portal#token=${part}&theme=${part}&color=${part}&radius=${part}&font=${part}&name=${part}&logo=${part}&origin=${part}&page=%2F%2F${part}`,
  ];
  // Each path with three texts, so that every text is in some.
  for (let i = 0; i < paths('').length; i++) {
    for (const step of [0, 1, 2]) {
      const path = paths(encodeURIComponent(CORPUS[(i + step * 6) % CORPUS.length] as string))[i] as string;
      await page.goto('about:blank');
      await page.goto(path);
      await check(page, path);
      if (path.startsWith('/portal')) await expect(page).toHaveURL(/\/portal$/);
    }
  }
});

test('a payload is downloaded, never shown by the browser', async ({ server }) => {
  const path = `/api/v1/app/${world.app}/msg/${world.message}/raw?download=true`;
  const { headers, status } = await fetch(server.url + path, { headers: { authorization: `Bearer ${server.key}` } });
  expect(status).toBe(200);
  expect(headers.get('content-disposition')).toMatch(/^attachment/);
  expect(headers.get('x-content-type-options')).toBe('nosniff');
});
