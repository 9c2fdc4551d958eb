// Short notes at the edge of the page: what was done, or what failed.
import { reason } from '../api/client';

export interface Toast {
  id: number;
  kind: 'good' | 'bad';
  text: string;
}

/** Notes shown at once. */
const MAX = 4;

class Toasts {
  all = $state<Toast[]>([]);
  private next = 0;

  private show(kind: Toast['kind'], text: string, ms: number) {
    const id = this.next++;
    this.all = [...this.all, { id, kind, text }].slice(-MAX);
    setTimeout(() => this.drop(id), ms);
  }

  drop(id: number) {
    this.all = this.all.filter((toast) => toast.id !== id);
  }

  good(text: string) {
    this.show('good', text, 4_000);
  }

  bad(error: unknown) {
    this.show('bad', reason(error), 8_000);
  }
}

export const toasts = new Toasts();
