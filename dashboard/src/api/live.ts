// Server-sent events by fetch: an EventSource cannot carry a bearer token.
import { ApiError, raw } from './client';

/** Longest wait between two tries to connect again, in milliseconds. */
const WAIT_MAX_MS = 15_000;
/** An event longer than this is dropped with its connection (UTF-16 units). */
const EVENT_MAX = 4_000_000;

export interface Live {
  event: (name: string, data: unknown) => void;
  /** Whether events come in now; `error` says why not. */
  state: (connected: boolean, error?: ApiError) => void;
}

/** Listens until the returned function is called; connects again when the connection breaks. */
export function listen(path: string, live: Live): () => void {
  const abort = new AbortController();
  void (async () => {
    let wait = 1_000;
    while (!abort.signal.aborted) {
      try {
        const response = await raw(path, { signal: abort.signal, headers: { accept: 'text/event-stream' } });
        live.state(true);
        wait = 1_000;
        await read(response, live, abort.signal);
        live.state(false);
      } catch (error) {
        if (abort.signal.aborted) return;
        live.state(false, error instanceof ApiError ? error : undefined);
        const status = error instanceof ApiError ? error.status : 0;
        if (status === 401 || status === 403 || status === 404 || status === 422) return;
      }
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(wait * 2, WAIT_MAX_MS);
    }
  })();
  return () => abort.abort();
}

async function read(response: Response, live: Live, signal: AbortSignal) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  while (reader && !signal.aborted) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      dispatch(rest.slice(0, end), live);
      rest = rest.slice(end + 2);
    }
    if (rest.length > EVENT_MAX) return void reader.cancel();
  }
}

function dispatch(block: string, live: Live) {
  let name = 'message';
  const lines: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) name = line.slice(6).trim();
    else if (line.startsWith('data:')) lines.push(line.slice(5).trimStart());
  }
  if (lines.length) live.event(name, JSON.parse(lines.join('\n')));
}
