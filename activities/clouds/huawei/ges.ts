/** What both APIs of the Graph Engine Service share; `ges-v1.ts` and `ges-v2.ts` add paths and field names. */
import { z } from 'zod';
import { classifyBy, type ErrorTable } from '../classify.js';
import { CloudError } from '../errors.js';
import type { CloudApi, CloudReader, ErrorClass, OperationRecord, Pace, Progress, ResourceState } from '../port.js';
import { compareDotted } from '../versions.js';
import type { Finding } from '../../../workflows/contracts/upgrade.js';
import { APIGW_ERRORS } from './errors.js';
import { allPages, PAGE_SIZE, type Page } from './fields.js';

const gesTarget = z.strictObject({
  version: z
    .string()
    .regex(/^\d+(\.\d+){1,3}$/, 'must be a dotted version such as 2.4.1')
    .describe('The version to upgrade to; it must be above the current one.'),
  forceUpgrade: z
    .boolean()
    .default(false)
    .describe('Interrupts running tasks instead of waiting for them. Needs acknowledgeInterruption.'),
  acknowledgeInterruption: z
    .boolean()
    .optional()
    .describe('Set to true together with forceUpgrade: running algorithms are interrupted and requests may fail.'),
});
export type GesTarget = z.infer<typeof gesTarget>;

export interface Graph {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly version: string;
  /** Index of the graph's size: `1` is a million edges. */
  readonly size: string;
  readonly tags: readonly { readonly key: string; readonly value: string }[];
}

export interface GesJob {
  readonly id: string;
  readonly status: string;
  readonly name: string;
  readonly graph: string;
  /** UTC without a zone: `2026-03-27T08:14:05`. */
  readonly beginTime: string;
  readonly failReason: string;
}

/** Where the two APIs differ. */
export interface GesDialect {
  readonly service: string;
  /** First segment of every path: `v1.0`. */
  readonly root: string;
  readonly graph: z.ZodType<Graph>;
  readonly graphs: z.ZodType<Page<Graph>>;
  readonly job: z.ZodType<GesJob>;
  readonly jobs: z.ZodType<Page<GesJob>>;
  /** Query of the job list: graph's name, first day. */
  jobsQuery(graph: string, day: string): Record<string, string>;
  /** What follows `…/graphs/{id}` in a submit. */
  upgrade(target: GesTarget): {
    readonly path: readonly string[];
    readonly query?: Readonly<Record<string, string>>;
    readonly body: Readonly<Record<string, unknown>>;
  };
  /** The job's id in a submit's answer. */
  readonly accepted: z.ZodType<string>;
}

/** A status arrives as a digit string; a number would mean the same. */
export const statusField = z.union([z.string(), z.number()]).transform(String);

/** Codes of the GES API reference, Error Codes. */
export const GES_ERRORS: ErrorTable = {
  permanent: ['GES.0001', 'GES.7009', 'GES.7016', 'GES.7048', 'GES.7049', 'GES.7050', 'GES.8011'],
  denied: ['GES.7041'],
  'not-found': ['GES.0016', 'GES.7000', 'GES.7054', 'GES.7007', 'GES.8301'],
  // Not running, backing up, stopping or stopped, being created.
  busy: ['GES.7001', 'GES.7015', 'GES.7002', 'GES.7003', 'GES.7042'],
  transient: ['GES.7004', 'GES.7051', 'GES.7005', 'GES.7006'],
  // The target is earlier than the current version: perhaps since it was reached meanwhile.
  'already-done': ['GES.7036'],
};
const JOB_NOT_FOUND: readonly (string | null)[] = ['GES.7007', 'GES.8301', null];

/** Graph statuses; every other one is a change under way. An unknown status is never submitted to. */
const CONDITIONS: Readonly<Record<string, ResourceState['condition']>> = {
  '200': 'ready',
  '201': 'upgrading',
  '203': 'rolling-back',
  '900': 'stopped',
  '300': 'broken',
  '303': 'broken',
  '400': 'broken',
  '800': 'broken',
};

/**
 * "Several minutes" (GES user guide, Upgrading a Graph). Terraform's provider gives it 60 minutes and takes three reads
 * of status 200 in a row for its end. The visibility lag is documented nowhere: a careful guess.
 */
const PACE: Pace = {
  expectedMs: 10 * 60_000,
  deadlineMs: 60 * 60_000,
  pollMinMs: 15_000,
  pollMaxMs: 60_000,
  stableReads: 3,
  stableEveryMs: 10_000,
  visibilityLagMs: 30_000,
};

/** Graphs below it take no upgrade (GES user guide, Upgrading a Graph). */
const OLDEST_UPGRADABLE = '1.0.3';
/** The cloud accepts calls whose clock is 15 minutes off, so its records may be dated that much before ours. */
const CLOCK_TOLERANCE_MS = 15 * 60_000;

export function gesApi(dialect: GesDialect): CloudApi<GesTarget> {
  const at = (projectId: string, ...rest: string[]): readonly string[] => [dialect.root, projectId, 'graphs', ...rest];

  async function describe(reader: CloudReader, id: string): Promise<ResourceState> {
    return stateOf(await reader.read({ path: at(reader.projectId, id) }, dialect.graph));
  }

  async function pollJob(reader: CloudReader, id: string, job: string): Promise<Progress> {
    const path = at(reader.projectId, id, 'jobs', job, 'status');
    try {
      const { status, failReason } = await reader.read({ path, errorFieldsAreData: true }, dialect.job);
      const detail = `job ${status}${failReason === '' ? '' : `: ${failReason}`}`;
      const state = jobState(status);
      // A failed upgrade goes back to the old version by itself.
      return { state: state === 'failed' ? 'rolled-back' : state, detail, percent: null, remainingMs: null };
    } catch (error) {
      if (!(error instanceof CloudError) || error.errorClass !== 'not-found') throw error;
      if (!JOB_NOT_FOUND.includes(error.code)) throw error;
      return { state: 'vanished', detail: `job ${job} is not known`, percent: null, remainingMs: null };
    }
  }

  /** An upgrade that we did not submit has no job id: the graph's status and version tell. */
  async function pollGraph(reader: CloudReader, id: string, target: GesTarget): Promise<Progress> {
    const state = await describe(reader, id);
    const seen = { detail: `graph status ${state.status}, version ${state.version}`, percent: null, remainingMs: null };
    switch (state.condition) {
      case 'upgrading':
      case 'rolling-back':
      case 'busy':
        return { state: 'running', ...seen };
      case 'stopped':
      case 'broken':
        return { state: 'failed', ...seen };
      case 'ready':
        // A failed upgrade goes back to the old version by itself.
        return { state: standing(state, target) === 'below' ? 'rolled-back' : 'succeeded', ...seen };
    }
  }

  return {
    cloud: 'huawei',
    service: dialect.service,
    family: 'ges',
    pace: PACE,
    id: {
      // Lower case only: the id is a part of the lease, and one resource must not have two.
      pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
      hint: 'the id of a graph is a UUID, such as 2b6a0d3f-1c52-4f0e-9d57-0a8f6f1f5d11',
    },
    target: gesTarget,
    label: ({ version, forceUpgrade }) => (forceUpgrade ? `${version} (forced)` : version),
    objection({ version, forceUpgrade, acknowledgeInterruption }) {
      if (forceUpgrade && acknowledgeInterruption !== true) {
        return (
          'forceUpgrade interrupts running tasks and may fail requests ' +
          '(add acknowledgeInterruption: true, or leave forceUpgrade out)'
        );
      }
      return compareDotted(version, OLDEST_UPGRADABLE) === 'below'
        ? `version ${version} cannot be a target: graphs are upgradable from ${OLDEST_UPGRADABLE} on (name a later one)`
        : null;
    },

    describe,
    async list(reader, page) {
      const query = { offset: String(page), limit: String(PAGE_SIZE) };
      const { items, total } = await reader.read({ path: at(reader.projectId), query }, dialect.graphs);
      const next = page + items.length;
      return { resources: items.map(stateOf), next: items.length > 0 && next < total ? next : null, total };
    },
    standing,
    async precheck(reader, id) {
      const { version } = await describe(reader, id);
      return [versionFinding(version)];
    },

    submission({ projectId }, id, target) {
      const { path, query, body } = dialect.upgrade(target);
      return { method: 'POST', path: at(projectId, id, ...path), ...(query === undefined ? {} : { query }), body };
    },
    accepted(response) {
      const job = dialect.accepted.safeParse(response.json);
      return job.success
        ? { kind: 'accepted', operationId: job.data }
        : { kind: 'unknown', reason: `HTTP ${response.status} without a job id` };
    },

    async operations(reader, id, since) {
      // Jobs are filed under the graph's name.
      const { name } = await describe(reader, id);
      const from = since - CLOCK_TOLERANCE_MS;
      const day = new Date(from).toISOString().slice(0, 10);
      const path = at(reader.projectId, 'jobs');
      const jobs = await allPages(reader, { path, query: dialect.jobsQuery(name, day) }, dialect.jobs);
      const now = reader.now();
      return jobs
        .filter((job) => (job.graph === name || job.graph === id) && /upgrade/i.test(job.name))
        .map((job) => recordOf(job, now))
        .filter(({ operation }) => Date.parse(operation.since) >= from)
        .sort((a, b) => Date.parse(b.operation.since) - Date.parse(a.operation.since));
    },
    poll: (reader, id, target, operation) =>
      operation.id === null ? pollGraph(reader, id, target) : pollJob(reader, id, operation.id),
    health: async (_reader, _id, { status }) => ({ healthy: status === '200', detail: `status ${status}` }),

    classify: classifyGes,
  };
}

/** The class of a GES or gateway error. */
function classifyGes(error: Pick<CloudError, 'status' | 'code' | 'message'>): ErrorClass {
  // The upgrade documents' sample gives 8011 to "graph [demo] is not found"; the error table, to failed exports.
  if (error.code === 'GES.8011' && /not found/i.test(error.message)) return 'not-found';
  return classifyBy([GES_ERRORS, APIGW_ERRORS], error);
}

function standing(state: ResourceState, { version }: GesTarget): ReturnType<typeof compareDotted> {
  return compareDotted(state.version, version);
}

function stateOf({ id, name, status, version, size, tags }: Graph): ResourceState {
  return {
    id,
    name,
    status,
    condition: CONDITIONS[status] ?? 'busy',
    version,
    ...(size === '' ? {} : { size }),
    tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
  };
}

function versionFinding(version: string): Finding {
  const check = 'graphVersion';
  if (compareDotted(version, OLDEST_UPGRADABLE) !== 'below') return { check, status: 'success', problems: [] };
  const message = `graph version ${version} takes no upgrade: it has to be ${OLDEST_UPGRADABLE} or later`;
  return { check, status: 'failed', problems: [{ type: 'graph', code: 'GraphTooOld', message }] };
}

/** An unknown word is followed on: it may be a new kind of waiting. */
function jobState(status: string): OperationRecord['state'] {
  return status === 'success' ? 'succeeded' : status === 'failed' ? 'failed' : 'running';
}

/** A job that waits may have no time yet: then it begins now. */
function recordOf(job: GesJob, now: number): OperationRecord {
  const began = Date.parse(/Z$|[+-]\d\d:?\d\d$/.test(job.beginTime) ? job.beginTime : `${job.beginTime}Z`);
  return {
    operation: { id: job.id, since: new Date(Number.isNaN(began) ? now : began).toISOString() },
    state: jobState(job.status),
    reason: `job ${job.status}${job.failReason === '' ? '' : `: ${job.failReason}`}`,
  };
}
