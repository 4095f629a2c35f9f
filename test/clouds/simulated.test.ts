/** The adapters against the simulated clouds, which verify signatures and judge protocol with code of their own. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../activities/clock.js';
import { errorOf } from '../../activities/clouds/envelopes.js';
import { CloudError } from '../../activities/clouds/errors.js';
import { apiFor, CLOUD_APIS } from '../../activities/clouds/index.js';
import type { CloudApi, CloudReader, ErrorClass, ResourceState } from '../../activities/clouds/port.js';
import { type Sent } from '../../activities/clouds/session.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import { createTransport } from '../../activities/transport.js';
import type { FaultRule } from '../../simulator/faults.js';
import type { Fate } from '../../simulator/model.js';
import { simulatedClouds, SECRETS, CLOUD_ENV, type Clouds } from '../support/clouds.js';
import { accountAt } from './fake-cloud.js';

/** Real time that can be moved forward. */
class MovableClock implements Clock {
  offset = 0;
  now(): number {
    return Date.now() + this.offset;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }
}

const DURATION_MS = 10 * 60_000;
const bounds = { sendBy: Number.POSITIVE_INFINITY, timeoutMs: 5_000 };

interface Case {
  readonly service: string;
  readonly target: unknown;
  readonly reached: RegExp;
  /** The class of a submit at the target. */
  readonly again?: ErrorClass;
}
const CASES: readonly Case[] = [
  { service: 'ges-v1', target: { version: '9.9.9', forceUpgrade: false }, reached: /^9\.9\.9$/ },
  { service: 'ges-v2', target: { version: '9.9.9', forceUpgrade: false }, reached: /^9\.9\.9$/ },
  // No code of CSE's says that the target is reached.
  {
    service: 'cse',
    target: { version: '9.9.9', retryFailed: false },
    reached: /^9\.9\.9$/,
    again: 'permanent',
  },
  {
    service: 'dcs',
    target: { engineMinorVersion: 'latest', proxyMinorVersion: '5.0.14.1', pinned: { engine: '5.0.14.2' } },
    reached: /^engine 5\.0\.14\.2, proxy 5\.0\.14\.1$/,
  },
  {
    service: 'elasticsearch',
    target: { version: '6.8', type: 'engineVersion' },
    reached: /^6\.8\.0 \(apack 1\.1\.0\)$/,
  },
  { service: 'elasticsearch', target: { version: 'ali1.2.0', type: 'aliVersion' }, reached: /\(apack 1\.2\.0\)$/ },
];

/** A field that no read can do without, by family. */
const NEEDED: Readonly<Record<string, string>> = {
  ges: 'graph',
  cse: 'version',
  dcs: 'instance_id',
  elasticsearch: 'Result',
};

describe.each(CASES)('$service to $target', ({ service, target, reached, again = 'already-done' }) => {
  let clouds: Clouds;
  let clock: MovableClock;
  let api: CloudApi;
  let reader: CloudReader;
  let id = '';

  async function begin(fate: Fate = 'succeeds'): Promise<void> {
    clock = new MovableClock();
    const fates = { [fate]: 1 };
    const durationMs = { min: DURATION_MS, max: DURATION_MS };
    clouds = await simulatedClouds({
      clock,
      graphs: 1,
      engines: 1,
      caches: 1,
      clusters: 1,
      graphFates: fates,
      engineFates: fates,
      cacheFates: fates,
      clusterFates: fates,
      durationMs,
    });
    const found = apiFor(CLOUD_APIS, service);
    if (found === undefined) throw new Error(`no ${service}`);
    api = found;
    reader = await clouds.sessions.reader(api, api.cloud);
    const { inventory } = clouds.simulator;
    id = inventory.now().find(({ family }) => family === api.family)?.id ?? '';
    const { facts } = inventory.get(id);
    if (api.family === 'elasticsearch') inventory.change(id, { facts: { ...facts, offeredEngine: '6.8.0' } });
  }
  beforeEach(() => begin());
  afterEach(() => clouds.close());

  const describeIt = (): Promise<ResourceState> => api.describe(reader, id);
  const fault = (rule: FaultRule): void => clouds.simulator.faults.add(rule);
  const send = async (): Promise<Sent> =>
    (await clouds.sessions.sender(api, api.cloud)).send(
      api.submission({ projectId: reader.projectId }, id, target, 'a'.repeat(64)),
      bounds,
    );
  async function submit(): Promise<{ id: string | null; since: string }> {
    const since = new Date(clock.now()).toISOString();
    const sent = await send();
    if (sent.kind !== 'answered') throw new Error(sent.reason);
    const answer = api.accepted(sent.response, id);
    if (answer.kind !== 'accepted') throw new Error(answer.reason);
    return { id: answer.operationId, since };
  }
  const restart = async (fate: Fate): Promise<void> => {
    await clouds.close();
    await begin(fate);
  };

  it('goes from below to its target as one accepted submit, without a protocol violation', async () => {
    const before = await describeIt();
    expect(before).toMatchObject({ id, condition: 'ready' });
    expect(api.id.pattern.test(id)).toBe(true);
    expect(api.standing(before, target)).toBe('below');
    // CSE's list has no tags.
    const tags = api.family === 'cse' ? {} : before.tags;
    expect((await api.list(reader, 0)).resources).toMatchObject([{ id, name: before.name, tags }]);
    const findings = await api.precheck(reader, id, target, 'b'.repeat(64));
    expect(findings.length).toBeGreaterThan(0);
    expect(new Set(findings.map(({ status }) => status))).toEqual(new Set(['success']));
    const since = clock.now();
    expect(await api.operations(reader, id, since)).toEqual([]);

    const operation = await submit();
    expect((await describeIt()).condition).toBe('upgrading');
    const [running] = await api.operations(reader, id, since);
    expect(running).toMatchObject({ operation: { id: operation.id }, state: 'running' });
    expect((await api.poll(reader, id, target, operation)).state).toBe('running');
    expect((await api.poll(reader, id, target, { ...operation, id: null })).state).toBe('running');

    clock.offset += DURATION_MS / 2;
    const halfway = await api.poll(reader, id, target, operation);
    expect(halfway.state).toBe('running');
    // CSE has no percent of its own: half of its steps are done by then.
    expect(halfway.percent).toBe(api.family === 'ges' ? null : 50);

    clock.offset += DURATION_MS;
    expect((await api.poll(reader, id, target, operation)).state).toBe('succeeded');
    expect((await api.poll(reader, id, target, { ...operation, id: null })).state).toBe('succeeded');
    const after = await describeIt();
    expect(after.version).toMatch(reached);
    expect(api.standing(after, target)).toBe('at');
    expect((await api.health(reader, id, after)).healthy).toBe(true);
    expect(await api.operations(reader, id, since)).toMatchObject([{ state: 'succeeded' }]);

    const truth = clouds.simulator.truth();
    expect(truth.submits).toHaveLength(1);
    expect(truth.violations).toEqual([]);
  });

  it('hears of an upgrade that failed and went back', async () => {
    await restart('rolls-back');
    const before = await describeIt();
    const operation = await submit();
    clock.offset += 2 * DURATION_MS;
    const ended = await api.poll(reader, id, target, operation);
    expect(ended.state).toBe(api.family === 'ges' ? 'rolled-back' : 'failed');
    expect(ended.detail).toMatch(/fail/i);
    expect((await describeIt()).version).toBe(before.version);
  });

  it('leaves a success that changed nothing to the version read back', async () => {
    await restart('job-says-success-but-old-version');
    const operation = await submit();
    clock.offset += DURATION_MS + 1_000;
    expect((await api.poll(reader, id, target, operation)).state).toBe('succeeded');
    expect(api.standing(await describeIt(), target)).toBe('below');
  });

  it('sees a resource that ended broken', async () => {
    await restart('ends-broken');
    const operation = await submit();
    clock.offset += DURATION_MS + 1_000;
    await api.poll(reader, id, target, operation);
    const state = await describeIt();
    const { healthy } = await api.health(reader, id, state);
    expect(healthy && state.condition === 'ready').toBe(false);
  });

  it('is refused while an upgrade runs, and again at the target', async () => {
    await submit();
    const classOf = async (): Promise<string> => {
      const call = api.submission({ projectId: reader.projectId }, id, target, 'c'.repeat(64));
      const sent = await (await clouds.sessions.sender(api, api.cloud)).send(call, bounds);
      if (sent.kind !== 'answered') throw new Error(sent.reason);
      const error = errorOf(sent.response.json);
      return api.classify({ status: sent.response.status, code: error?.code ?? null, message: error?.message ?? '' });
    };
    clock.offset += DURATION_MS / 2;
    expect(await classOf()).toBe('busy');
    clock.offset += DURATION_MS;
    expect(await classOf()).toBe(again);
    expect(clouds.simulator.truth().submits).toHaveLength(1);
  });

  it.each<[string, FaultRule['fault']]>([
    ['an HTML page', { kind: 'html' }],
    ['a truncated answer', { kind: 'truncated' }],
    ['a missing field', { kind: 'missing-field' }],
    ['a reset', { kind: 'reset', processed: true }],
    ['a 503', { kind: 'status', status: 503 }],
  ])('reads again after %s', async (_name, broken) => {
    const field = NEEDED[api.family] ?? '';
    fault({ fault: broken.kind === 'missing-field' ? { ...broken, field } : broken, calls: ['read'] });
    const error: unknown = await describeIt().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CloudError);
    expect((error as CloudError).errorClass).toBe('transient');
    expect((error as CloudError).message).not.toContain('\n');
    expect((await describeIt()).id).toBe(id);
  });

  it('does not mind a new field', async () => {
    fault({ fault: { kind: 'extra-field' }, times: 10 });
    expect((await describeIt()).id).toBe(id);
    expect((await submit()).id).not.toBeNull();
  });

  it.each([true, false])('cannot know of a submit whose connection was reset (processed: %s)', async (processed) => {
    fault({ fault: { kind: 'reset', processed }, calls: ['submit'] });
    const since = clock.now();
    expect((await send()).kind).toBe('unanswered');
    expect(clouds.simulator.truth().submits).toHaveLength(processed ? 1 : 0);
    expect(await api.operations(reader, id, since)).toHaveLength(processed ? 1 : 0);
  });

  it('reports records that are gone', async () => {
    fault({ fault: { kind: 'vanishing-records' }, calls: ['submit'] });
    const operation = await submit();
    clock.offset += DURATION_MS / 2;
    const state = service === 'elasticsearch' ? 'running' : 'vanished';
    expect((await api.poll(reader, id, target, operation)).state).toBe(state);
  });

  it('is slowed when it is throttled', async () => {
    fault({ fault: { kind: 'throttled' }, calls: ['read'] });
    await expect(describeIt()).rejects.toMatchObject({ errorClass: 'throttled' });
  });

  it('tells wrong keys and a wrong clock apart', async () => {
    const sessions = (env: Record<string, string>, skewMs: number) => {
      const skewed: Clock = { now: () => clock.now() + skewMs, sleep: (ms) => clock.sleep(ms) };
      const account = accountAt(clouds.simulator.url, api.cloud === 'huawei' ? 'huawei' : 'alibaba', {
        projectId: reader.projectId,
        credentials: { kind: 'env', prefix: '' },
      });
      const transport = createTransport({ clock: skewed });
      const accounts = new Map([[account.name, account]]);
      return openSessions({ accounts, clock: skewed, transport, env: { ...CLOUD_ENV, ...env } }).reader(
        api,
        account.name,
      );
    };
    const wrong = { CLOUD_SDK_SK: 'wrong', ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'wrong' };
    await expect(api.describe(await sessions(wrong, 0), id)).rejects.toMatchObject({ errorClass: 'denied' });
    const skewed = api.describe(await sessions({}, 20 * 60_000), id);
    await expect(skewed).rejects.toMatchObject({ errorClass: 'clock-skew' });
    const message = await skewed.catch((error: Error) => error.message);
    expect(message).toContain('clock skew');
    for (const secret of Object.values(SECRETS)) expect(message).not.toContain(secret);
  });
});
