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

/** A message is sent as it was written: numbers that are too long for JavaScript stay what they are. */
export async function postMessage<T>(url: string, fields: Record<string, unknown>, payload: string): Promise<T> {
  const head = JSON.stringify(fields).slice(0, -1);
  const body = `${head}${head.length > 1 ? ',' : ''}"payload":${payload}}`;
  return (await (await raw(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).json()) as T;
}

// ---- Shapes of operations that are being built at the same time (see the common sheet). ----

export type DeliveryCounts = { total: number; success: number; pending: number; sending: number; fail: number; canceled: number; held: number; approximated?: boolean };
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
export type Lookup = { kind: string; appId: string | null; endpointId: string | null; msgId: string | null; sourceId: string | null; attemptId?: string };
export type Point = { at: string; accepted: number; delivered: number; failed: number; p50Ms: number | null; p95Ms: number | null; p99Ms: number | null };
export type Overview = {
  period: string; bucketS: number; series: Point[];
  /** What came after is not counted yet. */
  countedTo?: string;
  now: { waiting: number; hasMoreWaiting?: boolean; failing: number; inFlight: number; oldestDueAt: string | null; oldestDueEndpointId: string | null; acceptedPerSecond: number; deliveredPerSecond: number };
  totals: { accepted: number; delivered: number; failed: number; p50Ms: number | null; p95Ms: number | null; p99Ms: number | null };
};
export type SessionInfo = { envId: string; environments: { id: string; name: string }[]; scopes: string[]; expiresAt: string | null; kind: string };
/** What a message says of one of its endpoints. */
export type Destination = Schemas['MessageEndpointOut'];
/** What a URL being tried out answered. `secret`: a throw-away one that signed, where no endpoint was named. */
export type Tried = {
  status: number; responseStatusCode: number; response: string; responseDurationMs: number;
  timings?: Timings | null; outcome?: string; secret?: string | null;
};
/** A page of messages; a scan that was cut short says how far back it came. */
export type MessagePage = { data: MessageRow[]; iterator?: string | null; done: boolean; searchedTo?: string | null };
/** What a live list sends: rows that are new, or whose deliveries changed. */
export type LivePage = { data: MessageRow[]; skipped?: boolean };

// ---- Sources, settings and the system. ----

/** A type of source; `category` and `steps` where the server has them. */
export type SourceTypeMore = SourceType & { category?: string; steps?: string[] };
export type SampleOut = { status: number; verdict: string; messageId: string | null; cause: string | null; hint: string | null };
export type VerifiedAgain = Schemas['VerifiedAgainOut'];
export type Settings = Schemas['SettingsInternalOut'];
export type Environment = { id: string; name: string; type: string; region?: string; createdAt: string; updatedAt: string };
export type Key = { id: string; name?: string | null; censoredToken: string; createdAt: string; expiresAt?: string | null; scopes?: string[] | null; lastUsedAt?: string | null };
export type KeyCreated = { id: string; token: string; name?: string | null };
export type Palette = Record<string, string | undefined>;
/** What of the settings the portal shows; other fields are of `Settings`. */
export type PortalLook = {
  displayName?: string | null; customLogoUrl?: string | null; customColor?: string | null; customFontFamily?: string | null;
  customThemeOverride?: { borderRadius?: { button?: string; card?: string; input?: string } | null } | null;
  colorPaletteLight?: Palette | null; colorPaletteDark?: Palette | null; readOnly?: boolean;
};
export type SystemNode = { name: string; id: string; address: string | null; state: string; leaseUntil: string | null; slots: number; version?: string };
export type QueueRow = { endpointId: string; url: string; byAge: number[]; failed: number; held: number };
export type System = {
  version: string; engine: string; startedAt: string; nodes: SystemNode[]; slots: { total: number; held: number };
  store: { bytes: number | null; walBytes: number | null; tables: { name: string; rows: number | null; bytes: number | null }[]; diskFreeBytes: number | null };
  journal: { state: string | null; queueDepth: number | null; queueBytes: number | null; commitsPerSecond: number | null; batchMean: number | null; commitMsP50?: number | null; commitMsP99?: number | null };
  lanes: { total: number | null; open?: number | null; halfOpen?: number | null; ready: number | null; inFlight: number | null; waiting: number | null; spilled: number | null };
  queue: QueueRow[]; queueAgesS?: number[];
  limits?: Record<string, number | string | number[] | null> | null;
  retention?: { payloadDays?: number | null; attemptDays?: number | null; messageDays?: number | null } | null;
};
export type PortalAccess = { url: string; token: string };
export type ImportedType = { name: string; description: string; schemas?: Record<string, unknown> | null; deprecated: boolean; groupName?: string | null; featureFlags?: string[] | null };
export type Imported = { data: { modified: string[]; to_modify?: ImportedType[] | null } };
