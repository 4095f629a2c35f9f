/** Hours of an operation in a second: activities and simulator on one virtual clock, on the time-skipping server. */
import { randomUUID } from 'node:crypto';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createWorkers } from '../../worker/workers.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { upgrade } from '../../workflows/upgrade.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { timeSkippingEnvironment, workflowBundle } from '../support/environment.js';
import { VirtualClock } from '../support/virtual-clock.js';

const HOUR = 3_600_000;

let env: TestWorkflowEnvironment;
let clouds: Clouds;

beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});
afterEach(async () => {
  await clouds.close();
});

it.each([
  // Past the service's deadline: handed back as overdue, and followed on.
  ['ges', 3 * HOUR],
  ['elasticsearch', 2 * HOUR],
] as const)('follows an upgrade of %s that takes %d ms to its end', async (family, durationMs) => {
  const clock = new VirtualClock();
  clouds = await simulatedClouds({
    clock,
    graphs: 1,
    clusters: 1,
    durationMs: { min: durationMs, max: durationMs },
  });
  const [spec] = clouds.specs(family);
  if (spec === undefined) throw new Error(`no resource of ${family}`);
  const workers = await createWorkers({
    connection: env.nativeConnection,
    namespace: env.namespace ?? 'default',
    deps: clouds.deps,
    workflowBundle: await workflowBundle(),
  });
  const running = workers.run();
  try {
    const handle = await env.client.workflow.start<typeof upgrade>('upgrade', {
      workflowId: upgradeWorkflowId(spec.resource),
      taskQueue: QUEUES.main,
      args: [{ rollout: 'r', rolloutRun: randomUUID(), wave: 'one', spec, timing: { scale: 1 } }],
    });
    const before = clock.now();
    const result = await handle.result();
    expect(result).toMatchObject({ outcome: 'Succeeded' });
    expect(clock.now() - before).toBeGreaterThanOrEqual(durationMs);
    expect(clouds.simulator.truth().submits).toHaveLength(1);

    const { events } = await handle.fetchHistory();
    const deadline = clouds.deps.apis.find(({ service }) => service === spec.resource.service)?.pace.deadlineMs ?? 0;
    console.log(`${family}: ${durationMs / HOUR} h, ${result.polls} polls, ${events?.length} history events`);
    // Two more rounds of await for an operation past its deadline, as it is stuck before, each with its change of phase.
    expect(events?.length).toBeLessThanOrEqual(durationMs > deadline ? 32 + 2 * 7 : 32);
  } finally {
    workers.shutdown();
    await running;
  }
});
