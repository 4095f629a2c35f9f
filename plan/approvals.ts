/** Whose approval something needs: roles become the people who have them when the plan is made. */
import type { Approval } from '../workflows/contracts/control.js';
import type { InputProblem } from './errors.js';
import { suggest } from './problems.js';
import { type ApprovalEntry, ROLE, type RolesEntry, type TargetEntry, type WaveEntry } from './schema.js';
import { msOf } from './soak.js';
import type { Path, Source } from './source.js';

interface ApprovalSpec {
  readonly approval?: ApprovalEntry;
  readonly roles?: RolesEntry;
  readonly targets?: readonly Pick<TargetEntry, 'name' | 'id' | 'ids' | 'select'>[];
  readonly waves?: readonly Pick<WaveEntry, 'approval' | 'targets'>[];
}

/**
 * The approvals that every rollout of a plan asks for, whatever its selectors choose: its own, that of an only wave, and those of
 * waves that list a resource by id. What others come to, a cloud has to tell. Their form is checked elsewhere.
 */
export function certainApprovals(source: Source): Approval[] {
  const spec = ((source.data as { spec?: unknown } | null)?.spec ?? {}) as ApprovalSpec;
  const { waves = [], targets = [] } = spec;
  const chosen = targets.filter(({ select }) => select === undefined);
  const words = new Set(chosen.flatMap(({ name, id, ids = [] }) => [name, id, ...ids]));
  const certain = waves.length === 1 ? waves : waves.filter((wave) => wave.targets?.some((word) => words.has(word)));
  const entries = [spec.approval, ...certain.map(({ approval }) => approval)];
  return entries.flatMap((entry) => resolveApproval(source, [], entry, spec.roles).approval ?? []);
}

/** @param path of the approval, for messages */
export function resolveApproval(
  source: Source,
  path: Path,
  entry: ApprovalEntry | undefined,
  roles: RolesEntry = {},
): { readonly approval: Approval | null; readonly problems: readonly InputProblem[] } {
  if (entry === undefined) return { approval: null, problems: [] };
  const { approvers: words, quorum = 1, expiresAfter = '7d' } = entry;
  const known = new Map(Object.entries(roles));
  const asked = new Map<string, readonly string[]>();
  const problems: InputProblem[] = [];
  const people = words.flatMap((word, at) => {
    if (!word.startsWith(ROLE)) return [word];
    const name = word.slice(ROLE.length);
    const members = known.get(name);
    if (members === undefined) {
      const remedy = known.size === 0 ? 'list who has it under spec.roles' : suggest(name, [...known.keys()]);
      problems.push(source.problem([...path, 'approvers', at], `"${name}" is no role of this plan`, remedy));
    }
    asked.set(name, [...new Set(members)]);
    return members ?? [];
  });
  const approvers = [...new Set(people)];
  if (problems.length === 0 && quorum > approvers.length) {
    const remedy = 'name more of them, or lower the quorum';
    problems.push(source.problem(path, 'has fewer approvers than its quorum', remedy));
  }
  const named = asked.size === 0 ? {} : { roles: Object.fromEntries(asked) };
  return { approval: { quorum, approvers, ...named, expiresAfterMs: msOf(expiresAfter) }, problems };
}
