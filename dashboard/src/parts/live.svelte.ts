// A list of messages that grows at its top as they come in, and at its end as the reader goes on.
import { tick, untrack } from 'svelte';
import { ApiError, get, path, type LivePage, type MessagePage, type MessageRow } from '../api/shapes';
import { reason } from '../api/client';
import { listen } from '../api/live';

/** Rows that are kept while new ones come in: older ones leave at the end. */
const LIVE_MAX = 200;
/** The same while so many come in that nobody reads them: new rows of one change from which this holds, and rows. */
const FLOOD = 40;
const FLOOD_MAX = 80;
/** Rows that are shown at most, with all that the reader loaded. */
export const ROWS_MAX = 1_000;
/** Rows of a page that is asked for. */
const PAGE = 50;
/** Time between two changes of what is shown, in milliseconds. */
const PACE_MS = 500;
/** How long pages with few rows are followed by themselves, in milliseconds. */
const FOLLOW_MS = 8_000;

export interface Where {
  /** What makes it another list: spans up to now do not. */
  key: string;
  /** The operation that lists; `/live` behind it sends what is new. */
  base: string;
  query: Record<string, string | string[] | undefined>;
  /** Whether new messages can be in it: not where it ends at a time. */
  live: boolean;
}

/** The list as it was left, for the way back. */
interface Left {
  key: string;
  rows: MessageRow[];
  iterator: string | undefined;
  done: boolean;
  searchedTo: string | undefined;
  scroll: number;
}
let left: Left | undefined;
/** When the reader last went back or on by the browser's buttons. */
let wentBack = -Infinity;
/** How long after it a list that opens is the one that was gone back to, in milliseconds. */
const BACK_MS = 2_000;
addEventListener('popstate', () => (wentBack = performance.now()), { capture: true });

/** Filters come from the address: what they name may not be there. */
function inWords(error: unknown): string {
  const fields = error instanceof ApiError ? error.fields : {};
  if (fields.application) return 'No application of this environment has the id or uid that is filtered by.';
  if (fields.source) return 'No source of this environment, or of the application, has the id or uid that is filtered by.';
  return reason(error);
}

const newestFirst = (a: MessageRow, b: MessageRow) => (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);

export class LiveMessages {
  rows = $state.raw<MessageRow[]>([]);
  error = $state<string | undefined>();
  loading = $state(true);
  /** Nothing older is left. */
  done = $state(false);
  /** How far back the search came, where it was cut short. */
  searchedTo = $state<string | undefined>();
  /** `full`: the server has as many listeners as it takes. */
  state = $state<'off' | 'connecting' | 'live' | 'lost' | 'full'>('off');
  paused = $state(false);
  /** Messages that came while paused. */
  waiting = $state(0);
  /** Some messages in between are not among the rows. */
  gaps = $state(false);

  private visible = $state(!document.hidden);
  private held = new Map<string, MessageRow>();
  private heldGaps = false;
  private incoming = new Map<string, MessageRow>();
  private incomingGaps = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The newest message that was counted in `waiting`. */
  private counted = '';
  private iterator: string | undefined;
  private turn = 0;
  private where: Where | undefined;
  private scroll = 0;
  /** Paused because the reader came back to a place further down. */
  restored = false;

  /** Within a component's setup. Begins again when what `where` reads changes. */
  constructor(where: () => Where) {
    $effect(() => {
      const seen = () => (this.visible = !document.hidden);
      document.addEventListener('visibilitychange', seen);
      return () => document.removeEventListener('visibilitychange', seen);
    });
    $effect(() => {
      const now = where();
      untrack(() => this.begin(now));
      return () => this.leave(now);
    });
    $effect(() => {
      const scrolled = () => (this.scroll = scrollY);
      addEventListener('scroll', scrolled, { passive: true });
      return () => removeEventListener('scroll', scrolled);
    });
    $effect(() => {
      const { base, query, live } = where();
      if (!live || !this.visible) return;
      return untrack(() => this.connect(path(`${base}/live`, { ...query, with_content: false })));
    });
  }

  private begin(where: Where) {
    this.where = where;
    this.rows = [];
    this.clearHeld();
    this.incoming.clear();
    this.paused = this.gaps = this.restored = false;
    this.iterator = undefined;
    this.error = undefined;
    if (left && left.key === where.key && performance.now() - wentBack < BACK_MS) this.restore(left);
    else void this.load(true);
    left = undefined;
  }

  private leave({ key }: Where) {
    left = { key, rows: this.rows, iterator: this.iterator, done: this.done, searchedTo: this.searchedTo, scroll: this.scroll };
  }

  /** As it was when the reader opened a row. */
  private restore({ rows, iterator, done, searchedTo, scroll }: Left) {
    this.turn++;
    this.rows = rows;
    this.iterator = iterator;
    this.done = done;
    this.searchedTo = searchedTo;
    this.loading = false;
    this.paused = this.restored = scroll > 0;
    void tick().then(() => scrollTo({ top: scroll }));
  }

  private clearHeld() {
    this.held.clear();
    this.heldGaps = false;
    this.waiting = 0;
  }

  /** Reads a page, and follows it as long as it brought little. */
  private async load(anew: boolean) {
    const { where } = this;
    if (!where) return;
    const turn = ++this.turn;
    this.loading = true;
    this.error = undefined;
    if (anew) this.searchedTo = undefined;
    const end = Date.now() + FOLLOW_MS;
    let found = 0;
    try {
      let iterator = anew ? undefined : this.iterator;
      for (;;) {
        const page = await get<MessagePage>(path(where.base, { ...where.query, limit: PAGE, with_content: false, iterator }));
        if (turn !== this.turn) return;
        if (anew) this.rows = [...page.data].sort(newestFirst);
        else this.append(page.data);
        anew = false;
        found += page.data.length;
        this.done = page.done;
        this.searchedTo = page.searchedTo ?? undefined;
        iterator = this.iterator = page.iterator ?? undefined;
        if (page.done || !iterator || found >= PAGE / 2 || Date.now() > end) break;
      }
    } catch (error) {
      if (turn === this.turn) this.error = inWords(error);
    } finally {
      if (turn === this.turn) this.loading = false;
    }
  }

  private append(older: MessageRow[]) {
    const known = new Set(this.rows.map(({ id }) => id));
    this.rows = [...this.rows, ...older.filter(({ id }) => !known.has(id))].slice(0, ROWS_MAX);
  }

  private connect(url: string): () => void {
    this.state = 'connecting';
    let isFirst = true;
    const stop = listen(url, {
      event: (name, data) => {
        if (name !== 'page') return;
        const page = data as LivePage;
        this.take(page, isFirst);
        isFirst = false;
      },
      state: (connected, error) => {
        isFirst = true;
        if (connected) this.state = 'live';
        else if (error instanceof ApiError && error.status === 429) this.state = 'full';
        else this.state = error && [403, 404, 405, 422, 501].includes(error.status) ? 'off' : 'lost';
      },
    });
    return () => {
      stop();
      clearTimeout(this.timer);
      this.timer = undefined;
      this.state = 'off';
    };
  }

  private take({ data, skipped }: LivePage, isFirst: boolean) {
    if (skipped) this.incomingGaps = true;
    // After a time without a connection: nothing of it is known here, so something may lie between.
    if (isFirst && data.length && this.rows.length && !data.some(({ id }) => this.rows.some((row) => row.id === id))) this.incomingGaps = true;
    for (const row of data) this.incoming.set(row.id, row);
    // Whatever comes while the page cannot draw, no more than what can be shown waits here.
    if (this.incoming.size > LIVE_MAX) {
      const kept = [...this.incoming.values()].sort(newestFirst).slice(0, LIVE_MAX);
      this.incoming = new Map(kept.map((row) => [row.id, row]));
      this.incomingGaps = true;
    }
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.show();
    }, isFirst ? 0 : PACE_MS);
  }

  /** Brings what came in to the rows: changes in their places, new ones at the top or, while paused, aside. */
  private show() {
    if (this.loading && !this.rows.length) {
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.show();
      }, PACE_MS);
      return;
    }
    const places = new Map(this.rows.map(({ id }, i) => [id, i]));
    const oldest = this.done ? '' : (this.rows.at(-1)?.id ?? '');
    const rows = this.rows.slice();
    const fresh: MessageRow[] = [];
    for (const row of this.incoming.values()) {
      const at = places.get(row.id);
      if (at !== undefined) rows[at] = row;
      else if (row.id > oldest) fresh.push(row);
    }
    const gaps = this.incomingGaps && fresh.length > 0;
    this.incoming.clear();
    this.incomingGaps = false;
    if (this.paused) {
      this.rows = rows;
      this.hold(fresh, gaps);
    } else {
      if (gaps) this.gaps = true;
      this.place(rows, fresh);
    }
  }

  private place(rows: MessageRow[], fresh: MessageRow[]) {
    const all = fresh.length ? [...fresh, ...rows].sort(newestFirst) : rows;
    const max = fresh.length > FLOOD ? FLOOD_MAX : LIVE_MAX;
    if (all.length > max && fresh.length) {
      this.rows = all.slice(0, max);
      this.iterator = this.rows.at(-1)?.id;
      this.done = false;
      this.searchedTo = undefined;
    } else this.rows = all;
  }

  private hold(fresh: MessageRow[], gaps: boolean) {
    let newest = this.counted;
    for (const row of fresh) {
      if (!this.held.has(row.id) && row.id > this.counted) this.waiting++;
      if (row.id > newest) newest = row.id;
      this.held.set(row.id, row);
    }
    this.counted = newest;
    if (gaps) this.heldGaps = true;
    if (this.held.size > LIVE_MAX) {
      this.held = new Map([...this.held.values()].sort(newestFirst).slice(0, LIVE_MAX).map((row) => [row.id, row]));
      this.heldGaps = true;
    }
  }

  pause() {
    this.paused = true;
  }

  /** Shows what came meanwhile, and goes on. */
  resume() {
    this.paused = false;
    const fresh = [...this.held.values()];
    // What lies between is not known: the rows begin anew with what is.
    this.place(this.heldGaps && fresh.length >= LIVE_MAX ? [] : this.rows, fresh);
    if (this.heldGaps) this.gaps = true;
    this.clearHeld();
  }

  /** The next older page. */
  more() {
    if (!this.loading && !this.done && this.rows.length < ROWS_MAX) void this.load(false);
  }

  /** From the newest, without gaps. */
  again() {
    this.gaps = false;
    this.paused = false;
    this.clearHeld();
    void this.load(true);
  }
}
