/**
 * A year of one rollout in a test: workflows, activities and clouds on one virtual clock, a window each Sunday night,
 * blackouts, freezes, and both clock changes. The clouds' own record has to show every submit that the year allows, on
 * the very night, and not one more.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { freezesReader, freezeWaits } from '../../activities/freeze.js';
import { createActivities } from '../../activities/index.js';
import { preparePlan, toRolloutInput } from '../../activities/planner.js';
import { createFreeze, liftFreeze } from '../../client/freezes.js';
import { startRollout } from '../../client/rollouts.js';
import { planOf } from '../../plan/plan.js';
import { parseSource } from '../../plan/source.js';
import { shardWorkflowId } from '../../workflows/contracts/ids.js';
import { runKeyOf } from '../support/run-key.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { RolloutInput, RolloutResult } from '../../workflows/contracts/rollout.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { patientBundle, timeSkippingEnvironment } from '../support/environment.js';
import { ServerClock } from '../support/server-clock.js';

/** In it the 29th of February, both clock changes and two holidays are Sundays. */
const YEAR = 2060;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Sunday 02:30 for an hour: in one clock change 02:30 does not exist, in the other it comes twice. */
const WINDOW = {
  name: 'sunday night',
  days: ['sun'],
  start: '02:30',
  duration: '1h',
  timezone: 'Europe/Berlin',
};
/** An upgrade takes 8 minutes and starts with 47 left: two of them, one after the other, fit into a night, and no third. */
const UPGRADE_MS = 8 * MINUTE;
const FITS = { durations: { 'ges-v1': '40m', 'ges-v2': '40m', cse: '40m' }, margin: '7m' };
const CONCURRENCY = 2;

const BLACKOUTS = [
  { reason: 'summer', from: `${YEAR}-07-18`, to: `${YEAR}-08-08`, timezone: WINDOW.timezone },
  { reason: 'change calendar', ics: './changes.ics', timezone: WINDOW.timezone },
];
/** A holiday, one that comes each year, and a backup during the first ten minutes of a night. */
const ICS = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//changes//EN
BEGIN:VEVENT
UID:1@example.com
DTSTAMP:${YEAR}0101T000000Z
SUMMARY:Whit Sunday
DTSTART;VALUE=DATE:${YEAR}0516
DTEND;VALUE=DATE:${YEAR}0517
END:VEVENT
BEGIN:VEVENT
UID:2@example.com
DTSTAMP:${YEAR}0101T000000Z
SUMMARY:German Unity Day
DTSTART;VALUE=DATE:20201003
RRULE:FREQ=YEARLY
END:VEVENT
BEGIN:VEVENT
UID:3@example.com
DTSTAMP:${YEAR}0101T000000Z
SUMMARY:Backup
DTSTART:${YEAR}0606T020000
DTEND:${YEAR}0606T024000
END:VEVENT
END:VCALENDAR
`.replaceAll('\n', '\r\n');

/** Ends by itself, and leaves two resources out. */
const AUDIT = { from: utc('09-08T12:00'), until: utc('09-30T12:00') };
/** Begins within a night, between its first upgrades and the next; lifted by a second person long before its end. */
const COMPLAINT = { from: utc('11-07T01:35'), lifted: utc('11-17T12:00'), until: utc('12-24T12:00') };
const LEFT_OUT = 2;

function utc(text: string): number {
  return Date.parse(`${YEAR}-${text}Z`);
}

interface Night {
  /** The Sunday. */
  readonly date: string;
  /** Epoch milliseconds, half-open. */
  readonly opens: number;
  readonly closes: number;
  /** How many submits the clouds must have accepted in it. */
  readonly submits: number;
}

/** The nights of the year, worked out by hand: nothing here knows the calendar that is tested. */
function nights(): Night[] {
  const shut = ['05-16', '10-03', '07-18', '07-25', '08-01', '08-08', '09-19', '09-26', '11-14'];
  const found: Night[] = [];
  for (let day = utc('01-04T00:00'); day < utc('12-31T00:00'); day += 7 * DAY) {
    const date = new Date(day).toISOString().slice(5, 10);
    // From the last Sunday of March, when 02:30 is behind the gap, to that of October, when the first 02:30 counts.
    const isSummer = date > '03-28' && date <= '10-31';
    const opens = day + (isSummer ? 0 : 60) * MINUTE + 30 * MINUTE;
    const closes = opens + 60 * MINUTE;
    if (shut.includes(date)) found.push({ date, opens, closes, submits: 0 });
    // Ten minutes less, so that only the first ones fit.
    else if (date === '06-06') found.push({ date, opens: opens + 10 * MINUTE, closes, submits: CONCURRENCY });
    else if (date === '09-12') found.push({ date, opens, closes, submits: LEFT_OUT });
    else if (date === '11-07') found.push({ date, opens, closes: COMPLAINT.from, submits: CONCURRENCY });
    else found.push({ date, opens, closes, submits: 2 * CONCURRENCY });
  }
  return found;
}

const EXPECTED = nights();
/** All that the year has room for: the last of them in its last night. */
const RESOURCES = EXPECTED.reduce((sum, { submits }) => sum + submits, 0);

let env: TestWorkflowEnvironment;
let clock: ServerClock;
let clouds: Clouds;
let folder: string;

beforeAll(async () => {
  env = await timeSkippingEnvironment();
  clock = await ServerClock.of(env);
  await clock.sleepUntil(utc('01-01T00:00'));
  const engines = Math.floor(RESOURCES / 4);
  clouds = await simulatedClouds({
    clock,
    graphs: RESOURCES - engines,
    engines,
    durationMs: { min: UPGRADE_MS, max: UPGRADE_MS },
  });
  folder = await mkdtemp(join(tmpdir(), 'uplift-year-'));
});
afterAll(async () => {
  await env.teardown();
  await clouds.close();
  await rm(folder, { recursive: true, force: true });
});

/** As `uplift apply` makes it of a plan's file. */
async function plannedInput(): Promise<RolloutInput> {
  await writeFile(join(folder, 'changes.ics'), ICS);
  const specs = [...clouds.specs('ges'), ...clouds.specs('cse')];
  const targets = ['ges-v1', 'ges-v2', 'cse'].map((service) => ({
    service,
    account: 'huawei',
    version: '9.9.9',
    ids: specs.filter(({ resource }) => resource.service === service).map(({ resource }) => resource.id),
  }));
  const waves = [{ name: 'all', rest: true, concurrency: CONCURRENCY }];
  const document = {
    apiVersion: 'uplift/v1',
    kind: 'Rollout',
    metadata: { name: 'year' },
    // Room for as many at a time as the wave takes.
    spec: { targets, waves, failureBudget: { max: CONCURRENCY }, windows: [WINDOW], blackouts: BLACKOUTS, ...FITS },
  };
  const { apis, sessions, accounts = new Map() } = clouds.deps;
  const source = parseSource(stringify(document), join(folder, 'plan.yaml'));
  const plan = planOf(source, { apis, accounts, now: clock.now() });
  const prepared = await preparePlan({ plan, apis, sessions, accounts, clock });
  return toRolloutInput(prepared, { startedBy: 'test' });
}

async function workers(): Promise<Worker[]> {
  const activities = createActivities(clouds.deps);
  // Looked at every two seconds, a freeze of weeks would take hours even here: its end is heard within hours instead.
  const seldom = { now: () => clock.now(), sleep: (_ms: number, signal?: AbortSignal) => clock.sleep(DAY / 4, signal) };
  const common = {
    connection: env.nativeConnection,
    namespace: env.namespace ?? 'default',
    interceptors: { activity: [clock.interceptor] },
  };
  return Promise.all([
    Worker.create({
      ...common,
      taskQueue: QUEUES.main,
      workflowBundle: await patientBundle(),
      activities: { ...activities.reads },
    }),
    Worker.create({ ...common, taskQueue: QUEUES.submit, activities: { ...activities.submits } }),
    Worker.create({
      ...common,
      taskQueue: QUEUES.wait,
      activities: { ...activities.waits, ...freezeWaits(seldom, freezesReader(clock)) },
    }),
  ]);
}

it('submits all that a year allows, on the very nights, and nothing else', { timeout: 600_000 }, async () => {
  const input = await plannedInput();
  const ids = (input.waves[0]?.upgrades ?? []).map(({ resource }) => resource.id);
  const leftOut = ids.slice(-LEFT_OUT);
  const all = await workers();
  const running = Promise.all(all.map((worker) => worker.run()));
  let result: RolloutResult;
  let shard: string;
  try {
    const started = await startRollout(env.client, input);
    shard = shardWorkflowId(input.rollout, await runKeyOf(env.client, started), 1, 1);
    await clock.sleepUntil(AUDIT.from);
    const until = new Date(AUDIT.until).toISOString();
    const audit = { scope: [{ account: ['huawei'] }], except: [{ resource: leftOut }], until };
    await createFreeze(env.client, audit, { actor: 'ana', reason: 'audit' });

    await clock.sleepUntil(COMPLAINT.from);
    const everything = { scope: [{}], except: [], until: new Date(COMPLAINT.until).toISOString() };
    const complaint = await createFreeze(env.client, everything, { actor: 'ana', reason: 'a complaint' });
    await clock.sleepUntil(COMPLAINT.lifted);
    await liftFreeze(env.client, complaint.id, { actor: 'ben', reason: 'over' });
    result = (await env.client.workflow.getHandle(started.workflowId).result()) as RolloutResult;
  } finally {
    for (const worker of all) worker.shutdown();
    await running;
  }

  const { submits, violations } = clouds.simulator.truth();
  const inside = ({ opens, closes }: Night) => submits.filter(({ at }) => at >= opens && at < closes);
  const shown = submits.map(({ at }) => new Date(at).toISOString());
  expect(EXPECTED.map((night) => ({ ...night, submits: inside(night).length }))).toEqual(EXPECTED);
  expect(shown).toHaveLength(RESOURCES);
  expect(new Set(submits.map(({ resource }) => resource))).toEqual(new Set(ids));
  expect(violations).toEqual([]);
  const audited = EXPECTED.find(({ date }) => date === '09-12');
  expect(audited === undefined ? [] : inside(audited).map(({ resource }) => resource)).toEqual(
    expect.arrayContaining(leftOut),
  );
  expect(result).toMatchObject({ outcome: 'Succeeded', counts: { Succeeded: RESOURCES } });

  const { events = [] } = await env.client.workflow.getHandle(shard).fetchHistory();
  const asked = events?.filter(
    ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === 'readGates',
  ).length;
  console.log(
    `${RESOURCES} upgrades in ${EXPECTED.length} nights: ${events?.length} events, windows asked ${asked} times`,
  );
  // At the start, and at each edge; once more where a timer fires early.
  expect(asked).toBeLessThanOrEqual(1 + 3 * EXPECTED.length);
});
