// Names for the shapes of the API that pages pass around.
import type { components } from './schema';
import { ApiError, access, credentials, raw } from './client';

type Schemas = components['schemas'];
export type Application = Schemas['ApplicationOut'];
export type Endpoint = Schemas['EndpointOut'];
export type EventType = Schemas['EventTypeOut'];
export type Message = Schemas['MessageOut'];
export type Attempt = Schemas['MessageAttemptOut'];
export type Source = Schemas['IngestSourceOut'];
export type SourceLog = Schemas['IngestLogOut'];
export type SourceType = Schemas['SourceTypeOut'];
export type Task = Schemas['BackgroundTaskOut'];

export { ApiError, access, credentials };

type Query = Record<string, string | number | boolean | string[] | null | undefined>;

/** A path with its query; empty values are left out, lists are repeated. */
export function path(base: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== '') params.append(name, String(one));
    }
  }
  const text = params.toString();
  return text ? `${base}?${text}` : base;
}

/** A call whose answer is JSON, or nothing. Throws [`ApiError`]. */
export async function call<T = void>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await raw(url, {
    method,
    signal,
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}
export const get = <T>(url: string, signal?: AbortSignal): Promise<T> => call<T>('GET', url, undefined, signal);
export const post = <T = void>(url: string, body: unknown = {}): Promise<T> => call<T>('POST', url, body);
export const put = <T = void>(url: string, body: unknown): Promise<T> => call<T>('PUT', url, body);
export const patch = <T = void>(url: string, body: unknown): Promise<T> => call<T>('PATCH', url, body);
export const del = <T = void>(url: string): Promise<T> => call<T>('DELETE', url);

// ---- Shapes of operations that are being built at the same time (see the common sheet). ----

export type DeliveryCounts = { total: number; success: number; pending: number; sending: number; fail: number; canceled: number; held: number };
export type MessageRow = Message & {
  appId: string; appName: string; sourceId: string | null; sourceName: string | null;
  deliveries: DeliveryCounts | null; nextAttempt: string | null;
};
export type EndpointRow = Endpoint & {
  appId: string; appName: string; sourceId: string | null; nextAttempt: string | null; waiting: number; disableAt: string | null;
  failingSince?: string | null; disabledReason?: string | null;
};
export type Timings = { dnsMs?: number | null; connectMs?: number | null; tlsMs?: number | null; firstByteMs?: number | null; bodyMs?: number | null };
export type AttemptMore = Attempt & { outcome?: string; timings?: Timings | null; nextAttempt?: string | null };
export type AttemptHeaders = { sentHeaders: Record<string, string>; responseHeaders?: [string, string][] | null; sensitive: string[]; rebuilt?: boolean; endpointChangedAt?: string | null };
export type Lookup = { kind: string; appId: string | null; endpointId: string | null; msgId: string | null; sourceId: string | null };
export type Point = { at: string; accepted: number; delivered: number; failed: number; p50Ms: number | null; p95Ms: number | null; p99Ms: number | null };
export type Overview = {
  period: string; bucketS: number; series: Point[];
  now: { waiting: number; failing: number; inFlight: number; oldestDueAt: string | null; oldestDueEndpointId: string | null; acceptedPerSecond: number; deliveredPerSecond: number };
  totals: { accepted: number; delivered: number; failed: number; p50Ms: number | null; p95Ms: number | null; p99Ms: number | null };
};
export type SessionInfo = { envId: string; environments: { id: string; name: string }[]; scopes: string[]; expiresAt: string | null; kind: string };
