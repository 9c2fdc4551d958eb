// How an endpoint stands, in words.
import type { Application, Endpoint } from '../api/shapes';
import { duration } from './format';

/** What answers say of an endpoint, with what only some of them say. */
export type EndpointSaid = Endpoint & { failingSince?: string | null; disabledReason?: string | null; nextAttempt?: string | null; disableAt?: string | null; waiting?: number };

export interface State {
  tone: 'good' | 'bad' | 'warn' | 'plain';
  word: string;
  text: string;
}

const held = 'What it would get is held until it is enabled and sent again.';

export function stateOf(endpoint: EndpointSaid, now = Date.now()): State {
  if (endpoint.disabled) {
    if (endpoint.disabledReason === 'gone') return { tone: 'bad', word: 'Disabled', text: `It answered 410 Gone and was disabled. ${held}` };
    if (endpoint.disabledReason === 'failing') return { tone: 'bad', word: 'Disabled', text: `It did nothing but fail for days and was disabled. ${held}` };
    return { tone: 'plain', word: 'Disabled', text: `It was disabled by hand. ${held}` };
  }
  if (endpoint.failingSince) {
    const until = (at: string) => new Date(at).getTime() - now;
    const wait = endpoint.nextAttempt ? until(endpoint.nextAttempt) : undefined;
    const next = wait === undefined ? ' Deliveries are tried again by the retry schedule.' : wait > 0 ? ` The next try is in ${duration(wait)}.` : ' It is tried at least every minute until it can be reached.';
    const end = endpoint.disableAt ? ` If nothing changes, it is disabled in ${duration(Math.max(0, until(endpoint.disableAt)))}.` : '';
    return { tone: 'bad', word: 'Failing', text: `Nothing has arrived for ${duration(Math.max(0, now - new Date(endpoint.failingSince).getTime()))}.${next}${end}` };
  }
  return { tone: 'good', word: 'Enabled', text: 'Messages are sent to it as they come.' };
}

/** Whether an application is a source's own: its uid is the source's id then. */
export const isOfSource = (app: Application): boolean => /^src_[A-Za-z0-9]+$/.test(app.uid ?? '');

/** The root of an application's endpoints. */
export const endpointsOf = (appId: string): string => `/api/v1/app/${encodeURIComponent(appId)}/endpoint`;

/** Whether an address is of a private network; of a name only the server knows. */
function isPrivate(host: string): boolean {
  if (host.includes(':')) return /^(::1$|f[cd])/.test(host);
  return /^[\d.]+$/.test(host) && /^(127\.|10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.)/.test(host);
}

/** Why a URL will not do, or what should be known of it. */
export function checkUrl(text: string): { problem?: string; remark?: string } {
  if (!text.trim()) return {};
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    return { problem: 'This is not a whole URL. It begins with https:// and a host.' };
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { problem: 'Only https and http are sent to.' };
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (host === 'localhost' || host.endsWith('.localhost') || isPrivate(host)) {
    return { remark: 'This is an address of a private network. The server refuses those unless its configuration allows them.' };
  }
  if (url.protocol === 'http:') return { remark: 'Without https, everyone on the way can read what is sent.' };
  if (url.username || url.password) return { remark: 'The name and password in the URL are sent as basic authentication.' };
  return {};
}
