// A server with something of everything in it, and every page that shows it.
import { createHmac } from 'node:crypto';
import type { Receiver } from './receiver';
import type { Server } from './server';
import { until } from './wait';

/** The texts that a world is filled with: plain ones, or hostile ones. */
export interface Texts {
  /** Of one line: names, descriptions. */
  line: string;
  /** What receivers answer and payloads carry. */
  long: string;
  /** The end of a URL, encoded as a URL asks for. */
  url: string;
  /** The name of a property of a payload and of a schema. */
  key: string;
}
export const PLAIN: Texts = {
  line: 'Acme Corporation',
  long: 'The disk of our database is full',
  url: 'hooks',
  key: 'amount',
};

interface Named {
  id: string;
}
interface List<T> {
  data: T[];
}
export interface World {
  app: string;
  works: string;
  fails: string;
  /** A message that failed at one endpoint and arrived at another. */
  message: string;
  source: string;
  types: string[];
  /** Pages of the operator's app. */
  operator: string[];
  /** Pages of the portal, without its base. */
  portal: string[];
}

/** A GitHub request for a source, signed with `secret`. */
export async function github(url: string, secret: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  return fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json', 'x-github-event': 'push', 'x-github-delivery': crypto.randomUUID(),
      'x-hub-signature-256': `sha256=${signature}`, ...headers,
    },
    body,
  });
}

/** Fills an environment; `tag` keeps two worlds of one server apart. */
export async function fill(server: Server, receiver: Receiver, tag: string, texts: Texts = PLAIN): Promise<World> {
  const { line, long, key } = texts;
  const types = [`${tag}.invoice.paid`, `${tag}.invoice.failed`, `${tag}.user.created`];
  for (const name of types) {
    await server.call('POST', '/api/v1/event-type', {
      name, description: line, groupName: `${tag}.group`, deprecated: name.endsWith('failed'),
      schemas: {
        1: {
          $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', title: line, description: long,
          properties: {
            id: { type: 'string', description: line, examples: [line] },
            [key]: { type: 'integer', title: line, description: long },
            state: { type: 'string', enum: ['open', line], default: line },
            lines: { type: 'array', items: { type: 'object', properties: { [key]: { type: ['string', 'null'], description: line } } } },
          },
          required: ['id'],
          examples: [{ id: line, [key]: 12 }],
        },
      },
    });
  }
  const app = await server.call<Named>('POST', '/api/v1/app', { name: `${line} ${tag}`, uid: `${tag}-app`, metadata: { note: line } });
  const at = `/api/v1/app/${app.id}`;
  receiver.answer(`/fail/${tag}/${texts.url}`, { status: 500, headers: { 'content-type': 'text/html', 'x-note': line.replace(/[^\x20-\x7e]/g, '?') }, body: long });
  const endpoint = (path: string, more: object = {}) =>
    server.call<Named>('POST', `${at}/endpoint`, { url: receiver.url(path), description: line, metadata: { note: line }, ...more });
  const works = await endpoint(`/ok/${tag}/${texts.url}`, { eventTypes: types, channels: ['eu'] });
  const fails = await endpoint(`/fail/${tag}/${texts.url}`, { retrySchedule: [3600, 7200] });
  const off = await endpoint(`/off/${tag}/${texts.url}`, { disabled: true });
  await server.call('PUT', `${at}/endpoint/${fails.id}/headers`, { headers: { 'x-note': line.replace(/[^\x20-\x7e]/g, '?') } });
  const messages: string[] = [];
  for (let i = 0; i < 12; i++) {
    const { id } = await server.call<Named>('POST', `${at}/msg`, {
      eventType: types[i % 3], channels: i % 4 ? ['eu'] : undefined, tags: ['tag', tag], eventId: `${tag}-${i}`,
      payload: { id: `obj_${i}`, [key]: long, list: [line, 1, true, null], nested: { [key]: line } },
    });
    messages.push(id);
  }
  const message = messages[7] as string;
  await until('a failed and a delivered attempt', async () => {
    const { data } = await server.call<List<{ status: number }>>('GET', `${at}/attempt/msg/${message}`);
    return data.some(({ status }) => status === 0) && data.some(({ status }) => status === 2);
  });
  const source = await server.call<Named & { ingestUrl: string }>('POST', '/ingest/api/v1/source', {
    name: line, uid: `${tag}-source`, type: 'github', config: { secret: 'right-secret' }, metadata: { note: line },
  });
  await server.call('POST', `/ingest/api/v1/source/${source.id}/endpoint`, { url: receiver.url(`/in/${tag}/${texts.url}`), description: line });
  const header = { 'user-agent': line.replace(/[^\x20-\x7e]/g, '?'), 'x-github-event': 'push' };
  await github(source.ingestUrl, 'right-secret', JSON.stringify({ [key]: long, repository: { name: line } }), header);
  await github(source.ingestUrl, 'wrong-secret', JSON.stringify({ [key]: long }), header);

  const end = encodeURIComponent;
  const operated = `/applications/${app.id}`;
  const tabs = (path: string, names: string[]) => [path, ...names.map((name) => `${path}?tab=${name}`)];
  return {
    app: app.id, works: works.id, fails: fails.id, message, source: source.id, types,
    operator: [
      '/', '/messages', '/messages?text=obj&status=fail&range=24h', `/messages/${message}`, '/applications', operated, `${operated}/endpoints/new`,
      ...tabs(`${operated}/endpoints/${fails.id}`, ['attempts', 'messages', 'again', 'test', 'settings']),
      `${operated}/endpoints/${works.id}`, `${operated}/endpoints/${off.id}`, `${operated}/endpoints/${fails.id}/edit`,
      '/endpoints', '/sources', '/sources/new', '/sources/new?type=github', ...tabs(`/sources/${source.id}`, ['messages', 'endpoints', 'steps', 'settings']),
      '/event-types', `/event-types/${end(types[0] as string)}`,
      ...['/settings', '/settings/environments', '/settings/delivery', '/settings/portal', '/settings/operational', '/settings/retention'], '/system', '/tasks', '/settings/keys/nowhere',
    ],
    portal: [
      '', '/endpoints/new', ...tabs(`/endpoints/${fails.id}`, ['attempts', 'messages', 'again', 'test', 'settings']), `/endpoints/${fails.id}/edit`,
      '/event-types', `/event-types/${end(types[0] as string)}`, '/messages', `/messages/${message}`, '/nowhere',
    ],
  };
}
