/** One delivery to one webhook: what goes out, what counts as told, and that neither address nor secret shows. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { noticeSteps } from '../../activities/notify.js';
import { scrub } from '../../activities/secrets.js';
import type { Webhook } from '../../plan/webhooks.js';
import type { Notice } from '../../workflows/contracts/notices.js';
import { type Receiver, startReceiver } from '../support/receiver.js';

const folder = mkdtempSync(join(tmpdir(), 'uplift-notify-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let receiver: Receiver | null = null;
afterEach(async () => {
  await receiver?.close();
  receiver = null;
});

const notice: Notice = {
  id: 'patching-2026-12-12/1a2b3c4d/opened/1',
  kind: 'opened',
  rollout: 'patching-2026-12-12',
  schedule: 'patching',
  at: '2026-12-12T21:00:00.000Z',
  text: 'window <second> & last is open',
};
const PATH = '/T00/B00/secretpath-q8Zr';
const TOKEN = 'Bearer secret-token-V7kX';

const plain: Webhook = {
  name: 'ops',
  url: { kind: 'env', name: 'OPS_URL' },
  header: null,
  format: 'json',
  allowPlainHttp: false,
};

function deliver(webhook: Webhook, env: Record<string, string>): Promise<void> {
  const steps = noticeSteps({ webhooks: new Map([[webhook.name, webhook]]), env });
  return new MockActivityEnvironment({ scheduledTimestampMs: Date.now() }).run(() =>
    steps.deliverNotice({ notice, webhook: 'ops' }),
  );
}

async function whyNot(webhook: Webhook, env: Record<string, string>): Promise<string> {
  const error: unknown = await deliver(webhook, env).then(
    () => new Error('it was delivered'),
    (reason: unknown) => reason,
  );
  const { message, stack } = error as Error;
  for (const secret of [PATH, TOKEN]) expect(`${message} ${stack}`).not.toContain(secret);
  return message;
}

it('sends the notice as it is, with its id and the secret header', async () => {
  receiver = await startReceiver(() => 204);
  const file = join(folder, 'token');
  writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
  const webhook: Webhook = { ...plain, header: { name: 'Authorization', value: { kind: 'file', path: file } } };
  await deliver(webhook, { OPS_URL: receiver.url + PATH });
  const [got] = receiver.received;
  expect(got).toMatchObject({
    path: PATH,
    headers: { authorization: TOKEN, 'idempotency-key': notice.id, 'content-type': 'application/json' },
    body: { version: 1, ...notice },
  });
  // From now on whatever leaves the process is scrubbed of both.
  expect(scrub(`${receiver.url}${PATH} ${TOKEN}`)).toBe('*** ***');
});

it('sends Slack a text that it shows as it is', async () => {
  receiver = await startReceiver(() => 200);
  await deliver({ ...plain, format: 'slack' }, { OPS_URL: receiver.url + PATH });
  expect(receiver.received[0]?.body).toEqual({
    text: '*patching-2026-12-12*: window &lt;second&gt; &amp; last is open',
  });
});

it.each([500, 404, 302])('an answer of %d is none', async (status) => {
  receiver = await startReceiver(() => status);
  expect(await whyNot(plain, { OPS_URL: receiver.url + PATH })).toBe(`webhook ops: it answered ${status}`);
});

it('follows no redirect: the header would go along', async () => {
  const other = await startReceiver(() => 200);
  receiver = await startReceiver(() => other.url);
  expect(await whyNot(plain, { OPS_URL: receiver.url + PATH })).toBe('webhook ops: it answered 302');
  expect(other.received).toEqual([]);
  await other.close();
});

it('says why it cannot be sent, and quotes neither address nor secret', async () => {
  receiver = await startReceiver(() => 200);
  const { url } = receiver;
  await receiver.close();
  expect(await whyNot(plain, { OPS_URL: url + PATH })).toBe('webhook ops: it could not be reached (ECONNREFUSED)');
  expect(await whyNot(plain, { OPS_URL: `http://hooks.example${PATH}` })).toBe(
    'webhook ops: its address is not https (or set `allowPlainHttp: true`)',
  );
  expect(await whyNot(plain, { OPS_URL: PATH })).toBe('webhook ops: its address is no absolute URL');
  expect(await whyNot(plain, {})).toBe('webhook ops: environment variable OPS_URL is empty where the worker runs');
  const file = join(folder, 'open');
  writeFileSync(file, TOKEN);
  chmodSync(file, 0o644);
  const header = { name: 'X-Token', value: { kind: 'file', path: file } } as const;
  expect(await whyNot({ ...plain, header }, { OPS_URL: url + PATH })).toBe(
    `webhook ops: file ${file} can be read or written by others (its mode is 644: chmod 600 ${file})`,
  );
  const asked = vi.spyOn(process, 'geteuid').mockReturnValue((process.geteuid?.() ?? 0) + 1);
  chmodSync(file, 0o440);
  // It is read: what is wrong then is that nobody answers.
  expect(await whyNot({ ...plain, header }, { OPS_URL: url + PATH })).toBe(
    'webhook ops: it could not be reached (ECONNREFUSED)',
  );
  asked.mockRestore();
  rmSync(file);
  expect(await whyNot({ ...plain, header }, { OPS_URL: url + PATH })).toBe(
    `webhook ops: file ${file} cannot be read: ENOENT (create it with mode 600)`,
  );
  expect(await whyNot({ ...plain, name: 'other' }, {})).toBe(
    'webhook ops: the accounts file of this worker has no webhook of that name',
  );
});
