/** Notices by real workers to a real receiver: every one arrives, at least once and under one id, whatever dies or fails. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { noticeId, noticeWorkflowId, runKey } from '../../workflows/contracts/ids.js';
import type { Notice } from '../../workflows/contracts/notices.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { notice as noticeWorkflow } from '../../workflows/notice.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { startFrontendProxy } from '../support/frontend-proxy.js';
import { historyText } from '../support/history-text.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { startWorkerProcess, type WorkerProcess, writeAccounts } from '../support/worker-process.js';

/** Both are secrets: the address of a Slack webhook is all that it takes to write there. */
const PATH = '/services/T00/B00/path-Zq83kd02';
const TOKEN = 'Bearer token-9fK2mmq1';

let env: RealEnvironment;
let directory: string;
let accounts: string;
let receiver: Receiver;
let answer: (number: number) => number;
const workers: WorkerProcess[] = [];

beforeAll(async () => {
  env = await realEnvironment();
  directory = await mkdtemp(join(tmpdir(), 'uplift-notices-'));
  accounts = await writeAccounts(directory, 'http://127.0.0.1:1');
  const ops = { url: { env: 'OPS_URL' }, header: { name: 'Authorization', value: { file: './token' } } };
  const file = parse(await readFile(accounts, 'utf8')) as object;
  await writeFile(accounts, stringify({ ...file, webhooks: { ops } }));
  await writeFile(join(directory, 'token'), `${TOKEN}\n`, { mode: 0o600 });
});
afterAll(async () => {
  await env.teardown();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  receiver = await startReceiver((number) => answer(number));
});
afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.signal('SIGKILL');
    await worker.ended;
  }
  await receiver.close();
});

async function work(address = env.server.address): Promise<WorkerProcess> {
  const worker = await startWorkerProcess({ address, accounts, env: { OPS_URL: receiver.url + PATH } });
  workers.push(worker);
  return worker;
}

function noticeOf(kind: Notice['kind']): Notice {
  const id = noticeId('spring', runKey({ rolloutRun: randomUUID() }), kind, 1);
  return { id, kind, rollout: 'spring', schedule: null, at: new Date().toISOString(), text: 'window is open' };
}

function tell(notice: Notice) {
  return env.client.workflow.start<typeof noticeWorkflow>('notice', {
    workflowId: noticeWorkflowId(notice.id),
    taskQueue: QUEUES.main,
    args: [{ notice, to: ['ops'], timing: { scale: 0.1 } }],
  });
}

const idsSeen = () => receiver.received.map(({ headers }) => headers['idempotency-key']);

it('after answers of 500 it is sent again, in a history as long as any, and neither holds nor logs a secret', async () => {
  const [refused, heard] = [noticeOf('failed'), noticeOf('done')];
  answer = (number) => (number <= 2 ? 500 : 204);
  const worker = await work();
  const first = await tell(refused);
  await first.result();
  expect(idsSeen()).toEqual([refused.id, refused.id, refused.id]);
  expect(receiver.received.at(-1)).toMatchObject({ path: PATH, headers: { authorization: TOKEN }, body: refused });

  const second = await tell(heard);
  await second.result();
  expect(idsSeen().slice(3)).toEqual([heard.id]);

  const histories = await Promise.all([first, second].map((handle) => handle.fetchHistory()));
  const [retried, undisturbed] = histories.map(({ events }) => events?.map(({ eventType }) => eventType));
  expect(retried).toEqual(undisturbed);
  for (const text of [...histories.map(historyText), worker.log()]) {
    expect(text).not.toContain(PATH);
    expect(text).not.toContain(TOKEN);
    expect(text).not.toContain(receiver.url);
  }
  expect(historyText(histories[0])).toContain('webhook ops: it answered 500');
});

it('a worker that is killed after the answer and before its record: sent again under the same id, and then no more', async () => {
  const [notice, next] = [noticeOf('opened'), noticeOf('done')];
  answer = () => 200;
  const proxy = await startFrontendProxy(env.server.address);
  const doomed = await work(proxy.address);
  const answered = proxy.swallow(
    ({ method, message }) => method === 'RespondActivityTaskCompleted' && message.includes(noticeWorkflowId(notice.id)),
  );
  const told = await tell(notice);
  await answered;
  doomed.signal('SIGKILL');
  expect(await doomed.ended).toBe('SIGKILL');
  expect(idsSeen()).toEqual([notice.id]);

  const heir = await work();
  await told.result();
  expect(idsSeen()).toEqual([notice.id, notice.id]);
  expect(receiver.received[1]?.body).toEqual(receiver.received[0]?.body);

  // Its 2xx is recorded: whoever comes next has nothing to send but what is new.
  heir.signal('SIGKILL');
  await heir.ended;
  await work();
  await (await tell(next)).result();
  expect(idsSeen()).toEqual([notice.id, notice.id, next.id]);
  await proxy.close();
});
