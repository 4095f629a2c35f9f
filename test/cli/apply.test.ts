/** What `apply` looks up on a real server before it starts anything. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import type { PreparedTarget } from '../../activities/planner.js';
import { connectClient, localTarget } from '../../temporal/connection.js';
import type { DevServer } from '../../temporal/dev-server.js';
import { writeLedger } from '../../temporal/ledger.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { startTestServer } from '../support/environment.js';
import { type Ended, linesOf, rehearsal, type Rehearsal, serve, uplift } from './cli.js';

// Many processes, each of which takes seconds to load on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

let server: DevServer;
let client: Client;
let place: Rehearsal;

beforeAll(async () => {
  server = await startTestServer();
  client = await connectClient(localTarget(server.address));
  const fleet = '--seed blocked --graphs 1 --clusters 1 --cluster-fate precheck-fails=1';
  place = await rehearsal(...fleet.split(' '));
});
afterAll(async () => {
  await client.connection.close();
  await place.dispose();
  await server.stop();
});

const run = (command: string, file: string, ...more: string[]): Promise<Ended> =>
  uplift([command, file, '--accounts', place.accounts, ...more], { TEMPORAL_ADDRESS: server.address });

function planWith(name: string, spec: Record<string, unknown>): string {
  const plan = parse(readFileSync(place.plan, 'utf8')) as { metadata: object; spec: object };
  const file = join(place.directory, `${name}.yaml`);
  writeFileSync(file, stringify({ ...plan, metadata: { ...plan.metadata, name }, spec: { ...plan.spec, ...spec } }));
  return file;
}

it('starts the others although what is in quarantine takes no upgrade, and says so', async () => {
  const file = planWith('broken', { waves: [{ name: 'all', rest: true }], quarantineAfter: 1 });
  const { stdout } = await run('plan', file, '-o', 'json');
  const { waves } = JSON.parse(stdout) as { waves: { targets: PreparedTarget[] }[] };
  const blocked = waves.flatMap(({ targets }) => targets).find(({ verdict }) => verdict === 'blocked');
  if (blocked === undefined) throw new Error('nothing is blocked');
  const { id } = blocked.resource;
  const refused = await run('apply', file);
  expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(id) as string });

  const failed = [{ workflowId: upgradeWorkflowId(blocked.resource), reason: 'no snapshot' }];
  await writeLedger(client, 'quarantine', { kind: 'ended', rollout: 'autumn-1a2b3c4d', failed, recovered: [] });
  expect((await run('plan', file)).code).toBe(2);
  const started = await run('apply', file);
  expect(started.stderr).toContain(`note: ${id} is left out: in quarantine after 1 failure in a row`);
  expect(started.code).toBe(0);
  const [rollout = ''] = linesOf(started.stdout);
  await client.workflow.getHandle(rolloutWorkflowId(rollout)).terminate();
});

it('tells how the plan ended before, and who rejected it', async () => {
  const [graphs] = (parse(readFileSync(place.plan, 'utf8')) as { spec: { targets: unknown[] } }).spec.targets;
  const approval = { approvers: ['ben', 'cem'] };
  const file = planWith('again', { targets: [graphs], waves: [{ name: 'all', rest: true }], approval });
  const first = await run('apply', file);
  expect(first.stderr).not.toContain('ran before');
  const [rollout = ''] = linesOf(first.stdout);
  const handle = () => client.workflow.getHandle(rolloutWorkflowId(rollout));
  const { runId: terminated } = await handle().describe();
  await handle().terminate();
  const ofTerminated = `uplift report ${rollout} --run ${terminated.slice(-8)}`;
  const second = await run('apply', file);
  expect(second.stderr).toMatch(/^note: this plan ran before: Terminated at \d{4}-\S+Z /m);
  expect(second.stderr).toContain(` (\`${ofTerminated}\` tells of it)`);

  const worker = await serve(['worker', '--accounts', place.accounts], /worker is ready/, {
    TEMPORAL_ADDRESS: server.address,
  });
  const env = { TEMPORAL_ADDRESS: server.address, UPLIFT_ACTOR: 'ben' };
  expect((await uplift(['reject', rollout, '--reason', 'too early'], env)).code).toBe(0);
  await handle()
    .result()
    .catch(() => null);
  await worker.stop();

  const again = await run('apply', file);
  expect(again.stderr).toMatch(/^note: this plan ran before: Rejected by ben at \d{4}-\S+Z: too early /m);
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining(rollout) as string });

  // Each of the three is told by itself.
  const words = ofTerminated.split(' ').slice(1);
  expect((await uplift(words, env)).stdout).toContain(`\`${terminated}\``);
  const told = await uplift(['status', rollout, '--run', terminated, '-o', 'json'], env);
  expect(JSON.parse(told.stdout)).toMatchObject({ rollout: { runId: terminated, state: 'Terminated' } });
  const table = await uplift(['status', rollout, '--run', terminated.slice(-8)], env);
  expect(table.stdout).toMatch(new RegExp(`^run ${terminated}, started at .* UTC by `));
  expect(table.stdout).toContain('Terminated');
  expect((await uplift(['status', rollout], env)).stdout).toContain('Running');
  const unknown = await uplift(['report', rollout, '--run', 'ffff-ffff'], env);
  expect(unknown).toMatchObject({ code: 1 });
  expect(unknown.stderr).toContain(`rollout ${rollout} has no run ffff-ffff (there are `);
  expect(unknown.stderr).toContain(`${terminated} of `);
  expect((await uplift(['report', rollout, '--run', 'latest'], env)).stderr).toContain('A run is named by its id');
  expect((await uplift(['status', '--run', terminated], env)).stderr).toContain('name the rollout');
  await handle().terminate();
});
