// Colours of others, made readable: an accent that was chosen for a logo must still be read as a link and carry a
// button's text, on light ground and on dark.

export type Rgb = readonly [number, number, number];

/** `#abc` or `#aabbcc` (the `#` may be missing), else undefined. */
export function parse(text: string | null | undefined): Rgb | undefined {
  const hex = /^#?([0-9a-f]{3}|[0-9a-f]{6})$/i.exec((text ?? '').trim())?.[1];
  if (!hex) return undefined;
  const whole = hex.length === 3 ? [...hex].map((one) => one + one).join('') : hex;
  const part = (at: number) => parseInt(whole.slice(at, at + 2), 16);
  return [part(0), part(2), part(4)];
}

export const hex = (colour: Rgb): string => `#${colour.map((one) => Math.round(one).toString(16).padStart(2, '0')).join('')}`;

/** `share` (0–1) of `over` in `under`. */
export function mix(under: Rgb, over: Rgb, share: number): Rgb {
  const part = (i: 0 | 1 | 2) => under[i] + (over[i] - under[i]) * share;
  return [part(0), part(1), part(2)];
}

/** Relative luminance (WCAG 2). */
function luminance([r, g, b]: Rgb): number {
  const linear = (one: number) => (one / 255 <= 0.040_45 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Contrast of two colours (WCAG 2): 1–21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** Text that is read with ease, with something to spare for rounding. */
const READABLE = 4.6;
/** Steps on the way to black or white. */
const STEPS = 50;

/** The colour nearest to `colour` towards `end` (black or white) that is read on all of `grounds`. */
export function readable(colour: Rgb, grounds: Rgb[], end: Rgb): Rgb {
  for (let step = 0; step <= STEPS; step++) {
    const tried = mix(colour, end, step / STEPS);
    const rounded: Rgb = [Math.round(tried[0]), Math.round(tried[1]), Math.round(tried[2])];
    if (grounds.every((ground) => contrast(rounded, ground) >= READABLE)) return rounded;
  }
  return end;
}

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];

/** What one theme needs of an accent. */
export interface Shades {
  accent: string;
  strong: string;
  soft: string;
  on: string;
}

/** The shades of an accent on `grounds` of a theme. */
export function shades(colour: Rgb, grounds: Rgb[], isDark: boolean): Shades {
  const end = isDark ? WHITE : BLACK;
  const surface = grounds[0] ?? (isDark ? BLACK : WHITE);
  const soft = mix(surface, colour, isDark ? 0.22 : 0.1);
  const accent = readable(colour, [...grounds, soft], end);
  const strong = readable(mix(accent, end, 0.2), [...grounds, soft], end);
  const on = [WHITE, [13, 14, 29] as const].find((one) => contrast(one, accent) >= READABLE && contrast(one, strong) >= READABLE);
  return { accent: hex(accent), strong: hex(strong), soft: hex(soft), on: hex(on ?? (isDark ? BLACK : WHITE)) };
}
