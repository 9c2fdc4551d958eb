// A receiver of webhooks, and a site of somebody else: both are small servers that answer as a test says.
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Request {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}
export interface Reply {
  status?: number;
  headers?: OutgoingHttpHeaders;
  body?: string;
}

/** Requests that are kept. */
const KEPT = 2_000;

export class Receiver {
  readonly requests: Request[] = [];
  private readonly replies = new Map<string, Reply>();

  private constructor(
    private readonly server: HttpServer,
    readonly port: number,
  ) {}

  static async start(): Promise<Receiver> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const receiver = new Receiver(server, (server.address() as AddressInfo).port);
    server.on('request', (request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const path = request.url ?? '/';
        if (receiver.requests.length < KEPT) {
          receiver.requests.push({ method: request.method ?? '', path, headers: request.headers, body: Buffer.concat(parts).toString() });
        }
        const { status = 200, headers = { 'content-type': 'application/json' }, body = '{"ok":true}' } =
          receiver.replies.get(path.split('?')[0] ?? '') ?? receiver.byName(path);
        response.writeHead(status, headers).end(body);
      });
    });
    return receiver;
  }

  /** Paths that begin so answer so, without being told. */
  private byName(path: string): Reply {
    if (path.startsWith('/fail')) return { status: 500, headers: { 'content-type': 'text/plain' }, body: 'the disk of our database is full' };
    return {};
  }

  /** `http://127.0.0.1:PORT`, or the same by the name that makes it another site. */
  url(path: string, host = '127.0.0.1'): string {
    return `http://${host}:${this.port}${path}`;
  }

  /** What a path answers from now on. */
  answer(path: string, reply: Reply) {
    this.replies.set(path, reply);
  }

  /** Requests that came for a path. */
  at(path: string): Request[] {
    return this.requests.filter((one) => one.path === path);
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}
