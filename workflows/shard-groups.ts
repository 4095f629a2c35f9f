/** Places in groups that stay taken though nothing of this rollout is in flight there. */
import { patched } from '@temporalio/workflow';
import type { Limits, ShardCarried, UpgradeEnd } from './contracts/rollout.js';
import { GOOD_OUTCOMES, type FailureClass, type UpgradeSpec } from './contracts/upgrade.js';
import { drawn, type Drawing, GROUP, groupsOf } from './limits.js';
import { lostIn, namesOf } from './lost-places.js';

/** Failures after which a member may serve nobody; one that was refused is as it was found. */
const UNWELL_AFTER: readonly (FailureClass | null)[] = ['upgrade', 'verify', 'timeout'];

/** Whether its groups bind others while it is not in flight here; shards of older releases let others start. */
export function bindsGroups({ groups = {} }: UpgradeSpec): boolean {
  return Object.keys(groups).length > 0 && patched('group-places');
}

/** Whether it is looked who upgrades it before its turn; shards of older releases found out by its start. */
export function looksAhead({ groups = {} }: UpgradeSpec): boolean {
  return Object.keys(groups).length > 0 && patched('looks-at-groups');
}

/** Members that ended failed, held or unhealthy: their clouds may still work on them, or they serve nobody. */
export class ShardGroups {
  private readonly lost: ShardCarried['lostPlaces'][number][];
  /** Of earlier waves. */
  private readonly lostBefore: ShardCarried['lostPlaces'];
  private readonly isShared: (name: string) => boolean;

  /**
   * @param missed as earlier waves tell it
   * @param isShared whether a limit is one of several shards, whose wave knows what all of them have lost
   */
  constructor(
    missed: readonly string[],
    isShared: (name: string) => boolean,
    carried: ShardCarried['lostPlaces'] = [],
  ) {
    this.lost = [...carried];
    this.lostBefore = lostIn(missed);
    this.isShared = isShared;
  }

  ended(spec: UpgradeSpec, { outcome, runId, unwell }: UpgradeEnd, failedIn: FailureClass | null): void {
    const isUnwell = unwell === true || outcome === 'Held' || (outcome === 'Failed' && UNWELL_AFTER.includes(failedIn));
    const isUnwellStill = spec.unwellBefore === true && !GOOD_OUTCOMES.includes(outcome);
    if (!isUnwellStill && (runId === null || !isUnwell || !bindsGroups(spec))) return;
    this.lost.push({ id: spec.resource.id, draws: groupsOf(spec) });
  }

  /** What is taken for good, and by those that others upgrade now. */
  taken(elsewhere: readonly UpgradeSpec[]): readonly Drawing[] {
    const before = this.lostBefore.filter(({ draws }) => !draws.some(this.isShared));
    return [...before, ...this.lost, ...this.notLost(elsewhere).map((spec) => ({ draws: groupsOf(spec) }))];
  }

  /** One that has lost its place has it no second time by others that upgrade it. */
  private notLost(elsewhere: readonly UpgradeSpec[]): readonly UpgradeSpec[] {
    const lost = new Set(this.lost.map(({ id }) => id));
    const rest = elsewhere.filter(({ resource }) => !lost.has(resource.id));
    // Shards of older releases counted both.
    return rest.length < elsewhere.length && patched('lost-once') ? rest : elsewhere;
  }

  /** Places of the named limits that ends of this shard keep for good; `undefined` when there are none. */
  lostOf(names: readonly string[]): Limits | undefined {
    const lost = Object.entries(drawn(names, this.lost)).filter(([, count]) => count > 0);
    return lost.length === 0 ? undefined : Object.fromEntries(lost);
  }

  /** For the next run. */
  get carried(): ShardCarried['lostPlaces'] {
    return this.lost;
  }

  /** For later waves, beside the names that they wait for. */
  get missed(): string[] {
    return namesOf(this.lost);
  }

  /**
   * Why a member can never start; `null` while it may.
   *
   * @param full limits of several shards of which no place is left for good
   */
  whyOut({ groups = {} }: UpgradeSpec, full: readonly string[]): string | null {
    for (const [group, max] of Object.entries(groups)) {
      const name = `${GROUP}${group}`;
      const lost = [...this.lostBefore, ...this.lost].filter(({ draws }) => draws.includes(name));
      if (lost.length < max && !full.includes(name)) continue;
      const who = lost.length === 0 ? 'others' : lost.map(({ id }) => id).join(', ');
      return `no more than ${max} of group ${group} may be unavailable, and ${who} ended failed, held or unhealthy`;
    }
    return null;
  }
}
