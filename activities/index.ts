/** The activities, by the task queue whose slots they use. */
import type {
  FreezeSteps,
  FreezeWaits,
  GateSteps,
  InventorySteps,
  LearningSteps,
  LockSteps,
  QuarantineSteps,
  ReadSteps,
  SubmitSteps,
  WaitSteps,
} from '../workflows/contracts/steps.js';
import type { NoticeSteps, OpeningSteps } from '../workflows/contracts/notices.js';
import type { PlanningSteps, ScheduleSteps } from '../workflows/contracts/schedule.js';
import type { SoakSteps } from '../workflows/contracts/soak.js';
import { awaitOperation } from './await.js';
import { begunReader } from './begun.js';
import { learningSteps } from './durations.js';
import { freezesReader, freezeSteps, freezeWaits } from './freeze.js';
import { gatesReader, gateSteps } from './gate.js';
import { holdsReader } from './hold.js';
import { inventorySteps } from './inventory.js';
import { lockSteps } from './locks.js';
import { noticeSteps } from './notify.js';
import { precheck } from './precheck.js';
import { planningSteps, scheduleSteps } from './schedule.js';
import { MOST_PROBED_BYTES } from './probe.js';
import { soak } from './soak.js';
import { quarantineSteps } from './quarantine.js';
import type { StepDeps } from './step.js';
import { submit } from './submit.js';
import { createTransport } from './transport.js';
import { upgradedOnServer } from './upgraded.js';
import { verify } from './verify.js';

export function createActivities(deps: StepDeps): {
  reads: ReadSteps &
    InventorySteps &
    LockSteps &
    LearningSteps &
    GateSteps &
    ScheduleSteps &
    FreezeSteps &
    QuarantineSteps &
    OpeningSteps;
  submits: SubmitSteps;
  waits: WaitSteps & PlanningSteps & FreezeWaits & NoticeSteps & SoakSteps;
} {
  const gatesOf = deps.gatesOf ?? gatesReader();
  const begunOf = deps.begunOf ?? begunReader();
  const freezesOf = deps.freezesOf ?? freezesReader(deps.clock);
  const holdOf = holdsReader(deps.clock);
  const probes = deps.probes ?? createTransport({ clock: deps.clock, maxBodyBytes: MOST_PROBED_BYTES });
  const upgradedOf = deps.upgradedOf ?? upgradedOnServer;
  return {
    reads: {
      precheck: (input) => precheck({ holdOf, ...deps }, input),
      ...inventorySteps,
      ...lockSteps,
      ...quarantineSteps,
      ...learningSteps,
      ...gateSteps(deps.clock, gatesOf),
      ...scheduleSteps(deps),
      ...freezeSteps(deps.clock, freezesOf),
    },
    submits: { submit: (input) => submit({ holdOf, gatesOf, begunOf, freezesOf, ...deps }, input) },
    waits: {
      awaitOperation: (input) => awaitOperation(deps, input),
      verify: (input) => verify(deps, input),
      ...planningSteps(deps),
      ...freezeWaits(deps.clock, freezesOf),
      ...noticeSteps(deps),
      soak: (input) => soak({ ...deps, probes, upgradedOf }, input),
    },
  };
}
