/** What `explain` says of budgets, limits and approvals: one scene, one cause. */
import { describe, expect, it } from 'vitest';
import { budget, room, wantsApproval } from '../../client/explain/rollout.js';
import type { Scene } from '../../client/explain/scene.js';
import type { ResourceRow, RolloutView, WaveView } from '../../client/views.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Counts, WavePlan } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { rolloutInput, spec } from '../workflows/scripted-steps.js';

interface Given {
  /** The first of them are in flight. */
  readonly specs: readonly UpgradeSpec[];
  readonly inFlight: number;
  readonly wave?: Partial<WavePlan>;
  readonly counts?: Counts;
  readonly failures?: number;
  readonly mode?: 'strict' | 'loose';
  readonly accountLimits?: Readonly<Record<string, number>>;
  readonly more?: Partial<RolloutView>;
}

function scene({ specs, inFlight, wave = {}, counts = {}, failures = 0, mode = 'strict', ...given }: Given): Scene {
  const allowed = { max: 9, mode };
  const input = rolloutInput('r', { ids: [], concurrency: wave.concurrency ?? 8 }, allowed);
  const rows = specs.map(({ resource, targetLabel }, at): ResourceRow => {
    const { id: resourceId, account, cloud, service, region } = resource;
    return {
      wave: 'one',
      waveIndex: 1,
      resourceId,
      account,
      cloud,
      service,
      region,
      workflowId: upgradeWorkflowId(resource),
      runId: at < inFlight ? 'run' : null,
      startedAt: null,
      phase: at < inFlight ? 'Await' : 'Pending',
      outcome: null,
      reason: '',
      from: '1',
      to: null,
      target: targetLabel,
      percent: null,
      await: null,
      nextAt: null,
    };
  });
  const ended = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const running: WaveView = {
    name: 'one',
    workflowId: 'wave',
    concurrency: wave.concurrency ?? 8,
    total: specs.length + ended,
    state: 'Running',
    counts,
  };
  const view: RolloutView = {
    rollout: 'r',
    runId: 'run',
    state: 'Running',
    reason: 'wave one runs',
    next: '',
    workerAnswers: true,
    planDigest: 'digest',
    startedBy: 'ana',
    startedAt: '2026-11-21T10:00:00Z',
    endedAt: null,
    budget: allowed,
    minSuccess: null,
    failures,
    charged: failures,
    total: running.total,
    counts,
    waves: [running],
    approval: null,
    acts: [],
    retryOf: null,
    ...given.more,
  };
  return {
    now: Date.parse('2026-11-21T11:00:00Z'),
    view,
    input: {
      ...input,
      accountLimits: given.accountLimits ?? {},
      waves: [{ name: 'one', concurrency: running.concurrency, ...wave, upgrades: specs }],
    },
    rows,
    chosen: rows,
    resource: null,
    specs: new Map(specs.map((one) => [upgradeWorkflowId(one.resource), one])),
    queues: [],
    deployments: [],
  };
}

const plain = ['a', 'b', 'c', 'd'].map((id) => spec(id));
const pair = (id: string): UpgradeSpec => ({ ...spec(id), groups: { pair: 1 } });

describe('the room that is left', () => {
  it.each<[string, Given, string]>([
    [
      'a budget of the wave',
      { specs: plain, inFlight: 1, wave: { maxFailures: 0 } },
      '3 not started, 1 in flight: the strict failure budget of wave one (0 of 0 used) leaves room for 1 at a time',
    ],
    [
      'its concurrency',
      { specs: plain, inFlight: 2, wave: { concurrency: 2 } },
      '2 not started, 2 in flight: its concurrency is 2',
    ],
    [
      'an account',
      { specs: plain, inFlight: 1, accountLimits: { prod: 1 } },
      '3 not started, 1 in flight: the limit of account prod is 1',
    ],
    [
      'a service',
      { specs: plain, inFlight: 3, wave: { limits: { 'service:ges-v2': 3 } } },
      '1 not started, 3 in flight: the limit of service ges-v2 is 3',
    ],
    [
      'a group',
      { specs: [pair('a'), pair('b')], inFlight: 1 },
      '1 not started, 1 in flight: the limit of group pair is 1',
    ],
  ])('%s', async (_what, given, what) => {
    expect(await room(scene(given))).toEqual([expect.objectContaining({ who: 'one', what })]);
  });
});

it('the budget of a wave is told beside that of the rollout', async () => {
  const given = { specs: plain, inFlight: 1, wave: { maxFailures: 1 }, counts: { Failed: 1 }, failures: 1 };
  expect(await budget(scene(given))).toEqual([
    { who: 'r', what: 'failure budget: 1 of 9 charged, strict', nextAt: null, changes: 'another failure' },
    {
      who: 'one',
      what: 'failure budget of wave one: 1 of 1 failed, strict',
      nextAt: null,
      changes: 'one more failure ends it',
    },
  ]);
});

it('an approval runs out while the rollout is paused, too', async () => {
  const expiresAt = '2026-11-22T10:00:00Z';
  const approval = { title: 'the rollout', quorum: 1, given: [], may: ['ben'], expiresAt };
  const paused = { specs: plain, inFlight: 0, more: { state: 'Paused' as const, approval } };
  const roles = { dba: ['ana', 'ben'] };
  const ofRole = { ...approval, may: ['ben', 'cem'], roles };
  expect(await wantsApproval(scene({ ...paused, more: { ...paused.more, approval: ofRole } }))).toMatchObject([
    { what: 'the rollout waits for approval: 0 of 1 given; role dba (ben), cem may; without it the rollout ends' },
  ]);
  expect(await wantsApproval(scene(paused))).toEqual([
    {
      who: 'r',
      what: 'the rollout waits for approval: 0 of 1 given; ben may; without it the rollout ends',
      nextAt: expiresAt,
      changes: 'uplift approve r',
    },
  ]);
});
