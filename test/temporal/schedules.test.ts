/** Schedules' instants, on a real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { recurrenceOf } from '../../calendar/forms.js';
import { renewSchedules } from '../../temporal/schedules.js';
import { scheduleId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { OccurrenceInput } from '../../workflows/contracts/schedule.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';

let env: RealEnvironment;
beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

const MONTHS = [
  'JANUARY',
  'FEBRUARY',
  'MARCH',
  'APRIL',
  'MAY',
  'JUNE',
  'JULY',
  'AUGUST',
  'SEPTEMBER',
  'OCTOBER',
  'NOVEMBER',
  'DECEMBER',
] as const;
const WEEKLY = recurrenceOf({ days: ['sat'], start: '22:00', duration: '4h', timezone: 'UTC' });

/** With a single instant, of the day before yesterday where none is given. */
async function create(schedule: string, at = new Date(Date.now() - 2 * 86_400_000)) {
  const input: OccurrenceInput = {
    schedule,
    plan: { file: 'plan.yaml', text: '', files: {} },
    calendar: { windows: [{ name: 'weekly', recurrence: WEEKLY }], blackouts: [] },
    windows: [],
    leadMs: 0,
    jitterMs: 0,
    startedBy: 'ana',
    pauseOnFailure: false,
    timing: { scale: 1 },
  };
  return env.client.schedule.create({
    scheduleId: scheduleId(schedule),
    spec: {
      calendars: [
        {
          year: at.getUTCFullYear(),
          dayOfMonth: at.getUTCDate(),
          month: MONTHS[at.getUTCMonth()] ?? 'JANUARY',
          hour: 1,
        },
      ],
    },
    action: { type: 'startWorkflow', workflowType: 'occurrence', taskQueue: QUEUES.main, args: [input] },
  });
}

it('renews schedules whose instants have all passed, and leaves the others as they are', async () => {
  const dead = await create('dead');
  const alive = await create('alive', new Date(Date.now() + 2 * 86_400_000));
  const before = (await alive.describe()).info.nextActionTimes;
  expect((await dead.describe()).info.nextActionTimes).toEqual([]);
  expect(before).toHaveLength(1);
  await expect
    .poll(
      async () => {
        await renewSchedules(env.client, Date.now());
        return (await dead.describe()).info.nextActionTimes.map((at) => [at.getUTCDay(), at.getUTCHours()])[0];
      },
      { timeout: 20_000 },
    )
    .toEqual([6, 22]);
  expect((await alive.describe()).info.nextActionTimes).toEqual(before);
});
