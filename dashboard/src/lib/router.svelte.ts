// Where the reader is: the path and the query of the address bar, as reactive state.
// Filters live in the query, so that a view can be linked to and the back button works.

/** Parameters of a path pattern such as `/sources/:sourceId`. */
export type Params = Record<string, string>;

class Router {
  path = $state(location.pathname);
  query = $state(new URLSearchParams(location.search));
  /** What begins every path: `/portal` in the portal. */
  base = '';
  /** Asks whether leaving is meant; a form with unsaved changes sets it and takes it back. */
  guard: (() => boolean) | undefined;
  private here = location.pathname + location.search;

  constructor() {
    addEventListener('popstate', () => {
      if (this.mayLeave()) this.read();
      else history.pushState(null, '', this.here);
    });
    document.addEventListener('click', (event) => this.follow(event));
  }

  private mayLeave(): boolean {
    if (!this.guard) return true;
    if (!this.guard()) return false;
    this.guard = undefined;
    return true;
  }

  private read() {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
    this.here = location.pathname + location.search;
  }

  /** Goes to a path of this app. */
  go(to: string, how: { replace?: boolean } = {}) {
    const isOtherPage = new URL(to, location.href).pathname !== location.pathname;
    if (isOtherPage && !this.mayLeave()) return;
    history[how.replace ? 'replaceState' : 'pushState'](null, '', to);
    this.read();
    if (isOtherPage) scrollTo(0, 0);
  }

  /** Changes parameters of the query; null and '' take one out. Without `push` the back button skips it. */
  set(changes: Record<string, string | string[] | null | undefined>, how: { push?: boolean } = {}) {
    const query = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries(changes)) {
      query.delete(name);
      for (const one of Array.isArray(value) ? value : [value]) if (one) query.append(name, one);
    }
    const text = query.toString();
    this.go(this.path + (text && `?${text}`), { replace: !how.push });
  }

  /** Plain clicks on links of this app change the page without loading it again. */
  private follow(event: MouseEvent) {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest('a');
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (/^\/(api|ingest|docs|openapi\.json|metrics)(\/|$)/.test(link.pathname)) return;
    if (link.pathname === location.pathname && link.search === location.search && link.hash) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();

/** The parameters where `path` has the form of `pattern`, else undefined. */
export function match(pattern: string, path: string): Params | undefined {
  const wanted = pattern.split('/');
  const given = path.replace(/(.)\/$/, '$1').split('/');
  if (wanted.length !== given.length) return undefined;
  const params: Params = {};
  for (const [i, part] of wanted.entries()) {
    const value = given[i] ?? '';
    if (part.startsWith(':')) {
      try {
        params[part.slice(1)] = decodeURIComponent(value);
      } catch {
        return undefined;
      }
    } else if (part !== value) return undefined;
  }
  return params;
}

/** A path of this app: values are encoded, the base stands in front. */
export function to(strings: TemplateStringsArray, ...values: string[]): string {
  return router.base + String.raw({ raw: strings }, ...values.map(encodeURIComponent));
}
