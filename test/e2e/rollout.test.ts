/** A whole rollout over HTTP against the simulated clouds, on a real Temporal server, with faults. */
import { Worker } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { createWorkers } from '../../worker/workers.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutResult } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { type Clouds, SECRETS, simulatedClouds } from '../support/clouds.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';
import { historyText } from '../support/history-text.js';

/** Operations take seconds here, where production takes minutes: every bound shrinks alike. */
const SCALE = 0.05;

let env: RealEnvironment;
let clouds: Clouds;
let number = 0;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});
beforeEach(async () => {
  number += 1;
  clouds = await simulatedClouds({
    clock: systemClock,
    scale: SCALE,
    seed: `rollout-${number}`,
    graphs: 12,
    clusters: 8,
    durationMs: { min: 1_000, max: 4_000 },
    graphFates: { 'rolls-back': 1, 'job-says-success-but-old-version': 1 },
    clusterFates: { 'precheck-fails': 1 },
  });
});
afterEach(async () => {
  await clouds.close();
});

async function run(waves: readonly UpgradeSpec[][], budget: RolloutInput['budget']): Promise<RolloutResult> {
  const workers = await createWorkers({
    connection: env.nativeConnection,
    namespace: env.namespace,
    deps: clouds.deps,
    workflowBundle: await workflowBundle(),
  });
  const running = workers.run();
  try {
    const id = `e2e-${number}`;
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [
        {
          rollout: id,
          planDigest: 'digest',
          startedBy: 'test',
          waves: waves.map((upgrades, index) => ({ name: `wave ${index + 1}`, concurrency: 10, upgrades })),
          budget,
          accountLimits: {},
          timing: { scale: SCALE },
        },
      ],
    });
    return await endedRollout(handle);
  } finally {
    workers.shutdown();
    await running;
  }
}

function acceptedPerResource(): Map<string, number> {
  const accepted = new Map<string, number>();
  for (const { resource } of clouds.simulator.truth().submits)
    accepted.set(resource, (accepted.get(resource) ?? 0) + 1);
  return accepted;
}

describe('rollout over HTTP', () => {
  it('ends as the clouds ended: outcome by outcome, with one accepted submit each', async () => {
    const [graphs, clusters] = [clouds.specs('ges'), clouds.specs('elasticsearch')];
    const result = await run([graphs, clusters], { max: 5, mode: 'loose' });

    const accepted = acceptedPerResource();
    const byFate = (fate: string) => clouds.simulator.inventory.now().filter((resource) => resource.fate === fate);
    expect(byFate('rolls-back')).toHaveLength(1);
    expect(byFate('job-says-success-but-old-version')).toHaveLength(1);
    expect(byFate('precheck-fails')).toHaveLength(1);
    expect(result).toMatchObject({ outcome: 'SucceededWithFailures', failures: 3 });
    expect(result.counts).toEqual({ Succeeded: 17, RolledBack: 2, Refused: 1 });
    expect([...accepted.values()]).toEqual(Array(19).fill(1));
    expect(accepted.has(byFate('precheck-fails')[0]?.id ?? '')).toBe(false);
    expect(clouds.simulator.truth().violations).toEqual([]);
  });

  it('upgrades each resource once while answers get lost, and every history replays', async () => {
    clouds.simulator.faults.add(
      { fault: { kind: 'reset', processed: true }, calls: ['submit'], probability: 0.15 },
      { fault: { kind: 'reset', processed: false }, calls: ['submit'], probability: 0.1 },
      { fault: { kind: 'status', status: 502, processed: true }, calls: ['submit'], probability: 0.1 },
      { fault: { kind: 'truncated' }, calls: ['submit'], probability: 0.05 },
      { fault: { kind: 'status', status: 503 }, calls: ['read', 'job', 'jobs', 'records', 'health'], probability: 0.1 },
      { fault: { kind: 'html', status: 200 }, calls: ['read', 'job', 'jobs'], probability: 0.05 },
      { fault: { kind: 'extra-field' }, probability: 0.2 },
    );
    const specs = [...clouds.specs('ges'), ...clouds.specs('elasticsearch')];
    const result = await run([specs], { max: 5, mode: 'loose' });

    const fired = clouds.simulator.faults.fired();
    console.log('faults that fired:', JSON.stringify(fired), 'outcomes:', JSON.stringify(result.counts));
    const accepted = acceptedPerResource();
    for (const [resource, times] of accepted) expect([resource, times]).toEqual([resource, 1]);
    expect(result.counts).toEqual({ Succeeded: 17, RolledBack: 2, Refused: 1 });
    expect(accepted.size).toBe(19);

    const bundle = await workflowBundle();
    const secrets = new RegExp(Object.values(SECRETS).join('|'));
    let replayed = 0;
    for await (const { workflowId, runId } of env.client.workflow.list()) {
      const history = await env.client.workflow.getHandle(workflowId, runId).fetchHistory();
      await Worker.runReplayHistory({ workflowBundle: bundle }, history, workflowId);
      const text = historyText(history);
      if (workflowId.startsWith('upgrade/')) expect(text).toContain('targetLabel');
      expect(text, workflowId).not.toMatch(secrets);
      replayed += 1;
    }
    expect(replayed).toBeGreaterThanOrEqual(specs.length);
  });

  it('has at most 31 events per undisturbed upgrade, however often it was polled', async () => {
    const specs = clouds.specs('ges').filter(({ resource }) => {
      return clouds.simulator.inventory.get(resource.id).fate === 'succeeds';
    });
    const [first, second] = specs;
    if (first === undefined || second === undefined) throw new Error('no graph that succeeds');
    clouds.simulator.inventory.change(first.resource.id, { durationMs: 500 });
    clouds.simulator.inventory.change(second.resource.id, { durationMs: 20_000 });
    const result = await run([[first, second]], { max: 5, mode: 'loose' });
    expect(result.outcome).toBe('Succeeded');

    const { perResource } = clouds.simulator.truth();
    for (const { resource } of [first, second]) {
      const { events } = await env.client.workflow.getHandle(upgradeWorkflowId(resource)).fetchHistory();
      console.log(`history events: ${events?.length}, polls: ${perResource[resource.id]?.polls}`);
      expect(events?.length).toBeLessThanOrEqual(31);
    }
  });

  it('has as few events when the account lets only one submit through every two seconds', async () => {
    const slow = await simulatedClouds({
      clock: systemClock,
      scale: SCALE,
      seed: 'slow',
      graphs: 5,
      durationMs: { min: 500, max: 1_000 },
      rates: { reads: 200, writes: 0.5 },
    });
    await clouds.close();
    clouds = slow;
    const specs = clouds.specs('ges');
    const result = await run([specs], { max: 5, mode: 'loose' });
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 5 } });
    for (const { resource } of specs) {
      const { events } = await env.client.workflow.getHandle(upgradeWorkflowId(resource)).fetchHistory();
      expect(events?.length).toBeLessThanOrEqual(31);
    }
  });
});
