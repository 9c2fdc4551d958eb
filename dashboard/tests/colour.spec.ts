// Whatever accent is chosen, it can be read: as a link, on a soft ground, and as a button with text on it.
import { expect, test } from '@playwright/test';
import { contrast, parse, shades, type Rgb } from '../src/portal/colour';

const GROUNDS: Record<'light' | 'dark', Rgb[]> = {
  light: [[255, 255, 255], [251, 251, 252], [241, 242, 245]],
  dark: [[21, 23, 29], [14, 15, 19], [30, 33, 42]],
};
/** What WCAG 2 asks of text. */
const AA = 4.5;

test('every accent is readable in both themes', () => {
  const steps = [0, 51, 102, 153, 204, 255];
  for (const r of steps) for (const g of steps) for (const b of steps) {
    for (const theme of ['light', 'dark'] as const) {
      const made = shades([r, g, b], GROUNDS[theme], theme === 'dark');
      const [accent, strong, soft, on] = [made.accent, made.strong, made.soft, made.on].map((text) => parse(text) as Rgb) as [Rgb, Rgb, Rgb, Rgb];
      const pairs: [string, Rgb, Rgb][] = [
        ...GROUNDS[theme].map((ground): [string, Rgb, Rgb] => ['accent on a ground', accent, ground]),
        ['strong on soft', strong, soft], ['accent on soft', accent, soft], ['text on accent', on, accent], ['text on strong', on, strong],
      ];
      for (const [what, one, other] of pairs) {
        expect(contrast(one, other), `${what}, ${theme}, rgb(${r}, ${g}, ${b})`).toBeGreaterThanOrEqual(AA);
      }
    }
  }
});

test('an accent that is readable stays as it was chosen', () => {
  expect(shades([11, 114, 133], GROUNDS.light, false).accent).toBe('#0b7285');
});

test('only colours are read as colours', () => {
  expect(parse('#0B7285')).toEqual([11, 114, 133]);
  expect(parse('abc')).toEqual([170, 187, 204]);
  for (const text of ['red', '#12', '#12345g', 'rgb(1,2,3)', '#0b7285;x', '', null, undefined]) expect(parse(text)).toBeUndefined();
});
