/** What every cause is looked for in, and what one is. */
import type { UpgradeForecast } from '../../forecast/forecast.js';
import type { LockOwner } from '../../workflows/contracts/leases.js';
import type { RolloutInput } from '../../workflows/contracts/rollout.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import type { DeploymentView } from '../deployments.js';
import type { RolloutForecast } from '../forecast.js';
import type { Queue } from '../queues.js';
import { isPending, type ResourceRow, type RolloutView } from '../views.js';

/** Something that holds a rollout or one of its upgrades now. */
export interface Cause {
  /** The rollout, `worker`, `wave canary`, a resource's id, or `g1 and 3 more`. */
  readonly who: string;
  /** One line. */
  readonly what: string;
  /** ISO 8601: when it can next change by itself, or is expected to; `null` when nobody can tell. */
  readonly nextAt: string | null;
  /** What changes it. */
  readonly changes: string;
}

/** A rollout at one instant. */
export interface Scene {
  /** Epoch milliseconds. */
  readonly now: number;
  readonly view: RolloutView;
  readonly input: RolloutInput;
  /** All of the rollout's. */
  readonly rows: readonly ResourceRow[];
  /** Those that are asked for. */
  readonly chosen: readonly ResourceRow[];
  /** The resource that was named; `null` for the rollout as a whole. */
  readonly resource: string | null;
  /** By workflow id. */
  readonly specs: ReadonlyMap<string, UpgradeSpec>;
  /** By workflow id: who else holds the lease of a resource that was named, and has not started. */
  readonly owners: ReadonlyMap<string, LockOwner>;
  readonly queues: readonly Queue[];
  readonly deployments: readonly DeploymentView[];
  /** `null` for one that has ended, or starts nothing more. */
  readonly forecast: RolloutForecast | null;
}

/** What is asked of a scene for each of its rows, which may be ten thousand: found once. */
export function perScene<T>(find: (scene: Scene) => T): (scene: Scene) => T {
  const found = new WeakMap<Scene, { readonly is: T }>();
  return (scene) => {
    const known = found.get(scene) ?? { is: find(scene) };
    found.set(scene, known);
    return known.is;
  };
}

const forecasts = perScene(
  ({ forecast }): ReadonlyMap<string, UpgradeForecast> =>
    new Map(forecast?.waves.flatMap(({ upgrades }) => upgrades.map((one) => [one.workflowId, one] as const))),
);

/** When an upgrade is expected to start and to end; `null` where nobody can tell, as when people approve what comes first. */
export function expected(scene: Scene, row: ResourceRow): UpgradeForecast | null {
  if (scene.view.approval !== null && isPending(row)) return null;
  return forecasts(scene).get(row.workflowId) ?? null;
}

/** One kind of cause: finds what of it holds now. */
export type FindCauses = (scene: Scene) => readonly Cause[] | Promise<readonly Cause[]>;
