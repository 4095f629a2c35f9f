/** The plan, resolved: every target an upgrade, every share a number, every cross check made. Reads no cloud. */
import type { CloudApi } from '../activities/clouds/port.js';
import type { Json } from '../workflows/contracts/json.js';
import type { Approval } from '../workflows/contracts/control.js';
import type { FailureBudget, Limits } from '../workflows/contracts/rollout.js';
import { QUARANTINE_AFTER } from '../workflows/contracts/quarantine.js';
import type { SoakPlan } from '../workflows/contracts/soak.js';
import type { ResourceRef, UpgradeSpec } from '../workflows/contracts/upgrade.js';
import type { NoticeRule } from '../workflows/contracts/notices.js';
import { lower } from '../workflows/limits.js';
import type { Account } from './accounts.js';
import { digest, rolloutId } from './digest.js';
import { InputError, type InputProblem } from './errors.js';
import { parseWith } from './problems.js';
import { resolveBudget, resolveMax, type Resolved } from './budget.js';
import { candidateOf, resolveParts, standIn } from './parts.js';
import { planSchema } from './schema.js';
import type { Choices, PlannedSelector } from './selectors.js';
import type { Source } from './source.js';
import { jsonOf, plannedTargets, rawTargets, READING } from './targets.js';
import { type PlannedDurations, plannedDurations, type PlannedWindows, windowsUseTags } from './windows.js';
import type { Relations } from './relations.js';
import { type EffectiveConcurrency, effectiveConcurrency } from './waves.js';

/** Where a target stands in the plan file. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly path: string;
}

/** One resource and where it shall go, as planned; nothing was read yet. */
export interface PlannedTarget {
  readonly place: Place;
  /** The name that waves may refer to. */
  readonly name: string | null;
  /** Index in `spec.targets`. */
  readonly entry: number;
  /** What its entry says it comes after: names or ids. */
  readonly after: readonly string[];
  /** How long its service usually takes, milliseconds. */
  readonly expectedMs: number;
  readonly resource: ResourceRef;
  readonly target: Json;
  readonly targetLabel: string;
  /** Keys of the tags that its selector asks for. */
  readonly chosenByTags: readonly string[];
}

/** A target with what binds it to others, and the gate that it waits at: by number, where the plan has windows. */
export type RelatedTarget = PlannedTarget & { readonly relations: Relations; readonly gate?: number };

export interface PlannedWave {
  readonly name: string;
  /** Index in `spec.waves`: those before it may have come to nothing. */
  readonly entry: number;
  readonly concurrency: number;
  /** `20 % of 25 = 5`; `null` where the wave was not given as a share. */
  readonly shown: string | null;
  readonly effective: EffectiveConcurrency;
  /** The most upgrades in flight besides, by account, service and region. */
  readonly limits: Limits;
  /** How many of it may fail, where it has a budget of its own, and how that came about. */
  readonly maxFailures: Resolved | null;
  /** Whose approval it needs before it begins; `null` where none is needed. */
  readonly approval: Approval | null;
  /** Healthy time after it; `null` where none is asked for. */
  readonly soak: SoakPlan | null;
  readonly targets: readonly RelatedTarget[];
}

export interface RolloutPlan {
  /** As the user named it. */
  readonly file: string;
  readonly name: string;
  /** Of everything that decides what is done; not of how it is written. */
  readonly digest: string;
  /** `{name}-{first 8 digits of the digest}` */
  readonly rollout: string;
  readonly waves: readonly PlannedWave[];
  /** As a wave's, for all of it. */
  readonly approval: Approval | null;
  readonly budget: FailureBudget;
  /** `5 % of 25 = 1`, or the number. */
  readonly budgetShown: string;
  /** How many have to succeed, and how that came about; `null` where the plan says nothing. */
  readonly minSuccess: Resolved | null;
  /** A resource is left out after so many failures in a row; `null`: never. */
  readonly quarantineAfter: number | null;
  /** The most upgrades in flight, for each account that the plan uses; no part of the digest. */
  readonly accountLimits: Readonly<Record<string, number>>;
  /** Of the accounts that have queues of their own. */
  readonly accountQueues: Readonly<Record<string, string>>;
  /** What follows when a resource is not as planned any more, where that is not the default. */
  readonly drift: NonNullable<UpgradeSpec['drift']>;
  /** What follows when another rollout upgrades a resource just now. */
  readonly onLocked: NonNullable<UpgradeSpec['onLocked']>;
  /** What follows when somebody else's upgrade was adopted and led elsewhere. */
  readonly onOtherTarget: 'wait' | 'fail';
  /** When its upgrades may start; `null`: at any time. */
  readonly windows: PlannedWindows | null;
  /** How long its upgrades take: for the forecast, and no part of the digest. */
  readonly durations: PlannedDurations;
  /** Who is told what happens; no part of the digest. */
  readonly notify: readonly NoticeRule[];
  readonly timeScale: number;
  /** What is not wrong and yet worth knowing, one line each. */
  readonly notes: readonly string[];
}

export interface PlanContext {
  readonly apis: readonly CloudApi[];
  readonly accounts: ReadonlyMap<string, Account>;
  /** Epoch milliseconds, now by default: a window that has passed is refused. */
  readonly now?: number;
  /** Names of webhooks that there are; left out, they are not checked. */
  readonly webhooks?: readonly string[];
  /** Whether it may come to nothing: that of a schedule is resolved again and again, and often nothing lags behind. */
  readonly mayBeEmpty?: boolean;
  /** Whether `startBy` and `expireAt` may have passed: who asks for the calendar is told so there. */
  readonly mayBeOver?: boolean;
}

/**
 * The selectors of a plan; of one that has none, and goes by no tags, nothing is left to be read. Of any other, what depends
 * neither on what they choose nor on tags is checked here, before a cloud is read.
 *
 * @throws InputError with what is wrong with the file's form, with its targets, and with what binds them
 */
export function selectorsOf(source: Source, context: PlanContext): PlannedSelector[] {
  const { document, targets, selectors } = parsePlan(source, context, null);
  // Everything else of a plan that needs no reading is `planOf`'s.
  if (selectors.length === 0 && !usesTags(source)) return selectors;
  const candidates = [
    ...targets.map((target) => candidateOf(target, {})),
    ...selectors.map((selector) => standIn(source, selector)),
  ].toSorted((a, b) => a.entry - b.entry);
  const { problems } = resolveParts(source, context, document, candidates, {
    targets: selectors.length > 0,
    waves: selectors.length > 0 || wavesUseTags(source),
    windows: windowsUseTags(document.spec),
    mayBeChosen: (word) => selectors.some(({ api }) => api.id.pattern.test(word)),
  });
  if (problems.length > 0) throw new InputError(byLine(problems));
  return selectors;
}

/** Tags by account, service and id, as lists showed them. */
export type KnownTags = ReadonlyMap<string, Readonly<Record<string, string>>>;

export function tagsKey({ account, service, id }: Pick<ResourceRef, 'account' | 'service' | 'id'>): string {
  return `${account} ${service} ${id}`;
}

/** The accounts that a plan names, for targets, windows and blackouts: whoever resolves it has to know all of them. */
export function accountsNamed({ data }: Source): string[] {
  const spec = (data as { spec?: { windows?: unknown; blackouts?: unknown } } | null)?.spec;
  const scopes = [spec?.windows, spec?.blackouts].flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []));
  const named = [
    ...rawTargets(data).map((target) => (target as { account?: unknown } | null)?.account),
    ...scopes.flatMap((one) => (one as { for?: { accounts?: unknown } } | null)?.for?.accounts),
  ];
  return [...new Set(named.filter((name) => typeof name === 'string'))];
}

/** Whether waves, groups or windows of a plan go by tags, which only the clouds know. */
export function usesTags(source: Source): boolean {
  const spec = (source.data as { spec?: { groups?: unknown } } | null)?.spec;
  return windowsUseTags(spec) || some(spec?.groups, ({ tag }) => tag !== undefined) || wavesUseTags(source);
}

function wavesUseTags({ data }: Source): boolean {
  const spec = (data as { spec?: { waves?: unknown } } | null)?.spec;
  return some(spec?.waves, ({ select }) => typeof select === 'object' && select !== null && 'tags' in select);
}

function some(list: unknown, has: (one: Record<string, unknown>) => boolean): boolean {
  return Array.isArray(list) && list.some((one: unknown) => typeof one === 'object' && one !== null && has({ ...one }));
}

/** The targets as they are without waves. */
export function targetsOf(source: Source, context: PlanContext, choices: Choices = new Map()): PlannedTarget[] {
  return parsePlan(source, context, choices).targets;
}

/**
 * @param choices what `selectorsOf` has chosen; none are needed for a plan without selectors.
 * @param tags of the targets, where `usesTags`
 * @throws InputError with every problem that can be seen without reading a cloud.
 */
export function planOf(
  source: Source,
  context: PlanContext,
  choices: Choices = new Map(),
  tags: KnownTags = new Map(),
): RolloutPlan {
  const { document, targets } = parsePlan(source, context, choices);
  const { metadata, spec } = document;

  const budget = resolveBudget(spec.failureBudget ?? {}, targets.length);
  const candidates = targets.map((target) => ({
    ...candidateOf(target, tags.get(tagsKey(target.resource)) ?? {}),
    target,
  }));
  const parts = resolveParts(source, context, document, candidates);
  if (parts.problems.length > 0) throw new InputError(byLine(parts.problems));
  const { timeScale, entries, relations, waves, limited, windowedTargets, windowed } = parts;
  const { notify, soaks, begin, approvals, minSuccess } = parts;
  const accountLimits = accountLimitsOf(targets, context.accounts);
  const ofAccounts = Object.fromEntries(
    Object.entries(accountLimits).map(([name, limit]) => [`account:${name}`, limit]),
  );
  const gateOf = new Map(candidates.map((candidate, at) => [candidate, windowed.gates[at]]));

  const all = waves.map((wave, at): PlannedWave => {
    const members = wave.targets.map((candidate) => ({
      ...candidate.target,
      relations: relations.get(candidate) ?? { groups: {}, after: [], provides: [] },
      ...gated(gateOf.get(candidate)),
    }));
    const own = entries[at]?.failureBudget;
    const maxFailures = own === undefined ? null : resolveMax(own.max, members.length);
    const limits = limited[at]?.limits ?? {};
    const ownBudget = { ...budget.budget, max: Math.min(budget.budget.max, maxFailures?.count ?? Infinity) };
    const effective = effectiveConcurrency(
      { concurrency: wave.concurrency, limits: lower(ofAccounts, limits) },
      members.map(({ resource, expectedMs, relations: ofTarget }) => ({
        resource,
        expectedMs: expectedMs * timeScale,
        ...ofTarget,
      })),
      ownBudget,
    );
    const approval = approvals[at]?.approval ?? null;
    const soak = soaks[at]?.soak ?? null;
    return { ...wave, entry: at, limits, maxFailures, approval, soak, effective, targets: members };
  });
  const planned = all.filter((wave) => wave.targets.length > 0);
  // A share is the same plan as the number that it comes to: a retry, which has fewer targets, never tolerates more.
  const { share: _share, ...numbers } = budget.budget;
  const content = {
    name: metadata.name,
    ...(begin.approval === null ? {} : { approval: jsonOf(begin.approval) }),
    waves: planned.map(({ name, concurrency, limits, maxFailures, approval, soak, targets: members }) => ({
      name,
      concurrency,
      ...(Object.keys(limits).length === 0 ? {} : { limits: { ...limits } }),
      ...(maxFailures === null ? {} : { maxFailures: maxFailures.count }),
      ...(approval === null ? {} : { approval: jsonOf(approval) }),
      ...(soak === null ? {} : { soak: jsonOf(soak) }),
      targets: members.map(({ resource, target, gate, relations: { groups, after } }) => ({
        resource: { ...resource },
        target,
        ...gated(gate),
        ...(Object.keys(groups).length === 0 ? {} : { groups: { ...groups } }),
        ...(after.length === 0 ? {} : { after: [...after] }),
      })),
    })),
    budget: { ...numbers },
    ...(minSuccess.resolved === null ? {} : { minSuccess: minSuccess.resolved.count }),
    ...(spec.quarantineAfter === undefined ? {} : { quarantineAfter: spec.quarantineAfter }),
    ...(spec.drift === undefined ? {} : { drift: { ...spec.drift } }),
    ...(spec.onLocked === undefined ? {} : { onLocked: spec.onLocked }),
    ...(spec.onOtherTarget === 'wait' ? { onOtherTarget: spec.onOtherTarget } : {}),
    ...(windowed.windows === null ? {} : { windows: jsonOf(windowed.windows) }),
    timeScale,
  };
  const plan = { name: metadata.name, digest: digest(content) };
  return {
    ...plan,
    file: source.file,
    rollout: rolloutId(plan),
    waves: planned,
    approval: begin.approval,
    budget: budget.budget,
    budgetShown: budget.shown,
    minSuccess: minSuccess.resolved,
    quarantineAfter: spec.quarantineAfter === 'never' ? null : (spec.quarantineAfter ?? QUARANTINE_AFTER),
    accountLimits,
    accountQueues: accountQueuesOf(targets, context.accounts),
    drift: spec.drift ?? {},
    onLocked: spec.onLocked ?? 'skip',
    onOtherTarget: spec.onOtherTarget ?? 'fail',
    windows: windowed.windows,
    durations: plannedDurations(spec, windowedTargets),
    notify: notify.rules,
    timeScale,
    notes: planned.flatMap(({ name, effective }) =>
      effective.cause === null
        ? []
        : [`wave "${name}": effective concurrency ${effective.concurrency}, ${effective.cause}${costs(effective)}`],
    ),
  };
}

/** @throws InputError with what is wrong with the file's form and with its targets. */
function parsePlan(source: Source, context: PlanContext, choices: Choices | null) {
  const shape = parseWith(planSchema(context.apis), source, READING);
  const { targets, selectors, problems } = plannedTargets(source, context, choices);
  if (shape.data === null || problems.length > 0) {
    throw new InputError(byLine([...shape.problems, ...problems]));
  }
  return { document: shape.data, targets, selectors };
}

function gated(gate: number | undefined): { gate?: number } {
  return gate === undefined ? {} : { gate };
}

function accountQueuesOf(
  targets: readonly PlannedTarget[],
  accounts: ReadonlyMap<string, Account>,
): Readonly<Record<string, string>> {
  const names = new Set(targets.map(({ resource }) => resource.account));
  return Object.fromEntries(
    [...names].flatMap((name) => {
      const queue = accounts.get(name)?.queue;
      return queue === undefined ? [] : [[name, queue]];
    }),
  );
}

function accountLimitsOf(
  targets: readonly PlannedTarget[],
  accounts: ReadonlyMap<string, Account>,
): Readonly<Record<string, number>> {
  const used = new Set(targets.map(({ resource }) => resource.account));
  return Object.fromEntries(
    [...accounts.values()].filter(({ name }) => used.has(name)).map(({ name, concurrency }) => [name, concurrency]),
  );
}

/** What a lower concurrency costs, where that is worth a word. */
function costs({ takesMs, askedMs }: EffectiveConcurrency): string {
  return takesMs < askedMs + 60_000 ? '' : `: about ${roughly(takesMs)} instead of ${roughly(askedMs)}`;
}

/** `40 s`, `45 min`, `6 h 30 min`, `3 d 4 h`. */
export function roughly(durationMs: number): string {
  if (durationMs < 59_500) return `${Math.max(Math.round(durationMs / 1000), 1)} s`;
  const minutes = Math.round(durationMs / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  if (days > 0) return hours === 0 ? `${days} d` : `${days} d ${hours} h`;
  if (hours === 0) return `${minutes} min`;
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

function byLine(problems: readonly InputProblem[]): InputProblem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
}
