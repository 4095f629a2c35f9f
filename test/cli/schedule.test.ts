/** `uplift schedule …` as real processes, on a real server: what it is told to do, and what comes of each run. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, ScheduleOverlapPolicy, WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { describeSchedule, scheduleInput, type ScheduleRun, type ScheduleView } from '../../client/schedules.js';
import { connectClient, localTarget } from '../../temporal/connection.js';
import type { DevServer } from '../../temporal/dev-server.js';
import { occurrenceWorkflowId, scheduleId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { startTestServer } from '../support/environment.js';
import { linesOf, rehearsal, type Rehearsal, serve, type Service, uplift } from './cli.js';

const HOUR = 3_600_000;
const WEEKLY = { name: 'saturday', days: ['sat'], start: '22:00', duration: '4h', timezone: 'Europe/Berlin' };
const SUNDAY = { name: 'sunday', days: ['sun'], start: '22:00', duration: '2h', timezone: 'Europe/Berlin' };

let server: DevServer;
let client: Client;
let place: Rehearsal;
let worker: Service;

beforeAll(async () => {
  server = await startTestServer();
  client = await connectClient(localTarget(server.address));
  place = await rehearsal(
    ...'--seed plans --graphs 2 --clusters 0 --min 1s --max 2s --graph-fate rolls-back=2'.split(' '),
  );
  worker = await serve(['worker', '--accounts', place.accounts], /worker is ready/, {
    TEMPORAL_ADDRESS: server.address,
  });
});
afterAll(async () => {
  await worker.stop();
  await client.connection.close();
  await place.dispose();
  await server.stop();
});

function run(...args: string[]) {
  const env = { TEMPORAL_ADDRESS: server.address, UPLIFT_ACCOUNTS: place.accounts, UPLIFT_ACTOR: 'ana' };
  return uplift(['schedule', ...args], env);
}

/** The simulated plan with these fields of its `spec`; the path of its file. */
function planWith(name: string, fields: Readonly<Record<string, unknown>>): string {
  const plan = parse(readFileSync(place.plan, 'utf8')) as { spec: object };
  const file = join(place.directory, `${name}.yaml`);
  const spec = { ...plan.spec, waves: [{ name: 'all', rest: true }], startOnlyIfFits: false, ...fields };
  writeFileSync(file, stringify({ ...plan, spec }));
  return file;
}

async function view(name: string, ...args: string[]): Promise<ScheduleView> {
  const { stdout, stderr } = await run('describe', name, '-o', 'json', ...args);
  expect(stderr).toBe('');
  return (JSON.parse(stdout) as { schedule: ScheduleView }).schedule;
}

/** Open since half an hour, for six hours: whatever is triggered starts at once. */
function openNow() {
  const start = new Date(Date.now() - HOUR / 2).toISOString().slice(11, 16);
  return { name: 'now', rrule: 'FREQ=DAILY', start, duration: '6h', timezone: 'UTC' };
}

it('create shows the next ten openings, and catches up for no longer than the shortest of them', async () => {
  const plan = planWith('weekends', { windows: [WEEKLY, SUNDAY] });
  const created = await run('create', 'weekends', plan, '--jitter', '10m', '--pause-on-failure');
  expect(created.code, created.stderr).toBe(0);
  expect(created.stderr).toBe('now it would upgrade 2 resources; each run chooses anew\n');
  expect(created.stdout).toContain('created 10 h ahead, up to 10 min later, at most 2 h late after an outage');

  const { next, ...rest } = await view('weekends');
  expect(next).toHaveLength(10);
  for (const { opens, at, rollout, windows } of next) {
    expect(Date.parse(opens) - Date.parse(at)).toBe(10 * HOUR);
    expect(rollout).toMatch(/^weekends-\d{4}-\d\d-\d\d$/);
    expect(windows).toHaveLength(1);
  }
  expect(rest).toMatchObject({ catchUpMs: 2 * HOUR, jitterMs: HOUR / 6, agrees: true, startedBy: 'ana', runs: [] });
  expect((await view('weekends', '--next', '3')).next).toEqual(next.slice(0, 3));

  // What the server itself holds.
  const { policies, info } = await client.schedule.getHandle(scheduleId('weekends')).describe();
  expect(policies).toMatchObject({ catchupWindow: 2 * HOUR, overlap: ScheduleOverlapPolicy.ALLOW_ALL });
  expect(info.nextActionTimes).toHaveLength(10);
});

it('update changes what it is told to, and keeps the rest', async () => {
  await run('pause', 'weekends', '--reason', 'a look first');
  const before = await view('weekends');
  expect(before).toMatchObject({ paused: true, note: 'by ana: a look first' });

  const shorter = await run('update', 'weekends', '--lead', '2h');
  expect(shorter.code, shorter.stderr).toBe(0);
  const after = await view('weekends');
  expect(after.leadMs).toBe(2 * HOUR);
  const { jitterMs, catchUpMs, windows, paused, note, plan } = before;
  expect(after).toMatchObject({ jitterMs, catchUpMs, windows, pauseOnFailure: true, paused, note, plan });

  await run('update', 'weekends', '--window', 'saturday', '--no-pause-on-failure');
  expect(await view('weekends')).toMatchObject({
    windows: ['saturday'],
    pauseOnFailure: false,
    leadMs: 2 * HOUR,
    jitterMs,
    catchUpMs,
    paused: true,
  });

  // Another plan opens otherwise: how long it is ahead or late is found anew.
  const long = planWith('long', { windows: [{ ...WEEKLY, duration: '8h' }] });
  expect((await run('update', 'weekends', '--plan', long)).code).toBe(0);
  expect(await view('weekends')).toMatchObject({ catchUpMs: 8 * HOUR, leadMs: 24 * HOUR, jitterMs });

  await run('resume', 'weekends', '--reason', 'looked at');
  expect(await view('weekends')).toMatchObject({ paused: false, agrees: true, note: 'resumed by ana: looked at' });
});

it('refuses what no schedule can go by, and says what to do', async () => {
  const plan = planWith('bad', { windows: [WEEKLY, SUNDAY] });
  const refused = async (file: string, ...args: string[]) => {
    const { code, stdout, stderr } = await run('create', 'bad', file, ...args);
    expect(stdout).toBe('');
    expect(code).toBe(1);
    return linesOf(stderr).map((line) => line.replace(`${place.directory}/`, ''));
  };
  expect(await refused(plan, '--catch-up', '3h')).toEqual([
    'uplift: --catch-up 3 h is longer than an opening of 2 h (use at most that)',
  ]);
  expect(await refused(plan, '--lead', '24h')).toEqual([
    'uplift: --lead 1 d: each rollout would be created while the opening before is not over, since 20 h lie between two (use at most that)',
  ]);
  expect(await refused(plan, '--lead', '1h', '--jitter', '2h')).toEqual([
    'uplift: --jitter 2 h is longer than the lead of 1 h (shorten it)',
  ]);
  expect(await refused(plan, '--window', 'saturdy')).toEqual([
    expect.stringMatching(/^bad\.yaml:\d+: spec\.windows: has no window "saturdy" \(did you mean saturday\?/),
  ]);
  expect(await refused(planWith('bad', {}))).toEqual([
    expect.stringMatching(
      /^bad\.yaml:\d+: spec: has no windows, and a schedule goes by them \(add `windows` to the plan\)$/,
    ),
  ]);
  const bound = { windows: [WEEKLY], expireAt: '2099-01-01T00:00Z' };
  expect(await refused(planWith('bad', bound))).toEqual([
    expect.stringMatching(
      /^bad\.yaml:\d+: spec\.expireAt: is one instant, and a schedule creates rollouts again and again \(remove it; `missedWindow: expire` ends each with its own opening\)$/,
    ),
  ]);
  const taken = await run('create', 'weekends', planWith('bad', { windows: [WEEKLY] }));
  expect(taken).toMatchObject({ code: 6, stdout: '' });
  expect(taken.stderr).toContain('there is a schedule weekends already');
});

it('a rollout that fails pauses the schedule where that is asked for, and its run says so', async () => {
  const plan = planWith('fails', { windows: [openNow()], failureBudget: { max: 0 } });
  const created = await run('create', 'fails', plan, '--pause-on-failure');
  expect(created.code, created.stderr).toBe(0);

  const triggered = await run('trigger', 'fails');
  expect(triggered.code, triggered.stderr).toBe(0);
  expect(triggered.stderr).toMatch(
    /^fails-\d{4}-\d\d-\d\d is created \(follow it by `uplift watch fails-\d{4}-\d\d-\d\d`\)\n$/,
  );
  const hasFailed = ({ paused, runs }: ScheduleView) => paused && runs[0]?.state === 'Failed';
  while (!hasFailed(await describeSchedule(client, 'fails'))) await delay(200);
  const told = await view('fails');
  const [failed] = told.runs as [ScheduleRun];
  expect(told.note).toBe(`rollout ${failed.rollout} ended as Failed: ${failed.reason}`);
  expect((await run('list')).stdout).toMatch(/^ *fails +paused .* Failed: /m);
  // Paused is what the server does by itself; a person may still trigger it.
  expect((await run('trigger', 'fails')).code).toBe(0);
});

it('with nothing to upgrade the run says that, and no rollout is created', async () => {
  const [target] = (parse(readFileSync(place.plan, 'utf8')) as { spec: { targets: Record<string, unknown>[] } }).spec
    .targets;
  const { service, account, version } = target ?? {};
  const targets = [{ service, account, version, select: { name: 'no-such-*' } }];
  const plan = planWith('idle', { windows: [openNow()], targets });
  const created = await run('create', 'idle', plan);
  expect(created.code, created.stderr).toBe(0);
  expect(await run('trigger', 'idle')).toMatchObject({
    code: 0,
    stderr: 'NothingToDo: its selectors choose nothing: nothing lags behind\n',
  });
});

it('who triggers a run is asked for no approval of it, as who made the schedule', async () => {
  const approval = { approvers: ['ana', 'ben', 'cem'] };
  const plan = planWith('asked', { windows: [openNow()], approval, failureBudget: { max: '100%' } });
  const created = await run('create', 'asked', plan);
  expect(created.code, created.stderr).toBe(0);
  const as = (actor: string, ...args: string[]) =>
    uplift(args, { TEMPORAL_ADDRESS: server.address, UPLIFT_ACTOR: actor });
  const triggered = await as('ben', 'schedule', 'trigger', 'asked');
  expect(triggered.code, triggered.stderr).toBe(0);
  const rollout = /asked-\d{4}-\d\d-\d\d/.exec(triggered.stderr)?.[0] ?? '';
  await expect.poll(async () => (await view('asked')).runs, { timeout: 60_000 }).toMatchObject([{ rollout }]);
  expect((await as('ben', 'approve', rollout, '--reason', 'mine')).stderr).toContain(
    "ben triggered this rollout's schedule and may not approve it",
  );
  expect((await as('ana', 'approve', rollout, '--reason', 'mine')).stderr).toContain(
    'ana started this rollout and may not approve it',
  );
  expect((await as('cem', 'approve', rollout, '--reason', 'looked at')).code).toBe(0);
});

it('who would leave nobody to approve cannot trigger it, and stops no regular run', async () => {
  const plan = planWith('needed', { windows: [openNow()], approval: { approvers: ['ben'] } });
  const created = await run('create', 'needed', plan, '--pause-on-failure');
  expect(created.code, created.stderr).toBe(0);
  const why = 'ana starts it and may not approve it any more than ben';
  const env = { TEMPORAL_ADDRESS: server.address, UPLIFT_ACTOR: 'ben' };
  expect(await uplift(['schedule', 'trigger', 'needed'], env)).toMatchObject({
    code: 1,
    stderr: `uplift: ${why}, who triggers it, so 0 of a quorum of 1 are left: let somebody else trigger it\n`,
  });
  expect((await view('needed')).runs).toEqual([]);

  // As one of an earlier release would have triggered it.
  const { input } = await scheduleInput(client, 'needed');
  const handle = await client.workflow.start('occurrence', {
    workflowId: `${occurrenceWorkflowId('needed')}-${new Date().toISOString()}`,
    taskQueue: QUEUES.main,
    args: [{ ...input, triggeredBy: 'ben' }],
  });
  await expect(handle.result()).rejects.toBeInstanceOf(WorkflowFailedError);
  const { events } = await handle.fetchHistory();
  const attempts = (events ?? []).flatMap((event) => event.activityTaskStartedEventAttributes?.attempt ?? []);
  expect(attempts).toEqual([1, 1]);
  await expect
    .poll(async () => (await view('needed')).runs, { timeout: 60_000 })
    .toMatchObject([{ state: 'Failed', reason: expect.stringContaining(`${why}, who triggered it`) }]);
  expect((await view('needed')).paused).toBe(false);
});

it('an approval of a wave that has nothing to do keeps nobody from a trigger, and one that has is told by the run', async () => {
  const { targets } = (parse(readFileSync(place.plan, 'utf8')) as { spec: { targets: readonly object[] } }).spec;
  const select = (name: string) => ({ ...targets[0], id: undefined, ids: undefined, select: { name } });
  const chosen = [
    { ...select('*'), name: 'there' },
    { ...select('nobody'), name: 'away' },
  ];
  const asked = { approvers: ['ben'] };
  const triggered = async (name: string, waves: readonly object[]) => {
    const plan = planWith(name, { windows: [openNow()], targets: chosen, waves });
    const created = await run('create', name, plan);
    expect(created.code, created.stderr).toBe(0);
    const env = { TEMPORAL_ADDRESS: server.address, UPLIFT_ACTOR: 'ben' };
    return uplift(['schedule', 'trigger', name], env);
  };
  const [there, away] = [
    { name: 'one', targets: ['there'] },
    { name: 'two', targets: ['away'] },
  ];
  const empty = await triggered('empty', [there, { ...away, approval: asked }]);
  expect(empty.code, empty.stderr).toBe(0);
  const due = await triggered('due', [away, { ...there, approval: asked }]);
  expect(due).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(
      'spec.waves[1].approval: ana starts it and may not approve it any more than ben, who triggered it',
    ),
  });
});

it('delete ends it, and a name that there is not is told as that', async () => {
  expect((await run('delete', 'weekends')).stderr).toBe(
    'schedule weekends is deleted; rollouts that it has created go on\n',
  );
  const gone = await run('describe', 'weekends');
  expect(gone).toMatchObject({ code: 1, stdout: '' });
  expect(gone.stderr).toBe(
    'uplift: there is no schedule weekends in namespace default (`uplift schedule list` shows those there are)\n',
  );
});
