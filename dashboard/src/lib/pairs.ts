// Objects of texts, such as metadata and headers, as the rows that are edited.
export interface Pair {
  name: string;
  value: string;
}

export const toPairs = (of: Record<string, string> | null | undefined): Pair[] => Object.entries(of ?? {}).map(([name, value]) => ({ name, value }));

/** Rows without a name are left out; of two with one name the last holds. */
export const fromPairs = (pairs: Pair[]): Record<string, string> =>
  Object.fromEntries(pairs.filter(({ name }) => name.trim()).map(({ name, value }) => [name.trim(), value]));

/** Names apart by commas or spaces. */
export const words = (text: string): string[] => [...new Set(text.split(/[\s,]+/).filter(Boolean))];
