// The one way to the server: the public HTTP API. What answers look like is in shapes.ts.

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

/** A request with the caller's credentials. Throws [`ApiError`]. */
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
