/** What `explain` says of budgets, limits and approvals: one scene, one cause. */
import { Client, Connection, type WorkflowExecutionDescription } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { recurrenceOf } from '../../calendar/forms.js';
import {
  budget,
  keptPlaces,
  leased,
  noWorker,
  resting,
  room,
  standing,
  waitsForOthers,
  wantsApproval,
} from '../../client/explain/rollout.js';
import type { Scene } from '../../client/explain/scene.js';
import { upgradeCause } from '../../client/explain/upgrade.js';
import type { RolloutForecast } from '../../client/forecast.js';
import { hasAnyBegun, type ResourceRow, type RolloutView, type WaveView, withRows } from '../../client/views.js';
import type { RolloutWindows } from '../../workflows/contracts/calendar.js';
import type { Freeze } from '../../workflows/contracts/freezes.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Counts, FailureBudget, WavePlan } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { rolloutInput, spec } from '../workflows/scripted-steps.js';

interface Given {
  /** The first of them are in flight. */
  readonly specs: readonly UpgradeSpec[];
  readonly inFlight: number;
  readonly wave?: Partial<WavePlan>;
  readonly counts?: Counts;
  readonly failures?: number;
  /** Left out: all failures; `null`: not known. */
  readonly charged?: number | null;
  /** What the budget counts. */
  readonly only?: FailureBudget['counts'];
  readonly mode?: 'strict' | 'loose';
  readonly accountLimits?: Readonly<Record<string, number>>;
  readonly more?: Partial<RolloutView>;
}

function scene({ specs, inFlight, wave = {}, counts = {}, failures = 0, mode = 'strict', ...given }: Given): Scene {
  const { charged = failures, only } = given;
  const allowed: FailureBudget = { max: 9, mode, ...(only === undefined ? {} : { counts: only }) };
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
    charged,
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
    charged,
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
    owners: new Map(),
    queues: [],
    deployments: [],
    forecast: null,
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
    expect(await room(scene(given))).toEqual([expect.objectContaining({ who: 'wave one', what })]);
  });

  it('is no cause where a freeze holds all that is left', async () => {
    const given = scene({ specs: plain, inFlight: 1 });
    const freeze = { id: 'freeze-00000001' } as Freeze;
    const frozen = given.rows.map((row) => (row.phase === 'Pending' ? { ...row, freeze } : row));
    expect(await room(given)).toHaveLength(1);
    expect(await room({ ...given, rows: frozen })).toEqual([]);
  });
});

describe('a place in a group that is lost', () => {
  const specs = ['a', 'b', 'c', 'd'].map((id): UpgradeSpec => ({ ...spec(id), groups: { four: 2 } }));
  const given = scene({ specs, inFlight: 2, wave: { concurrency: 3 } });

  /** The first has ended, the second is in flight. */
  async function roomAfter(end: Partial<ResourceRow>, waveIndex = 1): Promise<string | undefined> {
    const [first, ...others] = given.rows;
    if (first === undefined) throw new Error('no row');
    const ended: ResourceRow = { ...first, ...end, phase: 'Ended', waveIndex };
    const rows = [ended, ...others];
    return (await room({ ...given, rows, view: withRows(given.view, rows) }))[0]?.what;
  }

  it.each<[string, Partial<ResourceRow>]>([
    ['failed', { outcome: 'Failed' }],
    ['held', { outcome: 'Held' }],
    ['unhealthy as it was found', { outcome: 'Refused', unwell: true }],
  ])('%s, is told', async (_how, end) => {
    expect(await roomAfter(end)).toBe(
      '2 not started, 1 in flight: the limit of group four is 2, of which 1 ended unwell',
    );
  });

  it('in an earlier wave, too', async () => {
    expect(await roomAfter({ outcome: 'Failed' }, 0)).toMatch(
      /: the limit of group four is 2, of which 1 ended unwell$/,
    );
  });

  it('is none where the member is as it was', async () => {
    for (const outcome of ['RolledBack', 'Refused', 'Succeeded'] as const) {
      expect(await roomAfter({ outcome })).not.toMatch(/unwell/);
    }
  });
});

it('the budget of a wave is told beside that of the rollout', async () => {
  const given = { specs: plain, inFlight: 1, wave: { maxFailures: 1 }, counts: { Failed: 1 }, failures: 1 };
  expect(await budget(scene(given))).toEqual([
    { who: 'r', what: 'failure budget: 1 of 9 charged, strict', nextAt: null, changes: 'another failure' },
    {
      who: 'wave one',
      what: 'failure budget of wave one: 1 of 1 failed, strict',
      nextAt: null,
      changes: 'one more failure ends it',
    },
  ]);
});

describe('a budget that counts some failures only', () => {
  const refused: Given = {
    specs: plain,
    inFlight: 1,
    wave: { maxFailures: 2 },
    counts: { Refused: 3 },
    failures: 3,
    only: ['upgrade', 'verify'],
  };
  const uncharged = '3 more failed and were not charged: it counts upgrade, verify';

  it('takes nothing from a wave for those that it leaves out', async () => {
    const given = { ...refused, charged: 0 };
    expect(await budget(scene(given))).toEqual([
      {
        who: 'r',
        what: `failure budget: 0 of 9 charged, strict; ${uncharged}`,
        nextAt: null,
        changes: 'another failure',
      },
    ]);
    const [left] = await room(scene({ ...given, specs: [...plain, spec('e')], inFlight: 3 }));
    expect(left?.what).toBe(
      '2 not started, 3 in flight: the strict failure budget of wave one (0 of 2 used) leaves room for 3 at a time',
    );
  });

  it('tells of a wave what was charged, and when that is all of it', async () => {
    const given = { ...refused, counts: { Refused: 3, Failed: 2 }, failures: 5, charged: 2 };
    expect(await budget(scene(given))).toContainEqual({
      who: 'wave one',
      what: 'failure budget of wave one: 2 of 2 failed, strict',
      nextAt: null,
      changes: 'one more failure ends it',
    });
  });

  it('says what nobody knows', async () => {
    expect(await budget(scene({ ...refused, charged: null }))).toEqual([
      {
        who: 'r',
        what: 'failure budget: not known how many of 9 are charged, strict; 3 failed: it counts upgrade, verify',
        nextAt: null,
        changes: 'the answer of a worker tells: uplift worker',
      },
    ]);
  });

  it('rows do not tell what it leaves out', () => {
    for (const charged of [0, null]) {
      const { view, rows } = scene({ ...refused, charged });
      const failed = rows.map((row): ResourceRow => ({ ...row, phase: 'Ended', outcome: 'Refused' }));
      expect(withRows(view, failed)).toMatchObject({ failures: 4, charged, waves: [{ charged }] });
    }
  });
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
      changes: 'uplift approve r --reason …',
    },
  ]);
});

/** Each starts ten minutes from now, and ends when it says. */
function forecastOf(ends: readonly (readonly [UpgradeSpec, string])[]): RolloutForecast {
  const at = (p50: string) => ({ p50, p90: null });
  const upgrades = ends.map(([{ resource }, end]) => ({
    workflowId: upgradeWorkflowId(resource),
    id: resource.id,
    starts: at('2026-11-21T11:10:00Z'),
    ends: at(end),
  }));
  const wave = { name: 'one', starts: at(''), ends: at('2026-11-21T12:00:00Z'), unfit: null, upgrades };
  return { at: '', runs: 1, ends: wave.ends, waves: [wave], zone: 'UTC', learnedFrom: {}, without: [], locked: [] };
}

describe('the time of the next change', () => {
  const forecast = forecastOf([
    [spec('a'), '2026-11-21T11:20:00Z'],
    [spec('b'), '2026-11-21T11:15:00Z'],
    // It has not started.
    [spec('c'), '2026-11-21T11:12:00Z'],
  ]);
  const given = scene({ specs: plain, inFlight: 2, wave: { concurrency: 2 } });

  it('is the expected end of the first in flight, where it leaves room', async () => {
    expect(await room({ ...given, forecast })).toMatchObject([
      { nextAt: '2026-11-21T11:15:00Z', changes: 'the end of one that is in flight, expected then' },
    ]);
    expect(await room(given)).toMatchObject([{ nextAt: null, changes: 'the end of one that is in flight' }]);
  });

  it('is of the very upgrade, where another region has a resource of the same id', async () => {
    const { resource } = spec('a');
    const abroad = { ...spec('a'), resource: { ...resource, region: 'eu-west-101' } };
    const both = forecastOf([
      [spec('a'), '2026-11-21T11:20:00Z'],
      [abroad, '2026-11-21T11:40:00Z'],
    ]);
    const flying = scene({ specs: [abroad, ...plain], inFlight: 1, wave: { concurrency: 1 } });
    expect(await room({ ...flying, forecast: both })).toMatchObject([{ nextAt: '2026-11-21T11:40:00Z' }]);
  });

  it('is the expected end of the wave, for the rollout', async () => {
    expect(await standing({ ...given, forecast })).toMatchObject([
      { nextAt: '2026-11-21T12:00:00Z', changes: expect.stringMatching(/, expected then$/) as string },
    ]);
  });

  it('is its expected start, for a resource whose turn has not come', async () => {
    const [chosen] = given.rows.filter(({ resourceId }) => resourceId === 'c');
    const asked = { ...given, forecast, resource: 'c', chosen: chosen === undefined ? [] : [chosen] };
    expect(await resting(asked)).toMatchObject([
      { who: 'c', what: 'its turn in its wave has not come', nextAt: '2026-11-21T11:10:00Z' },
    ]);
    // Nobody knows when people approve what comes first.
    const approval = { title: 'wave one', quorum: 1, given: [], may: ['ben'], expiresAt: '2026-11-22T10:00:00Z' };
    const waiting = { ...asked.view, state: 'Waiting' as const, approval };
    expect(await resting({ ...asked, view: waiting })).toMatchObject([{ who: 'c', nextAt: null }]);
  });

  it('is nobody’s, where the end of another leaves no room', async () => {
    const rows = given.rows.map((row, at) => (at < 2 ? row : { ...row, reason: 'another upgrade is running' }));
    const waits = { ...scene({ specs: plain, inFlight: 2 }), rows, forecast };
    expect(await room(waits)).toMatchObject([{ nextAt: null, changes: 'what each of them waits for' }]);
  });
});

it('a budget that is spent says how to go on', async () => {
  const given = scene({ specs: plain, inFlight: 1, counts: { Failed: 10 }, failures: 10 });
  expect(await budget(given)).toMatchObject([
    {
      what: 'failure budget: 10 of 9 charged, strict',
      changes: 'nothing: it is spent; after the end, uplift retry r --only failed --reason …',
    },
  ]);
});

it('what has ended says how to go on where something did not reach its target', async () => {
  const next = 'nothing: this is the end';
  const ended = async (counts: Counts) =>
    (await standing(scene({ specs: [], inFlight: 0, counts, more: { state: 'Stopped', next } })))[0]?.changes;
  const tried = `${next}; uplift retry r --reason … tries again what did not go well`;
  expect(await ended({ Succeeded: 2, Failed: 1 })).toBe(tried);
  expect(await ended({ Succeeded: 2, Skipped: 1 })).toBe(tried);
  expect(await ended({ Succeeded: 2, AlreadyAtTarget: 1 })).toBe(next);
});

it('a worker that has just died is missed, although the server still counts it', async () => {
  const queues = [{ name: 'uplift', pollers: [{ identity: 'one', version: null, polledAt: 0 }] }];
  const seen = (more: Partial<RolloutView>) => ({ ...scene({ specs: plain, inFlight: 0, more }), queues });
  expect(await noWorker(seen({ workerAnswers: false }))).toEqual([
    {
      who: 'worker',
      what: 'no worker answers, and one was there a minute ago: it has ended, or is too busy',
      nextAt: null,
      changes: 'the answer of one; start another: uplift worker',
    },
  ]);
  expect(await noWorker(seen({}))).toEqual([]);
  // Nobody can tell where it stands.
  expect(await standing(seen({ workerAnswers: false }))).toEqual([]);
  expect(await room(seen({ workerAnswers: false }))).toEqual([]);
  expect(await standing(seen({}))).toMatchObject([{ what: 'Running: wave one runs' }]);
});

it('resources that wait for the same are told together', async () => {
  const asked = scene({ specs: plain, inFlight: 1 });
  const reasons = ['', 'waits for a', 'waits for the end of all', 'waits for the end of all'];
  const chosen = asked.rows.map((row, at) => ({ ...row, reason: reasons[at] ?? '' }));
  expect(await waitsForOthers({ ...asked, chosen })).toMatchObject([
    { who: 'b', what: 'waits for a' },
    { who: 'c and 1 more', what: 'waits for the end of all' },
  ]);
});

describe('a place in a group that a broken member keeps in a retry', () => {
  const one = (id: string): UpgradeSpec => ({ ...spec(id), groups: { trio: 2 } });
  const broken = (id: string): UpgradeSpec => ({ ...one(id), unwellBefore: true, gate: 0 });
  const label = 'no more than 2 of group trio may be unavailable';
  const shardsWords = `${label}, and a, b ended failed, held or unhealthy before`;
  const until = '2026-11-22T00:00:00.000Z';
  const frozen = { reason: `frozen until ${until} by ana because audit (freeze-00000001)`, nextAt: until };
  const asked = (rows: Readonly<Record<string, Partial<ResourceRow>>>, more: Partial<RolloutView> = {}) => {
    const given = scene({ specs: [broken('a'), broken('b'), one('c'), one('d'), spec('e')], inFlight: 0, more });
    const all = given.rows.map((row) => ({ ...row, ...rows[row.resourceId] }));
    return { ...given, rows: all, chosen: all.filter(({ resourceId }) => 'cde'.includes(resourceId)), resource: 'c' };
  };
  const [c, d] = [{ reason: shardsWords }, { reason: shardsWords }];

  it('is told with who keeps it, why that one waits, and when it can go on; and once', async () => {
    const given = asked({ a: frozen, c, d });
    expect(await keptPlaces(given)).toEqual([
      {
        who: 'c and 1 more',
        what: `${shardsWords}; a keeps its place: ${frozen.reason}`,
        nextAt: until,
        changes: 'a well at its target, which can go on then',
      },
    ]);
    expect(await waitsForOthers(given)).toEqual([]);
    expect(await resting(given)).toMatchObject([{ who: 'e', what: 'its turn in its wave has not come' }]);
  });

  it('is told where its shard has no words of it, of the first that can go on', async () => {
    const given = asked({ a: { reason: 'waits for x' }, b: frozen });
    expect(await keptPlaces(given)).toMatchObject([
      { who: 'c and 1 more', what: `${shardsWords}; b keeps its place: ${frozen.reason}`, nextAt: until },
    ]);
    expect(await resting(given)).toMatchObject([{ who: 'e' }]);
  });

  it('is told of as many as have to be well, and when the last of these can go on', async () => {
    const given = scene({ specs: [broken('a'), broken('b'), broken('k'), one('c')], inFlight: 0 });
    const later = '2026-12-01T00:00:00.000Z';
    const asked = (...waits: readonly Partial<ResourceRow>[]) => {
      const rows = given.rows.map((row, at) => ({ ...row, ...waits[at] }));
      return { ...given, rows, chosen: rows.slice(3) };
    };
    const who = `${label}, and a, b, k ended failed, held or unhealthy before`;
    const lasting = { reason: 'frozen for longer', nextAt: later };
    expect(await keptPlaces(asked(lasting, { reason: 'waits for x' }, frozen))).toMatchObject([
      {
        what: `${who}; a keeps its place: frozen for longer`,
        nextAt: later,
        changes: '2 of them well at their targets, which can go on then',
      },
    ]);
    expect(await keptPlaces(asked(frozen, { reason: 'waits for x' }, {}))).toMatchObject([
      { what: `${who}; b keeps its place: waits for x`, nextAt: null, changes: '2 of them well at their targets' },
    ]);
  });

  it('is told with the expected start of one whose turn has not come', async () => {
    const forecast = forecastOf([[spec('b'), '2026-11-21T11:20:00Z']]);
    expect(await keptPlaces({ ...asked({}), forecast })).toMatchObject([
      { what: `${shardsWords}; b keeps its place: its turn has not come`, nextAt: '2026-11-21T11:10:00Z' },
    ]);
  });

  it.each<[string, (at: number) => Partial<UpgradeSpec>, Partial<ResourceRow>]>([
    ['each in a pair', (at) => ({ groups: { [`g${at}`]: 1 } }), {}],
    ['all in one group', () => ({ groups: { all: 1 } }), {}],
    ['whose engines are there', (at) => ({ groups: { [`g${at}`]: 1 }, after: ['engines'] }), {}],
    ['all frozen', (at) => ({ groups: { [`g${at}`]: 1 } }), frozen],
  ])('is found by as many looks at one as at the next, with keepers %s', async (_what, of, row) => {
    const looks = async (pairs: number) => {
      let looked = 0;
      const counted = <T extends object>(one: T): T =>
        new Proxy(one, { get: (target, name): unknown => ((looked += 1), Reflect.get(target, name)) });
      const keeper = (at: number): UpgradeSpec => ({ ...spec(`k${at}`), ...of(at), unwellBefore: true });
      const keepers = Array.from({ length: pairs }, (_, at) => keeper(at));
      const others = keepers.map(({ groups = {} }, at) => ({ ...spec(`o${at}`), groups, provides: [`o${at}`] }));
      const given = scene({ specs: [...keepers, ...others], inFlight: 0 });
      const rows = given.rows.map((one, at) => counted({ ...one, ...(at < pairs ? row : {}) }));
      const forecast = forecastOf(keepers.map((one) => [one, until]));
      const waves = forecast.waves.map((wave) => ({ ...wave, upgrades: wave.upgrades.map(counted) }));
      const specs = new Map([...given.specs].map(([id, one]) => [id, counted(one)]));
      const all = { ...given, rows, chosen: rows, resource: '', specs, forecast: { ...forecast, waves } };
      expect(await keptPlaces(all)).toHaveLength(new Set(others.flatMap(({ groups }) => Object.keys(groups))).size);
      await waitsForOthers(all);
      await resting(all);
      return looked;
    };
    const [few, more, most] = [await looks(20), await looks(30), await looks(40)];
    expect(most - more).toBe(more - few);
  });

  it('is told with the opening of its window', async () => {
    const opens = '2026-11-21T22:00:00.000Z';
    const saturday = recurrenceOf({ days: ['sat'], start: '22:00', duration: '4h', timezone: 'UTC' });
    const windows: RolloutWindows = {
      calendars: [{ windows: [{ name: 'saturday', recurrence: saturday }], blackouts: [] }],
      gates: [{ calendar: 0, needsMs: 0 }],
      since: '2026-11-21T10:00:00Z',
      missedWindow: 'next',
    };
    const given = asked({});
    const [told] = await keptPlaces({ ...given, input: { ...given.input, windows } });
    expect(told?.nextAt).toBe(opens);
    expect(told?.what).toContain(`; a keeps its place: waits for its window, which opens ${opens}: `);
  });

  it('is none for members that are in flight, before the wave begins, and for others', async () => {
    const flying = { runId: 'run', phase: 'Await' as const };
    const freeze = { id: 'freeze-00000001' } as Freeze;
    expect(await keptPlaces(asked({ a: flying }))).toEqual([]);
    expect(await keptPlaces(asked({ c: { freeze }, d: flying }))).toEqual([]);
    expect(await keptPlaces(asked({}, { waves: [] }))).toEqual([]);
    // Somebody else is the first cause.
    expect(await waitsForOthers(asked({ c: { reason: 'waits for x' } }))).toMatchObject([{ who: 'c' }]);
  });
});

describe("another rollout's lease", () => {
  const owner = { rollout: 'spring', since: '2026-11-21T09:00:00.000Z', phase: 'Await' };
  const workflowId = upgradeWorkflowId(spec('a').resource);
  const held = `another upgrade of this resource is running: ${workflowId}`;
  const what = `${held} of rollout spring since 2026-11-21T09:00:00.000Z, in phase Await`;
  const asked = (onLocked: UpgradeSpec['onLocked'], row: Partial<ResourceRow> = {}) => {
    const specs = [{ ...spec('a'), ...(onLocked === undefined ? {} : { onLocked }) }];
    const given = scene({ specs, inFlight: 0 });
    const chosen = given.rows.map((one) => ({ ...one, ...row }));
    return { ...given, chosen, rows: chosen, resource: 'a', owners: new Map([[workflowId, owner]]) };
  };

  it.each([
    ['wait', 'waits'],
    ['skip', 'is skipped'],
    ['fail', 'is refused'],
    [undefined, 'is skipped'],
  ] as const)('is told instead of its turn, with what follows (%s)', async (onLocked, then) => {
    const changes = `the end of that one; if its turn comes before, it ${then}`;
    expect(await leased(asked(onLocked))).toEqual([{ who: 'a', what, nextAt: null, changes }]);
    expect(await resting(asked(onLocked))).toEqual([]);
  });

  it('is told beside what else holds the resource, and once', async () => {
    expect(await leased(asked('wait', { reason: 'frozen until tomorrow' }))).toMatchObject([{ what }]);
    const known = asked('wait', { reason: `${held} of rollout spring` });
    expect(await leased(known)).toEqual([]);
    expect(await waitsForOthers(known)).toHaveLength(1);
  });
});

describe('an upgrade', () => {
  it('whose step is paused at the server waits for whoever paused it, not for a worker', async () => {
    const [row] = scene({ specs: [spec('a')], inFlight: 1 }).rows;
    if (row === undefined) throw new Error('no row');
    const pending = {
      activityType: { name: 'precheck' },
      paused: true,
      pauseInfo: { manual: { identity: 'ana@ops', reason: 'a look first' } },
    };
    const run = { raw: { pendingActivities: [pending] } } as unknown as WorkflowExecutionDescription;
    const client = new Client({ connection: Connection.lazy() });
    expect(await upgradeCause(client, { ...row, phase: 'Precheck' }, run, null)).toMatchObject({
      what: 'Precheck: precheck is paused at the server by ana@ops: a look first',
      changes: 'temporal activity unpause',
    });
  });
});

it('what a pause holds back right before its send has not begun by startBy, as its shard counts it', () => {
  const given = scene({ specs: [spec('a'), spec('b')], inFlight: 1, more: { state: 'Paused' } });
  const [first, second] = given.rows;
  if (first === undefined || second === undefined) throw new Error('no rows');
  const held = { ...first, phase: 'Waiting' as const, reason: 'paused by ana at 2026-11-20T12:00:00.000Z: lunch' };
  expect(hasAnyBegun(given.view, [held, second])).toBe(false);
  expect(hasAnyBegun(given.view, [{ ...held, reason: 'a backup runs' }, second])).toBe(true);
  expect(hasAnyBegun(given.view, [{ ...first, phase: 'Ended', outcome: 'NotStarted' }, second])).toBe(false);
  expect(hasAnyBegun(given.view, [{ ...first, phase: 'Ended', outcome: 'Refused' }, second])).toBe(true);
});
