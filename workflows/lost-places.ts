/** Places in groups that are lost for good, as waves tell them to later ones: beside the names that these wait for. */
import type { ShardCarried } from './contracts/rollout.js';
import { GROUP } from './limits.js';

type LostPlaces = ShardCarried['lostPlaces'];

/** Between a group's name and the resource that keeps a place. */
const OF = ' of ';

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
