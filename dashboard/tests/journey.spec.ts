// From the first start to a message that failed and then arrived, as somebody new would go, with the mouse, by the
// keyboard alone, and on a phone.
import type { Page } from '@playwright/test';
import { fits, settled } from './support/pages';
import { Receiver } from './support/receiver';
import { Server } from './support/server';
import { expect, test } from './support/test';
import { until } from './support/wait';

/** A server that nobody has seen, and a receiver that fails. */
async function fresh(run: (server: Server, receiver: Receiver) => Promise<void>) {
  // What is sent again is sent by hand: the next retry is far off, however slow the machine.
  const [server, receiver] = await Promise.all([Server.start({ POSTHOUSE__DELIVERY__RETRY_SCHEDULE: '3600' }), Receiver.start()]);
  try {
    await run(server, receiver);
  } finally {
    await server.stop();
    await receiver.stop();
  }
}

/** The message's page: failed at one URL, the URL is mended, it is sent again and arrives. */
async function watchFailAndMend(page: Page, receiver: Receiver) {
  await expect(page.getByText('Answered 500').first()).toBeVisible({ timeout: 15_000 });
  await expect(page.getByText('the disk of our database is full').first()).toBeVisible();
  const message = page.url();
  await page.getByRole('link', { name: receiver.url('/fail/billing') }).first().click();
  await settled(page);
  await expect(page.getByText('0 of the last 1 succeeded')).toBeVisible();
  await page.getByRole('button', { name: 'More for this endpoint' }).click();
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  await page.getByRole('textbox', { name: 'URL' }).fill(receiver.url('/hooks/billing'));
  await page.getByRole('button', { name: 'Save endpoint' }).click();
  await expect(page.getByText(receiver.url('/hooks/billing')).first()).toBeVisible();
  await page.goto(message);
  await settled(page);
  await page.getByRole('button', { name: 'Send now' }).click();
  await until('the message at the mended URL', async () => receiver.at('/hooks/billing').length === 1);
  await expect(page.getByText('Answered 200').first()).toBeVisible();
  await expect(page.getByText('Delivered').first()).toBeVisible();
  const [request] = receiver.at('/hooks/billing');
  expect(JSON.parse(request?.body ?? '')).toMatchObject({ id: 'in_1' });
  expect(request?.headers['webhook-signature']).toMatch(/^v1,/);
}

test('first start: sign in by the link, create, send, watch it fail, fix the URL, send again', async ({ page, browser }) => {
  test.setTimeout(120_000);
  await fresh(async (server, receiver) => {
    await page.goto(server.link);
    await settled(page);
    await expect(page).toHaveURL(`${server.url}/`);
    expect(await page.content()).not.toContain('pho_');
    await expect(page.getByText('First steps')).toBeVisible();

    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Applications' }).click();
    await page.getByRole('button', { name: 'New application' }).first().click();
    await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('Acme Corporation');
    await page.getByRole('button', { name: 'Create application' }).click();
    await expect(page.getByRole('heading', { level: 1, name: 'Acme Corporation' })).toBeVisible();

    await page.getByRole('link', { name: 'New endpoint' }).first().click();
    await page.getByRole('textbox', { name: 'URL' }).fill(receiver.url('/fail/billing'));
    await page.getByLabel(/^Description/).fill('Billing');
    await page.getByRole('button', { name: 'Create endpoint' }).click();
    await expect(page.getByRole('heading', { level: 1, name: 'Billing' })).toBeVisible();

    await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'Acme Corporation' }).click();
    await page.getByRole('button', { name: 'Send a message' }).click();
    const dialog = page.getByRole('dialog', { name: 'Send a message' });
    await dialog.getByLabel('Event type').fill('invoice.paid');
    const payload = dialog.getByRole('textbox', { name: 'Payload' });
    await payload.click();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.insertText('{"id": "in_1", "amount": 4200}');
    await dialog.getByRole('button', { name: 'Send message' }).click();
    await expect(page).toHaveURL(/\/messages\/msg_/);
    await watchFailAndMend(page, receiver);

    // The link was for once.
    const other = await browser.newPage();
    await other.goto(server.link);
    await expect(other.getByRole('alert')).toBeVisible();
    await expect(other.getByLabel('Key')).toBeVisible();
    // Another one is printed at any time, and signing out ends what it opened.
    await other.goto('about:blank');
    await other.goto(await server.login());
    await expect(other.getByRole('navigation', { name: 'Main' })).toBeVisible();
    await other.getByRole('button', { name: 'Look and account' }).click();
    await other.getByRole('menuitem', { name: 'Sign out' }).click();
    await expect(other.getByLabel('Key')).toBeVisible();
    await other.goto(`${server.url}/messages`);
    await expect(other.getByLabel('Key')).toBeVisible();
    await other.close();
  });
});

test('the same by the keyboard alone', async ({ page }) => {
  test.setTimeout(120_000);
  await fresh(async (server, receiver) => {
    const keys = page.keyboard;
    /** Goes on by Tab until this has the focus. */
    const reach = async (what: ReturnType<Page['locator']>) => {
      for (let i = 0; i < 60; i++) {
        if (await what.evaluateAll((found) => found.some((one) => one === document.activeElement || one.shadowRoot?.activeElement || one.contains(document.activeElement)))) {
          await seen(page);
          return;
        }
        await keys.press('Tab');
      }
      throw new Error(`not reached by Tab: ${what.toString()}`);
    };
    await page.goto(`${server.url}/login`);
    await page.getByLabel('Key').waitFor();
    await reach(page.getByLabel('Key'));
    await keys.type(server.key);
    await keys.press('Enter');
    await expect(page.getByRole('navigation', { name: 'Main' })).toBeVisible();

    await keys.press('g');
    await keys.press('a');
    await expect(page.getByRole('heading', { level: 1, name: 'Applications' })).toBeVisible();
    await settled(page);
    await reach(page.getByRole('button', { name: 'New application' }));
    await keys.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    await reach(dialog.getByLabel('Name', { exact: true }));
    await keys.type('Acme Corporation');
    await keys.press('Enter');
    await expect(page.getByRole('heading', { level: 1, name: 'Acme Corporation' })).toBeVisible();
    await settled(page);

    await reach(page.getByRole('link', { name: 'New endpoint' }));
    await keys.press('Enter');
    await page.getByRole('textbox', { name: 'URL' }).waitFor();
    await reach(page.getByRole('textbox', { name: 'URL' }));
    await keys.type(receiver.url('/fail/billing'));
    await keys.press('Enter');
    await expect(page.getByRole('heading', { level: 1, name: 'Endpoint' })).toBeVisible();
    const { data } = await server.call<{ data: { id: string }[] }>('GET', '/api/v1/app');
    const { id } = await server.call<{ id: string }>('POST', `/api/v1/app/${data[0]?.id}/msg`, { eventType: 'invoice.paid', payload: { id: 'in_1' } });

    // To the message by its id: the palette.
    await keys.press('ControlOrMeta+k');
    await page.getByRole('dialog', { name: 'Go to anything' }).waitFor();
    await keys.type(id);
    await expect(page.getByRole('option').first()).toContainText(id);
    await keys.press('Enter');
    await expect(page).toHaveURL(new RegExp(`/messages/${id}`));
    await expect(page.getByText('Answered 500').first()).toBeVisible({ timeout: 15_000 });
    receiver.answer('/fail/billing', { status: 200 });
    await reach(page.getByRole('button', { name: 'Send now' }));
    await keys.press('Enter');
    await expect(page.getByText('Answered 200').first()).toBeVisible();

    // The list of messages: `j` to the first row, Enter opens it.
    await keys.press('g');
    await keys.press('m');
    await expect(page.getByRole('heading', { level: 1, name: 'Messages' })).toBeVisible();
    await page.getByRole('link', { name: 'invoice.paid' }).first().waitFor();
    await keys.press('j');
    await keys.press('Enter');
    await expect(page).toHaveURL(new RegExp(`/messages/${id}`));

    // The keys are told, and the dialog gives the focus back.
    await settled(page);
    await keys.press('?');
    await page.getByRole('dialog', { name: 'Keys of the keyboard' }).waitFor();
    await keys.press('Escape');
    await expect(page.getByRole('dialog')).toHaveCount(0);
  });
});

/** The focus can be seen: there is an outline, or a border that stands for it. */
async function seen(page: Page) {
  const look = await page.evaluate(() => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    const of = (element: Element | null) => (element ? getComputedStyle(element) : undefined);
    const styles = [of(at), of(at?.closest('.editor') ?? null)];
    return { what: at?.outerHTML.slice(0, 120), seen: styles.some((style) => style && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) };
  });
  expect(look.seen, `the focus is visible on ${look.what}`).toBe(true);
}

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  test('create, send, watch it fail, fix it, all at 390 px', async ({ page }) => {
    test.setTimeout(120_000);
    await fresh(async (server, receiver) => {
      await page.goto(server.link);
      await settled(page);
      await fits(page, 'the start');
      await page.getByRole('button', { name: 'Menu' }).click();
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Applications' }).click();
      await settled(page);
      await page.getByRole('button', { name: 'New application' }).first().click();
      await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('Acme Corporation');
      await fits(page, 'the dialog of an application');
      await page.getByRole('button', { name: 'Create application' }).click();
      await page.getByRole('link', { name: 'New endpoint' }).first().click();
      await page.getByRole('textbox', { name: 'URL' }).fill(receiver.url('/fail/billing'));
      await fits(page, 'the form of an endpoint');
      await page.getByRole('button', { name: 'Create endpoint' }).click();
      await settled(page);
      await fits(page, 'the endpoint');
      const { data } = await server.call<{ data: { id: string }[] }>('GET', '/api/v1/app');
      await server.call('POST', `/api/v1/app/${data[0]?.id}/msg`, { eventType: 'invoice.paid', payload: { id: 'in_1', note: 'x'.repeat(300) } });
      await page.getByRole('button', { name: 'Menu' }).click();
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Messages' }).click();
      await page.getByRole('link', { name: 'invoice.paid' }).first().click();
      await settled(page);
      await fits(page, 'the message');
      await watchFailAndMend(page, receiver);
      await fits(page, 'the message that arrived');
    });
  });
});
