// What deliveries, attempts and endpoints stand as, in whole words.
import type { Attempt, DeliveryCounts, Destination, EndpointRow } from '../api/shapes';
import { duration, short } from '../lib/format';

export type Tone = 'good' | 'bad' | 'warn' | 'info' | 'plain';

/** The parts of a message's deliveries, the most pressing first. */
export const PARTS: [Exclude<keyof DeliveryCounts, 'approximated'>, Tone, string][] = [
  ['fail', 'bad', 'failed'],
  ['sending', 'warn', 'retrying'],
  ['held', 'warn', 'held'],
  ['pending', 'info', 'pending'],
  ['success', 'good', 'delivered'],
  ['canceled', 'plain', 'cancelled'],
];

/** `1 failed · 2 delivered`; `Delivered` where there is only one. */
export function summary(of: DeliveryCounts | null): string {
  if (!of) return '–';
  if (of.total === 0) return 'No endpoint';
  const parts = PARTS.filter(([name]) => of[name] > 0);
  if (of.total === 1 && parts[0]) return parts[0][2].replace(/^./, (first) => first.toUpperCase());
  return parts.map(([name, , word]) => `${of[name]} ${word}`).join(' · ') + (of.approximated ? ' or more' : '');
}

const FAILURES: Record<string, string> = {
  timeout: 'Timed out',
  dns_failed: 'Host name not found',
  connect_failed: 'Could not connect',
  tls_failed: 'TLS failed',
  connection_closed: 'Connection closed early',
  invalid_response: 'The answer is not HTTP',
  blocked_ip: 'Address not allowed',
  internal_error: 'Failed inside Posthouse',
};
const HINTS: Record<string, string> = {
  timeout: 'The receiver did not answer in time. It should take the message, answer 2xx at once, and do its work afterwards.',
  dns_failed: 'The host name in the URL could not be resolved. Is it spelt right, and public?',
  connect_failed: 'Nothing took the connection at this address and port: the receiver may be down, or behind a firewall.',
  tls_failed: 'The TLS handshake or the certificate failed. Is the certificate valid, complete, and for this host?',
  connection_closed: 'The receiver ended the connection before its answer was complete.',
  invalid_response: 'What came back is not HTTP, or its head is too long. Is this the right port?',
  blocked_ip: 'The host resolves to a private or reserved address. Posthouse sends there only if its operator allows the network.',
  internal_error: 'This is not the receiver’s fault. The log of the server says more.',
};

type Ended = Pick<Attempt, 'outcome' | 'response' | 'responseStatusCode' | 'status'>;

/** How an attempt ended: the API's word for it. */
function ending(of: Ended): string {
  if (of.outcome) return of.outcome;
  if (of.status === 0) return 'success';
  return of.responseStatusCode ? 'status' : of.response;
}

/** `Answered 500`, `Timed out`. */
export function outcome(of: Ended): string {
  const word = ending(of);
  if (of.responseStatusCode) return `Answered ${of.responseStatusCode}`;
  return FAILURES[word] ?? (of.status === 0 ? 'Delivered' : 'No answer');
}

/** What may be done about it. */
export function hint(of: Ended): string | undefined {
  const word = ending(of);
  if (of.status === 0) return undefined;
  const code = of.responseStatusCode;
  if (!code) return HINTS[word];
  if (code === 401 || code === 403) return 'The receiver refused the request. Does it check the signature with the current secret, or want a header of its own?';
  if (code === 404 || code === 405) return 'The receiver has nothing at this path, or does not take POST there.';
  if (code === 410) return 'The receiver said that it is gone: the endpoint was disabled.';
  if (code === 429) return 'The receiver asked to be sent less. A rate limit on the endpoint helps.';
  if (code >= 300 && code < 400) return 'Redirects are never followed. Set the endpoint’s URL to where it leads.';
  return undefined;
}

/** Whether the receiver's text is one that it sent. */
export const hasAnswer = (of: Ended): boolean => of.responseStatusCode > 0;

const REASONS: Record<string, string> = {
  endpoint_disabled: 'its endpoint is disabled',
  content_gone: 'its payload is no longer kept',
  cancelled_by_request: 'someone cancelled it',
  internal_error: 'something failed inside Posthouse',
};
const because = (reason: string | null | undefined) => (reason ? `: ${REASONS[reason] ?? reason.replaceAll('_', ' ')}` : '');

/** The badge and the sentence of one delivery. `tries`: its attempts so far, where they are known. */
export function standing(of: Destination, now: number, tries?: number): { tone: Tone; word: string; text: string } {
  const next = of.nextAttempt ? new Date(of.nextAttempt).getTime() : undefined;
  const due = next === undefined ? '' : next <= now ? 'due now' : `next try in ${duration(next - now)}`;
  if (of.status === 0) return { tone: 'good', word: 'Delivered', text: '' };
  if (of.status === 2) return { tone: 'bad', word: 'Failed', text: of.reason ? `Given up${because(of.reason)}` : 'Given up: no more tries are due' };
  if (of.status === 4) return { tone: 'plain', word: 'Cancelled', text: `Cancelled${because(of.reason)}` };
  if (of.heldReason) return { tone: 'warn', word: 'Held', text: `Held${because(of.heldReason)}. Nothing is sent until someone recovers it` };
  if (of.status === 3 && tries === 0 && next !== undefined && next > now) return { tone: 'info', word: 'Scheduled', text: `first try in ${duration(next - now)}` };
  if (of.status === 3) return { tone: 'warn', word: 'Retrying', text: next === undefined ? 'Being sent now' : due };
  return { tone: 'info', word: 'Pending', text: next === undefined ? 'Waits for its first try' : due };
}

const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

const DISABLED: Record<string, string> = { gone: 'it answered 410 Gone', failing: 'it only failed', manual: 'by hand' };

/** What is wrong with an endpoint: `failing for 3 h · next try in 12 min · will be disabled on 24 Nov`. */
export function trouble(of: Pick<EndpointRow, 'disabled' | 'disabledReason' | 'failingSince' | 'nextAttempt' | 'disableAt' | 'waiting'>, now: number): string[] {
  const since = of.failingSince ? new Date(of.failingSince).getTime() : undefined;
  const words: string[] = [];
  if (of.disabled) {
    const why = of.disabledReason && DISABLED[of.disabledReason];
    words.push(why ? `disabled: ${why}` : 'disabled');
    if (since !== undefined) words.push(`nothing arrived since ${short(since)}`);
    return words;
  }
  if (since !== undefined) words.push(`failing for ${duration(Math.max(0, now - since))}`);
  if (!of.nextAttempt && since !== undefined && of.waiting === 0) words.push('nothing waits to be tried again');
  if (of.nextAttempt) {
    const next = new Date(of.nextAttempt).getTime();
    words.push(next <= now ? 'tried at least every minute until it can be reached' : `next try in ${duration(next - now)}`);
  }
  if (of.disableAt) words.push(`will be disabled on ${day.format(new Date(of.disableAt))}`);
  return words;
}

/** How a message stands, by the worst of its deliveries. */
export function overall(of: Destination[], isScheduled = false): { tone: Tone; word: string } {
  if (!of.length) return { tone: 'plain', word: 'No endpoint' };
  const has = (is: (one: Destination) => boolean) => of.some(is);
  if (has(({ status }) => status === 2)) return { tone: 'bad', word: 'Failed' };
  if (has(({ status }) => status === 3)) return isScheduled ? { tone: 'info', word: 'Scheduled' } : { tone: 'warn', word: 'Retrying' };
  if (has(({ heldReason }) => !!heldReason)) return { tone: 'warn', word: 'Held' };
  if (has(({ status }) => status === 1)) return { tone: 'info', word: 'Pending' };
  return has(({ status }) => status === 0) ? { tone: 'good', word: 'Delivered' } : { tone: 'plain', word: 'Cancelled' };
}
