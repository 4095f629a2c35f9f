/** What a retry knows of groups: whose places stay taken, and who has them first. */
import type { Client } from '@temporalio/client';
import { inputOf, mapAtOnce } from '../../temporal/reads.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Outcome, UpgradeInput, UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { resultOfRow } from '../rows.js';
import { describeRun } from '../server-reads.js';
import { NotTakenError } from '../upgrades.js';
import { isGood, type ResourceRow } from '../views.js';

/** After these a resource may serve nobody. */
const UNWELL: readonly (Outcome | null)[] = ['Failed', 'Held'];

/**
 * Members of a group that ended failed, held or unhealthy serve nobody, so their places stay taken: those of them that are tried
 * again come first in their waves and keep their places until they are well, and all others have the places that are left. What
 * another rollout has found well since keeps none.
 *
 * @param waves what is tried again, by wave
 * @param all what the rollout had
 * @throws NotTakenError when a member would have no place
 */
export async function inGroups(
  client: Client,
  waves: readonly (readonly UpgradeSpec[])[],
  all: readonly UpgradeSpec[],
  rowOf: (spec: UpgradeSpec) => ResourceRow | undefined,
): Promise<UpgradeSpec[][]> {
  const outcomeOf = (spec: UpgradeSpec) => rowOf(spec)?.outcome ?? null;
  const isUnwell = (spec: UpgradeSpec) => {
    const outcome = outcomeOf(spec);
    return rowOf(spec)?.unwell === true || UNWELL.includes(outcome) || (spec.unwellBefore === true && !isGood(outcome));
  };
  const unwell = all.filter(isUnwell);
  const wellSince = await foundWellSince(client, unwell);
  return waves.map((specs, at) => {
    const mended = new Set(waves.slice(0, at + 1).flat());
    const keepPlaces = unwell.filter((spec) => !mended.has(spec) && !wellSince.has(spec));
    const placed = specs.map((spec) => {
      const { unwellBefore: _unwell, ...rest } = spec;
      const groups = Object.entries(spec.groups ?? {}).map(([name, max]) => {
        const keepers = keepPlaces.filter((other) => other.groups?.[name] !== undefined);
        const [keeper] = keepers;
        const left = max - keepers.length;
        if (keeper !== undefined && left < 1 && !isUnwell(spec) && !isGood(outcomeOf(spec))) {
          const why = `no more than ${max} may be unavailable, and ${keeper.resource.id} ended ${outcomeOf(keeper)}`;
          throw new NotTakenError(`${spec.resource.id} is in group ${name}, of which ${why}: retry that first`);
        }
        return [name, Math.max(left, 1)] as const;
      });
      if (groups.length === 0) return rest;
      return {
        ...rest,
        groups: Object.fromEntries(groups),
        ...(isUnwell(spec) ? { unwellBefore: true as const } : {}),
      };
    });
    const isFirst = (spec: UpgradeSpec) => spec.unwellBefore === true;
    return [...placed.filter(isFirst), ...placed.filter((spec) => !isFirst(spec))];
  });
}

/** Those members of groups whose latest upgrade has ended good, and has looked at their health for it. */
async function foundWellSince(client: Client, unwell: readonly UpgradeSpec[]): Promise<ReadonlySet<UpgradeSpec>> {
  const members = unwell.filter(({ groups }) => groups !== undefined);
  const looks = await mapAtOnce(members, async (spec) => {
    const run = await describeRun(client, upgradeWorkflowId(spec.resource));
    const outcome = run === null ? null : ((await resultOfRow(client, run))?.outcome ?? null);
    if (run === null || !isGood(outcome)) return [];
    if (outcome !== 'AlreadyAtTarget') return [spec];
    const latest = await inputOf<UpgradeInput>(client, run.workflowId, run.runId);
    return latest.spec.failedBefore === true ? [spec] : [];
  });
  return new Set(looks.flat());
}
