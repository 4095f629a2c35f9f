/** Two worker processes on one account, on a real server: the cloud never sees more calls in a second than the rate. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { startWorkerProcess, type WorkerProcess, writeAccounts } from '../support/worker-process.js';

const RATES = { reads: 12, writes: 3 };

let env: RealEnvironment;
let clouds: Clouds;
let directory: string;
const workers: WorkerProcess[] = [];

beforeAll(async () => {
  env = await realEnvironment();
  clouds = await simulatedClouds({ clock: systemClock, graphs: 6, durationMs: { min: 1_000, max: 2_000 } });
  directory = await mkdtemp(join(tmpdir(), 'uplift-rates-'));
});
afterAll(async () => {
  for (const worker of workers) worker.signal('SIGTERM');
  await Promise.all(workers.map(({ ended }) => ended));
  await rm(directory, { recursive: true, force: true });
  await clouds.close();
  await env.teardown();
});

it('two workers on one account stay within its rate together', async () => {
  const accounts = await writeAccounts(directory, clouds.simulator.url, RATES);
  const { address } = env.server;
  for (const name of ['first', 'second']) workers.push(await startWorkerProcess({ address, accounts, name }));

  const handle = await env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId('rates'),
    taskQueue: QUEUES.main,
    args: [
      {
        rollout: 'rates',
        planDigest: 'digest',
        startedBy: 'test',
        waves: [{ name: 'all', concurrency: 10, upgrades: clouds.specs('ges') }],
        budget: { max: 0, mode: 'loose' },
        accountLimits: {},
        timing: { scale: 0.05 },
      },
    ],
  });
  const result = await handle.result();
  expect(result.outcome).toBe('Succeeded');
  for (const worker of workers) expect(worker.log()).toContain('2 workers share');

  const { callsPerSecondPeak, submitsPerSecondPeak, calls, submits } = clouds.simulator.truth();
  const peak = callsPerSecondPeak['huawei'] ?? 0;
  const submitPeak = submitsPerSecondPeak['huawei'] ?? 0;
  console.log(
    `${calls} calls by two workers: at most ${peak} in any second, submits ${submitPeak}; allowed ${RATES.reads} reads and ${RATES.writes} submits`,
  );
  expect(peak).toBeGreaterThan(1);
  // Reads and submits have rates of their own; a second with a submit has room for that one beside its reads.
  expect(submitPeak).toBeLessThanOrEqual(RATES.writes);
  expect(peak).toBeLessThanOrEqual(RATES.reads + submitPeak);
  expect(submits).toHaveLength(6);
});
