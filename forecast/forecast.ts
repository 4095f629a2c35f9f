/**
 * When each wave and each resource of a rollout is expected to start and to end.
 *
 * The P90 of a wave's end is not the sum of its upgrades' P90s: it would be far too late for a hundred of them one after
 * another, and say nothing of windows, where a minute more is sometimes a week. So the rollout is played many times with
 * durations drawn anew, against the same calendar and limits that the real one keeps, and P50 and P90 are read off the
 * runs. The seed is given, so the same input has the same forecast.
 */
import { Gates } from '../calendar/gate.js';
import type { RolloutWindows } from '../workflows/contracts/calendar.js';
import type { Limits } from '../workflows/contracts/rollout.js';
import { type Curve, drawCurve, type Knowledge } from './durations.js';
import { Openings } from './openings.js';
import { randomOf } from './random.js';
import { WaveModel } from './wave.js';

/** One upgrade that has not ended. */
export interface ForecastUpgrade {
  readonly workflowId: string;
  /** For the output. */
  readonly id: string;
  /** Position in `kinds`; `null`: it takes no time, since the resource is at its target. */
  readonly kind: number | null;
  readonly draws: readonly string[];
  readonly after: readonly string[];
  readonly provides: readonly string[];
  /** Position in `windows.gates`. */
  readonly gate: number | null;
  /** Epoch milliseconds: a freeze lasts until then; 0 for none. */
  readonly notBefore: number;
  /** Epoch milliseconds, of one that is in flight. */
  readonly startedAt: number | null;
}

export interface ForecastWave {
  readonly name: string;
  readonly limits: Limits;
  /** So long it has to be healthy after its last upgrade before the next wave begins, milliseconds. */
  readonly soakMs: number;
  readonly upgrades: readonly ForecastUpgrade[];
}

export interface ForecastInput {
  /** Decides the draws: the rollout's id. */
  readonly seed: string;
  /** Epoch milliseconds. */
  readonly now: number;
  /** What has not ended, in order. */
  readonly waves: readonly ForecastWave[];
  /** What is known of each kind of upgrade. */
  readonly kinds: readonly Knowledge[];
  readonly windows: RolloutWindows | null;
  /** Whether anything of the rollout has been under way. */
  readonly hasStarted: boolean;
}

/** ISO 8601, UTC; `null`: not at all, in that many runs. */
export interface Moments {
  readonly p50: string | null;
  readonly p90: string | null;
}

export interface UpgradeForecast {
  /** Its lease: two services, or two regions, may each have a resource of one id. */
  readonly workflowId: string;
  readonly id: string;
  readonly starts: Moments;
  readonly ends: Moments;
}

/** Upgrades that windows and bounds leave no time for. */
export interface Unfit {
  /** How many of them, in one run of two and in one of ten. */
  readonly p50: number;
  readonly p90: number;
  /** They can never fit: nothing opens for them that is long enough, or none of the wave starts in any run. */
  readonly never: readonly string[];
  /** ISO 8601: when the last opening ends that they have; `null` where there is none. */
  readonly before: string | null;
  /** What bounds it. */
  readonly reason: string;
}

export interface WaveForecast {
  readonly name: string;
  /** Of its first upgrade. */
  readonly starts: Moments;
  /** Of its last one, of those that fit. */
  readonly ends: Moments;
  /** `null` where all of them fit, in nine of ten runs. */
  readonly unfit: Unfit | null;
  readonly upgrades: readonly UpgradeForecast[];
}

export interface Forecast {
  /** ISO 8601. */
  readonly at: string;
  readonly runs: number;
  readonly ends: Moments;
  readonly waves: readonly WaveForecast[];
}

/** Runs are fewer the more upgrades there are: of many, sums vary less. */
const UPGRADES_PLAYED = 400_000;
const RUNS = { least: 40, most: 400 };

export function forecast({ seed, now, waves, kinds, windows, hasStarted }: ForecastInput): Forecast {
  const total = waves.reduce((sum, { upgrades }) => sum + upgrades.length, 0);
  const runs = Math.min(Math.max(Math.round(UPGRADES_PLAYED / Math.max(total, 1)), RUNS.least), RUNS.most);
  const gates = windows === null ? null : new Gates(windows);
  const openings = (windows?.gates ?? []).map((_gate, at) => (gates === null ? null : new Openings(gates, at, now)));
  const startBy = windows?.startBy === undefined || hasStarted ? Infinity : Date.parse(windows.startBy);
  const models = waves.map(
    ({ upgrades, limits }) =>
      new WaveModel(
        upgrades.map(({ gate, ...upgrade }) => ({
          ...upgrade,
          openings: gate === null ? null : (openings[gate] ?? null),
        })),
        limits,
      ),
  );

  const starts = Array.from({ length: runs }, () => new Float64Array(total).fill(Infinity));
  const ends = Array.from({ length: runs }, () => new Float64Array(total).fill(Infinity));
  const random = randomOf(seed);
  for (let run = 0; run < runs; run += 1) {
    const curves = kinds.map((kind) => drawCurve(kind, random));
    let [at, offset] = [now, 0];
    for (const [index, model] of models.entries()) {
      const upgrades = waves[index]?.upgrades ?? [];
      const ended = model.play({
        startsAt: at,
        startBy: starts[run]?.subarray(0, offset).some((start) => start !== Infinity) === true ? Infinity : startBy,
        takes: (task) => takes(upgrades[task], curves, now, random),
        starts: starts[run] ?? new Float64Array(),
        ends: ends[run] ?? new Float64Array(),
        offset,
      });
      offset += model.size;
      // Of a wave that has ended, the soak may be all that is left.
      at = ended + (waves[index]?.soakMs ?? 0);
    }
  }

  let offset = 0;
  const forecasts = waves.map(({ name, upgrades }) => {
    const from = offset;
    offset += upgrades.length;
    const told = upgrades.map(({ workflowId, id }, at) => ({
      workflowId,
      id,
      starts: momentsOf(starts.map((run) => run[from + at] ?? Infinity)),
      ends: momentsOf(ends.map((run) => run[from + at] ?? Infinity)),
    }));
    const firsts = starts.map((run) => run.subarray(from, offset).reduce((a, b) => Math.min(a, b), Infinity));
    return {
      name,
      starts: momentsOf(firsts),
      ends: momentsOf(ends.map((run) => lastOf(run.subarray(from, offset)))),
      unfit: unfitOf(
        upgrades,
        starts.map((run) => run.subarray(from, offset)),
        openings,
        startBy,
        now,
      ),
      upgrades: told,
    };
  });
  return { at: iso(now), runs, ends: momentsOf(ends.map(lastOf)), waves: forecasts };
}

/** Milliseconds from its start, or of one in flight from now on. */
function takes(
  upgrade: ForecastUpgrade | undefined,
  curves: readonly Curve[],
  now: number,
  random: () => number,
): number {
  const curve = upgrade?.kind == null ? undefined : curves[upgrade.kind];
  if (upgrade === undefined || curve === undefined) return 0;
  if (upgrade.startedAt === null) return curve.quantile(random());
  const elapsed = Math.max(now - upgrade.startedAt, 0);
  return curve.beyond(elapsed, random) - elapsed;
}

/** The latest of those that ended; `Infinity` where none did. */
function lastOf(ends: Float64Array): number {
  const last = ends.reduce((latest, end) => (end === Infinity ? latest : Math.max(latest, end)), -Infinity);
  return last === -Infinity ? Infinity : last;
}

function unfitOf(
  upgrades: readonly ForecastUpgrade[],
  runs: readonly Float64Array[],
  openings: readonly (Openings | null)[],
  startBy: number,
  now: number,
): Unfit | null {
  const counts = runs.map((starts) => starts.reduce((count, start) => (start === Infinity ? count + 1 : count), 0));
  const [p50, p90] = [quantile(counts, 0.5), quantile(counts, 0.9)];
  if (p90 === 0) return null;
  const missed = upgrades.filter((_upgrade, at) => runs.some((starts) => starts[at] === Infinity));
  const isWhole = runs.every((starts) => starts.every((start) => start === Infinity));
  const never = isWhole
    ? upgrades
    : upgrades.filter(({ gate, startedAt }) => {
        const opens = gate === null || startedAt !== null ? null : openings[gate];
        return opens != null && opens.next(now) === Infinity;
      });
  const gates = [...new Set(missed.flatMap(({ gate }) => (gate === null ? [] : (openings[gate] ?? []))))];
  const before = Math.min(startBy, ...gates.map((gate) => gate.lastEnd()));
  return {
    p50,
    p90,
    never: never.map(({ id }) => id),
    before: before === Infinity ? null : iso(before),
    reason: gates.find(({ over }) => over !== null)?.over ?? 'startBy passes before the first opening',
  };
}

function momentsOf(values: readonly number[]): Moments {
  const [p50, p90] = [quantile(values, 0.5), quantile(values, 0.9)];
  return { p50: p50 === Infinity ? null : iso(p50), p90: p90 === Infinity ? null : iso(p90) };
}

/** The least value that no less than this share of all stays at or below. */
function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).toSorted();
  return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] ?? Infinity;
}

function iso(ms: number): string {
  return new Date(Math.round(ms)).toISOString();
}
