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

export type DeliveryCounts = Schemas['DeliveryCounts'];
export type MessageRow = Schemas['MessageRowOut'];
export type EndpointRow = Schemas['EndpointRowOut'];
export type Timings = Schemas['AttemptTimings'];
export type AttemptHeaders = Schemas['MessageAttemptHeadersOut'];
export type Lookup = Schemas['LookupOut'] & { attemptId?: string };
export type Overview = Schemas['OverviewOut'];
export type SessionInfo = Schemas['SessionOut'];
/** What a message says of one of its endpoints. */
export type Destination = Schemas['MessageEndpointOut'];
/** What a URL being tried out answered. `secret`: a throw-away one that signed, where no endpoint was named. */
export type Tried = Schemas['MessageTryOut'];
/** A page of messages; a scan that was cut short says how far back it came. */
export type MessagePage = { data: MessageRow[]; iterator?: string | null; done: boolean; searchedTo?: string | null };
/** What a live list sends: rows that are new, or whose deliveries changed. */
export type LivePage = { data: MessageRow[]; skipped?: boolean };

// ---- Sources, settings and the system. ----

/** A type of source; `category` and `steps` where the server has them. */
export type SourceTypeMore = SourceType & { category?: string; steps?: string[] };
export type SampleOut = Schemas['SourceSampleOut'];
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
export type SystemNode = Schemas['SystemNode'];
export type QueueRow = Schemas['SystemQueue'];
export type System = Schemas['SystemOut'];
export type PortalAccess = Schemas['AppPortalAccessOut'];
export type ImportedType = { name: string; description: string; schemas?: Record<string, unknown> | null; deprecated: boolean; groupName?: string | null; featureFlags?: string[] | null };
export type Imported = { data: { modified: string[]; to_modify?: ImportedType[] | null } };
