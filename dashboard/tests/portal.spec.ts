// The customers' portal: its link, what rights allow, its look, and standing in a page of somebody else.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { FrameLocator, Page } from '@playwright/test';
import { portalLink, settled, visit } from './support/pages';
import { expect, test } from './support/test';
import { until } from './support/wait';
import { fill, type World } from './support/world';

let world: World;
test.beforeAll(async ({ server, receiver }) => {
  world = await fill(server, receiver, 'portal');
});

const open = async (page: Page, link: string, path = '', more: Record<string, string> = {}) => {
  await page.goto('about:blank');
  await page.goto(portalLink(link, path, more));
  await settled(page);
};

test('the token leaves the address bar at once, and a reload keeps the session', async ({ page, server }) => {
  const { url, token } = await server.portal(world.app);
  await open(page, url, '/messages');
  await expect(page).toHaveURL(`${server.url}/portal/messages`);
  expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
  await page.reload();
  await settled(page);
  await expect(page.getByRole('heading', { level: 1, name: 'Messages' })).toBeVisible();
  expect(await page.context().cookies()).toEqual([]);
  expect(await page.content()).not.toContain(token);
});

test('logging out ends the token on the server', async ({ page, server, watch }) => {
  const { url, token } = await server.portal(world.app);
  await open(page, url);
  await page.getByRole('button', { name: 'Look and session' }).click();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  await expect(page.getByRole('heading', { name: 'You are logged out' })).toBeVisible();
  expect((await server.ask('GET', `/api/v1/app/${world.app}`, undefined, token)).status).toBe(401);
  watch.allow(/status of 401/);
  await page.goto('about:blank');
  await page.goto(url);
  await expect(page.getByRole('heading', { name: 'Please open this page again' })).toBeVisible();
});

test('without a token, with a wrong one, and when it ends in between: how to come back', async ({ page, server, watch }) => {
  watch.allow(/status of 401/);
  await visit(page, '/portal');
  await expect(page.getByRole('heading', { name: 'Please open this page again' })).toBeVisible();
  await page.goto('about:blank');
  await page.goto('/portal#token=appsk_wrong_and_long_enough&name=Northwind');
  await expect(page.getByText('Go back to Northwind')).toBeVisible();
  const { url, token } = await server.portal(world.app);
  await open(page, url);
  await server.call('POST', '/api/v1/auth/logout', undefined, token);
  await page.getByRole('link', { name: 'Event catalogue' }).click();
  await expect(page.getByRole('heading', { name: 'Please open this page again' })).toBeVisible();
});

test('a customer adds an endpoint, sees what failed, and sends it again', async ({ page, server, receiver }) => {
  const { url } = await server.portal(world.app);
  await open(page, url);
  await page.getByRole('link', { name: 'Add endpoint' }).click();
  await page.getByRole('textbox', { name: 'URL' }).fill(receiver.url('/fail/customer'));
  await page.getByRole('button', { name: 'Create endpoint' }).click();
  await expect(page.getByText(receiver.url('/fail/customer')).first()).toBeVisible();
  await expect(page.getByRole('status').filter({ hasText: 'created' })).toBeVisible();
  const { id } = await server.call<{ id: string }>('POST', `/api/v1/app/${world.app}/msg`, { eventType: world.types[0], payload: { customer: 1 } });
  await until('an attempt at the new endpoint', async () => receiver.at('/fail/customer').length > 0);
  await page.getByRole('link', { name: 'Messages' }).first().click();
  await page.locator(`a[href$="/messages/${id}"]`).click();
  await settled(page);
  await expect(page.getByText('Answered 500').first()).toBeVisible();
  await page.getByText('the disk of our database is full').first().waitFor();
  receiver.answer('/fail/customer', { status: 200 });
  const delivery = page.getByRole('listitem').filter({ hasText: receiver.url('/fail/customer') }).filter({ has: page.getByRole('button', { name: 'Send now' }) });
  await delivery.getByRole('button', { name: 'Send now' }).click();
  await until('a second attempt', async () => receiver.at('/fail/customer').length > 1);
  await expect(page.getByText('Answered 200').first()).toBeVisible();
});

test('the event catalogue shows schema and example', async ({ page, server }) => {
  const { url } = await server.portal(world.app, { capabilities: ['ViewBase'] });
  await open(page, url, '/event-types');
  await page.getByRole('searchbox').fill('invoice.paid');
  await expect(page.getByRole('link', { name: /user\.created/ })).toHaveCount(0);
  await page.getByRole('link', { name: /portal\.invoice\.paid/ }).click();
  await expect(page.getByRole('list', { name: 'Fields' })).toContainText('amount');
  await expect(page.getByRole('region', { name: 'Example payload' })).toContainText('"id"');
});

test('with the right to look only, the page offers no change', async ({ page, server }) => {
  const { url } = await server.portal(world.app, { capabilities: ['ViewBase'] });
  const changes = /add|create|edit|delete|disable|enable|rotate|reveal|send|resend|recover|replay|save|test/i;
  for (const path of ['', `/endpoints/${world.fails}`, `/endpoints/${world.fails}?tab=settings`, '/messages', `/messages/${world.message}`, '/event-types']) {
    await open(page, url, path);
    const offered = await page.locator('main').getByRole('button').or(page.locator('main').getByRole('menuitem')).allInnerTexts();
    expect(offered.filter((text) => changes.test(text)), path).toEqual([]);
    await expect(page.getByRole('link', { name: /^(add endpoint|edit|test)/i })).toHaveCount(0);
  }
  for (const path of ['/endpoints/new', `/endpoints/${world.fails}/edit`]) {
    await open(page, url, path);
    await expect(page.getByRole('heading', { name: 'You cannot change endpoints' })).toBeVisible();
    await expect(page.getByRole('textbox')).toHaveCount(0);
  }
});

test('with the right to look only, no operation changes anything by hand', async ({ page, server, watch }) => {
  test.setTimeout(120_000);
  const { url, token } = await server.portal(world.app, { capabilities: ['ViewBase'] });
  const other = await server.call<{ id: string }>('POST', '/api/v1/app', { name: 'Of another customer' });
  const before = await state();
  await open(page, url);
  watch.allow(/status of (4\d\d|501)/);
  const document = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../docs/openapi.json'), 'utf8')) as { paths: Record<string, Record<string, unknown>> };
  const ids: Record<string, string> = { app_id: world.app, endpoint_id: world.fails, msg_id: world.message, event_type_name: world.types[0] as string, source_id: world.source };
  // Reads that are asked for by POST, as the contract has them.
  const reads = /\/msg\/search$|\/auth\/(logout|one-time-token|session)$/;
  const refused: string[] = [];
  let tried = 0;
  for (const [pattern, operations] of Object.entries(document.paths)) {
    for (const method of Object.keys(operations).filter((one) => ['post', 'put', 'patch', 'delete'].includes(one))) {
      if (reads.test(pattern) || !pattern.startsWith('/api/') && !pattern.startsWith('/ingest/')) continue;
      for (const app of [world.app, other.id]) {
        const path = pattern.replace(/\{(\w+)\}/g, (_, name: string) => (name === 'app_id' ? app : (ids[name] ?? 'x')));
        // From within the page, as somebody would who opens the browser's tools.
        const status = await page.evaluate(
          ([url, how, bearer]) =>
            fetch(url, { method: how, headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }, body: '{"name":"changed","url":"http://127.0.0.1:1/","eventType":"changed","payload":{},"disabled":true,"since":"2020-01-01T00:00:00Z","headers":{}}' }).then((answer) => answer.status),
          [path, method.toUpperCase(), token] as const,
        );
        tried++;
        if (![401, 403, 404].includes(status)) refused.push(`${method.toUpperCase()} ${path}: ${status}`);
      }
    }
  }
  expect(tried).toBeGreaterThan(60);
  expect(refused).toEqual([]);
  expect(await state()).toEqual(before);

  /** All that could have changed. */
  async function state() {
    const at = `/api/v1/app/${world.app}`;
    const paths = [
      '/api/v1/app?limit=250', `${at}/endpoint`, `${at}/endpoint/${world.fails}/headers`, `${at}/endpoint/${world.fails}/secret`, `${at}/msg?limit=250`,
      `${at}/attempt/msg/${world.message}`, `/api/v1/event-type?with_content=true&limit=250`, '/ingest/api/v1/source', `/ingest/api/v1/source/${world.source}/endpoint`,
      '/api/v1/management/environment-settings', '/api/v1/operational-webhook/endpoint', '/api/v1/background-task',
    ];
    const answers = await Promise.all(paths.map((path) => server.ask('GET', path)));
    expect(answers.map(({ status }) => status)).toEqual(paths.map(() => 200));
    return JSON.stringify(answers.map(({ body }) => body));
  }
});

test('a read-only environment shows no change to any token', async ({ page, browser: _, server }) => {
  const { url } = await server.portal(world.app);
  await server.call('PATCH', '/api/v1/management/environment-settings', { readOnly: true });
  try {
    await open(page, url);
    await expect(page.getByRole('link', { name: 'Add endpoint' })).toHaveCount(0);
  } finally {
    await server.call('PATCH', '/api/v1/management/environment-settings', { readOnly: false });
  }
  await open(page, url);
  await expect(page.getByRole('link', { name: 'Add endpoint' })).toBeVisible();
});

test('the look comes from the settings, and from the link over them', async ({ page, server }) => {
  const { url } = await server.portal(world.app);
  const accent = () => page.evaluate(() => getComputedStyle(document.querySelector('a.button.primary') as Element).backgroundColor);
  const picture = 'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI4MCIgaGVpZ2h0PSIyMCI+PHJlY3Qgd2lkdGg9IjgwIiBoZWlnaHQ9IjIwIi8+PC9zdmc+';
  await server.call('PATCH', '/api/v1/management/environment-settings', { displayName: 'Northwind', customColor: '#0b7285', customFontFamily: 'Georgia', customLogoUrl: picture });
  try {
    await open(page, url);
    await expect(page.getByRole('img', { name: 'Northwind' })).toBeVisible();
    await expect(page).toHaveTitle('Endpoints · Northwind');
    expect(await accent()).toBe('rgb(11, 114, 133)');
    expect(await page.evaluate(() => getComputedStyle(document.body).fontFamily)).toMatch(/^Georgia/);
    await open(page, url, '', { color: '#7a1f5c', name: 'Contoso', radius: '20', theme: 'dark', font: '"Courier New", monospace' });
    await expect(page).toHaveTitle('Endpoints · Contoso');
    expect(await accent()).not.toBe('rgb(11, 114, 133)');
    const look = await page.evaluate(() => {
      const style = getComputedStyle(document.documentElement);
      return { scheme: style.colorScheme, radius: style.getPropertyValue('--radius').trim(), font: getComputedStyle(document.body).fontFamily };
    });
    expect(look).toMatchObject({ scheme: 'dark', radius: '20px' });
    expect(look.font).toMatch(/^"Courier New"/);
    // Another fragment changes the look of the open page: nothing is loaded again.
    await page.evaluate(() => ((window as unknown as { stayed: boolean }).stayed = true));
    await page.evaluate(() => (location.hash = '#theme=light&name=Fabrikam'));
    await expect(page).toHaveTitle('Endpoints · Fabrikam');
    await expect(page).toHaveURL(`${server.url}/portal`);
    expect(await page.evaluate(() => [getComputedStyle(document.documentElement).colorScheme, getComputedStyle(document.documentElement).getPropertyValue('--radius'), (window as unknown as { stayed: boolean }).stayed])).toEqual(['light', '20px', true]);
    // What is no look is left out, and asks nobody.
    await open(page, url, '', { color: 'red;background:url(http://hostile.invalid/)', font: "x;}body{background:url('http://hostile.invalid')}", logo: 'javascript:window.pwned=1', radius: '1e9', name: '<img src=x onerror=window.pwned=2>' });
    await expect(page).toHaveTitle('Endpoints · <img src=x onerror=window.pwned=2>');
    expect(await accent()).toBe('rgb(11, 114, 133)');
  } finally {
    await server.call('PATCH', '/api/v1/management/environment-settings', { displayName: null, customColor: null, customFontFamily: null, customLogoUrl: null });
  }
});

test('in a page of an allowed site it tells its height, and has no head of its own', async ({ page, server, host }) => {
  const { url } = await server.portal(world.app);
  const around = host.url('', 'localhost');
  const document = (link: string) => `<!doctype html><title>Customer</title><style>iframe{width:800px;height:100px;border:0}</style><iframe title="Webhooks"></iframe>
    <script>
      window.heights = [];
      addEventListener('message', (event) => {
        if (event.data.type === 'posthouse:height') {
          window.heights.push([event.origin, event.data.height]);
          document.querySelector('iframe').style.height = event.data.height + 'px';
        }
      });
      document.querySelector('iframe').src = ${JSON.stringify(link)};
    </script>`;
  host.answer('/embed', { headers: { 'content-type': 'text/html' }, body: document(portalLink(url, '', { origin: around })) });
  host.answer('/elsewhere', { headers: { 'content-type': 'text/html' }, body: document(portalLink(url, '', { origin: 'https://elsewhere.example' })) });

  await page.goto(`${around}/embed`);
  const frame: FrameLocator = page.frameLocator('iframe');
  await expect(frame.getByRole('heading', { level: 1, name: 'Endpoints' })).toBeVisible();
  await expect(frame.getByRole('button', { name: 'Look and session' })).toHaveCount(0);
  const heights = () => page.evaluate(() => (window as unknown as { heights: [string, number][] }).heights);
  await expect.poll(async () => (await heights()).length).toBeGreaterThan(0);
  await frame.getByRole('link', { name: 'Event catalogue' }).click();
  await frame.getByRole('link', { name: /portal\.invoice\.paid/ }).click();
  await expect(frame.getByRole('list', { name: 'Fields' })).toBeVisible();
  await expect.poll(async () => {
    const told = (await heights()).at(-1)?.[1] ?? 0;
    const shown = await frame.locator('html').evaluate((root) => ({ window: innerHeight, content: root.scrollHeight }));
    return told > 500 && shown.window === told && shown.content <= shown.window;
  }).toBe(true);
  expect(new Set((await heights()).map(([origin]) => origin))).toEqual(new Set([server.origin]));

  // A page whose origin the link does not name learns nothing.
  await page.goto(`${around}/elsewhere`);
  await expect(page.frameLocator('iframe').getByRole('heading', { level: 1 })).toBeVisible();
  expect(await heights()).toEqual([]);
});
