/**
 * Huawei Cloud CSE: microservice engines. An upgrade is a job that rolls over two instances in nested tasks; it tells of
 * no progress, and where it fails it stays: the engine is `UpgradeFailed` on its old version until somebody retries.
 *
 * What no document says, and is a guess here: the tasks' names, the error codes of an upgrade that is refused,
 * whether a retry is a job of its own (`facts.retryKeepsJob` makes it the same one), and what a job's `context` holds
 * (`facts.jobTellsVersion` has it name the version).
 */
import type { Json } from '../../workflows/contracts/json.js';
import type { ResourceSeed } from '../inventory.js';
import { endedAt, isRunning, stageOf, type SimulatedOperation, type SimulatedResource, type Stage } from '../model.js';
import { digest, pick, uuid } from '../random.js';
import type { Reply, Route, SimulatedRequest, SimulatedService } from '../service.js';
import type { World } from '../world.js';
import { compareDotted } from '../versions.js';

const FAMILY = 'cse';
const DEFAULT_LIMIT = 10;
const LONGEST_VERSION = 24;
const ENGINES = '/v2/{owner}/enginemgr/engines';
const ENGINE = `${ENGINES}/{id}`;

const NOT_FOUND = 'SVCSTG.00501116';
const BAD_JOB_ID = 'SVCSTG.00501152';
const NO_JOB = 'SVCSTG.00501153';
/** Documented for deleting: "the engine in the current state cannot be …". */
const WRONG_STATE = 'SVCSTG.00501117';
const BAD_REQUEST = 'SVCSTG.00501400';

const FLAVOR = 'cse.s1.small2';
const ENTRYPOINT: Json = {
  masterEntrypoint: 'https://192.168.0.10:30100',
  masterEntrypointIpv6: '',
  slaveEntrypoint: 'https://192.168.0.12:30100',
  slaveEntrypointIpv6: '',
  type: 'http',
};
/** Where its clients reach an engine: no part of an upgrade. */
const ADDRESSES: Readonly<Record<string, Json>> = {
  externalAddress: '192.168.0.10',
  serviceEndpoint: { serviceCenter: ENTRYPOINT },
  publicAddress: '',
  publicServiceEndpoint: { serviceCenter: ENTRYPOINT },
};

const routes: readonly Route[] = [
  { method: 'GET', path: ENGINES, call: 'list', handle: listEngines },
  { method: 'GET', path: ENGINE, call: 'read', handle: showEngine },
  { method: 'GET', path: `${ENGINE}/jobs`, call: 'jobs', handle: listJobs },
  { method: 'GET', path: `${ENGINE}/jobs/{job}`, call: 'job', handle: showJob },
  {
    method: 'PUT',
    path: `${ENGINE}/upgrade`,
    call: 'submit',
    answerId: 'jobId',
    fields: ['version'],
    handle: (request, world) => submit(request, world, upgrade),
  },
  {
    method: 'PUT',
    path: `${ENGINE}/actions`,
    call: 'submit',
    answerId: 'jobId',
    fields: ['action'],
    handle: (request, world) => submit(request, world, retry),
  },
];

export const cse: SimulatedService = {
  family: FAMILY,
  cloud: 'huawei',
  routes,
  describe: (resource, world) => ({ status: statusOf(resource, world), version: versionOf(resource, world) }),
};

const STATUS: Record<Stage, string> = {
  pending: 'Upgrading',
  running: 'Upgrading',
  // No such thing here: with `rollbackMs` it only takes longer to fail.
  'rolling-back': 'Upgrading',
  succeeded: 'Available',
  'rolled-back': 'UpgradeFailed',
  'succeeded-in-name-only': 'Available',
  broken: 'Unavailable',
};

function statusOf(engine: SimulatedResource, world: World): string {
  const last = world.operations(engine).at(-1);
  if (last === undefined) return engine.status;
  return STATUS[stageOf(last, world.now)];
}

function versionOf(engine: SimulatedResource, world: World): string {
  return world.versions(engine)['engine'] ?? '';
}

function error({ code, message, detail }: Refusal): Reply {
  return { status: 400, body: { error_code: code, error_msg: message, detail } };
}

function noEngine(id: string): Refusal {
  return { code: NOT_FOUND, message: 'Failed to find the engine instance.', detail: `engine ${id}` };
}

function showEngine(request: SimulatedRequest, world: World): Reply {
  const engine = world.find(request.params['id'] ?? '');
  if (engine === null) return error(noEngine(request.params['id'] ?? ''));
  return {
    status: 200,
    body: {
      ...engineFields(engine, world),
      beDefault: false,
      createUser: 'ops',
      projectId: engine.owner,
      vmIds: [],
      tags: Object.entries(engine.tags).map(([key, value]) => ({ key, value })),
      externalEntrypoint: ADDRESSES,
      cceSpec: {
        id: 1,
        engineId: engine.id,
        specType: 'CSE2',
        cluster: '',
        clusterId: '',
        clusterNodes: {
          clusterNodes: [{ id: 'node-1', az: `${engine.region}a`, ip: '192.168.0.11', label: '', status: 'Available' }],
        },
        flavor: FLAVOR,
        region: engine.region,
        version: versionOf(engine, world),
        extendParam: '',
      },
    },
  };
}

/** An engine as the list shows it: without tags. */
function listedEngine(engine: SimulatedResource, world: World): Record<string, Json> {
  return {
    ...engineFields(engine, world),
    ...ADDRESSES,
    totalInstance: 100,
    usedInstance: 12,
    availableInstance: 88,
    dueTo: 0,
  };
}

/** What the list and a read of its own both tell. */
function engineFields(engine: SimulatedResource, world: World): Record<string, Json> {
  const status = statusOf(engine, world);
  const last = world.operations(engine).at(-1);
  return {
    id: engine.id,
    name: engine.name,
    enterpriseProjectId: enterpriseProjectOf(engine),
    enterpriseProjectName: enterpriseProjectOf(engine) === '0' ? 'default' : 'other',
    type: fact(engine, 'type', 'CSE'),
    description: '',
    flavor: FLAVOR,
    payment: '1',
    authType: 'NONE',
    status,
    version: versionOf(engine, world),
    latestVersion: fact(engine, 'latestVersion', ''),
    createTime: Date.UTC(2025, 2, 26, 9, 24, 43),
    latestJobId: last === undefined ? 0 : jobNumber(last),
    engineAdditionalActions: status === 'UpgradeFailed' ? ['Retry'] : [],
    specType: 'CSE2',
    reference: {
      vpc: 'vpc-default',
      azList: [`${engine.region}a`, `${engine.region}b`],
      networkId: engine.id,
      subnetCidr: '192.168.0.0/24',
      subnetCidrV6: '',
      subnetGateway: '192.168.0.1',
      publicIpId: '',
      serviceLimit: '200',
      instanceLimit: '100',
      inputs: {},
    },
  };
}

function listEngines(request: SimulatedRequest, world: World): Reply {
  const type = request.query['type']?.toUpperCase() ?? 'ALL';
  const engines = world
    .resources()
    .filter((engine) => type === 'ALL' || fact(engine, 'type', 'CSE').toUpperCase() === type);
  return page(request, engines, (engine) => listedEngine(engine, world));
}

/** What lies beyond the end is the last page once more: with one engine, offsets 0 and 1 both give it. */
function page<T>(request: SimulatedRequest, all: readonly T[], show: (one: T) => Json): Reply {
  const { offset = '0', limit = String(DEFAULT_LIMIT) } = request.query;
  if (!/^\d{1,9}$/.test(offset) || !/^[1-9]\d{0,3}$/.test(limit)) {
    return error({ code: BAD_REQUEST, message: 'Invalid paging.', detail: `offset ${offset}, limit ${limit}` });
  }
  const from = Number(offset) < all.length ? Number(offset) : Math.max(0, all.length - Number(limit));
  return { status: 200, body: { total: all.length, data: all.slice(from, from + Number(limit)).map(show) } };
}

/** Both submits: the headers that the documents ask for, the engine, its enterprise project; then what `judge` says. */
function submit(
  request: SimulatedRequest,
  world: World,
  judge: (request: SimulatedRequest, engine: SimulatedResource, world: World) => Accepted | Refusal,
): Reply {
  const id = request.params['id'] ?? '';
  const refuse = ({ code, message, detail }: Refusal): Reply => {
    world.refuse(id, code);
    return error({ code, message, detail });
  };
  inspectHeaders(request, world);
  const engine = world.find(id);
  const enterpriseProject = request.headers['x-enterprise-project-id'] ?? '0';
  if (engine === null || enterpriseProject !== enterpriseProjectOf(engine)) return refuse(noEngine(id));
  const verdict = judge(request, engine, world);
  if ('code' in verdict) return refuse(verdict);
  const job = world.accept(engine, verdict.to, { id: verdict.id });
  return { status: 200, body: { id: engine.id, name: engine.name, jobId: jobNumber(job) } };
}

interface Accepted {
  readonly to: Readonly<Record<string, string>>;
  readonly id: string;
}

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly detail: string;
}

/** "Set it to application/json;charset=UTF-8" and "to application/json"; the vendor's own clients leave out the charset. */
function inspectHeaders({ headers }: SimulatedRequest, world: World): void {
  const { 'content-type': contentType = '', accept = '' } = headers;
  if (!/^application\/json(; ?charset=utf-8)?$/i.test(contentType)) world.violation('wrong-content-type', contentType);
  if (!/application\/json|\*\/\*/i.test(accept)) world.violation('wrong-accept', accept);
}

function upgrade({ body }: SimulatedRequest, engine: SimulatedResource, world: World): Accepted | Refusal {
  const { version } = body;
  if (typeof version !== 'string' || version.length > LONGEST_VERSION || !/^\d+(\.\d+)+$/.test(version)) {
    return { code: BAD_REQUEST, message: 'Invalid version.', detail: 'version' };
  }
  const status = statusOf(engine, world);
  if (status !== 'Available') return wrongState('upgraded', status);
  const current = versionOf(engine, world);
  if (compareDotted(version, current) <= 0) {
    return { code: BAD_REQUEST, message: 'Invalid version.', detail: `${version} is not later than ${current}` };
  }
  return { to: { engine: version }, id: world.uuid('job') };
}

/** Runs the upgrade that failed once more, to the version that it had. */
function retry({ body }: SimulatedRequest, engine: SimulatedResource, world: World): Accepted | Refusal {
  if (body['action'] !== 'Retry') return { code: BAD_REQUEST, message: 'Invalid action.', detail: 'action' };
  const status = statusOf(engine, world);
  if (status !== 'UpgradeFailed') return wrongState('retried', status);
  const failed = world.operations(engine).at(-1);
  if (failed !== undefined) {
    return { to: failed.to, id: engine.facts['retryKeepsJob'] === true ? failed.id : world.uuid('job') };
  }
  return { to: { engine: fact(engine, 'latestVersion', '') }, id: world.uuid('job') };
}

function wrongState(what: string, status: string): Refusal {
  return {
    code: WRONG_STATE,
    message: `The engine in the current state cannot be ${what}.`,
    detail: `status ${status}`,
  };
}

function enterpriseProjectOf(engine: SimulatedResource): string {
  return fact(engine, 'enterpriseProject', '0');
}

function fact({ facts }: SimulatedResource, name: string, otherwise: string): string {
  const value = facts[name];
  return typeof value === 'string' ? value : otherwise;
}

/** Ids of jobs are integers of 32 bits. */
function jobNumber({ id }: SimulatedOperation): number {
  return Number.parseInt(id.slice(0, 7), 16) + 1;
}

/** The engine's jobs, newest first; of a retried one that kept its id, its last run only. */
function jobsOf(engine: SimulatedResource, world: World): SimulatedOperation[] {
  const runs = world.records().filter(({ resource }) => resource === engine.id);
  return runs.filter((run, index) => runs.findIndex(({ id }) => id === run.id) === index);
}

function showJob(request: SimulatedRequest, world: World): Reply {
  const { id = '', job: number = '' } = request.params;
  const engine = world.find(id);
  if (engine === null) return error(noEngine(id));
  const detail = `job ${number}`;
  if (!/^\d{1,10}$/.test(number)) return error({ code: BAD_JOB_ID, message: 'Incorrect task ID format.', detail });
  const job = jobsOf(engine, world).find((one) => jobNumber(one) === Number(number));
  if (job === undefined) return error({ code: NO_JOB, message: 'No task found.', detail });
  return { status: 200, body: { ...jobBody(job, engine, world), tasks: phasesOf(job, engine, world) } };
}

/** The documents do not say how `from-time` and `to-time` are written; nothing is filtered by them here. */
function listJobs(request: SimulatedRequest, world: World): Reply {
  const engine = world.find(request.params['id'] ?? '');
  if (engine === null) return error(noEngine(request.params['id'] ?? ''));
  return page(request, jobsOf(engine, world), (job) => jobBody(job, engine, world));
}

function jobBody(job: SimulatedOperation, engine: SimulatedResource, world: World): Record<string, Json> {
  const isOn = isRunning(stageOf(job, world.now));
  return {
    id: jobNumber(job),
    engineId: engine.id,
    type: 'Upgrade',
    description: `upgrade to ${job.to['engine']}`,
    status: jobStatus(job, engine, world),
    scheduling: isOn ? 1 : 0,
    createUser: 'ops',
    startTime: job.acceptedAt,
    endTime: endedAt(job, world.now) ?? 0,
    context:
      engine.facts['jobTellsVersion'] === true ? JSON.stringify({ targetVersion: job.to['engine'] ?? '' }) : '{}',
  };
}

function jobStatus(job: SimulatedOperation, engine: SimulatedResource, world: World): string {
  switch (stageOf(job, world.now)) {
    case 'pending':
      return 'Init';
    case 'running':
    case 'rolling-back':
      return 'Executing';
    case 'succeeded':
    case 'succeeded-in-name-only':
    case 'broken':
      return 'Finished';
    case 'rolled-back':
      return engine.facts['failsBy'] === 'Timeout' ? 'Timeout' : 'Error';
  }
}

/** What an upgrade does, in order: one instance, then the other. */
const PHASES: readonly (readonly [string, readonly string[]])[] = [
  ['PreCheck', ['check-engine']],
  ['UpgradeInstance1', ['drain', 'upgrade', 'rejoin']],
  ['UpgradeInstance2', ['drain', 'upgrade', 'rejoin']],
  ['PostCheck', ['check-engine']],
];
const STEPS = PHASES.flatMap(([, steps]) => steps).length;
/** Where an upgrade fails that fails, or hangs that hangs: at the second instance. */
const FAILING_STEP = 5;

function phasesOf(job: SimulatedOperation, engine: SimulatedResource, world: World): Json[] {
  const status = jobStatus(job, engine, world);
  const goesWell = job.fate !== 'rolls-back' && job.fate !== 'stuck';
  const share = Math.floor(((world.now - job.acceptedAt) / job.durationMs) * STEPS);
  const current = Math.min(share, goesWell ? STEPS - 1 : FAILING_STEP);
  const stepStatus = (index: number): string => {
    if (status === 'Finished' || (status !== 'Init' && index < current)) return 'Finished';
    return index === current ? status : 'Init';
  };
  let first = 0;
  return PHASES.map(([taskName, names], order) => {
    const from = first;
    first += names.length;
    const statuses = names.map((_, index) => stepStatus(from + index));
    const bad = statuses.find((one) => one === 'Error' || one === 'Timeout');
    const times = { startTime: job.acceptedAt, endTime: endedAt(job, world.now) ?? 0 };
    return {
      taskName,
      taskNames: [...names],
      status: bad ?? (new Set(statuses).size === 1 ? (statuses[0] ?? '') : 'Executing'),
      ...times,
      taskExecutorBrief: { duration: Math.round(job.durationMs / 1000), description: taskName },
      tasks: names.map((name, index) => ({
        jobId: jobNumber(job),
        id: from + index + 1,
        type: 'Upgrade',
        assigned: '',
        taskName: name,
        engineName: engine.name,
        taskOrder: order + 1,
        status: statuses[index] ?? '',
        ...times,
        createTime: job.acceptedAt,
        updateTime: world.now,
        timeout: 1800,
        log: statuses[index] === bad && bad !== undefined ? `instance ${order} failed to become ready` : '',
        output: '',
        taskExecutorBrief: { duration: 0, description: name },
      })),
    };
  });
}

/** One engine of a seeded fleet. */
export function seedEngine(given: ResourceSeed): SimulatedResource {
  const { seed, index, owner, region, durationMs, fate } = given;
  const of = (what: string): [string, string, number, string] => [seed, FAMILY, index, what];
  const purpose = pick(['orders', 'billing', 'catalog', 'sessions', 'search'], ...of('name'));
  return {
    family: FAMILY,
    owner,
    region,
    id: uuid(...of('id')),
    name: `cse-${purpose}-${digest(...of('suffix')).slice(0, 6)}`,
    tags: { env: index % 3 === 0 ? 'canary' : 'prod', team: pick(['shop', 'platform'], ...of('team')) },
    versions: { engine: pick(['2.3.4', '2.3.9', '2.4.0'], ...of('version')) },
    status: 'Available',
    durationMs,
    // A failed upgrade does not go back.
    rollbackMs: 0,
    fate,
    facts: { latestVersion: '2.4.2', type: 'CSE' },
  };
}
