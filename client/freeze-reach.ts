/** What of running rollouts a freeze holds: told to who creates it, since a scope that is wrong holds nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { inputOf, mapAtOnce } from '../temporal/reads.js';
import { covers, type Freeze } from '../workflows/contracts/freezes.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../workflows/contracts/ids.js';
import { named } from '../workflows/contracts/named.js';
import type { RolloutInput } from '../workflows/contracts/rollout.js';
import type { Phase } from '../workflows/contracts/upgrade.js';
import { upgradesOf } from './inventory.js';
import { count } from './render/text.js';
import { rolloutRows } from './rows.js';

/** Whoever freezes is in a hurry. */
const WITHIN_MS = 15_000;
const NOT_SENT: readonly (Phase | 'Pending')[] = ['Pending', 'Precheck', 'Waiting', 'Submit'];

/** A running rollout that a freeze covers something of. */
export interface Reached {
  readonly rollout: string;
  /** Upgrades that it keeps from being sent. */
  readonly held: number;
  /** Upgrades that had been sent: they are followed to their end. */
  readonly followed: number;
}

export interface Reach {
  /** How many rollouts run. */
  readonly running: number;
  readonly reached: readonly Reached[];
}

/** `null` where it cannot be told within a quarter of a minute. */
export async function reachOf(client: Client, freeze: Pick<Freeze, 'scope' | 'except'>): Promise<Reach | null> {
  const late = delay(WITHIN_MS, null, { ref: false });
  return Promise.race([read(client, freeze).catch(() => null), late]);
}

/** One line for a person. */
export function reachLine(reach: Reach | null): string {
  if (reach === null) return 'what it holds now cannot be read: `uplift status ROLLOUT` tells';
  const { running, reached } = reach;
  if (running === 0) return 'no rollout runs: it holds what is started until its end';
  if (reached.length === 0)
    return `it covers nothing of the ${count(running, 'rollout')} that ${running === 1 ? 'runs' : 'run'}`;
  const [held, followed] = [sum(reached.map((one) => one.held)), sum(reached.map((one) => one.followed))];
  const names = reached.map(({ rollout }) => rollout);
  const sent = followed === 0 ? '' : `; ${followed} had been sent and ${followed === 1 ? 'is' : 'are'} followed`;
  return `it holds ${count(held, 'upgrade')} of ${count(reached.length, 'running rollout')} (${named(names, 5)})${sent}`;
}

async function read(client: Client, freeze: Pick<Freeze, 'scope' | 'except'>): Promise<Reach> {
  const reached: Reached[] = [];
  let running = 0;
  const query = "WorkflowType = 'rollout' AND ExecutionStatus = 'Running'";
  for await (const { workflowId, runId } of client.workflow.list({ query })) {
    running += 1;
    const rollout = workflowId.slice(rolloutWorkflowId('').length);
    const { waves } = await inputOf<RolloutInput>(client, workflowId, runId);
    const specs = (await mapAtOnce(waves, (wave) => upgradesOf(client, wave))).flat();
    const covered = new Set(
      specs
        .filter(({ resource, tags = {} }) => covers(freeze, { resource, rollout, tags }))
        .map(({ resource }) => upgradeWorkflowId(resource)),
    );
    if (covered.size === 0) continue;
    const rows = await rolloutRows(client, rollout);
    const open = rows.filter((row) => row.phase !== 'Ended' && covered.has(row.workflowId));
    const held = open.filter(({ phase }) => NOT_SENT.includes(phase)).length;
    if (open.length > 0) reached.push({ rollout, held, followed: open.length - held });
  }
  return { running, reached };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all + number, 0);
}
