// The one way to the server: the public HTTP API, typed by the document that the server writes of it.
import createClient, { type Middleware } from 'openapi-fetch';
import type { paths } from './schema';

/** What the server said instead of an answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** By the name of the field, what is wrong with it (422). */
    readonly fields: Record<string, string> = {},
    /** Seconds to wait, where the server said so. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** How requests are allowed: by the session's cookie, or by the portal's token. */
export const access: {
  token?: string;
  environment?: string;
  /** Called when the server no longer knows the caller. */
  lost?: () => void;
} = {};

interface Problem {
  loc: (string | number)[];
  msg: string;
}

async function failure(response: Response): Promise<ApiError> {
  let body: { code?: string; detail?: string | Problem[] } = {};
  try {
    body = (await response.json()) as typeof body;
  } catch {
    // Not from Posthouse: a proxy's page, perhaps.
  }
  const retryAfter = Number(response.headers.get('retry-after')) || undefined;
  if (Array.isArray(body.detail)) {
    const fields: Record<string, string> = {};
    for (const { loc, msg } of body.detail) fields[loc.slice(1).join('.')] ??= msg;
    const all = Object.entries(fields).map(([name, message]) => `${name} ${message}`.trim());
    return new ApiError(response.status, body.code ?? 'validation_error', all.join('; '), fields, retryAfter);
  }
  const message = body.detail ?? `The server answered ${response.status} ${response.statusText}`.trim();
  return new ApiError(response.status, body.code ?? 'unknown', message, {}, retryAfter);
}

/** The headers by which the caller is known. */
export function credentials(): Record<string, string> {
  const headers: Record<string, string> = {};
  if (access.token) headers.authorization = `Bearer ${access.token}`;
  if (access.environment) headers['posthouse-environment'] = access.environment;
  return headers;
}

const middleware: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(credentials())) request.headers.set(name, value);
    return request;
  },
  async onResponse({ response, request }) {
    if (response.ok) return response;
    const error = await failure(response);
    if (error.status === 401 && !new URL(request.url).pathname.endsWith('/auth/session')) access.lost?.();
    throw error;
  },
  onError({ error }) {
    if (error instanceof ApiError || (error as Error).name === 'AbortError') return error as Error;
    return new ApiError(0, 'unreachable', 'The server cannot be reached');
  },
};

const client = createClient<paths>({
  baseUrl: location.origin,
  credentials: 'same-origin',
  // Ids and uids of the contract are never read from outside: encoded as a whole.
});
client.use(middleware);

/** Typed calls: `await api.GET('/api/v1/app', {params: {query: {limit: 50}}})`; failures are thrown as [`ApiError`]. */
export const api = client;

/** What a call answered. It is there: all that is not 2xx was thrown. */
export async function data<T>(call: Promise<{ data?: T }>): Promise<NonNullable<T>> {
  return (await call).data as NonNullable<T>;
}

/** A plain request with the caller's credentials, for bytes and streams. Throws [`ApiError`]. */
export async function raw(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      credentials: 'same-origin',
      ...init,
      headers: { ...(init.headers as Record<string, string>), ...credentials() },
    });
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new ApiError(0, 'unreachable', 'The server cannot be reached');
  }
  if (response.ok) return response;
  if (response.status === 401) access.lost?.();
  throw await failure(response);
}

/** In words, what went wrong. */
export function reason(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  return words.replace(/^[a-z]/, (first) => first.toUpperCase());
}

/** By the name of the field, what is wrong. `unique` names the one that a conflict is about. */
export function wrong(error: unknown, unique: string): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  return error.status === 409 ? { [unique]: 'Another one has this already.' } : error.fields;
}
