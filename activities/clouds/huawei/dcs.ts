/**
 * Huawei Cloud DCS, "Upgrading the Minor Version/Proxy Version": one call for two components. It answers with the id of
 * a background task that no call returns by itself: the instance's task list tells its end, its progress call the rest.
 */
import { z } from 'zod';
import type { Finding } from '../../../workflows/contracts/upgrade.js';
import { classifyBy } from '../classify.js';
import { CloudError } from '../errors.js';
import type {
  CloudApi,
  CloudReader,
  Component,
  OperationRecord,
  Pace,
  Progress,
  ResourceState,
  Standing,
} from '../port.js';
import { compareDotted } from '../versions.js';
import { DCS_ERRORS } from './dcs-errors.js';
import { APIGW_ERRORS } from './errors.js';
import { allPages, optionalText, PAGE_SIZE, sizeField, tagsField } from './fields.js';

const LATEST = 'latest';
const DOTTED = /^\d+(\.\d+){1,4}$/;

const minorVersion = z
  .string()
  .regex(/^(latest|\d+(\.\d+){1,4})$/, 'must be latest or a dotted version such as 5.0.14.1')
  .optional();
const pinnedVersion = z.string().regex(DOTTED, 'must be a dotted version such as 5.0.14.1').optional();

const dcsTarget = z.strictObject({
  engineMinorVersion: minorVersion.describe('The engine’s minor version: latest, or one such as 5.0.14.1.'),
  proxyMinorVersion: minorVersion.describe('The proxy nodes’ version, of instances that have a proxy.'),
  pinned: z
    .strictObject({ engine: pinnedVersion, proxy: pinnedVersion })
    .optional()
    .describe('What latest has to mean. The plan fills it in by the versions on offer; any other one is drift.'),
});
export type DcsTarget = z.infer<typeof dcsTarget>;

/** In this order wherever people read them. */
const PARTS = ['engine', 'proxy'] as const;
type Part = (typeof PARTS)[number];
const FIELDS = { engine: 'engineMinorVersion', proxy: 'proxyMinorVersion' } as const;

/** `task` is in no document; what it holds is not known, and that it is there means busy. */
const instance = z.object({
  instance_id: z.string(),
  name: optionalText,
  status: z.string(),
  sub_status: optionalText,
  engine_version: optionalText,
  spec_code: sizeField,
  /** GB. */
  capacity: sizeField,
  service_upgrade: z.boolean().nullish(),
  service_task_id: optionalText,
  task: z.unknown().optional(),
  tags: tagsField,
});
type Instance = z.infer<typeof instance>;

const instances = z
  .object({ instance_num: z.coerce.number(), instances: z.array(instance) })
  .transform((body) => ({ items: body.instances, total: body.instance_num }));

const versions = z.object({
  engine_minor_version: optionalText,
  latest_engine_minor_version: optionalText,
  engine_minor_version_upgradable: z.boolean().nullish(),
  proxy_minor_version: optionalText,
  latest_proxy_minor_version: optionalText,
  proxy_minor_version_upgradable: z.boolean().nullish(),
});
type Versions = z.infer<typeof versions>;
/** Every instance has an engine: an answer without its version is no answer, unless the instance changes just now. */
const settledVersions = versions.extend({ engine_minor_version: z.string().min(1) });

const task = z.object({
  id: z.string(),
  name: optionalText,
  status: optionalText,
  created_at: optionalText,
  params: z.unknown().optional(),
});
type Task = z.infer<typeof task>;

/** The number of tasks is a string by the model and a number in the sample. */
const tasks = z
  .object({ task_count: z.coerce.number(), tasks: z.array(task) })
  .transform((body) => ({ items: body.tasks, total: body.task_count }));

const step = z.object({ step_name: optionalText, step_status: optionalText, error_code: optionalText });
const progressBody = z.object({
  progress: z.coerce.number().nullish(),
  /** Seconds. */
  remain_time: z.coerce.number().nullish(),
  step_details: z.array(step).nullish(),
});
type TaskProgress = z.infer<typeof progressBody>;

/**
 * No document says how long it takes: while it runs, its `remain_time` paces the polls. Terraform's provider takes
 * RUNNING without a `task`, read twice and 10 s apart, for ready. The visibility lag is documented nowhere: a careful
 * guess, longer since the list of tasks is a log of its own.
 */
const PACE: Pace = {
  expectedMs: 15 * 60_000,
  deadlineMs: 2 * 60 * 60_000,
  pollMinMs: 15_000,
  pollMaxMs: 60_000,
  stableReads: 2,
  stableEveryMs: 10_000,
  visibilityLagMs: 60_000,
};

/** A task that still runs began within this time, by far: older ones say nothing of now. */
const TASKS_REACH_MS = 24 * 3_600_000;

/** None of them says that an upgrade runs; an unknown one is never submitted to. */
const CONDITIONS: Readonly<Record<string, ResourceState['condition']>> = {
  RUNNING: 'ready',
  CREATEFAILED: 'broken',
  ERROR: 'broken',
  FROZEN: 'broken',
};

/** The cloud accepts calls whose clock is 15 minutes off, so its records may be dated that much before ours. */
const CLOCK_TOLERANCE_MS = 15 * 60_000;

const at = (projectId: string, ...rest: string[]): readonly string[] => ['v2', projectId, 'instances', ...rest];

async function describe(reader: CloudReader, id: string): Promise<ResourceState> {
  const found = await reader.read({ path: at(reader.projectId, id) }, instance);
  const condition = conditionOf(found, await readServiceTask(reader, found));
  const isSettled = condition === 'ready';
  try {
    return { ...stateOf(found, await readVersions(reader, id, isSettled ? settledVersions : versions)), condition };
  } catch (error) {
    // While the instance changes, its versions may not be told.
    if (!(error instanceof CloudError) || error.errorClass !== 'busy' || isSettled) throw error;
    return { ...stateOf(found, null), condition };
  }
}

/** The task that the instance names, which may be any; `null` when it names none, or the list lacks it. */
async function readServiceTask(reader: CloudReader, found: Instance): Promise<Task | null> {
  if (found.service_task_id === '') return null;
  const recent = await readTasks(reader, found.instance_id, reader.now() - TASKS_REACH_MS);
  return recent.find(({ id }) => id === found.service_task_id) ?? null;
}

function readVersions(reader: CloudReader, id: string, schema: z.ZodType<Versions> = versions): Promise<Versions> {
  return reader.read({ path: at(reader.projectId, id, 'version') }, schema);
}

/** A list has no minor versions, nor what a task is about, since those take a call per instance. */
function stateOf(found: Instance, minor: Versions | null): ResourceState {
  const components = minor === null ? {} : componentsOf(minor);
  const parts = PARTS.flatMap((part) => (components[part] === undefined ? [] : `${part} ${components[part].version}`));
  return {
    id: found.instance_id,
    name: found.name || found.instance_id,
    status: found.status,
    condition: conditionOf(found, null),
    version: parts.join(', ') || `engine ${found.engine_version}`,
    ...sizeOf(found),
    tags: Object.fromEntries(found.tags.map(({ key, value }) => [key, value])),
    components,
  };
}

function sizeOf({ spec_code, capacity }: Instance): { size?: string } {
  const size = [spec_code, capacity === '' ? '' : `${capacity} GB`].filter((part) => part !== '').join(', ');
  return size === '' ? {} : { size };
}

function componentsOf(minor: Versions): Partial<Record<Part, Component>> {
  const part = (version: string, latest: string): Component => ({ version, offer: latest || null });
  return {
    ...(minor.engine_minor_version && { engine: part(minor.engine_minor_version, minor.latest_engine_minor_version) }),
    ...(minor.proxy_minor_version && { proxy: part(minor.proxy_minor_version, minor.latest_proxy_minor_version) }),
  };
}

/**
 * `service_upgrade` says that an upgrade runs; a task id alone, only that something does. Where the task list has that
 * task, it decides: only an upgrade of versions may be adopted.
 */
function conditionOf(found: Instance, serviceTask: Task | null): ResourceState['condition'] {
  const byStatus = CONDITIONS[found.status] ?? 'busy';
  if (byStatus === 'broken') return byStatus;
  if (/upgrad/i.test(found.sub_status)) return 'upgrading';
  if (serviceTask !== null && taskState(serviceTask.status) === 'running') {
    return isUpgrade(serviceTask) ? 'upgrading' : 'busy';
  }
  if (found.service_upgrade === true) return 'upgrading';
  if (serviceTask === null && found.service_task_id !== '') return 'busy';
  return found.task === undefined || found.task === null || found.task === '' ? byStatus : 'busy';
}

/** The parts that the target names, each with the version it shall have: `null` for a `latest` that is not pinned. */
function wanted(target: DcsTarget): { part: Part; version: string | null }[] {
  return PARTS.flatMap((part) => {
    const asked = target[FIELDS[part]];
    if (asked === undefined) return [];
    return [{ part, version: asked === LATEST ? (target.pinned?.[part] ?? null) : asked }];
  });
}

function standing(state: ResourceState, target: DcsTarget): Standing {
  const all = wanted(target).map(({ part, version }): Standing => {
    const have = state.components?.[part];
    return have === undefined || version === null ? 'not-comparable' : compareExactly(have.version, version);
  });
  if (all.length === 0 || all.includes('not-comparable')) return 'not-comparable';
  if (all.includes('above')) return 'above';
  if (all.every((one) => one === 'at')) return 'at';
  return all.includes('at') ? 'partly' : 'below';
}

/** 5.0.14.2 is above 5.0.14, and not a 5.0.14. */
function compareExactly(version: string, target: string): Standing {
  const standingOf = compareDotted(version, target);
  return standingOf === 'at' && compareDotted(target, version) === 'below' ? 'above' : standingOf;
}

function pin(state: ResourceState, target: DcsTarget): DcsTarget {
  const open = wanted(target).filter(({ version }) => version === null);
  const offers = open.flatMap(({ part }) => {
    const offer = state.components?.[part]?.offer ?? null;
    return offer === null ? [] : [[part, offer] as const];
  });
  return offers.length === 0 ? target : { ...target, pinned: { ...Object.fromEntries(offers), ...target.pinned } };
}

function drift(state: ResourceState, target: DcsTarget): string | null {
  for (const { part, version } of wanted(target)) {
    const have = state.components?.[part];
    if (target[FIELDS[part]] !== LATEST || (have !== undefined && have.version === version)) continue;
    if (version === null) return `what latest means cannot be told: the cloud offers no ${part} version now`;
    const offer = have?.offer ?? 'none';
    if (offer !== version) {
      return `the ${part} on offer is no longer what was planned: latest was ${version} then, and is ${offer} now`;
    }
  }
  return null;
}

/** A component that is there already is left out: the cloud refuses a version that equals the current one. */
function remaining(state: ResourceState, target: DcsTarget): DcsTarget {
  const there = wanted(target).filter(({ part, version }) => {
    const have = state.components?.[part];
    return have !== undefined && version !== null && compareExactly(have.version, version) === 'at';
  });
  const gone: readonly string[] = there.map(({ part }) => FIELDS[part]);
  return Object.fromEntries(Object.entries(target).filter(([field]) => !gone.includes(field)));
}

/** One finding a component: whether the provider lets it be upgraded now. */
async function precheck(reader: CloudReader, id: string, target: DcsTarget): Promise<Finding[]> {
  const minor = await readVersions(reader, id);
  const upgradable = {
    engine: minor.engine_minor_version_upgradable,
    proxy: minor.proxy_minor_version_upgradable,
  };
  const components = componentsOf(minor);
  return wanted(target).map(({ part, version }): Finding => {
    const check = `${part}MinorVersion`;
    const isThere = version !== null && components[part]?.version === version;
    if (isThere || upgradable[part] !== false) return { check, status: 'success', problems: [] };
    const message = `the provider says that this ${part} cannot be upgraded now`;
    return { check, status: 'failed', problems: [{ type: part, code: 'NotUpgradable', message }] };
  });
}

/** The instance's tasks that began at `from` (epoch ms) or later, as far as the cloud's filter goes. */
function readTasks(reader: CloudReader, id: string, from: number): Promise<Task[]> {
  const query = { start_time: compact(from), end_time: compact(reader.now() + CLOCK_TOLERANCE_MS) };
  return allPages(reader, { path: at(reader.projectId, id, 'tasks'), query }, tasks);
}

/** `20260327081405`: the list's filter, in UTC. */
function compact(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/\D/g, '').slice(0, 14);
}

/** No document gives an upgrade's task a name; others are called `ChangeInstanceSpec` and the like. */
function isUpgrade({ name, params }: Task): boolean {
  return /upgrad|version/i.test(name) || /minor_version/i.test(JSON.stringify(params ?? null));
}

/** An unknown word is followed on: it may be a new kind of waiting. */
function taskState(status: string): OperationRecord['state'] {
  return status === 'SUCCESS' ? 'succeeded' : status === 'FAIL' || status === 'FAILED' ? 'failed' : 'running';
}

function recordOf(found: Task, now: number): OperationRecord {
  const time = found.created_at;
  const began = Date.parse(/Z$|[+-]\d\d:?\d\d$/.test(time) ? time : `${time}Z`);
  return {
    operation: { id: found.id, since: new Date(Number.isNaN(began) ? now : began).toISOString() },
    state: taskState(found.status),
    reason: `task ${found.name} ${found.status}`,
  };
}

async function pollTask(reader: CloudReader, id: string, taskId: string, since: number): Promise<Progress> {
  const nothing = { percent: null, remainingMs: null };
  const found = (await readTasks(reader, id, since - CLOCK_TOLERANCE_MS)).find((one) => one.id === taskId);
  if (found === undefined) {
    return { state: 'vanished', detail: `task ${taskId} is not in the task list`, ...nothing };
  }
  const state = taskState(found.status);
  if (state === 'succeeded') return { state, detail: `task ${found.status}`, ...nothing };
  const progress = await readProgress(reader, id, taskId);
  const detail = [`task ${found.status}`, ...stepsOf(progress, state)].join(', ');
  if (state === 'failed') return { state, detail, ...nothing };
  const seconds = progress.remain_time ?? null;
  return { state, detail, percent: progress.progress ?? null, remainingMs: seconds === null ? null : seconds * 1000 };
}

/** A task may be without steps, at its begin as well as long after its end. */
async function readProgress(reader: CloudReader, id: string, taskId: string): Promise<TaskProgress> {
  try {
    return await reader.read({ path: at(reader.projectId, id, 'tasks', taskId, 'progress') }, progressBody);
  } catch (error) {
    if (error instanceof CloudError && ['permanent', 'not-found'].includes(error.errorClass)) return {};
    throw error;
  }
}

/** What is being done, or what failed. Steps that finished well may carry an error code, which then says nothing. */
function stepsOf({ step_details }: TaskProgress, state: OperationRecord['state']): string[] {
  const steps = step_details ?? [];
  if (state === 'failed') {
    return steps
      .filter(({ step_status }) => step_status === 'FAILED')
      .map(({ step_name, error_code }) => `step ${step_name} FAILED${error_code === '' ? '' : `: ${error_code}`}`);
  }
  const done = steps.filter(({ step_status }) => step_status === 'FINISH').length;
  return steps
    .filter(({ step_status }) => step_status === 'EXECUTING')
    .map(({ step_name }) => `step ${step_name} (${done + 1} of ${steps.length})`);
}

/** An upgrade that we know no task of: the instance's state and version tell. */
async function pollInstance(reader: CloudReader, id: string, target: DcsTarget): Promise<Progress> {
  const state = await describe(reader, id);
  const detail = `status ${state.status}, version ${state.version}`;
  const seen = { detail, percent: null, remainingMs: null };
  if (state.condition === 'upgrading' || state.condition === 'busy') return { state: 'running', ...seen };
  // A failed upgrade does not go back by itself.
  return { state: standing(state, target) === 'at' ? 'succeeded' : 'failed', ...seen };
}

export const dcs: CloudApi<DcsTarget> = {
  cloud: 'huawei',
  service: 'dcs',
  family: 'dcs',
  pace: PACE,
  id: {
    // Lower case only: the id is a part of the lease, and one resource must not have two.
    pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    hint: 'the id of a cache instance is a UUID, such as 5560df16-cebf-4473-95c4-d1b573c16e79',
  },
  target: dcsTarget,
  label: (target) =>
    wanted(target)
      .map(({ part, version }) => {
        if (target[FIELDS[part]] !== LATEST) return `${part} ${version}`;
        return version === null ? `${part} latest` : `${part} latest (${version})`;
      })
      .join(', '),
  objection(target) {
    const asked = wanted(target);
    if (asked.length === 0) {
      return 'neither engineMinorVersion nor proxyMinorVersion is given (name at least one: latest, or a version)';
    }
    const odd = PARTS.find((part) => target.pinned?.[part] !== undefined && target[FIELDS[part]] !== LATEST);
    return odd === undefined
      ? null
      : `pinned.${odd} says what latest means, and ${FIELDS[odd]} is not latest (remove one of the two)`;
  },

  describe,
  async list(reader, page) {
    const query = { offset: String(page), limit: String(PAGE_SIZE) };
    const { items, total } = await reader.read({ path: at(reader.projectId), query }, instances);
    const next = page + items.length;
    return {
      resources: items.map((found) => stateOf(found, null)),
      next: items.length > 0 && next < total ? next : null,
      total,
    };
  },
  standing,
  pin,
  drift,
  remaining,
  precheck,

  submission({ projectId }, id, { engineMinorVersion, proxyMinorVersion }) {
    return {
      method: 'POST',
      path: at(projectId, id, 'minor-version', 'upgrade'),
      body: {
        ...(engineMinorVersion !== undefined && { engine_minor_version: engineMinorVersion }),
        ...(proxyMinorVersion !== undefined && { proxy_minor_version: proxyMinorVersion }),
      },
    };
  },
  accepted(response) {
    const body = z.object({ task_id: z.string().min(1) }).safeParse(response.json);
    return body.success
      ? { kind: 'accepted', operationId: body.data.task_id }
      : { kind: 'unknown', reason: `HTTP ${response.status} without a task_id` };
  },

  async operations(reader, id, since) {
    const from = since - CLOCK_TOLERANCE_MS;
    const now = reader.now();
    return (await readTasks(reader, id, from))
      .filter(isUpgrade)
      .map((found) => recordOf(found, now))
      .filter(({ operation }) => Date.parse(operation.since) >= from)
      .sort((a, b) => Date.parse(b.operation.since) - Date.parse(a.operation.since));
  },
  poll: (reader, id, target, operation) =>
    operation.id === null
      ? pollInstance(reader, id, target)
      : pollTask(reader, id, operation.id, Date.parse(operation.since)),
  health: async (_reader, _id, { status, condition }) => ({
    healthy: condition === 'ready',
    detail: `status ${status}${condition === 'ready' ? ', no task' : ''}`,
  }),

  classify: (error) => classifyBy([DCS_ERRORS, APIGW_ERRORS], error),
};
