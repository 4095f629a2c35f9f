/** Who may let what begin: a table, and real workflows for what follows. */
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Approvals } from '../../workflows/approvals.js';
import {
  whyNoQuorum,
  type Approval,
  type ControlRequest,
  type DecisionRequest,
  type SkipRequest,
} from '../../workflows/contracts/control.js';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutStatus } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

const HOUR = 3_600_000;
const rule: Approval = { quorum: 2, approvers: ['ana', 'ben', 'cem'], expiresAfterMs: 24 * HOUR };
const word = (over: Partial<DecisionRequest> = {}): DecisionRequest => ({
  decision: 'approve',
  planDigest: 'digest',
  actor: 'ben',
  reason: 'looked at it',
  ...over,
});

describe('who may decide', () => {
  const gates = [
    { wave: null, title: 'the rollout', rule },
    { wave: 2, title: 'wave rest', rule: { ...rule, quorum: 1 } },
  ];
  const fresh = () => new Approvals(gates, { rollout: 'r', planDigest: 'digest', startedBy: 'ana' });
  it.each([
    ['no approver', word({ actor: 'dan' }), null, 'dan is no approver of the rollout: it needs 2 of ana, ben, cem'],
    ['the requester', word({ actor: 'ana' }), null, 'ana started this rollout and may not approve it'],
    ['another plan', word({ planDigest: 'other' }), null, 'it is for plan other, and this is digest'],
    ['no reason', word({ reason: '' }), null, 'it has an actor and a reason'],
    [
      'nothing waits',
      word(),
      undefined,
      'it waits for no approval now (the rollout, wave rest can be approved ahead, by name)',
    ],
    ['a wave without a gate', word({ wave: 1 }), null, 'that needs no approval (the rollout, wave rest does)'],
  ] as const)('%s: is refused', (_what, request, waiting, message) => {
    expect(() => fresh().mayDecide(request, waiting)).toThrow(message);
  });
  it('counts each person once, up to the quorum, ahead of time too', () => {
    const approvals = fresh();
    expect(approvals.decide(word(), null, 'now')).toBe(
      'waits for approval of the rollout: 1 of 2 given (ben); cem may',
    );
    expect(() => approvals.mayDecide(word(), null)).toThrow('ben has approved the rollout already');
    expect(() => approvals.mayDecide(word({ decision: 'reject' }), null)).not.toThrow();
    expect(approvals.isGiven(null)).toBe(false);
    approvals.mayDecide(word({ actor: 'cem' }), null);
    expect(approvals.decide(word({ actor: 'cem' }), null, 'now')).toBe('the rollout is approved');
    expect(approvals.isGiven(null)).toBe(true);
    expect(() => approvals.mayDecide(word(), null)).toThrow('the rollout was approved by ben, cem at now');
    expect(approvals.decide(word({ wave: 2 }), undefined, 'now')).toBe('wave rest is approved');
    expect([approvals.isGiven(1), approvals.isGiven(2)]).toEqual([true, true]);
  });
  it('tells who comes too late what was approved, and what still ends the rollout', () => {
    const approvals = fresh();
    for (const actor of ['ben', 'cem']) approvals.decide(word({ actor }), null, 'now');
    expect(() => approvals.mayDecide(word(), undefined)).toThrow(
      /^it waits for no approval now \(wave rest can be approved ahead, by name\): the rollout was approved by ben, cem at now$/,
    );
    const stop = '; `uplift stop r --reason …` ends the rollout';
    const reject = word({ decision: 'reject' });
    expect(() => approvals.mayDecide(reject, null)).toThrow(`the rollout was approved by ben, cem at now${stop}`);
    approvals.decide(word({ wave: 2 }), undefined, 'later');
    expect(() => approvals.mayDecide(reject, undefined)).toThrow(
      `it waits for no approval now: wave rest was approved by ben at later${stop}`,
    );
  });
});

describe('roles', () => {
  const roles = { dba: ['ana', 'ben'] };
  const asked: Approval = { ...rule, approvers: ['ana', 'ben', 'cem'], roles };
  const of = (more: Partial<RolloutInput>) =>
    new Approvals([{ wave: null, title: 'the rollout', rule: asked }], {
      planDigest: 'digest',
      startedBy: 'eve',
      ...more,
    } as RolloutInput);

  it('are named with those who have them, to whom is refused and to whom waits', () => {
    expect(() => of({}).mayDecide(word({ actor: 'dan' }), null)).toThrow(
      'dan is no approver of the rollout: it needs 2 of role dba (ana, ben), cem',
    );
    const waits = of({});
    expect(waits.whyWaiting(null)).toBe(
      'waits for approval of the rollout: 0 of 2 given; role dba (ana, ben), cem may',
    );
    expect(waits.decide(word(), null, 'now')).toBe(
      'waits for approval of the rollout: 1 of 2 given (ben); role dba (ana), cem may',
    );
    expect(waits.state(null, 0)).toMatchObject({ may: ['ana', 'cem'], roles });
    expect(waits.decide(word({ actor: 'ana' }), null, 'now')).toBe('the rollout is approved');
  });

  it('let none of those in who started it, or what it tries again', () => {
    const retryOf = { rollout: 'r', runId: 'run', reason: 'again', startedBy: ['ana', 'zoe'] };
    const retried = of({ retryOf, startedBy: 'ben' });
    expect(() => retried.mayDecide(word({ actor: 'ana' }), null)).toThrow(
      'ana started what this rollout tries again and may not approve it',
    );
    expect(() => retried.mayDecide(word({ actor: 'ben' }), null)).toThrow(
      'ben started this rollout and may not approve it',
    );
    expect(retried.state(null, 0)?.may).toEqual(['cem']);
    expect(whyNoQuorum(asked, 'ben', retryOf.startedBy)).toBe(
      'ben starts it and may not approve it any more than ana, who started what it tries again, so 1 of a quorum of 2 are left',
    );
    expect(whyNoQuorum({ ...asked, quorum: 1 }, 'ben', retryOf.startedBy)).toBeNull();
  });
});

it('who triggered the schedule may not approve, any more than who made it', () => {
  const schedule = { name: 'patching', opens: '2026-12-12T21:00:00Z', closes: null, triggeredBy: 'ben' };
  const gate = { wave: null, title: 'the rollout', rule: { ...rule, approvers: ['ana', 'ben', 'cem'] } };
  const triggered = new Approvals([gate], { rollout: 'r', planDigest: 'digest', startedBy: 'ana', schedule });
  expect(() => triggered.mayDecide(word(), null)).toThrow(
    "ben triggered this rollout's schedule and may not approve it",
  );
  expect(triggered.state(null, 0)?.may).toEqual(['cem']);
  expect(whyNoQuorum(gate.rule, 'ana', ['ben'], 'who triggered it')).toBe(
    'ana starts it and may not approve it any more than ben, who triggered it, so 1 of a quorum of 2 are left',
  );
});

describe('a rollout that needs approval', () => {
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
    gates: Pick<RolloutInput, 'approval'> & {
      wave?: Approval;
      after?: readonly UpgradeSpec[];
      verify?: Script['verify'];
    },
    meanwhile: (handle: Handle) => Promise<void>,
  ) {
    const id = `a-${(number += 1)}`;
    const steps = scriptedSteps(gates.verify && { verify: gates.verify });
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
              { name: 'canary', concurrency: 1, upgrades: [spec(`${id}-1`)] },
              {
                name: 'rest',
                concurrency: 1,
                upgrades: [spec(`${id}-2`)],
                ...(gates.wave && { approval: gates.wave }),
              },
              ...(gates.after === undefined ? [] : [{ name: 'after', concurrency: 1, upgrades: gates.after }]),
            ],
            budget: { max: 0, mode: 'strict' },
            accountLimits: {},
            timing: { scale: 1 },
            ...(gates.approval && { approval: gates.approval }),
          },
        ],
      });
      await meanwhile(handle);
      const result = await endedRollout(handle);
      return { result, called: steps.called, status: await statusOf(handle) };
    });
  }

  const decide = (handle: Handle, over: Partial<DecisionRequest> = {}) =>
    handle.executeUpdate<string, [DecisionRequest]>(MESSAGES.decide, { args: [word(over)] }).catch((error: unknown) => {
      if (error instanceof WorkflowUpdateFailedError) return error.cause?.message;
      throw error;
    });
  const statusOf = (handle: Handle) => handle.query<RolloutStatus>(MESSAGES.rolloutStatus);
  async function until(handle: Handle, holds: (status: RolloutStatus) => boolean): Promise<RolloutStatus> {
    for (;;) {
      const status = await statusOf(handle);
      if (holds(status)) return status;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const waiting = (handle: Handle) => until(handle, ({ state }) => state === 'Waiting');
  function gate() {
    let open = () => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    return { opened, open: () => open() };
  }

  it('begins nothing before its quorum, and says for whom it waits', async () => {
    const { result, status } = await run({ approval: rule, wave: { ...rule, quorum: 1 } }, async (handle) => {
      expect((await waiting(handle)).reason).toBe('waits for approval of the rollout: 0 of 2 given; ben, cem may');
      expect(await decide(handle, { actor: 'ana' })).toBe('ana started this rollout and may not approve it');
      await decide(handle);
      expect((await waiting(handle)).waves.map(({ state }) => state)).toEqual(['Pending', 'Pending']);
      expect(await decide(handle, { actor: 'cem' })).toBe('the rollout is approved');
      const later = await waiting(handle);
      expect(later.waves.map(({ state }) => state)).toEqual(['Done', 'Pending']);
      expect(await decide(handle)).toBe('wave rest is approved');
    });
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 2 } });
    expect(status.acts?.map(({ act, actor }) => `${act} ${actor}`)).toEqual([
      'approve ben',
      'approve cem',
      'approve ben',
    ]);
  });

  it('ends as rejected, with who and why', async () => {
    const { result, called } = await run({ approval: rule }, async (handle) => {
      await waiting(handle);
      expect(await decide(handle, { decision: 'reject', reason: 'not this week' })).toBe(
        'the rollout is rejected: the rollout ends',
      );
    });
    expect(result).toMatchObject({ outcome: 'Rejected', counts: { NotStarted: 2 } });
    expect(result.reason).toBe('rejected: 0 of 2 at target, 0 failed; the rollout by ben: not this week');
    expect(called).toEqual([]);
  });

  it('does not wait for the approval of a wave that is skipped meanwhile, and goes on', async () => {
    const { result } = await run({ wave: rule, after: [spec('a-after')] }, async (handle) => {
      await waiting(handle);
      await skip(handle, 2);
    });
    expect(result).toMatchObject({ outcome: 'SucceededWithFailures', counts: { Succeeded: 2, Skipped: 1 } });
    expect(result.waves?.map(({ state }) => state)).toEqual(['Done', 'Skipped', 'Done']);
  });

  const skip = (handle: Handle, wave: number) =>
    handle.executeUpdate<string, [SkipRequest]>(MESSAGES.skip, {
      args: [{ wave, upgrade: null, actor: 'ana', reason: 'not needed' }],
    });

  const pause: ControlRequest = { requestId: 'pause', act: 'pause', actor: 'ana', reason: 'lunch' };

  it.each([
    ['waits', []],
    ['is paused', [pause]],
  ])('ends at once when every wave is skipped while it %s', async (_how, words) => {
    const { result, called } = await run({ approval: rule }, async (handle) => {
      await waiting(handle);
      for (const word of words) await handle.signal(MESSAGES.control, word);
      await skip(handle, 2);
      expect(await decide(handle)).toBe('waits for approval of the rollout: 1 of 2 given (ben); cem may');
      await skip(handle, 1);
    });
    const reason = 'stopped: 0 of 2 at target, 0 failed, 2 skipped; every wave was skipped';
    expect(result).toMatchObject({ outcome: 'Stopped', reason, counts: { Skipped: 2 } });
    expect(called).toEqual([]);
  });

  it('ends though it is paused, when it is rejected', async () => {
    const { result } = await run({ wave: rule }, async (handle) => {
      await waiting(handle);
      await handle.signal(MESSAGES.control, pause);
      expect(await decide(handle, { decision: 'reject' })).toBe('wave rest is rejected: the rollout ends');
    });
    expect(result).toMatchObject({ outcome: 'Rejected', counts: { Succeeded: 1, NotStarted: 1 } });
  });

  it('ends though it is paused, when a wave ahead is rejected after that', async () => {
    const [verifying, release] = [gate(), gate()];
    const verify = () => {
      verifying.open();
      return release.opened.then(() => ({}));
    };
    const { result } = await run({ wave: rule, verify }, async (handle) => {
      await verifying.opened;
      await handle.signal(MESSAGES.control, pause);
      await until(handle, ({ state }) => state === 'Paused');
      release.open();
      await until(handle, ({ waves }) => waves[0]?.state === 'Done');
      await decide(handle, { wave: 2, decision: 'reject' });
    });
    expect(result).toMatchObject({ outcome: 'Rejected', counts: { Succeeded: 1, NotStarted: 1 } });
  });

  it('ends though it is paused, when nobody approves in time', async () => {
    const { result } = await run({ wave: rule }, async (handle) => {
      await waiting(handle);
      await handle.signal(MESSAGES.control, pause);
    });
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, NotStarted: 1 } });
    expect(result.reason).toContain('the approval of wave rest did not come in time');
  });

  it('rejected ahead, ends once what runs has ended, and says so; another word comes too late', async () => {
    const release = gate();
    const { result } = await run({ wave: rule, verify: () => release.opened.then(() => ({})) }, async (handle) => {
      await until(handle, ({ waves }) => waves[0]?.state === 'Running');
      expect(await decide(handle, { wave: 2, decision: 'reject', reason: 'too soon' })).toBe(
        'wave rest is rejected: the rollout ends once wave canary has ended',
      );
      expect(await statusOf(handle)).toMatchObject({
        state: 'Running',
        reason:
          'wave canary is running; wave rest was rejected by ben: too soon: the rollout ends once wave canary has ended',
      });
      expect(await decide(handle, { wave: 2, decision: 'reject', actor: 'cem' })).toBe(
        'wave rest was rejected by ben already: too soon',
      );
      release.open();
    });
    expect(result).toMatchObject({ outcome: 'Rejected', counts: { Succeeded: 1, NotStarted: 1 } });
  });

  it('ends when nobody approves in time', async () => {
    const { result } = await run({ wave: rule }, () => Promise.resolve());
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, NotStarted: 1 } });
    expect(result.reason).toContain('the approval of wave rest did not come in time');
  });

  it('can be stopped while it waits', async () => {
    const { result } = await run({ approval: rule }, async (handle) => {
      await waiting(handle);
      const request: ControlRequest = { requestId: 'x', act: 'stop', actor: 'ana', reason: 'no need' };
      await handle.signal(MESSAGES.control, request);
    });
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { NotStarted: 2 } });
  });
});
