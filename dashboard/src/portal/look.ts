// How the portal looks: what the environment's settings say, and the link over them.
import { look as scheme } from '../lib/theme.svelte';
import { parse, readable, hex, contrast, shades, type Rgb } from './colour';
import { RADII, font, logo, name, type Look } from './link';

export type Palette = Partial<Record<
  | 'primary' | 'backgroundPrimary' | 'backgroundSecondary' | 'backgroundHover' | 'textPrimary' | 'textSecondary'
  | 'textDanger' | 'interactiveAccent' | 'navigationAccent' | 'buttonPrimary' | 'borderPrimary',
  string | null
>>;

/** What of `GET /api/v1/environment/settings` concerns the portal. */
export interface Settings {
  displayName?: string | null;
  customLogoUrl?: string | null;
  customColor?: string | null;
  customFontFamily?: string | null;
  customThemeOverride?: { borderRadius?: { button?: string | null; card?: string | null; input?: string | null } | null } | null;
  colorPaletteLight?: Palette | null;
  colorPaletteDark?: Palette | null;
  readOnly?: boolean | null;
}

/** The colours of app.css that shades are worked out against, and that a palette may replace. */
const THEMES = {
  light: { isDark: false, surface: '#ffffff', bg: '#fbfbfc', hover: '#f1f2f5', text: '#15171c', text2: '#4c525e', bad: '#b4232c', line: '#e4e6eb' },
  dark: { isDark: true, surface: '#15171d', bg: '#0e0f13', hover: '#1e212a', text: '#eceef2', text2: '#b1b7c3', bad: '#ff8085', line: '#272b35' },
} as const;
const ACCENT = { light: '#4a48d4', dark: '#8d90ff' } as const;
/** Contrast that a ground of a palette needs with the theme's text, or it is left out. */
const GROUND_MIN = 9;

const colour = (text: string): Rgb => parse(text) ?? [0, 0, 0];

/** The custom properties of one theme. Of the accents the `nearest` holds, then the palette's, then the one `otherwise`. */
export function properties(which: 'light' | 'dark', palette: Palette, nearest?: string | null, otherwise?: string | null): Record<string, string> {
  const theme = THEMES[which];
  const end: Rgb = theme.isDark ? [255, 255, 255] : [0, 0, 0];
  const ground = (wanted: string | null | undefined, otherwise: string): Rgb => {
    const found = parse(wanted);
    return found && contrast(found, colour(theme.text)) >= GROUND_MIN ? found : colour(otherwise);
  };
  const surface = ground(palette.backgroundPrimary, theme.surface);
  const bg = ground(palette.backgroundSecondary, theme.bg);
  const hover = ground(palette.backgroundHover, theme.hover);
  const grounds = [surface, bg, hover];
  const text = (wanted: string | null | undefined, otherwise: string) => hex(readable(parse(wanted) ?? colour(otherwise), grounds, end));
  const chosen = nearest ?? palette.buttonPrimary ?? palette.interactiveAccent ?? palette.primary ?? palette.navigationAccent ?? otherwise;
  const { accent: main, strong, soft, on } = shades(parse(chosen) ?? colour(ACCENT[which]), grounds, theme.isDark);
  return {
    '--surface': hex(surface), '--bg': hex(bg), '--hover': hex(hover),
    '--text': text(palette.textPrimary, theme.text), '--text-2': text(palette.textSecondary, theme.text2),
    '--bad': text(palette.textDanger, theme.bad), '--line': hex(parse(palette.borderPrimary) ?? colour(theme.line)),
    '--accent': main, '--accent-strong': strong, '--accent-soft': soft, '--on-accent': on,
  };
}

/** What is shown in the portal's head. */
export interface Brand {
  name?: string;
  logo?: string;
}

/** Dresses the page; answers with the name and the logo. */
export function dress(link: Look, settings: Settings): Brand {
  const root = document.documentElement.style;
  root.cssText = '';
  const accent = link.color ?? settings.customColor ?? undefined;
  const palettes = { light: settings.colorPaletteLight ?? {}, dark: settings.colorPaletteDark ?? {} };
  if (parse(accent) || settings.colorPaletteLight || settings.colorPaletteDark) {
    // Of the settings a palette is nearer than the one colour; the link is nearest.
    const of = (which: 'light' | 'dark') => properties(which, palettes[which], link.color, settings.customColor);
    const [light, dark] = [of('light'), of('dark')];
    for (const [property, value] of Object.entries(light)) root.setProperty(property, `light-dark(${value}, ${dark[property] ?? value})`);
  }
  const sizes = settings.customThemeOverride?.borderRadius;
  const size = (named: string | null | undefined) => (named ? RADII[named] : undefined);
  const card = link.radius ?? size(sizes?.card);
  const control = link.radius ?? size(sizes?.button) ?? size(sizes?.input);
  if (card !== undefined) root.setProperty('--radius', `${card}px`);
  if (control !== undefined) root.setProperty('--radius-s', `${Math.round(control * 0.62)}px`);
  const family = link.font ?? font(settings.customFontFamily);
  if (family) root.setProperty('--font', `${family}, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif`);
  scheme.set(link.theme === 'auto' ? 'system' : (link.theme ?? scheme.theme), false);
  return { name: link.name ?? name(settings.displayName), logo: link.logo ?? logo(settings.customLogoUrl) };
}
