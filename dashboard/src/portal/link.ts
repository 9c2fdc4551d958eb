// The portal's link. All that it says stands behind the `#`, which browsers send to no server:
// `/portal#token=appsk_…&theme=dark&color=%230b7285&radius=10&font=Inter&name=Acme&logo=https://…&origin=https://…&page=/messages`.
// Everything in it comes from outside: what does not have the form of what it says is left out.
import { parse } from './colour';

export interface Look {
  theme?: 'light' | 'dark' | 'auto';
  /** `#rrggbb`. */
  color?: string;
  /** Pixels, 0–24. */
  radius?: number;
  /** Names of fonts as CSS lists them. */
  font?: string;
  name?: string;
  /** `https:` or `data:image/…`. */
  logo?: string;
}

export interface Link {
  token?: string;
  look: Look;
  /** Who may learn the height of the frame. */
  origin?: string;
  /** The page to begin with, such as `/messages`. */
  page?: string;
}

/** Longest picture (UTF-16 units): what settings allow, in Base64. */
const LOGO_MAX = 90_000;
const NAME_MAX = 100;
const FONT_MAX = 200;
export const RADIUS_MAX = 24;

/** Sizes by name, as the settings of an environment have them. */
export const RADII: Record<string, number> = { none: 0, sm: 4, md: 8, lg: 14, full: 22 };

function url(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** A logo that may be shown. */
export function logo(text: string | null | undefined): string | undefined {
  if (!text || text.length > LOGO_MAX) return undefined;
  if (/^data:image\/(png|jpeg|gif|webp|avif|svg\+xml)[;,]/i.test(text)) return text;
  return url(text)?.protocol === 'https:' ? text : undefined;
}

/** Names of fonts with nothing in them that could be more than that. */
export function font(text: string | null | undefined): string | undefined {
  const names = (text ?? '').trim();
  if (!names || names.length > FONT_MAX || !/^[A-Za-z0-9 ,'"-]+$/.test(names)) return undefined;
  return CSS.supports('font-family', names) ? names : undefined;
}

/** Pixels, or a size's name. */
export function radius(text: string | null | undefined): number | undefined {
  if (!text) return undefined;
  const size = RADII[text] ?? (/^\d{1,3}(px)?$/.test(text) ? parseInt(text, 10) : undefined);
  return size === undefined ? undefined : Math.min(size, RADIUS_MAX);
}

/** A name of one line. */
export function name(text: string | null | undefined): string | undefined {
  return text?.replace(/\p{C}+/gu, ' ').trim().slice(0, NAME_MAX) || undefined;
}

/** What stands behind the `#`; undefined where nothing of ours does. */
export function read(hash: string): Link | undefined {
  const said = new URLSearchParams(hash.replace(/^#/, ''));
  const known = ['token', 'theme', 'color', 'radius', 'font', 'name', 'logo', 'origin', 'page'];
  if (!known.some((one) => said.has(one))) return undefined;
  const token = said.get('token') ?? '';
  const theme = said.get('theme');
  const color = said.get('color');
  const origin = said.get('origin');
  const page = said.get('page') ?? '';
  return {
    token: /^[\x21-\x7e]{8,512}$/.test(token) ? token : undefined,
    look: {
      theme: theme === 'light' || theme === 'dark' || theme === 'auto' ? theme : undefined,
      color: parse(color) ? (color as string) : undefined,
      radius: radius(said.get('radius')),
      font: font(said.get('font')),
      name: name(said.get('name')),
      logo: logo(said.get('logo')),
    },
    origin: origin && /^https?:/.test(origin) && url(origin)?.origin === origin ? origin : undefined,
    page: /^\/(?![/\\])[^\s\\#]{0,500}$/.test(page) ? page : undefined,
  };
}
