/** The quarantine in the ledger: read by a shard before it starts anything, and told once what became of its upgrades. */
import { Context } from '@temporalio/activity';
import { readLedger, writeLedger } from '../temporal/ledger.js';
import type { QuarantineSteps } from '../workflows/contracts/steps.js';
import { ownRun } from './step.js';

export const quarantineSteps: QuarantineSteps = {
  readQuarantine: async () => {
    const known = await readLedger(Context.current().client, 'quarantine');
    return Object.fromEntries(Object.entries(known).filter(([, { failures }]) => failures > 0));
  },
  tellQuarantine: async (change) => {
    const { workflowId, runId } = ownRun();
    // Of several attempts one counts.
    await writeLedger(Context.current().client, 'quarantine', change, `${workflowId} ${runId}`);
  },
};
