/** A person's hand on a rollout: what is sent afterwards, what goes on, and what the status tells. */
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rolloutHold } from '../../activities/hold.js';
import { keepInventory } from '../../activities/inventory.js';
import { control as send } from '../../client/control.js';
import {
  type ConcurrencyRequest,
  type ControlRequest,
  type DecisionRequest,
  HOLD_MEMO,
  type SkipRequest,
} from '../../workflows/contracts/control.js';
import { rolloutWorkflowId, runKey, shardWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutStatus, WavePlan } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { Control } from '../../workflows/control.js';
import type { RolloutState } from '../../workflows/rollout-state.js';
import type { rollout } from '../../workflows/rollout.js';
import { endedRollout } from '../support/ended.js';
import { timeSkippingEnvironment } from '../support/environment.js';
import { asksForHold, heldOperations, type Script, scriptedSteps, spec } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

let env: TestWorkflowEnvironment;
let number = 0;

beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

type Handle = WorkflowHandle<typeof rollout>;

interface Plan {
  readonly waves: readonly (readonly UpgradeSpec[])[];
  readonly concurrency?: number;
  readonly shardSize?: number;
  readonly quarantineAfter?: number;
  readonly budget?: RolloutInput['budget'];
  /** Of each wave, or of the waves in their order. */
  readonly maxFailures?: number | readonly number[];
  readonly accountLimits?: RolloutInput['accountLimits'];
  /** Of the waves, in their order. */
  readonly limits?: readonly WavePlan['limits'][];
  readonly approvals?: readonly WavePlan['approval'][];
}

function maxFailuresOf({ maxFailures }: Plan, at: number): Pick<WavePlan, 'maxFailures'> {
  const own = typeof maxFailures === 'object' ? maxFailures[at] : maxFailures;
  return own === undefined ? {} : { maxFailures: own };
}

/** A gate that steps wait at until it is opened. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}

function specs(count: number): UpgradeSpec[] {
  return Array.from({ length: count }, (_, at) => spec(`c${(number += 1)}-${at}`));
}

async function run(
  plan: Plan,
  script: Script,
  meanwhile: (handle: Handle, called: readonly string[]) => Promise<void>,
) {
  const id = `c-${(number += 1)}`;
  const steps = scriptedSteps(script);
  return withScriptedWorkers(env, steps, async () => {
    const input = await keepInventory(
      env.client,
      {
        rollout: id,
        planDigest: 'digest',
        startedBy: 'test',
        waves: plan.waves.map((upgrades, at) => ({
          name: `wave ${at + 1}`,
          concurrency: plan.concurrency ?? 1,
          upgrades,
          ...maxFailuresOf(plan, at),
          ...(plan.limits?.[at] === undefined ? {} : { limits: plan.limits[at] }),
          ...(plan.approvals?.[at] === undefined ? {} : { approval: plan.approvals[at] }),
        })),
        budget: plan.budget ?? { max: 9, mode: 'loose' },
        accountLimits: plan.accountLimits ?? {},
        timing: { scale: 1 },
        ...(plan.quarantineAfter === undefined ? {} : { quarantineAfter: plan.quarantineAfter }),
      },
      plan.shardSize,
    );
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [input],
    });
    await meanwhile(handle, steps.called);
    const result = await endedRollout(handle);
    return { result, status: await statusOf(handle), called: steps.called };
  });
}

const statusOf = (handle: Handle) => handle.query<RolloutStatus>(MESSAGES.rolloutStatus);

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50));
}

async function eventsOf(handle: WorkflowHandle | null) {
  return (await handle?.fetchHistory())?.events ?? [];
}

let request = 0;
async function control(handle: Handle, act: ControlRequest['act']): Promise<void> {
  const requestId = `request-${(request += 1)}`;
  await handle.signal(MESSAGES.control, { requestId, act, actor: 'ana', reason: `to ${act}` } satisfies ControlRequest);
  await until(async () => (await statusOf(handle)).acts?.some((one) => one.requestId === requestId) === true);
}

/** Once these shards of the first wave have heard of the hold. */
async function held(handle: Handle, shards: readonly number[]): Promise<void> {
  const { rollout: id } = await statusOf(handle);
  const { runId } = await handle.describe();
  for (const shard of shards) {
    const running = env.client.workflow.getHandle(shardWorkflowId(id, runKey({ rolloutRun: runId }), 1, shard));
    await until(async () =>
      (await eventsOf(running)).some(({ workflowExecutionSignaledEventAttributes: signal }) =>
        Buffer.from(signal?.input?.payloads?.[0]?.data ?? [])
          .toString()
          .includes('"hold":"paused by ana'),
      ),
    );
  }
}

const skip = (handle: Handle, what: Pick<SkipRequest, 'wave' | 'upgrade'>) =>
  handle.executeUpdate<string, [SkipRequest]>(MESSAGES.skip, { args: [{ ...what, actor: 'ana', reason: 'broken' }] });
const orderOf = ({ resource }: UpgradeSpec) => ({
  shard: 1,
  workflowId: upgradeWorkflowId(resource),
  title: resource.id,
});
const concurrency = (handle: Handle, value: number, wave: number | null = null, validUntil?: string) =>
  handle.executeUpdate<string, [ConcurrencyRequest]>(MESSAGES.setConcurrency, {
    args: [{ wave, concurrency: value, actor: 'ana', reason: 'in a hurry', ...(validUntil && { validUntil }) }],
  });
const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => 'was taken',
    (error: unknown) => (error instanceof WorkflowUpdateFailedError ? error.cause?.message : String(error)),
  );

/** Without its times: the server's clock has skipped hours that its sender's has not, so it may be heard late. */
const undated = (words: unknown) => String(words).replaceAll(/ at \S+?(?: \(heard at \S+?\))?: /g, ': ');

describe('pause', () => {
  it('starts nothing until it is resumed; what was submitted goes on, and the status says who and why', async () => {
    const [first, second, third] = specs(3) as [UpgradeSpec, UpgradeSpec, UpgradeSpec];
    const operations = heldOperations();
    const { result, status } = await run(
      { waves: [[first, second], [third]] },
      operations.script,
      async (handle, called) => {
        await operations.followed;
        await control(handle, 'pause');
        await held(handle, [1]);
        operations.release();
        await until(() => called.includes(`verify ${first.resource.id}`));
        const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(first.resource));
        await upgrade.result();
        expect(await statusOf(handle)).toMatchObject({ state: 'Paused' });
        expect((await statusOf(handle)).reason).toMatch(/^paused by ana at \S+: to pause; what was submitted goes on$/);
        expect(called.filter((entry) => entry.startsWith('precheck'))).toHaveLength(1);
        await control(handle, 'resume');
      },
    );
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 3 } });
    expect(status.acts?.map(({ act, actor, reason }) => `${act} ${actor} ${reason}`)).toEqual([
      'pause ana to pause',
      'resume ana to resume',
    ]);
  });

  it('is lifted by one resume however many said it, which then tells whose else it lifts', async () => {
    const ids = specs(2);
    const operations = heldOperations();
    const { status } = await run({ waves: [ids] }, operations.script, async (handle) => {
      await operations.followed;
      const { rollout: id } = await statusOf(handle);
      const say = (act: ControlRequest['act'], actor: string, reason: string) =>
        send(env.client, id, { act, actor, reason });
      expect(await say('pause', 'ana', 'a look')).toMatchObject({ heard: true, also: null });
      await say('pause', 'ben', 'a backup runs');
      // Who repeats it pauses nothing twice.
      await say('pause', 'ana', 'a look');
      const { state, reason } = await statusOf(handle);
      expect(state).toBe('Paused');
      const both = 'paused by ana: a look; paused by ben: a backup runs';
      expect(undated(reason)).toBe(`${both}; what was submitted goes on`);
      const { memo } = await handle.describe();
      expect(undated(memo?.[HOLD_MEMO])).toBe(both);
      expect(await say('resume', 'ana', 'seen')).toMatchObject({
        heard: true,
        also: "this also ends ben's pause: a backup runs",
      });
      // And no pause outlives it.
      expect((await statusOf(handle)).state).toBe('Running');
      await say('pause', 'cem', 'again');
      expect(undated((await statusOf(handle)).reason)).toBe('paused by cem: again; what was submitted goes on');
      expect(await say('resume', 'ben', 'it is fine')).toMatchObject({ also: "this ends cem's pause: again" });
      expect(await say('resume', 'ben', 'once more')).toMatchObject({ also: null });
      operations.release();
    });
    expect(status.acts?.filter(({ act }) => act === 'resume').map(({ also }) => also)).toEqual([
      "this also ends ben's pause: a backup runs",
      "this ends cem's pause: again",
      undefined,
    ]);
  });

  it('reaches an upgrade right before its send, which then waits without spending its patience', async () => {
    const [one] = specs(1) as [UpgradeSpec];
    const atSend = gate();
    const paused = gate();
    const { result, called } = await run(
      { waves: [[one]] },
      {
        submit: asksForHold(() => {
          atSend.open();
          return paused.opened;
        }),
      },
      async (handle, steps) => {
        await atSend.opened;
        await control(handle, 'pause');
        paused.open();
        await until(() => steps.filter((entry) => entry.startsWith('submit')).length >= 1);
        const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(one.resource));
        await until(async () => (await eventsOf(upgrade)).some((event) => event.timerStartedEventAttributes != null));
        await control(handle, 'resume');
      },
    );
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 1 } });
    expect(called.filter((entry) => entry.startsWith('submit')).length).toBeGreaterThanOrEqual(2);
  });

  it('ends one that is cancelled while it is held back, and follows the others', async () => {
    const [one, other] = specs(2) as [UpgradeSpec, UpgradeSpec];
    const atSend = gate();
    const paused = gate();
    const ended = gate();
    const { result } = await run(
      { waves: [[one, other]] },
      {
        submit: (input, call) =>
          input.spec.resource.id === other.resource.id
            ? {}
            : asksForHold(() => {
                atSend.open();
                return paused.opened;
              })(input, call),
        awaitOperation: async () => {
          await ended.opened;
          return {};
        },
      },
      async (handle) => {
        await atSend.opened;
        await control(handle, 'pause');
        await held(handle, [1]);
        paused.open();
        const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(one.resource));
        await until(async () => (await eventsOf(upgrade)).some((event) => event.timerStartedEventAttributes != null));
        await upgrade.cancel();
        await upgrade.result();
        ended.open();
        await control(handle, 'resume');
      },
    );
    expect(result).toMatchObject({ counts: { Succeeded: 1, NotStarted: 1 } });
  });

  it('spends no patience of an upgrade that waits for a busy resource', async () => {
    const [one] = specs(1) as [UpgradeSpec];
    const looked = gate();
    const paused = gate();
    let isBusy = true;
    const precheck: Script['precheck'] = async (input) => {
      looked.open();
      await paused.opened;
      if (!isBusy) return {};
      const hold = await rolloutHold(input);
      return { verdict: 'busy', reason: 'busy: exporting', ...(hold !== null && { held: hold.reason }) };
    };
    const { result } = await run(
      { waves: [[one]], budget: { max: 0, mode: 'strict' } },
      { precheck },
      async (handle, called) => {
        await looked.opened;
        await control(handle, 'pause');
        await held(handle, [1]);
        paused.open();
        while (called.length < 3) await env.sleep('5 hours');
        expect(await statusOf(handle)).toMatchObject({ state: 'Paused' });
        const looks = called.length;
        await control(handle, 'resume');
        // Still busy right after the hold, it has its patience.
        await until(() => called.length > looks);
        isBusy = false;
      },
    );
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 1 } });
  });

  it('keeps the histories short while it lasts for months', async () => {
    const LOOKS = 7;
    const [one] = specs(1) as [UpgradeSpec];
    const atSend = gate();
    const paused = gate();
    const upgrade = env.client.workflow.getHandle(upgradeWorkflowId(one.resource));
    let shard: WorkflowHandle | null = null;
    const { result } = await run(
      { waves: [[one]] },
      {
        submit: asksForHold(() => {
          atSend.open();
          return paused.opened;
        }),
      },
      async (handle, called) => {
        await atSend.opened;
        const { runId } = await handle.describe();
        shard = env.client.workflow.getHandle(
          shardWorkflowId((await statusOf(handle)).rollout, runKey({ rolloutRun: runId }), 1, 1),
        );
        await control(handle, 'pause');
        // Else it is told to look again until its shard has heard of the hold.
        await held(handle, [1]);
        paused.open();
        while (called.filter((entry) => entry.startsWith('submit')).length < LOOKS) await env.sleep('1 day');
        await control(handle, 'resume');
      },
    );
    expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: 1 } });
    const events = await eventsOf(upgrade);
    const pauses = events.flatMap(({ timerStartedEventAttributes: timer }) =>
      timer == null ? [] : [Number(timer.startToFireTimeout?.seconds) / 3_600],
    );
    expect(pauses.slice(0, LOOKS - 1)).toEqual([2, 4, 8, 16, 24, 24]);
    const told = (await eventsOf(shard)).filter(
      ({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName === MESSAGES.upgradeHeldBack,
    );
    expect(told).toHaveLength(1);
  });

  it('holds for shards that are open and for those that are not yet', async () => {
    const upgrades = specs(6);
    const operations = heldOperations();
    const { result } = await run(
      { waves: [upgrades], concurrency: 3, shardSize: 2 },
      operations.script,
      async (handle, called) => {
        await until(() => called.filter((entry) => entry.startsWith('await')).length === 3);
        await control(handle, 'pause');
        await held(handle, [1, 2]);
        operations.release();
        for (const { resource } of upgrades.slice(0, 3)) {
          await env.client.workflow.getHandle(upgradeWorkflowId(resource)).result();
        }
        expect(called.filter((entry) => entry.startsWith('precheck'))).toHaveLength(3);
        await control(handle, 'resume');
      },
    );
    expect(result.counts).toEqual({ Succeeded: 6 });
  });
});

describe('stop', () => {
  it.each([[false], [true]])('ends after what was submitted, paused before: %s', async (pausedBefore) => {
    const upgrades = specs(3);
    const operations = heldOperations();
    const { result } = await run({ waves: [upgrades, specs(1)] }, operations.script, async (handle) => {
      await operations.followed;
      if (pausedBefore) await control(handle, 'pause');
      await control(handle, 'stop');
      expect((await statusOf(handle)).state).toBe('Stopping');
      operations.release();
    });
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, NotStarted: 3 } });
    expect(result.reason).toMatch(/; stopped by ana at \S+: to stop$/);
  });
});

describe('skip', () => {
  it('leaves out what has not started: a resource now, one of a later wave, a wave', async () => {
    const [first, second] = [specs(3), specs(2)];
    const operations = heldOperations();
    const order = (wave: number, one: UpgradeSpec | undefined) => ({
      wave,
      upgrade: { shard: 1, workflowId: upgradeWorkflowId(one?.resource ?? spec('x').resource), title: 'it' },
    });
    const { result, status } = await run({ waves: [first, second, specs(4)] }, operations.script, async (handle) => {
      await operations.followed;
      expect(await skip(handle, order(1, first[1]))).toBe('it is left out, unless it has started already');
      await skip(handle, order(2, second[0]));
      expect(await skip(handle, { wave: 3, upgrade: null })).toBe('wave wave 3: is left out');
      expect(await refusal(skip(handle, { wave: 3, upgrade: null }))).toBe('wave wave 3 is over: Skipped');
      expect(await refusal(skip(handle, { wave: 4, upgrade: null }))).toBe('there is no wave 4');
      operations.release();
    });
    expect(result).toMatchObject({
      outcome: 'SucceededWithFailures',
      counts: { Succeeded: 3, Skipped: 6 },
      failures: 0,
    });
    expect(status.waves.map(({ state }) => state)).toEqual(['Done', 'Done', 'Skipped']);
  });

  it('leaves the rest of a running wave out, and goes on with the next', async () => {
    const operations = heldOperations();
    const { result } = await run({ waves: [specs(5), specs(1)], shardSize: 2 }, operations.script, async (handle) => {
      await operations.followed;
      expect(await skip(handle, { wave: 1, upgrade: null })).toBe(
        'wave wave 1: what has not started of it is left out',
      );
      operations.release();
    });
    expect(result).toMatchObject({ outcome: 'SucceededWithFailures', counts: { Succeeded: 2, Skipped: 4 } });
  });

  it('of the rest of a running wave holds also when the rollout is stopped after it', async () => {
    const operations = heldOperations();
    const { result } = await run({ waves: [specs(5), specs(1)], shardSize: 2 }, operations.script, async (handle) => {
      await operations.followed;
      await skip(handle, { wave: 1, upgrade: null });
      await control(handle, 'stop');
      operations.release();
    });
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, Skipped: 4, NotStarted: 1 } });
  });

  it('of all that is to come ends a rollout that is paused', async () => {
    const operations = heldOperations();
    const { result } = await run({ waves: [specs(1), specs(1), specs(1)] }, operations.script, async (handle) => {
      await operations.followed;
      await control(handle, 'pause');
      operations.release();
      await until(async () => (await statusOf(handle)).waves[0]?.state === 'Done');
      await skip(handle, { wave: 3, upgrade: null });
      await skip(handle, { wave: 2, upgrade: null });
    });
    expect(result).toMatchObject({ outcome: 'SucceededWithFailures', counts: { Succeeded: 1, Skipped: 2 } });
  });
});

describe('skip of a running wave', () => {
  it('leaves alone what waits for a name that was reached', async () => {
    const [engine, other, client] = specs(3) as [UpgradeSpec, UpgradeSpec, UpgradeSpec];
    const operations = heldOperations();
    const { result } = await run(
      {
        waves: [
          [
            { ...engine, provides: ['engine'] },
            { ...other, provides: ['other'] },
          ],
          [{ ...client, after: ['engine'] }],
        ],
        shardSize: 1,
      },
      operations.script,
      async (handle) => {
        await operations.followed;
        await skip(handle, { wave: 1, upgrade: null });
        operations.release();
      },
    );
    expect(result.counts).toEqual({ Succeeded: 2, Skipped: 1 });
  });

  it.each(['its wave', 'each of its resources'])(
    'of all that has not started leaves nothing that failed: by skipping %s',
    async (what) => {
      const [one, two] = specs(2);
      const until2099 = { scope: [{}], except: [], until: '2099-01-01T00:00:00.000Z', reason: 'audit', owner: 'ben' };
      const frozen = { ...until2099, id: 'freeze-all', since: '2026-11-20T12:00:00.000Z' };
      const ended = gate();
      const { result, called } = await run(
        { waves: [[one ?? spec('x'), two ?? spec('y')]], budget: { max: 0, mode: 'strict' } },
        {
          readFreezes: async () => [frozen],
          freezesEnded: async () => {
            await ended.opened;
            return [];
          },
        },
        async (handle) => {
          await until(async () => (await statusOf(handle)).reason.includes('frozen'));
          const upgrades = what === 'its wave' ? [null] : [one, two].map((each) => orderOf(each ?? spec('x')));
          for (const upgrade of upgrades) await skip(handle, { wave: 1, upgrade });
          await handle.result();
          ended.open();
        },
      );
      expect(called).toEqual([]);
      expect(result).toMatchObject({ outcome: 'Stopped', counts: { Skipped: 2 } });
      expect(result.reason).toBe('stopped: 0 of 2 at target, 0 failed, 2 skipped; every wave was skipped');
    },
  );

  it('of one, twice, is not told as the end of all where another was skipped since it keeps failing', async () => {
    const [one, two] = specs(2) as [UpgradeSpec, UpgradeSpec];
    const until2099 = { scope: [{}], except: [], until: '2099-01-01T00:00:00.000Z', reason: 'audit', owner: 'ben' };
    const frozen = { ...until2099, id: 'freeze-all', since: '2026-11-20T12:00:00.000Z' };
    const last = { rollout: 'earlier', reason: 'down', at: frozen.since };
    const failing = { [upgradeWorkflowId(two.resource)]: { failures: 1, since: frozen.since, last } };
    const ended = gate();
    const { result } = await run(
      { waves: [[one, two]], quarantineAfter: 1 },
      {
        readQuarantine: async () => failing,
        readFreezes: async () => [frozen],
        freezesEnded: () => ended.opened.then(() => []),
      },
      async (handle) => {
        await until(async () => (await statusOf(handle)).reason.includes('frozen'));
        const again = skip(handle, { wave: 1, upgrade: orderOf(one) });
        await Promise.all([skip(handle, { wave: 1, upgrade: orderOf(one) }), again]);
        await handle.result().catch(() => undefined);
        ended.open();
      },
    );
    expect(result).toMatchObject({ outcome: 'Failed', counts: { Skipped: 2 } });
    expect(result.reason).toBe('0 of 2 at target, 0 failed, 2 skipped');
  });

  it('is refused once nothing more of the rollout begins', async () => {
    const operations = heldOperations();
    const waves = [specs(2)];
    const { result } = await run({ waves }, operations.script, async (handle) => {
      await operations.followed;
      await control(handle, 'stop');
      expect(await refusal(skip(handle, { wave: 1, upgrade: null }))).toBe('nothing more of the rollout begins');
      operations.release();
    });
    expect(result.counts).toEqual({ Succeeded: 1, NotStarted: 1 });
  });

  it('is taken after as many resources were skipped as may be', () => {
    const waves = [60, 40].map((length) => ({ state: 'Running', skips: Array.from({ length }) }));
    const control = new Control({ openWave: () => waves[0], waves } as unknown as RolloutState);
    const request: SkipRequest = { wave: 1, upgrade: null, actor: 'ana', reason: 'broken' };
    const upgrade = { shard: 1, workflowId: 'upgrade/x', title: 'x' };
    expect(() => control.maySkip({ ...request, upgrade })).toThrow(
      '100 resources of the rollout are skipped one by one: skip a wave',
    );
    expect(() => control.maySkip(request)).not.toThrow();
  });
});

describe('concurrency', () => {
  it('changes while it runs, up and down, and says what the budget makes of it', async () => {
    const release = gate();
    let [flying, most] = [0, 0];
    const { result, status } = await run(
      { waves: [specs(6), specs(4)], concurrency: 1, budget: { max: 3, mode: 'strict' } },
      {
        awaitOperation: async () => {
          flying += 1;
          most = Math.max(most, flying);
          await release.opened;
          flying -= 1;
          return {};
        },
      },
      async (handle) => {
        await until(() => flying === 1);
        expect(await concurrency(handle, 3)).toBe('3 at a time');
        await until(() => flying === 3);
        expect(await concurrency(handle, 9, 1)).toBe('9 at a time in wave wave 1; the strict budget of 3 allows 4 now');
        await until(() => flying === 4);
        expect(await concurrency(handle, 2, 2)).toBe('2 at a time in wave wave 2');
        expect(await refusal(concurrency(handle, 5, null, '2026-01-01T00:00:00Z'))).toBe(
          'it came too late: no worker had heard it by 2026-01-01T00:00:00Z, so nothing was recorded; say it again',
        );
        expect(await refusal(concurrency(handle, 0))).toBe('a concurrency is a whole number from 1 to 10000');
        release.open();
      },
    );
    expect(most).toBe(4);
    expect(result.counts).toEqual({ Succeeded: 10 });
    expect(status.waves.map((wave) => wave.concurrency)).toEqual([9, 2]);
  });

  it('goes down across shards', async () => {
    const release = gate();
    let flying = 0;
    let lowered = false;
    let most = 0;
    const { result } = await run(
      { waves: [specs(12)], concurrency: 6, shardSize: 3 },
      {
        awaitOperation: async ({ spec: { resource } }) => {
          flying += 1;
          await release.opened;
          const at = Number(resource.id.split('-').at(-1));
          if (lowered && at >= 6) most = Math.max(most, flying);
          flying -= 1;
          return {};
        },
      },
      async (handle) => {
        await until(() => flying === 6);
        await concurrency(handle, 1);
        lowered = true;
        release.open();
      },
    );
    expect(result.counts).toEqual({ Succeeded: 12 });
    expect(most).toBeLessThanOrEqual(1);
  });
});

describe('a word that could change nothing', () => {
  it('is not taken of a skipped wave, nor once the rollout is stopping', async () => {
    const operations = heldOperations();
    const approval = { quorum: 1, approvers: ['ben'], expiresAfterMs: 86_400_000 };
    const decide = (handle: Handle, decision: DecisionRequest['decision'], wave: number) =>
      handle.executeUpdate<string, [DecisionRequest]>(MESSAGES.decide, {
        args: [{ decision, wave, planDigest: 'digest', actor: 'ben', reason: 'it is time' }],
      });
    const { result } = await run(
      { waves: [specs(2), specs(1), specs(1)], approvals: [undefined, approval, approval] },
      operations.script,
      async (handle) => {
        await operations.followed;
        await skip(handle, { wave: 2, upgrade: null });
        for (const decision of ['approve', 'reject'] as const) {
          expect(await refusal(decide(handle, decision, 2))).toBe('wave wave 2 is skipped: it needs no approval');
        }
        await control(handle, 'stop');
        expect(await refusal(decide(handle, 'approve', 3))).toBe('nothing more of the rollout begins');
        expect(await refusal(concurrency(handle, 4))).toBe('nothing more of the rollout begins');
        const { rollout: id } = await statusOf(handle);
        await expect(send(env.client, id, { act: 'resume', actor: 'ana', reason: 'after all' })).rejects.toThrow(
          `rollout ${id} is stopping: nothing more of it begins`,
        );
        operations.release();
      },
    );
    expect(result).toMatchObject({ outcome: 'Stopped', counts: { Succeeded: 1, NotStarted: 2, Skipped: 1 } });
  });

  it('is not taken once every wave is skipped', () => {
    const control = new Control({ result: null, approvals: { rejection: null }, isLeftOut: true } as RolloutState);
    const signed = { actor: 'ben', reason: 'it is time' };
    const why = 'every wave is skipped: nothing of the rollout begins, or needs approval';
    expect(() => control.mayDecide({ decision: 'approve', planDigest: 'digest', ...signed })).toThrow(why);
    expect(() => control.maySetConcurrency({ wave: null, concurrency: 4, ...signed })).toThrow(why);
  });
});

it("a new concurrency is answered with what the tightest budget allows, a wave's own as well", async () => {
  const operations = heldOperations();
  await run(
    { waves: [specs(2)], budget: { max: 9, mode: 'strict' }, maxFailures: 0 },
    operations.script,
    async (handle) => {
      await operations.followed;
      expect(await concurrency(handle, 8)).toBe('8 at a time; the strict budget of 0 of wave wave 1 allows 1 now');
      operations.release();
    },
  );
});

it('a new concurrency is answered with the limits of accounts, services and regions that hold all the same', async () => {
  const operations = heldOperations();
  const plan: Plan = {
    waves: [specs(7), specs(4), specs(1)],
    accountLimits: { prod: 2, unused: 1 },
    limits: [{ 'service:ges-v2': 3, 'region:cn-north-4': 6 }, { 'service:ges-v2': 2 }],
    shardSize: 2,
  };
  await run(plan, operations.script, async (handle) => {
    await operations.followed;
    const ofAccount = 'as before at most 2 of account prod';
    const ofRegion = '6 of region cn-north-4';
    const answers = [
      await concurrency(handle, 2),
      await concurrency(handle, 3),
      await concurrency(handle, 8),
      await concurrency(handle, 8, 1),
      await concurrency(handle, 8, 3),
    ];
    expect(answers).toEqual([
      '2 at a time',
      `3 at a time; ${ofAccount}, 2 of service ges-v2`,
      `8 at a time; ${ofAccount}, 2 or 3 (by wave) of service ges-v2, ${ofRegion}`,
      `8 at a time in wave wave 1; ${ofAccount}, 3 of service ges-v2, ${ofRegion}`,
      '8 at a time in wave wave 3',
    ]);
    operations.release();
  });
});

it('a new concurrency is answered with the limits that hold in a wave, whatever the budget of another one allows', async () => {
  const operations = heldOperations();
  const plan: Plan = {
    waves: [specs(4), specs(4)],
    budget: { max: 9, mode: 'strict' },
    maxFailures: [0],
    accountLimits: { prod: 2 },
  };
  await run(plan, operations.script, async (handle) => {
    await operations.followed;
    const answers = [await concurrency(handle, 8), await concurrency(handle, 8, 1), await concurrency(handle, 8, 2)];
    const ofBudget = 'the strict budget of 0 of wave wave 1 allows 1 now';
    expect(answers).toEqual([
      `8 at a time; ${ofBudget}; as before at most 2 of account prod`,
      `8 at a time in wave wave 1; ${ofBudget}`,
      '8 at a time in wave wave 2; as before at most 2 of account prod',
    ]);
    operations.release();
  });
});

it('a new concurrency is answered with the budget of a wave that has not begun as what it will allow', async () => {
  const operations = heldOperations();
  const plan: Plan = { waves: [specs(4), specs(4)], budget: { max: 9, mode: 'strict' }, maxFailures: [9, 0] };
  await run(plan, operations.script, async (handle) => {
    await operations.followed;
    expect(await concurrency(handle, 8)).toBe(
      '8 at a time; the strict budget of 0 of wave wave 2 allows 1 once it runs',
    );
    operations.release();
  });
});
