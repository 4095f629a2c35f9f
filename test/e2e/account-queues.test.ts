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

/** By workflow id: each of its steps, and which worker did it. */
async function servers(query: string): Promise<Map<string, { readonly step: string; readonly worker: string }[]>> {
  const served = new Map<string, { readonly step: string; readonly worker: string }[]>();
  for await (const { workflowId, runId } of env.client.workflow.list({ query })) {
    const { events } = await env.client.workflow.getHandle(workflowId, runId).fetchHistory();
    const stepOf = new Map(
      (events ?? []).map(({ eventId, activityTaskScheduledEventAttributes: scheduled }) => [
        String(eventId),
        scheduled?.activityType?.name ?? '',
      ]),
    );
    const by = (events ?? []).flatMap(({ activityTaskStartedEventAttributes: started }) =>
      started == null
        ? []
        : [{ step: stepOf.get(String(started.scheduledEventId)) ?? '', worker: started.identity ?? '' }],
    );
    served.set(workflowId, by);
  }
  return served;
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
  const served = await servers('WorkflowType = "upgrade"');
  expect(served.size).toBe(RESOURCES);
  for (const [id, by] of served)
    expect(
      by.map(({ worker }) => worker),
      id,
    ).toEqual(by.map(() => (id.startsWith('upgrade/huawei/') ? 'far' : 'near')));
  const truth = (await (await fetch(`${fleet.url}/_simulator/truth`)).json()) as Truth;
  expect(truth.submits).toHaveLength(RESOURCES);
  expect([...duplicates(truth), ...truth.violations]).toEqual([]);
});

it('plans of a schedule and soaks are read there as well', { timeout: 240_000 }, async () => {
  const graphs = await rehearsal(...'--graphs 2 --engines 0 --caches 0 --clusters 0 --min 1s --max 2s'.split(' '));
  onTestFinished(() => graphs.dispose());
  const { accounts } = parse(await readFile(graphs.accounts, 'utf8')) as { accounts: Accounts };
  const { 'huawei-sim': huawei = {}, 'alibaba-sim': alibaba = {} } = accounts;
  const near = await write('near-schedule.yaml', {
    'alibaba-sim': { ...alibaba, credentials: { file: 'not-here.yaml' } },
    'huawei-sim': { ...huawei, queue: 'eu', credentials: { file: 'not-here.yaml' } },
  });
  const far = join(graphs.directory, 'far.yaml');
  await writeFile(far, stringify({ accounts: { 'huawei-sim': { ...huawei, queue: 'eu' } } }));
  const plan = join(graphs.directory, 'nightly.yaml');
  const account = 'huawei-sim';
  // Open since an hour ago.
  const start = new Date(Date.now() - 3_600_000).toISOString().slice(11, 19);
  await writeFile(
    plan,
    stringify({
      apiVersion: 'uplift/v1',
      kind: 'Rollout',
      metadata: { name: 'nightly' },
      spec: {
        targets: [{ service: 'ges-v2', account, select: { currentVersion: '<2.4.4' }, version: '2.4.4' }],
        waves: [{ name: 'all', rest: true, soak: { for: '60s', probe: { health: true, every: '20s' } } }],
        windows: [{ name: 'any', rrule: 'FREQ=DAILY', start, duration: '20h', timezone: 'UTC' }],
        startOnlyIfFits: false,
        timeScale: 0.05,
      },
    }),
  );
  const client = { TEMPORAL_ADDRESS: env.server.address };
  await worker('near', near, 'main');
  await worker('far', far, 'eu');

  const created = await uplift(['schedule', 'create', 'nightly', plan, '--accounts', far], client);
  expect(created.code, created.stderr).toBe(0);
  expect((await uplift(['schedule', 'trigger', 'nightly'], client)).code).toBe(0);
  const described = async () => {
    const { stdout } = await uplift(['schedule', 'describe', 'nightly', '-o', 'json'], client);
    return (JSON.parse(stdout) as { schedule: { runs: { state: string; reason: string }[] } }).schedule.runs[0];
  };
  await expect.poll(described, { timeout: 180_000, interval: 2_000 }).toMatchObject({ state: 'Succeeded' });
  const did = async (type: string, step: string) =>
    [...(await servers(`WorkflowType = "${type}"`)).values()].flat().filter((one) => one.step === step);
  expect(await did('occurrence', 'planOccurrence')).toEqual([{ step: 'planOccurrence', worker: 'far' }]);
  expect(await did('occurrence', 'beginOccurrence')).toEqual([{ step: 'beginOccurrence', worker: 'near' }]);
  const soaks = await did('rollout', 'soak');
  expect(soaks.length).toBeGreaterThan(0);
  expect(new Set(soaks.map(({ worker: by }) => by))).toEqual(new Set(['far']));
});
