/**
 * Cloud Service Engine, API v2: microservice engines of every type. An upgrade is a job with nested tasks and without a
 * progress of its own; a failed one stays where it failed, and is retried on a person's word only.
 */
import { z } from 'zod';
import type { Finding, Operation } from '../../../workflows/contracts/upgrade.js';
import { classifyBy, type ErrorTable } from '../classify.js';
import { oneLine } from '../envelopes.js';
import { CloudError } from '../errors.js';
import type { CloudApi, CloudReader, OperationRecord, Pace, Progress, ResourceState, Standing } from '../port.js';
import { compareDotted } from '../versions.js';
import { APIGW_ERRORS } from './errors.js';
import { optionalText, PAGE_SIZE, sizeField, tagsField } from './fields.js';

const cseTarget = z.strictObject({
  version: z
    .string()
    .regex(/^\d+(\.\d+)+$/, 'use digits and dots, as in 2.4.0')
    .describe('The version to upgrade to, at most 24 characters.'),
  enterpriseProjectId: z
    .string()
    .regex(/^[0-9A-Za-z-]{1,36}$/, 'use the id of an enterprise project, or leave it out for the default one')
    .optional()
    .describe('Enterprise project that the engine belongs to; the default one when left out.'),
  retryFailed: z
    .boolean()
    .default(false)
    .describe('Runs the upgrade that failed once more. For engines in status UpgradeFailed, and for no others.'),
});
export type CseTarget = z.infer<typeof cseTarget>;

/** "Maximum length: 24" (CSE API reference, Upgrading a Microservice Engine). */
const LONGEST_VERSION = 24;

/**
 * CSE API reference, Error Codes, and the codes that Terraform's provider takes for a missing engine. A missing engine
 * comes as HTTP 400 or 401. No code is documented for an upgrade in particular.
 */
export const CSE_ERRORS: ErrorTable = {
  'not-found': [
    'SVCSTG.00501116',
    'SVCSTG.00401116',
    'SVCSTG.00501125',
    // A job: its id is malformed, or unknown.
    'SVCSTG.00501152',
    'SVCSTG.00501153',
  ],
  // The engine's state does not allow it now; a node is abnormal. For both, "try again later".
  busy: ['SVCSTG.00501117', 'SVCSTG.00501149'],
  permanent: [
    // Billing mode, flavor, AZ, name taken, quota, limit of the site, engine type, name.
    'SVCSTG.00501103',
    'SVCSTG.00501104',
    'SVCSTG.00501105',
    'SVCSTG.00501111',
    'SVCSTG.00501112',
    'SVCSTG.00501133',
    'SVCSTG.00501134',
    'SVCSTG.00501201',
  ],
};
const JOB_NOT_FOUND: readonly (string | null)[] = ['SVCSTG.00501152', 'SVCSTG.00501153', null];

const AVAILABLE = 'Available';
const UPGRADE_FAILED = 'UpgradeFailed';
/** Engine statuses. An unknown one is never submitted to. */
const CONDITIONS: Readonly<Record<string, ResourceState['condition']>> = {
  [AVAILABLE]: 'ready',
  // Ready for one thing: a retry. The precheck lets nothing else through.
  [UPGRADE_FAILED]: 'ready',
  Upgrading: 'upgrading',
  Creating: 'busy',
  Modifying: 'busy',
  Deleting: 'busy',
  Unavailable: 'broken',
  Deleted: 'broken',
  CreateFailed: 'broken',
  DeleteFailed: 'broken',
  ModifyFailed: 'broken',
  Freezed: 'broken',
};

/**
 * No duration is documented; Terraform's provider waits 60 minutes, in polls of 15 s. Two instances are restarted one
 * after the other, so an engine may look well between them: three reads in a row, as for a graph. The visibility lag is
 * documented nowhere: a careful guess.
 */
const PACE: Pace = {
  expectedMs: 20 * 60_000,
  deadlineMs: 60 * 60_000,
  pollMinMs: 15_000,
  pollMaxMs: 60_000,
  stableReads: 3,
  stableEveryMs: 10_000,
  visibilityLagMs: 30_000,
};

/** The cloud accepts calls whose clock is 15 minutes off, so its records may be dated that much before ours. */
const CLOCK_TOLERANCE_MS = 15 * 60_000;
const HEADERS = { 'content-type': 'application/json;charset=UTF-8', accept: 'application/json' };

const listedEngine = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  // One that is being created may have none.
  version: optionalText,
  latestVersion: optionalText,
  latestJobId: z.number().nullish(),
  type: optionalText,
  flavor: sizeField,
  // In no document, and read by Terraform's provider. In another shape the answer cannot be used: read as none at all,
  // the tags would let through what a freeze or a blackout by tags holds.
  tags: tagsField,
});
const engine = listedEngine.extend({ version: z.string() });
type Engine = z.infer<typeof listedEngine>;

/** Epoch ms; `null` for a time that has not come. */
const timeField = z
  .union([z.number(), z.string()])
  .nullish()
  .transform((value) => Number(value) || null);
const listedJob = z.object({
  id: z.number(),
  type: optionalText,
  status: z.string(),
  startTime: timeField,
  endTime: timeField,
});
type Job = z.infer<typeof listedJob>;

const step = z.object({ taskName: optionalText, status: optionalText, log: optionalText, output: optionalText });
const phase = step.extend({
  tasks: z
    .array(step)
    .nullish()
    .transform((steps) => steps ?? []),
});
const job = listedJob.extend({
  /** JSON as a text, its content in no document. */
  context: optionalText,
  tasks: z
    .array(phase)
    .nullish()
    .transform((phases) => phases ?? []),
});

const acceptedBody = z.object({ id: z.string(), jobId: z.int().positive() });

const enginesAt = (projectId: string, ...rest: string[]): readonly string[] => [
  'v2',
  projectId,
  'enginemgr',
  'engines',
  ...rest,
];

function readEngine(reader: CloudReader, id: string): Promise<Engine> {
  return reader.read({ path: enginesAt(reader.projectId, id), headers: HEADERS }, engine);
}

/** The job; `null` when the cloud knows it no more. */
async function readJob(reader: CloudReader, id: string, jobId: string): Promise<z.infer<typeof job> | null> {
  try {
    const path = enginesAt(reader.projectId, id, 'jobs', jobId);
    return await reader.read({ path, headers: HEADERS, errorFieldsAreData: true }, job);
  } catch (error) {
    const isGone =
      error instanceof CloudError && error.errorClass === 'not-found' && JOB_NOT_FOUND.includes(error.code);
    if (isGone) return null;
    throw error;
  }
}

function stateOf({ id, name, status, version, flavor, tags }: Engine): ResourceState {
  return {
    id,
    name,
    status,
    condition: CONDITIONS[status] ?? 'busy',
    version,
    ...(flavor === '' ? {} : { size: flavor }),
    tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
  };
}

/** Of two instances one after the other: an engine that says the target while its upgrade failed is there in part. */
function standing({ version, status }: ResourceState, target: CseTarget): Standing {
  const compared = compareDotted(version, target.version);
  return compared === 'at' && status === UPGRADE_FAILED ? 'partly' : compared;
}

async function precheck(reader: CloudReader, id: string, target: CseTarget): Promise<Finding[]> {
  const found = await readEngine(reader, id);
  const problem = statusProblem(found, target) ?? retryProblem(found, target);
  return [
    {
      check: 'engineStatus',
      status: problem === null ? 'success' : 'failed',
      problems: problem === null ? [] : [{ type: 'engine', ...problem }],
    },
    // A hint and no verdict: no call lists the versions that an engine may go to.
    { check: 'latestVersion', status: 'success', problems: latestVersionHints(found, target) },
    ...(target.retryFailed && problem === null ? [await retryFinding(reader, id, found, target)] : []),
  ];
}

/**
 * Where a retry leads: it takes no version, so it goes where the upgrade that failed was to go. That is compared where
 * the failed job tells it, and otherwise said, so that nobody approves a version that nothing asks for.
 */
async function retryFinding(
  reader: CloudReader,
  id: string,
  { latestJobId, version: current }: Engine,
  { version }: CseTarget,
): Promise<Finding> {
  const check = 'retry';
  const failed = latestJobId ? await readJob(reader, id, String(latestJobId)) : null;
  const goesTo = failed !== null && isUpgrade(failed) ? versionIn(failed.context, current) : null;
  if (goesTo === null) {
    const message =
      `a retry takes no version: it goes where the upgrade that failed was to go, which its job does not tell; ` +
      `${version} is only what the end is compared with`;
    return { check, status: 'success', problems: [{ type: 'engine', code: 'RetryTakesNoVersion', message }] };
  }
  if (compareDotted(goesTo, version) === 'at') return { check, status: 'success', problems: [] };
  const message = `the upgrade that failed was to go to ${goesTo}, and a retry goes there, not to ${version}`;
  return { check, status: 'failed', problems: [{ type: 'engine', code: 'RetryGoesElsewhere', message }] };
}

/** The one version in a job's context that is not the engine's own; `null` when there is none, or more than one. */
function versionIn(context: string, current: string): string | null {
  let told: unknown;
  try {
    told = JSON.parse(context);
  } catch {
    return null;
  }
  if (typeof told !== 'object' || told === null) return null;
  const versions = Object.entries(told).flatMap(([name, value]) =>
    /version/i.test(name) && typeof value === 'string' && /^\d+(\.\d+)+$/.test(value) && value !== current
      ? [value]
      : [],
  );
  return new Set(versions).size === 1 ? (versions[0] ?? null) : null;
}

/** A failed upgrade and a retry belong together, and each is refused without the other. */
function statusProblem(
  { status }: Pick<Engine, 'status'>,
  { retryFailed }: CseTarget,
): { code: string; message: string } | null {
  if (retryFailed === (status === UPGRADE_FAILED)) return null;
  return retryFailed
    ? {
        code: 'NothingToRetry',
        message: `the engine is ${status}: it has no failed upgrade to retry (leave retryFailed out)`,
      }
    : {
        code: UPGRADE_FAILED,
        message: 'its last upgrade failed (retryFailed: true runs that one again, to the version that it had)',
      };
}

function retryProblem({ type }: Engine, { retryFailed }: CseTarget): { code: string; message: string } | null {
  if (!retryFailed || type === '' || type.toUpperCase() === 'CSE') return null;
  const message = `a retry is documented for ServiceComb engines (type CSE), and this one is ${type} (use the console)`;
  return { code: 'RetryNotDocumented', message };
}

function latestVersionHints({ latestVersion }: Engine, { version }: CseTarget): Finding['problems'] {
  const hint = (code: string, message: string) => [{ type: 'engine', code, message }];
  switch (compareDotted(latestVersion, version)) {
    case 'below':
      return hint('AboveLatest', `the cloud's latest version for it is ${latestVersion}, below the target`);
    case 'above':
      return hint('LaterOffered', `a later version is there: ${latestVersion}`);
    default:
      return [];
  }
}

/** Upgrades since then. The job list may lack the engine's own latest job, which is looked at as well. */
async function operations(reader: CloudReader, id: string, since: number): Promise<OperationRecord[]> {
  const { latestJobId } = await readEngine(reader, id);
  const jobs = await listJobs(reader, id);
  if (latestJobId && !jobs.some((one) => one.id === latestJobId)) {
    const latest = await readJob(reader, id, String(latestJobId));
    if (latest !== null) jobs.push(latest);
  }
  const from = since - CLOCK_TOLERANCE_MS;
  const now = reader.now();
  return (
    jobs
      .filter(isUpgrade)
      // A retried job may keep its id and its start: then only its end is new.
      .filter(({ startTime, endTime }) => Math.max(startTime ?? now, endTime ?? 0) >= from)
      .sort((a, b) => (b.startTime ?? now) - (a.startTime ?? now) || b.id - a.id)
      .map((one) => ({
        operation: { id: runOf(one), since: new Date(one.startTime ?? now).toISOString() },
        state: jobState(one.status),
        reason: `job ${one.status}`,
      }))
  );
}

/** One page of the user guide documents the list, and no client of the vendor's has it: where it is not, it is empty. */
async function listJobs(reader: CloudReader, id: string): Promise<Job[]> {
  try {
    return await readAll(reader, enginesAt(reader.projectId, id, 'jobs'), {}, listedJob);
  } catch (error) {
    if (error instanceof CloudError && error.status === 404) return [];
    throw error;
  }
}

function isUpgrade({ type }: Pick<Job, 'type'>): boolean {
  return /^upgrade$/i.test(type);
}

/** Which run of a job it is: an ended one has its end in it, so that a retry under the same id is another operation. */
function runOf({ id, status, endTime }: Job): string {
  return jobState(status) === 'running' || endTime === null ? String(id) : `${id}@${endTime}`;
}

/** An unknown word is followed on: it may be a new kind of waiting. `Error` and `Timeout` are ends. */
function jobState(status: string): OperationRecord['state'] {
  if (status === 'Finished') return 'succeeded';
  return status === 'Error' || status === 'Timeout' ? 'failed' : 'running';
}

async function pollJob(reader: CloudReader, id: string, run: string): Promise<Progress> {
  const jobId = run.replace(/@.*$/, '');
  const found = await readJob(reader, id, jobId);
  if (found === null) {
    return { state: 'vanished', detail: `job ${jobId} is not known`, percent: null, remainingMs: null };
  }
  const steps = found.tasks.flatMap((one) =>
    one.tasks.length === 0
      ? [one]
      : one.tasks.map((part) => ({ ...part, taskName: `${one.taskName}/${part.taskName}` })),
  );
  const done = steps.filter(({ status }) => jobState(status) === 'succeeded').length;
  const failed = steps.find(({ status }) => jobState(status) === 'failed');
  const current = failed ?? steps.find(({ status }) => jobState(status) !== 'succeeded');
  const said = failed === undefined ? '' : [failed.log, failed.output].find((text) => text.trim() !== '');
  const parts = [
    `job ${found.status}`,
    ...(current === undefined ? [] : [`${current.taskName} ${current.status}`.trim()]),
    ...(said ? [oneLine(said)] : []),
  ];
  const count = steps.length === 0 ? '' : ` (${done} of ${steps.length} steps done)`;
  return {
    state: jobState(found.status),
    detail: `${parts.join(': ')}${count}`,
    percent: steps.length === 0 ? null : Math.floor((100 * done) / steps.length),
    remainingMs: null,
  };
}

/** An upgrade that we did not submit may have no job: the engine's status and version tell. */
async function pollEngine(reader: CloudReader, id: string, target: CseTarget): Promise<Progress> {
  const state = stateOf(await readEngine(reader, id));
  const detail = `engine ${state.status}, version ${state.version}`;
  const progress = (word: Progress['state']): Progress => ({ state: word, detail, percent: null, remainingMs: null });
  switch (state.condition) {
    case 'upgrading':
    case 'rolling-back':
    case 'busy':
      return progress('running');
    case 'stopped':
    case 'broken':
      return progress('failed');
    case 'ready':
      return progress(['at', 'above'].includes(standing(state, target)) ? 'succeeded' : 'failed');
  }
}

/**
 * Everything that a list holds, by id. The documents call `offset` a page number in one place and an offset in the
 * other, and 0 and 1 have been seen to give the same entry: what one reading does not bring, the other is asked for.
 * Nothing is asked for beyond `total`, where the last entries may come once more.
 */
async function readAll<T extends { readonly id: string | number }>(
  reader: CloudReader,
  path: readonly string[],
  more: Readonly<Record<string, string>>,
  item: z.ZodType<T>,
): Promise<T[]> {
  const page = z.object({
    total: z.number(),
    data: z
      .array(item)
      .nullish()
      .transform((items) => items ?? []),
  });
  const all = new Map<T['id'], T>();
  const read = async (offset: number): Promise<{ total: number; isNews: boolean }> => {
    const before = all.size;
    const query = { offset: String(offset), limit: String(PAGE_SIZE), ...more };
    const { total, data } = await reader.read({ path, query, headers: HEADERS }, page);
    for (const one of data) all.set(one.id, one);
    return { total, isNews: all.size > before };
  };
  let { total, isNews } = await read(0);
  while (isNews && all.size < total) ({ total, isNews } = await read(all.size));
  for (let number = 1; all.size < total && (number - 1) * PAGE_SIZE < total; number += 1) await read(number);
  return [...all.values()];
}

export const cse: CloudApi<CseTarget> = {
  cloud: 'huawei',
  service: 'cse',
  family: 'cse',
  pace: PACE,
  id: {
    // Lower case only: the id is a part of the lease, and one resource must not have two.
    pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    hint: 'the id of an engine is a UUID, such as 891bf21a-4024-4f47-b38c-bd259ca8f10a',
  },
  target: cseTarget,
  label: ({ version, retryFailed }) => (retryFailed ? `${version} (retry)` : version),
  objection({ version }) {
    if (version.length <= LONGEST_VERSION) return null;
    const most = `the API takes at most ${LONGEST_VERSION}`;
    return `version ${version} has ${version.length} characters, and ${most} (name a shorter one)`;
  },

  describe: async (reader, id) => stateOf(await readEngine(reader, id)),
  // All at once: which page comes next cannot be told from one of them.
  async list(reader) {
    const engines = await readAll(reader, enginesAt(reader.projectId), { type: 'ALL' }, listedEngine);
    return { resources: engines.map(stateOf), next: null };
  },
  standing,
  drift: (state, target) => statusProblem(state, target)?.message ?? null,
  precheck,

  submission({ projectId }, id, { version, enterpriseProjectId, retryFailed }) {
    const headers = {
      ...HEADERS,
      ...(enterpriseProjectId === undefined ? {} : { 'x-enterprise-project-id': enterpriseProjectId }),
    };
    return retryFailed
      ? { method: 'PUT', path: enginesAt(projectId, id, 'actions'), headers, body: { action: 'Retry' } }
      : { method: 'PUT', path: enginesAt(projectId, id, 'upgrade'), headers, body: { version } };
  },
  accepted(response, id) {
    const body = acceptedBody.safeParse(response.json);
    if (!body.success) return { kind: 'unknown', reason: `HTTP ${response.status} without an engine id and a job id` };
    if (body.data.id !== id) {
      return { kind: 'unknown', reason: `HTTP ${response.status} for another engine: ${oneLine(body.data.id)}` };
    }
    return { kind: 'accepted', operationId: String(body.data.jobId) };
  },

  operations,
  poll: (reader: CloudReader, id: string, target: CseTarget, operation: Operation) =>
    operation.id === null ? pollEngine(reader, id, target) : pollJob(reader, id, operation.id),
  health: async (_reader, _id, { status }) => ({ healthy: status === AVAILABLE, detail: `status ${status}` }),

  classify: (error) => classifyBy([CSE_ERRORS, APIGW_ERRORS], error),
};
