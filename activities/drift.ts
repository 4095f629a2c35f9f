/** What a resource was when it was planned, against what it is now: pure. */
import {
  AS_PLANNED,
  type DriftField,
  type DriftRule,
  type Finding,
  type Snapshot,
  type UpgradeSpec,
} from '../workflows/contracts/upgrade.js';
import type { ResourceState } from './clouds/port.js';

/** How every step says it. */
export const NOT_AS_PLANNED = 'is no longer what was planned';

/** What follows from a field that differs, where the plan says nothing. Its status is judged by what it means. */
const DRIFT_RULES: Readonly<Record<DriftField, DriftRule>> = {
  version: 'fail',
  status: 'proceed',
  size: 'fail',
  tags: 'fail',
};

/** The most severe rule of all fields that differ, and every difference in words; `null` where there is none. */
export interface Drift {
  readonly rule: DriftRule;
  /** `size 2C8G then, 4C16G now; tag env prod then, none now`. */
  readonly shown: string;
}

/** What a plan keeps of a resource; of its tags only those that chose it, by their keys. */
export function snapshotOf(state: ResourceState, tagKeys: readonly string[]): Snapshot {
  return {
    version: state.version,
    status: state.status,
    size: state.size ?? null,
    tags: Object.fromEntries(tagKeys.map((key) => [key, state.tags[key] ?? null])),
  };
}

/** The resource against its plan; `null` for a spec without a snapshot. */
export function driftFrom(
  { planned, drift }: Pick<UpgradeSpec, 'planned' | 'drift'>,
  state: ResourceState,
): Drift | null {
  if (planned === undefined) return null;
  const now = snapshotOf(state, Object.keys(planned.tags));
  const differences: { field: DriftField; shown: string }[] = [];
  const compare = (field: DriftField, name: string, then: string | null, current: string | null) => {
    if (then !== current)
      differences.push({ field, shown: `${name} ${then ?? 'none'} then, ${current ?? 'none'} now` });
  };
  compare('version', 'version', planned.version, now.version);
  compare('status', 'status', planned.status, now.status);
  compare('size', 'size', planned.size, now.size);
  for (const key of Object.keys(planned.tags))
    compare('tags', `tag ${key}`, planned.tags[key] ?? null, now.tags[key] ?? null);
  if (differences.length === 0) return null;

  const rules = differences.map(({ field }) => drift?.[field] ?? DRIFT_RULES[field]);
  const rule = rules.includes('fail') ? 'fail' : rules.includes('hold') ? 'hold' : 'proceed';
  return { rule, shown: differences.map(({ shown }) => shown).join('; ') };
}

/** A difference that the plan lets pass, for people to see. */
export function driftFinding({ shown: message }: Drift): Finding {
  return { check: AS_PLANNED, status: 'success', problems: [{ type: 'drift', code: 'Proceed', message }] };
}
