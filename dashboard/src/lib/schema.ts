// JSON Schemas of event types: their versions, an example of what one describes, and its fields for reading.

import { textOf } from './pattern';

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Fields = { [name: string]: Json };

/** Levels that are followed, and values made or shown. */
const DEPTH_MAX = 12;
const VALUES_MAX = 500;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Versions, the newest first: `2.10` is before `2.9`. */
export function versions(schemas: Record<string, unknown> | null | undefined): string[] {
  const key = (name: string) => name.replace(/^v/i, '');
  return Object.keys(schemas ?? {}).sort((a, b) => key(b).localeCompare(key(a), 'en', { numeric: true }));
}

/** The newest schema of an event type. */
export function newest(schemas: Record<string, unknown> | null | undefined): Json | undefined {
  const found = versions(schemas).map((name) => schemas?.[name]).find(isFields);
  return found as Json | undefined;
}

/** What a reference within `root` leads to. */
function resolve(root: Json, reference: Json | undefined): Json | undefined {
  if (typeof reference !== 'string' || !reference.startsWith('#')) return undefined;
  let written: string;
  try {
    written = decodeURIComponent(reference.slice(1));
  } catch {
    return undefined;
  }
  let at: Json | undefined = root;
  for (const part of written.split('/').filter(Boolean)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(at)) at = at[Number(name)];
    else at = isFields(at) && Object.hasOwn(at, name) ? at[name] : undefined;
  }
  return at;
}

function kindOf(schema: Fields): string | undefined {
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== 'null') : schema.type;
  if (typeof type === 'string') return type;
  if (isFields(schema.properties)) return 'object';
  return schema.items !== undefined ? 'array' : undefined;
}

const formats: Record<string, string> = {
  'date-time': '2030-01-31T08:00:00Z', date: '2030-01-31', time: '08:00:00Z', email: 'someone@example.com',
  uri: 'https://example.com/', url: 'https://example.com/', uuid: '3f2b8c1e-5d4a-4b7e-9c6f-1a2b3c4d5e6f', ipv4: '192.0.2.1', hostname: 'example.com',
};

/** An object that the schema describes, as the server makes one; a small one where there is no schema. */
export function exampleOf(schema: Json | undefined, eventType: string): Json {
  let left = VALUES_MAX;
  const root = schema ?? null;
  /** References that are followed now: one that leads to itself ends there. */
  const open = new Set<Json>();
  /** Undefined where it is left out. */
  function make(of: Json | undefined, depth: number): Json | undefined {
    if (!isFields(of) || depth > DEPTH_MAX || --left < 0) return of === true ? null : undefined;
    if (Array.isArray(of.examples) && of.examples.length) return of.examples[0] ?? null;
    for (const name of ['example', 'const', 'default']) if (of[name] !== undefined) return of[name];
    if (Array.isArray(of.enum) && of.enum.length) return of.enum[0] ?? null;
    if (of.$ref !== undefined) {
      if (open.has(of.$ref) || of.$ref === '#') return undefined;
      open.add(of.$ref);
      const value = make(resolve(root, of.$ref), depth + 1);
      open.delete(of.$ref);
      return value;
    }
    const parts = [of.allOf, Array.isArray(of.oneOf) && of.oneOf.slice(0, 1), Array.isArray(of.anyOf) && of.anyOf.slice(0, 1)];
    const merged: Fields = {};
    for (const part of parts.flatMap((list) => (Array.isArray(list) ? list : []))) {
      const value = make(part, depth + 1);
      if (isFields(value)) Object.assign(merged, value);
      else if (value !== null && value !== undefined && !kindOf(of)) return value;
    }
    switch (kindOf(of)) {
      case 'object': {
        const made: Fields = {};
        for (const [name, inner] of Object.entries(isFields(of.properties) ? of.properties : {})) {
          const value = left > 0 ? make(inner, depth + 1) : undefined;
          if (value !== undefined) Object.defineProperty(made, name, { value, enumerable: true, configurable: true, writable: true });
        }
        return { ...merged, ...made };
      }
      case 'array':
        return [make(of.items, depth + 1)].filter((one) => one !== undefined);
      case 'string': {
        const matching = typeof of.pattern === 'string' ? textOf(of.pattern) : undefined;
        if (matching !== undefined) return matching;
        const text = typeof of.format === 'string' ? (formats[of.format] ?? 'text') : 'text';
        return typeof of.minLength === 'number' ? text.padEnd(Math.min(of.minLength, 1_000), 'x') : text;
      }
      case 'integer':
      case 'number':
        return typeof of.minimum === 'number' ? of.minimum : typeof of.maximum === 'number' ? Math.min(of.maximum, 1) : 1;
      case 'boolean':
        return true;
      default:
        return Object.keys(merged).length ? merged : null;
    }
  }
  const made = schema === undefined ? null : make(schema, 0);
  return isFields(made) ? made : { type: eventType, data: { example: true } };
}

/** A line of a schema as it is read. */
export interface Line {
  path: string;
  name: string;
  depth: number;
  type: string;
  required: boolean;
  description: string;
  /** What else holds for it: choices, bounds, format. */
  bounds: string[];
}

function boundsOf(schema: Fields): string[] {
  const said: string[] = [];
  const short = (value: Json | undefined) => JSON.stringify(value)?.slice(0, 60) ?? '';
  if (Array.isArray(schema.enum)) said.push(`one of ${schema.enum.slice(0, 12).map(short).join(', ')}${schema.enum.length > 12 ? '…' : ''}`);
  if (schema.const !== undefined) said.push(`always ${short(schema.const)}`);
  if (typeof schema.format === 'string') said.push(schema.format.slice(0, 60));
  for (const [name, word] of [['minimum', 'at least'], ['maximum', 'at most'], ['minLength', 'at least … characters'], ['maxLength', 'at most … characters'], ['pattern', 'pattern']] as const) {
    const value = schema[name];
    if (typeof value === 'number') said.push(word.includes('…') ? word.replace('…', String(value)) : `${word} ${value}`);
    else if (typeof value === 'string') said.push(`${word} ${value.slice(0, 60)}`);
  }
  if (schema.default !== undefined) said.push(`default ${short(schema.default)}`);
  return said;
}

/** The fields of a schema, in order, each below the one that holds it; `more` when not all are here. */
export function linesOf(schema: Json | undefined): { lines: Line[]; more: boolean } {
  const lines: Line[] = [];
  const root = schema ?? null;
  const open = new Set<Json>();
  let more = false;
  function typeOf(of: Fields, inner: Json | undefined): string {
    const written = Array.isArray(of.type) ? of.type.join(' or ') : typeof of.type === 'string' ? of.type : kindOf(of);
    if (kindOf(of) === 'array' && isFields(inner)) return `list of ${typeOf(follow(inner) ?? inner, undefined)}`;
    if (written === undefined && Array.isArray(of.enum) && of.enum.length) return of.enum[0] === null ? 'null' : typeof of.enum[0];
    return written ?? (of.oneOf || of.anyOf ? 'one of several' : 'anything');
  }
  function follow(of: Json | undefined): Fields | undefined {
    let at = of;
    for (let i = 0; i < 8 && isFields(at) && at.$ref !== undefined; i++) at = resolve(root, at.$ref);
    return isFields(at) ? at : undefined;
  }
  function walk(of: Json | undefined, at: string, depth: number) {
    const is = follow(of);
    if (!is || open.has(is) || depth > DEPTH_MAX) return;
    open.add(is);
    for (const list of [is.allOf, is.oneOf, is.anyOf]) if (Array.isArray(list)) for (const part of list.slice(0, 20)) walk(part, at, depth);
    const needed = Array.isArray(is.required) ? is.required : [];
    for (const [name, raw] of Object.entries(isFields(is.properties) ? is.properties : {})) {
      if (lines.length >= VALUES_MAX) {
        more = true;
        break;
      }
      const field = follow(raw) ?? {};
      const path = at ? `${at}.${name}` : name;
      const said = (isFields(raw) && raw.description) || field.description;
      lines.push({
        path: `${lines.length} ${path}`, name, depth, required: needed.includes(name), bounds: boundsOf(field),
        type: typeOf(field, field.items), description: typeof said === 'string' ? said : '',
      });
      walk(kindOf(field) === 'array' ? field.items : field, path, depth + 1);
    }
    open.delete(is);
  }
  walk(schema, '', 0);
  return { lines, more };
}
