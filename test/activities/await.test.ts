/** The wait on a virtual clock, over an API whose polls are scripted. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { describe, expect, it } from 'vitest';
import { awaitOperation } from '../../activities/await.js';
import { CloudError } from '../../activities/clouds/errors.js';
import { gesV2 } from '../../activities/clouds/huawei/ges-v2.js';
import type { CloudApi, CloudReader, Progress, ResourceState } from '../../activities/clouds/port.js';
import type { StepDeps } from '../../activities/step.js';
import type { AwaitHeartbeat, AwaitInput, AwaitResult } from '../../workflows/contracts/steps.js';
import { VirtualClock } from '../support/virtual-clock.js';

const MINUTE = 60_000;
const { expectedMs, deadlineMs } = gesV2.pace;

interface Script {
  /** What a poll says, by the milliseconds since the operation began; `null` for a read that fails. */
  readonly poll: (elapsedMs: number) => Partial<Progress> | null;
  readonly resource?: Partial<ResourceState>;
}

/** Waits once under a script. */
async function waited({ poll, resource = {} }: Script, more: Partial<AwaitInput> = {}, heartbeat?: AwaitHeartbeat) {
  const clock = new VirtualClock();
  const since = clock.now();
  const polledAt: number[] = [];
  const api: CloudApi = {
    ...(gesV2 as CloudApi),
    describe: () =>
      Promise.resolve({
        id: 'g1',
        name: 'g1',
        status: '201',
        condition: 'upgrading',
        version: '2.3.1',
        tags: {},
        ...resource,
      }),
    poll: async () => {
      const elapsed = clock.now() - since;
      polledAt.push(elapsed);
      const said = poll(elapsed);
      if (said === null) {
        const facts = { errorClass: 'transient', call: 'GET /job', status: 502, code: null, requestId: null } as const;
        throw new CloudError('GET /job: HTTP 502', { ...facts, sent: true });
      }
      return { state: 'running', detail: 'job running', percent: null, remainingMs: null, ...said };
    },
  };
  const sessions = { reader: () => Promise.resolve({} as CloudReader) } as unknown as StepDeps['sessions'];
  const input: AwaitInput = {
    rollout: 'r',
    rolloutRun: 'run',
    spec: {
      resource: { account: 'a', cloud: 'huawei', service: 'ges-v2', family: 'ges', region: 'r', id: 'g1' },
      target: { version: '2.4.1' },
      targetLabel: '2.4.1',
      plannedFrom: null,
    },
    timing: { scale: 1 },
    operation: { id: 'job-1', since: new Date(since).toISOString() },
    overdue: false,
    ...more,
  };
  const env = new MockActivityEnvironment(heartbeat === undefined ? {} : { heartbeatDetails: heartbeat });
  const result: AwaitResult = await env.run(() => awaitOperation({ apis: [api], sessions, clock }, input));
  return { result, polledAt, elapsedMs: clock.now() - since };
}

describe('await', () => {
  it('ends when the provider says so, however many reads failed before', async () => {
    const { result } = await waited({
      poll: (elapsed) => (elapsed < 5 * MINUTE ? null : { state: 'succeeded', detail: 'job success' }),
    });
    expect(result).toMatchObject({ ended: true, providerSays: 'succeeded', reason: 'job success' });
  });

  it.each([
    ['what is left', (elapsed: number) => ({ remainingMs: 10 * MINUTE - elapsed })],
    ['a percentage', (elapsed: number) => ({ percent: Math.floor((elapsed / (10 * MINUTE)) * 100) })],
  ])('comes right after the end that the provider foretells by %s, with few polls', async (_, said) => {
    const { elapsedMs, polledAt } = await waited({
      poll: (elapsed) => (elapsed < 10 * MINUTE ? said(elapsed) : { state: 'succeeded' }),
    });
    // A poll every 15 s would take forty, and be late by half of that on average.
    expect(polledAt.length).toBeLessThan(25);
    expect(elapsedMs - 10 * MINUTE).toBeLessThan(gesV2.pace.pollMinMs / 2);
  });

  it('polls one that takes longer than usual at least each sixtieth of its duration', async () => {
    const { polledAt } = await waited({
      poll: (elapsed) => (elapsed < 1.9 * expectedMs ? {} : { state: 'succeeded' }),
    });
    const late = polledAt.filter((at) => at > expectedMs);
    expect(late.length).toBeGreaterThan(10);
    for (const [index, at] of late.slice(1).entries()) {
      const since = late[index] ?? 0;
      expect(at - since).toBeLessThanOrEqual(Math.max(since / 60, gesV2.pace.pollMinMs) * 1.2 + 1);
    }
  });

  it('reads that fail come more and more seldom, up to a bound', async () => {
    const { polledAt } = await waited({ poll: (elapsed) => (elapsed < 30 * MINUTE ? null : { state: 'failed' }) });
    const gaps = polledAt.slice(1).map((at, index) => at - (polledAt[index] ?? 0));
    const longest = Math.max(...gaps);
    expect(longest).toBeGreaterThan(gesV2.pace.pollMaxMs);
    expect(longest).toBeLessThanOrEqual(gesV2.pace.pollMaxMs * 2 * 1.2);
  });

  it('says that it is stuck after twice its ordinary duration without news, and once only', async () => {
    const first = await waited({ poll: () => ({ percent: 37 }) });
    expect(first.result).toMatchObject({ ended: false, stuck: true, reason: 'job running' });
    expect(first.elapsedMs).toBeGreaterThanOrEqual(2 * expectedMs);
    expect(first.elapsedMs).toBeLessThan(deadlineMs);

    const second = await waited({ poll: () => ({ percent: 37 }) }, { stuck: true });
    expect(second.result).toMatchObject({ ended: false });
    expect(second.result.stuck).toBeUndefined();
    expect(second.elapsedMs).toBeGreaterThanOrEqual(deadlineMs);
  });

  it('is slow and not stuck while there is news', async () => {
    const { result, elapsedMs } = await waited({ poll: (elapsed) => ({ percent: Math.floor(elapsed / MINUTE) }) });
    expect(result.stuck).toBeUndefined();
    expect(result).toMatchObject({ ended: false, providerSays: 'running' });
    expect(elapsedMs).toBeGreaterThanOrEqual(deadlineMs);
  });

  it('reads the resource before it calls anything late: at its target it has ended', async () => {
    const { result } = await waited({ poll: () => ({}), resource: { condition: 'ready', version: '2.4.1' } });
    expect(result).toMatchObject({
      ended: true,
      providerSays: 'succeeded',
      reason: 'at its target, version 2.4.1, while its record says: job running',
    });
  });

  it('does not take a resource that is ready on its old version for an end', async () => {
    const { result } = await waited({ poll: () => ({}), resource: { condition: 'ready' } });
    expect(result).toMatchObject({ ended: false, stuck: true });
  });

  it('polls an overdue operation seldom, and hands it back after hours', async () => {
    const { result, polledAt, elapsedMs } = await waited({ poll: () => ({}) }, { overdue: true });
    expect(result).toMatchObject({ ended: false });
    expect(result.stuck).toBeUndefined();
    expect(elapsedMs).toBeGreaterThanOrEqual(6 * 60 * MINUTE);
    expect(polledAt.length).toBeLessThan(80);
  });

  it('believes a record to be gone after several looks only', async () => {
    let looks = 0;
    const { result } = await waited({
      poll: () => ({ state: (looks += 1) === 2 ? 'running' : 'vanished', detail: 'unknown job' }),
    });
    expect(result).toMatchObject({ ended: true, providerSays: 'vanished', polls: 5 });
  });

  it.each([true, undefined])('tells back how its upgrade goes on: throughVerify %s', async (throughVerify) => {
    const { result } = await waited({ poll: () => ({ state: 'succeeded' }) }, throughVerify ? { throughVerify } : {});
    expect(result.throughVerify).toBe(throughVerify);
  });

  it('goes on where an attempt before it left off', async () => {
    const at = new VirtualClock().now();
    const before: AwaitHeartbeat = {
      state: 'job running',
      percent: 37,
      polls: 40,
      failedReads: 0,
      lastPolledAt: new Date(at).toISOString(),
      changedAt: new Date(at - expectedMs).toISOString(),
    };
    const { result } = await waited({ poll: () => ({ percent: 37 }) }, {}, before);
    expect(result.polls).toBeGreaterThan(40);
  });
});
