// JSON as text: laid out without reading its numbers, so that each digit stays as it came.

const INDENT = '  ';

/** The text with a line for each member and element; undefined if it is no JSON. */
export function layOut(text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const parts: string[] = [];
  let depth = 0;
  // Whether something was opened and nothing of it has come yet.
  let isEmpty = false;
  const line = () => parts.push('\n', INDENT.repeat(depth));
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === '}' || token === ']') {
      depth--;
      if (!isEmpty) line();
      isEmpty = false;
      parts.push(token);
      continue;
    }
    if (isEmpty) line();
    isEmpty = false;
    parts.push(token);
    if (token === '{' || token === '[') {
      depth++;
      isEmpty = true;
    } else if (token === ',') line();
    else if (token === ':') parts.push(' ');
  }
  return parts.join('');
}
