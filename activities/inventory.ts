/** Reads a part of a rollout's inventory from where it is kept: the input of a workflow (docs/design.md). */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { FAILURES } from '../workflows/contracts/errors.js';
import type { InventoryInput, InventoryRef } from '../workflows/contracts/rollout.js';
import type { InventorySteps } from '../workflows/contracts/steps.js';
import { inputOf, isNotFound } from '../temporal/reads.js';

/** @throws ApplicationFailure that is not retried when the server no longer has it. */
export const inventorySteps: InventorySteps = {
  readInventory: async ({ workflowId, runId }: InventoryRef) => {
    try {
      return (await inputOf<InventoryInput>(Context.current().client, workflowId, runId)).upgrades;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw ApplicationFailure.nonRetryable(`${workflowId} is no longer on the server`, FAILURES.inventory);
    }
  },
};
