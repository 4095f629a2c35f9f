/** What a shard has learned, told to the ledger: once for all of its upgrades. */
import { Context } from '@temporalio/activity';
import { writeLedger } from '../temporal/ledger.js';
import type { LearningSteps } from '../workflows/contracts/steps.js';
import { ownRun } from './step.js';

export const learningSteps: LearningSteps = {
  learnDurations: async (durations) => {
    const { workflowId, runId } = ownRun();
    // Of several attempts one counts.
    await writeLedger(Context.current().client, 'durations', { kind: 'learned', durations }, `${workflowId} ${runId}`);
  },
};
