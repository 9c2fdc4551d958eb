// What every test has: a server and a receiver of its worker, and a page that is watched. A test fails when the page
// says an error on the console, throws, opens a dialog of the browser, or breaks the content security policy.
import { test as base, expect, type BrowserContext, type ConsoleMessage, type Page } from '@playwright/test';
import { Receiver } from './receiver';
import { Server } from './server';

/** What was seen that should not be. */
export class Watch {
  readonly seen: string[] = [];
  private readonly allowed: RegExp[] = [
    // Asking who is signed in, before someone is.
    /status of 401 .*\/api\/v1\/auth\/session$/,
  ];

  /** Messages of the console that this test expects. They read `text @ address`. */
  allow(...patterns: RegExp[]) {
    this.allowed.push(...patterns);
  }

  note(text: string) {
    if (!this.allowed.some((pattern) => pattern.test(text))) this.seen.push(text);
  }

  async follow(context: BrowserContext) {
    await context.exposeBinding('reportToTest', (_, text: string) => this.note(text));
    await context.addInitScript(() => {
      const report = (text: string) => void (window as unknown as { reportToTest(text: string): void }).reportToTest(text);
      document.addEventListener('securitypolicyviolation', (event) =>
        report(`policy broken: ${event.effectiveDirective} ${event.blockedURI} ${event.sample} @ ${event.sourceFile}:${event.lineNumber}`),
      );
      // The corpus of hostile texts sets this where one of them is run.
      Object.defineProperty(window, 'pwned', { set: (how) => report(`a script of the corpus ran: ${String(how)}`) });
    });
    context.on('page', (page) => this.page(page));
    for (const page of context.pages()) this.page(page);
  }

  private page(page: Page) {
    page.on('console', (message: ConsoleMessage) => {
      if (message.type() === 'error') this.note(`${message.text()} @ ${message.location().url}`);
    });
    page.on('pageerror', (error) => this.note(`thrown: ${String(error.stack ?? error)}`));
    page.on('dialog', (dialog) => {
      this.note(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }
}

interface Ours {
  watch: Watch;
  /** The page's context has a session of the worker's server. */
  signedIn: Page;
}
interface OfWorker {
  server: Server;
  receiver: Receiver;
  /** A site of somebody else that may frame the portal: `http://localhost:PORT`. */
  host: Receiver;
}

export const test = base.extend<Ours, OfWorker>({
  receiver: [
    async ({}, use) => {
      const receiver = await Receiver.start();
      await use(receiver);
      await receiver.stop();
    },
    { scope: 'worker' },
  ],
  host: [
    async ({}, use) => {
      const host = await Receiver.start();
      await use(host);
      await host.stop();
    },
    { scope: 'worker' },
  ],
  server: [
    async ({ host }, use) => {
      const server = await Server.start({ POSTHOUSE__PORTAL__ALLOWED_ORIGINS: host.url('', 'localhost') });
      await use(server);
      await server.stop();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  watch: async ({}, use) => use(new Watch()),
  context: async ({ context, watch }, use) => {
    await watch.follow(context);
    await use(context);
    expect(watch.seen, 'errors of the page').toEqual([]);
  },
  baseURL: async ({ server }, use) => use(server.url),
  signedIn: async ({ page, server }, use) => {
    await signIn(page.context(), server);
    await use(page);
  },
});

/** Gives the context a session, as the page of signing in does. */
export async function signIn(context: BrowserContext, server: Server) {
  const response = await context.request.post(`${server.url}/api/v1/auth/session`, {
    data: { key: server.key },
    headers: { origin: server.origin },
  });
  expect(response.status()).toBe(204);
}

export { expect };
