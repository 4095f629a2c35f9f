/** A worker close to an account, which alone holds its credentials, and one that runs everything else. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import type { Truth } from '../../simulator/truth.js';
import { duplicates } from '../../simulator/truth.js';
import { type Rehearsal, rehearsal, serve, uplift } from '../cli/cli.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';

const FLEET = '--graphs 4 --engines 2 --caches 2 --clusters 2';
const RESOURCES = 10;

type Accounts = Record<string, Record<string, unknown>>;

let env: RealEnvironment;
let fleet: Rehearsal;
/** What people plan by: it reaches all accounts. */
let everything: Accounts;
beforeAll(async () => {
  env = await realEnvironment();
  fleet = await rehearsal(...`${FLEET} --min 1s --max 2s`.split(' '));
  everything = (parse(await readFile(fleet.accounts, 'utf8')) as { accounts: Accounts }).accounts;
  Object.assign(everything['huawei-sim'] ?? {}, { queue: 'eu' });
  await write('accounts.yaml', everything);
});
afterAll(async () => {
  await fleet.dispose();
  await env.teardown();
});

async function write(name: string, accounts: Accounts): Promise<string> {
  const file = join(fleet.directory, name);
  await writeFile(file, stringify({ accounts }));
  return file;
}

async function worker(name: string, accounts: string, served: string): Promise<void> {
  const args = ['worker', '--name', name, '--accounts', accounts];
  const variables = { TEMPORAL_ADDRESS: env.server.address, UPLIFT_QUEUES: served };
  const running = await serve(args, /worker is ready/, variables);
  onTestFinished(async () => void (await running.stop()));
}

it('each does its own account, and neither needs what the other has', { timeout: 240_000 }, async () => {
  const { 'huawei-sim': huawei = {}, 'alibaba-sim': alibaba = {} } = everything;
  const near = await write('near.yaml', {
    'alibaba-sim': alibaba,
    'huawei-sim': { ...huawei, credentials: { file: 'not-here.yaml' } },
  });
  const far = await write('far.yaml', { 'huawei-sim': huawei });
  const client = { TEMPORAL_ADDRESS: env.server.address };

  const refused = await uplift(['worker', '--accounts', far], { ...client, UPLIFT_QUEUES: 'us' });
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('UPLIFT_QUEUES: no account has the queue us') as string,
  });

  await worker('near', near, 'main');
  const applied = await uplift(['apply', fleet.plan, '--accounts', fleet.accounts, '-o', 'json'], client);
  expect(applied.code, applied.stderr).toBe(0);
  const { rollout } = JSON.parse(applied.stdout) as { rollout: string };
  const explained = async () => (await uplift(['explain', rollout], client)).stdout;
  await expect.poll(explained, { timeout: 60_000 }).toContain('no worker serves uplift@eu, uplift-submit@eu');
  const { stdout: examined } = await uplift(['doctor', '--accounts', fleet.accounts], client);
  expect(examined).toContain('start one with `uplift worker` and UPLIFT_QUEUES=eu');

  await worker('far', far, 'eu');
  expect((await uplift(['watch', rollout, '--timeout', '3m'], client)).code).toBe(0);
  const served = new Map<string, Set<string>>();
  for await (const { workflowId, runId } of env.client.workflow.list({ query: 'WorkflowType = "upgrade"' })) {
    const { events } = await env.client.workflow.getHandle(workflowId, runId).fetchHistory();
    const by = (events ?? []).flatMap(({ activityTaskStartedEventAttributes: started }) => started?.identity ?? []);
    served.set(workflowId, new Set(by));
  }
  expect(served.size).toBe(RESOURCES);
  for (const [id, by] of served) expect([...by], id).toEqual([id.startsWith('upgrade/huawei/') ? 'far' : 'near']);
  const truth = (await (await fetch(`${fleet.url}/_simulator/truth`)).json()) as Truth;
  expect(truth.submits).toHaveLength(RESOURCES);
  expect([...duplicates(truth), ...truth.violations]).toEqual([]);
});
