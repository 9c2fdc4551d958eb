// Validates a value against a JSON Schema, without building code. Loaded when a page first needs it.
import { Validator, type Schema, type SchemaDraft } from '@cfworker/json-schema';
import type { Json } from './schema';

/** Problems that are shown. */
const SHOWN_MAX = 20;

function draftOf(schema: Json): SchemaDraft {
  const said = typeof schema === 'object' && schema !== null && !Array.isArray(schema) ? schema.$schema : undefined;
  if (typeof said !== 'string') return '2020-12';
  if (said.includes('draft-04')) return '4';
  if (said.includes('draft-06') || said.includes('draft-07')) return '7';
  return said.includes('2019-09') ? '2019-09' : '2020-12';
}

export interface Problem {
  /** Where, as `data.amount`; '' for the whole. */
  at: string;
  text: string;
}

/** What of `value` the schema does not allow. Throws where the schema itself cannot be followed. */
export function validate(schema: Json, value: unknown): Problem[] {
  const validator = new Validator(schema as Schema, draftOf(schema), false);
  const { errors } = validator.validate(value);
  // The outer errors only say that an inner one is there: `properties`, `items` and the like.
  const outer = new Set(['properties', 'items', 'allOf', '$ref', 'additionalProperties', 'prefixItems']);
  const inner = errors.filter(({ keyword, instanceLocation }, i) => !outer.has(keyword) || !errors.slice(i + 1).some((next) => next.instanceLocation.startsWith(instanceLocation)));
  return inner.slice(0, SHOWN_MAX).map(({ instanceLocation, error }) => ({ at: instanceLocation.replace(/^#\/?/, '').replaceAll('/', '.'), text: error }));
}
