/** The targets of a plan file, each by itself. */
import { upgradeWorkflowId } from '../workflows/contracts/ids.js';
import type { Json } from '../workflows/contracts/json.js';
import type { ResourceRef } from '../workflows/contracts/upgrade.js';
import { splitRemedy, type InputProblem } from './errors.js';
import type { Place, PlanContext, PlannedTarget } from './plan.js';
import { parseWith, suggest } from './problems.js';
import { targetHead, targetSchema } from './schema.js';
import type { Choices, PlannedSelector } from './selectors.js';
import { formatPath, type Path, type Source } from './source.js';

/** How plan files are parsed: problems quote the values that they are about. */
export const READING = { quoteValues: true } as const;

/**
 * The targets that are well-formed by themselves, with what else is wrong with them.
 *
 * @param choices `null` before anything was chosen: selectors then stand for themselves.
 */
export function plannedTargets(
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

export function rawTargets(data: unknown): readonly unknown[] {
  const spec = (data as { spec?: unknown } | null)?.spec;
  const targets = (spec as { targets?: unknown } | null | undefined)?.targets;
  return Array.isArray(targets) ? (targets as unknown[]) : [];
}

export function jsonOf(target: unknown): Json {
  return JSON.parse(JSON.stringify(target)) as Json;
}
