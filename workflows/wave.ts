/** A wave: its upgrades in shards of at most 400, one shard after the other, under what is left of the budget. */
import {
  ChildWorkflowCancellationType,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  setCurrentDetails,
  CancellationScope,
} from '@temporalio/workflow';
import { shardWorkflowId } from './contracts/ids.js';
import { addCounts, countOf, tally } from './contracts/outcome.js';
import { SHARD_SIZE, type Counts, type WaveInput, type WaveResult } from './contracts/rollout.js';
import { ATTRIBUTES } from './contracts/search-attributes.js';
import { FAILED_OUTCOMES, type UpgradeSpec } from './contracts/upgrade.js';
import { markdown } from './details.js';
import type { shard } from './shard.js';

export async function wave(input: WaveInput): Promise<WaveResult> {
  const shards = inShards(input.wave.upgrades);
  let counts: Counts = {};
  let failures = 0;
  let stopped = false;

  for (const [index, upgrades] of shards.entries()) {
    show(input, shards.length, index, counts, failures);
    const isOver = stopped || failures > input.failuresLeft;
    if (isOver) {
      counts = addCounts(counts, { NotStarted: upgrades.length });
      continue;
    }
    const ended = await runShard(input, index + 1, upgrades, input.failuresLeft - failures);
    counts = addCounts(counts, ended.counts);
    failures += ended.failures;
    stopped ||= ended.stopped || CancellationScope.current().consideredCancelled;
  }
  show(input, shards.length, shards.length, counts, failures);
  return { counts, failures, stopped };
}

async function runShard(
  { wave: plan, ...input }: WaveInput,
  number: number,
  upgrades: readonly UpgradeSpec[],
  failuresLeft: number,
): Promise<{ counts: Counts; failures: number; stopped: boolean }> {
  try {
    const { ends, stopped, failures } = await executeChild<typeof shard>('shard', {
      workflowId: shardWorkflowId(input.rollout, input.rolloutRun, input.index, number),
      args: [{ ...input, wave: plan.name, shard: number, concurrency: plan.concurrency, upgrades, failuresLeft }],
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
      staticSummary: `${plan.name}, shard ${number}: ${upgrades.length} upgrades`,
      typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: input.rollout }],
    });
    const counts = tally(ends.map(({ outcome }) => outcome));
    return { counts, failures: failures ?? countOf(counts, FAILED_OUTCOMES), stopped };
  } catch (error) {
    // Cancelled before its first task, nothing of it was started. Ended by hand, what it did is not known here; its
    // upgrades were asked to stop, and those that had sent go on.
    const counts: Counts = { [isCancellation(error) ? 'NotStarted' : 'Held']: upgrades.length };
    return { counts, failures: countOf(counts, FAILED_OUTCOMES), stopped: true };
  }
}

function inShards(upgrades: readonly UpgradeSpec[]): UpgradeSpec[][] {
  const shards: UpgradeSpec[][] = [];
  for (let start = 0; start < upgrades.length; start += SHARD_SIZE) {
    shards.push(upgrades.slice(start, start + SHARD_SIZE));
  }
  return shards;
}

function show(input: WaveInput, shards: number, done: number, counts: Counts, failures: number): void {
  const { name, concurrency, upgrades } = input.wave;
  setCurrentDetails(
    markdown({
      state: `**Wave ${name}**: ${done} of ${shards} shards ended, ${upgrades.length} upgrades, up to ${concurrency} at a time`,
      next: done === shards ? 'nothing: this is the end' : `the end of shard ${done + 1}`,
      why: `${failures} failed, ${input.failuresLeft} tolerated`,
      tables: [{ head: ['outcome', 'upgrades'], rows: Object.entries(counts) }],
    }),
  );
}
