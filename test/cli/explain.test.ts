/** `uplift explain` as a process: without a worker, with another rollout's lease, with a busy resource, and with one whose truth cannot be read. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Cause } from '../../client/explain.js';
import type { ResourceRow } from '../../client/views.js';
import { createFreeze } from '../../client/freezes.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, scriptedSteps, spec } from '../workflows/scripted-steps.js';
import { withScriptedWorkers } from '../workflows/scripted-workers.js';
import { uplift } from './cli.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const explained = (...args: string[]) => explainedOf('r', ...args);

async function explainedOf(...args: string[]): Promise<readonly Cause[]> {
  const { code, stdout, stderr } = await uplift(['explain', ...args, '-o', 'json'], {
    TEMPORAL_ADDRESS: env.server.address,
  });
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return (JSON.parse(stdout) as { causes: Cause[] }).causes;
}

/** Asks again until a cause of `who` matches. */
async function causeOf(who: string, what: RegExp): Promise<Cause> {
  for (;;) {
    const found = (await explained()).find((cause) => cause.who === who && what.test(cause.what));
    if (found !== undefined) return found;
    await new Promise((wake) => setTimeout(wake, 250));
  }
}

it('says for the rollout and for each upgrade what holds it and when that can change', async () => {
  const handle = await env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId('r'),
    taskQueue: QUEUES.main,
    args: [rolloutInput('r', { ids: ['busy', 'held', 'last'], concurrency: 5 }, { max: 1, mode: 'strict' })],
  });
  expect((await explained())[0]).toMatchObject({
    who: 'worker',
    what: 'no worker is there',
    changes: 'start one: uplift worker',
  });

  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) =>
      resource.id === 'busy' ? { verdict: 'busy', reason: 'busy: exporting' } : {},
    submit: () => ({
      verdict: 'unknown',
      operation: null,
      reason: 'HTTP 503',
      unresolvedSince: new Date().toISOString(),
    }),
  });
  await withScriptedWorkers(env, steps, async () => {
    const busy = await causeOf('busy', /^Waiting: busy: exporting/);
    // A minute after its first look.
    expect(Date.parse(busy.nextAt ?? '')).toBeGreaterThan(Date.now());
    expect(busy.changes).toBe('then it looks again');
    const held = await causeOf('held', /^Held: HTTP 503/);
    expect(Date.parse(held.nextAt ?? '')).toBeGreaterThan(Date.parse(busy.nextAt ?? ''));
    expect(await causeOf('wave one', /not started/)).toMatchObject({
      what: '1 not started, 2 in flight: the strict failure budget (0 of 1 used) leaves room for 2 at a time',
    });
    expect((await explained('last')).at(-1)).toMatchObject({ who: 'last', what: 'its turn in its wave has not come' });
    expect((await uplift(['explain', 'r', 'nobody'], { TEMPORAL_ADDRESS: env.server.address })).stderr).toBe(
      'uplift: rollout r has no resource nobody (check the id: uplift status r --all)\n',
    );

    const printed = await uplift(['explain', 'r'], { TEMPORAL_ADDRESS: env.server.address });
    expect(printed.stdout).toMatch(/busy +Waiting: busy: exporting +then it looks again +\d{4}-\d\d-\d\d .* \(in \d+/);
  });
  await handle.terminate();
});

it("names the owner of a resource's lease without a worker, beside a freeze too", async () => {
  const lock = (id: string, by: string) =>
    env.client.workflow.start('upgrade', {
      workflowId: upgradeWorkflowId(spec(id).resource),
      taskQueue: 'nobody',
      args: [],
      typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: by }],
    });
  const start = () =>
    env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('autumn'),
      taskQueue: 'nobody',
      args: [rolloutInput('autumn', { ids: ['leased', 'own'], concurrency: 2 }, { max: 0, mode: 'strict' })],
    });
  const lease = await lock('leased', 'spring');
  const handle = await start();
  const own = await lock('own', 'autumn');
  const ofLeased = async () => (await explainedOf('autumn', 'leased')).filter(({ who }) => who === 'leased');
  const told = {
    who: 'leased',
    what: expect.stringMatching(
      /^another upgrade of this resource is running: upgrade\/\S+ of rollout spring since/,
    ) as string,
    nextAt: null,
    changes: 'the end of that one; if its turn comes before, it is skipped',
  };

  expect(await ofLeased()).toContainEqual(told);
  expect((await explainedOf('autumn', 'own')).map(({ what }) => what).join()).not.toContain('another upgrade');

  const until = new Date(Date.now() + 3_600_000).toISOString();
  const scope = [{ resource: ['leased'] }];
  const { id } = await createFreeze(env.client, { scope, except: [], until }, { actor: 'ana', reason: 'a test' });
  const causes = await explainedOf('autumn', 'leased');
  expect(causes).toContainEqual(told);
  expect(causes.map(({ who }) => who)).toContain(id);

  await Promise.all([lease.terminate(), own.terminate()]);
  expect(await ofLeased()).not.toContainEqual(told);
  await handle.terminate();
});

it('tells the whole reason of a wait, which a summary in the UI has no room for', async () => {
  const differences = [
    'size 2C8G then, 4C16G now',
    ...['env', 'team', 'tier'].map((key) => `tag ${key} ${'x'.repeat(40)} then, none now`),
  ];
  const reason = `is no longer what was planned: ${differences.join('; ')}`;
  const drifted = scriptedSteps({ precheck: () => ({ verdict: 'busy', reason }) });
  await withScriptedWorkers(env, drifted, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId('winter'),
      taskQueue: QUEUES.main,
      args: [rolloutInput('winter', { ids: ['drifted'], concurrency: 1 }, { max: 0, mode: 'strict' })],
    });
    const told = async () => (await explainedOf('winter', 'drifted')).map(({ what }) => what);
    await expect.poll(told, { timeout: 60_000 }).toContain(`Waiting: ${reason}`);
    const status = await uplift(['status', 'winter', '-o', 'json'], { TEMPORAL_ADDRESS: env.server.address });
    expect((JSON.parse(status.stdout) as { resources: ResourceRow[] }).resources).toMatchObject([
      { phase: 'Waiting', reason },
    ]);
    await handle.terminate();
  });
});
