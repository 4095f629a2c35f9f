/** Trying again what did not go well in a rollout that has ended: a new one, linked to it. */
import type { Client } from '@temporalio/client';
import { Gates } from '../calendar/gate.js';
import { resolveMax } from '../plan/budget.js';
import { readLedger } from '../temporal/ledger.js';
import { mapAtOnce } from '../temporal/reads.js';
import type { RolloutWindows } from '../workflows/contracts/calendar.js';
import { resolveCommand, signedCommand } from '../workflows/contracts/commands.js';
import { whyNoQuorum, whyUnsigned } from '../workflows/contracts/control.js';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import { named } from '../workflows/contracts/named.js';
import { allowedInFlight } from '../workflows/contracts/outcome.js';
import { type FailureBudget, type RolloutInput, sizeOf, type WavePlan } from '../workflows/contracts/rollout.js';
import type { SoakStatus } from '../workflows/contracts/soak.js';
import { FAILED_OUTCOMES, type Outcome, type UpgradeSpec } from '../workflows/contracts/upgrade.js';
import type { Signed } from './control.js';
import { upgradesOf } from './inventory.js';
import { count } from './render/text.js';
import { inGroups, type Known, membersWith } from './retry/groups.js';
import { latestOf, originOf } from './retry/latest.js';
import { checkOthers, retriesOf, triedIn } from './retry/others.js';
import { startRollout, type StartedRollout } from './rollouts.js';
import { readRows, resultOfRow } from './rows.js';
import { NotTakenError } from './upgrades.js';
import {
  goodIn,
  hasEnded,
  isFailed,
  isGood,
  isInFlight,
  type ResourceRow,
  type RolloutView,
  type WaveView,
} from './views.js';

/** Which upgrades of an ended rollout are tried again. */
export const RETRIED: Readonly<Record<'failed' | 'skipped', readonly Outcome[]>> = {
  failed: FAILED_OUTCOMES,
  skipped: ['Skipped', 'NotStarted'],
};

/** Of a soak that keeps no later wave from beginning. */
const SOAKED: readonly SoakStatus['state'][] = ['Done', 'Waived', 'Skipped'];
/** What is tried again from another version than the plan had read: our own submit has led it there. */
export interface LeftOver {
  readonly resourceId: string;
  readonly version: string;
  readonly planned: string;
}

/** A wave that a strict budget slows down. */
export interface NarrowedWave {
  readonly wave: string;
  readonly concurrency: number;
  /** So many upgrades are in flight, as long as none fails. */
  readonly allowed: number;
}

/**
 * Starts a new rollout of what did not go well in one that has ended: the same plan, the same pinned targets, linked to
 * its parent. A wave that has not soaked does so before a later one is tried again. What our own submit led a part of the
 * way begins where that left it, and is refused as drift at any other version.
 *
 * @returns with `upgrades`, how many it has: what is tried again, and what soaks with it
 * @throws UnknownRolloutError; NotTakenError when it is not signed, it or an upgrade of it still runs, nothing is left to try,
 *   another retry that runs has any of it, what is tried waits for what is not, its group has no place for it, all of it is in
 *   quarantine, nothing would soak before it, no window opens for any of it, or nobody is left who may approve it
 */
export async function retry(
  client: Client,
  rollout: string,
  which: readonly (keyof typeof RETRIED)[],
  signed: Signed,
): Promise<
  StartedRollout & {
    readonly upgrades: number;
    /** The parent's; of one that is a share of all upgrades, that share of those that are tried again. */
    readonly budget: FailureBudget;
    /** `5 % of 20 = 1, strict; of wave canary 10 % of 5 = 0` */
    readonly budgetShown: string;
    /** The waves of which that lets fewer upgrades be in flight than their concurrency would. */
    readonly narrowed: readonly NarrowedWave[];
    readonly leftOver: readonly LeftOver[];
    /** Ids of those that it leaves out, since they are in quarantine. */
    readonly quarantined: readonly string[];
  }
> {
  const { actor, reason } = signed;
  const unsigned = whyUnsigned(signed);
  if (unsigned !== null) throw new NotTakenError(unsigned);
  const { run, input, view, rows } = await readRows(client, rollout, { whole: true });
  checkEnded(view, rows);
  const wantedRows = wantedOf(rollout, rows, which);
  const wanted = new Set(wantedRows.map((row) => row.workflowId));
  const quarantined = await inQuarantine(client, input, wantedRows);
  const leftOut = new Set(quarantined.map(({ workflowId }) => workflowId));

  const lists = await mapAtOnce(input.waves, (wave) => upgradesOf(client, wave));
  const all = lists.flat();
  const known = new Map(rows.map((row) => [row.workflowId, row]));
  const rowOf = ({ resource }: UpgradeSpec) => known.get(upgradeWorkflowId(resource));
  const outcomeOf = (spec: UpgradeSpec) => rowOf(spec)?.outcome ?? null;
  const isWanted = ({ resource }: UpgradeSpec) => wanted.has(upgradeWorkflowId(resource));
  const soaksAnew = unsoaked(input.waves, view.waves, (at) => lists[at]?.some(isWanted) === true);
  const isTaken = (spec: UpgradeSpec, at: number) => isWanted(spec) || (soaksAnew.has(at) && isGood(outcomeOf(spec)));
  const isLeftOut = ({ resource }: UpgradeSpec) => leftOut.has(upgradeWorkflowId(resource));
  for (const at of soaksAnew) {
    const list = lists[at] ?? [];
    checkSoak(input.waves[at]?.name, list, (spec) => isTaken(spec, at) && !isLeftOut(spec), outcomeOf, isLeftOut);
  }
  checkProviders(all, (spec) => (isWanted(spec) ? 'wanted' : isGood(outcomeOf(spec)) ? 'good' : 'missed'));

  const chosen = lists.map((list, at) => list.filter((spec) => isTaken(spec, at)));
  const others = await retriesOf(client, rollout);
  await checkOthers(client, others.running, chosen.flat());
  const origin = await originOf(client, input, { specs: all, begunAt: run.startTime });
  const mates = membersWith(chosen.flat(), origin.specs);
  const asked = others.isFirst ? mates : [...mates, ...all.filter(isWanted)];
  const since = await latestOf(client, asked, rowOf, { rollout: triedIn(rollout), begunAt: origin.begunAt });
  const knownOf = (spec: UpgradeSpec) => ({ row: rowOf(spec), later: since.get(upgradeWorkflowId(spec.resource)) });
  const placed = inGroups(chosen, mates, knownOf);
  const leftOver = await leftOvers(client, all.filter(isWanted), knownOf);
  const taken = placed.map((specs) =>
    specs.map((spec) =>
      fromWhereLeft(withStanding(spec, knownOf(spec)), leftOver.get(upgradeWorkflowId(spec.resource))),
    ),
  );
  // What had only to soak still has.
  const onlySoaks = (spec: UpgradeSpec) => spec.reachedBefore === true && !isFailed(outcomeOf(spec));
  const isTried = (spec: UpgradeSpec) => isWanted(spec) && !isLeftOut(spec) && !onlySoaks(spec);
  const { budget, waves, budgetShown } = budgeted(input, taken, isTried);
  const narrowed = waves
    .map((wave) => narrowedBy(budget, wave))
    .filter(({ allowed, concurrency }) => allowed < concurrency);

  const { startedBy: starter, schedule, retryOf } = input;
  const startedBy = [...new Set([starter, schedule?.triggeredBy ?? starter, ...(retryOf?.startedBy ?? [])])];
  checkApprovals([input, ...waves], actor, startedBy);
  const now = new Date();
  const windows = input.windows === undefined ? undefined : { ...input.windows, since: now.toISOString() };
  checkWindows(windows, taken.flat(), now.getTime());
  const upgrades = taken.flat().length;
  const goodBefore = goodIn(view.counts) - (upgrades - wanted.size);
  const started = await startRollout(client, {
    ...input,
    rollout: others.free,
    startedBy: actor,
    waves,
    budget,
    ...(input.minSuccess === undefined
      ? {}
      : { minSuccess: Math.min(Math.max(input.minSuccess - goodBefore, 1), upgrades) }),
    ...(windows === undefined ? {} : { windows }),
    retryOf: { rollout, runId: run.runId, reason, startedBy },
  });
  return {
    ...started,
    upgrades,
    budget,
    budgetShown,
    narrowed,
    leftOver: [...leftOver.values()],
    quarantined: quarantined.map(({ resourceId }) => resourceId),
  };
}

/** @throws NotTakenError when there are none */
function wantedOf(
  rollout: string,
  rows: readonly ResourceRow[],
  which: readonly (keyof typeof RETRIED)[],
): readonly ResourceRow[] {
  const outcomes = which.flatMap((one) => RETRIED[one]);
  const wanted = rows.filter(({ outcome }) => outcome !== null && !isGood(outcome) && outcomes.includes(outcome));
  if (wanted.length > 0) return wanted;
  const gone = rows.filter((row) => row.gone === true && row.outcome === null).length;
  const why = gone === 0 ? '' : `: what became of ${count(gone, 'upgrade')} is no longer on the server`;
  throw new NotTakenError(`nothing of ${rollout} is left to be tried again${why}`);
}

/** Its waves that have anything left, and their budgets: of one that is a share, that share of what is tried. */
function budgeted(
  input: RolloutInput,
  taken: readonly (readonly UpgradeSpec[])[],
  isTried: (spec: UpgradeSpec) => boolean,
): Pick<RolloutInput, 'budget'> & { readonly waves: WavePlan[]; readonly budgetShown: string } {
  const resolve = (max: number | string, upgrades: readonly UpgradeSpec[]) =>
    resolveMax(max, upgrades.filter(isTried).length);
  const whole = resolve(input.budget.share ?? input.budget.max, taken.flat());
  const shown = [`${whole.shown}, ${input.budget.mode}`];
  const waves = input.waves.flatMap(({ parts: _parts, ...wave }, at) => {
    const upgrades = taken[at] ?? [];
    if (upgrades.length === 0) return [];
    if (wave.maxFailures === undefined) return [{ ...wave, upgrades }];
    const own = resolve(wave.maxFailuresShare ?? wave.maxFailures, upgrades);
    shown.push(`of wave ${wave.name} ${own.shown}`);
    return [{ ...wave, maxFailures: own.count, upgrades }];
  });
  return { budget: { ...input.budget, max: whole.count }, waves, budgetShown: shown.join('; ') };
}

function narrowedBy({ max, mode }: FailureBudget, wave: WavePlan): NarrowedWave {
  const { name, maxFailures = max } = wave;
  const concurrency = Math.min(wave.concurrency, sizeOf(wave));
  return { wave: name, concurrency, allowed: allowedInFlight(concurrency, Math.min(max, maxFailures), 0, mode) };
}

/** What our own submit led a part of the way is planned from where that left it. */
function fromWhereLeft(spec: UpgradeSpec, left: LeftOver | undefined): UpgradeSpec {
  if (left === undefined || spec.planned === undefined) return spec;
  return { ...spec, plannedFrom: left.version, planned: { ...spec.planned, version: left.version } };
}

/**
 * The waves whose soak is still to come before a later one is tried again: what reached its target there is taken along,
 * found at it, and soaks. Of a rollout that was terminated nobody may know how far a soak was: it is still to come then.
 *
 * @returns their places, from 0
 */
function unsoaked(
  plans: readonly WavePlan[],
  waves: readonly WaveView[],
  isTried: (at: number) => boolean,
): ReadonlySet<number> {
  const places = plans.flatMap(({ soak }, at) => {
    const state = waves[at]?.soak?.state;
    const isDue = soak !== undefined && (state === undefined || !SOAKED.includes(state));
    return isDue && plans.some((_, later) => later > at && isTried(later)) ? [at] : [];
  });
  return new Set(places);
}

/**
 * What a retry knows of an upgrade: what its parent made of it, or knew of it already where it was not tried there, and what
 * became of it since.
 */
function withStanding(spec: UpgradeSpec, { row, later }: Known): UpgradeSpec {
  const outcome = row?.outcome ?? null;
  const { failedBefore: _failed, ...rest } = spec;
  if (isGood(outcome)) return { ...rest, reachedBefore: true };
  const hasFailed = [row, later?.result].some((one) => one?.unwell === true || isFailed(one?.outcome ?? null));
  return hasFailed ? { ...rest, failedBefore: true } : spec;
}

/**
 * Those that a rollout leaves out until somebody releases them.
 *
 * @throws NotTakenError when it would leave out all of them
 */
async function inQuarantine(
  client: Client,
  { quarantineAfter = Infinity }: RolloutInput,
  tried: readonly ResourceRow[],
): Promise<readonly ResourceRow[]> {
  const known = await readLedger(client, 'quarantine');
  const leftOut = tried.filter(({ workflowId }) => (known[workflowId]?.failures ?? 0) >= quarantineAfter);
  if (leftOut.length < tried.length) return leftOut;
  const ids = leftOut.map(({ resourceId }) => resourceId);
  throw new NotTakenError(
    `all that is left to be tried again is in quarantine (${named(ids)}): \`${releaseOf(ids)}\` lets it be tried`,
  );
}

/** By what the first of them is let be tried again. */
function releaseOf([first = 'RESOURCE']: readonly string[]): string {
  return signedCommand('quarantine', 'release', first);
}

/** By workflow id: those that our own submits left at another version than the plan had read, there or in a retry since. */
async function leftOvers(
  client: Client,
  tried: readonly UpgradeSpec[],
  knownOf: (spec: UpgradeSpec) => Known,
): Promise<ReadonlyMap<string, LeftOver>> {
  const versionOf = async ({ row, later }: Known) => {
    if (later?.isOwn === true && !later.isRunning) return later.result?.leftAt ?? later.input?.spec.planned?.version;
    return row === undefined || row.to === null ? undefined : (await resultOfRow(client, row))?.leftAt;
  };
  const found = await mapAtOnce(tried, async (spec): Promise<[string, LeftOver][]> => {
    const version = await versionOf(knownOf(spec));
    const planned = spec.planned?.version;
    if (version === undefined || planned === undefined || version === planned) return [];
    return [[upgradeWorkflowId(spec.resource), { resourceId: spec.resource.id, version, planned }]];
  });
  return new Map(found.flat());
}

/** @throws NotTakenError while it runs, or anything of it does: what was sent outlasts a rollout that was terminated */
export function checkEnded(view: Pick<RolloutView, 'rollout' | 'state'>, rows: readonly ResourceRow[]): void {
  const { rollout, state } = view;
  if (!hasEnded(view)) {
    const first =
      state === 'Stopping'
        ? `it ends once what was submitted has ended: uplift watch ${rollout}`
        : `end it first: ${signedCommand('stop', rollout)}`;
    throw new NotTakenError(`rollout ${rollout} is ${state}: only what has ended is tried again (${first})`);
  }
  const flying = rows.filter(isInFlight).map(({ resourceId }) => resourceId);
  if (flying.length === 0) return;
  throw new NotTakenError(
    `rollout ${rollout} has ${count(flying.length, 'upgrade')} in flight still (${named(flying)}): try again when all have ended ` +
      `(\`uplift status ${rollout}\` shows them, \`${resolveCommand('RESOURCE')}\` ends one that is held)`,
  );
}

/** @throws NotTakenError when nothing of a wave that was begun would soak before what comes after it */
function checkSoak(
  name: string | undefined,
  specs: readonly UpgradeSpec[],
  isTaken: (spec: UpgradeSpec) => boolean,
  outcomeOf: (spec: UpgradeSpec) => Outcome | null,
  isLeftOut: (spec: UpgradeSpec) => boolean,
): void {
  const outcomes = specs.map(outcomeOf);
  const wasBegun = outcomes.some((outcome) => outcome === null || !RETRIED.skipped.includes(outcome));
  if (specs.some(isTaken) || !wasBegun) return;
  const ids = specs.filter(isLeftOut).map(({ resource }) => resource.id);
  const why =
    ids.length > 0
      ? `what of it is tried again is in quarantine (${named(ids)}): \`${releaseOf(ids)}\` lets it be tried`
      : outcomes.some(isFailed)
        ? 'nothing of it is tried again: retry its failed ones as well'
        : 'what became of it is no longer on the server: apply the plan anew, which soaks what is at its target';
  throw new NotTakenError(`wave ${name} has not soaked, and ${why}`);
}

/** @throws NotTakenError when too few are left who may approve what needs approval */
function checkApprovals(
  gated: readonly Pick<RolloutInput, 'approval'>[],
  actor: string,
  before: readonly string[],
): void {
  for (const { approval } of gated) {
    const why = approval === undefined ? null : whyNoQuorum(approval, actor, before);
    if (why !== null) throw new NotTakenError(`${why}: let somebody else retry it`);
  }
}

/** @throws NotTakenError when the plan's windows let none of these start any more */
function checkWindows(windows: RolloutWindows | undefined, specs: readonly UpgradeSpec[], now: number): void {
  if (windows === undefined) return;
  const gates = new Gates(windows);
  const numbers = new Set(specs.map(({ gate }) => gate));
  const states = [...numbers].map((gate) => (gate === undefined ? null : gates.state(gate, now, false)));
  const [first] = states;
  if (first == null || !states.every((state) => state?.over === true)) return;
  throw new NotTakenError(
    `${first.reason}, so nothing of it would start: give the plan later times, and apply it anew`,
  );
}

/** @throws NotTakenError when something is wanted before what it waits for has reached its target */
function checkProviders(
  specs: readonly UpgradeSpec[],
  standing: (spec: UpgradeSpec) => 'wanted' | 'good' | 'missed',
): void {
  const missed = new Map<string, UpgradeSpec>();
  for (const spec of specs) {
    if (standing(spec) !== 'missed') continue;
    for (const name of spec.provides ?? []) missed.set(name, spec);
  }
  for (const spec of specs) {
    if (standing(spec) !== 'wanted') continue;
    const { resource, after = [] } = spec;
    const provider = after.map((name) => missed.get(name)).find((one) => one !== undefined);
    if (provider !== undefined) {
      const { id } = provider.resource;
      throw new NotTakenError(`${resource.id} waits for ${id}, which did not reach its target: retry it as well`);
    }
  }
}
