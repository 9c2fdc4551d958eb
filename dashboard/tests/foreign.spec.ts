// What pages of somebody else can do: nothing, unless the operator allowed it.
import { visit } from './support/pages';
import { expect, signIn, test } from './support/test';

test('a form of another site changes nothing, although the browser has a session', async ({ signedIn: page, server, host, watch }) => {
  const name = 'Made by another site';
  watch.allow(/status of (401|403)/, /favicon\.ico$/);
  host.answer('/form', {
    headers: { 'content-type': 'text/html' },
    body: `<!doctype html><title>Hostile</title>
      <form id=plain method=post enctype="text/plain" action="${server.url}/api/v1/app"><input name='{"name":"${name}","x":"' value='"}'></form>
      <form id=out method=post action="${server.url}/api/v1/auth/session"></form>`,
  });
  // The session is SameSite=Strict: another site's form does not bring it along. A page of the same site (another
  // port of 127.0.0.1) does, and is told by its origin.
  for (const url of [host.url('/form', 'localhost'), host.url('/form')]) {
    for (const form of ['plain', 'out']) {
      await page.goto(url);
      const [response] = await Promise.all([
        page.waitForResponse((one) => one.url().startsWith(server.url)),
        page.evaluate((id) => (document.getElementById(id) as HTMLFormElement).submit(), form),
      ]);
      await response.finished();
      await page.waitForURL(server.url + '/**');
      expect([401, 403]).toContain(response.status());
    }
  }
  const { data } = await server.call<{ data: { name: string }[] }>('GET', '/api/v1/app?limit=250');
  expect(data.filter((one) => one.name === name)).toEqual([]);
  await visit(page, '/');
  await expect(page).not.toHaveURL(/login/);
});

test('a script of another site reads nothing', async ({ signedIn: page, server, host, watch }) => {
  host.answer('/script', { headers: { 'content-type': 'text/html' }, body: '<!doctype html><title>Hostile</title>' });
  watch.allow(/blocked by CORS policy/, /net::ERR_FAILED/, /status of (401|403)/);
  await page.goto(host.url('/script'));
  for (const credentials of ['include', 'omit'] as const) {
    const read = await page.evaluate(
      ([url, how]) => fetch(`${url}/api/v1/app`, { credentials: how as RequestCredentials }).then((answer) => answer.text(), (error: Error) => `refused: ${error.name}`),
      [server.url, credentials] as const,
    );
    expect(read).toBe('refused: TypeError');
  }
});

test('nobody may frame the app, and only allowed sites the portal', async ({ browser, server, host, receiver }) => {
  const frame = (path: string) => ({ headers: { 'content-type': 'text/html' }, body: `<!doctype html><title>Frames</title><iframe src="${server.url}${path}"></iframe>` });
  host.answer('/app', frame('/'));
  host.answer('/portal', frame('/portal'));
  receiver.answer('/portal', frame('/portal'));
  for (const [url, expected] of [
    [host.url('/app', 'localhost'), false],
    [host.url('/app'), false],
    [receiver.url('/portal', 'localhost'), false],
    [host.url('/portal', 'localhost'), true],
  ] as const) {
    const context = await browser.newContext();
    await signIn(context, server);
    const page = await context.newPage();
    await page.goto(url);
    const shown = page.frameLocator('iframe').getByRole('heading', { level: 1 });
    if (expected) await expect(shown).toBeVisible();
    else {
      await page.waitForLoadState('networkidle');
      await expect(shown).toHaveCount(0);
    }
    await context.close();
  }
  for (const path of ['/', '/login', '/messages', '/api/v1/health']) {
    const { headers } = await fetch(server.url + path);
    const policy = headers.get('content-security-policy') ?? '';
    if (!path.startsWith('/api')) {
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain('unsafe');
    }
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  }
});
