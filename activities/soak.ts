/**
 * Healthy time after a wave. One activity probes and heartbeats, so that a soak of a week has a short history. Its clock
 * runs only between two rounds of one attempt that both passed: what nobody observed, whether the worker was away or a
 * read failed, is no healthy time.
 */
import { activityInfo, Context } from '@temporalio/activity';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { SoakInput, SoakProgress, SoakResult, SoakVerdict } from '../workflows/contracts/soak.js';
import type { UpgradeSpec } from '../workflows/contracts/upgrade.js';
import { iso, Stopwatch } from './clock.js';
import { describeState } from './health.js';
import { httpProbe } from './probe.js';
import { apiAndTarget, asFailure, beating, readFailure, type StepDeps } from './step.js';
import type { Transport } from './transport.js';
import type { UpgradedOf } from './upgraded.js';

/** Below the workflow's heartbeat time-out by enough to survive two lost beats. */
const BEAT_MS = 4_000;
/** Handed back after a while, as a long wait is, to keep the history honest. At scale 1. */
const SPELL_MS = 6 * 3_600_000;
/** Reads of one round under way at a time; the account's rate bounds them as well. */
const AT_ONCE = 8;

export interface SoakDeps extends StepDeps {
  readonly upgradedOf: UpgradedOf;
  readonly probes: Transport;
}

/** Of a wave whose every upgrade failed. */
const NOTHING_TO_OBSERVE =
  'nothing of the wave reached its target, so this does not end by itself: waive it, or stop the rollout';

interface Finding {
  readonly verdict: SoakVerdict;
  readonly reason: string;
}

export async function soak(deps: SoakDeps, input: SoakInput): Promise<SoakResult> {
  try {
    return await observe(deps, input);
  } catch (error) {
    throw asFailure(error, false, input.scale);
  }
}

async function observe(deps: SoakDeps, input: SoakInput): Promise<SoakResult> {
  const { clock } = deps;
  const { forMs, everyMs, health } = input.soak;
  const context = Context.current();
  const signal = context.cancellationSignal;
  const told = input.before?.verdict ?? 'passing';
  const began = new Stopwatch(clock);
  let seen: SoakProgress = (activityInfo().heartbeatDetails as SoakProgress | undefined) ??
    input.before ?? {
      wave: input.wave,
      healthyMs: 0,
      verdict: null,
      reason: 'not probed yet',
      restarts: 0,
      lastRestart: null,
      rounds: 0,
      probedAt: null,
      next: 0,
      suspects: [],
    };

  const untilTold = async (): Promise<SoakResult> => {
    const members = health === undefined ? [] : await deps.upgradedOf(input);
    /** Since the latest round that passed was asked; none of another attempt counts. */
    let sincePassed: Stopwatch | null = null;
    for (;;) {
      const asked = new Stopwatch(clock);
      const round = await probed(deps, input, members, seen, signal);
      // A probe that was broken off has found nothing out.
      signal.throwIfAborted();
      const passes = round.verdict === 'passing';
      const gained = passes && sincePassed !== null ? sincePassed.atLeast() - asked.atLeast() : 0;
      sincePassed = passes ? asked : null;
      seen = after(seen, round, gained, iso(clock.now()));

      if (seen.healthyMs >= forMs) return { ...seen, soaked: true };
      const isNews = seen.verdict !== told && began.atMost() >= input.quietMs;
      if (isNews || began.atMost() >= SPELL_MS * input.scale) return { ...seen, soaked: false };
      // The last round comes when the time is reached, not a whole interval later.
      await clock.sleep(passes ? Math.min(everyMs, forMs - seen.healthyMs) : everyMs, signal);
    }
  };
  const untilEnded = async (): Promise<SoakResult> => {
    try {
      return await untilTold();
    } catch (error) {
      // Waived or stopped: what was seen stands in the report. A worker that ends leaves the rest to another one.
      if (context.cancellationDetails?.cancelRequested !== true) throw error;
      return { ...seen, soaked: false };
    }
  };
  return beating(BEAT_MS * input.scale, () => seen, untilEnded);
}

type Round = Finding & Pick<SoakProgress, 'next' | 'suspects'>;

function after(seen: SoakProgress, round: Round, gainedMs: number, probedAt: string): SoakProgress {
  const { verdict, reason, next, suspects } = round;
  const isLost = verdict === 'failing' && seen.healthyMs > 0;
  return {
    ...seen,
    verdict,
    reason,
    next,
    suspects,
    probedAt,
    rounds: seen.rounds + 1,
    healthyMs: verdict === 'failing' ? 0 : seen.healthyMs + gainedMs,
    restarts: seen.restarts + (isLost ? 1 : 0),
    lastRestart: isLost ? { at: probedAt, reason } : seen.lastRestart,
  };
}

/** One round: every probe, the worst of them decides. */
async function probed(
  deps: SoakDeps,
  { soak: plan, scale, rollout, rolloutRun, reached }: SoakInput,
  members: readonly UpgradeSpec[],
  { next, suspects }: SoakProgress,
  signal: AbortSignal,
): Promise<Round> {
  const isEmpty = reached === 0 || (plan.health !== undefined && members.length === 0);
  const findings: Finding[] = isEmpty ? [{ verdict: 'unread', reason: NOTHING_TO_OBSERVE }] : [];
  let [following, stillSuspect] = [next, suspects];
  if (plan.health !== undefined) {
    const { sample, next: after_ } = sampleOf(members, plan.health.sample, next, suspects);
    const found: { readonly id: string; readonly finding: Finding }[] = [];
    const queue = sample.values();
    const reader = async (): Promise<void> => {
      for (const spec of queue) {
        const step = { rollout, rolloutRun, spec, timing: { scale } };
        found.push({ id: upgradeWorkflowId(spec.resource), finding: await healthOf(deps, step, signal) });
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, sample.length) }, reader));
    findings.push(...found.map(({ finding }) => finding));
    following = after_;
    stillSuspect = found.filter(({ finding }) => finding.verdict !== 'passing').map(({ id }) => id);
  }
  if (plan.http !== undefined) {
    const { passes, reason } = await httpProbe(deps.probes, plan.http, signal);
    findings.push({ verdict: passes ? 'passing' : 'failing', reason });
  }
  return { ...worst(findings), next: following, suspects: stillSuspect };
}

/** Those that did not pass the last time, and then the following ones in turn. */
function sampleOf(
  members: readonly UpgradeSpec[],
  size: number,
  next: number,
  suspects: readonly string[],
): { readonly sample: readonly UpgradeSpec[]; readonly next: number } {
  const isSuspect = ({ resource }: UpgradeSpec) => suspects.includes(upgradeWorkflowId(resource));
  const first = members.filter(isSuspect).slice(0, size);
  const room = Math.min(size, members.length) - first.length;
  const turned = [...members.slice(next), ...members.slice(0, next)];
  const others = turned.filter((spec) => !isSuspect(spec)).slice(0, room);
  const last = others.at(-1);
  return {
    sample: [...first, ...others],
    next: last === undefined ? next : (members.indexOf(last) + 1) % members.length,
  };
}

async function healthOf(
  deps: SoakDeps,
  step: Parameters<typeof apiAndTarget>[1],
  signal: AbortSignal,
): Promise<Finding> {
  const { resource } = step.spec;
  const of = (verdict: SoakVerdict, words: string): Finding => ({ verdict, reason: `${resource.id}: ${words}` });
  try {
    const { api, target } = apiAndTarget(deps, step);
    const reader = await deps.sessions.reader(api, resource.account, { signal });
    const state = await api.describe(reader, resource.id);
    const words = describeState(state);
    // Busy with something else, as with a backup, is neither healthy nor a regression.
    if (state.condition === 'busy') return of('unread', `busy: ${words}`);
    if (state.condition !== 'ready') return of('failing', `${state.condition}: ${words}`);
    const standing = api.standing(state, target);
    if (standing === 'not-comparable') return of('unread', `cannot be compared: ${words}`);
    if (standing !== 'at' && standing !== 'above') return of('failing', `not at its target any more: ${words}`);
    const { healthy, detail } = await api.health(reader, resource.id, state);
    return of(healthy ? 'passing' : 'failing', `${words}, ${detail}`);
  } catch (error) {
    return of('unread', readFailure(error, signal).message);
  }
}

/** What fails comes before what could not be read; of several the first, and how many there are. */
function worst(findings: readonly Finding[]): Finding {
  for (const verdict of ['failing', 'unread'] as const) {
    const [first, ...more] = findings.filter((finding) => finding.verdict === verdict);
    if (first === undefined) continue;
    return { verdict, reason: more.length === 0 ? first.reason : `${first.reason} (and ${more.length} more)` };
  }
  const [first] = findings;
  return {
    verdict: 'passing',
    reason: findings.length === 1 ? (first?.reason ?? '') : `${findings.length} probes pass`,
  };
}
