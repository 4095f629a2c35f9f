/** What a schedule's run does to its schedule, on a real server. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { scheduleSteps } from '../../activities/schedule.js';
import { systemClock } from '../../activities/clock.js';
import { scheduleId } from '../../workflows/contracts/ids.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { type RealEnvironment, realEnvironment } from '../support/environment.js';

let env: RealEnvironment;
beforeAll(async () => {
  env = await realEnvironment();
});
afterAll(async () => {
  await env.teardown();
});

function pause(schedule: string, note: string): Promise<void> {
  const steps = scheduleSteps({ clock: systemClock });
  return new MockActivityEnvironment({}, { client: env.client }).run(() => steps.pauseSchedule({ schedule, note }));
}

it('pauses a schedule after a failure, and is done where it was deleted meanwhile', async () => {
  const handle = await env.client.schedule.create({
    scheduleId: scheduleId('patching'),
    spec: {},
    action: { type: 'startWorkflow', workflowType: 'occurrence', taskQueue: QUEUES.main, args: [] },
  });
  await pause('patching', 'rollout patching-1 ended as Failed');
  expect((await handle.describe()).state).toMatchObject({ paused: true, note: 'rollout patching-1 ended as Failed' });
  await handle.delete();
  await expect(pause('patching', 'rollout patching-2 ended as Failed')).resolves.toBeUndefined();
});
