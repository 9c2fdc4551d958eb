// Forms from JSON Schemas: what kind of field a schema asks for, and what is wrong with a value before it is sent.
// The server judges; this only saves a round trip and chooses the control.

/** The part of JSON Schema that forms understand. */
export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  anyOf?: Schema[];
  items?: Schema;
  enum?: unknown[];
  default?: unknown;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  writeOnly?: boolean;
}

export type Kind = 'text' | 'long' | 'secret' | 'choice' | 'number' | 'switch' | 'list' | 'group' | 'json';
export type Values = Record<string, unknown>;

/** Levels of groups in groups that are drawn; deeper ones are JSON. */
const DEPTH_MAX = 4;

const isTextual = (schema: Schema | undefined) => !!schema && (schema.type === 'string' || (!!schema.enum && schema.enum.every((one) => typeof one === 'string')));

/** The control for a schema. What it does not know is edited as JSON. */
export function kindOf(name: string, schema: Schema, depth = 0): Kind {
  const type = Array.isArray(schema.type) ? schema.type.filter((one) => one !== 'null') : schema.type ? [schema.type] : [];
  if (schema.enum?.length && schema.enum.every((one) => typeof one === 'string')) return 'choice';
  if (type.length !== 1) return 'json';
  switch (type[0]) {
    case 'string':
      if (schema.writeOnly) return 'secret';
      return /pem|private ?key|public ?key|certificate/i.test(`${name} ${schema.description ?? ''}`) || (schema.maxLength ?? 0) > 20_000 ? 'long' : 'text';
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return 'switch';
    case 'array':
      return isTextual(schema.items) ? 'list' : 'json';
    case 'object':
      return schema.properties && Object.keys(schema.properties).length && depth < DEPTH_MAX ? 'group' : 'json';
    default:
      return 'json';
  }
}

const words: Record<string, string> = { url: 'URL', jwks: 'key set', id: 'ID', hmac: 'HMAC', api: 'API', uid: 'uid', json: 'JSON' };

/** `notificationUrl` as people say it: `Notification URL`. */
export function labelOf(name: string, schema: Schema): string {
  if (schema.title) return schema.title;
  const said = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[_-]+/g, ' ')
    .toLowerCase()
    .split(' ')
    .map((word) => words[word] ?? word)
    .join(' ');
  return said.charAt(0).toUpperCase() + said.slice(1);
}

/** Fields in the order of the form: what is needed first, then by their place in the schema. `secrets` stands behind `secret`. */
export function fieldsOf(schema: Schema): { name: string; schema: Schema; needed: boolean }[] {
  const needed = new Set([...(schema.required ?? []), ...(schema.anyOf?.[0]?.required ?? [])]);
  const weight = (name: string) => (needed.has(name) ? 0 : name === 'secret' ? 1 : name === 'secrets' ? 2 : 3);
  return Object.entries(schema.properties ?? {})
    .map(([name, one]) => ({ name, schema: one, needed: needed.has(name) }))
    .sort((a, b) => weight(a.name) - weight(b.name));
}

/** Whether the schema is one that a form can be made of. */
export const isForm = (schema: Schema | undefined): boolean => !!schema && schema.type === 'object' && !!schema.properties;

/** The values without what was left empty. */
export function filled(values: Values): Values {
  const kept: Values = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === '' || (Array.isArray(value) && value.every((one) => one === ''))) continue;
    if (Array.isArray(value)) kept[name] = value.filter((one) => one !== '');
    else if (value && typeof value === 'object') {
      const inner = filled(value as Values);
      if (Object.keys(inner).length) kept[name] = inner;
    } else kept[name] = value;
  }
  return kept;
}

/** What is missing, by the name of the field. Given are the values as `filled` has them. */
export function missing(schema: Schema, values: Values): Record<string, string> {
  const wrong: Record<string, string> = {};
  for (const name of schema.required ?? []) if (values[name] === undefined) wrong[name] = 'This is needed.';
  const any = schema.anyOf?.filter((one) => one.required?.length) ?? [];
  if (any.length && !any.some((one) => one.required?.every((name) => values[name] !== undefined))) {
    const first = any[0]?.required?.[0];
    if (first) wrong[first] = 'This is needed.';
  }
  return wrong;
}
