// A source whose secret is wrong: what it says, and what helps.
import { settled, visit } from './support/pages';
import { expect, test } from './support/test';
import { until } from './support/wait';
import { github } from './support/world';

test('GitHub with a wrong secret: cause and hint; with the right one: verified again and delivered', async ({ signedIn: page, server, receiver }) => {
  test.setTimeout(90_000);
  await visit(page, '/sources/new');
  await page.getByRole('searchbox', { name: 'Search types' }).fill('github');
  await page.getByRole('link', { name: /^\S*\s*GitHub\b.*github$/ }).first().click();
  await settled(page);
  await page.getByLabel('Name', { exact: true }).fill('GitHub of the platform team');
  await page.getByLabel(/^Secret/).first().fill('not-what-github-has');
  await page.getByRole('button', { name: 'Create source' }).click();
  await expect(page.getByRole('heading', { level: 1, name: /is ready$/ })).toBeVisible();
  const { data } = await server.call<{ data: { id: string; name: string; ingestUrl: string }[] }>('GET', '/ingest/api/v1/source?limit=250');
  const source = data.find(({ name }) => name === 'GitHub of the platform team');
  if (!source) throw new Error('the source is not there');
  await expect(page.getByText(source.ingestUrl).first()).toBeVisible();

  await page.getByRole('link', { name: 'Open the source' }).click();
  await settled(page);
  await page.getByRole('link', { name: 'Endpoints', exact: true }).last().click();
  await page.getByRole('button', { name: /(New|Add) endpoint/ }).or(page.getByRole('link', { name: /(New|Add) endpoint/ })).first().click();
  await page.getByRole('textbox', { name: 'URL' }).fill(receiver.url('/from-github'));
  await page.getByRole('button', { name: /(Create|Add) endpoint/ }).click();
  await expect(page.getByText(receiver.url('/from-github')).first()).toBeVisible();

  const body = JSON.stringify({ ref: 'refs/heads/main', repository: { full_name: 'acme/site' } });
  expect((await github(source.ingestUrl, 'what-github-has', body)).status).toBe(401);
  await page.getByRole('link', { name: 'Log', exact: true }).click();
  const requests = page.getByRole('list', { name: 'Requests' });
  await expect(requests.getByText('Rejected')).toBeVisible();
  await expect(requests.getByText('The signature does not fit')).toBeVisible();
  // The hint says where to look, in a sentence.
  await expect(requests.getByText(/secret/i).first()).toBeVisible();
  expect(receiver.at('/from-github')).toEqual([]);

  // As long as the secret is wrong, verifying again changes nothing, and says so.
  await requests.getByRole('button', { name: 'Verify again' }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'still rejected' })).toBeVisible();

  await page.getByRole('link', { name: 'Settings', exact: true }).last().click();
  await page.getByRole('button', { name: 'Change' }).first().click();
  await page.getByLabel(/^Secret/).first().fill('what-github-has');
  await page.getByRole('button', { name: 'Save configuration' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'was saved' })).toBeVisible();
  await page.getByRole('link', { name: 'Log', exact: true }).click();
  await requests.getByRole('button', { name: 'Verify again' }).click();
  await until('the delivery', async () => receiver.at('/from-github').length === 1);
  expect(receiver.at('/from-github')[0]?.body).toBe(body);
  await expect(requests.getByText('Accepted').first()).toBeVisible();
  await requests.getByRole('link', { name: /^Message/ }).first().click();
  await settled(page);
  await expect(page.getByText('Answered 200').first()).toBeVisible();
});
