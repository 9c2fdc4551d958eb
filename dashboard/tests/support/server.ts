// The real server, started for a worker or for one test.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const BINARY = process.env.POSTHOUSE_BIN ?? resolve(import.meta.dirname, '../../../target/release/posthouse');
const START_MS_MAX = 20_000;
const STOP_MS_MAX = 15_000;

export interface Answer<T> {
  status: number;
  body: T;
}

export class Server {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    /** `http://127.0.0.1:PORT`. */
    readonly url: string,
    /** The key that the first start made. */
    readonly key: string,
    /** The one-time link that the first start printed. */
    readonly link: string,
  ) {}

  /** Starts on a free port with an empty data folder. Deliveries to this machine are allowed. */
  static async start(settings: Record<string, string> = {}): Promise<Server> {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there: cargo build --release, or name it by POSTHOUSE_BIN`);
    const folder = await mkdtemp(join(tmpdir(), 'posthouse-browser-'));
    const child = spawn(BINARY, ['serve', '--listen', '127.0.0.1:0', '--data-dir', folder], {
      env: {
        ...process.env,
        POSTHOUSE__EGRESS__ALLOW_NETWORKS: '127.0.0.0/8,::1/128',
        POSTHOUSE__LOG__LEVEL: 'warn',
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    const hear = (bytes: Buffer) => (said = (said + bytes.toString()).slice(-100_000));
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    const find = async (what: string, pattern: RegExp): Promise<string> => {
      for (const end = Date.now() + START_MS_MAX; Date.now() < end; await new Promise((done) => setTimeout(done, 20))) {
        const found = pattern.exec(said)?.[1];
        if (found) return found;
        if (child.exitCode !== null) break;
      }
      child.kill('SIGKILL');
      throw new Error(`the server did not say its ${what}:\n${said}`);
    };
    const url = await find('address', /listening on (http:\/\/\S+)/);
    const key = await find('key', /\b(phk_[0-9A-Za-z]+)/);
    const link = await find('one-time link', /(http:\/\/\S+\/login#token=[\w-]+)/);
    return new Server(child, folder, url, key, link);
  }

  /** The origin that pages of this server have. */
  get origin(): string {
    return new URL(this.url).origin;
  }

  async stop() {
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS_MAX);
    if (this.child.exitCode === null) await ended;
    clearTimeout(late);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Another one-time link, as `posthouse login` prints it beside the running server. */
  async login(): Promise<string> {
    const { stdout } = await promisify(execFile)(BINARY, ['login', '--data-dir', this.folder], { timeout: START_MS_MAX });
    const link = /(http:\/\/\S+\/login#token=[\w-]+)/.exec(stdout)?.[1];
    if (!link) throw new Error(`no link in ${stdout}`);
    return link;
  }

  /** A call over the API, whatever it answers. */
  async ask<T = unknown>(method: string, path: string, body?: unknown, token = this.key): Promise<Answer<T>> {
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    let read: unknown = text;
    try {
      read = text ? JSON.parse(text) : undefined;
    } catch {
      // Not JSON: the text itself.
    }
    return { status: response.status, body: read as T };
  }

  /** A call over the API that has to succeed. */
  async call<T = unknown>(method: string, path: string, body?: unknown, token = this.key): Promise<T> {
    const answer = await this.ask<T>(method, path, body, token);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** The link of the portal of an application, and its token. */
  portal(app: string, rights: { capabilities?: string[]; readOnly?: boolean; expiry?: number } = {}): Promise<{ url: string; token: string }> {
    return this.call('POST', `/api/v1/auth/app-portal-access/${app}`, rights);
  }
}
