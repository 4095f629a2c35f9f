/** Places in groups that are lost for good, as waves tell them to later ones: beside the names that these wait for. */
import type { ShardCarried } from './contracts/rollout.js';
import type { UpgradeSpec } from './contracts/upgrade.js';
import { GROUP, groupsOf } from './limits.js';

type LostPlaces = ShardCarried['lostPlaces'];

/** Between a group's name and the resource that keeps a place. */
const OF = ' of ';

/**
 * Names that others wait for, of all of these; of a member that serves nobody also its places, which later waves have only
 * once it has reached its target.
 */
export function providesOf(
  upgrades: Iterable<Pick<UpgradeSpec, 'resource' | 'groups' | 'provides' | 'unwellBefore'>>,
): string[] {
  const names = [...upgrades].flatMap((spec) => [
    ...(spec.provides ?? []),
    ...(spec.unwellBefore === true ? namesOf([{ id: spec.resource.id, draws: groupsOf(spec) }]) : []),
  ]);
  return [...new Set(names)];
}

export function namesOf(lost: LostPlaces): string[] {
  return lost.flatMap(({ id, draws }) => draws.map((name) => `${name}${OF}${id}`));
}

/** @param missed as earlier waves tell it */
export function lostIn(missed: readonly string[]): LostPlaces {
  return missed
    .filter((name) => name.startsWith(GROUP) && name.includes(OF))
    .map((name) => {
      const at = name.lastIndexOf(OF);
      return { id: name.slice(at + OF.length), draws: [name.slice(0, at)] };
    });
}
