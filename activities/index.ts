/** The activities, by the task queue whose slots they use. */
import type {
  GateSteps,
  InventorySteps,
  LockSteps,
  ReadSteps,
  SubmitSteps,
  WaitSteps,
} from '../workflows/contracts/steps.js';
import { awaitOperation } from './await.js';
import { gatesReader, gateSteps } from './gate.js';
import { rolloutHold } from './hold.js';
import { inventorySteps } from './inventory.js';
import { lockSteps } from './locks.js';
import { precheck } from './precheck.js';
import type { StepDeps } from './step.js';
import { submit } from './submit.js';
import { verify } from './verify.js';

export function createActivities(deps: StepDeps): {
  reads: ReadSteps & InventorySteps & LockSteps & GateSteps;
  submits: SubmitSteps;
  waits: WaitSteps;
} {
  const gatesOf = deps.gatesOf ?? gatesReader();
  return {
    reads: {
      precheck: (input) => precheck(deps, input),
      ...inventorySteps,
      ...lockSteps,
      ...gateSteps(deps.clock, gatesOf),
    },
    submits: { submit: (input) => submit({ holdOf: rolloutHold, gatesOf, ...deps }, input) },
    waits: {
      awaitOperation: (input) => awaitOperation(deps, input),
      verify: (input) => verify(deps, input),
    },
  };
}
