// The log of a source, kept up to date: the newest requests come by themselves while the page is visible.
import { untrack } from 'svelte';
import { reason } from '../api/client';
import { get, path, type SourceLog } from '../api/shapes';

/** Milliseconds between two looks. */
const EVERY_MS = 2_000;
/** Rows of one look. */
const PAGE = 50;
/** Rows that are held; older ones are left to the button. */
const HELD_MAX = 1_000;

interface LogPage {
  data: SourceLog[];
  iterator: string | null;
  done: boolean;
}

export class LiveLog {
  rows = $state<SourceLog[]>([]);
  error = $state<string | undefined>();
  /** The first answer is there. */
  known = $state(false);
  done = $state(false);
  loading = $state(false);
  paused = $state(false);
  /** Ids that came since the page was opened. */
  fresh = $state(new Set<string>());
  private oldest: string | null = null;
  private busy = false;
  /** What is under way may be too early: once more after it. */
  private once = false;
  private readonly base: string;

  /** Within a component's setup. */
  constructor(sourceId: string) {
    this.base = `/ingest/api/v1/source/${encodeURIComponent(sourceId)}/log`;
    $effect(() => {
      untrack(() => void this.look());
      const timer = setInterval(() => document.hidden || this.paused || void this.look(), EVERY_MS);
      return () => clearInterval(timer);
    });
  }

  /** The newest rows, before those that are known. */
  async look() {
    if (this.busy) {
      this.once = true;
      return;
    }
    this.busy = true;
    try {
      const page = await get<LogPage>(path(this.base, { limit: PAGE }));
      this.error = undefined;
      const first = !this.known;
      const known = new Set(this.rows.map(({ id }) => id));
      const meets = first || page.done || page.data.some(({ id }) => known.has(id)) || !this.rows.length;
      if (!first) {
        const fresh = page.data.filter(({ id }) => !known.has(id)).map(({ id }) => id);
        if (fresh.length) this.fresh = new Set([...this.fresh, ...fresh].slice(-PAGE));
      }
      if (first || !meets) {
        // More came than one look shows: begin again from the newest.
        this.rows = page.data;
        this.oldest = page.iterator;
        this.done = page.done;
      } else {
        // Rows of the same time span are as the server has them now: what was verified again has left.
        const last = page.data.at(-1);
        const kept = last && !page.done ? this.rows.slice(this.rows.findIndex(({ id }) => id === last.id) + 1 || this.rows.length) : [];
        const rows = [...page.data, ...kept].slice(0, HELD_MAX);
        if (rows.length !== this.rows.length || rows.some(({ id }, i) => id !== this.rows[i]?.id)) this.rows = rows;
        if (!kept.length) {
          this.oldest = page.iterator;
          this.done = page.done;
        }
      }
      this.known = true;
    } catch (error) {
      this.error = reason(error);
    } finally {
      this.busy = false;
    }
    if (this.once) {
      this.once = false;
      await this.look();
    }
  }

  /** Older rows. */
  async more() {
    if (this.loading || this.done || !this.oldest || this.rows.length >= HELD_MAX) return;
    this.loading = true;
    try {
      const page = await get<LogPage>(path(this.base, { limit: PAGE, iterator: this.oldest }));
      const known = new Set(this.rows.map(({ id }) => id));
      this.rows = [...this.rows, ...page.data.filter(({ id }) => !known.has(id))];
      this.oldest = page.iterator;
      this.done = page.done;
      this.error = undefined;
    } catch (error) {
      this.error = reason(error);
    } finally {
      this.loading = false;
    }
  }

  /** Whether older rows can be asked for. */
  get canMore(): boolean {
    return !this.done && this.rows.length > 0 && this.rows.length < HELD_MAX;
  }
}
