// Keys that work everywhere: single letters, and two in a row (`g` `m`).

/** Time between the two keys of a pair, in milliseconds. */
const PAIR_MS = 1_000;

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Listens for keys until the returned function is called. Keys: `?`, `/`, `g m`, `mod+k`. */
export function shortcuts(keys: Record<string, () => void>): () => void {
  let first = '';
  let at = 0;
  const listen = (event: KeyboardEvent) => {
    const isMod = event.metaKey || event.ctrlKey;
    if (isMod && !event.altKey && keys[`mod+${event.key}`]) {
      event.preventDefault();
      keys[`mod+${event.key}`]?.();
      return;
    }
    if (isMod || event.altKey || isTyping(event.target) || document.querySelector('[role=dialog]')) return;
    const pair = event.timeStamp - at < PAIR_MS ? `${first} ${event.key}` : '';
    const found = (pair && keys[pair]) || keys[event.key];
    first = event.key;
    at = event.timeStamp;
    if (!found) return;
    event.preventDefault();
    first = '';
    found();
  };
  addEventListener('keydown', listen);
  return () => removeEventListener('keydown', listen);
}
