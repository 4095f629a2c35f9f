/** The plan, resolved: every target an upgrade, every share a number, every cross check made. Reads no cloud. */
import type { CloudApi } from '../activities/clouds/port.js';
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { Json } from '../workflows/contracts/json.js';
import type { Approval } from '../workflows/contracts/control.js';
import type { FailureBudget, Limits } from '../workflows/contracts/rollout.js';
import { QUARANTINE_AFTER } from '../workflows/contracts/quarantine.js';
import type { SoakPlan } from '../workflows/contracts/soak.js';
import type { ResourceRef, UpgradeSpec } from '../workflows/contracts/upgrade.js';
import type { NoticeRule } from '../workflows/contracts/notices.js';
import { lower } from '../workflows/limits.js';
import type { Account } from './accounts.js';
import { resolveApproval } from './approvals.js';
import { digest, rolloutId } from './digest.js';
import type { InputProblem } from './errors.js';
import { InputError, splitRemedy } from './errors.js';
import { resolveNotify } from './notify-schema.js';
import { parseWith, suggest } from './problems.js';
import { resolveBudget, resolveMax, resolveMinSuccess, type Resolved } from './budget.js';
import { planSchema, targetHead, targetSchema } from './schema.js';
import { resolveSoak } from './soak.js';
import type { Choices, PlannedSelector } from './selectors.js';
import type { Path, Source } from './source.js';
import { formatPath } from './source.js';
import {
  type PlannedDurations,
  plannedDurations,
  type PlannedWindows,
  resolveWindows,
  windowsUseTags,
} from './windows.js';
import { type Related, type Relations, resolveRelations, waitProblems } from './relations.js';
import { type EffectiveConcurrency, effectiveConcurrency, resolveLimits, resolveWaves } from './waves.js';

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

const READING = { quoteValues: true } as const;

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

/** A target as far as others, waves and windows go. */
type Candidate = Related & Pick<PlannedTarget, 'expectedMs'>;

function candidateOf(target: PlannedTarget, tags: Readonly<Record<string, string>>): Candidate {
  const { name, place, entry, after, resource, expectedMs } = target;
  return { name, id: resource.id, where: place.path, entry, after, resource, tags, expectedMs };
}

/** One target for all that a selector will choose: it has no id yet, so that only its entry's name names it. */
function standIn(source: Source, { index, api, account, place }: PlannedSelector): Candidate {
  const { name = null, after = [] } = targetHead.parse(rawTargets(source.data)[index]);
  const { service, family, cloud, pace } = api;
  const id = 'chosen by `select`';
  const resource = { account: account.name, cloud, service, family, region: account.region, id };
  return { name, id: '', where: place.path, entry: index, after, resource, tags: {}, expectedMs: pace.expectedMs };
}

/** What of a plan waits for the clouds to be read. */
interface Unread {
  /** Some of the targets. */
  readonly targets: boolean;
  /** Which targets its waves take. */
  readonly waves: boolean;
  /** Which targets its windows hold for. */
  readonly windows: boolean;
  /** Whether a word may be the id of a target that is not known yet. */
  readonly mayBeChosen: (word: string) => boolean;
}

/** What a plan says of its targets, and what is wrong with that; of what is unread, what is certain all the same. */
function resolveParts<T extends Candidate>(
  source: Source,
  context: PlanContext,
  { spec }: ReturnType<typeof parsePlan>['document'],
  candidates: readonly T[],
  unread: Unread | null = null,
) {
  const certain = (problems: readonly InputProblem[], isUnread = false) =>
    isUnread ? problems.filter((one) => one.fromEmptiness !== true && one.needsAll !== true) : problems;
  const resources = candidates.map(({ resource }) => resource);
  const timeScale = spec.timeScale ?? 1;
  const entries = spec.waves ?? [{ name: 'all', rest: true as const }];
  const { relations, ...related } = resolveRelations(source, spec.groups ?? [], candidates, unread?.mayBeChosen);
  const relationProblems = certain(related.problems, unread !== null);
  const { waves, problems: waveProblems } = resolveWaves(source, entries, candidates, unread?.mayBeChosen);
  const limited = waves.map((_wave, at) =>
    resolveLimits(
      source,
      [
        { path: ['spec', 'limits'], entry: spec.limits },
        { path: ['spec', 'waves', at, 'limits'], entry: entries[at]?.limits },
      ],
      resources,
    ),
  );
  const windowedTargets = candidates.map(({ resource, tags, entry, expectedMs }) => ({
    resource,
    tags,
    expectedMs: expectedMs * timeScale,
    path: ['spec', 'targets', entry],
  }));
  const windowed = resolveWindows(source, spec, unread?.windows === true ? [] : windowedTargets, {
    now: context.now ?? Date.now(),
    accounts: [...context.accounts.keys()],
    ...(context.mayBeOver === undefined ? {} : { mayBeOver: context.mayBeOver }),
  });
  const notify = resolveNotify(source, spec, context.webhooks);
  const soaks = entries.map((entry, at) =>
    entry.soak === undefined ? null : resolveSoak(source, ['spec', 'waves', at, 'soak'], entry.soak, timeScale),
  );
  const begin = resolveApproval(source, ['spec', 'approval'], spec.approval, spec.roles);
  const approvals = entries.map((entry, at) =>
    resolveApproval(source, ['spec', 'waves', at, 'approval'], entry.approval, spec.roles),
  );
  const minSuccess = resolveMinSuccess(source, spec.minSuccess, candidates.length);
  const found = [
    ...certain(windowed.problems, unread?.targets === true || unread?.windows),
    ...notify.problems,
    ...relationProblems,
    ...certain(waveProblems, unread?.waves),
    ...(relationProblems.length > 0 || unread?.waves === true ? [] : waitProblems(source, waves, relations)),
    ...certain(unique(limited.flatMap(({ problems }) => problems)), unread?.targets),
    ...soaks.flatMap((one) => one?.problems ?? []),
    ...[begin, ...approvals].flatMap(({ problems }) => problems),
    ...certain(minSuccess.problems, unread?.targets),
    ...timeScaleProblems(source, timeScale, resources, context.accounts),
  ];
  const problems = context.mayBeEmpty === true ? found.filter((one) => one.fromEmptiness !== true) : found;
  return {
    timeScale,
    entries,
    relations,
    waves,
    limited,
    windowedTargets,
    windowed,
    notify,
    soaks,
    begin,
    approvals,
    minSuccess,
    problems,
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

/**
 * The targets that are well-formed by themselves, with what else is wrong with them.
 *
 * @param choices `null` before anything was chosen: selectors then stand for themselves.
 */
function plannedTargets(
  source: Source,
  { apis, accounts }: PlanContext,
  choices: Choices | null,
): { targets: PlannedTarget[]; selectors: PlannedSelector[]; problems: InputProblem[] } {
  const problems: InputProblem[] = [];
  const targets: PlannedTarget[] = [];
  const selectors: PlannedSelector[] = [];
  const schema = targetSchema(apis);
  const leases = new Map<string, Place>();
  const names = new Map<string, Path>();

  rawTargets(source.data).forEach((raw, index) => {
    const path: Path = ['spec', 'targets', index];
    const complain = (at: Path, message: string, remedy: string): void => {
      problems.push(source.problem([...path, ...at], message, remedy));
    };
    // What the shape is not right for is reported from the whole file's schema.
    if (!schema.safeParse(raw).success) return;
    const head = targetHead.parse(raw);
    const api = apis.find((one) => one.service === head.service);
    if (api === undefined) return;

    if (head.name !== undefined) {
      const earlier = names.get(head.name);
      if (earlier !== undefined) {
        complain(['name'], `"${head.name}" is the name of ${formatPath(earlier)} too`, 'give it another name');
      }
      names.set(head.name, path);
    }
    const account = accounts.get(head.account);
    if (account === undefined) {
      complain(
        ['account'],
        `${JSON.stringify(head.account)} is no account of the accounts file`,
        suggest(head.account, [...accounts.keys()]),
      );
    } else if (account.cloud !== api.cloud) {
      const fitting = [...accounts.values()].filter((one) => one.cloud === api.cloud).map((one) => one.name);
      const remedy = fitting.length > 0 ? `use ${fitting.join(' or ')}` : `add an account with cloud: ${api.cloud}`;
      complain(
        ['account'],
        `"${head.account}" is an account of ${account.cloud}, and ${api.service} is ${api.cloud}`,
        remedy,
      );
    }

    const fields = Object.entries(raw as Record<string, unknown>).filter(([key]) => key in api.target.shape);
    const own = parseWith(api.target, source, READING, { data: Object.fromEntries(fields), path });
    problems.push(...own.problems);
    const objection = own.data === null ? null : api.objection(own.data);
    if (objection !== null) complain([], ...splitRemedy(objection, 'correct this target, or remove it'));

    if (head.select !== undefined && choices === null) {
      if (account === undefined || account.cloud !== api.cloud) return;
      const selectPath = [...path, 'select'];
      const place = { file: source.file, line: source.line(selectPath), path: formatPath(selectPath) };
      selectors.push({ place, index, api, account, selector: head.select });
      return;
    }
    const chosen = head.select === undefined ? undefined : choices?.get(index);
    if (head.select !== undefined && chosen === undefined) {
      complain(['select'], 'has not been resolved', 'use `uplift plan`, which reads the clouds');
      return;
    }
    const ids = chosen ?? head.ids ?? (head.id === undefined ? [] : [head.id]);
    ids.forEach((id, at) => {
      const idPath = chosen === undefined ? (head.id === undefined ? ['ids', at] : ['id']) : ['select'];
      if (!api.id.pattern.test(id)) {
        complain(idPath, `"${id}" is not an id of ${api.service}`, api.id.hint);
        return;
      }
      if (account === undefined || account.cloud !== api.cloud || own.data === null) return;
      const resource: ResourceRef = {
        account: account.name,
        cloud: api.cloud,
        service: api.service,
        family: api.family,
        region: account.region,
        id,
      };
      const placePath = head.id === undefined ? [...path, ...idPath] : path;
      const place = { file: source.file, line: source.line(placePath), path: formatPath(placePath) };
      const lease = upgradeWorkflowId(resource);
      const earlier = leases.get(lease);
      if (earlier !== undefined) {
        const what = `${api.family} ${id} in ${account.region}`;
        complain(idPath, `${what} is ${earlier.path} (line ${earlier.line}) already`, 'keep one of the two');
        return;
      }
      leases.set(lease, place);
      targets.push({
        place,
        name: head.name ?? null,
        entry: index,
        after: head.after ?? [],
        expectedMs: api.pace.expectedMs,
        resource,
        target: jsonOf(own.data),
        targetLabel: api.label(own.data),
        chosenByTags: Object.keys(head.select?.tags ?? {}),
      });
    });
  });
  return { targets, selectors, problems };
}

function gated(gate: number | undefined): { gate?: number } {
  return gate === undefined ? {} : { gate };
}

function rawTargets(data: unknown): readonly unknown[] {
  const spec = (data as { spec?: unknown } | null)?.spec;
  const targets = (spec as { targets?: unknown } | null | undefined)?.targets;
  return Array.isArray(targets) ? (targets as unknown[]) : [];
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

function unique(problems: readonly InputProblem[]): InputProblem[] {
  return [...new Map(problems.map((problem) => [`${problem.path} ${problem.message}`, problem])).values()];
}

/**
 * A smaller scale shortens the settling time that stands between a lost answer and a second submit: at a real cloud
 * that is a double upgrade. Real endpoints are https, the simulator's is plain http.
 */
function timeScaleProblems(
  source: Source,
  timeScale: number,
  resources: readonly ResourceRef[],
  accounts: ReadonlyMap<string, Account>,
): InputProblem[] {
  if (timeScale === 1) return [];
  const real = resources.find(
    ({ account, family }) => accounts.get(account)?.endpoints[family]?.startsWith('http://') !== true,
  );
  if (real === undefined) return [];
  const where = `account "${real.account}" reaches ${real.family} at a real cloud`;
  return [source.problem(['spec', 'timeScale'], `is for rehearsals against the simulator, and ${where}`, 'remove it')];
}

function jsonOf(target: unknown): Json {
  return JSON.parse(JSON.stringify(target)) as Json;
}

function byLine(problems: readonly InputProblem[]): InputProblem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
}
