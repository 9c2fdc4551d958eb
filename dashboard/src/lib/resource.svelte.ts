// What a page shows of the server: loaded, loading, or why not.
import { untrack } from 'svelte';
import { reason } from '../api/client';

/** One thing, loaded again whenever what `load` reads changes. Old answers never overwrite newer ones. */
export class Resource<T> {
  value = $state<T | undefined>();
  error = $state<string | undefined>();
  /** The error as it was thrown. */
  cause = $state<unknown>();
  loading = $state(true);
  private turn = 0;

  /** Within a component's setup. `load` runs in an effect; `every` (ms) loads again while the page is visible. */
  constructor(
    private readonly load: (signal: AbortSignal) => Promise<T>,
    how: { every?: number } = {},
  ) {
    $effect(() => {
      const abort = new AbortController();
      void this.run(load(abort.signal));
      return () => abort.abort();
    });
    const { every } = how;
    if (every) {
      $effect(() => {
        const timer = setInterval(() => document.hidden || untrack(() => void this.again()), every);
        return () => clearInterval(timer);
      });
    }
  }

  private async run(answer: Promise<T>) {
    const turn = ++this.turn;
    untrack(() => (this.loading = true));
    try {
      const value = await answer;
      if (turn !== this.turn) return;
      this.value = value;
      this.error = this.cause = undefined;
    } catch (error) {
      if (turn !== this.turn || (error as Error).name === 'AbortError') return;
      this.error = reason(error);
      this.cause = error;
    } finally {
      if (turn === this.turn) this.loading = false;
    }
  }

  /** Loads again; what is shown stays until then. */
  again(): Promise<void> {
    return this.run(this.load(new AbortController().signal));
  }
}

/** One page of a list of the API. */
export interface Page<T> {
  data: T[];
  iterator?: string | null;
  done: boolean;
}

/** Empty pages that are followed by themselves before the reader is asked. */
const EMPTY_PAGES_MAX = 40;

/** A list, read page by page as the reader goes on. Begins again when what `load` reads changes. */
export class List<T> {
  rows = $state<T[]>([]);
  error = $state<string | undefined>();
  loading = $state(true);
  done = $state(false);
  /** The last page as it came. */
  page = $state<Page<T> | undefined>();
  private iterator: string | undefined;
  private turn = 0;

  constructor(private readonly load: (iterator: string | undefined, signal: AbortSignal) => Promise<Page<T>>) {
    $effect(() => {
      const abort = new AbortController();
      // Read what the list depends on now, and not after the first wait.
      const first = this.load(undefined, abort.signal);
      untrack(() => void this.fill(first, abort.signal, true));
      return () => abort.abort();
    });
  }

  private async fill(first: Promise<Page<T>>, signal: AbortSignal, anew: boolean) {
    const turn = ++this.turn;
    this.loading = true;
    try {
      let answer = await first;
      for (let pages = 1; ; pages++) {
        if (turn !== this.turn) return;
        this.rows = anew ? answer.data : [...this.rows, ...answer.data];
        anew = false;
        this.page = answer;
        this.done = answer.done;
        this.iterator = answer.iterator ?? undefined;
        this.error = undefined;
        if (answer.done || answer.data.length > 0 || pages >= EMPTY_PAGES_MAX || !this.iterator) break;
        answer = await this.load(this.iterator, signal);
      }
    } catch (error) {
      if (turn !== this.turn || (error as Error).name === 'AbortError') return;
      this.error = reason(error);
    } finally {
      if (turn === this.turn) this.loading = false;
    }
  }

  /** The next page. */
  more() {
    if (this.loading || this.done) return;
    const { signal } = new AbortController();
    void this.fill(this.load(this.iterator, signal), signal, false);
  }

  /** From the beginning. */
  again(): Promise<void> {
    const { signal } = new AbortController();
    return this.fill(this.load(undefined, signal), signal, true);
  }
}
