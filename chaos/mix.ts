/** The faults of a run: each resource's submits by an exact plan, everything else by chance; all from the seed. */
import type { Call, Fault, FaultRule } from '../simulator/faults.js';
import { fraction, pick } from '../simulator/random.js';
import type { Planned } from './fleet.js';

/** A send is given up after 1.5 s (30 s at scale 1), and settled 5 s or more after that. */
const PAST_TIMEOUT_MS = { min: 1_800, max: 4_500 };
/** The adapters allow for 30 s or more at scale 1. */
const LONGEST_LAG_MS = 1_400;
/** Reads are given up after 15 s, which no scale changes. */
const SLOW_READ_MS = { min: 200, max: 2_500 };

/** How many resources have a fault planned for their first submit, and for the one that may follow it. */
const PLANNED_SHARES = [0.8, 0.5] as const;
/** How many resources somebody at the console upgrades a moment before us: to our target, or to another version. */
const RACE_SHARES = { same: 0.03, other: 0.02 };

type Roll = (what: string) => number;

const SUBMIT_FAULTS: readonly [(roll: Roll) => Fault, ...((roll: Roll) => Fault)[]] = [
  () => ({ kind: 'throttled' }),
  (roll) => ({ kind: 'status', status: statusFor(roll), processed: false }),
  (roll) => ({ kind: 'status', status: statusFor(roll), processed: true }),
  () => ({ kind: 'reset', processed: false }),
  () => ({ kind: 'reset', processed: true }),
  (roll) => ({ kind: 'slow', delayMs: between(PAST_TIMEOUT_MS, roll('delay')), processed: 'first' }),
  (roll) => ({ kind: 'slow', delayMs: between(PAST_TIMEOUT_MS, roll('delay')), processed: 'late' }),
  () => ({ kind: 'truncated' }),
  () => ({ kind: 'cut' }),
  () => ({ kind: 'html', status: 200 }),
  () => ({ kind: 'html', status: 502 }),
  () => ({ kind: 'missing-field' }),
  () => ({ kind: 'extra-field' }),
  () => ({ kind: 'clock-skew' }),
  (roll) => ({ kind: 'vanishing-records', afterMs: Math.round(roll('gone') * 20_000) }),
  (roll) => ({
    kind: 'visibility-lag',
    lagMs: between({ min: 100, max: LONGEST_LAG_MS }, roll('lag')),
    answerLost: false,
  }),
  (roll) => ({
    kind: 'visibility-lag',
    lagMs: between({ min: 100, max: LONGEST_LAG_MS }, roll('lag')),
    answerLost: true,
  }),
];

/** Chances of a read's faults, each for every call but submits. */
const READ_FAULTS: readonly (readonly [number, Fault])[] = [
  [0.001, { kind: 'throttled' }],
  [0.006, { kind: 'status', status: 500, processed: false }],
  [0.006, { kind: 'status', status: 502, processed: false }],
  [0.006, { kind: 'status', status: 503, processed: false }],
  [0.006, { kind: 'status', status: 504, processed: true }],
  [0.006, { kind: 'reset', processed: false }],
  [0.006, { kind: 'reset', processed: true }],
  [0.008, { kind: 'truncated' }],
  [0.008, { kind: 'cut' }],
  [0.006, { kind: 'html', status: 200 }],
  [0.004, { kind: 'html', status: 502 }],
  [0.001, { kind: 'html', status: 404 }],
  [0.008, { kind: 'missing-field' }],
  [0.01, { kind: 'extra-field' }],
  [0.004, { kind: 'clock-skew' }],
];

/** Fields of an answer that a step decides by, and that are gone now and then. */
const DECISIVE: readonly (readonly [family: string, call: Call, field: string])[] = [
  ['ges', 'jobs', 'job_list'],
  ['ges', 'jobs', 'jobList'],
  ['ges', 'job', 'status'],
  ['cse', 'read', 'status'],
  ['cse', 'read', 'latestJobId'],
  ['cse', 'jobs', 'data'],
  ['cse', 'job', 'status'],
  ['dcs', 'read', 'status'],
  ['dcs', 'read', 'service_upgrade'],
  ['dcs', 'read', 'service_task_id'],
  ['dcs', 'offer', 'engine_minor_version'],
  ['dcs', 'jobs', 'tasks'],
  ['elasticsearch', 'records', 'Result'],
  ['elasticsearch', 'health', 'Result'],
];
const DECISIVE_CHANCE = 0.02;
const READS: Call[] = ['dry-run', 'read', 'list', 'job', 'jobs', 'offer', 'records', 'health'];

/** The rules of a run, in the order in which the simulator has to try them. */
export function faultMix(seed: string, planned: readonly Planned[]): FaultRule[] {
  return [
    ...planned.flatMap((one) => raceFor(seed, one) ?? submitFaultsFor(seed, one)),
    ...DECISIVE.map(([family, call, field]): FaultRule => {
      return { fault: { kind: 'missing-field', field }, family, calls: [call], probability: DECISIVE_CHANCE };
    }),
    ...READ_FAULTS.map(([probability, fault]): FaultRule => ({ fault, calls: READS, probability })),
    ...[0, 1, 2].map((index): FaultRule => {
      const delayMs = between(SLOW_READ_MS, fraction(seed, 'slow read', index));
      return { fault: { kind: 'slow', delayMs, processed: 'first' }, calls: READS, probability: 0.002 };
    }),
  ];
}

function raceFor(seed: string, { resource, to }: Planned): FaultRule[] | null {
  const at = fraction(seed, 'race', resource.id);
  const race = (versions: Readonly<Record<string, string>>): FaultRule[] => [
    { fault: { kind: 'race', to: versions }, calls: ['submit'], resource: resource.id },
  ];
  if (at < RACE_SHARES.same) return race(to);
  const other = OTHER[resource.family];
  return other !== undefined && at < RACE_SHARES.same + RACE_SHARES.other ? race(other) : null;
}

/** Between what is there and what is planned. */
const OTHER: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ges: { graph: '2.4.3' },
  cse: { engine: '2.4.1' },
};

function submitFaultsFor(seed: string, { resource }: Planned): FaultRule[] {
  return PLANNED_SHARES.flatMap((share, nth) => {
    const roll: Roll = (what) => fraction(seed, 'submit', resource.id, nth, what);
    if (roll('planned') >= share) return [];
    const fault = pick(SUBMIT_FAULTS, seed, 'submit fault', resource.id, nth)(roll);
    return [{ fault, calls: ['submit'], resource: resource.id }];
  });
}

function statusFor(roll: Roll): 500 | 502 | 503 | 504 {
  return ([500, 502, 503, 504] as const)[Math.floor(roll('status') * 4)] ?? 500;
}

function between({ min, max }: { readonly min: number; readonly max: number }, share: number): number {
  return Math.round(min + share * (max - min));
}
