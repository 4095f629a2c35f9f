/** What people do to a running upgrade in Temporal's UI: reset and terminate. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { Hold } from '../support/calls.js';
import { reset } from '../support/reset.js';
import { type Installation, install, pendingSteps, type UpgradeHandle } from './installation.js';

let life: Installation;

beforeAll(async () => {
  const durationMs = { min: 10_000, max: 10_000 };
  life = await install({ seed: 'hands', graphs: 2, engines: 2, caches: 2, clusters: 2, durationMs });
  await life.worker();
});
afterAll(async () => {
  await life.close();
});

async function isAt(handle: UpgradeHandle, step: string): Promise<void> {
  while (!(await pendingSteps(handle)).some((pending) => pending.startsWith(step))) await systemClock.sleep(50);
}

/** Whatever run it is by now. */
async function endOf({ resource }: UpgradeSpec, handle: UpgradeHandle) {
  const latest: UpgradeHandle = life.env.client.workflow.getHandle(handle.workflowId);
  const { outcome } = await latest.result();
  const truth = life.clouds.simulator.truth();
  return {
    outcome,
    accepted: truth.submits.filter((one) => one.resource === resource.id).length,
    refused: truth.refused.filter((one) => one.resource === resource.id).length,
  };
}

function holdSubmit({ resource }: UpgradeSpec, at: 'arrived' | 'processed'): Hold {
  return life.calls.hold(({ call, point, resource: id }) => call === 'submit' && point === at && id === resource.id);
}

it.concurrent('a reset to before the submit, while the operation runs, follows it', async () => {
  const spec = life.take('ges-v1');
  const handle = await life.begin(spec);
  await isAt(handle, 'awaitOperation');
  await reset(life.env.client, { workflowId: handle.workflowId }, 1);
  expect(await endOf(spec, handle)).toEqual({ outcome: 'Succeeded', accepted: 1, refused: 0 });
});

it.concurrent('a reset to before the submit, while one is on its way, waits for what comes of it', async () => {
  const spec = life.take('cse');
  const held = holdSubmit(spec, 'arrived');
  const handle = await life.begin(spec);
  await held.reached;
  await reset(life.env.client, { workflowId: handle.workflowId }, 2);
  held.release();
  expect(await endOf(spec, handle)).toEqual({ outcome: 'Succeeded', accepted: 1, refused: 0 });
});

it.concurrent('a reset to after the submit goes on waiting', async () => {
  const spec = life.take('elasticsearch');
  const handle = await life.begin(spec);
  await isAt(handle, 'awaitOperation');
  await reset(life.env.client, { workflowId: handle.workflowId }, 3);
  expect(await endOf(spec, handle)).toEqual({ outcome: 'Succeeded', accepted: 1, refused: 0 });
});

it.concurrent('a reset after the end finds the resource at its target', async () => {
  const spec = life.take('dcs');
  const handle = await life.begin(spec);
  expect(await endOf(spec, handle)).toEqual({ outcome: 'Succeeded', accepted: 1, refused: 0 });
  await reset(life.env.client, { workflowId: handle.workflowId }, 1);
  expect(await endOf(spec, handle)).toEqual({ outcome: 'AlreadyAtTarget', accepted: 1, refused: 0 });
});

it.concurrent('a terminated upgrade is adopted by the next', async () => {
  const spec = life.take('dcs');
  const handle = await life.begin(spec);
  await isAt(handle, 'awaitOperation');
  await handle.terminate('by hand');
  const next = await life.begin(spec, 'next');
  expect(await endOf(spec, next)).toEqual({ outcome: 'Adopted', accepted: 1, refused: 0 });
});

it.concurrent('one that is terminated while its operation is still invisible is adopted as well', async () => {
  const spec = life.take('cse');
  const lagMs = 2_900;
  life.clouds.simulator.faults.add({
    fault: { kind: 'visibility-lag', lagMs },
    calls: ['submit'],
    resource: spec.resource.id,
  });
  const handle = await life.begin(spec);
  await isAt(handle, 'awaitOperation');
  await handle.terminate('by hand');
  const next = await life.begin(spec, 'next');
  expect(await endOf(spec, next)).toEqual({ outcome: 'Adopted', accepted: 1, refused: 0 });
});

it.concurrent('one that is terminated while its submit is on its way is adopted as well', async () => {
  const spec = life.take('elasticsearch');
  const held = holdSubmit(spec, 'processed');
  const handle = await life.begin(spec);
  await held.reached;
  await handle.terminate('by hand');
  const next = await life.begin(spec, 'next');
  held.release();
  expect(await endOf(spec, next)).toEqual({ outcome: 'Adopted', accepted: 1, refused: 0 });
});
