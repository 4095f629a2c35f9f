/** What people are told of a rollout: when, how often, and that nothing waits for whoever is told. */
import { ApplicationFailure } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { WorkflowFailedError, type WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { recurrenceOf } from '../../calendar/forms.js';
import { Gates } from '../../calendar/gate.js';
import type { SkipRequest } from '../../workflows/contracts/control.js';
import { noticeId, noticeWorkflowId, rolloutWorkflowId, runKey } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import type { Notice, NoticeSteps, OpeningSteps } from '../../workflows/contracts/notices.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutResult, RolloutStatus } from '../../workflows/contracts/rollout.js';
import type { GateSteps, VerifyResult } from '../../workflows/contracts/steps.js';
import type { ResourceRef } from '../../workflows/contracts/upgrade.js';
import type { notice } from '../../workflows/notice.js';
import type { rollout } from '../../workflows/rollout.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { rolloutInput, type Script, scriptedSteps, spec as upgradeSpec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

const HOUR = 3_600_000;
const { EventType } = temporal.api.enums.v1;
let env: TestWorkflowEnvironment;

// One for each test: a rollout that ends while it waits for an edge leaves this server's time locked.
beforeEach(async () => {
  env = await timeSkippingEnvironment();
});
afterEach(async () => {
  await env.teardown();
});

interface Told {
  readonly notices: Notice[];
  /** What the rollout did, by the types of its events. */
  readonly events: readonly (string | undefined)[];
  readonly result: RolloutResult | null;
  readonly status: RolloutStatus;
}

/** Runs a rollout to its end, with the windows that it has and a receiver that does as `deliver` says. */
async function run(
  input: RolloutInput,
  { deliver = () => undefined, ...script }: Script & { deliver?: (notice: Notice, webhook: string) => void } = {},
  meanwhile?: (handle: WorkflowHandleWithFirstExecutionRunId<typeof rollout>) => Promise<void>,
): Promise<Told> {
  const steps = scriptedSteps(script);
  const notices: Notice[] = [];
  const gates = input.windows === undefined ? null : new Gates(input.windows);
  const reads: typeof steps.reads & GateSteps & OpeningSteps = {
    ...steps.reads,
    readGates: async ({ gates: asked, hasStarted }) => {
      const now = await env.currentTimeMs();
      return Object.fromEntries(
        asked.flatMap((gate) => (gates === null ? [] : [[gate, gates.state(gate, now, hasStarted)]])),
      );
    },
    nextOpening: async ({ at }) => gates?.openingFrom(Date.parse(at)) ?? null,
  };
  const waits: typeof steps.waits & NoticeSteps = {
    ...steps.waits,
    deliverNotice: async ({ notice, webhook }) => {
      deliver(notice, webhook);
      notices.push(notice);
    },
  };
  const body = async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(input.rollout),
      taskQueue: QUEUES.main,
      args: [input],
    });
    await meanwhile?.(handle);
    const result = await handle.result().catch((error: unknown) => {
      if (error instanceof WorkflowFailedError) return null;
      throw error;
    });
    const status = await handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
    // The last one outlives the rollout.
    const last = `${input.rollout}/${handle.firstExecutionRunId.slice(0, 8)}/done/1`;
    if (input.notify !== undefined) {
      await env.client.workflow
        .getHandle(noticeWorkflowId(last))
        .result()
        .catch(() => undefined);
    }
    const { events } = await handle.fetchHistory();
    return { notices, result, status, events: (events ?? []).map(({ eventType }) => EventType[eventType ?? 0]) };
  };
  // A long history is not replayed at each of its tasks.
  return withScriptedWorkers(env, { ...steps, reads, waits }, body, meanwhile === undefined);
}

const base = (name: string, ids: readonly string[], concurrency = 1): RolloutInput => ({
  ...rolloutInput(name, { ids, concurrency }, { max: ids.length, mode: 'loose' }),
  notify: [{ webhook: 'ops' }],
});

/** Operations that last so long: until then the resource still upgrades. */
function lasting(howLong: (resource: ResourceRef) => number, then: Partial<VerifyResult> = {}): Script['verify'] {
  const began = new Map<string, number>();
  return async ({ spec: { resource } }) => {
    const now = await env.currentTimeMs();
    const since = began.get(resource.id) ?? now;
    began.set(resource.id, since);
    return now < since + howLong(resource) ? { verdict: 'still-running', reason: 'status 303' } : then;
  };
}

/** A rollout that waits for a window of two hours each day. */
function nightly(name: string, ids: readonly string[], now: number, opens: number): RolloutInput {
  const start = new Date(opens).toISOString().slice(11, 16);
  const recurrence = recurrenceOf({ rrule: 'FREQ=DAILY', start, duration: '2h', timezone: 'UTC' });
  const planned = base(name, ids);
  const gated = ({ upgrades = [], ...wave }: RolloutInput['waves'][number]) => ({
    ...wave,
    upgrades: upgrades.map((spec) => ({ ...spec, gate: 0 })),
  });
  return {
    ...planned,
    waves: planned.waves.map(gated),
    windows: {
      calendars: [{ windows: [{ name: 'nightly', recurrence }], blackouts: [] }],
      gates: [{ calendar: 0, needsMs: 0 }],
      since: new Date(now).toISOString(),
      notBefore: new Date(opens).toISOString(),
      missedWindow: 'next',
    },
  };
}

/** In whole minutes, as windows are. */
const wholeMinutes = (at: number) => Math.ceil(at / 60_000) * 60_000;

it('of each opening: ahead, at its edges, what is in flight and what is left; then the end', async () => {
  const now = await env.currentTimeMs();
  // More than a day ahead.
  const opens = wholeMinutes(now + 30 * HOUR);
  const input = nightly('told', ['g1', 'g2', 'g3'], now, opens);
  const { notices, result } = await run(input, {
    // The second one outlasts the first window.
    verify: lasting(({ id }) => (id === 'g2' ? 3 * HOUR : HOUR)),
  });
  expect(result?.outcome).toBe('Succeeded');
  const kinds = notices.map(({ kind }) => kind);
  expect(kinds).toEqual(['in-24h', 'in-1h', 'opened', 'overrun-risk', 'closed', 'in-1h', 'opened', 'done']);
  const at = (kind: Notice['kind']) =>
    notices.filter((one) => one.kind === kind).map((one) => Math.round(Date.parse(one.at) / 60_000) * 60_000);
  expect(at('in-24h')).toEqual([opens - 24 * HOUR]);
  expect(at('in-1h')).toEqual([opens - HOUR, opens + 23 * HOUR]);
  expect(at('opened')).toEqual([opens, opens + 24 * HOUR]);
  const closes = new Date(opens + 2 * HOUR).toISOString();
  const text = (kind: Notice['kind']) => notices.find((one) => one.kind === kind)?.text;
  expect(text('opened')).toBe(`window nightly is open until ${closes}: 3 of 3 left`);
  expect(text('overrun-risk')).toBe(`1 in flight may outlast window nightly, which closes at ${closes}`);
  expect(text('closed')).toBe('window nightly has closed: 2 of 3 left, 1 still in flight are followed to their end');
  expect(text('done')).toBe('Succeeded: 3 of 3 at target, 0 failed (3 Succeeded)');
  expect(new Set(notices.map(({ id }) => id)).size).toBe(notices.length);
});

it('of one that is a day ahead, as the rollout of a schedule begins, though it took a while to plan it', async () => {
  const now = await env.currentTimeMs();
  const opens = wholeMinutes(now + 24 * HOUR - 10 * 60_000);
  const { notices } = await run(nightly('planned', ['p1'], now, opens));
  expect(notices.map(({ kind }) => kind)).toEqual(['in-24h', 'in-1h', 'opened', 'done']);
  expect(Date.parse(notices[0]?.at ?? '')).toBeLessThan(now + HOUR);
});

it.each([
  ['as early as its upgrades take', 1.5, 30],
  ['as soon as the first one is under way, where they take longer than it is open', 2.5, 0],
])('of an overrun %s, or of what has started since', async (_when, hours, minute) => {
  const now = await env.currentTimeMs();
  const opens = wholeMinutes(now + HOUR);
  const planned = nightly(`risky-${hours}`, [`r-${hours}`], now, opens);
  const windows = { ...planned.windows, gates: [{ calendar: 0, needsMs: 0, riskMs: hours * HOUR }] };
  const { notices } = await run({ ...planned, windows } as RolloutInput, { verify: lasting(() => 3 * HOUR) });
  const told = notices.filter(({ kind }) => kind === 'overrun-risk');
  expect(told.map(({ at }) => Math.floor((Date.parse(at) - opens) / 60_000))).toEqual([minute]);
  expect(told[0]?.text).toContain(
    '1 in flight, and what starts from now on, may outlast window nightly, which closes at',
  );
  expect(told[0]?.text).toMatch(new RegExp(`: nine of ten take up to ${hours * 60} min$`));
});

it('of an overrun late where its upgrades are quick', async () => {
  const now = await env.currentTimeMs();
  const opens = wholeMinutes(now + HOUR);
  const planned = nightly('quick', ['k1'], now, opens);
  const windows = { ...planned.windows, gates: [{ calendar: 0, needsMs: 0, riskMs: 5 * 60_000 }] };
  const input = { ...planned, windows } as RolloutInput;
  const { notices } = await run(input, { verify: lasting(() => 3 * HOUR) });
  const told = notices.filter(({ kind }) => kind === 'overrun-risk');
  expect(told.map(({ at }) => Math.floor((Date.parse(at) - opens) / 60_000))).toEqual([115]);
});

it('gathers failures: fewer notices than failures, and all of them are counted', async () => {
  const ids = Array.from({ length: 12 }, (_, index) => `f${index}`);
  const { notices, result } = await run(base('failing', ids, 2), {
    verify: lasting(() => 10 * 60_000, { verdict: 'not-at-target', version: '1', reason: 'version 1' }),
  });
  expect(result).toBeNull();
  const failed = notices.filter(({ kind }) => kind === 'failed');
  expect(failed.length).toBeGreaterThan(1);
  expect(failed.length).toBeLessThan(8);
  expect(failed[0]?.text).toContain('tolerated; the latest: f');
  expect(notices.at(-1)).toMatchObject({ kind: 'done', text: expect.stringContaining('12 RolledBack') as string });
});

it('tells of one that is stuck, and who is asked for an approval; only what a webhook wants', async () => {
  const input: RolloutInput = {
    ...base('some', ['s1']),
    approval: { quorum: 1, approvers: ['ana'], expiresAfterMs: HOUR },
    notify: [{ webhook: 'ops' }, { webhook: 'pager', events: ['stuck'] }],
  };
  const told: string[] = [];
  const deliver = ({ kind }: Notice, webhook: string) => told.push(`${webhook} ${kind}`);
  const expired = await run(input, { deliver });
  expect(expired.notices.map(({ text }) => text)).toEqual([
    'waits for approval of the rollout: 0 of 1 given; ana may',
    expect.stringContaining('the approval of the rollout did not come in time') as string,
  ]);
  expect(told).toEqual(['ops approval-wanted', 'ops done']);

  told.length = 0;
  const { approval: _none, ...free } = input;
  await run(
    { ...free, rollout: 'some-stuck' },
    {
      deliver,
      awaitOperation: (_input, call) => (call === 1 ? { ended: false, stuck: true, providerSays: 'running' } : {}),
    },
  );
  expect(told.toSorted()).toEqual(['ops done', 'ops stuck', 'pager stuck']);
});

it('says which notice is the last of its kind, and in the end how many were not sent', async () => {
  const planned = base('many', ['m0']);
  const approval = { quorum: 1, approvers: ['ben'], expiresAfterMs: HOUR };
  const waits = Array.from({ length: 102 }, (_, at) => ({
    name: `w${at}`,
    concurrency: 1,
    upgrades: [upgradeSpec(`m-${at}`)],
    approval,
  }));
  const input = { ...planned, waves: [...planned.waves, ...waits] };
  const { notices } = await run(input, {}, async (handle) => {
    for (let wave = 2; wave <= input.waves.length; wave += 1) {
      const asks = async () => (await handle.query<RolloutStatus>(MESSAGES.rolloutStatus)).reason;
      await expect.poll(asks, { timeout: 20_000, interval: 20 }).toContain(`approval of wave w${wave - 2}:`);
      const skip: SkipRequest = { wave, upgrade: null, actor: 'ana', reason: 'not needed' };
      await handle.executeUpdate<string, [SkipRequest]>(MESSAGES.skip, { args: [skip] });
    }
  });
  const wanted = notices.filter(({ kind }) => kind === 'approval-wanted').map(({ text }) => text);
  expect(wanted).toHaveLength(100);
  const last = '; it is notice 100 of this kind, and no further one is sent';
  expect(wanted.filter((text) => text.endsWith(last))).toHaveLength(1);
  expect(notices.find(({ kind }) => kind === 'done')?.text).toMatch(/; notices that were not sent: 2 approval-wanted$/);
});

it('tells nobody twice of what was told before a reset', async () => {
  const approval = { quorum: 1, approvers: ['ana'], expiresAfterMs: HOUR };
  const input = { ...base('reset', ['t1']), approval };
  const before: Notice = {
    id: '',
    kind: 'done',
    rollout: 'reset',
    schedule: null,
    at: new Date(await env.currentTimeMs()).toISOString(),
    text: 'told before the reset',
  };
  const { notices, status } = await run(input, {}, async ({ firstExecutionRunId }) => {
    const id = noticeId('reset', runKey({ rolloutRun: firstExecutionRunId }), 'done', 1);
    const told = await env.client.workflow.start<typeof notice>('notice', {
      workflowId: noticeWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [{ notice: { ...before, id }, to: ['ops'], timing: { scale: 1 } }],
    });
    await expect.poll(async () => (await told.describe()).status.name, { timeout: 20_000 }).toBe('COMPLETED');
  });
  expect(notices.filter(({ kind }) => kind === 'done').map(({ text }) => text)).toEqual(['told before the reset']);
  expect(notices.map(({ kind }) => kind)).toContain('approval-wanted');
  expect(status.undelivered ?? null).toBeNull();
});

it('of a rollout of months, the first openings only; its history stays bounded', async () => {
  const now = await env.currentTimeMs();
  // One upgrade for each opening, since it outlasts it.
  const ids = Array.from({ length: 24 }, (_, at) => `o${at}`);
  const planned = nightly('months', ids, now, wholeMinutes(now + HOUR));
  const { notices, events } = await run(planned, { verify: lasting(() => 3 * HOUR) }, async () => undefined);
  const opened = notices.filter(({ kind }) => kind === 'opened').map(({ text }) => text);
  expect(opened).toHaveLength(20);
  const last = '; it is opening 20, and no further one is told of';
  expect(opened.filter((text) => text.endsWith(last))).toHaveLength(1);
  expect(notices.find(({ kind }) => kind === 'done')?.text).toMatch(/; openings after the first 20 were not told of$/);
  expect(events.length).toBeLessThan(4_000);
});

it('of failures that go on for days, thirty times at most', async () => {
  // Each comes when the one before has been told.
  const ids = Array.from({ length: 34 }, (_, at) => `d${at}`);
  const { notices, events } = await run(
    base('days', ids),
    { verify: lasting(() => 7 * HOUR, { verdict: 'not-at-target', version: '1', reason: 'version 1' }) },
    async () => undefined,
  );
  const failed = notices.filter(({ kind }) => kind === 'failed').map(({ text }) => text);
  expect(failed).toHaveLength(30);
  const last = '; it is notice 30 of this kind, and no further one is sent';
  expect(failed.filter((text) => text.endsWith(last))).toHaveLength(1);
  expect(notices.find(({ kind }) => kind === 'done')?.text).toMatch(/; notices that were not sent: [34] failed$/);
  expect(events.length).toBeLessThan(4_000);
});

it('nobody who cannot be told holds anything, and it shows', async () => {
  let tries = 0;
  const { notices, result, status } = await run(
    {
      ...base('silent', ['n1']),
      approval: { quorum: 1, approvers: ['ana'], expiresAfterMs: 30 * HOUR },
    },
    {
      deliver: () => {
        tries += 1;
        throw ApplicationFailure.create({ type: 'NoticeUndelivered', message: 'webhook ops: it answered 500' });
      },
    },
  );
  expect(result).not.toBeNull();
  expect(notices).toEqual([]);
  // For a day each, and no longer.
  expect(tries).toBeGreaterThan(250);
  expect(tries).toBeLessThan(350);
  expect(status.undelivered).toBe('approval-wanted: webhook ops: it answered 500');
});

it('without notify there is not one command more', async () => {
  const { notify: _nobody, ...silent } = base('quiet', ['q1']);
  const { notices, result, events } = await run(silent);
  expect({ notices, outcome: result?.outcome }).toEqual({ notices: [], outcome: 'Succeeded' });
  const commands = events.filter((type) => /INITIATED$|ACTIVITY_TASK_SCHEDULED$|TIMER_STARTED$/.test(type ?? ''));
  // Its wave.
  expect(commands).toEqual(['EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED']);
});
