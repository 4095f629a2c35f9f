/** Trying again what did not go well in a rollout that has ended: a new one, linked to it. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { Gates } from '../calendar/gate.js';
import { type Resolved, resolveMax } from '../plan/budget.js';
import { readLedger } from '../temporal/ledger.js';
import { inputOf, mapAtOnce } from '../temporal/reads.js';
import type { RolloutWindows } from '../workflows/contracts/calendar.js';
import { whyNoQuorum, whyUnsigned } from '../workflows/contracts/control.js';
import { rolloutWorkflowId, upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { FailureBudget, RolloutInput, WavePlan } from '../workflows/contracts/rollout.js';
import type { SoakStatus } from '../workflows/contracts/soak.js';
import { FAILED_OUTCOMES, type Outcome, type UpgradeInput, type UpgradeSpec } from '../workflows/contracts/upgrade.js';
import type { Signed } from './control.js';
import { upgradesOf } from './inventory.js';
import { startRollout, type StartedRollout } from './rollouts.js';
import { count } from './render/text.js';
import { readRows, resultOfRow } from './rows.js';
import { describeRun, findRuns, quoted } from './server-reads.js';
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
/** After these a resource may serve nobody. */
const UNWELL: readonly (Outcome | null)[] = ['Failed', 'Held'];

/** So many ids stand in a refusal. */
const SHOWN = 3;

/** What is tried again from another version than the plan had read: our own submit has led it there. */
export interface LeftOver {
  readonly resourceId: string;
  readonly version: string;
  readonly planned: string;
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
  const outcomes = which.flatMap((one) => RETRIED[one]);
  const wanted = new Set(
    rows
      .filter(({ outcome }) => outcome !== null && !isGood(outcome) && outcomes.includes(outcome))
      .map((row) => row.workflowId),
  );
  if (wanted.size === 0) {
    const gone = rows.filter((row) => row.gone === true && row.outcome === null).length;
    const why = gone === 0 ? '' : `: what became of ${count(gone, 'upgrade')} is no longer on the server`;
    throw new NotTakenError(`nothing of ${rollout} is left to be tried again${why}`);
  }

  const tried = rows.filter(({ workflowId }) => wanted.has(workflowId));
  const quarantined = await inQuarantine(client, input, tried);
  const leftOut = new Set(quarantined.map(({ workflowId }) => workflowId));

  const lists = await mapAtOnce(input.waves, (wave) => upgradesOf(client, wave));
  const known = new Map(rows.map((row) => [row.workflowId, row]));
  const rowOf = ({ resource }: UpgradeSpec) => known.get(upgradeWorkflowId(resource));
  const outcomeOf = (spec: UpgradeSpec) => rowOf(spec)?.outcome ?? null;
  const isWanted = ({ resource }: UpgradeSpec) => wanted.has(upgradeWorkflowId(resource));
  const triedOf = (specs: readonly UpgradeSpec[]) =>
    specs.filter((spec) => isWanted(spec) && !leftOut.has(upgradeWorkflowId(spec.resource))).length;
  const soaksAnew = unsoaked(input.waves, view.waves, (at) => lists[at]?.some(isWanted) === true);
  const isTaken = (spec: UpgradeSpec, at: number) => isWanted(spec) || (soaksAnew.has(at) && isGood(outcomeOf(spec)));
  const others = await retriesOf(client, rollout);
  const chosen = lists.map((list, at) => list.filter((spec) => isTaken(spec, at)));
  await checkOthers(client, others.running, chosen.flat());
  for (const at of soaksAnew) checkSoak(input.waves[at]?.name, lists[at] ?? [], (spec) => isTaken(spec, at), outcomeOf);
  const taken = await inGroups(client, chosen, lists.flat(), rowOf);
  const leftOver = await leftOvers(client, tried, lists.flat());
  const begins = (spec: UpgradeSpec): UpgradeSpec => {
    const begun = withStanding(spec, rowOf(spec));
    const version = leftOver.get(upgradeWorkflowId(spec.resource))?.version;
    if (version === undefined || spec.planned === undefined) return begun;
    return { ...begun, plannedFrom: version, planned: { ...spec.planned, version } };
  };
  const begun = input.waves
    .map(({ parts: _parts, ...wave }, at) => ({ ...wave, upgrades: (taken[at] ?? []).map(begins) }))
    .filter(({ upgrades: some }) => some.length > 0);
  const own = begun.map((wave) => ownMax(wave, triedOf(wave.upgrades)));
  const waves = begun.map((wave, at) => ({ ...wave, maxFailures: own[at]?.count }));
  const { startedBy: starter, schedule, retryOf } = input;
  const startedBy = [...new Set([starter, schedule?.triggeredBy ?? starter, ...(retryOf?.startedBy ?? [])])];
  checkApprovals([input, ...waves], actor, startedBy);
  const now = new Date();
  const windows = input.windows === undefined ? undefined : { ...input.windows, since: now.toISOString() };
  checkWindows(windows, taken.flat(), now.getTime());
  checkProviders(lists.flat(), (spec) => (isWanted(spec) ? 'wanted' : isGood(outcomeOf(spec)) ? 'good' : 'missed'));
  const upgrades = taken.flat().length;
  const { count: max, shown } = resolveMax(input.budget.share ?? input.budget.max, triedOf(taken.flat()));
  const budget = { ...input.budget, max };
  const before = goodIn(view.counts) - (upgrades - wanted.size);
  const started = await startRollout(client, {
    ...input,
    rollout: others.free,
    startedBy: actor,
    waves,
    budget,
    ...(input.minSuccess === undefined
      ? {}
      : { minSuccess: Math.min(Math.max(input.minSuccess - before, 1), upgrades) }),
    ...(windows === undefined ? {} : { windows }),
    retryOf: { rollout, runId: run.runId, reason, startedBy },
  });
  const ownShown = begun.flatMap(({ name }, at) => (own[at] == null ? [] : `of wave ${name} ${own[at].shown}`));
  return {
    ...started,
    upgrades,
    budget,
    budgetShown: [`${shown}, ${budget.mode}`, ...ownShown].join('; '),
    leftOver: [...leftOver.values()],
    quarantined: quarantined.map(({ resourceId }) => resourceId),
  };
}

/** Of a wave that has a budget of its own; `null` where it has none. */
function ownMax({ maxFailures, maxFailuresShare }: WavePlan, tried: number): Resolved | null {
  return maxFailures === undefined ? null : resolveMax(maxFailuresShare ?? maxFailures, tried);
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

/** What a retry knows of an upgrade: what its parent made of it, or knew of it already where it was not tried there. */
function withStanding(spec: UpgradeSpec, row: ResourceRow | undefined): UpgradeSpec {
  const outcome = row?.outcome ?? null;
  const { failedBefore: _failed, reachedBefore: _reached, ...rest } = spec;
  if (isGood(outcome)) return { ...rest, reachedBefore: true };
  return isFailed(outcome) || row?.unwell === true ? { ...rest, failedBefore: true } : spec;
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
    `all that is left to be tried again is in quarantine (${shown(ids)}): \`uplift quarantine release ${ids[0]}\` lets it be tried`,
  );
}

/** By workflow id: those that our own submits left at another version than the plan had read. */
async function leftOvers(
  client: Client,
  tried: readonly ResourceRow[],
  specs: readonly UpgradeSpec[],
): Promise<ReadonlyMap<string, LeftOver>> {
  const ends = await mapAtOnce(
    tried.filter(({ to }) => to !== null),
    async (row) => ({ row, version: (await resultOfRow(client, row))?.leftAt }),
  );
  const plannedOf = new Map(specs.map(({ resource, planned }) => [upgradeWorkflowId(resource), planned?.version]));
  return new Map(
    ends.flatMap(({ row: { workflowId, resourceId }, version }) => {
      const planned = plannedOf.get(workflowId);
      if (version === undefined || planned === undefined || version === planned) return [];
      return [[workflowId, { resourceId, version, planned }]];
    }),
  );
}

/**
 * Members of a group that ended failed, held or unhealthy serve nobody, so their places stay taken: those of them that are tried
 * again come first in their waves and keep their places until they are well, and all others have the places that are left. What
 * another rollout has found well since keeps none.
 *
 * @param waves what is tried again, by wave
 * @param all what the rollout had
 * @throws NotTakenError when a member would have no place
 */
async function inGroups(
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

/** @throws NotTakenError while it runs, or anything of it does: what was sent outlasts a rollout that was terminated */
function checkEnded(view: RolloutView, rows: readonly ResourceRow[]): void {
  const { rollout, state } = view;
  if (!hasEnded(view)) {
    throw new NotTakenError(`rollout ${rollout} is ${state}: only what has ended is tried again (stop it first)`);
  }
  const flying = rows.filter(isInFlight).map(({ resourceId }) => resourceId);
  if (flying.length === 0) return;
  throw new NotTakenError(
    `rollout ${rollout} has ${count(flying.length, 'upgrade')} in flight still (${shown(flying)}): try again when all have ended ` +
      `(\`uplift status ${rollout}\` shows them, \`uplift resolve\` ends one that is held)`,
  );
}

/** @throws NotTakenError when nothing of a wave that was begun would soak before what comes after it */
function checkSoak(
  name: string | undefined,
  specs: readonly UpgradeSpec[],
  isTaken: (spec: UpgradeSpec) => boolean,
  outcomeOf: (spec: UpgradeSpec) => Outcome | null,
): void {
  const outcomes = specs.map(outcomeOf);
  const wasBegun = outcomes.some((outcome) => outcome === null || !RETRIED.skipped.includes(outcome));
  if (specs.some(isTaken) || !wasBegun) return;
  const why = outcomes.some(isFailed)
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

/** A retry that has not ended. */
interface Running {
  readonly rollout: string;
  readonly run: WorkflowExecutionDescription;
}

/**
 * The retries of a rollout, or of what it tries again itself, that run now; and `spring-1a2b3c4d-retry-1`, or the number after the
 * highest that a rollout has.
 */
async function retriesOf(
  client: Client,
  rollout: string,
): Promise<{ readonly running: readonly Running[]; readonly free: string }> {
  const prefix = `${rollout.replace(/-retry-\d+$/, '')}-retry-`;
  const highest = await highestRetry(client, prefix);
  const running: Running[] = [];
  // Visibility may not know of the latest yet.
  for (let number = 1; ; number += 1) {
    const name = `${prefix}${number}`;
    const run = await describeRun(client, rolloutWorkflowId(name));
    if (run === null && number > highest) return { running, free: name };
    if (run !== null && run.closeTime == null) running.push({ rollout: name, run });
  }
}

/** The highest number that visibility knows: histories of lower ones may be gone already. 0 where there is none. */
async function highestRetry(client: Client, prefix: string): Promise<number> {
  const ids = rolloutWorkflowId(prefix);
  const runs = await findRuns(client, `WorkflowType = 'rollout' AND WorkflowId STARTS_WITH ${quoted(ids)}`);
  const suffixes = runs.flatMap(({ workflowId }) => (workflowId.startsWith(ids) ? [workflowId.slice(ids.length)] : []));
  // A plan's name may end as a retry's does: its digest follows, of eight digits.
  return Math.max(0, ...suffixes.filter((suffix) => /^[1-9]\d{0,6}$/.test(suffix)).map(Number));
}

/** @throws NotTakenError when one of these retries has any of these upgrades, whether or not that is over there */
async function checkOthers(client: Client, retries: readonly Running[], taken: readonly UpgradeSpec[]): Promise<void> {
  for (const { rollout, run } of retries) {
    const { waves, startedBy } = await inputOf<RolloutInput>(client, run.workflowId, run.runId);
    const lists = await mapAtOnce(waves, (wave) => upgradesOf(client, wave));
    const there = new Set(lists.flat().map(({ resource }) => upgradeWorkflowId(resource)));
    const ids = taken.flatMap(({ resource }) => (there.has(upgradeWorkflowId(resource)) ? [resource.id] : []));
    if (ids.length === 0) continue;
    throw new NotTakenError(
      `${count(ids.length, 'upgrade')} of it (${shown(ids)}) ${ids.length === 1 ? 'is' : 'are'} tried again already by ` +
        `${rollout}, which ${startedBy} started at ${run.startTime.toISOString()}: follow it by \`uplift watch ${rollout}\`, ` +
        'and retry that once it has ended',
    );
  }
}

/** `g1, g2, g3, …` */
function shown(ids: readonly string[]): string {
  return [...ids.slice(0, SHOWN), ...(ids.length > SHOWN ? ['…'] : [])].join(', ');
}
