/** The messages of all workflows, typed. Their names stand in contracts/messages.ts. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type {
  ConcurrencyRequest,
  ControlRequest,
  DecisionRequest,
  SkipOrder,
  SkipRequest,
  WaiveRequest,
  WaveOrder,
} from './contracts/control.js';
import type { LedgerEntry } from './contracts/ledger.js';
import { MESSAGES } from './contracts/messages.js';
import type { Grant, RolloutStatus, ShardProgress, ShardStatus, ShardWord } from './contracts/rollout.js';
import type { Resolution } from './contracts/upgrade.js';

export const rolloutStatusQuery = defineQuery<RolloutStatus>(MESSAGES.rolloutStatus);
export const shardStatusQuery = defineQuery<ShardStatus>(MESSAGES.shardStatus);
export const shardProgressSignal = defineSignal<[ShardProgress]>(MESSAGES.shardProgress);
/** To the shard, once per upgrade: its operation is past its deadline. The argument is the upgrade's workflow id. */
export const upgradeOverdueSignal = defineSignal<[string]>(MESSAGES.upgradeOverdue);
/** As `upgradeOverdueSignal`: there is no news of its operation. Only where people are told. */
export const upgradeStuckSignal = defineSignal<[string]>(MESSAGES.upgradeStuck);
/** To an upgrade that is held or overdue: a person says how it ended. */
export const resolveUpdate = defineUpdate<void, [Resolution]>(MESSAGES.resolve);
export const shardWordSignal = defineSignal<[ShardWord]>(MESSAGES.shardWord);
/** To the wave, once: the shard of this number has gone on in a new run. */
export const shardWentOnSignal = defineSignal<[number]>(MESSAGES.shardWentOn);
export const grantSignal = defineSignal<[Grant]>(MESSAGES.grant);
export const releaseInventorySignal = defineSignal(MESSAGES.releaseInventory);
/** To the rollout: pause, resume or stop. A signal, so that it holds even when no worker is up. */
export const controlSignal = defineSignal<[ControlRequest]>(MESSAGES.control);
/** To the rollout: leave a resource or the rest of a wave out. Answers what follows. */
export const skipUpdate = defineUpdate<string, [SkipRequest]>(MESSAGES.skip);
/** To the rollout: how many may be in flight. Answers what follows. */
export const setConcurrencyUpdate = defineUpdate<string, [ConcurrencyRequest]>(MESSAGES.setConcurrency);
export const waveOrderSignal = defineSignal<[WaveOrder]>(MESSAGES.waveOrder);
export const skipOrderSignal = defineSignal<[SkipOrder]>(MESSAGES.skipOrder);
/** To the shard: this upgrade was about to send and found the rollout on hold. The argument is its workflow id. */
export const upgradeHeldBackSignal = defineSignal<[string]>(MESSAGES.upgradeHeldBack);
/** To an upgrade that was held back: the hold is over. */
export const goOnSignal = defineSignal(MESSAGES.goOn);
/** To the rollout: approve or reject what waits for it. Answers what follows. */
export const decideUpdate = defineUpdate<string, [DecisionRequest]>(MESSAGES.decide);
/** To a section of the ledger. A signal, so that it holds even when no worker is up. */
export const ledgerChangeSignal = defineSignal<[LedgerEntry]>(MESSAGES.ledgerChange);
/** To the rollout: do not wait for the rest of a wave's soak. Answers what follows. */
export const waiveUpdate = defineUpdate<string, [WaiveRequest]>(MESSAGES.waive);
