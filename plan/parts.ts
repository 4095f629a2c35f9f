/** What a plan says of its targets together: groups, waves, limits, windows, soaks, approvals, and what is wrong with that. */
import type { z } from 'zod';
import type { ResourceRef } from '../workflows/contracts/upgrade.js';
import type { Account } from './accounts.js';
import { resolveApproval } from './approvals.js';
import { resolveMinSuccess } from './budget.js';
import type { InputProblem } from './errors.js';
import { resolveNotify } from './notify-schema.js';
import type { PlanContext, PlannedTarget } from './plan.js';
import { type Related, resolveRelations, waitProblems } from './relations.js';
import { type planSchema, targetHead } from './schema.js';
import type { PlannedSelector } from './selectors.js';
import { resolveSoak } from './soak.js';
import type { Source } from './source.js';
import { rawTargets } from './targets.js';
import { resolveLimits, resolveWaves } from './waves.js';
import { resolveWindows } from './windows.js';

/** A target as far as others, waves and windows go. */
type Candidate = Related & Pick<PlannedTarget, 'expectedMs'>;

export function candidateOf(target: PlannedTarget, tags: Readonly<Record<string, string>>): Candidate {
  const { name, place, entry, after, resource, expectedMs } = target;
  return { name, id: resource.id, where: place.path, entry, after, resource, tags, expectedMs };
}

/** One target for all that a selector will choose: it has no id yet, so that only its entry's name names it. */
export function standIn(source: Source, { index, api, account, place }: PlannedSelector): Candidate {
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
export function resolveParts<T extends Candidate>(
  source: Source,
  context: PlanContext,
  { spec }: z.infer<ReturnType<typeof planSchema>>,
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
