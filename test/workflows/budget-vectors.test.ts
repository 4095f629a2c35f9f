/** Walks test/vectors/budget.yaml: through the plan for what it is resolved to, and through real workflows for the rest. */
import { readFileSync } from 'node:fs';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { planOf } from '../../plan/plan.js';
import { parseSource } from '../../plan/source.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutResult } from '../../workflows/contracts/rollout.js';
import type { FailureClass } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { ACCOUNTS, FAKE_APIS } from '../plan/fake-api.js';
import { endedRollout } from '../support/ended.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

type End = 'ok' | FailureClass;

interface Vector {
  readonly name: string;
  readonly given: {
    readonly total: number;
    readonly max: number | string;
    readonly mode: 'strict' | 'loose';
    readonly concurrency: number;
    readonly counts?: readonly FailureClass[];
    readonly minSuccess?: number | string;
  };
  readonly ends: readonly End[] | { readonly first: readonly End[]; readonly then: End };
  readonly expect: {
    readonly resolved: number;
    readonly least?: number;
    readonly atOnce: number;
    readonly failed: number;
    readonly started: number;
    readonly outcome: RolloutResult['outcome'];
  };
}

const { vectors } = parse(readFileSync(new URL('../vectors/budget.yaml', import.meta.url), 'utf8')) as {
  vectors: readonly Vector[];
};

let env: TestWorkflowEnvironment;

beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

function planned({ given: { total, max, mode, concurrency, counts, minSuccess } }: Vector) {
  const ids = Array.from({ length: total }, (_, at) => `kite-${at + 1}`);
  const document = {
    apiVersion: 'uplift/v1',
    kind: 'Rollout',
    metadata: { name: 'vector' },
    spec: {
      targets: [{ service: 'kite-v1', account: 'north', ids, version: '2.0' }],
      waves: [{ name: 'all', rest: true, concurrency }],
      failureBudget: { max, mode, ...(counts === undefined ? {} : { counts }) },
      ...(minSuccess === undefined ? {} : { minSuccess }),
    },
  };
  return planOf(parseSource(stringify(document), 'plan.yaml'), { apis: FAKE_APIS, accounts: ACCOUNTS });
}

/** Steps that end as a vector says: by the place of a resource in its wave. */
function script(vector: Vector): Script {
  const at = (id: string): End => {
    const place = Number(id.split('-').at(-1));
    return 'first' in vector.ends ? (vector.ends.first[place] ?? vector.ends.then) : (vector.ends[place] ?? 'ok');
  };
  return {
    precheck: ({ spec: { resource } }) =>
      at(resource.id) === 'precheck' ? { verdict: 'refused', reason: 'not ready' } : {},
    submit: ({ spec: { resource } }) => {
      const call = {
        at: '2026-11-21T10:00:00Z',
        method: 'POST',
        path: '/',
        answer: 'refused',
        status: 400,
        requestId: 'r',
      };
      return at(resource.id) === 'submit' ? { verdict: 'refused', reason: 'no', operation: null, calls: [call] } : {};
    },
    awaitOperation: ({ spec: { resource } }, call) =>
      at(resource.id) === 'timeout' && call === 1 ? { ended: false, reason: 'job running' } : {},
    verify: ({ spec: { resource } }) => {
      const end = at(resource.id);
      if (end === 'verify') return { verdict: 'unhealthy', reason: 'red' };
      return end === 'upgrade' || end === 'timeout'
        ? { verdict: 'not-at-target', version: '1', reason: 'version 1' }
        : {};
    },
  };
}

describe.each(vectors)('$name', (vector) => {
  const { expect: wanted } = vector;

  it('is resolved in the plan', () => {
    const plan = planned(vector);
    expect(plan.budget.max).toBe(wanted.resolved);
    expect(plan.minSuccess?.count).toBe(wanted.least);
    expect(plan.waves[0]?.effective.concurrency).toBe(wanted.atOnce);
  });

  it('ends as it says', async () => {
    const plan = planned(vector);
    const id = `v-${vectors.indexOf(vector)}`;
    const started = new Set<string>();
    const own = script(vector);
    let [arrived, release] = [0, () => {}];
    // The first ones wait for each other, so that as many are in flight as may be.
    const allThere = new Promise<void>((resolve) => (release = resolve));
    const steps = scriptedSteps({
      ...own,
      precheck: async (input, call) => {
        started.add(input.spec.resource.id);
        arrived += 1;
        if (arrived >= wanted.atOnce) release();
        await allThere;
        return (await own.precheck?.(input, call)) ?? {};
      },
    });
    const body = async (): Promise<RolloutResult> => {
      const handle = await env.client.workflow.start<typeof rollout>('rollout', {
        workflowId: rolloutWorkflowId(id),
        taskQueue: QUEUES.main,
        args: [
          {
            rollout: id,
            planDigest: plan.digest,
            startedBy: 'test',
            waves: plan.waves.map(({ name, concurrency, targets }) => ({
              name,
              concurrency,
              upgrades: targets.map((_target, at) => spec(`${id}-${at}`)),
            })),
            budget: plan.budget,
            ...(plan.minSuccess && { minSuccess: plan.minSuccess.count }),
            accountLimits: plan.accountLimits,
            timing: { scale: 1 },
          },
        ],
      });
      return endedRollout(handle);
    };
    // What is asked here is who starts; that workflows replay alike is asked by the others.
    const result = await withScriptedWorkers(env, steps, body, false);
    const failed = Object.values(result.byClass ?? {}).reduce((sum, count) => sum + count, 0);
    expect({ failed, started: started.size, outcome: result.outcome }).toEqual({
      failed: wanted.failed,
      started: wanted.started,
      outcome: wanted.outcome,
    });
  });
});
