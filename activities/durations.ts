/** What a shard has learned, told to the ledger: once for all of its upgrades. */
import { Context } from '@temporalio/activity';
import { writeLedger } from '../temporal/ledger.js';
import type { LearningSteps } from '../workflows/contracts/steps.js';

export const learningSteps: LearningSteps = {
  learnDurations: async (durations) => {
    const { client, info } = Context.current();
    const { workflowId = '', runId = '' } = info.workflowExecution ?? {};
    // Of several attempts one counts.
    await writeLedger(client, 'durations', { kind: 'learned', durations }, `${workflowId} ${runId}`);
  },
};
