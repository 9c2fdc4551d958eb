// The filters of a list of messages: in the address, towards the API, and in words.
import { router } from '../lib/router.svelte';

/** Spans of time that a press away: name in the address, label, milliseconds. */
export const RANGES: [string, string, number][] = [
  ['15m', 'Last 15 minutes', 900_000],
  ['1h', 'Last hour', 3_600_000],
  ['24h', 'Last 24 hours', 86_400_000],
  ['7d', 'Last 7 days', 604_800_000],
  ['30d', 'Last 30 days', 2_592_000_000],
];

/** What deliveries can stand as, in the API's word and ours. */
export const STANDINGS: [string, string, string][] = [
  ['fail', 'Failed', 'Given up after the last retry'],
  ['sending', 'Retrying', 'Failed, and tried again later'],
  ['held', 'Held', 'Its endpoint is disabled'],
  ['pending', 'Pending', 'Not tried yet'],
  ['success', 'Delivered', 'Answered 2xx'],
  ['canceled', 'Cancelled', 'Taken back'],
  ['none', 'No endpoint', 'No endpoint wanted it'],
];

export interface Filters {
  text: string;
  application: string;
  source: string;
  eventTypes: string[];
  channel: string;
  tag: string;
  status: string;
  /** One of `RANGES`; else `after` and `before` hold. */
  range: string;
  after: string;
  before: string;
}

/** Longest text that is searched for. */
export const TEXT_MAX = 256;

/** What the address says. */
export function read(): Filters {
  const one = (name: string) => (router.query.get(name) ?? '').slice(0, TEXT_MAX);
  return {
    text: one('text'), application: one('application'), source: one('source'), channel: one('channel'), tag: one('tag'),
    status: one('status'), range: one('range'), after: one('after'), before: one('before'),
    eventTypes: router.query.getAll('event_types').slice(0, 20),
  };
}

/** The parameters of the API. `now`: where spans of time end. */
export function query(of: Filters, now: number): Record<string, string | string[] | undefined> {
  const span = RANGES.find(([name]) => name === of.range)?.[2];
  return {
    text: of.text, application: of.application, source: of.source, channel: of.channel, tag: of.tag, status: of.status,
    event_types: of.eventTypes,
    after: span ? new Date(now - span).toISOString() : of.after,
    before: span ? undefined : of.before,
  };
}

/** Takes every filter out. */
export function clear() {
  router.set({ text: null, application: null, source: null, event_types: null, channel: null, tag: null, status: null, range: null, after: null, before: null }, { push: true });
}

/** Whether anything is filtered. */
export const isFiltered = (of: Filters): boolean => Object.values(of).some((value) => value.length > 0);
