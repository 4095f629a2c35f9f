/** A member of a group that serves nobody keeps its place in a retry until it is well, on a real server. */
import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keepInventory } from '../../activities/inventory.js';
import { skip } from '../../client/control.js';
import { explain } from '../../client/explain.js';
import { upgradesOf } from '../../client/inventory.js';
import { retry } from '../../client/retry.js';
import { rolloutRows } from '../../client/rows.js';
import { inputOf } from '../../temporal/reads.js';
import type { Freeze } from '../../workflows/contracts/freezes.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Quarantine } from '../../workflows/contracts/quarantine.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { type RolloutInput, SHARD_SIZE, type WavePlan } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';
import { rolloutInput, type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: RealEnvironment;

beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const ana = { actor: 'ana', reason: 'a test' };

async function begin(id: string, waves: readonly WavePlan[], shardSize = SHARD_SIZE) {
  const input: RolloutInput = {
    ...rolloutInput(id, { ids: [], concurrency: 1 }, { max: 9, mode: 'loose' }),
    waves,
    quarantineAfter: 1,
  };
  return env.client.workflow.start<typeof rollout>('rollout', {
    workflowId: rolloutWorkflowId(id),
    taskQueue: QUEUES.main,
    args: [await keepInventory(env.client, input, shardSize)],
  });
}

/** Also of one that failed. */
async function ended(handle: { result(): Promise<unknown> }): Promise<void> {
  await handle.result().catch((error: unknown) => {
    if (!(error instanceof WorkflowFailedError)) throw error;
  });
}

const wave = (name: string, ...upgrades: UpgradeSpec[]): WavePlan => ({ name, concurrency: 2, upgrades });

/** Of two, of which one may be unavailable. */
function pairOf(id: string): readonly [UpgradeSpec, UpgradeSpec] {
  const member = (name: string) => ({ ...spec(`${id}-${name}`), groups: { [id]: 1 } });
  return [member('a'), member('b')];
}

const [BEFORE, LATER] = ['2026-01-01T00:00:00.000Z', '2100-01-01T00:00:00.000Z'];

function freezeOf({ resource: { id } }: UpgradeSpec): Freeze {
  const times = { since: BEFORE, until: LATER };
  return { id: 'freeze-00000001', scope: [{ resource: [id] }], except: [], reason: 'audit', owner: 'ana', ...times };
}

function failing({ resource }: UpgradeSpec): Quarantine {
  const last = { rollout: 'earlier', reason: 'down', at: BEFORE };
  return { [upgradeWorkflowId(resource)]: { failures: 1, since: BEFORE, last } };
}

function latch() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

const submitsIn = (called: readonly string[]) => called.filter((call) => call.startsWith('submit'));

/** What is scripted of a retry. */
type Now = (a: UpgradeSpec, over: Promise<unknown>) => Script;

/** A pair of which `a` is unhealthy after its upgrade, so that `b` is skipped; then both are tried again. */
async function triedAgain(
  id: string,
  script: Now,
  during: (rollout: string, a: UpgradeSpec) => Promise<unknown> = async () => undefined,
  ...others: UpgradeSpec[]
) {
  const [a, b] = pairOf(id);
  const over = latch();
  let now: Script = {
    verify: ({ spec: { resource } }) => (resource.id === a.resource.id ? { verdict: 'unhealthy', reason: 'down' } : {}),
    precheck: ({ spec: { resource } }) =>
      others.some((other) => other.resource.id === resource.id) ? { verdict: 'refused', reason: 'no space' } : {},
  };
  const steps = scriptedSteps({
    precheck: async (...asked) => (await now.precheck?.(...asked)) ?? {},
    verify: async (...asked) => (await now.verify?.(...asked)) ?? {},
    readFreezes: async () => (await now.readFreezes?.()) ?? [],
    freezesEnded: async (ids) => (await now.freezesEnded?.(ids)) ?? [],
    readQuarantine: async () => (await now.readQuarantine?.()) ?? {},
  });
  return withScriptedWorkers(env, steps, async () => {
    await ended(await begin(id, [{ ...wave('one', a, b, ...others), concurrency: 1 }]));
    expect(submitsIn(steps.called)).toEqual([`submit ${a.resource.id}`]);

    now = script(a, over.opened);
    steps.called.splice(0);
    const again = await retry(env.client, id, ['failed', 'skipped'], ana);
    await during(again.rollout, a);
    await ended(env.client.workflow.getHandle(again.workflowId));
    over.open();
    const rows = await rolloutRows(env.client, again.rollout);
    const ofB = rows.find(({ resourceId }) => resourceId === b.resource.id);
    return { again, submits: submitsIn(steps.called), ofB };
  });
}

const onlyFor =
  <T>({ resource }: UpgradeSpec, answer: T) =>
  ({ spec }: { readonly spec: UpgradeSpec }) =>
    spec.resource.id === resource.id ? answer : {};

it.each<[what: string, id: string, script: Now, during?: Parameters<typeof triedAgain>[2]]>([
  ['is in quarantine by then', 'quarantined', (a) => ({ readQuarantine: async () => failing(a) })],
  [
    'is left out by hand',
    'left-out',
    (a, over) => ({ readFreezes: async () => [freezeOf(a)], freezesEnded: () => over.then(() => []) }),
    async (of, { resource }) => {
      const kept =
        'no more than 1 of group left-out may be unavailable, and left-out-a ended failed, held or unhealthy';
      const what = `${kept} before; left-out-a keeps its place: its turn has not come`;
      const causes = async () => explain(env.client, of, 'left-out-b');
      while (!(await causes()).some((one) => one.who === 'left-out-b' && one.what === what)) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await skip(env.client, of, { resource: resource.id }, ana);
    },
  ],
  [
    'is refused by its precheck',
    'refused',
    (a) => ({ precheck: onlyFor(a, { verdict: 'refused', reason: 'no space' } as const) }),
  ],
])('nothing is sent to the other one of a pair whose unhealthy one %s', async (_what, id, script, during) => {
  const { again, submits, ofB } = await triedAgain(id, script, during);
  expect(submits).toEqual([]);
  const why = `no more than 1 of group ${id} may be unavailable, and ${id}-a ended failed, held or unhealthy`;
  expect(ofB).toMatchObject({ outcome: 'Skipped', reason: why });

  // The retry's own retry knows it too, whatever became of it there.
  const { waves } = await inputOf<RolloutInput>(env.client, again.workflowId, again.runId);
  const specs = await Promise.all(waves.map((one) => upgradesOf(env.client, one)));
  expect(specs.flat(2).map(({ unwellBefore = false }) => unwellBefore)).toEqual([true, false]);
});

it('nothing is sent to the other one of a pair whose unhealthy one was not tried in between', async () => {
  const [a, b] = pairOf('untried');
  let isFirst = true;
  let isQuarantined = false;
  const steps = scriptedSteps({
    verify: () => ({ verdict: 'unhealthy', reason: 'down' }),
    // As the real one: it reads the health of what has failed before.
    precheck: ({ spec: { failedBefore } }) => {
      if (isFirst) return {};
      const failed = { verdict: 'refused', reason: 'down', unwell: true } as const;
      return failedBefore === true ? failed : { verdict: 'already-at-target', version: '2' };
    },
    readQuarantine: async () => (isQuarantined ? failing(a) : {}),
  });
  await withScriptedWorkers(env, steps, async () => {
    await ended(await begin('untried', [{ ...wave('one', a, b), concurrency: 1 }]));
    isFirst = false;
    isQuarantined = true;
    const again = await retry(env.client, 'untried', ['failed', 'skipped'], ana);
    await ended(env.client.workflow.getHandle(again.workflowId));
    isQuarantined = false;
    const third = await retry(env.client, again.rollout, ['skipped'], ana);
    await ended(env.client.workflow.getHandle(third.workflowId));
    const rows = await rolloutRows(env.client, third.rollout);
    expect(rows.map(({ resourceId, outcome }) => [resourceId, outcome])).toEqual([
      ['untried-a', 'Refused'],
      ['untried-b', 'Skipped'],
    ]);
    expect(submitsIn(steps.called)).toEqual(['submit untried-a']);
  });
});

it.each(['one', 'two'])('a member that was mended since keeps no place, in wave %s', async (waveOfA) => {
  const id = `mended-${waveOfA}`;
  const [a, b] = pairOf(id);
  let atTarget = false;
  const steps = scriptedSteps({
    verify: ({ spec: { resource } }) => (resource.id === a.resource.id ? { verdict: 'unhealthy', reason: 'down' } : {}),
    precheck: () => (atTarget ? { verdict: 'already-at-target', version: '2' } : {}),
    readQuarantine: async () => (atTarget ? {} : failing(b)),
  });
  const refusal = `${id}-b is in group ${id}, of which no more than 1 may be unavailable, and ${id}-a ended Failed: retry that first`;
  await withScriptedWorkers(env, steps, async () => {
    const first = await begin(id, waveOfA === 'one' ? [wave('one', a, b)] : [wave('one', b), wave('two', a)]);
    await ended(first);
    await expect(retry(env.client, id, ['skipped'], ana)).rejects.toThrow(refusal);

    // Who finds it at its target, and does not know that it was down, has not looked at its health.
    atTarget = true;
    await ended(await begin(`${id}-anew`, [wave('one', a)]));
    await expect(retry(env.client, id, ['skipped'], ana)).rejects.toThrow(refusal);

    const mended = await retry(env.client, id, ['failed'], ana);
    await ended(env.client.workflow.getHandle(mended.workflowId));
    const again = await retry(env.client, id, ['skipped'], ana);
    await ended(env.client.workflow.getHandle(again.workflowId));
    const rows = await rolloutRows(env.client, again.rollout);
    expect(rows.map(({ resourceId, outcome }) => [resourceId, outcome])).toEqual([[`${id}-b`, 'AlreadyAtTarget']]);
  });
});

it('a freeze of the unhealthy one of a pair holds the other one up too, and both go on after it', async () => {
  const free = spec('frozen-free');
  const went = latch();
  const { submits } = await triedAgain(
    'frozen',
    (a) => ({
      readFreezes: async () => [freezeOf(a)],
      freezesEnded: () => went.opened.then(() => []),
      verify: ({ spec: { resource } }) => {
        if (resource.id === free.resource.id) went.open();
        return {};
      },
    }),
    undefined,
    free,
  );
  expect(submits).toEqual(['submit frozen-free', 'submit frozen-a', 'submit frozen-b']);
});

it('what a wave that is left out holds of a group is taken in later ones too', async () => {
  const [a, b] = pairOf('unwaved');
  const left = latch();
  const steps = scriptedSteps({
    precheck: ({ spec: { resource } }) => (resource.id === 'unwaved-0' ? left.opened.then(() => ({})) : {}),
  });
  await withScriptedWorkers(env, steps, async () => {
    const waves = [wave('zero', spec('unwaved-0')), wave('one', { ...a, unwellBefore: true }), wave('two', b)];
    const handle = await begin('unwaved', waves);
    await skip(env.client, 'unwaved', { wave: 'one' }, ana);
    left.open();
    await ended(handle);
    expect(submitsIn(steps.called)).toEqual(['submit unwaved-0']);
  });
});

it('what a shard that is not open yet holds of a group is taken in the others too', async () => {
  const [a, b] = pairOf('spread');
  const steps = scriptedSteps();
  await withScriptedWorkers(env, steps, async () => {
    await ended(await begin('spread', [wave('one', b, { ...a, unwellBefore: true })], 1));
    expect(submitsIn(steps.called)).toEqual(['submit spread-a', 'submit spread-b']);
  });
});

it('what an unhealthy member waits for is sent before it', async () => {
  const [a, b] = pairOf('chained');
  const steps = scriptedSteps();
  await withScriptedWorkers(env, steps, async () => {
    const pair = [
      { ...a, unwellBefore: true as const, after: ['b'] },
      { ...b, provides: ['b'] },
    ];
    await ended(await begin('chained', [wave('one', ...pair)]));
    expect(submitsIn(steps.called)).toEqual(['submit chained-b', 'submit chained-a']);
  });
});
