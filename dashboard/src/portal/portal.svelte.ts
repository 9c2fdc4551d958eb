// Who looks at the portal and what they may see: the token of the link, and what the server says of it.
import { ApiError, access, get, post, type Application } from '../api/shapes';
import { reason } from '../api/client';
import { brand } from '../lib/brand.svelte';
import { may, type Capability } from '../lib/may.svelte';
import { router } from '../lib/router.svelte';
import type { Theme } from '../lib/theme.svelte';
import { dress, type Settings } from './look';
import { read, type Link, type Look } from './link';

interface Who {
  appId?: string | null;
  /** An addition of this server. */
  capabilities?: Capability[] | null;
}

const KEY = 'posthouse-portal';
/** What a read-only portal shows of the token's capabilities. */
const VIEWS: Capability[] = ['ViewBase', 'ViewEndpointSecret'];

/** The browser's session storage; in a foreign frame it may be closed, and memory has to do. */
const kept = {
  read(): Partial<Link> {
    try {
      return JSON.parse(sessionStorage.getItem(KEY) ?? '{}') as Partial<Link>;
    } catch {
      return {};
    }
  },
  write(link: Partial<Link> | undefined) {
    try {
      if (link) sessionStorage.setItem(KEY, JSON.stringify(link));
      else sessionStorage.removeItem(KEY);
    } catch {
      // Then it holds as long as the page.
    }
  },
};

/** What a look names; what it leaves open overwrites nothing. */
const said = (look: Look): Look => Object.fromEntries(Object.entries(look).filter(([, value]) => value !== undefined));

class Portal {
  /** `lost`: no token, or one that has ended; `left`: the reader ended it. */
  state = $state<'loading' | 'ready' | 'lost' | 'left' | 'failed'>('loading');
  error = $state('');
  app = $state<Application | undefined>();
  logo = $state<string | undefined>();
  /** Who may learn the height of the frame. */
  origin = $state<string | undefined>();
  private link: Partial<Link> = {};
  private settings: Settings = {};

  /** Takes the link out of the address bar and opens what it is for. */
  start() {
    router.base = '/portal';
    access.lost = () => this.lose('lost');
    this.take();
    addEventListener('hashchange', () => this.take());
  }

  private take() {
    const link = read(location.hash);
    if (!link && this.link.token) return;
    const token = access.token;
    if (link) {
      // First of all: whatever the page does with the rest, the token does not stay in sight.
      history.replaceState(history.state, '', location.pathname + location.search);
      // A link without a token changes the look of what is open.
      const before = this.link.token ? this.link : kept.read();
      this.link = link.token ? link : { ...before, look: { ...before.look, ...said(link.look) }, origin: link.origin ?? before.origin };
      kept.write(this.link);
      if (link.page) router.go(router.base + link.page, { replace: true });
    } else {
      this.link = kept.read();
    }
    this.origin = this.link.origin;
    access.token = this.link.token;
    this.dress();
    if (this.state !== 'ready' || access.token !== token) void this.open();
  }

  private dress() {
    const { name, logo } = dress(this.link.look ?? {}, this.settings);
    this.logo = logo;
    brand.name = name ?? '';
  }

  /** Asks who the token is for. */
  async open() {
    if (!access.token) return this.lose('lost');
    const token = access.token;
    this.state = 'loading';
    try {
      const [who, settings] = await Promise.all([get<Who>('/api/v1/auth/whoami'), this.look()]);
      if (!who.appId) return this.lose('lost');
      const app = await get<Application>(`/api/v1/app/${encodeURIComponent(who.appId)}`);
      if (token !== access.token) return;
      this.settings = settings;
      const capabilities = who.capabilities ?? ['ViewBase'];
      may.capabilities = settings.readOnly ? capabilities.filter((one) => VIEWS.includes(one)) : capabilities;
      this.app = app;
      this.dress();
      this.state = 'ready';
    } catch (error) {
      if (token !== access.token) return;
      // A token that is refused was put aside already; one whose application is gone opens nothing either.
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return this.lose('lost');
      this.error = reason(error);
      this.state = 'failed';
    }
  }

  /** The look that the operator chose; without one, ours. */
  private async look(): Promise<Settings> {
    try {
      return await get<Settings>('/api/v1/environment/settings');
    } catch (error) {
      if (error instanceof ApiError && [403, 404, 501].includes(error.status)) return {};
      throw error;
    }
  }

  /** Light or dark as the reader wants it, over what the link says. */
  choose(theme: Theme) {
    this.link = { ...this.link, look: { ...this.link.look, theme: theme === 'system' ? 'auto' : theme } };
    kept.write(this.link);
    this.dress();
  }

  /** Forgets the token. */
  lose(how: 'lost' | 'left') {
    access.token = undefined;
    this.link = { look: this.link.look, origin: this.link.origin };
    kept.write(this.link);
    this.app = undefined;
    this.state = how;
  }

  /** Ends the token on the server, too. */
  async leave() {
    await post('/api/v1/auth/logout');
    this.lose('left');
  }
}

export const portal = new Portal();
