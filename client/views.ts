/** What the client tells of a rollout, in the shape that `-o json` prints. All times ISO 8601, UTC. */
import { signedCommand } from '../workflows/contracts/commands.js';
import { type Act, type ApprovalState, LONGEST_WORDS } from '../workflows/contracts/control.js';
import type { Failing } from '../workflows/contracts/quarantine.js';
import { type Freeze, freezeLabel } from '../workflows/contracts/freezes.js';
import type { Counts, FailureBudget, RolloutInput, RolloutStatus, WaveStatus } from '../workflows/contracts/rollout.js';
import { addCounts, countOf, hasBegun } from '../workflows/contracts/outcome.js';
import { soakedAt } from '../workflows/contracts/soak.js';
import type { AwaitHeartbeat } from '../workflows/contracts/steps.js';
import {
  FAILED_OUTCOMES,
  GOOD_OUTCOMES,
  type Outcome,
  type Phase,
  type SentCall,
  type UpgradeResult,
} from '../workflows/contracts/upgrade.js';
import { cut } from './render/text.js';

export interface RolloutView {
  readonly rollout: string;
  /** The Temporal run; a plan applied again has a new one. */
  readonly runId: string;
  /** `Terminated`: ended from outside, by an operator or the server, without a result. */
  readonly state: RolloutStatus['state'] | 'Terminated';
  readonly reason: string;
  /** What changes next. */
  readonly next: string;
  /** `false`: no worker answered, and this is what the server alone knows. */
  readonly workerAnswers: boolean;
  readonly planDigest: string;
  readonly startedBy: string;
  readonly startedAt: string;
  /** `null` while it runs. */
  readonly endedAt: string | null;
  readonly budget: FailureBudget;
  /** With fewer at their targets it has failed; `null` where the plan says nothing. */
  readonly minSuccess: number | null;
  readonly failures: number;
  /** Of these, what the budget counts; an overdue upgrade too. `null`: it counts only some, and which is not known. */
  readonly charged: number | null;
  readonly total: number;
  readonly counts: Counts;
  readonly waves: readonly WaveView[];
  /** The approval that it waits for now; else `null`. */
  readonly approval: ApprovalState | null;
  /** What people did to it, oldest first; none where no worker answers, since the server alone does not tell them. */
  readonly acts: readonly Act[];
  /** How many others there were, of very many; left out while there are none. */
  readonly actsLeftOut?: number;
  /** The latest notice that somebody was not told, and why. */
  readonly undelivered?: string;
  /** The run whose failed or skipped upgrades this one tries again. */
  readonly retryOf: NonNullable<RolloutInput['retryOf']> | null;
  /** What keeps something of it from starting now; left out where rows were not read. */
  readonly freezes?: readonly Held[];
}

/** A freeze, and how many resources of a rollout it keeps from starting. */
export interface Held {
  readonly freeze: Freeze;
  readonly resources: number;
}

/** A resource that a rollout would leave out, since it keeps failing. */
export interface Quarantined {
  readonly resource: string;
  /** Of its upgrade. */
  readonly workflowId: string;
  readonly failing: Failing;
}

/** What a plan's rollout would not start now. */
export interface KeptBack {
  readonly freezes: readonly Held[];
  readonly quarantined: readonly Quarantined[];
}

export interface WaveView extends Omit<WaveStatus, 'concurrency' | 'failures'> {
  /** As the rollout's. */
  readonly charged: number | null;
  /** The most upgrades in flight at a time. */
  readonly concurrency: number;
}

/** One resource of the plan and where it stands. */
export interface ResourceRow {
  readonly wave: string;
  /** 1-based. */
  readonly waveIndex: number;
  readonly resourceId: string;
  readonly account: string;
  readonly cloud: string;
  readonly service: string;
  readonly region: string;
  readonly workflowId: string;
  readonly runId: string | null;
  /** Of one in flight, where its run was looked at. */
  readonly startedAt: string | null;
  readonly phase: Phase | 'Pending';
  /** `null` until it ended. */
  readonly outcome: Outcome | null;
  readonly reason: string;
  readonly from: string | null;
  /** The version that was read back; `null` until then. */
  readonly to: string | null;
  readonly target: string;
  /** 0..100; `null` where the API tells none, or nothing runs. */
  readonly percent: number | null;
  /** What the wait last saw; `null` outside of it. */
  readonly await: AwaitHeartbeat | null;
  /** When it is looked again whether it may start, while it waits for others; else `null`. */
  readonly nextAt: string | null;
  /** What keeps it from starting now; left out when nothing does. */
  readonly freeze?: Freeze;
  /** As in its result: it serves nobody, though nothing was sent. */
  readonly unwell?: true;
  /** Its history is no longer on the server; `outcome` is `null` where what others counted does not tell it. */
  readonly gone?: true;
}

/** A mutating call as it was really sent, and for what. */
export interface ResourceCall extends SentCall {
  readonly resourceId: string;
}

/** A stretch of time. */
export interface NamedTime {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** One of a rollout's calendars while it ran: submits were allowed where it was open. */
export interface CalendarTimes {
  /** Its windows' names. */
  readonly name: string;
  readonly zone: string;
  /** With the names of the windows that were open; blackouts cut them. */
  readonly open: readonly NamedTime[];
  /** Each with its reason. */
  readonly blackouts: readonly NamedTime[];
}

export interface RolloutReport {
  readonly view: RolloutView;
  readonly rows: readonly ResourceRow[];
  /** Of every upgrade that ended with a result, in the plan's order. */
  readonly results: readonly UpgradeResult[];
  /** Every mutating call, in order of time, whatever became of its upgrade. */
  readonly calls: readonly ResourceCall[];
  /** Those that held something of it while it ran. */
  readonly freezes: readonly Freeze[];
  /** Empty where the plan has none: then submits were allowed at any time. */
  readonly windows: readonly CalendarTimes[];
}

/** When the last of a rollout ends, or `now`: an upgrade in flight outlasts a rollout that was terminated. Epoch milliseconds. */
export function lastEnd(
  { view, rows, results }: Pick<RolloutReport, 'view' | 'rows' | 'results'>,
  now: number,
): number {
  const isOpen = rows.some(({ outcome, startedAt }) => outcome === null && startedAt !== null);
  const rolloutEnd = view.endedAt === null || isOpen ? now : Date.parse(view.endedAt);
  return results.reduce((last, { endedAt }) => Math.max(last, Date.parse(endedAt)), rolloutEnd);
}

export function isGood(outcome: Outcome | null): boolean {
  return outcome !== null && GOOD_OUTCOMES.includes(outcome);
}

export function isFailed(outcome: Outcome | null): boolean {
  return outcome !== null && FAILED_OUTCOMES.includes(outcome);
}

export function goodIn(counts: Counts): number {
  return countOf(counts, GOOD_OUTCOMES);
}

export function failedIn(counts: Counts): number {
  return countOf(counts, FAILED_OUTCOMES);
}

export function endedIn(counts: Counts): number {
  return countOf(counts);
}

/**
 * Whether anything of a rollout has been under way, as its windows ask: what a person holds back right before its send has
 * not been, nor what was left out or called back.
 */
export function hasAnyBegun({ state }: Pick<RolloutView, 'state'>, rows: readonly ResourceRow[]): boolean {
  return rows.some(({ runId, phase, outcome, reason }) => {
    const isHeldBack = state === 'Paused' && phase === 'Waiting' && reason.startsWith('paused by ');
    return runId !== null && !isHeldBack && (outcome === null || hasBegun({ [outcome]: 1 }));
  });
}

/** Its turn has not come. */
export function isPending({ phase }: ResourceRow): boolean {
  return phase === 'Pending';
}

export function isInFlight({ phase }: ResourceRow): boolean {
  return phase !== 'Pending' && phase !== 'Ended';
}

/** It may serve nobody, so that its place in its groups stays taken: as its shard judges. */
export function endedUnwell({ outcome, runId, unwell }: ResourceRow): boolean {
  return runId !== null && (unwell === true || outcome === 'Failed' || outcome === 'Held');
}

/** States of a wave of which nothing more begins. */
export const WAVE_OVER: readonly WaveView['state'][] = ['Done', 'Stopped', 'Skipped'];

export function hasEnded(view: Pick<RolloutView, 'state'>): boolean {
  return view.state !== 'Running' && view.state !== 'Paused' && view.state !== 'Waiting' && view.state !== 'Stopping';
}

/** What an act that leaves a resource out calls it: people's words are bounded, and ids are not. */
export function skipTitle(resourceId: string): string {
  return cut(resourceId, LONGEST_WORDS);
}

/** Whether it has ended, and something of it did not reach its target, so that a retry finds what to try. */
export function isRetryable(view: Pick<RolloutView, 'state' | 'counts' | 'total'>): boolean {
  return hasEnded(view) && goodIn(view.counts) < view.total;
}

/** Whether more failed than the budget, or that of a wave, tolerates. */
export function isOverBudget(view: Pick<RolloutView, 'charged' | 'budget' | 'reason'>): boolean {
  return isSpent(view) || view.reason.startsWith('failure budget of');
}

/** Whether more was charged to the budget than it tolerates, as far as it is known. */
export function isSpent({ charged, budget }: Pick<RolloutView, 'charged' | 'budget'>): boolean {
  return charged !== null && charged > budget.max;
}

/**
 * Rows are fresher than the word that shards send to their rollout: the view with its numbers counted from them. What a
 * wave had counted stands where rows no longer tell it.
 */
export function withRows(view: RolloutView, rows: readonly ResourceRow[]): RolloutView {
  // Rows do not tell which failures a budget leaves out.
  const chargedBy = (told: number | null, now: Counts) =>
    view.budget.counts === undefined ? Math.max(told ?? 0, failedIn(now)) : told;
  const waves = view.waves.map((wave, at) => {
    const ofWave = rows.filter(({ waveIndex }) => waveIndex === at + 1);
    const counts = ofWave.some(({ gone, outcome }) => gone === true && outcome === null)
      ? wave.counts
      : countRows(ofWave);
    return { ...wave, counts, charged: chargedBy(wave.charged, counts) };
  });
  const counts = waves.reduce<Counts>((sum, wave) => addCounts(sum, wave.counts), {});
  const fresh = {
    ...view,
    counts,
    waves,
    failures: failedIn(counts),
    charged: chargedBy(view.charged, counts),
    freezes: heldBy(rows.map(({ freeze }) => freeze ?? null)),
  };
  return { ...fresh, next: nextChange(fresh), reason: whyNow(fresh) + recounted(view, fresh) };
}

/**
 * What a rollout gave as its reason, where its upgrades tell something else: it had counted as held what a wave or a
 * shard that was ended by hand did not tell, or they went on after a reset.
 */
function recounted(told: RolloutView, { counts, total }: RolloutView): string {
  const isSame = goodIn(told.counts) === goodIn(counts) && failedIn(told.counts) === failedIn(counts);
  if (isSame || !hasEnded(told) || told.state === 'Terminated') return '';
  const open = total - endedIn(counts);
  const score = `${goodIn(counts)} of ${total} at target, ${failedIn(counts)} failed${open > 0 ? `, ${open} not ended` : ''}`;
  return ` (so far as it was told before its end; its upgrades themselves tell ${score})`;
}

type Standing = Pick<
  RolloutView,
  'rollout' | 'state' | 'reason' | 'waves' | 'budget' | 'charged' | 'freezes' | 'approval'
>;

/** Counts what each freeze holds. @param of each resource: the freeze that holds it */
export function heldBy(freezes: readonly (Freeze | null)[]): Held[] {
  const held = new Map<string, Held>();
  for (const freeze of freezes) {
    if (freeze !== null) held.set(freeze.id, { freeze, resources: (held.get(freeze.id)?.resources ?? 0) + 1 });
  }
  return [...held.values()];
}

/** `12 frozen until … by ana because …` */
export function heldLabel({ freeze, resources }: Held): string {
  return `${resources} ${freezeLabel(freeze)}`;
}

/** What changes next, and on what it depends: one line. */
export function nextChange(view: Omit<Standing, 'reason'>): string {
  if (hasEnded(view)) return 'nothing: this is the end';
  const { rollout } = view;
  const soaking = view.waves.findIndex(({ soak }) => soak?.state === 'Running');
  if (view.state === 'Waiting' && soaking >= 0) return afterSoak(view, soaking);
  if (view.state === 'Waiting') {
    return view.approval === null
      ? 'the opening of its window'
      : `what it waits for: \`${signedCommand('approve', rollout)}\` or \`${signedCommand('reject', rollout)}\``;
  }
  if (view.state === 'Paused') return `nothing, until somebody resumes it: \`${signedCommand('resume', rollout)}\``;
  const at = view.waves.findIndex(({ state }) => state === 'Running');
  const wave = view.waves[at];
  if (wave === undefined) return 'the first wave starts';
  const open = wave.total - endedIn(wave.counts);
  if (view.state === 'Stopping' || isSpent(view)) {
    return `it ends, once what was submitted in wave ${wave.name} has ended`;
  }
  const [first] = (view.freezes ?? []).map(({ freeze }) => freeze).toSorted((a, b) => (a.until < b.until ? -1 : 1));
  if (first !== undefined) {
    const lift = signedCommand('freeze', 'lift', first.id);
    return `what is frozen goes on when the freeze ends: ${first.until}, or \`${lift}\``;
  }
  const after = nextWave(view.waves, at);
  const what = after === undefined ? 'it ends' : `wave ${after.name} starts`;
  if (open === 0) return `${what}: all of wave ${wave.name} have ended`;
  return `${what} when ${open} more of wave ${wave.name} ${open === 1 ? 'has' : 'have'} ended`;
}

function afterSoak({ rollout, waves }: Pick<RolloutView, 'rollout' | 'waves'>, at: number): string {
  const { name, soak } = waves[at] ?? { name: '', soak: undefined };
  const after = nextWave(waves, at);
  const what = after === undefined ? 'it ends' : `wave ${after.name} begins`;
  const earliest = soak === undefined ? null : soakedAt(soak);
  const when = earliest === null ? '' : `, ${new Date(earliest).toISOString()} at the earliest`;
  return `${what} when wave ${name} has soaked${when}; \`${signedCommand('waive', rollout)}\` does not wait`;
}

function nextWave(waves: readonly WaveView[], at: number): WaveView | undefined {
  return waves.slice(at + 1).find(({ state }) => state !== 'Skipped');
}

/** Why it is so: a spent budget comes before what the rollout says, which may not have heard of it yet. */
export function whyNow(view: Standing): string {
  const held = (view.freezes ?? []).map(heldLabel);
  if (view.state === 'Waiting') return [view.reason, ...held].join('; ');
  if (view.state === 'Running' && !isSpent(view) && held.length > 0) return held.join('; ');
  if (view.state !== 'Running' || !isSpent(view)) return view.reason;
  return `failure budget of ${view.budget.max} exceeded: nothing more is started`;
}

function countRows(rows: readonly ResourceRow[]): Counts {
  const counts: Partial<Record<Outcome, number>> = {};
  for (const { outcome } of rows) if (outcome !== null) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}
