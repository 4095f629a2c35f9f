/** What `plan` and `apply` share: read every resource, run every precheck, change nothing, and say what would follow. */
import { randomUUID } from 'node:crypto';
import type { Clock } from './clock.js';
import { systemClock } from './clock.js';
import { encode, encodePath } from './clouds/encode.js';
import { AccountError, CloudError } from './clouds/errors.js';
import type { CloudApi, CloudReader, ErrorClass, ResourceState, Standing } from './clouds/port.js';
import type { Sessions } from './clouds/sessions.js';
import { snapshotOf } from './drift.js';
import { FittedGates } from './fits.js';
import { findingLine, verdictOf } from './precheck.js';
import type { Account } from '../plan/accounts.js';
import { canonicalJson, digest } from '../plan/digest.js';
import type { InputProblem } from '../plan/errors.js';
import { InputError, splitRemedy } from '../plan/errors.js';
import type { Place, PlannedTarget, PlannedWave, RolloutPlan } from '../plan/plan.js';
import { type KnownTags, planOf, selectorsOf, tagsKey, targetsOf, usesTags } from '../plan/plan.js';
import { type Listing, resolveSelectors } from '../plan/selectors.js';
import type { Source } from '../plan/source.js';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { Durations } from '../workflows/contracts/durations.js';
import { whyNoQuorum } from '../workflows/contracts/control.js';
import type { Json } from '../workflows/contracts/json.js';
import type { RolloutInput } from '../workflows/contracts/rollout.js';
import type { Finding, ResourceRef, Snapshot } from '../workflows/contracts/upgrade.js';

/** How clouds are read for a plan. */
export interface PlanReading {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly sessions: Sessions;
  readonly apis: readonly CloudApi[];
  readonly clock?: Clock;
  /** How many resources are read at the same time; 8. Each account's own read rate holds besides. */
  readonly concurrency?: number;
  readonly signal?: AbortSignal;
  /** As `PlanContext.webhooks`. */
  readonly webhooks?: readonly string[];
  /** As `PlanContext.mayBeEmpty`. */
  readonly mayBeEmpty?: boolean;
  /** As `PlanContext.mayBeOver`. */
  readonly mayBeOver?: boolean;
}

export interface PlanRequest extends PlanReading {
  readonly plan: RolloutPlan;
}

/**
 * `upgrade`: a submit would follow. `no-change`: at its target. `running`: an upgrade is running and would be adopted.
 * `busy`: the rollout would wait for it. `blocked`: takes no upgrade as it is now. `error`: cannot work as planned.
 */
export type Verdict = 'upgrade' | 'no-change' | 'running' | 'busy' | 'blocked' | 'error';

/** A mutating call that would follow, as it would be sent but for its token. */
export interface PlannedCall {
  readonly method: string;
  /** Encoded, with query; the token reads `(made at submit)`. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface PreparedTarget {
  readonly place: Place;
  readonly resource: ResourceRef;
  /** The provider's name of the resource; this and the next four are `null` where it could not be read. */
  readonly name: string | null;
  readonly status: string | null;
  readonly from: string | null;
  /** What it is now, to be known again right before its submit; `null` where it could not be read. */
  readonly snapshot: Snapshot | null;
  /** All that it has. */
  readonly tags: Readonly<Record<string, string>>;
  readonly standing: Standing | null;
  /** The plan's target; what it leaves to the moment (`latest`) is pinned to what the cloud offers now. */
  readonly target: Json;
  readonly to: string;
  readonly findings: readonly Finding[];
  readonly verdict: Verdict;
  /** One line: why. */
  readonly reason: string;
  /** What a person can do about it; `null` where nothing has to be done. */
  readonly remedy: string | null;
  /** `null` unless a submit may follow. */
  readonly call: PlannedCall | null;
}

export interface PreparedWave extends Omit<PlannedWave, 'targets'> {
  readonly targets: readonly PreparedTarget[];
}

export interface PreparedPlan {
  readonly plan: RolloutPlan;
  /** The plan's digest with what its targets left to the moment (`latest`) pinned: what a person approves. */
  readonly digest: string;
  /** In the plan's order, each target beside its planned one. */
  readonly waves: readonly PreparedWave[];
  readonly counts: Readonly<Record<Verdict, number>>;
}

const AT_ONCE = 8;
/** Pauses before the second, third and fourth try of a read, in milliseconds. */
const BACKOFF_MS = [500, 1_000, 2_000];
/** Of a list that changes while it is read. */
const LIST_READINGS = 5;
const RETRIED: readonly ErrorClass[] = ['transient', 'throttled'];
const TOKEN = '(made at submit)';

/**
 * The plan of a file, its selectors resolved by all pages of the clouds' lists. Without selectors it reads no cloud.
 *
 * @throws InputError with every problem of the file; so is a selector that chooses nothing, or a list that cannot be read.
 */
export async function resolvePlan(source: Source, reading: PlanReading): Promise<RolloutPlan> {
  // Each list is read once, for selectors and for tags.
  const lists = new Map<string, Promise<Listing>>();
  const list = (api: CloudApi, account: Account) => {
    const key = `${account.name} ${api.service}`;
    const listing = lists.get(key) ?? listAll(reading, api, account);
    lists.set(key, listing);
    return listing;
  };
  const choices = await resolveSelectors(selectorsOf(source, reading), list, reading.mayBeEmpty);
  if (!usesTags(source)) return planOf(source, reading, choices);
  const tags = await tagsOf(targetsOf(source, reading, choices), reading, list);
  return planOf(source, reading, choices, tags);
}

/** @throws InputError with every list that cannot be read. */
async function tagsOf(
  targets: readonly PlannedTarget[],
  { apis, accounts }: PlanReading,
  list: (api: CloudApi, account: Account) => Promise<Listing>,
): Promise<KnownTags> {
  const known = new Map<string, Readonly<Record<string, string>>>();
  const problems: InputProblem[] = [];
  const read = new Set<string>();
  for (const { resource, place } of targets) {
    const api = apis.find(({ service }) => service === resource.service);
    const account = accounts.get(resource.account);
    if (api === undefined || account === undefined || read.has(`${account.name} ${api.service}`)) continue;
    read.add(`${account.name} ${api.service}`);
    const listing = await list(api, account);
    if ('problem' in listing) problems.push({ ...place, ...listing.problem });
    else {
      for (const { id, tags } of listing.resources) {
        known.set(tagsKey({ account: account.name, service: api.service, id }), tags);
      }
    }
  }
  if (problems.length > 0) throw new InputError(problems);
  return known;
}

/**
 * Reads and compares every resource of the plan. A target that cannot be read or upgraded is a verdict, not an
 * exception, so that all of them are seen at once.
 *
 * @throws the signal's reason when it aborts; never for anything a cloud or an account does.
 */
export async function preparePlan(request: PlanRequest): Promise<PreparedPlan> {
  const targets = request.plan.waves.flatMap((wave) => wave.targets);
  const prepared = new Map<PlannedTarget, PreparedTarget>();
  const queue = targets.values();
  const work = async (): Promise<void> => {
    for (const target of queue) {
      request.signal?.throwIfAborted();
      prepared.set(target, await prepareTarget(request, target));
    }
  };
  const workers = Math.min(request.concurrency ?? AT_ONCE, targets.length);
  await Promise.all(Array.from({ length: workers }, work));

  const waves = request.plan.waves.map((wave) => ({
    ...wave,
    targets: wave.targets.flatMap((target) => prepared.get(target) ?? []),
  }));
  const counts: Record<Verdict, number> = { upgrade: 0, 'no-change': 0, running: 0, busy: 0, blocked: 0, error: 0 };
  for (const { verdict } of prepared.values()) counts[verdict] += 1;
  return { plan: request.plan, digest: digestOf(request.plan, [...prepared]), waves, counts };
}

const CHANGING: readonly Verdict[] = ['upgrade', 'running', 'busy'];

/** Whether a rollout of it would do anything. */
export function hasChanges({ counts }: Pick<PreparedPlan, 'counts'>): boolean {
  return CHANGING.some((verdict) => counts[verdict] > 0);
}

/** Without pins the plan's own: it has the same content. */
function digestOf(plan: RolloutPlan, prepared: readonly (readonly [PlannedTarget, PreparedTarget])[]): string {
  const pins = prepared
    .filter(([planned, { target }]) => canonicalJson(planned.target) !== canonicalJson(target))
    .map(([, { resource, target }]): [string, Json] => [upgradeWorkflowId(resource), target]);
  return pins.length === 0 ? plan.digest : digest({ plan: plan.digest, pins: Object.fromEntries(pins) });
}

/** The targets of these verdicts as problems, each with its place in the plan file and a remedy. */
export function planProblems(prepared: PreparedPlan, verdicts: readonly Verdict[] = ['error']): InputProblem[] {
  return problemsOf(targetsIn(prepared).filter(({ verdict }) => verdicts.includes(verdict)));
}

/**
 * What keeps people from starting it: whatever is wrong, and what takes no upgrade as it is now. A resource that is left out
 * anyway keeps nobody from starting the others because it takes none.
 *
 * @param quarantined upgrades that its rollout would leave out
 */
export function refusals(
  prepared: PreparedPlan,
  quarantined: readonly { readonly workflowId: string }[],
): InputProblem[] {
  const leftOut = new Set(quarantined.map(({ workflowId }) => workflowId));
  const isLeftOut = ({ resource }: PreparedTarget) => leftOut.has(upgradeWorkflowId(resource));
  const targets = targetsIn(prepared);
  const hasOthers = targets.some((target) => CHANGING.includes(target.verdict) && !isLeftOut(target));
  return problemsOf(
    targets.filter(
      (target) => target.verdict === 'error' || (target.verdict === 'blocked' && !(hasOthers && isLeftOut(target))),
    ),
  );
}

function targetsIn({ waves }: PreparedPlan): PreparedTarget[] {
  return waves.flatMap(({ targets }) => targets);
}

function problemsOf(targets: readonly PreparedTarget[]): InputProblem[] {
  return targets
    .map(({ place, resource, reason, remedy }) => ({
      ...place,
      // A cloud's own words may go over several lines.
      message: `${resource.service} ${resource.id}: ${reason.replaceAll(/\s+/g, ' ')}`,
      remedy: remedy ?? 'remove the target, or try again later',
    }))
    .toSorted((a, b) => a.line - b.line);
}

/**
 * The rollout workflow's input. Targets that need no change or are blocked now are part of it: the rollout looks again
 * right before each submit.
 *
 * @throws InputError when a target has the verdict `error`, or too few may approve what needs approval.
 */
export function toRolloutInput(prepared: PreparedPlan, by: StartedBy): RolloutInput {
  const problems = [...planProblems(prepared), ...quorumProblems(prepared.plan, by)];
  if (problems.length > 0) throw new InputError(problems);
  return rolloutInputOf(prepared, by);
}

export interface StartedBy {
  readonly startedBy: string;
  /** Who triggered its schedule. */
  readonly triggeredBy?: string;
  /** What the ledger knows of durations; without it, an upgrade has to fit as the plan or the documents say. */
  readonly learned?: Durations;
}

/** As `toRolloutInput`, of whatever plan: for its forecast. */
export function rolloutInputOf(prepared: PreparedPlan, { startedBy, learned = {} }: StartedBy): RolloutInput {
  const { plan } = prepared;
  const fitted = new FittedGates(plan, learned);

  return {
    rollout: plan.rollout,
    planDigest: prepared.digest,
    startedBy,
    waves: plan.waves.map(({ name, concurrency, limits, maxFailures, approval, soak, targets }, wave) => ({
      name,
      concurrency,
      ...(Object.keys(limits).length === 0 ? {} : { limits }),
      ...(maxFailures === null ? {} : { maxFailures: maxFailures.count }),
      ...(maxFailures?.share === undefined ? {} : { maxFailuresShare: maxFailures.share }),
      ...(approval === null ? {} : { approval }),
      ...(soak === null ? {} : { soak }),
      upgrades: targets.map((planned, index) => {
        const { resource, target, targetLabel, relations } = planned;
        const seen = prepared.waves[wave]?.targets[index];
        const gate = fitted.gateOf(planned, seen?.snapshot?.size ?? null);
        const queue = plan.accountQueues[resource.account];
        return {
          resource,
          target: seen?.target ?? target,
          targetLabel: seen?.to ?? targetLabel,
          plannedFrom: seen?.from ?? null,
          ...(gate === undefined ? {} : { gate }),
          ...(queue === undefined ? {} : { queue }),
          ...(Object.keys(relations.groups).length === 0 ? {} : { groups: relations.groups }),
          ...(relations.after.length === 0 ? {} : { after: relations.after }),
          ...(relations.provides.length === 0 ? {} : { provides: relations.provides }),
          ...(seen?.snapshot == null ? {} : { planned: seen.snapshot }),
          ...(Object.keys(seen?.tags ?? {}).length === 0 ? {} : { tags: seen?.tags ?? {} }),
          ...(Object.keys(plan.drift).length === 0 ? {} : { drift: plan.drift }),
          ...(plan.onLocked === 'skip' ? {} : { onLocked: plan.onLocked }),
          ...(plan.onOtherTarget === 'wait' ? { onOtherTarget: plan.onOtherTarget } : {}),
        };
      }),
    })),
    ...(plan.approval === null ? {} : { approval: plan.approval }),
    budget: plan.budget,
    ...(plan.minSuccess === null ? {} : { minSuccess: plan.minSuccess.count }),
    ...(plan.quarantineAfter === null ? {} : { quarantineAfter: plan.quarantineAfter }),
    accountLimits: plan.accountLimits,
    ...(fitted.windows === null ? {} : { windows: { ...fitted.windows, since: new Date().toISOString() } }),
    usual: Object.fromEntries(Object.entries(plan.durations.services).map(([name, { usual }]) => [name, usual])),
    ...(plan.notify.length === 0 ? {} : { notify: plan.notify }),
    timing: { scale: plan.timeScale },
  };
}

/** A list in which something comes or goes between two pages may lose another entry: then it is read again. */
async function readList(
  reading: PlanReading,
  api: CloudApi,
  reader: CloudReader,
): Promise<{ resources: readonly ResourceState[]; isWhole: boolean }> {
  const resources: ResourceState[] = [];
  const totals = new Set<number | undefined>();
  for (let page: number | null = 0; page !== null;) {
    const at: number = page;
    const { resources: found, next, total } = await again(reading, () => api.list(reader, at));
    resources.push(...found);
    totals.add(total);
    page = next;
  }
  return { resources, isWhole: totals.size === 1 };
}

/** Who starts a rollout may not approve it: enough others must be left. */
function quorumProblems(plan: RolloutPlan, { startedBy, triggeredBy }: StartedBy): InputProblem[] {
  const gates = [
    { path: 'spec.approval', approval: plan.approval },
    ...plan.waves.map(({ approval, entry }) => ({ path: `spec.waves[${entry}].approval`, approval })),
  ];
  const others = triggeredBy === undefined ? [] : [triggeredBy];
  const remedy = `name another approver, or let somebody else ${triggeredBy === undefined ? 'apply' : 'trigger'} it`;
  return gates.flatMap(({ path, approval }) => {
    const message = approval === null ? null : whyNoQuorum(approval, startedBy, others, 'who triggered it');
    if (message === null) return [];
    return [{ file: plan.file, line: null, path, message, remedy, lasts: true }];
  });
}

async function listAll(reading: PlanReading, api: CloudApi, account: Account): Promise<Listing> {
  try {
    const reader = await again(reading, () => reading.sessions.reader(api, account.name, { signal: reading.signal }));
    for (let attempt = 1; attempt <= LIST_READINGS; attempt += 1) {
      const { resources, isWhole } = await readList(reading, api, reader);
      if (isWhole) return { resources };
    }
    return {
      problem: {
        message: `cannot be resolved: the list of account ${account.name} changed each time it was read, so an entry may be missing`,
        remedy: 'try again later, or name the resources by id',
      },
    };
  } catch (error) {
    const { reason, remedy } = misread(error, { account: account.name, family: api.family, region: account.region });
    return {
      problem: {
        message: `cannot be resolved: ${reason.replaceAll(/\s+/g, ' ')}`,
        remedy: remedy ?? 'try again later',
      },
    };
  }
}

async function prepareTarget(request: PlanRequest, planned: PlannedTarget): Promise<PreparedTarget> {
  const { resource } = planned;
  const api = request.apis.find((one) => one.service === resource.service);
  const account = request.accounts.get(resource.account);
  const start: PreparedTarget = {
    place: planned.place,
    resource,
    name: null,
    status: null,
    from: null,
    snapshot: null,
    tags: {},
    standing: null,
    target: planned.target,
    to: planned.targetLabel,
    findings: [],
    verdict: 'error',
    reason: '',
    remedy: null,
    call: null,
  };
  if (api === undefined || account === undefined) {
    // The plan was resolved against other accounts or services than these.
    const missing = api === undefined ? `service ${resource.service}` : `account "${resource.account}"`;
    return { ...start, reason: `${missing} is not known here`, remedy: 'plan with the same accounts file and release' };
  }

  let seen = start;
  try {
    const reader = await again(request, () => request.sessions.reader(api, account.name, { signal: request.signal }));
    const asked: unknown = api.target.parse(planned.target);
    const state = await again(request, () => api.describe(reader, resource.id));
    const target = api.pin?.(state, asked) ?? asked;
    const standing = api.standing(state, target);
    seen = {
      ...start,
      name: state.name,
      status: state.status,
      from: state.version,
      snapshot: snapshotOf(state, planned.chosenByTags),
      tags: state.tags,
      standing,
      target: target as Json,
      to: api.label(target),
    };
    return { ...seen, ...(await judge(request, { api, reader, planned, target, state, standing })) };
  } catch (error) {
    return { ...seen, ...misread(error, resource) };
  }
}

type Judgement = Pick<PreparedTarget, 'verdict' | 'reason' | 'remedy'> &
  Partial<Pick<PreparedTarget, 'findings' | 'call'>>;

interface Read {
  readonly api: CloudApi;
  readonly reader: CloudReader;
  readonly planned: PlannedTarget;
  readonly target: unknown;
  readonly state: ResourceState;
  readonly standing: Standing;
}

/** What the rollout would do with a resource that could be read; the words are those of its own precheck. */
async function judge(request: PlanRequest, read: Read): Promise<Judgement> {
  const { api, state, target, standing } = read;
  if (standing === 'above') {
    const reason = `target ${api.label(target)} is not above the current version ${state.version}`;
    return { verdict: 'error', reason, remedy: 'name a later version, or remove the target' };
  }
  if (standing === 'not-comparable' && state.condition === 'ready') {
    const reason = `version ${state.version} cannot be compared with the target ${api.label(target)}`;
    return { verdict: 'error', reason, remedy: 'remove the target: its success could not be verified' };
  }
  const drift = standing === 'at' ? null : (api.drift?.(state, target) ?? null);
  if (drift !== null) return { verdict: 'error', reason: drift, remedy: 'correct what the target pins' };
  const call = plannedCall(read);
  const byState = verdictOf(api, state, target);
  switch (byState?.verdict) {
    case 'already-at-target':
      return { verdict: 'no-change', reason: byState.reason, remedy: null };
    case 'upgrading':
      return { verdict: 'running', reason: byState.reason, remedy: null, call };
    case 'busy':
      return { verdict: 'busy', reason: byState.reason, remedy: null, call };
    case 'refused':
      return {
        verdict: 'blocked',
        reason: byState.reason,
        remedy: 'bring the resource back to its ordinary state',
        call,
      };
    default:
  }

  // A token of its own for each try of a plan: a cloud may answer a repeated one with its first result.
  const token = `plan-${randomUUID()}`;
  const findings = await again(request, () => api.precheck(read.reader, state.id, target, token));
  const blocking = findings.filter((finding) => finding.status !== 'success');
  if (blocking.length > 0) {
    const reason = `precheck failed: ${blocking.map(findingLine).join('; ')}`;
    const remedies = blocking.map((finding) => finding.remedy ?? 'mend what the checks name, then plan again');
    return { verdict: 'blocked', reason, remedy: [...new Set(remedies)].join('; '), findings, call };
  }
  const steps = standing === 'partly' ? 'partly at its target: ' : '';
  return {
    verdict: 'upgrade',
    reason: `${steps}version ${state.version}, status ${state.status}`,
    remedy: null,
    findings,
    call,
  };
}

function plannedCall({ api, reader, planned, target, state }: Read): PlannedCall {
  const asked = api.remaining?.(state, target) ?? target;
  const { method, path, query, body } = api.submission(reader, planned.resource.id, asked, TOKEN);
  const pairs = Object.entries(query ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${encode(name)}=${value === TOKEN ? TOKEN : encode(value)}`);
  return { method, path: [encodePath(path), ...(pairs.length > 0 ? [pairs.join('&')] : [])].join('?'), body };
}

/** Repeats a read that may go better next time. */
async function again<T>({ clock = systemClock, signal }: PlanReading, read: () => Promise<T>): Promise<T> {
  for (const pause of BACKOFF_MS) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof CloudError) || !RETRIED.includes(error.errorClass)) throw error;
      await clock.sleep(pause, signal);
    }
  }
  return read();
}

/** A read that failed, as a verdict. Anything but a cloud's or an account's error is a bug and passes on. */
function misread(
  error: unknown,
  { account, family, region }: Pick<ResourceRef, 'account' | 'family' | 'region'>,
): Judgement {
  if (error instanceof AccountError) {
    const [reason, remedy] = splitRemedy(error.message, `correct account "${account}" or its credentials`);
    return { verdict: 'error', reason, remedy };
  }
  if (!(error instanceof CloudError)) throw error;
  const told = (verdict: Verdict, remedy: string | null): Judgement => ({ verdict, reason: error.message, remedy });
  switch (error.errorClass) {
    case 'busy':
      return told('busy', null);
    case 'already-done':
      return told('no-change', null);
    case 'not-found':
      return told('error', `check the id, and that account "${account}" is the right one for ${region}`);
    case 'denied':
      return told('error', `check the credentials of account "${account}" and their right to read ${family}`);
    case 'token':
      return told('error', `renew the credentials of account "${account}"`);
    case 'clock-skew':
      return told('error', "set this machine's clock");
    case 'throttled':
      return told('error', `lower \`rates.reads\` of account "${account}", or try again later`);
    case 'transient':
      return told('error', `check \`endpoints.${family}\` of account "${account}" and the network, then try again`);
    case 'permanent':
      return told('error', 'correct the target, or remove it');
  }
}
