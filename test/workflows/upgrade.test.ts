import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FAILURES } from '../../workflows/contracts/errors.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { ATTRIBUTES } from '../../workflows/contracts/search-attributes.js';
import type { SubmitResult } from '../../workflows/contracts/steps.js';
import type { Finding, Resolution, UpgradeResult, UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { upgrade } from '../../workflows/upgrade.js';
import { type HistoryEvent, goingOn } from '../support/crafted-history.js';
import { timeSkippingEnvironment, workflowBundle } from '../support/environment.js';
import { withScriptedWorkers } from './scripted-workers.js';
import { heldOperations, type Script, scriptedSteps, upgradeInput } from './scripted-steps.js';

let env: TestWorkflowEnvironment;
let number = 0;

beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

interface Ran {
  readonly result: UpgradeResult;
  readonly called: readonly string[];
  readonly events: number;
  /** What people could filter by, one after the other. */
  readonly phases: readonly string[];
}

/** Runs one upgrade under a script; a failed one gives the result that its failure carries. */
async function run(
  script: Script,
  meanwhile: (handle: WorkflowHandle<typeof upgrade>) => Promise<void> = () => Promise.resolve(),
  more: Partial<UpgradeSpec> = {},
  replays = true,
): Promise<Ran> {
  const steps = scriptedSteps(script);
  const input = upgradeInput(`g${(number += 1)}`, more);
  return withScriptedWorkers(
    env,
    steps,
    async () => {
      const handle = await env.client.workflow.start<typeof upgrade>('upgrade', {
        workflowId: upgradeWorkflowId(input.spec.resource),
        taskQueue: QUEUES.main,
        args: [input],
      });
      await meanwhile(handle);
      const result = await handle.result().catch((error: unknown) => {
        if (error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure) {
          expect(error.cause.type).toBe(FAILURES.upgrade);
          return error.cause.details?.[0] as UpgradeResult;
        }
        throw error;
      });
      const { events } = await handle.fetchHistory();
      const called = steps.called.map((entry) => entry.replace(/ .*/, ''));
      const phases = (events ?? []).flatMap((event) => {
        const changed = event.upsertWorkflowSearchAttributesEventAttributes?.searchAttributes?.indexedFields;
        const data = changed?.[ATTRIBUTES.phase.name]?.data;
        return data == null ? [] : [JSON.parse(Buffer.from(data).toString()) as string];
      });
      return { result, called, events: events?.length ?? 0, phases };
    },
    replays,
  );
}

/** Resolves once the upgrade is in a phase. */
async function inPhase(handle: WorkflowHandle<typeof upgrade>, phase: string): Promise<void> {
  for (;;) {
    const { typedSearchAttributes } = await handle.describe();
    if (typedSearchAttributes.get(ATTRIBUTES.phase) === phase) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Resolves once the second activity of a name is under way. */
async function pendingAttempt(handle: WorkflowHandle<typeof upgrade>, name: string): Promise<void> {
  for (;;) {
    const { events } = await handle.fetchHistory();
    const scheduled = events?.filter(
      (event) => event.activityTaskScheduledEventAttributes?.activityType?.name === name,
    ).length;
    if ((scheduled ?? 0) > 1) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function resolveBy(handle: WorkflowHandle<typeof upgrade>, as: Resolution['as']): Promise<void> {
  const word: Resolution = { as, actor: 'ada@ops', reason: 'seen in the console' };
  return handle.executeUpdate<void, [Resolution]>(MESSAGES.resolve, { args: [word] });
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** A step that ends only when its test says so, or when it is cancelled. */
function gate(): { readonly passed: Promise<void>; open: () => void } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

describe('upgrade', () => {
  it('goes through its four steps in at most 31 events', async () => {
    const { result, called, events, phases } = await run({});
    expect(called).toEqual(['precheck', 'submit', 'await', 'verify']);
    expect(result).toMatchObject({ outcome: 'Succeeded', fromVersion: '1', toVersion: '2', polls: 3 });
    console.log(`history events of an undisturbed upgrade: ${events}`);
    expect(events).toBeLessThanOrEqual(31);
    expect(phases).toEqual(['Await', 'Ended']);
  });

  it('writes the phase Verify down where its steps are of an older release, as workers of that expect it', async () => {
    const { phases } = await run({ awaitOperation: () => ({ throughVerify: false }) });
    expect(phases).toEqual(['Await', 'Verify', 'Ended']);
  });

  it.each([
    ['already-at-target', 'AlreadyAtTarget'],
    ['refused', 'Refused'],
  ] as const)('sends nothing after a precheck that says %s', async (verdict, outcome) => {
    const { result, called } = await run({ precheck: () => ({ verdict, reason: 'as scripted' }) });
    expect(called).toEqual(['precheck']);
    expect(result).toMatchObject({ outcome, reason: 'as scripted' });
  });

  it('ends as refused, with the reason, when the precheck cannot be made', async () => {
    const { result, called } = await run({
      precheck: () => {
        throw ApplicationFailure.nonRetryable('account prod: CLOUD_SDK_AK is not set', FAILURES.account);
      },
    });
    expect(called).toEqual(['precheck']);
    expect(result).toMatchObject({ outcome: 'Refused', reason: 'account prod: CLOUD_SDK_AK is not set' });
  });

  it('waits while the resource is busy, and refuses after two hours of it', async () => {
    const soon = await run({ precheck: (_input, call) => (call < 3 ? { verdict: 'busy', reason: 'exporting' } : {}) });
    expect(soon.called).toEqual(['precheck', 'precheck', 'precheck', 'submit', 'await', 'verify']);

    const never = await run({ precheck: () => ({ verdict: 'busy', reason: 'exporting' }) });
    expect(never.result).toMatchObject({ outcome: 'Refused', reason: 'still exporting' });
  });

  it('waits for a busy resource in flight only while something might be sent to it', async () => {
    const closed = (over: boolean) =>
      run({
        precheck: () => ({ verdict: 'busy', reason: 'exporting', closure: { reason: 'outside every window', over } }),
      });
    const expected = { outcome: 'NotStarted', reason: 'outside every window; exporting' };
    const { result, called } = await closed(false);
    expect([result, called]).toMatchObject([{ ...expected, again: true }, ['precheck']]);
    // Little, and from the first look on.
    expect(result.waitedMs).toBeGreaterThanOrEqual(0);
    const { result: last } = await closed(true);
    expect(last).toMatchObject(expected);
    expect(last).not.toHaveProperty('again');
    expect(last).not.toHaveProperty('waitedMs');
  });

  it('gives up a send that never gets out, in a bounded history', async () => {
    const { result, called, events } = await run({
      submit: () => ({ verdict: 'deferred', operation: null, retryInMs: 200, reason: 'no slot in time' }),
    });
    expect(result).toMatchObject({
      outcome: 'Refused',
      reason: 'nothing was sent, since it is still so: no slot in time',
    });
    expect(called).not.toContain('await');
    console.log(`history events of a send that never got out in two hours: ${events}`);
    expect(events).toBeLessThanOrEqual(500);
  });

  it('tells once what differs from the plan, as it was right before the send', async () => {
    const differs = (message: string) => ({
      check: 'asPlanned',
      status: 'success',
      problems: [{ type: 'drift', code: 'Proceed', message }],
    });
    const provider = { check: 'checkClusterHealth', status: 'success', problems: [] };
    const before = differs('size 2C8G then, 4C16G now');
    const now = differs('size 2C8G then, 8C32G now');
    const found = async (checked: Finding[], ...submits: Partial<SubmitResult>[]) => {
      const { result } = await run({
        precheck: () => ({ findings: checked }),
        submit: (_input, call) => submits[call - 1] ?? {},
      });
      return result.findings;
    };
    expect(await found([provider], { findings: [now] })).toEqual([provider, now]);
    expect(await found([before, provider], { findings: [now] })).toEqual([provider, now]);
    expect(await found([before, provider], { findings: [] })).toEqual([provider]);
    // The first one lost its answer, and the second found what it sent.
    const lost: Partial<SubmitResult> = { verdict: 'unknown', operation: null, findings: [now] };
    expect(await found([before], lost)).toEqual([now]);
    expect(await found([before], {})).toEqual([before]);
  });

  it('reports the version that was read when the target was reached meanwhile', async () => {
    const { result } = await run({
      submit: () => ({ verdict: 'already-at-target', operation: null, version: '2', reason: 'is at its target' }),
    });
    expect(result).toMatchObject({ outcome: 'AlreadyAtTarget', fromVersion: '1', toVersion: '2' });
  });

  it('adopts an upgrade that it did not submit', async () => {
    const { result } = await run({ submit: () => ({ verdict: 'adopted', reason: 'an upgrade is running' }) });
    expect(result.outcome).toBe('Adopted');
  });

  it('sends again after a proven non-acceptance, under the next submission number', async () => {
    const numbers: number[] = [];
    const { result } = await run({
      submit: (input, call) => {
        numbers.push(input.submission);
        return call === 1 ? { verdict: 'deferred', operation: null, submission: 2, reason: 'left no trace' } : {};
      },
    });
    expect(numbers).toEqual([1, 2]);
    expect(result.outcome).toBe('Succeeded');
  });

  it('holds an upgrade whose truth cannot be read, and carries the time of the lost answer on', async () => {
    const unresolved: (string | null)[] = [];
    const { result } = await run({
      submit: (input, call) => {
        unresolved.push(input.unresolvedSince);
        return call === 1
          ? { verdict: 'unknown', operation: null, unresolvedSince: '2026-11-21T10:00:00.000Z', reason: 'HTTP 503' }
          : {};
      },
    });
    expect(unresolved).toEqual([null, '2026-11-21T10:00:00.000Z']);
    expect(result.outcome).toBe('Succeeded');
  });

  it('follows an operation past its deadline, slowly', async () => {
    const overdue: boolean[] = [];
    const { result } = await run({
      awaitOperation: (input, call) => {
        overdue.push(input.overdue);
        return call < 3 ? { ended: false, providerSays: 'running', reason: 'still upgrading' } : {};
      },
    });
    expect(overdue).toEqual([false, true, true]);
    expect(result).toMatchObject({ outcome: 'Succeeded', polls: 9 });
  });

  it('shows an operation without news as stuck, and follows it on', async () => {
    const stages: unknown[] = [];
    const { result, events, phases } = await run({
      awaitOperation: ({ stuck, overdue }, call) => {
        stages.push({ stuck, overdue });
        if (call === 1) return { ended: false, stuck: true, reason: 'job running, 37 %' };
        return call === 2 ? { ended: false, reason: 'job running, 37 %' } : {};
      },
    });
    expect(stages).toEqual([
      { stuck: false, overdue: false },
      { stuck: true, overdue: false },
      { stuck: false, overdue: true },
    ]);
    expect(result.outcome).toBe('Succeeded');
    // Nobody takes it for overdue while it is verified.
    expect(phases).toEqual(['Await', 'Stuck', 'Overdue', 'Verify', 'Ended']);
    console.log(`history events of one that was stuck and overdue: ${events}`);
  });

  it('begins anew after an upgrade of somebody else that led elsewhere, where the plan says wait', async () => {
    const other = { verdict: 'not-at-target', version: '1.5', reason: 'not at its target: version 1.5' } as const;
    const script: Script = {
      precheck: (_input, call) => (call === 1 ? { verdict: 'upgrading' } : { version: '1.5' }),
      submit: (_input, call) => (call === 1 ? { verdict: 'adopted' } : {}),
      verify: (_input, call) => (call === 1 ? other : {}),
    };
    const expected: (string | null)[] = [];
    const waited = await run(
      {
        ...script,
        submit: (input, call) => {
          expected.push(input.expectedVersion);
          return call === 1 ? { verdict: 'adopted' } : {};
        },
      },
      undefined,
      { onOtherTarget: 'wait' },
    );
    expect(waited.called).toEqual([1, 2].flatMap(() => ['precheck', 'submit', 'await', 'verify']));
    expect(waited.result).toMatchObject({ outcome: 'Succeeded', fromVersion: '1.5' });
    expect(expected).toEqual(['1', '1.5']);

    const submissions: number[] = [];
    await run(
      {
        ...script,
        submit: (input, call) => {
          submissions.push(input.submission);
          if (call === 1) return { verdict: 'deferred', operation: null, submission: 2 };
          return call === 2 ? { verdict: 'adopted' } : {};
        },
      },
      undefined,
      { onOtherTarget: 'wait' },
    );
    expect(submissions).toEqual([1, 2, 2]);

    const failed = await run(script);
    expect(failed.called).toEqual(['precheck', 'submit', 'await', 'verify']);
    expect(failed.result).toMatchObject({ outcome: 'Failed' });
    expect(failed.result.reason).toContain("somebody else's upgrade led elsewhere: not at its target: version 1.5");
  });

  it('begins anew as well when the other one ended before its first look', async () => {
    const { result, called } = await run(
      {
        precheck: (_input, call) => (call === 1 ? { verdict: 'upgrading' } : { version: '1.5' }),
        submit: (_input, call) =>
          call === 1 ? { verdict: 'drifted', operation: null, version: '1.5', reason: 'version 1 then, 1.5 now' } : {},
      },
      undefined,
      { onOtherTarget: 'wait' },
    );
    expect(called).toEqual(['precheck', 'submit', 'precheck', 'submit', 'await', 'verify']);
    expect(result).toMatchObject({ outcome: 'Succeeded', fromVersion: '1.5' });
  });

  it('is refused where the other one ended elsewhere before its first look, and the plan does not say wait', async () => {
    const { result, called } = await run({
      precheck: (_input, call) => (call === 1 ? { verdict: 'upgrading' } : { version: '1.5' }),
      // As of a plan that lets another version pass.
      submit: (_input, call) =>
        call === 1
          ? { verdict: 'drifted', operation: null, version: '1.5', reason: '1 then, 1.5 now', anew: true }
          : {},
    });
    expect(called).toEqual(['precheck', 'submit']);
    expect(result).toMatchObject({ outcome: 'Refused', reason: '1 then, 1.5 now' });
  });

  describe('of another version right before its send', () => {
    const drifted: Partial<SubmitResult> = { verdict: 'drifted', operation: null, version: '1.5', reason: '1 then' };
    const call = { at: '2026-11-21T10:00:00.000Z', method: 'POST', path: '/', answer: 'throttled' as const };

    it('begins anew where the plan lets it pass', async () => {
      const expected: (string | null)[] = [];
      const { result, called } = await run({
        precheck: (_input, look) => (look === 1 ? {} : { version: '1.5' }),
        submit: (input, look) => {
          expected.push(input.expectedVersion);
          return look === 1 ? { ...drifted, anew: true } : {};
        },
      });
      expect(called).toEqual(['precheck', 'submit', 'precheck', 'submit', 'await', 'verify']);
      expect(expected).toEqual(['1', '1.5']);
      expect(result).toMatchObject({ outcome: 'Succeeded', fromVersion: '1.5' });
    });

    it.each([
      ['where the plan does not', drifted, 1],
      ['where something was sent', { ...drifted, anew: true, calls: [{ ...call, status: 429, requestId: null }] }, 1],
      ['where it changes again and again', { ...drifted, anew: true }, 4],
    ] as const)('is refused %s', async (_where, answer, looks) => {
      const { result, called } = await run({ submit: () => answer });
      expect(called.filter((step) => step === 'submit')).toHaveLength(looks);
      expect(result).toMatchObject({ outcome: 'Refused', reason: '1 then' });
    });
  });

  describe('resolved by a person', () => {
    const unknown = { verdict: 'unknown', operation: null, unresolvedSince: '2026-11-21T10:00:00.000Z' } as const;

    it.each([
      ['done', 'Succeeded'],
      ['failed', 'Failed'],
      ['not-submitted', 'NotStarted'],
    ] as const)('as %s while its truth cannot be read: %s', async (as, outcome) => {
      const { result, called } = await run({ submit: () => ({ ...unknown, reason: 'HTTP 503' }) }, async (handle) => {
        await inPhase(handle, 'Held');
        await resolveBy(handle, as);
      });
      expect(called).not.toContain('await');
      expect(result).toMatchObject({ outcome });
      expect(result.reason).toBe(`resolved as ${as} by ada@ops: seen in the console; last seen: HTTP 503`);
    });

    it('after weeks in which its truth could not be read, within the bound of a history', async () => {
      const { result, events, called } = await run(
        { verify: () => ({ verdict: 'unreadable', version: null, reason: 'HTTP 403' }) },
        async (handle) => {
          for (let week = 0; week < 4; week += 1) await env.sleep('7 days');
          await resolveBy(handle, 'done');
        },
        {},
        // Each task of a month would read all of its history again.
        false,
      );
      expect(result).toMatchObject({ outcome: 'Succeeded' });
      // A dozen a day at first, and then one.
      expect(called.filter((step) => step === 'verify').length).toBeGreaterThan(75);
      expect(events).toBeLessThanOrEqual(2_500);
    });

    it('while it is overdue: nobody waits for the operation any more', async () => {
      const { result, called } = await run(
        {
          awaitOperation: async ({ overdue }) => {
            if (!overdue) return { ended: false, reason: 'job running' };
            const { cancelled } = Context.current();
            const beat = setInterval(() => {
              Context.current().heartbeat();
            }, 500);
            await cancelled.finally(() => {
              clearInterval(beat);
            });
            return {};
          },
        },
        async (handle) => {
          await inPhase(handle, 'Overdue');
          await expect(resolveBy(handle, 'not-submitted')).rejects.toMatchObject({
            cause: { message: 'its submit was accepted (operation job-1): resolve it as done or failed' },
          });
          await resolveBy(handle, 'done');
        },
      );
      expect(called.filter((step) => step === 'verify')).toEqual([]);
      expect(result).toMatchObject({ outcome: 'Succeeded', operation: { id: 'job-1' } });
    });

    it('in the moment in which the wait for it fails for good', async () => {
      const before: HistoryEvent[] = [];
      const held = gate();
      await run(
        {
          awaitOperation: async ({ overdue }) => {
            if (!overdue) return { ended: false, reason: 'job running' };
            await held.passed;
            return {};
          },
        },
        async (handle) => {
          await inPhase(handle, 'Overdue');
          await pendingAttempt(handle, 'awaitOperation');
          const { events } = JSON.parse(historyToJSON(await handle.fetchHistory())) as { events: HistoryEvent[] };
          const wait = events.findLastIndex(({ eventType }) => eventType.endsWith('ACTIVITY_TASK_SCHEDULED'));
          before.push(...events.slice(0, wait + 1));
          held.open();
        },
      );
      const at = before.length;
      /** From the wait that is scheduled, 0. */
      const id = (after: number) => String(at + after);
      const word: Resolution = { as: 'done', actor: 'ada@ops', reason: 'seen in the console' };
      const taskQueue = { name: QUEUES.main, kind: 'TASK_QUEUE_KIND_NORMAL' };
      const payloads = [{ metadata: { encoding: base64('json/plain') }, data: base64(JSON.stringify(word)) }];
      const meta = { updateId: 'u-1', identity: 'ada@ops' };
      const acceptedRequest = { meta, input: { name: MESSAGES.resolve, args: { payloads } } };
      const failure = { message: 'of no use', applicationFailureInfo: { type: 'Any', nonRetryable: true } };
      const history = goingOn(before, [
        ['ACTIVITY_TASK_STARTED', { scheduledEventId: id(0), attempt: 1 }],
        [
          'ACTIVITY_TASK_FAILED',
          {
            scheduledEventId: id(0),
            startedEventId: id(1),
            failure,
            retryState: 'RETRY_STATE_NON_RETRYABLE_FAILURE',
          },
        ],
        ['WORKFLOW_TASK_SCHEDULED', { taskQueue }],
        ['WORKFLOW_TASK_STARTED', { scheduledEventId: id(3) }],
        ['WORKFLOW_TASK_COMPLETED', { scheduledEventId: id(3), startedEventId: id(4) }],
        [
          'WORKFLOW_EXECUTION_UPDATE_ACCEPTED',
          {
            protocolInstanceId: 'u-1',
            acceptedRequestMessageId: 'u-1/request',
            acceptedRequestSequencingEventId: id(3),
            acceptedRequest,
          },
        ],
        ['WORKFLOW_EXECUTION_UPDATE_COMPLETED', { meta, acceptedEventId: id(6), outcome: { success: {} } }],
        ['UPSERT_WORKFLOW_SEARCH_ATTRIBUTES', { workflowTaskCompletedEventId: id(5) }],
        ['WORKFLOW_EXECUTION_COMPLETED', { workflowTaskCompletedEventId: id(5) }],
      ]);
      await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history);
    });

    it('not while evidence is on its way', async () => {
      const held = gate();
      const { result } = await run(
        {
          awaitOperation: async () => {
            await held.passed;
            return {};
          },
        },
        async (handle) => {
          await inPhase(handle, 'Await');
          await expect(resolveBy(handle, 'failed')).rejects.toMatchObject({
            cause: { message: 'the upgrade is in phase Await: only one that is Held or Overdue is ended by a person' },
          });
          held.open();
        },
      );
      expect(result.outcome).toBe('Succeeded');
    });

    it.each(['deferred', 'busy', 'held-back'] as const)(
      'while a look is under way that then finds it %s: nothing is sent after that word',
      async (verdict) => {
        const look = gate();
        const { result, called } = await run(
          {
            submit: async (_input, call) => {
              if (call === 1) return { ...unknown, reason: 'HTTP 503' };
              await look.passed;
              return call === 2 ? { verdict, operation: null, reason: 'no trace', submission: 2 } : {};
            },
          },
          async (handle) => {
            await inPhase(handle, 'Held');
            await env.sleep('10m');
            await pendingAttempt(handle, 'submit');
            await resolveBy(handle, 'failed');
            look.open();
          },
        );
        expect(called).toEqual(['precheck', 'submit', 'submit']);
        expect(result).toMatchObject({ outcome: 'Failed' });
        expect(result.reason).toContain('resolved as failed by ada@ops');
      },
    );

    it('gives way to evidence that came after all', async () => {
      const look = gate();
      const { result } = await run(
        {
          submit: async (_input, call) => {
            if (call === 1) return { ...unknown, reason: 'HTTP 503' };
            await look.passed;
            return {};
          },
        },
        async (handle) => {
          await inPhase(handle, 'Held');
          await env.sleep('10m');
          await pendingAttempt(handle, 'submit');
          await resolveBy(handle, 'not-submitted');
          look.open();
        },
      );
      expect(result).toMatchObject({ outcome: 'Succeeded', operation: { id: 'job-1' } });
    });
  });

  it('reports a rollback by the version, whatever the job says', async () => {
    const { result } = await run({
      verify: () => ({ verdict: 'not-at-target', version: '1', reason: 'not at its target: version 1, status 200' }),
    });
    expect(result).toMatchObject({ outcome: 'RolledBack', toVersion: '1' });
    expect(result.reason).toContain('the provider said: job success');
  });

  it('looks again while the read-back is unreadable, and ends only on evidence', async () => {
    const { result, called } = await run({
      verify: (_input, call) => (call < 3 ? { verdict: 'unreadable', version: null, reason: 'HTTP 502' } : {}),
    });
    expect(called.filter((step) => step === 'verify')).toHaveLength(3);
    expect(result.outcome).toBe('Succeeded');
  });

  describe('cancelled', () => {
    it('before its submit: ends with nothing sent', async () => {
      const { result, called } = await run({ precheck: () => ({ verdict: 'busy', reason: 'exporting' }) }, (handle) =>
        handle.cancel().then(() => undefined),
      );
      expect(called).not.toContain('submit');
      expect(result).toMatchObject({ outcome: 'NotStarted', reason: 'stopped before anything was sent' });
    });

    it("while it follows somebody else's before its own turn: ends with nothing sent, once that has ended", async () => {
      const { script, followed, release } = heldOperations();
      const { result, called } = await run(
        {
          ...script,
          precheck: () => ({ verdict: 'upgrading' }),
          submit: () => ({ verdict: 'adopted' }),
          verify: () => ({ verdict: 'not-at-target', version: '1.5', reason: 'not at its target: version 1.5' }),
        },
        async (handle) => {
          await followed;
          await handle.cancel();
          release();
        },
        { onOtherTarget: 'wait' },
      );
      expect(called).toEqual(['precheck', 'submit', 'await', 'verify']);
      expect(result).toMatchObject({ outcome: 'NotStarted', toVersion: '1.5', failedIn: null });
      expect(result.reason).toContain("stopped before its own turn: somebody else's upgrade led elsewhere");
    });

    it("before its look finds that somebody else's has ended, which it waited for: ends with nothing sent", async () => {
      let look = () => {};
      const looks = new Promise<void>((resolve) => (look = resolve));
      let see = () => {};
      const seen = new Promise<void>((resolve) => (see = resolve));
      const { result } = await run(
        {
          precheck: () => ({ verdict: 'upgrading' }),
          submit: async () => {
            look();
            await seen;
            return { verdict: 'drifted', operation: null, version: '1.5', reason: 'version 1 then, 1.5 now' };
          },
        },
        async (handle) => {
          await looks;
          await handle.cancel();
          see();
        },
        { onOtherTarget: 'wait' },
      );
      const reason = 'stopped before its own turn: version 1 then, 1.5 now';
      expect(result).toMatchObject({ outcome: 'NotStarted', reason, failedIn: null });
    });

    it('after its submit: is followed to the end', async () => {
      const { script, followed, release } = heldOperations();
      const { result, called } = await run(script, async (handle) => {
        await followed;
        await handle.cancel();
        release();
      });
      expect(called).toEqual(['precheck', 'submit', 'await', 'verify']);
      expect(result.outcome).toBe('Succeeded');
    });
  });
});
