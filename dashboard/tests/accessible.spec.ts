// No page has a serious fault of accessibility, in both themes and at both widths; none scrolls sideways.
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { fits, portalLink, settled, visit } from './support/pages';
import { expect, test } from './support/test';
import { fill, type World } from './support/world';

let world: World;
let link: string;
test.beforeAll(async ({ server, receiver }) => {
  world = await fill(server, receiver, 'axe');
  link = (await server.portal(world.app)).url;
});

/** Rules whose verdict depends on the theme. */
const OF_THEME = ['color-contrast', 'link-in-text-block'];

async function faults(page: Page, what: string, rules?: string[]): Promise<string[]> {
  const builder = new AxeBuilder({ page });
  const { violations } = await (rules ? builder.withRules(rules) : builder).analyze();
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${what}: ${id}: ${nodes.slice(0, 3).map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ''}`).join(' | ')}`);
}

const softly = expect.configure({ soft: true });

/** Both themes of a page that is shown light. Colours that go over softly are not judged on their way. */
async function check(page: Page, what: string) {
  softly(await faults(page, what)).toEqual([]);
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  await softly.poll(() => faults(page, `${what}, dark`, OF_THEME), { timeout: 15_000 }).toEqual([]);
  await page.emulateMedia({ colorScheme: 'light' });
  await fits(page, what);
}

test.describe.configure({ mode: 'parallel' });
test.use({ contextOptions: { reducedMotion: 'reduce' } });

test('what the checker sees: pale text and a field without a label', async ({ page }) => {
  await visit(page, '/login');
  await page.evaluate(() => {
    (document.querySelector('h1') as HTMLElement).style.color = '#ccc';
    document.querySelector('label')?.remove();
    document.querySelector('input')?.removeAttribute('placeholder');
  });
  const found = await faults(page, '/login');
  expect(found.some((one) => one.includes('color-contrast'))).toBe(true);
  expect(found.some((one) => one.includes('label'))).toBe(true);
});

for (const width of [1440, 390]) {
  test.describe(`${width} px`, () => {
    test.use({ viewport: { width, height: 900 } });
    // Dozens of pages, each checked twice: minutes on a busy machine.
    test.setTimeout(480_000);

    test('every page of the operator', async ({ signedIn: page }) => {
      for (const path of world.operator) {
        await visit(page, path);
        await check(page, path);
      }
    });

    test('every page of the portal', async ({ page }) => {
      for (const path of world.portal) {
        // Another path of the same page would not load it again.
        await page.goto('about:blank');
        await page.goto(portalLink(link, path, { color: '#f5c518', radius: '14' }));
        await settled(page);
        await check(page, `portal ${path}`);
      }
    });

    test('dialogs, menus and lists that open', async ({ signedIn: page }) => {
      const app = `/applications/${world.app}`;
      const openers: [string, string, () => Promise<void>][] = [
        ['the palette', '/', () => page.keyboard.press('ControlOrMeta+k')],
        ['the keys', '/', () => page.keyboard.press('?')],
        ['a new application', '/applications', () => page.getByRole('button', { name: 'New application' }).first().click()],
        ['a message to send', app, () => page.getByRole('button', { name: 'Send a message' }).click()],
        ['a menu', app, () => page.getByRole('button', { name: 'More for this application' }).click()],
        ['a filter', '/messages', () => page.getByRole('button', { name: /^Event type/ }).first().click()],
        ['a time', '/messages', () => page.getByRole('button', { name: /^Time/ }).first().click()],
        ['a question', `${app}/endpoints/${world.fails}`, async () => {
          await page.getByRole('button', { name: 'More for this endpoint' }).click();
          await page.getByRole('menuitem', { name: /^Delete/ }).click();
        }],
      ];
      for (const [what, path, open] of openers) {
        await visit(page, path);
        // On a phone the filters are behind a button.
        if (width < 860 && path === '/messages') await page.getByRole('button', { name: /^Filter/ }).first().click();
        await open();
        await expect(page.locator('[role=dialog], [role=menu], [role=alertdialog], .filter-list').first()).toBeVisible();
        await check(page, what);
        await page.keyboard.press('Escape');
        await expect(page.getByRole('dialog')).toHaveCount(0);
      }
    });

    test('signing in, and a link that has ended', async ({ page }) => {
      await visit(page, '/login');
      await check(page, '/login');
      await visit(page, '/portal');
      await check(page, 'portal without a token');
    });
  });
}
