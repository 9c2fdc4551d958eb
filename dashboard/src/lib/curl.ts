// Commands for a shell, to be pasted as they are.

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A `curl` that sends `body`. Values that begin with `$` are left to the shell, within double quotes. */
export function curl(url: string, headers: [string, string][], body?: string): string {
  const lines = [`curl -X POST ${quoted(url)}`];
  for (const [name, value] of headers) {
    lines.push(`-H ${value.includes('$POSTHOUSE_') ? `"${name}: ${value}"` : quoted(`${name}: ${value}`)}`);
  }
  if (body !== undefined) lines.push(`--data-binary ${quoted(body)}`);
  return lines.join(' \\\n  ');
}
