/** A rollout's inventory on the server: kept in parts, as the inputs of workflows, and read from there (docs/design.md). */
import { randomBytes } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { ApplicationFailure, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { haveOneGate, inShards, partedGroups } from '../plan/shards.js';
import { inputOf, isNotFound, mapAtOnce } from '../temporal/reads.js';
import { FAILURES } from '../workflows/contracts/errors.js';
import { inventoryWorkflowId } from '../workflows/contracts/ids.js';
import { MESSAGES } from '../workflows/contracts/messages.js';
import { commonQueue, QUEUES } from '../workflows/contracts/queues.js';
import {
  inventoriesOf,
  SHARD_SIZE,
  type InventoryInput,
  type InventoryRef,
  type RolloutInput,
  type WavePart,
} from '../workflows/contracts/rollout.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import type { InventorySteps } from '../workflows/contracts/steps.js';
import { drawn, drawsOf, GROUP, holdsOf, limitsOf } from '../workflows/limits.js';
import { providesOf } from '../workflows/lost-places.js';

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

  releaseInventories: async (refs: readonly InventoryRef[]) => {
    const { client } = Context.current();
    await mapAtOnce(refs, async ({ workflowId }) => {
      try {
        // A plain signal would wait for the end of the delay, one with a start ends it; terminated, lists would look like an
        // accident. Of one that the server has forgotten it makes an empty one, which ends at once.
        await client.workflow.signalWithStart('inventory', {
          workflowId,
          taskQueue: QUEUES.main,
          signal: MESSAGES.releaseInventory,
          workflowIdReusePolicy: 'REJECT_DUPLICATE',
        });
      } catch (error) {
        // It has ended already.
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
    });
  },
};

/** A rollout that was terminated releases nothing; then this ends what it left. It counts from the start, delay or not. */
const KEPT_AT_MOST = '365 days';
/** Later than it times out: until it is released no worker holds it, at 0.2 MB for each shard. */
const NOT_BEFORE = '366 days';

/**
 * Puts the upgrades of a rollout that is about to start where any worker can read them: into the inputs of workflows,
 * one for each shard. The rollout's own input then holds references. What a wave provides, its queue, whether it has one
 * gate and the limits of its groups are made from its upgrades, whatever was given: a retry has fewer of them than the wave
 * that it was made from, and lower limits where a place is lost.
 *
 * @param size of a shard; smaller ones are for tests
 * @param key in the ids; given, it replaces what an earlier try has put there
 */
export async function keepInventory(
  client: Client,
  input: RolloutInput,
  size = SHARD_SIZE,
  key = randomBytes(4).toString('hex'),
): Promise<RolloutInput> {
  const planned = input.waves.map(({ provides: _provides, queue: _queue, oneGate: _oneGate, ...wave }) => {
    const shards = inShards(wave.upgrades ?? [], size);
    const written = Object.entries(wave.limits ?? {}).filter(([name]) => !name.startsWith(GROUP));
    const parted = Object.entries(partedGroups(shards)).map(([name, max]) => [`${GROUP}${name}`, max] as const);
    const provides = providesOf(wave.upgrades ?? []);
    const limits = Object.fromEntries([...written, ...parted]);
    const queue = commonQueue((wave.upgrades ?? []).map((spec) => spec.queue));
    const more = {
      ...(provides.length === 0 ? {} : { provides }),
      ...(queue === undefined ? {} : { queue }),
      ...(haveOneGate(wave.upgrades ?? []) ? { oneGate: true } : {}),
    };
    return { wave: { ...wave, limits, ...more }, shards };
  });
  const cuts = planned.flatMap(({ wave, shards }, at) => shards.map((upgrades) => ({ at, wave, upgrades })));
  const parts = await mapAtOnce(cuts, async ({ wave, upgrades }, number): Promise<WavePart> => {
    const workflowId = inventoryWorkflowId(input.rollout, key, number + 1);
    const kept: InventoryInput = { rollout: input.rollout, wave: wave.name, upgrades };
    const { firstExecutionRunId } = await client.workflow.start('inventory', {
      workflowId,
      taskQueue: QUEUES.main,
      args: [kept],
      workflowIdConflictPolicy: 'TERMINATE_EXISTING',
      startDelay: NOT_BEFORE,
      workflowExecutionTimeout: KEPT_AT_MOST,
      staticSummary: `${wave.name}: the list of ${upgrades.length} upgrades`,
      typedSearchAttributes: [{ key: ATTRIBUTES.rollout, value: input.rollout }],
    });
    const limits = limitsOf({ ...input, ...wave, failuresLeft: input.budget.max, mode: input.budget.mode });
    const drawing = upgrades.map((spec) => ({ draws: drawsOf(spec) }));
    const inventory = { workflowId, runId: firstExecutionRunId };
    const draws = drawn(Object.keys(limits), drawing);
    const held = holdsOf(upgrades);
    const holds = held.length === 0 ? {} : { holds: drawn(Object.keys(limits), held) };
    return { inventory, total: upgrades.length, draws, ...holds, provides: providesOf(upgrades) };
  });
  const waves = planned.map(({ wave }, wanted) => ({
    ...wave,
    upgrades: undefined,
    parts: parts.filter((_part, number) => cuts[number]?.at === wanted),
  }));
  return { ...input, waves };
}

/** Of a rollout that could not be started. */
export async function dropInventory(client: Client, input: RolloutInput): Promise<void> {
  await mapAtOnce(inventoriesOf(input), ({ workflowId, runId }) =>
    client.workflow.getHandle(workflowId, runId).terminate('its rollout was not started'),
  );
}
