/** What outlives rollouts: written and read without a worker, and carried on when one keeps its history short. */
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LedgerRefusal, readLedger, writeLedger } from '../../temporal/ledger.js';
import type { FreezeChange } from '../../workflows/contracts/freezes.js';
import { ledgerWorkflowId } from '../../workflows/contracts/ids.js';
import { CHANGES_PER_RUN } from '../../workflows/contracts/ledger.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';

let env: RealEnvironment;
beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const UNTIL = new Date(Date.now() + 3_600_000).toISOString();

function create(id: string, owner = 'ana'): FreezeChange {
  return { kind: 'create', freeze: { id, scope: [{}], except: [], until: UNTIL, reason: 'audit', owner } };
}

function lift(id: string, by: string): FreezeChange {
  return { kind: 'lift', id, by, reason: 'over' };
}

const ids = async () => (await readLedger(env.client, 'freezes')).map(({ id }) => id);

/** Until `met`; a worker has its own pace. */
async function eventually(met: () => Promise<boolean>): Promise<void> {
  while (!(await met())) await new Promise((resolve) => setTimeout(resolve, 50));
}

it('holds a change at once, with no worker, and refuses what its section refuses', async () => {
  expect(await readLedger(env.client, 'freezes')).toEqual([]);
  expect(await writeLedger(env.client, 'freezes', create('freeze-1'))).toMatchObject([
    { id: 'freeze-1', owner: 'ana' },
  ]);
  await expect(writeLedger(env.client, 'freezes', lift('freeze-1', 'ana'))).rejects.toThrow(
    new LedgerRefusal('ana created freeze-1: a second person has to lift it early'),
  );
  await expect(writeLedger(env.client, 'freezes', lift('freeze-9', 'ben'))).rejects.toThrow('there is no freeze');
  await writeLedger(env.client, 'freezes', lift('freeze-1', 'ben'));
  expect(await readLedger(env.client, 'freezes')).toMatchObject([{ lifted: { by: 'ben', reason: 'over' } }]);
  await expect(writeLedger(env.client, 'freezes', lift('freeze-1', 'cleo'))).rejects.toThrow('was lifted by ben');
});

it('makes a change once, however often it is sent', async () => {
  await writeLedger(env.client, 'freezes', create('freeze-2'), 'request-2');
  const again = await writeLedger(env.client, 'freezes', create('freeze-2'), 'request-2');
  expect(again.filter(({ id }) => id === 'freeze-2')).toHaveLength(1);
});

it('carries everything on when its run is followed by another one', async () => {
  const handle = env.client.workflow.getHandle(ledgerWorkflowId('freezes'));
  const before = await readLedger(env.client, 'freezes');
  const { runId } = await handle.describe();
  const more = CHANGES_PER_RUN + 20;
  for (let at = 0; at < more; at += 1) {
    const change = at === more - 1 ? create('freeze-last') : lift('freeze-none', 'ben');
    await handle.signal(MESSAGES.ledgerChange, { requestId: `bulk-${at}`, at: new Date().toISOString(), change });
  }
  const worker = await Worker.create({
    connection: env.nativeConnection,
    namespace: env.namespace,
    taskQueue: QUEUES.main,
    workflowBundle: await workflowBundle(),
  });
  await worker.runUntil(() => eventually(async () => (await handle.describe()).runId !== runId));

  expect(await ids()).toEqual([...before.map(({ id }) => id), 'freeze-last']);
  // Also what was handled: a writer that tries again over the end of a run changes nothing.
  await expect(writeLedger(env.client, 'freezes', lift('freeze-last', 'ben'), 'bulk-0')).rejects.toThrow(
    'there is no freeze freeze-none',
  );
  expect((await readLedger(env.client, 'freezes')).at(-1)).not.toHaveProperty('lifted');
  const { events } = await handle.fetchHistory();
  expect(events?.length).toBeLessThan(20);
});

it('still holds, and goes on, when somebody has terminated it', async () => {
  const before = await readLedger(env.client, 'freezes');
  await env.client.workflow.getHandle(ledgerWorkflowId('freezes')).terminate('by mistake');
  expect(await readLedger(env.client, 'freezes')).toEqual(before);
  await writeLedger(env.client, 'freezes', create('freeze-after'));
  expect(await ids()).toEqual([...before.map(({ id }) => id), 'freeze-after']);
});

it('is no victim of a signal that nobody understands', async () => {
  const before = await ids();
  const handle = env.client.workflow.getHandle(ledgerWorkflowId('freezes'));
  await handle.signal(MESSAGES.ledgerChange, 'garbage');
  await handle.signal('other', { requestId: 'x' });
  expect(await ids()).toEqual(before);
});

it.each([1, 2])('waits for what the server keeps back while a worker has its task, in attempt %i', async (attempt) => {
  const { namespace } = env;
  const { workflowService } = env.client;
  const asked = { namespace, taskQueue: { name: QUEUES.main }, identity: 'dies' };
  const poll = () => env.client.withDeadline(Date.now() + 60_000, () => workflowService.pollWorkflowTaskQueue(asked));
  const handle = env.client.workflow.getHandle(ledgerWorkflowId('freezes'));
  // So that there is a task; whatever a test before this one has left is its first one.
  await writeLedger(env.client, 'freezes', create(`freeze-seen-${attempt}`));
  let { taskToken } = await poll();
  for (let at = 1; at < attempt; at += 1) {
    await workflowService.respondWorkflowTaskFailed({ namespace, taskToken });
    ({ taskToken } = await poll());
  }
  const change = create(`freeze-kept-back-${attempt}`);
  await handle.signal(MESSAGES.ledgerChange, {
    requestId: `kept-back-${attempt}`,
    at: new Date().toISOString(),
    change,
  });
  await expect(readLedger(env.client, 'freezes', 300)).rejects.toThrow('a worker has a task of ledger/freezes: ');

  const written = `freeze-written-${attempt}`;
  const writing = writeLedger(env.client, 'freezes', create(written));
  const reading = readLedger(env.client, 'freezes');
  // Time for the change to reach the server; on a slow machine it comes after the task, and holds as well.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await workflowService.respondWorkflowTaskCompleted({ namespace, taskToken, commands: [] });
  expect((await writing).at(-1)).toMatchObject({ id: written });
  expect((await reading).map(({ id }) => id)).toContain(`freeze-kept-back-${attempt}`);
});
