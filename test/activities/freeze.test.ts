/** Right before a send: nothing goes out to what a freeze covers, and nothing where the freezes cannot be read. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../activities/clock.js';
import type { StepDeps } from '../../activities/step.js';
import { submit } from '../../activities/submit.js';
import type { Cover, Freeze } from '../../workflows/contracts/freezes.js';
import type { SubmitResult } from '../../workflows/contracts/steps.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { VirtualClock } from '../support/virtual-clock.js';

let clouds: Clouds;
afterEach(() => clouds.close());

function freeze(scope: readonly Cover[], except: readonly Cover[] = []): Freeze {
  return {
    id: 'freeze-0000000a',
    scope,
    except,
    until: '2099-01-01T00:00:00.000Z',
    reason: 'audit',
    owner: 'ana',
    since: '2026-11-28T12:00:00.000Z',
  };
}

async function submitted(
  freezesOf: NonNullable<StepDeps['freezesOf']>,
  clocks: { readonly clock: Clock; readonly cloudClock?: Clock } = { clock: systemClock },
): Promise<SubmitResult> {
  clouds = await simulatedClouds({ ...clocks, graphs: 1 });
  const [spec] = clouds.specs('ges');
  if (spec === undefined) throw new Error('no graph');
  const input = {
    rollout: 'spring',
    rolloutRun: 'run',
    spec,
    timing: { scale: 1 },
    expectedVersion: clouds.simulator.inventory.get(spec.resource.id).versions['graph'] ?? null,
    knownOperations: [],
    submission: 1,
    unresolvedSince: null,
    startedAt: new Date(clocks.clock.now()).toISOString(),
  };
  return new MockActivityEnvironment({ scheduledTimestampMs: Date.now() }).run(() =>
    submit({ ...clouds.deps, freezesOf }, input),
  );
}

const submits = () => clouds.simulator.truth().submits;

it.each<[string, Cover]>([
  ['everything', {}],
  ['its account and its service', { account: ['huawei'], service: ['ges'] }],
  ['its API', { service: ['ges-v1', 'ges-v2'] }],
  ['its region', { region: ['eu-west-101'] }],
  ['its rollout', { rollout: ['spring'] }],
  ['its cloud', { cloud: ['huawei'] }],
])('sends nothing under a freeze of %s', async (_, scope) => {
  const held = freeze([scope]);
  expect(await submitted(() => Promise.resolve([held]))).toMatchObject({
    verdict: 'closed',
    over: false,
    freeze: held,
    reason: 'frozen until 2099-01-01T00:00:00.000Z by ana because audit (freeze-0000000a)',
    calls: [],
  });
  expect(submits()).toEqual([]);
});

it.each<[string, Freeze]>([
  ['that covers something else', freeze([{ account: ['alibaba'] }, { account: ['huawei'], service: ['dcs'] }])],
  ['that makes an exception of its rollout', freeze([{}], [{ rollout: ['spring'] }])],
])('sends under a freeze %s', async (_, held) => {
  expect((await submitted(() => Promise.resolve([held]))).verdict).toBe('submitted');
  expect(submits()).toHaveLength(1);
});

it('asks by the tags that the resource has at that moment', async () => {
  const result = await submitted(() => {
    const [graph] = clouds.simulator.inventory.now().filter(({ family }) => family === 'ges');
    const { tags } = clouds.simulator.inventory.get(graph?.id ?? '');
    const [[name, value] = []] = Object.entries(tags);
    if (name === undefined) throw new Error('the graph has no tags');
    return Promise.resolve([freeze([{ tag: [`${name}=${value}`] }])]);
  });
  expect(result).toMatchObject({ verdict: 'closed', calls: [] });
});

it('sends nothing when nobody can tell what is frozen', async () => {
  const result = await submitted(() => Promise.reject(new Error('no server')));
  expect(result).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(result.reason).toBe('cannot tell whether it is frozen: no server');
  expect(submits()).toEqual([]);
});

it("holds until the freeze is over by the cloud's clock as well", async () => {
  const until = Date.parse('2026-12-01T06:00:00Z');
  const clock = new VirtualClock({ startsAt: until + 60_000 });
  const cloudClock = {
    now: () => clock.now() - 600_000,
    sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms, signal),
  };
  const held = { ...freeze([{}]), until: new Date(until).toISOString() };
  const result = await submitted(() => Promise.resolve([held]), { clock, cloudClock });
  expect(result).toMatchObject({ verdict: 'deferred', calls: [] });
  expect(result.reason).toContain("by the cloud's clock");
  // Nine minutes are left there; a cloud's date shows whole seconds.
  expect(Math.abs(result.retryInMs - 540_000)).toBeLessThanOrEqual(2_000);
  expect(submits()).toEqual([]);
});

it('sends once the freeze has been lifted', async () => {
  const held = { ...freeze([{}]), lifted: { by: 'ben', reason: 'over', at: '2026-11-28T13:00:00.000Z' } };
  expect((await submitted(() => Promise.resolve([held]))).verdict).toBe('submitted');
});
