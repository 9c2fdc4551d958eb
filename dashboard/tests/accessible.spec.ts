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

async function check(page: Page, what: string) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${what}: ${id}: ${nodes.slice(0, 3).map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ''}`).join(' | ')}`);
  expect.soft(found).toEqual([]);
  await fits(page, what);
}

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1440, 390]) {
    test.describe(`${colorScheme}, ${width} px`, () => {
      test.use({ colorScheme, viewport: { width, height: 900 } });
      test.setTimeout(180_000);

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

      test('signing in, and a link that has ended', async ({ page }) => {
        await visit(page, '/login');
        await check(page, '/login');
        await visit(page, '/portal');
        await check(page, 'portal without a token');
      });
    });
  }
}
