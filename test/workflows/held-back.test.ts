/** An upgrade that its rollout's hold keeps from sending. */
import { Worker } from '@temporalio/worker';
import { expect, it } from 'vitest';
import { MESSAGES } from '../../workflows/contracts/messages.js';
import { QUEUES } from '../../workflows/contracts/queues.js';
import { workflowBundle } from '../support/environment.js';
import { type HistoryEvent, goingOn } from '../support/crafted-history.js';
import { readHistory } from '../support/patches.js';

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
