// What a browser loads first is small.
import type { Page } from '@playwright/test';
import { portalLink, settled } from './support/pages';
import { expect, test } from './support/test';

/** Bytes of a first load, as they travel. */
const FIRST_LOAD_MAX = 200_000;
const PORTAL_MAX = 120_000;

/** Bytes of what the page loads of the app until it is there; the API's answers are not of the app. */
async function weigh(page: Page, path: string): Promise<number> {
  const session = await page.context().newCDPSession(page);
  const ours = new Map<string, string>();
  let bytes = 0;
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  session.on('Network.requestWillBeSent', ({ requestId, request }) => ours.set(requestId, new URL(request.url).pathname));
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    if (!/^\/(api|ingest)\//.test(ours.get(requestId) ?? '')) bytes += encodedDataLength;
  });
  await page.goto(path);
  await settled(page);
  await session.detach();
  return bytes;
}

test('signing in is at most 200 kB', async ({ page }) => {
  const login = await weigh(page, '/login');
  expect(login).toBeGreaterThan(10_000);
  expect(login).toBeLessThan(FIRST_LOAD_MAX);
});

test('the overview is at most 200 kB', async ({ signedIn: page }) => {
  expect(await weigh(page, '/')).toBeLessThan(FIRST_LOAD_MAX);
});

test('the portal is at most 120 kB', async ({ page, server }) => {
  const { id } = await server.call<{ id: string }>('POST', '/api/v1/app', { name: 'Light' });
  const { url } = await server.portal(id);
  expect(await weigh(page, portalLink(url, ''))).toBeLessThan(PORTAL_MAX);
});
