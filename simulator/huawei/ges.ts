/**
 * Huawei Cloud GES, both API versions over one inventory. The same graph shows in two spellings: `dataStoreVersion` and
 * `data_store_version`, `{errorCode, errorMessage}` and `{error_code, error_msg}`.
 *
 * What no document says, and is a guess here: an upgrade's `jobType` and `jobName`.
 */
import type { Json } from '../../workflows/contracts/json.js';
import type { ResourceSeed } from '../inventory.js';
import { endedAt, stageOf, type SimulatedOperation, type SimulatedResource, type Stage } from '../model.js';
import { fraction, pick, uuid } from '../random.js';
import type { Reply, Route, SimulatedRequest, SimulatedService } from '../service.js';
import type { World } from '../world.js';
import { compareDotted } from '../versions.js';
import { V1_SCENERY, V2_SCENERY } from './ges-scenery.js';

const FAMILY = 'ges';
/** Older graphs have no upgrade. */
const FIRST_UPGRADABLE = '1.0.3';
const DEFAULT_LIMIT = 10;

/** One API version: its spelling of names and errors. */
interface Dialect {
  /** Field names: `job_id` or `jobId`. */
  name(snake: string): string;
  error(code: string, message: string, status?: number): Reply;
  /** The job list has an envelope of its own in v1. */
  jobListError(code: string, message: string): Reply;
  /** Fields of a graph that play no part here. */
  readonly scenery: Readonly<Record<string, Json>>;
}

const v1: Dialect = {
  name: (snake) => snake.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
  error: (errorCode, errorMessage, status = 400) => ({ status, body: { errorMessage, errorCode } }),
  jobListError: (errCode, externalMessage) => ({ status: 400, body: { errCode, externalMessage } }),
  scenery: V1_SCENERY,
};

const v2: Dialect = {
  name: (snake) => snake,
  error: (error_code, error_msg, status = 400) => ({ status, body: { error_msg, error_code } }),
  jobListError: (code, message) => v2.error(code, message),
  scenery: V2_SCENERY,
};

/** Rewrites the keys of a flat object; what the value holds is already spelt. */
function spell(dialect: Dialect, fields: Readonly<Record<string, Json>>): Record<string, Json> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [dialect.name(name), value]));
}

export const ges: SimulatedService = {
  family: FAMILY,
  cloud: 'huawei',
  routes: [
    ...dialectRoutes(v1, '/v1.0/{owner}/graphs', { path: '/action', query: { action_id: 'upgrade' } }),
    ...dialectRoutes(v2, '/v2/{owner}/graphs', { path: '/upgrade' }),
  ],
  describe: (resource, world) => ({ status: statusOf(resource, world), version: versionOf(resource, world) }),
};

function dialectRoutes(
  dialect: Dialect,
  graphs: string,
  upgrade: { readonly path: string; readonly query?: Readonly<Record<string, string>> },
): Route[] {
  return [
    { method: 'GET', path: graphs, call: 'list', handle: (request, world) => listGraphs(dialect, request, world) },
    {
      method: 'GET',
      path: `${graphs}/jobs`,
      call: 'jobs',
      handle: (request, world) => listJobs(dialect, request, world),
    },
    {
      method: 'GET',
      path: `${graphs}/{id}`,
      call: 'read',
      handle: (request, world) => showGraph(dialect, request, world),
    },
    {
      method: 'GET',
      path: `${graphs}/{id}/jobs/{job}/status`,
      call: 'job',
      handle: (request, world) => showJob(dialect, request, world),
    },
    {
      method: 'POST',
      path: `${graphs}/{id}${upgrade.path}`,
      ...(upgrade.query === undefined ? {} : { query: upgrade.query }),
      call: 'submit',
      answerId: dialect.name('job_id'),
      fields: [dialect.name('upgrade_version'), dialect.name('force_upgrade')],
      handle: (request, world) => submit(dialect, request, world),
    },
  ];
}

const STATUS: Record<Stage, string> = {
  pending: '201',
  running: '201',
  'rolling-back': '203',
  succeeded: '200',
  'rolled-back': '200',
  'succeeded-in-name-only': '200',
  broken: '300',
};

/** A digit string: 200 running, 201 upgrading, 203 rolling back, 300 faulty; others only where the inventory says so. */
function statusOf(graph: SimulatedResource, world: World): string {
  const last = world.operations(graph).at(-1);
  if (last === undefined) return graph.status;
  const status = STATUS[stageOf(last, world.now)];
  return status === '200' ? graph.status : status;
}

function versionOf(graph: SimulatedResource, world: World): string {
  return world.versions(graph)['graph'] ?? '';
}

function showGraph(dialect: Dialect, request: SimulatedRequest, world: World): Reply {
  const graph = world.find(request.params['id'] ?? '');
  return graph === null
    ? notFound(dialect, request)
    : { status: 200, body: { graph: graphBody(dialect, graph, world) } };
}

function listGraphs(dialect: Dialect, request: SimulatedRequest, world: World): Reply {
  const page = pageOf(request);
  if (page === null) return dialect.error('GES.0001', 'offset and limit must be non-negative integers');
  const graphs = world.resources();
  return {
    status: 200,
    body: {
      [dialect.name('graph_count')]: graphs.length,
      graphs: page(graphs).map((graph) => graphBody(dialect, graph, world)),
    },
  };
}

function graphBody(dialect: Dialect, graph: SimulatedResource, world: World): Json {
  const status = statusOf(graph, world);
  return {
    ...dialect.scenery,
    ...spell(dialect, {
      id: graph.id,
      name: graph.name,
      created_by: 'ops',
      is_multi_az: 'false',
      region_code: graph.region,
      az_code: `${graph.region}a`,
      status,
      // "Only returned when the status is 100."
      ...(status === '100' ? { action_progress: '40' } : {}),
      graph_size_type_index: '1',
      data_store_version: versionOf(graph, world),
      arch: 'x86_64',
      encrypted: false,
      created: '2025-03-26T09:24:43',
      updated: utc(world.operations(graph).at(-1)?.acceptedAt ?? Date.UTC(2026, 1, 3, 8, 0, 0)),
    }),
    tags: Object.entries(graph.tags).map(([key, value]) => ({ key, value })),
  };
}

function submit(dialect: Dialect, request: SimulatedRequest, world: World): Reply {
  const id = request.params['id'] ?? '';
  const refuse = (code: string, message: string): Reply => {
    world.refuse(id, code);
    return dialect.error(code, message);
  };
  const graph = world.find(id);
  if (graph === null) return refuse('GES.7000', `graph [${id}] is not found`);
  const target = request.body[dialect.name('upgrade_version')];
  const force = request.body[dialect.name('force_upgrade')] ?? false;
  if (typeof target !== 'string' || !/^\d+(\.\d+)+$/.test(target) || typeof force !== 'boolean') {
    return refuse('GES.0001', `${dialect.name('upgrade_version')} or ${dialect.name('force_upgrade')} is invalid`);
  }
  const busy = whyNot(statusOf(graph, world));
  if (busy !== null) return refuse(busy, `graph [${graph.name}] cannot be upgraded in its current status`);
  const current = versionOf(graph, world);
  if (compareDotted(current, FIRST_UPGRADABLE) < 0) return refuse('GES.7009', `version ${current} cannot be upgraded`);
  if (compareDotted(target, current) <= 0) {
    return refuse('GES.7036', `the target version ${target} is not later than the current version ${current}`);
  }
  if (force && graph.facts['runningTasks'] !== true) world.violation('forced-without-cause', id);
  const job = world.accept(graph, { graph: target }, { id: newJobId(world) });
  return { status: 200, body: { [dialect.name('job_id')]: job.id } };
}

/** The error for a status that takes no upgrade; `null` for one that does. */
function whyNot(status: string): string | null {
  switch (status) {
    case '200':
      return null;
    case '100':
      return 'GES.7042';
    case '400':
      return 'GES.7054';
    case '900':
    case '901':
      return 'GES.7003';
    case '903':
      return 'GES.7002';
    default:
      return 'GES.7001';
  }
}

/** Like the documents' sample, `f99f60f1-bba6-4cde-bd1a-ff4bdd1fd500000168232`: longer than a UUID. */
function newJobId(world: World): string {
  const number = Number.parseInt(world.digest('job', world.now).slice(0, 6), 16) % 1_000_000;
  return world.uuid('job') + number.toString().padStart(9, '0');
}

function showJob(dialect: Dialect, request: SimulatedRequest, world: World): Reply {
  const graph = world.find(request.params['id'] ?? '');
  if (graph === null) return notFound(dialect, request);
  const { job: id } = request.params;
  const job = world.records().find((record) => record.id === id && record.resource === graph.id);
  if (job === undefined) return dialect.error('GES.7007', `job [${id}] is not found`);
  return { status: 200, body: jobBody(dialect, job, graph.name, world) };
}

/** The filter's words for job states: it says `waiting` where the job says `pending`. */
const FILTERS: Record<string, string> = {
  waiting: 'pending',
  running: 'running',
  success: 'success',
  failed: 'failed',
};

function listJobs(dialect: Dialect, request: SimulatedRequest, world: World): Reply {
  const page = pageOf(request);
  if (page === null) return dialect.jobListError('GES.0001', 'offset and limit must be non-negative integers');
  const { status, graph_name: graphName } = request.query;
  if (status !== undefined && !(status in FILTERS)) return dialect.jobListError('GES.0001', `unknown status ${status}`);
  const from = dayOf(request.query[dialect.name('start_time')]);
  const to = dayOf(request.query[dialect.name('end_time')]);
  if (Number.isNaN(from) || Number.isNaN(to)) return dialect.jobListError('GES.0001', 'dates are written yyyy-MM-dd');

  const names = new Map(world.resources().map((graph) => [graph.id, graph.name]));
  const jobs = world
    .records()
    .filter((job) => from === undefined || job.acceptedAt >= from)
    .filter((job) => to === undefined || job.acceptedAt < to + 24 * 3_600_000)
    .filter((job) => graphName === undefined || names.get(job.resource) === graphName)
    .filter((job) => status === undefined || jobStatus(stageOf(job, world.now)) === FILTERS[status]);
  return {
    status: 200,
    body: {
      [dialect.name('job_count')]: jobs.length,
      [dialect.name('job_list')]: page(jobs).map((job) => jobBody(dialect, job, names.get(job.resource) ?? '', world)),
    },
  };
}

/** The first instant of a day; `NaN` for what is none. */
function dayOf(date: string | undefined): number | undefined {
  if (date === undefined) return undefined;
  return /^\d{4}-\d\d-\d\d$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN;
}

function jobStatus(stage: Stage): string {
  switch (stage) {
    case 'pending':
      return 'pending';
    case 'running':
    case 'rolling-back':
      return 'running';
    case 'succeeded':
    case 'succeeded-in-name-only':
    case 'broken':
      return 'success';
    case 'rolled-back':
      return 'failed';
  }
}

/** A job names its graph by name, never by id; `job_progress` is "reserved, unused". */
function jobBody(
  dialect: Dialect,
  job: SimulatedOperation,
  graphName: string,
  world: World,
): Readonly<Record<string, Json>> {
  const status = jobStatus(stageOf(job, world.now));
  const end = endedAt(job, world.now);
  return spell(dialect, {
    job_id: job.id,
    status,
    job_type: 'UpgradeGraph',
    job_name: 'UpgradeGraph',
    related_graph: graphName,
    begin_time: utc(job.acceptedAt),
    ...(end === null ? {} : { end_time: utc(end) }),
    ...(status === 'failed' ? { fail_reason: 'The graph upgrade failed and was rolled back.' } : {}),
    job_progress: 0,
  });
}

function notFound(dialect: Dialect, request: SimulatedRequest): Reply {
  return dialect.error('GES.7000', `graph [${request.params['id']}] is not found`);
}

/** UTC without a zone, whole seconds: `2026-11-21T05:26:00` */
function utc(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

/** Cuts the page that the request asks for; `null` when it asks for none. */
function pageOf(request: SimulatedRequest): (<T>(all: readonly T[]) => T[]) | null {
  const { offset = '0', limit = String(DEFAULT_LIMIT) } = request.query;
  if (!/^\d{1,9}$/.test(offset) || !/^\d{1,9}$/.test(limit)) return null;
  return (all) => all.slice(Number(offset), Number(offset) + Number(limit));
}

/** One graph of a seeded fleet. */
export function seedGraph(given: ResourceSeed): SimulatedResource {
  const { seed, index, owner, region, durationMs, rollbackMs, fate } = given;
  const of = (what: string): [string, string, number, string] => [seed, FAMILY, index, what];
  const purpose = pick(['fraud', 'social', 'supply', 'identity', 'knowledge', 'routing'], ...of('name'));
  return {
    family: FAMILY,
    owner,
    region,
    id: uuid(...of('id')),
    name: `${purpose}_graph_${String(index + 1).padStart(2, '0')}`,
    tags: { env: index % 3 === 0 ? 'canary' : 'prod', team: pick(['risk', 'data', 'search'], ...of('team')) },
    versions: { graph: pick(['2.2.23', '2.3.10', '2.3.17', '2.4.1'], ...of('version')) },
    status: '200',
    durationMs,
    rollbackMs,
    fate,
    facts: { runningTasks: fraction(...of('tasks')) < 0.2 },
  };
}
