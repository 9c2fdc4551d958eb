// The types of sources: the same for the life of a page, so they are asked for once.
import { get, type SourceTypeMore } from '../api/shapes';

let asked: Promise<SourceTypeMore[]> | undefined;

/** Every type of source. Asked for again only after a failure. */
export function sourceTypes(): Promise<SourceTypeMore[]> {
  asked ??= get<SourceTypeMore[] | { data: SourceTypeMore[] }>('/ingest/api/v1/source-type').then((found) => (Array.isArray(found) ? found : found.data));
  asked.catch(() => (asked = undefined));
  return asked;
}
