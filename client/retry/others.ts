/** The retries of one rollout: their names, and that no two of them try the same at once. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { inputOf, mapAtOnce } from '../../temporal/reads.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { named } from '../../workflows/contracts/named.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { upgradesOf } from '../inventory.js';
import { count } from '../render/text.js';
import { describeRun, findRuns, quoted } from '../server-reads.js';
import { NotTakenError } from '../upgrades.js';
import { membersWith } from './groups.js';

/** A retry that has not ended. */
interface Running {
  readonly rollout: string;
  readonly run: WorkflowExecutionDescription;
}

/**
 * The retries of a rollout, or of what it tries again itself, that run now; and `spring-1a2b3c4d-retry-1`, or the number after the
 * highest that a rollout has.
 */
export async function retriesOf(
  client: Client,
  rollout: string,
): Promise<{ readonly running: readonly Running[]; readonly free: string; readonly isFirst: boolean }> {
  const prefix = `${triedIn(rollout)}-retry-`;
  const highest = await highestRetry(client, prefix);
  const running: Running[] = [];
  // Visibility may not know of the latest yet.
  for (let number = 1; ; number += 1) {
    const name = `${prefix}${number}`;
    const run = await describeRun(client, rolloutWorkflowId(name));
    if (run === null && number > highest) return { running, free: name, isFirst: number === 1 };
    if (run !== null && run.closeTime == null) running.push({ rollout: name, run });
  }
}

/** The rollout that one of this name tries again in the end; itself where it is no retry. */
export function triedIn(rollout: string): string {
  return rollout.replace(/-retry-\d+$/, '');
}

/** The highest number that visibility knows: histories of lower ones may be gone already. 0 where there is none. */
async function highestRetry(client: Client, prefix: string): Promise<number> {
  const ids = rolloutWorkflowId(prefix);
  const runs = await findRuns(client, `WorkflowType = 'rollout' AND WorkflowId STARTS_WITH ${quoted(ids)}`);
  const suffixes = runs.flatMap(({ workflowId }) => (workflowId.startsWith(ids) ? [workflowId.slice(ids.length)] : []));
  // A plan's name may end as a retry's does: its digest follows, of eight digits.
  return Math.max(0, ...suffixes.filter((suffix) => /^[1-9]\d{0,6}$/.test(suffix)).map(Number));
}

/**
 * @throws NotTakenError when one of these retries has any of these upgrades, whether or not that is over there, or others of their
 *   groups
 */
export async function checkOthers(
  client: Client,
  retries: readonly Running[],
  taken: readonly UpgradeSpec[],
): Promise<void> {
  for (const { rollout, run } of retries) {
    const { waves, startedBy } = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
    const lists = await mapAtOnce(waves, (wave) => upgradesOf(client, wave));
    const there = lists.flat();
    const theirs = new Set(there.map(({ resource }) => upgradeWorkflowId(resource)));
    const by = `by ${rollout}, which ${startedBy} started at ${run.startTime.toISOString()}`;
    const follow = `follow it by \`uplift watch ${rollout}\``;
    const ids = taken.flatMap(({ resource }) => (theirs.has(upgradeWorkflowId(resource)) ? [resource.id] : []));
    if (ids.length > 0) {
      const are = ids.length === 1 ? 'is' : 'are';
      throw new NotTakenError(
        `${count(ids.length, 'upgrade')} of it (${named(ids)}) ${are} tried again already ${by}: ${follow}, and retry that once it has ended`,
      );
    }
    const mates = membersWith(there, taken).map(({ resource }) => resource.id);
    if (mates.length === 0) continue;
    const are = mates.length === 1 ? 'is' : 'are';
    throw new NotTakenError(
      `${named(mates)} ${are} of a group of which others are tried again ${by}: ${follow}, and try this again once it has ended`,
    );
  }
}
