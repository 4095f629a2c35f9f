/** One answer to "why is nothing happening?": every cause that holds now, and when it can next change. */
import type { Client } from '@temporalio/client';
import { leaseOwner } from '../temporal/leases.js';
import { mapAtOnce } from '../temporal/reads.js';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import {
  budget,
  frozen,
  keptPlaces,
  leased,
  noWorker,
  notPromoted,
  paused,
  resting,
  room,
  soaks,
  standing,
  waitsForOthers,
  wantsApproval,
  windowShut,
} from './explain/rollout.js';
import { type Cause, expected, type FindCauses, type Scene } from './explain/scene.js';
import { upgradeCause } from './explain/upgrade.js';
import { forecastRollout } from './forecast.js';
import { upgradesOf } from './inventory.js';
import { readLearned } from './learned.js';
import { deployments } from './deployments.js';
import { servedQueues } from './queues.js';
import { readRows } from './rows.js';
import { isInFlight, isPending, type ResourceRow, type RolloutView } from './views.js';

export type { Cause } from './explain/scene.js';

/** The rollout has no such resource. */
class UnknownResourceError extends Error {
  override readonly name = 'UnknownResourceError';

  constructor(resource: string, rollout: string) {
    super(`rollout ${rollout} has no resource ${resource} (check the id: uplift status ${rollout} --all)`);
  }
}

/** What is looked for before, and after, the upgrades in flight: what holds everything comes first. */
const BEFORE: readonly FindCauses[] = [
  noWorker,
  notPromoted,
  paused,
  wantsApproval,
  soaks,
  windowShut,
  frozen,
  standing,
  budget,
  room,
];
const AFTER: readonly FindCauses[] = [leased, keptPlaces, waitsForOthers, resting];

/** The most upgrades that are looked at one by one, and causes of one kind. */
const MOST = 50;

/**
 * Why a rollout is where it is; with `resource`, why that one is.
 *
 * @returns the causes, those that hold everything first
 * @throws UnknownRolloutError, UnknownResourceError
 */
export async function explain(client: Client, rollout: string, resource: string | null = null): Promise<Cause[]> {
  const { input, view, rows, runs } = await readRows(client, rollout);
  const lists = await mapAtOnce(input.waves, (wave) => upgradesOf(client, wave));
  const specs = lists.flat();
  const polled = await servedQueues(
    client,
    specs.flatMap(({ queue }) => queue ?? []),
  );
  const now = Date.now();
  const forecast = forecastRollout(input, lists, { view, rows }, await readLearned(client), now);
  const isMeant = ({ resourceId, workflowId }: ResourceRow) => resourceId === resource || workflowId === resource;
  const chosen = resource === null ? rows : rows.filter(isMeant);
  const scene: Scene = {
    now,
    view,
    input,
    rows,
    chosen,
    resource,
    specs: new Map(specs.map((spec) => [upgradeWorkflowId(spec.resource), spec])),
    owners: resource === null ? new Map() : await otherOwners(client, view, chosen.filter(isPending)),
    queues: polled,
    deployments: await deployments(client, polled),
    forecast,
  };
  if (scene.chosen.length === 0) throw new UnknownResourceError(resource ?? '', rollout);
  const inFlight = scene.chosen.filter(isInFlight).slice(0, MOST);
  return [
    ...(await found(BEFORE, scene)),
    ...(await mapAtOnce(inFlight, (row) =>
      upgradeCause(client, row, runs.get(row.workflowId) ?? null, expected(scene, row)?.ends.p50 ?? null),
    )),
    ...(await found(AFTER, scene)),
  ];
}

/** Whoever holds these leases and is not of this run: the server knows without a worker. */
async function otherOwners(
  client: Client,
  { rollout, startedAt }: RolloutView,
  rows: readonly ResourceRow[],
): Promise<Scene['owners']> {
  const owners = await mapAtOnce(rows, ({ workflowId }) => leaseOwner(client, workflowId));
  return new Map(
    rows.flatMap(({ workflowId }, at) => {
      const owner = owners[at] ?? null;
      const isOwn = owner?.rollout === rollout && owner.since >= startedAt;
      return owner === null || isOwn ? [] : [[workflowId, owner] as const];
    }),
  );
}

async function found(kinds: readonly FindCauses[], scene: Scene): Promise<Cause[]> {
  const causes = await Promise.all(kinds.map(async (find) => find(scene)));
  return causes.flatMap((some) => some.slice(0, MOST));
}
