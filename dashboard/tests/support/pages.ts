// Going to pages and knowing that they are there.
import { expect, type Page } from '@playwright/test';

/** Until a page shows what it has, and no longer that it is loading. */
export async function settled(page: Page) {
  await expect(page.getByRole('heading', { level: 1 }).first()).not.toHaveText(/^(…|)$/);
  await expect(page.getByRole('status', { name: 'Loading' })).toHaveCount(0);
  await expect(page.locator('[aria-busy=true]')).toHaveCount(0);
}

export async function visit(page: Page, path: string) {
  await page.goto(path);
  await settled(page);
}

/** The page is not wider than the window. */
export async function fits(page: Page, what: string) {
  const { shown, whole } = await page.evaluate(() => ({ shown: innerWidth, whole: document.documentElement.scrollWidth }));
  expect(whole, `${what} scrolls sideways`).toBeLessThanOrEqual(shown);
}

/** The portal's link with a page of it, and a look. */
export function portalLink(link: string, page: string, more: Record<string, string> = {}): string {
  return `${link}&${new URLSearchParams({ ...(page ? { page } : {}), ...more }).toString().replaceAll('+', '%20')}`;
}
