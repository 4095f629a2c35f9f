/** What a retry knows of groups: whose places stay taken, and who has them first. */
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Outcome, UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { NotTakenError } from '../upgrades.js';
import { isGood, type ResourceRow } from '../views.js';
import type { Later } from './latest.js';

/** After these a resource may serve nobody. */
const UNWELL: readonly (Outcome | null)[] = ['Failed', 'Held'];

/** What is known of a resource: by the rollout that is tried again, and since. */
export interface Known {
  readonly row: ResourceRow | undefined;
  readonly later: Later | undefined;
}

/** Those that share a group with any of these, these among them. */
export function membersWith(some: readonly UpgradeSpec[], all: readonly UpgradeSpec[]): UpgradeSpec[] {
  const names = new Set(some.flatMap(({ groups = {} }) => Object.keys(groups)));
  return all.filter(({ groups = {} }) => Object.keys(groups).some((name) => names.has(name)));
}

/**
 * Members of a group that ended failed, held or unhealthy serve nobody, so their places stay taken: those of them that are tried
 * again come first in their waves and keep their places until they are well, and all others have the places that are left, as
 * they have of what is in flight elsewhere. What another rollout has found well since keeps none.
 *
 * @param waves what is tried again, by wave
 * @param all what the rollout had, or where that is a retry what it tries again, with the plan's own limits
 * @throws NotTakenError when a member would have no place
 */
export function inGroups(
  waves: readonly (readonly UpgradeSpec[])[],
  all: readonly UpgradeSpec[],
  knownOf: (spec: UpgradeSpec) => Known,
): UpgradeSpec[][] {
  const planned = new Map(all.map((spec) => [idOf(spec), spec.groups]));
  const keepers = all.filter((spec) => knownOf(spec).later?.isRunning === true || isUnwell(spec, knownOf(spec)));
  return waves.map((specs, at) => {
    const mended = new Set(waves.slice(0, at + 1).flatMap((some) => some.map(idOf)));
    const later = new Set(waves.slice(at + 1).flatMap((some) => some.map(idOf)));
    const keepPlaces = keepers.filter((spec) => !mended.has(idOf(spec)));
    const placed = specs.map((spec) => {
      const { unwellBefore: _unwell, ...rest } = spec;
      const unwell = isUnwell(spec, knownOf(spec));
      const groups = Object.entries(planned.get(idOf(spec)) ?? spec.groups ?? {}).map(([name, max]) => {
        const kept = keepPlaces.filter((other) => other.groups?.[name] !== undefined);
        const [keeper] = kept;
        const left = max - kept.length;
        if (keeper !== undefined && left < 1 && !unwell && !isGood(knownOf(spec).row?.outcome ?? null)) {
          const who = `${spec.resource.id} is in group ${name}, of which no more than ${max} may be unavailable`;
          throw new NotTakenError(`${who}, and ${whyKept(keeper, knownOf(keeper), later.has(idOf(keeper)))}`);
        }
        return [name, Math.max(left, 1)] as const;
      });
      if (groups.length === 0) return rest;
      return { ...rest, groups: Object.fromEntries(groups), ...(unwell ? { unwellBefore: true as const } : {}) };
    });
    const isFirst = (spec: UpgradeSpec) => spec.unwellBefore === true;
    return [...placed.filter(isFirst), ...placed.filter((spec) => !isFirst(spec))];
  });
}

/** Whether it serves nobody, by the latest upgrade that tells. */
function isUnwell(spec: UpgradeSpec, { row, later }: Known): boolean {
  if (later !== undefined && !later.isRunning) {
    const { input, result } = later;
    // As a row of one that was terminated: nobody knows what the cloud does.
    const outcome = result?.outcome ?? 'Held';
    if (result?.unwell === true || UNWELL.includes(outcome)) return true;
    // Found at its target, it was looked at only where it had failed before.
    if (isGood(outcome) && (outcome !== 'AlreadyAtTarget' || input?.spec.failedBefore === true)) return false;
    if (input?.spec.unwellBefore === true && !isGood(outcome)) return true;
    // What only an ancestor had may have failed there before.
    if (row === undefined && !isGood(outcome)) return input?.spec.failedBefore === true || !later.isOwn;
  }
  const outcome = row?.outcome ?? null;
  return row?.unwell === true || UNWELL.includes(outcome) || (spec.unwellBefore === true && !isGood(outcome));
}

/** `a ended Failed: retry that first` */
function whyKept({ resource: { id } }: UpgradeSpec, { row, later }: Known, comesLater: boolean): string {
  if (later?.isRunning === true) {
    const by = later.input === undefined ? '' : ` by ${later.input.rollout}`;
    return `${id} is upgraded just now${by}: retry once that has ended`;
  }
  // Found at its target by somebody who did not look at its health, it is what it was before.
  const told = isGood(later?.result?.outcome ?? null) ? row?.outcome : (later?.result?.outcome ?? row?.outcome);
  const ended = `${id} ended ${told ?? 'Held'}`;
  return comesLater
    ? `${ended}, and comes in a later wave: upgrade it by a plan of its own first`
    : `${ended}: retry that first`;
}

function idOf({ resource }: UpgradeSpec): string {
  return upgradeWorkflowId(resource);
}
