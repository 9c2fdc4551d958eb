// The list of messages grows while it is looked at, and holds still while it is read.
import type { Page } from '@playwright/test';
import { portalLink, settled, visit } from './support/pages';
import type { Server } from './support/server';
import { expect, test } from './support/test';

interface Named {
  id: string;
}
const publish = (server: Server, app: string, eventType: string) => server.call<Named>('POST', `/api/v1/app/${app}/msg`, { eventType, payload: { of: eventType } });
const rows = (page: Page, type: string) => page.getByRole('table').getByRole('link', { name: type, exact: true });

test('a message appears by itself, and not where a filter leaves it out', async ({ signedIn: page, server }) => {
  const { id: app } = await server.call<Named>('POST', '/api/v1/app', { name: 'Lively' });
  await publish(server, app, 'live.before');
  await visit(page, `/messages?application=${app}`);
  await expect(rows(page, 'live.before')).toHaveCount(1);
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await publish(server, app, 'live.after');
  await expect(rows(page, 'live.after')).toHaveCount(1);

  await visit(page, `/messages?application=${app}&event_types=live.wanted`);
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await publish(server, app, 'live.unwanted');
  await publish(server, app, 'live.wanted');
  await expect(rows(page, 'live.wanted')).toHaveCount(1);
  await expect(rows(page, 'live.unwanted')).toHaveCount(0);
});

test('it holds still while it is paused, and goes on with what came', async ({ signedIn: page, server }) => {
  const { id: app } = await server.call<Named>('POST', '/api/v1/app', { name: 'Paused' });
  await publish(server, app, 'pause.before');
  await visit(page, `/messages?application=${app}`);
  await expect(rows(page, 'pause.before')).toHaveCount(1);
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await page.getByRole('button', { name: /^Pause/ }).click();
  await publish(server, app, 'pause.while');
  await expect(page.getByText(/1 new message/)).toBeVisible();
  await expect(rows(page, 'pause.while')).toHaveCount(0);
  await page.getByRole('button', { name: /^Go on/ }).click();
  await expect(rows(page, 'pause.while')).toHaveCount(1);
});

test('the portal’s list is live by its token, and shows nothing of others', async ({ page, server }) => {
  const { id: app } = await server.call<Named>('POST', '/api/v1/app', { name: 'Mine' });
  const { id: other } = await server.call<Named>('POST', '/api/v1/app', { name: 'Of others' });
  const { url } = await server.portal(app, { readOnly: true });
  await page.goto(portalLink(url, '/messages'));
  await settled(page);
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await publish(server, other, 'live.of-others');
  await publish(server, app, 'live.of-mine');
  await expect(rows(page, 'live.of-mine')).toHaveCount(1);
  await expect(rows(page, 'live.of-others')).toHaveCount(0);
});
