/** Done is at its target and well: a cluster that is `active` at its target, while its health is another. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { precheck } from '../../activities/precheck.js';
import type { StepDeps } from '../../activities/step.js';
import { submit } from '../../activities/submit.js';
import { Gates } from '../../calendar/gate.js';
import { FAILURES } from '../../workflows/contracts/errors.js';
import type { PrecheckResult, StepInput, SubmitResult } from '../../workflows/contracts/steps.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { VirtualClock } from '../support/virtual-clock.js';

const UNWELL = /^at its target, and unhealthy: version .*, status active, health RED$/;

let clouds: Clouds;
let clock: VirtualClock;
let input: StepInput;

beforeEach(async () => {
  clock = new VirtualClock();
  clouds = await simulatedClouds({ clock, clusters: 1 });
  const [spec] = clouds.specs('elasticsearch');
  if (spec === undefined) throw new Error('no cluster');
  input = { rollout: 'r', rolloutRun: 'run', spec, timing: { scale: 1 } };
});
afterEach(async () => {
  await clouds.close();
});

/** Somebody has brought it to its target, or to another version, by hand. */
function becomes(health: 'RED' | 'GREEN', engine = input.spec.targetLabel): void {
  const { id } = input.spec.resource;
  const { versions, facts } = clouds.simulator.inventory.get(id);
  clouds.simulator.inventory.change(id, {
    versions: { ...versions, engine },
    facts: { ...facts, failingChecks: health === 'RED' ? ['ClusterStatusNotHealth'] : [] },
  });
}

function checked(more: Partial<UpgradeSpec> = {}, deps: Partial<StepDeps> = {}): Promise<PrecheckResult> {
  const step = { ...input, spec: { ...input.spec, ...more } };
  return new MockActivityEnvironment().run(() => precheck({ ...clouds.deps, ...deps }, step));
}

it('waits for the health of one that failed before and is at its target', async () => {
  becomes('RED');
  const reason = expect.stringMatching(UNWELL);
  expect(await checked({ failedBefore: true })).toMatchObject({ verdict: 'busy', unwell: true, reason });
  expect(await checked()).toMatchObject({ verdict: 'already-at-target' });
  becomes('GREEN');
  expect(await checked({ failedBefore: true })).toMatchObject({ verdict: 'already-at-target' });
});

it('asks for the health of no other, and takes one that cannot be read as any read that fails', async () => {
  clouds.simulator.faults.add({ fault: { kind: 'status', status: 503 }, calls: ['health'], probability: 1 });
  expect(await checked({ failedBefore: true })).toMatchObject({ verdict: 'clear' });
  becomes('GREEN');
  await expect(checked({ failedBefore: true })).rejects.toMatchObject({
    type: FAILURES.transient,
    nonRetryable: false,
  });
});

it('takes what is above its target as done where it had reached it before, and as no upgrade elsewhere', async () => {
  becomes('GREEN', '99.0.0');
  expect(await checked()).toMatchObject({
    verdict: 'refused',
    reason: expect.stringContaining('is not above the current version'),
  });
  expect(await checked({ reachedBefore: true })).toMatchObject({
    verdict: 'already-at-target',
    version: expect.stringContaining('99.0.0'),
    reason: expect.stringMatching(/^had reached its target, and is above it now: version .*99/),
  });
});

it('waits where somebody else brings it there right before its send, and it is not well yet', async () => {
  const { version, knownOperations } = await checked();
  const startedAt = new Date(clock.now()).toISOString();
  const next = { ...input, expectedVersion: version, knownOperations, submission: 1, unresolvedSince: null, startedAt };
  const attempt = (): Promise<SubmitResult> =>
    new MockActivityEnvironment({ scheduledTimestampMs: Date.now() }).run(() => submit(clouds.deps, next));
  becomes('RED');
  expect(await attempt()).toMatchObject({ verdict: 'busy', unwell: true, reason: expect.stringMatching(UNWELL) });
  becomes('GREEN');
  expect(await attempt()).toMatchObject({ verdict: 'already-at-target', calls: [] });
  expect(clouds.simulator.truth().submits).toEqual([]);
});

it('says with what is busy that nothing could be sent now anyway', async () => {
  clouds.simulator.inventory.change(input.spec.resource.id, { status: 'activating' });
  const opensIn = (ms: number) =>
    new Gates({
      calendars: [{ windows: [], blackouts: [] }],
      gates: [{ calendar: 0, needsMs: 0 }],
      since: new Date(clock.now()).toISOString(),
      notBefore: new Date(clock.now() + ms).toISOString(),
      missedWindow: 'next',
    });
  const busy = (deps: Partial<StepDeps>) => checked({ gate: 0 }, deps);
  const shut = await busy({ gatesOf: () => Promise.resolve(opensIn(3_600_000)) });
  expect(shut).toMatchObject({
    verdict: 'busy',
    closure: { over: false, reason: expect.stringContaining('schedule') },
  });
  // It opens soon; it is open; nobody can tell; and a hold, which is told apart, lasts.
  for (const deps of [
    { gatesOf: () => Promise.resolve(opensIn(30_000)) },
    { gatesOf: () => Promise.resolve(opensIn(0)) },
    { gatesOf: () => Promise.reject(new Error('no server')) },
    {
      gatesOf: () => Promise.resolve(opensIn(3_600_000)),
      holdOf: () => Promise.resolve({ reason: 'paused', over: false }),
    },
  ]) {
    expect(await busy(deps)).not.toHaveProperty('closure');
  }
  const freeze = {
    id: 'freeze-0000000a',
    scope: [{ service: ['elasticsearch'] }],
    except: [],
    until: '2099-01-01T00:00:00.000Z',
    reason: 'audit',
    owner: 'ana',
    since: '2026-11-28T12:00:00.000Z',
  };
  const frozen = await checked({}, { freezesOf: () => Promise.resolve([freeze]) });
  expect(frozen).toMatchObject({ verdict: 'busy', closure: { over: false, freeze } });
  // What serves nobody keeps its place in its groups while it waits; what is clear asks right before its send.
  clouds.simulator.inventory.change(input.spec.resource.id, { status: 'active' });
  expect(await busy({ gatesOf: () => Promise.resolve(opensIn(3_600_000)) })).toMatchObject({ verdict: 'clear' });
  becomes('RED');
  const unwell = await checked({ failedBefore: true, gate: 0 }, { gatesOf: () => Promise.resolve(opensIn(3_600_000)) });
  expect(unwell).toMatchObject({ verdict: 'busy', unwell: true });
  expect(unwell).not.toHaveProperty('closure');
});
