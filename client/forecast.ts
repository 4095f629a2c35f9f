/** The forecast of a rollout: of one that is planned, and of one that runs. */
import { rolloutInputOf, type PreparedPlan } from '../activities/planner.js';
import { knowledgeOf, usualBy, usualOf, type Knowledge } from '../forecast/durations.js';
import { forecast, type Forecast, type ForecastUpgrade } from '../forecast/forecast.js';
import type { InputProblem } from '../plan/errors.js';
import { durationClass } from '../workflows/contracts/durations.js';
import { covers, isActive } from '../workflows/contracts/freezes.js';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { RolloutInput, WavePlan } from '../workflows/contracts/rollout.js';
import type { StateOf } from '../workflows/contracts/sections.js';
import type { UpgradeSpec } from '../workflows/contracts/upgrade.js';
import { drawsOf, groupLimits, limitsOf } from '../workflows/limits.js';
import { count, oneLine } from './render/text.js';
import { hasAnyBegun, hasEnded, isGood, type ResourceRow, type RolloutView, type WaveView } from './views.js';

/** What the server knows: its ledger, and who upgrades what just now. */
export interface Learned {
  readonly durations: StateOf<'durations'>;
  readonly freezes: StateOf<'freezes'>;
  readonly quarantine: StateOf<'quarantine'>;
  readonly leases: readonly Lease[];
}

/** An upgrade that runs, of any rollout. */
export interface Lease {
  readonly workflowId: string;
  /** Its rollout. */
  readonly rollout: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
}

/** Nothing: of a namespace without a ledger, or without a server. */
export const NOTHING_LEARNED: Learned = { durations: {}, freezes: [], quarantine: {}, leases: [] };

/** A rollout's forecast, and where its durations come from. */
export interface RolloutForecast extends Forecast {
  /** IANA: in which its times are told. */
  readonly zone: string;
  /** Of each service, how many finished upgrades it was learned from. */
  readonly learnedFrom: Readonly<Record<string, number>>;
  /** What it leaves out, since nothing can be told of it. */
  readonly without: readonly Unforecast[];
  /** What other rollouts upgrade just now. */
  readonly locked: readonly Locked[];
}

export interface Locked {
  /** The other rollout. */
  readonly rollout: string;
  readonly resources: number;
  /** What the plan does with them. What is not waited for is forecast as if it were free. */
  readonly onLocked: NonNullable<UpgradeSpec['onLocked']>;
}

export interface Unforecast {
  readonly id: string;
  /** One line: why. */
  readonly reason: string;
}

/**
 * As it would go if it were applied at `now`. What is blocked or wrong, and what waits for that, is left out and named: the
 * others go as they will once it is corrected.
 */
export function forecastPlan(prepared: PreparedPlan, learned: Learned, now: number): RolloutForecast {
  const input = rolloutInputOf(prepared, { startedBy: '', learned: learned.durations });
  const without = unforecast(prepared, input);
  const idle = new Set(
    prepared.waves
      .flatMap(({ targets }) => targets)
      .filter(({ verdict }) => verdict === 'no-change')
      .map(({ resource }) => upgradeWorkflowId(resource)),
  );
  const told = forecastOf({
    input,
    now,
    learned,
    hasStarted: false,
    waves: input.waves.map(({ concurrency, maxFailures, soak, upgrades = [] }) => ({
      concurrency,
      failuresLeft: Math.min(input.budget.max, maxFailures ?? Infinity),
      soakMs: soak?.forMs ?? 0,
      upgrades: upgrades
        .filter(({ resource }) => !without.has(upgradeWorkflowId(resource)))
        .map((spec) => ({ spec, startedAt: null, isIdle: idle.has(upgradeWorkflowId(spec.resource)) })),
    })),
  });
  return { ...told, without: [...without.values()] };
}

/** By workflow id: what cannot be upgraded as planned, and what waits for it, directly or not. */
function unforecast(prepared: PreparedPlan, input: RolloutInput): ReadonlyMap<string, Unforecast> {
  const out = new Map<string, Unforecast>();
  for (const { resource, verdict, reason } of prepared.waves.flatMap(({ targets }) => targets)) {
    if (verdict !== 'blocked' && verdict !== 'error') continue;
    out.set(upgradeWorkflowId(resource), { id: resource.id, reason: oneLine(reason) });
  }
  const specs = input.waves.flatMap(({ upgrades = [] }) => upgrades);
  const isMissed = ({ resource }: UpgradeSpec) => out.has(upgradeWorkflowId(resource));
  for (const [{ resource }, name] of waitingInVain(specs, isMissed)) {
    out.set(upgradeWorkflowId(resource), { id: resource.id, reason: `it waits for ${name}` });
  }
  return out;
}

/** What waits for something that is missed, directly or through others, and for which: its turn does not come. */
function waitingInVain(
  specs: readonly UpgradeSpec[],
  isMissed: (spec: UpgradeSpec) => boolean,
): ReadonlyMap<UpgradeSpec, string> {
  const left = new Set(specs.filter((spec) => !isMissed(spec)));
  const missing = new Set(specs.filter(isMissed).flatMap(({ provides = [] }) => provides));
  const inVain = new Map<UpgradeSpec, string>();
  for (let before = -1; before < inVain.size;) {
    before = inVain.size;
    for (const spec of left) {
      const name = spec.after?.find((one) => missing.has(one));
      if (name === undefined) continue;
      inVain.set(spec, name);
      left.delete(spec);
      for (const provided of spec.provides ?? []) missing.add(provided);
    }
  }
  return inVain;
}

/**
 * As it would go on from now; `null` for one that has ended or starts nothing more.
 *
 * @param lists the upgrades of each wave
 * @param rows in the same order
 */
export function forecastRollout(
  input: RolloutInput,
  lists: readonly (readonly UpgradeSpec[])[],
  { view, rows }: { readonly view: RolloutView; readonly rows: readonly ResourceRow[] },
  learned: Learned,
  now: number,
): RolloutForecast | null {
  const left = input.waves.map(({ maxFailures = Infinity }, at) =>
    Math.min(view.budget.max - (view.charged ?? 0), maxFailures - (view.waves[at]?.charged ?? 0)),
  );
  if (hasEnded(view) || view.state === 'Stopping' || left.some((failures) => failures < 0)) return null;
  const byId = new Map(rows.map((row) => [row.workflowId, row]));
  const outcomeOf = (spec: UpgradeSpec) => byId.get(upgradeWorkflowId(spec.resource))?.outcome ?? null;
  const inVain = waitingInVain(lists.flat(), (spec) => outcomeOf(spec) !== null && !isGood(outcomeOf(spec)));
  const open = (spec: UpgradeSpec) => outcomeOf(spec) === null && !inVain.has(spec);
  return forecastOf({
    input,
    now,
    learned,
    hasStarted: hasAnyBegun(view, rows),
    waves: lists.map((list, at) => ({
      concurrency: view.waves[at]?.concurrency ?? input.waves[at]?.concurrency ?? 1,
      failuresLeft: left[at] ?? 0,
      soakMs: soakLeft(input.waves[at], view.waves[at]),
      upgrades: list.filter(open).map((spec) => {
        const row = byId.get(upgradeWorkflowId(spec.resource));
        const runs = row !== undefined && row.runId !== null;
        return { spec, startedAt: runs ? (row.startedAt === null ? now : Date.parse(row.startedAt)) : null };
      }),
    })),
  });
}

/** Waves that can never start as planned, as problems of the plan. */
export function forecastProblems({ plan }: PreparedPlan, { waves }: RolloutForecast): InputProblem[] {
  return waves.flatMap(({ name, unfit }) => {
    const [first, ...others] = unfit?.never ?? [];
    if (unfit === null || first === undefined) return [];
    const who = others.length === 0 ? first : `${first} and ${count(others.length, 'other')}`;
    return [
      {
        file: plan.file,
        line: null,
        path: 'spec',
        message: `wave "${name}": ${who} can never start: ${unfit.reason}`,
        remedy:
          'lengthen the windows, set `durations` (without them, what was learned counts), give a later `expireAt`, or raise the concurrency before it',
      },
    ];
  });
}

interface OpenUpgrade {
  readonly spec: UpgradeSpec;
  /** Epoch milliseconds, of one in flight. */
  readonly startedAt: number | null;
  /** At its target already. */
  readonly isIdle?: boolean;
}

interface OpenRollout {
  readonly input: RolloutInput;
  readonly now: number;
  readonly learned: Learned;
  readonly hasStarted: boolean;
  readonly waves: readonly OpenWave[];
}

interface OpenWave {
  readonly concurrency: number;
  /** Of the rollout's budget, or of its own where that is less. */
  readonly failuresLeft: number;
  /** Milliseconds of its soak that are left. */
  readonly soakMs: number;
  readonly upgrades: readonly OpenUpgrade[];
}

/** As long as nothing is seen to fail. A plan's soak has its time scale applied, as these durations have. */
function soakLeft(plan: WavePlan | undefined, told: WaveView | undefined): number {
  const { forMs = 0 } = plan?.soak ?? {};
  const { state = 'Pending', progress = null } = told?.soak ?? {};
  if (told?.state === 'Skipped' || (state !== 'Pending' && state !== 'Running')) return 0;
  return Math.max(forMs - (progress?.healthyMs ?? 0), 0);
}

function forecastOf({ input, now, learned, hasStarted, waves }: OpenRollout): RolloutForecast {
  const kinds: Knowledge[] = [];
  const known = new Map<string, number>();
  const learnedFrom: Record<string, number> = {};
  const kindOf = ({ resource: { service }, planned }: UpgradeSpec): number => {
    const name = durationClass(service, planned?.size ?? null);
    const at = known.get(name);
    if (at !== undefined) return at;
    const usual = input.usual?.[service] ?? usualOf(UNKNOWN_MS * input.timing.scale);
    const kind = knowledgeOf(learned.durations, { service, size: planned?.size ?? null, usual }, input.timing.scale);
    learnedFrom[service] = Math.max(learnedFrom[service] ?? 0, kind.samples.length);
    known.set(name, kinds.length);
    return kinds.push(kind) - 1;
  };
  const freezes = learned.freezes.filter((freeze) => isActive(freeze, now));
  const frozenUntil = ({ resource, tags = {} }: UpgradeSpec): number =>
    freezes
      .filter((freeze) => covers(freeze, { resource, rollout: input.rollout, tags }))
      .reduce((latest, { until }) => Math.max(latest, Date.parse(until)), 0);
  const { windows = null } = input;
  const leases = new Map(
    learned.leases.filter(({ rollout }) => rollout !== input.rollout).map((lease) => [lease.workflowId, lease]),
  );
  const locked = new Map<string, Locked>();
  const p90s = new Map<number, number>();
  /** Epoch milliseconds: by then nine of ten such upgrades have ended. */
  const freeFrom = (spec: UpgradeSpec): number => {
    const lease = leases.get(upgradeWorkflowId(spec.resource));
    if (lease === undefined) return 0;
    const { rollout, startedAt } = lease;
    const { onLocked = 'skip' } = spec;
    locked.set(rollout, { rollout, onLocked, resources: (locked.get(rollout)?.resources ?? 0) + 1 });
    if (onLocked !== 'wait') return 0;
    const kind = kindOf(spec);
    const p90 = p90s.get(kind) ?? (kinds[kind] === undefined ? 0 : usualBy(kinds[kind]).p90);
    p90s.set(kind, p90);
    return startedAt + p90;
  };

  const told = forecast({
    seed: input.rollout,
    now,
    windows,
    hasStarted,
    kinds,
    waves: input.waves.map(({ name, limits }, at) => {
      const { soakMs, upgrades, ...own } = waves[at] ?? { concurrency: 1, failuresLeft: 0, soakMs: 0, upgrades: [] };
      return {
        name,
        soakMs,
        limits: {
          ...groupLimits(upgrades.map(({ spec }) => spec)),
          ...limitsOf({ ...own, limits, mode: input.budget.mode, accountLimits: input.accountLimits }),
        },
        upgrades: upgrades.map(({ spec, startedAt, isIdle = false }): ForecastUpgrade => ({
          workflowId: upgradeWorkflowId(spec.resource),
          id: spec.resource.id,
          kind: isIdle ? null : kindOf(spec),
          draws: drawsOf(spec),
          after: spec.after ?? [],
          provides: spec.provides ?? [],
          gate: isIdle ? null : (spec.gate ?? null),
          notBefore: isIdle || startedAt !== null ? 0 : Math.max(frozenUntil(spec), freeFrom(spec)),
          startedAt,
        })),
      };
    }),
  });
  const { recurrence } = windows?.calendars.flatMap((calendar) => calendar.windows)[0] ?? {};
  return { ...told, zone: recurrence?.timezone ?? 'UTC', learnedFrom, without: [], locked: [...locked.values()] };
}

/** Of a rollout that an older release has started: it says nothing of how long its services take. */
const UNKNOWN_MS = 20 * 60_000;
