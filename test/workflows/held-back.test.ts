/** An upgrade that its rollout's hold keeps from sending. */
import { Worker } from '@temporalio/worker';
import { expect, it, onTestFinished } from 'vitest';
import { rolloutWorkflowId } from '../../workflows/contracts/ids.js';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import type { rollout } from '../../workflows/rollout.js';
import { timeSkippingEnvironment, workflowBundle } from '../support/environment.js';
import { type HistoryEvent, goingOn } from '../support/crafted-history.js';
import { readHistory } from '../support/patches.js';
import { rolloutInput, scriptedSteps } from './scripted-steps.js';
import { withScriptedWorkers } from './scripted-workers.js';

/** A recorded upgrade up to its word to the shard that it is held back. */
function untilItsWord(): readonly HistoryEvent[] {
  const { events } = readHistory('upgrade-told-once_0.1.0.json') as unknown as { events: readonly HistoryEvent[] };
  const word = events.findIndex(({ eventType }) => eventType.endsWith('SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED'));
  return events.slice(0, word + 1);
}

it('hears that the hold has ended also while its own word of it is under way', async () => {
  const before = untilItsWord();
  const { eventId: word } = before.at(-1) as HistoryEvent;
  const taskQueue = { name: QUEUES.main, kind: 'TASK_QUEUE_KIND_NORMAL' };
  const task = { scheduledEventId: String(Number(word) + 3), startedEventId: String(Number(word) + 4) };
  const history = goingOn(before, [
    ['EXTERNAL_WORKFLOW_EXECUTION_SIGNALED', { initiatedEventId: word }],
    ['WORKFLOW_EXECUTION_SIGNALED', { signalName: MESSAGES.goOn }],
    ['WORKFLOW_TASK_SCHEDULED', { taskQueue }],
    ['WORKFLOW_TASK_STARTED', { scheduledEventId: task.scheduledEventId }],
    ['WORKFLOW_TASK_COMPLETED', task],
    // A look of its own, hours later, would begin with a timer.
    ['ACTIVITY_TASK_SCHEDULED', { activityId: '3', activityType: { name: 'submit' }, taskQueue }],
  ]);
  expect(before.length).toBe(Number(word));
  await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history);
});

it('looks more and more seldom while its shard has not heard of the hold', async () => {
  const env = await timeSkippingEnvironment();
  onTestFinished(() => env.teardown());
  const id = 'unheard-hold';
  let [looks, until] = [0, Infinity];
  const steps = scriptedSteps({
    submit: async () => {
      looks += 1;
      const now = await env.currentTimeMs();
      if (looks === 1) until = now + 3_600_000;
      // What never waits would look for ever.
      return now >= until || looks === 60 ? {} : { verdict: 'held-back', operation: null, reason: 'paused by ana' };
    },
  });
  const result = await withScriptedWorkers(env, steps, async () => {
    const handle = await env.client.workflow.start<typeof rollout>('rollout', {
      workflowId: rolloutWorkflowId(id),
      taskQueue: QUEUES.main,
      args: [rolloutInput(id, { ids: ['e-1'], concurrency: 1 }, { max: 0, mode: 'strict' })],
    });
    return handle.result();
  });
  expect(result.outcome).toBe('Succeeded');
  // After 0, 1, 2, 4 … 512 s, and then each quarter of an hour.
  expect(looks).toBe(15);
});
