/** Schedules' instants, on a real server. */
import { ScheduleNotFoundError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { recurrenceOf } from '../../calendar/forms.js';
import { scheduleInput, updateSchedule } from '../../client/schedules.js';
import { editSchedule } from '../../temporal/schedule-edits.js';
import { instant, renewSchedules } from '../../temporal/schedules.js';
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
      calendars: [instant(at.getTime(), 'weekly')],
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

it('loses none of several changes at a time, a pause neither', async () => {
  const handle = await create('busy');
  const words = ['a', 'b', 'c', 'd', 'e'];
  const adds = (word: string) =>
    editSchedule(env.client, 'busy', (previous) => {
      const [input] = previous.action.args as [OccurrenceInput];
      return {
        ...previous,
        action: { ...previous.action, args: [{ ...input, startedBy: `${input.startedBy} ${word}` }] },
      };
    });
  await Promise.all([...words.map(adds), handle.pause('hands off')]);
  const { action, state } = await handle.describe();
  const [input] = action.args as [OccurrenceInput];
  expect(input.startedBy.split(' ').toSorted()).toEqual(['ana', ...words].toSorted());
  expect(state).toMatchObject({ paused: true, note: 'hands off' });
});

it('updates what the schedule is by then, not what it was when an update began', async () => {
  await create('updated');
  const words = ['a', 'b', 'c', 'd', 'e'];
  const add = (word: string) =>
    updateSchedule(env.client, 'updated', ({ input, catchUpMs }) => ({
      input: { ...input, startedBy: `${input.startedBy} ${word}`, leadMs: input.leadMs + 1_000 },
      catchUpMs: catchUpMs + 1_000,
    }));
  const before = await scheduleInput(env.client, 'updated');
  await Promise.all(words.map(add));
  const after = await scheduleInput(env.client, 'updated');
  expect(after.input.startedBy.split(' ').toSorted()).toEqual(['ana', ...words].toSorted());
  expect(after.input.leadMs - before.input.leadMs).toBe(5_000);
  expect(after.catchUpMs - before.catchUpMs).toBe(5_000);
});

it('says that a schedule which is gone is gone, and passes on what is wrong with a change', async () => {
  await expect(editSchedule(env.client, 'gone', (previous) => previous)).rejects.toThrow(ScheduleNotFoundError);
  await create('sound');
  const wrong = editSchedule(env.client, 'sound', () => {
    throw new RangeError('not this');
  });
  await expect(wrong).rejects.toThrow('not this');
});
