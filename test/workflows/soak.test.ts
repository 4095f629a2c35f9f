/** What follows a wave that soaks: when the next one begins, what people may do meanwhile, and how it ends. */
import { Context } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  Approval,
  ControlRequest,
  DecisionRequest,
  SkipRequest,
  WaiveRequest,
} from '../../workflows/contracts/control.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutResult, RolloutStatus } from '../../workflows/contracts/rollout.js';
import {
  soakLabel,
  type SoakInput,
  type SoakPlan,
  type SoakResult,
  soakedAt,
  span,
} from '../../workflows/contracts/soak.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

const MINUTE = 60_000;
const SOAK: SoakPlan = { forMs: 30 * MINUTE, everyMs: MINUTE, health: { sample: 20 } };

let env: TestWorkflowEnvironment;
let number = 0;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

type Handle = WorkflowHandle<typeof rollout>;

async function run(
  script: Script,
  meanwhile: (handle: Handle, called: readonly string[]) => Promise<void> = () => Promise.resolve(),
  over: Partial<RolloutInput> = {},
) {
  const id = `s-${(number += 1)}`;
  const steps = scriptedSteps(script);
  return withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [
        {
          rollout: id,
          planDigest: 'digest',
          startedBy: 'ana',
          waves: [
            { name: 'canary', concurrency: 1, upgrades: [spec(`${id}-1`)], soak: SOAK },
            { name: 'rest', concurrency: 1, upgrades: [spec(`${id}-2`)] },
          ],
          budget: { max: 1, mode: 'strict' },
          accountLimits: {},
          // A cancel is heard by the next heartbeat that the SDK passes on.
          timing: { scale: 0.1 },
          ...over,
        },
      ],
    });
    let result: RolloutResult;
    try {
      await meanwhile(handle, steps.called);
      result = await endedRollout(handle);
    } finally {
      // The worker ends when its activities have.
      for (const release of releases.splice(0)) release();
    }
    const { events } = await handle.fetchHistory();
    const calls = steps.called.map((call) => call.replace(`${id}-`, ''));
    return { result, called: calls, status: await statusOf(handle), events: events?.length ?? 0 };
  });
}

const statusOf = (handle: Handle) => handle.query<RolloutStatus>(MESSAGES.rolloutStatus);

async function until(handle: Handle, holds: (status: RolloutStatus) => boolean): Promise<RolloutStatus> {
  for (;;) {
    const status = await statusOf(handle);
    if (holds(status)) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const isSoaking = ({ waves }: RolloutStatus) => waves.some(({ soak }) => soak?.state === 'Running');

const waive = (handle: Handle, over: Partial<WaiveRequest> = {}) =>
  handle
    .executeUpdate<string, [WaiveRequest]>(MESSAGES.waive, {
      args: [{ actor: 'ben', reason: 'seen by eye', ...over }],
    })
    .catch((error: unknown) => {
      if (error instanceof WorkflowUpdateFailedError) return error.cause?.message;
      throw error;
    });

let request = 0;
const control = (handle: Handle, act: ControlRequest['act']) =>
  handle.signal(MESSAGES.control, {
    requestId: `soak-${(request += 1)}`,
    act,
    actor: 'ana',
    reason: `to ${act}`,
  } satisfies ControlRequest);

const releases: (() => void)[] = [];

/** Seen before it was cancelled. */
const SEEN = { soaked: false, healthyMs: 12 * MINUTE } as const;

/** Observes until it is cancelled, or the rollout has ended. */
async function never(): Promise<Partial<SoakResult>> {
  const { heartbeat, cancellationSignal } = Context.current();
  const beats = setInterval(() => heartbeat(), 200);
  await new Promise<void>((resolve) => {
    cancellationSignal.addEventListener('abort', () => resolve());
    releases.push(resolve);
  });
  clearInterval(beats);
  return SEEN;
}

describe('a wave with a soak', () => {
  it('is followed by the next one once it has soaked, and not before', async () => {
    let given: SoakInput | null = null;
    const { result, called, status } = await run({
      soak: (input) => {
        given = input;
        return {};
      },
    });
    expect(given).toMatchObject({ wave: 1, shards: 1, reached: 1, soak: SOAK, before: null });
    expect(called.indexOf('soak 1')).toBeGreaterThan(called.indexOf('verify 1'));
    expect(called.indexOf('soak 1')).toBeLessThan(called.indexOf('precheck 2'));
    expect(result.outcome).toBe('Succeeded');
    expect(result.waves?.[0]?.soak).toMatchObject({ state: 'Done', forMs: 30 * MINUTE });
    expect(status.waves[0]?.soak).toMatchObject({ state: 'Done' });
    expect(status.waves[1]?.soak).toBeUndefined();
  });

  it('goes on from what was observed, and tells of ups and downs more and more seldom', async () => {
    const inputs: SoakInput[] = [];
    const { result, events } = await run(
      {
        soak: (input, call) => {
          inputs.push(input);
          const isUp = call % 2 === 0;
          return call > 40
            ? {}
            : {
                soaked: false,
                verdict: isUp ? 'passing' : 'failing',
                healthyMs: isUp ? call * MINUTE : 0,
                restarts: call,
              };
        },
      },
      undefined,
      { timing: { scale: 1 } },
    );
    expect(result.outcome).toBe('Succeeded');
    expect(inputs).toHaveLength(41);
    expect(inputs[2]?.before).toMatchObject({ verdict: 'passing', healthyMs: 2 * MINUTE, restarts: 2 });
    expect(inputs.slice(0, 4).map(({ quietMs }) => quietMs / MINUTE)).toEqual([1, 2, 4, 8]);
    expect(inputs.at(-1)?.quietMs).toBe(6 * 60 * MINUTE);
    // A week of it, since the last thirty are told six hours apart.
    expect(events).toBeLessThan(400);
  });

  it('tells why it waits', async () => {
    let call = 0;
    const { result } = await run(
      {
        soak: async (input) => {
          call += 1;
          if (call === 1) {
            return {
              soaked: false,
              healthyMs: 0,
              verdict: 'failing',
              reason: 'g-1: unhealthy',
              restarts: 1,
              lastRestart: { at: '2026-11-21T10:00:00.000Z', reason: 'g-1: unhealthy' },
            };
          }
          expect(input.before?.restarts).toBe(1);
          return never();
        },
      },
      async (handle) => {
        const { state, reason } = await until(handle, ({ waves }) => waves[0]?.soak?.progress != null);
        expect({ state, reason }).toEqual({
          state: 'Waiting',
          reason: 'soak of wave canary: 0 s of 30 min healthy; started again once; does not pass: g-1: unhealthy',
        });
        await waive(handle);
      },
    );
    expect(result.outcome).toBe('Succeeded');
  });

  it('can be waived by a person, with a reason that stands in its history', async () => {
    const { result, status } = await run({ soak: never }, async (handle) => {
      await until(handle, isSoaking);
      expect(await waive(handle, { reason: '' })).toBe('it has an actor and a reason');
      expect(await waive(handle, { wave: 2 })).toBe('wave rest has no soak');
      expect(await waive(handle, { wave: 7 })).toBe('there is no wave 7');
      expect(await waive(handle, { validUntil: '2026-01-01T00:00:00Z' })).toBe(
        'it came too late: no worker had heard it by 2026-01-01T00:00:00Z, so nothing was recorded; say it again',
      );
      expect(await waive(handle)).toBe('the soak of wave canary: the rest is waived');
    });
    // What it saw until then stands in the report for good.
    const soak = { state: 'Waived', progress: { healthyMs: 12 * MINUTE, verdict: 'passing' } };
    expect(result).toMatchObject({ outcome: 'Succeeded', waves: [{ soak }, {}] });
    expect(status.acts).toMatchObject([{ act: 'waive', actor: 'ben', reason: 'seen by eye' }]);
  });

  it('can be waived ahead of its time, once', async () => {
    const { result, called } = await run(
      {
        verify: async () => {
          await new Promise((resolve) => setTimeout(resolve, 500));
          return {};
        },
      },
      async (handle) => {
        await until(handle, ({ waves }) => waves[0]?.state === 'Running');
        expect(await waive(handle)).toBe('no wave soaks now (canary can be waived ahead, by name)');
        expect(await waive(handle, { wave: 1 })).toContain('the rest is waived');
        expect(await waive(handle, { wave: 1 })).toBe('the soak of wave canary is over: Waived');
      },
    );
    expect(result).toMatchObject({ outcome: 'Succeeded', waves: [{ soak: { state: 'Waived' } }, {}] });
    expect(called).not.toContain('soak 1');
  });

  it('is ended by a stop, and then has not succeeded, although all are at their targets', async () => {
    const { result } = await run(
      { soak: never },
      async (handle) => {
        await until(handle, isSoaking);
        await control(handle, 'stop');
      },
      { waves: [{ name: 'all', concurrency: 1, upgrades: [spec('s-stop')], soak: SOAK }] },
    );
    expect(result).toMatchObject({
      outcome: 'Stopped',
      counts: { Succeeded: 1 },
      waves: [{ soak: { state: 'Stopped', progress: { healthyMs: 12 * MINUTE } } }],
    });
    expect(result.reason).toMatch(/^stopped: 1 of 1 at target, 0 failed, and wave all has not soaked; stopped by ana/);
  });

  it('is ended by a rejection of what comes after it', async () => {
    const approval: Approval = { quorum: 1, approvers: ['ben'], expiresAfterMs: 1_440 * MINUTE };
    const { result } = await run(
      { soak: never },
      async (handle) => {
        await until(handle, isSoaking);
        await handle.executeUpdate<string, [DecisionRequest]>(MESSAGES.decide, {
          args: [{ decision: 'reject', wave: 2, planDigest: 'digest', actor: 'ben', reason: 'not this week' }],
        });
        await until(handle, ({ state }) => state === 'Rejected');
      },
      {
        waves: [
          { name: 'canary', concurrency: 1, upgrades: [spec('s-reject-1')], soak: SOAK },
          { name: 'rest', concurrency: 1, upgrades: [spec('s-reject-2')], approval },
        ],
      },
    );
    expect(result).toMatchObject({ outcome: 'Rejected', waves: [{ soak: { state: 'Stopped' } }, {}] });
  });

  it('does not come after a wave of which nothing was started', async () => {
    const { result, called } = await run(
      {
        submit: ({ spec: { resource } }) =>
          resource.id.endsWith('-1') ? { verdict: 'closed', over: true, reason: 'too late', operation: null } : {},
        soak: never,
      },
      (handle) => until(handle, ({ waves }) => waves[1]?.state === 'Done').then(() => undefined),
    );
    expect(result).toMatchObject({
      counts: { NotStarted: 1, Succeeded: 1 },
      waves: [{ soak: { state: 'Skipped' } }, {}],
    });
    expect(called).not.toContain('soak 1');
  });

  it('is not missed of a wave that a person skipped', async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let isVerifying = false;
    const { result } = await run(
      {
        verify: () => {
          isVerifying = true;
          return released.then(() => ({}));
        },
      },
      async (handle) => {
        // A stop before its submit would leave it out.
        await expect.poll(() => isVerifying, { timeout: 60_000 }).toBe(true);
        await handle.executeUpdate<string, [SkipRequest]>(MESSAGES.skip, {
          args: [{ wave: 2, upgrade: null, actor: 'ana', reason: 'not needed' }],
        });
        await control(handle, 'stop');
        await until(handle, ({ state }) => state === 'Stopping');
        release();
      },
      {
        waves: [
          { name: 'canary', concurrency: 1, upgrades: [spec('s-skip-1')] },
          { name: 'rest', concurrency: 1, upgrades: [spec('s-skip-2')], soak: SOAK },
        ],
      },
    );
    expect(result).toMatchObject({ outcome: 'Stopped', waves: [{}, { soak: { state: 'Skipped' } }] });
    expect(result.reason).toMatch(/^stopped: 1 of 2 at target, 0 failed, 1 skipped; stopped by ana/);
  });

  it('is ended by a cancel as by a stop', async () => {
    const { result } = await run({ soak: never }, async (handle) => {
      await until(handle, isSoaking);
      await handle.cancel();
    });
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, NotStarted: 1 } });
  });

  it('lets no wave begin while the rollout is paused', async () => {
    let release = () => {};
    const soaked = new Promise<void>((resolve) => (release = resolve));
    const { result } = await run({ soak: () => soaked.then(() => ({})) }, async (handle, called) => {
      await until(handle, isSoaking);
      await control(handle, 'pause');
      await until(handle, ({ state }) => state === 'Paused');
      release();
      const { state, waves } = await until(handle, (status) => status.waves[0]?.soak?.state === 'Done');
      expect({ state, second: waves[1]?.state }).toEqual({ state: 'Paused', second: 'Pending' });
      expect(called.some((call) => call.startsWith('precheck') && call.endsWith('-2'))).toBe(false);
      await control(handle, 'resume');
    });
    expect(result.outcome).toBe('Succeeded');
  });

  it('does not soak what a person left out, nor what ended the rollout', async () => {
    const failing: Script = { verify: () => ({ verdict: 'not-at-target', version: '1', reason: 'version 1' }) };
    const ended = await run(failing, undefined, { budget: { max: 0, mode: 'strict' } });
    expect(ended.result).toMatchObject({ outcome: 'Failed', waves: [{ soak: { state: 'NotStarted' } }, {}] });
    expect(ended.called).not.toContain('soak 1');

    const waiting = await run({ soak: never }, async (handle) => {
      await until(handle, isSoaking);
      await waive(handle);
    });
    expect(waiting.result.waves?.[0]?.soak).toMatchObject({ state: 'Waived' });
  });
});

describe('a soak in words', () => {
  const progress = {
    wave: 1,
    healthyMs: 12 * MINUTE,
    verdict: 'passing',
    reason: 'HTTP 200',
    restarts: 0,
    lastRestart: null,
    rounds: 13,
    probedAt: '2026-11-21T10:00:00.000Z',
    next: 0,
    suspects: [],
  } as const;
  it.each([
    [null, '30 min healthy wanted'],
    [{ ...progress, healthyMs: 0, verdict: null }, '0 s of 30 min healthy; not probed yet'],
    [progress, '12 min of 30 min healthy'],
    [{ ...progress, verdict: 'unread', reason: 'HTTP 502' }, '12 min of 30 min healthy; the clock stands: HTTP 502'],
    [
      { ...progress, restarts: 2, lastRestart: { at: 'then', reason: 'g-1: broken' } },
      '12 min of 30 min healthy; started again 2 times, last at then because g-1: broken',
    ],
  ] as const)('%o', (given, words) => {
    expect(soakLabel({ forMs: 30 * MINUTE, progress: given })).toBe(words);
  });
  it('says when it can be over', () => {
    expect(soakedAt({ forMs: 30 * MINUTE, progress })).toBe(Date.parse('2026-11-21T10:18:00.000Z'));
    expect(soakedAt({ forMs: 30 * MINUTE, progress: null })).toBeNull();
  });
  it.each([
    [999, '0 s'],
    [90_000, '1 min 30 s'],
    [3_600_000, '1 h'],
    [90_061_000, '1 d 1 h'],
  ])('%d ms are %s', (ms, words) => {
    expect(span(ms)).toBe(words);
  });
});
