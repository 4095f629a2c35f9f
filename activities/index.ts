/** The activities, by the task queue whose slots they use. */
import type { InventorySteps, LockSteps, ReadSteps, SubmitSteps, WaitSteps } from '../workflows/contracts/steps.js';
import { awaitOperation } from './await.js';
import { rolloutHold } from './hold.js';
import { inventorySteps } from './inventory.js';
import { lockSteps } from './locks.js';
import { precheck } from './precheck.js';
import type { StepDeps } from './step.js';
import { submit } from './submit.js';
import { verify } from './verify.js';

export function createActivities(deps: StepDeps): {
  reads: ReadSteps & InventorySteps & LockSteps;
  submits: SubmitSteps;
  waits: WaitSteps;
} {
  return {
    reads: { precheck: (input) => precheck(deps, input), ...inventorySteps, ...lockSteps },
    submits: { submit: (input) => submit({ holdOf: rolloutHold, ...deps }, input) },
    waits: {
      awaitOperation: (input) => awaitOperation(deps, input),
      verify: (input) => verify(deps, input),
    },
  };
}
