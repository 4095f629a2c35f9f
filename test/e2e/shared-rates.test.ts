/** Two worker processes on one account, on a real server: the cloud never sees more calls in a second than the rate. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { systemClock } from '../../activities/clock.js';
import { DEMO_PROJECT } from '../../simulator/inventory.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { CLOUD_ENV, type Clouds, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';

const MAIN = fileURLToPath(new URL('../../dist/client/main.js', import.meta.url));
const RATES = { reads: 12, writes: 3 };

let env: RealEnvironment;
let clouds: Clouds;
let directory: string;
const workers: ChildProcess[] = [];

beforeAll(async () => {
  env = await realEnvironment();
  clouds = await simulatedClouds({ clock: systemClock, graphs: 6, durationMs: { min: 1_000, max: 2_000 } });
  directory = await mkdtemp(join(tmpdir(), 'uplift-rates-'));
});
afterAll(async () => {
  for (const worker of workers) worker.kill('SIGTERM');
  await Promise.all(workers.filter(({ exitCode }) => exitCode === null).map((worker) => once(worker, 'exit')));
  await rm(directory, { recursive: true, force: true });
  await clouds.close();
  await env.teardown();
});

/** A worker process; resolves when it shares the rates with `others` more. */
async function startWorker(accounts: string): Promise<string[]> {
  const worker = spawn(process.execPath, [MAIN, 'worker', '--accounts', accounts], {
    env: { ...process.env, ...CLOUD_ENV, TEMPORAL_ADDRESS: env.server.address },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  workers.push(worker);
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    worker.stderr.on('data', (chunk: Buffer) => {
      lines.push(chunk.toString());
      if (lines.join('').includes('worker is ready')) resolve();
    });
    worker.once('exit', (code) => {
      reject(new Error(`the worker ended with ${code}: ${lines.join('')}`));
    });
  });
  return lines;
}

it('two workers on one account stay within its rate together', async () => {
  const accounts = join(directory, 'accounts.yaml');
  const endpoints = { ges: clouds.simulator.url };
  const account = { cloud: 'huawei', region: 'eu-west-101', projectId: DEMO_PROJECT, endpoints, rates: RATES };
  await writeFile(accounts, stringify({ accounts: { huawei: account } }));
  const [first, second] = [await startWorker(accounts), await startWorker(accounts)];

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
  for (const lines of [first, second]) expect(lines.join('')).toContain('2 workers share');

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
