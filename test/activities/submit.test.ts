import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { apiFor, CLOUD_APIS } from '../../activities/clouds/index.js';
import type { CloudApi } from '../../activities/clouds/port.js';
import type { Sessions } from '../../activities/clouds/sessions.js';
import { snapshotOf } from '../../activities/drift.js';
import type { StepDeps } from '../../activities/step.js';
import { precheck } from '../../activities/precheck.js';
import { submit } from '../../activities/submit.js';
import type { FaultRule } from '../../simulator/faults.js';
import type { PrecheckResult, SubmitHeartbeat, SubmitInput, SubmitResult } from '../../workflows/contracts/steps.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { VirtualClock } from '../support/virtual-clock.js';

let clouds: Clouds;
let clock: VirtualClock;

afterEach(async () => {
  await clouds.close();
});

/** One resource of each family, which says which of them is upgraded. */
async function resource(family: string): Promise<UpgradeSpec> {
  clock = new VirtualClock();
  clouds = await simulatedClouds({ clock, graphs: 1, engines: 1, caches: 1, clusters: 1 });
  const [spec] = clouds.specs(family);
  if (spec === undefined) throw new Error(`no resource of ${family}`);
  return spec;
}

function apiOf({ resource: { service } }: UpgradeSpec): CloudApi {
  const api = apiFor(CLOUD_APIS, service);
  if (api === undefined) throw new Error(`no api ${service}`);
  return api;
}

async function inputFor(spec: UpgradeSpec): Promise<SubmitInput> {
  const step = { rollout: 'r', rolloutRun: 'run', spec, timing: { scale: 1 } };
  const startedAt = new Date(clock.now()).toISOString();
  const checked = (await new MockActivityEnvironment().run(() => precheck(clouds.deps, step))) as PrecheckResult;
  expect(checked.verdict).toBe('clear');
  return {
    ...step,
    expectedVersion: checked.version,
    knownOperations: checked.knownOperations,
    submission: 1,
    unresolvedSince: null,
    startedAt,
  };
}

function attempt(input: SubmitInput, number = 1, scheduledAgoMs = 0): Promise<SubmitResult> {
  const info = { attempt: number, scheduledTimestampMs: Date.now() - scheduledAgoMs };
  return new MockActivityEnvironment(info).run(() => submit(clouds.deps, input));
}

/** As the workflow does it: again and again, until the verdict is final. */
async function untilFinal(input: SubmitInput): Promise<SubmitResult> {
  let next = input;
  const calls: SubmitResult['calls'][number][] = [];
  for (;;) {
    const result = await attempt(next);
    calls.push(...result.calls);
    if (!['deferred', 'unknown', 'busy'].includes(result.verdict)) return { ...result, calls };
    next = { ...next, submission: result.submission, unresolvedSince: result.unresolvedSince };
    await clock.sleep(60_000);
  }
}

function accepted(): number {
  return clouds.simulator.truth().submits.length;
}

/** What happens to the answer of the first submit. Whether the cloud took it in or not, one upgrade must result. */
type Send = Awaited<ReturnType<Sessions['sender']>>['send'];

const lostAnswers: readonly [string, FaultRule['fault']][] = [
  ['a reset before processing', { kind: 'reset', processed: false }],
  ['a reset after processing', { kind: 'reset', processed: true }],
  ['a 500 before processing', { kind: 'status', status: 500, processed: false }],
  ['a 502 after processing', { kind: 'status', status: 502, processed: true }],
  ['a 503 after processing', { kind: 'status', status: 503, processed: true }],
  ['a gateway time-out after processing', { kind: 'status', status: 504, processed: true }],
  ['truncated JSON', { kind: 'truncated' }],
  ['an HTML page', { kind: 'html' }],
  ['a 200 without its id', { kind: 'missing-field' }],
];

describe.each(['ges', 'cse', 'dcs', 'elasticsearch'])('submit to %s', (family) => {
  const component = family === 'ges' ? 'graph' : 'engine';

  it('sends once and hands the operation on', async () => {
    const input = await inputFor(await resource(family));
    const result = await attempt(input);
    expect(result.verdict).toBe('submitted');
    expect(result.calls).toHaveLength(1);
    expect(result.calls[0]).toMatchObject({ answer: 'accepted', status: 200, requestId: expect.any(String) as string });
    expect(accepted()).toBe(1);
  });

  it('sends nothing while the rollout is on hold, or while nobody can tell', async () => {
    const input = await inputFor(await resource(family));
    const asked = (holdOf: NonNullable<StepDeps['holdOf']>) =>
      new MockActivityEnvironment({ scheduledTimestampMs: Date.now() }).run(() =>
        submit({ ...clouds.deps, holdOf }, input),
      );
    expect(await asked(() => Promise.resolve({ reason: 'paused by ana', over: false }))).toMatchObject({
      verdict: 'held-back',
      reason: 'paused by ana',
      calls: [],
    });
    const ended = { reason: 'the rollout has ended: TERMINATED', over: true };
    expect(await asked(() => Promise.resolve(ended))).toMatchObject({ verdict: 'closed', ...ended, calls: [] });
    expect(await asked(() => Promise.reject(new Error('no server')))).toMatchObject({ verdict: 'deferred', calls: [] });
    expect(accepted()).toBe(0);
    expect(await asked(() => Promise.resolve(null))).toMatchObject({ verdict: 'submitted' });
    expect(accepted()).toBe(1);
  });

  it('says that the rollout is on hold while the resource keeps it waiting', async () => {
    const spec = await resource(family);
    const input = await inputFor(spec);
    const reader = await clouds.deps.sessions.reader(apiOf(spec), spec.resource.account);
    const planned = { ...snapshotOf(await apiOf(spec).describe(reader, spec.resource.id), []), size: 'smaller' };
    const waiting = { ...input, spec: { ...spec, planned, drift: { size: 'hold' as const } } };
    const asked = async (holdOf: NonNullable<StepDeps['holdOf']>) => {
      const env = new MockActivityEnvironment({ scheduledTimestampMs: Date.now() });
      const deps = { ...clouds.deps, holdOf };
      return [await env.run(() => precheck(deps, waiting)), await env.run(() => submit(deps, waiting))];
    };
    const drift = expect.stringContaining('size smaller then') as string;
    const hold = { reason: 'paused by ana', over: false };
    expect(await asked(() => Promise.resolve(hold))).toMatchObject([
      { verdict: 'busy', held: hold.reason, reason: drift },
      { verdict: 'held-back', reason: expect.stringMatching(/^paused by ana; .*size smaller then/) as string },
    ]);
    for (const holdOf of [
      () => Promise.resolve(null),
      () => Promise.resolve({ ...hold, over: true }),
      () => Promise.reject(new Error('no server')),
    ]) {
      const [checked, submitted] = await asked(holdOf);
      expect(checked).toMatchObject({ verdict: 'busy', reason: drift });
      expect(checked).not.toHaveProperty('held');
      expect(submitted).toMatchObject({ verdict: 'busy', reason: drift });
    }
    expect(accepted()).toBe(0);
  });

  it.each(lostAnswers)('upgrades once through %s', async (_name, fault) => {
    const input = await inputFor(await resource(family));
    clouds.simulator.faults.add({ fault, calls: ['submit'] });
    const result = await untilFinal(input);
    expect(result.verdict).toBe('submitted');
    expect(result.calls[0]?.answer).toBe('unknown');
    expect(Object.values(clouds.simulator.faults.fired())).not.toHaveLength(0);
    expect(accepted()).toBe(1);
    expect(clouds.simulator.truth().violations).toEqual([]);
  });

  it('finds a submit that stays invisible for a while after its answer was lost', async () => {
    const input = await inputFor(await resource(family));
    clouds.simulator.faults.add({
      fault: { kind: 'visibility-lag', lagMs: 25_000, answerLost: true },
      calls: ['submit'],
    });
    const result = await untilFinal(input);
    expect(result.verdict).toBe('submitted');
    expect(result.calls[0]?.answer).toBe('unknown');
    expect(accepted()).toBe(1);
  });

  describe('while the machine’s clock is set', () => {
    /** Clocks of one machine: the wall's is set, the other one is not. */
    function settable() {
      let offMs = 0;
      return {
        clock: {
          now: () => clock.now() + offMs,
          monotonic: () => clock.now(),
          sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms, signal),
        },
        set: (ms: number) => {
          offMs = ms;
        },
      };
    }

    /** The steps on such a machine, with every send wrapped. */
    function depsOn(machine: ReturnType<typeof settable>, around: (send: Send) => Send): StepDeps {
      const { sessions } = clouds.deps;
      const sender: Sessions['sender'] = async (api, account) => {
        const real = await sessions.sender(api, account);
        return { ...real, send: around((request, bounds) => real.send(request, bounds)) };
      };
      return { ...clouds.deps, clock: machine.clock, sessions: { ...sessions, sender } };
    }

    async function attemptOn(deps: StepDeps, input: SubmitInput): Promise<SubmitResult> {
      const info = { attempt: 1, scheduledTimestampMs: Date.now() };
      return new MockActivityEnvironment(info).run(() => submit(deps, input));
    }

    it('back: an attempt that was away past its window sends nothing', async () => {
      const input = await inputFor(await resource(family));
      const machine = settable();
      const deps = depsOn(machine, (send) => async (request, bounds) => {
        await clock.sleep(40_000);
        machine.set(-60_000);
        return send(request, { ...bounds, sendBy: Infinity });
      });
      expect(await attemptOn(deps, input)).toMatchObject({ verdict: 'deferred', calls: [] });
      expect(accepted()).toBe(0);
    });

    it('forward: an answer that was lost is looked for as long as ever', async () => {
      const input = await inputFor(await resource(family));
      clouds.simulator.faults.add({
        fault: { kind: 'visibility-lag', lagMs: 25_000, answerLost: true },
        calls: ['submit'],
      });
      const machine = settable();
      const deps = depsOn(machine, (send) => async (request, bounds) => {
        const sent = await send(request, bounds);
        machine.set(3_600_000);
        return sent;
      });
      const result = await attemptOn(deps, input);
      // It may run out of patience by the wall's clock; that only means another look.
      expect(['submitted', 'unknown']).toContain(result.verdict);
      expect(accepted()).toBe(1);
    });
  });

  it('gets its send out in time, however many reads of the account wait', async () => {
    clock = new VirtualClock();
    clouds = await simulatedClouds({
      clock,
      graphs: 1,
      engines: 1,
      caches: 1,
      clusters: 1,
      rates: { reads: 5, writes: 1 },
    });
    const [spec] = clouds.specs(family);
    if (spec === undefined) throw new Error(`no resource of ${family}`);
    const input = await inputFor(spec);
    const { deps } = clouds;
    const reader = await deps.sessions.reader(apiOf(spec), spec.resource.account);
    const crowd = Array.from({ length: 400 }, () => apiOf(spec).describe(reader, spec.resource.id));
    expect((await attempt(input)).verdict).toBe('submitted');
    await Promise.all(crowd);
    expect(accepted()).toBe(1);
  });

  it.each([
    ['fail', 'refused', 'drifted'],
    ['hold', 'busy', 'busy'],
    ['proceed', 'clear', 'submitted'],
  ] as const)('a resource of another size than planned: %s', async (size, checked, sent) => {
    const spec = await resource(family);
    const input = await inputFor(spec);
    const reader = await clouds.deps.sessions.reader(apiOf(spec), spec.resource.account);
    const planned = snapshotOf(await apiOf(spec).describe(reader, spec.resource.id), []);
    expect(planned.size).toEqual(expect.any(String));
    const changed = { ...input, spec: { ...spec, planned: { ...planned, size: 'smaller' }, drift: { size } } };
    const shown = `size smaller then, ${planned.size} now`;

    const looked = await new MockActivityEnvironment().run(() => precheck(clouds.deps, changed));
    expect(looked).toMatchObject({ verdict: checked });
    expect(JSON.stringify(looked)).toContain(shown);
    const result = await attempt(changed);
    expect(result.verdict).toBe(sent);
    const message = shown;
    const finding = { check: 'asPlanned', status: 'success', problems: [{ type: 'drift', code: 'Proceed', message }] };
    expect(result.findings).toEqual(size === 'proceed' ? [finding] : undefined);
    if (size !== 'proceed') expect(result.reason).toBe(`is no longer what was planned: ${shown}`);
    expect(accepted()).toBe(size === 'proceed' ? 1 : 0);
  });

  it('tells that nothing differs from the plan right before its send', async () => {
    const spec = await resource(family);
    const reader = await clouds.deps.sessions.reader(apiOf(spec), spec.resource.account);
    const planned = snapshotOf(await apiOf(spec).describe(reader, spec.resource.id), []);
    const result = await attempt({ ...(await inputFor(spec)), spec: { ...spec, planned } });
    expect(result).toMatchObject({ verdict: 'submitted', findings: [] });
  });

  it.each(['fail', 'hold', 'proceed'] as const)('of another version than the precheck read: %s', async (version) => {
    const spec = await resource(family);
    const input = await inputFor(spec);
    const reader = await clouds.deps.sessions.reader(apiOf(spec), spec.resource.account);
    const planned = snapshotOf(await apiOf(spec).describe(reader, spec.resource.id), []);
    const changed = { ...input, expectedVersion: 'another', spec: { ...spec, planned, drift: { version } } };
    const result = await attempt(changed);
    expect(result).toMatchObject({ verdict: 'drifted', calls: [] });
    expect(result.anew).toBe(version === 'fail' ? undefined : true);
    // What an attempt before it may have sent is evidence.
    const replayed = await attempt(changed, 2);
    expect(replayed.verdict).toBe('drifted');
    expect(replayed).not.toHaveProperty('anew');
    expect(accepted()).toBe(0);
  });

  it('does not send a second time when the first attempt died after sending', async () => {
    const input = await inputFor(await resource(family));
    await attempt(input);
    const { calls, operation, ...again } = await attempt(input, 2);
    expect(again).toMatchObject({ verdict: 'submitted' });
    expect(calls).toMatchObject([{ at: operation?.since, answer: 'unheard', status: null, requestId: null }]);
    expect(accepted()).toBe(1);
  });

  it('lists no call that was somebody else’s', async () => {
    const another = await inputFor(await resource(family));
    const { operation } = await attempt(another);
    await clock.sleep(60_000);
    // The precheck knew of that one or did not: it began before this submit was asked for.
    for (const knownOperations of [[operation?.id ?? ''], []]) {
      const late = await attempt({ ...another, knownOperations }, 1, 15_000);
      expect(late.operation).not.toBe(null);
      expect(late.calls).toEqual([]);
    }
    expect(accepted()).toBe(1);
  });

  it('tells the calls of an attempt that died after it had heard an answer', async () => {
    const input = await inputFor(await resource(family));
    clouds.simulator.faults.add({ fault: { kind: 'status', status: 502, processed: true }, calls: ['submit'] });
    const beats: unknown[] = [];
    const first = new MockActivityEnvironment({ scheduledTimestampMs: Date.now() });
    first.on('heartbeat', (beat) => beats.push(structuredClone(beat)));
    const { calls } = (await first.run(() => submit(clouds.deps, input))) as SubmitResult;
    expect(calls).toMatchObject([{ answer: 'unknown', status: 502, requestId: expect.any(String) as string }]);

    // As the server has it from the first beat after the answer, whatever the worker heard after that.
    const beat = beats.find((one) => (one as SubmitHeartbeat).calls.length > 0);
    const next = { attempt: 2, scheduledTimestampMs: Date.now(), heartbeatDetails: beat };
    const again = (await new MockActivityEnvironment(next).run(() => submit(clouds.deps, input))) as SubmitResult;
    expect(again).toMatchObject({ verdict: 'submitted', calls });
    expect(accepted()).toBe(1);
  });

  it('does not send a second time when a reset replays it as attempt 1', async () => {
    const input = await inputFor(await resource(family));
    await attempt(input);
    const again = await attempt(input);
    expect(['submitted', 'adopted']).toContain(again.verdict);
    expect(again.calls).toEqual([]);
    expect(accepted()).toBe(1);
  });

  it('does not send a second time when it is replayed as attempt 1 while the submit is invisible', async () => {
    const input = await inputFor(await resource(family));
    clouds.simulator.faults.add({ fault: { kind: 'visibility-lag', lagMs: 20_000 }, calls: ['submit'] });
    await attempt(input);
    // As after a reset of the activity, or on a server that came back from a backup: scheduled long ago.
    const again = await attempt(input, 1, 60_000);
    expect(again).toMatchObject({ verdict: 'submitted', calls: [{ answer: 'unheard' }] });
    expect(accepted()).toBe(1);
  });

  it('lets a later attempt send only after the settling time', async () => {
    const input = await inputFor(await resource(family));
    const began = clock.now();
    const result = await attempt(input, 2);
    expect(result).toMatchObject({ verdict: 'deferred', submission: 2, calls: [] });
    // Send window, send time-out and clock skew alone are 70 s; the service's visibility lag comes on top.
    expect(clock.now() - began).toBeGreaterThanOrEqual(70_000);
    expect(accepted()).toBe(0);
  });

  it('waits after a throttled submit, and sends again', async () => {
    const input = await inputFor(await resource(family));
    clouds.simulator.faults.add({ fault: { kind: 'throttled' }, calls: ['submit'] });
    const first = await attempt(input);
    expect(first).toMatchObject({ verdict: 'deferred', submission: 1 });
    expect(first.retryInMs).toBeGreaterThan(0);
    expect((await untilFinal(input)).verdict).toBe('submitted');
    expect(accepted()).toBe(1);
  });

  it('adopts an upgrade that somebody else began', async () => {
    const spec = await resource(family);
    const input = await inputFor(spec);
    const to = { [component]: family === 'elasticsearch' ? '7.10.0' : '9.9.9' };
    clouds.simulator.inventory.upgradeElsewhere(spec.resource.id, to);
    const result = await attempt(input);
    expect(result).toMatchObject({ verdict: 'adopted', calls: [] });
    expect(accepted()).toBe(0);
  });

  it('adopts an upgrade that began between its look and its send', async () => {
    const input = await inputFor(await resource(family));
    const to = { [component]: family === 'elasticsearch' ? '7.10.0' : '9.9.9' };
    clouds.simulator.faults.add({ fault: { kind: 'race', to }, calls: ['submit'] });
    const result = await untilFinal(input);
    expect(result.verdict).toBe('adopted');
    expect(clouds.simulator.faults.fired()).toEqual({ race: 1 });
    expect(accepted()).toBe(0);
  });

  it('refuses a resource that is no longer what was planned', async () => {
    const spec = await resource(family);
    const input = await inputFor(spec);
    const { versions } = clouds.simulator.inventory.get(spec.resource.id);
    const changed = { ...versions, [component]: family === 'elasticsearch' ? '6.3.9' : '3.3.3' };
    clouds.simulator.inventory.change(spec.resource.id, { versions: changed });
    expect(await attempt(input)).toMatchObject({ verdict: 'drifted', calls: [] });
    expect(accepted()).toBe(0);
  });

  it('refuses a resource that is gone, and says which', async () => {
    const spec = await resource(family);
    const input = await inputFor(spec);
    clouds.simulator.inventory.remove(spec.resource.id);
    const result = await attempt(input);
    expect(result.verdict).toBe('refused');
    expect(result.reason).toContain(spec.resource.id);
  });

  it('says that the truth is unknown, not that nothing was sent, while the cloud cannot be read', async () => {
    const input = await inputFor(await resource(family));
    clouds.simulator.faults.add(
      { fault: { kind: 'reset', processed: true }, calls: ['submit'] },
      { fault: { kind: 'status', status: 503 }, calls: ['read', 'records', 'jobs', 'offer'], skip: 4, times: 10_000 },
    );
    const result = await attempt(input);
    expect(result.verdict).toBe('unknown');
    expect(result.unresolvedSince).not.toBeNull();
    clouds.simulator.faults.clear();
    expect(await untilFinal({ ...input, unresolvedSince: result.unresolvedSince })).toMatchObject({
      verdict: 'submitted',
      calls: [],
    });
    expect(accepted()).toBe(1);
  });
});

describe('submit to dcs, two components as one target', () => {
  const withOffer = (spec: UpgradeSpec, latestEngine: string): void => {
    const { facts } = clouds.simulator.inventory.get(spec.resource.id);
    clouds.simulator.inventory.change(spec.resource.id, { facts: { ...facts, latestEngine } });
  };

  it('sends latest while the offer is what the plan pinned', async () => {
    const spec = await resource('dcs');
    expect(spec.targetLabel).toBe('engine latest (5.0.14.2), proxy latest (5.0.14.1)');
    expect((await attempt(await inputFor(spec))).verdict).toBe('submitted');
    const [sent] = clouds.simulator.truth().submits;
    expect(sent?.target).toEqual({ engine: '5.0.14.2', proxy: '5.0.14.1' });
  });

  it('sends nothing when another version is on offer by then, and names both', async () => {
    const spec = await resource('dcs');
    const input = await inputFor(spec);
    withOffer(spec, '5.0.15');
    const result = await attempt(input);
    expect(result).toMatchObject({ verdict: 'drifted', calls: [] });
    expect(result.reason).toContain('5.0.14.2');
    expect(result.reason).toContain('5.0.15');
    expect(accepted()).toBe(0);
  });

  it('sends nothing more when the offer changed after a send that was lost without being accepted', async () => {
    const spec = await resource('dcs');
    const input = await inputFor(spec);
    clouds.simulator.faults.add({ fault: { kind: 'reset', processed: false }, calls: ['submit'] });
    const first = await attempt(input);
    expect(first).toMatchObject({ verdict: 'deferred', submission: 2 });
    withOffer(spec, '5.0.15');
    expect(await attempt({ ...input, submission: 2 })).toMatchObject({ verdict: 'drifted', calls: [] });
    expect(accepted()).toBe(0);
  });

  it('asks only for the component that is not there', async () => {
    const spec = await resource('dcs');
    clouds.simulator.inventory.change(spec.resource.id, { versions: { engine: '5.0.14.2', proxy: '5.0.12' } });
    const input = await inputFor(spec);
    expect((await attempt(input)).verdict).toBe('submitted');
    expect(clouds.simulator.truth()).toMatchObject({ submits: [{ target: { proxy: '5.0.14.1' } }], refused: [] });
  });

  it('waits while another task runs', async () => {
    const spec = await resource('dcs');
    const input = await inputFor(spec);
    const { facts } = clouds.simulator.inventory.get(spec.resource.id);
    clouds.simulator.inventory.change(spec.resource.id, { facts: { ...facts, runningTask: 'BACKUP' } });
    expect(await attempt(input)).toMatchObject({ verdict: 'busy', calls: [] });
    clouds.simulator.inventory.change(spec.resource.id, { facts });
    expect((await attempt(input)).verdict).toBe('submitted');
  });
});
