// A text that matches a regular expression: for examples of fields with a `pattern`. It follows what schemas mostly
// have – letters, classes, groups, counts – and gives up on the rest.

/** Longest pattern that is followed, and most that a part is repeated. */
const PATTERN_MAX = 200;
const REPEAT_MAX = 64;

const CLASSES: Record<string, string> = { d: '1', w: 'a', s: ' ', D: 'a', W: '-', S: 'a' };

/** Undefined where the pattern is not followed. */
export function textOf(pattern: string): string | undefined {
  if (pattern.length > PATTERN_MAX) return undefined;
  let at = 0;
  const gone = (): never => {
    throw new SyntaxError('not followed');
  };

  /** The first of the ways that `|` separates; the others are read over. */
  function ways(): string {
    const first = run();
    while (pattern[at] === '|') {
      at++;
      run();
    }
    return first;
  }
  function run(): string {
    let text = '';
    while (at < pattern.length && pattern[at] !== '|' && pattern[at] !== ')') text += repeated(part());
    return text;
  }
  function part(): string {
    const sign = pattern[at++] ?? '';
    if (sign === '^' || sign === '$') return '';
    if (sign === '.') return 'a';
    if (sign === '\\') {
      const escaped = pattern[at++] ?? gone();
      if (CLASSES[escaped] !== undefined) return CLASSES[escaped];
      return /[A-Za-z0-9]/.test(escaped) ? gone() : escaped;
    }
    if (sign === '[') return oneOf();
    if (sign === '(') {
      if (pattern[at] === '?') {
        if (pattern[at + 1] !== ':') return gone();
        at += 2;
      }
      const inner = ways();
      if (pattern[at++] !== ')') return gone();
      return inner;
    }
    return sign;
  }
  /** The first sign of a class; of one that is turned round, the first that it does not have. */
  function oneOf(): string {
    const end = pattern.indexOf(']', at + 1);
    if (end < 0) return gone();
    const inner = pattern.slice(at, end);
    at = end + 1;
    if (inner.startsWith('^')) return [...'a1A-_ '].find((sign) => new RegExp(`^[${inner}]$`, 'u').test(sign)) ?? gone();
    if (inner.startsWith('\\')) return CLASSES[inner[1] ?? ''] ?? inner[1] ?? gone();
    return inner[0] ?? gone();
  }
  function repeated(one: string): string {
    const found = /^(?:([?*+])|\{(\d+)(?:,\d*)?\})\??/.exec(pattern.slice(at));
    if (!found) return one;
    at += found[0].length;
    const times = found[1] === '+' ? 1 : found[1] ? 0 : Number(found[2]);
    return times > REPEAT_MAX ? gone() : one.repeat(times);
  }

  try {
    const text = ways();
    return at === pattern.length && new RegExp(pattern, 'u').test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
