/**
 * Alibaba Cloud Elasticsearch, 2017-06-13. No job id anywhere: an upgrade shows as the cluster's status, its version
 * and its action records.
 *
 * What no document says, and is a guess here: the words of `stateType` and `actionName`; that a submit which is no dry
 * run validates too, answers in the same shape, and starts nothing when a check fails; that the RequestId of one that
 * starts is its record's `requestId`; the code that refuses a version which is not on offer. That a client token gives the first result again, and
 * `IdempotentParameterMismatch` with other parameters, is documented for ECS.
 */
import type { Json } from '../../workflows/contracts/json.js';
import type { ResourceSeed } from '../inventory.js';
import {
  endedAt,
  isRunning,
  percentOf,
  stageOf,
  type SimulatedOperation,
  type SimulatedResource,
  type Stage,
} from '../model.js';
import { digest, pick } from '../random.js';
import type { Reply, SimulatedRequest, SimulatedService } from '../service.js';
import type { World } from '../world.js';
import { compareDotted } from '../versions.js';
import { CLUSTER_SCENERY, LISTED_SCENERY, RECORD_SCENERY } from './elasticsearch-scenery.js';

const FAMILY = 'elasticsearch';
const ACTION = 'UpgradeEngineVersion';
const CLIENT_TOKEN = /^[\x20-\x7e]{1,64}$/;
const MAX_PAGE = 100;

export const elasticsearch: SimulatedService = {
  family: FAMILY,
  cloud: 'alibaba',
  routes: [
    { method: 'GET', path: '/openapi/instances', action: 'ListInstance', call: 'list', handle: list },
    { method: 'GET', path: '/openapi/instances/{id}', action: 'DescribeInstance', call: 'read', handle: one(read) },
    {
      method: 'GET',
      path: '/openapi/instances/{id}/upgradeInfo',
      action: 'UpgradeInfo',
      call: 'offer',
      handle: one(offer),
    },
    {
      method: 'GET',
      path: '/openapi/instances/{id}/action-records',
      action: 'ListActionRecords',
      call: 'records',
      handle: one(records),
    },
    {
      method: 'GET',
      path: '/openapi/instances/{id}/elasticsearch-health',
      action: 'DescribeElasticsearchHealth',
      call: 'health',
      handle: one((cluster, _, world) => ok(world, health(cluster, world))),
    },
    {
      method: 'POST',
      path: '/openapi/instances/{id}/actions/upgrade-version',
      action: ACTION,
      call: (request) => (isDryRun(request) ? 'dry-run' : 'submit'),
      answerId: 'RequestId',
      fields: ['version', 'type', 'plugins'],
      handle: upgrade,
    },
  ],
  describe: (resource, world) => ({
    status: statusOf(resource, world),
    version: versionsOf(resource, world).esVersion,
  }),
};

/** Alibaba's Python client writes `True`. */
function isDryRun({ query }: SimulatedRequest): boolean {
  return query['dryRun']?.toLowerCase() === 'true';
}

function ok(world: World, result: Json): Reply {
  return { status: 200, body: { Result: result, RequestId: world.requestId } };
}

function failure(world: World, code: string, message: string): Reply {
  return { status: 400, body: { RequestId: world.requestId, Code: code, Message: message } };
}

const INSTANCE_NOT_FOUND = 'The instanceId provided does not exist.';

/** Finds the cluster first: an unknown one is `InstanceNotFound`, HTTP 400. */
function one(
  handle: (cluster: SimulatedResource, request: SimulatedRequest, world: World) => Reply,
): (request: SimulatedRequest, world: World) => Reply {
  return (request, world) => {
    const cluster = world.find(request.params['id'] ?? '');
    return cluster === null ? failure(world, 'InstanceNotFound', INSTANCE_NOT_FOUND) : handle(cluster, request, world);
  };
}

function statusOf(cluster: SimulatedResource, world: World): string {
  return world.running(cluster) === null ? cluster.status : 'activating';
}

function versionsOf(cluster: SimulatedResource, world: World): { engine: string; esVersion: string; apack: string } {
  const { engine = '', apack = '' } = world.versions(cluster);
  return { engine, esVersion: `${engine}_with_X-Pack`, apack };
}

function health(cluster: SimulatedResource, world: World): string {
  const last = world.operations(cluster).at(-1);
  const stage = last === undefined ? null : stageOf(last, world.now);
  if (stage === 'broken') return 'RED';
  if (stage !== null && isRunning(stage)) return 'YELLOW';
  return checksOf(cluster).has('ClusterStatusNotHealth') ? 'RED' : 'GREEN';
}

function read(cluster: SimulatedResource, _: SimulatedRequest, world: World): Reply {
  return ok(world, { ...CLUSTER_SCENERY, ...clusterFields(cluster, world) });
}

function clusterFields(cluster: SimulatedResource, world: World): Readonly<Record<string, Json>> {
  const last = world.operations(cluster).at(-1);
  return {
    instanceId: cluster.id,
    description: cluster.name,
    status: statusOf(cluster, world),
    esVersion: versionsOf(cluster, world).esVersion,
    updatedAt: new Date(last?.acceptedAt ?? Date.UTC(2026, 1, 3, 8, 0, 0)).toISOString(),
    tags: Object.entries(cluster.tags).map(([tagKey, tagValue]) => ({ tagKey, tagValue })),
  };
}

function list(request: SimulatedRequest, world: World): Reply {
  const { page = '1', size = '10', status, description, instanceId, esVersion } = request.query;
  if (!/^[1-9]\d{0,8}$/.test(page) || !/^[1-9]\d{0,2}$/.test(size) || Number(size) > MAX_PAGE) {
    return failure(world, 'InvalidParameter', 'page begins at 1, size is at most 100.');
  }
  const clusters = world
    .resources()
    .filter((cluster) => status === undefined || statusOf(cluster, world) === status)
    .filter((cluster) => description === undefined || cluster.name.includes(description))
    .filter((cluster) => instanceId === undefined || cluster.id.includes(instanceId))
    .filter((cluster) => esVersion === undefined || versionsOf(cluster, world).esVersion === esVersion);
  const first = (Number(page) - 1) * Number(size);
  return {
    status: 200,
    body: {
      Headers: { 'X-Total-Count': clusters.length },
      Result: clusters
        .slice(first, first + Number(size))
        .map((cluster) => ({ ...LISTED_SCENERY, ...clusterFields(cluster, world) })),
      RequestId: world.requestId,
    },
  };
}

/** What each component may go to: one version, or the one that it has. */
function offersOf(cluster: SimulatedResource, world: World): Record<Wanted['component'], string> {
  const { engine, apack } = versionsOf(cluster, world);
  const higher = (offered: string | null, current: string): string =>
    offered !== null && compareDotted(offered, current) > 0 ? offered : current;
  return {
    engine: higher(text(cluster.facts['offeredEngine']), engine),
    apack: higher(text(cluster.facts['offeredApack']), apack),
  };
}

function offer(cluster: SimulatedResource, _: SimulatedRequest, world: World): Reply {
  const { engine, apack } = versionsOf(cluster, world);
  const { engine: upgradeEsVersion, apack: upgradeApackVersion } = offersOf(cluster, world);
  return ok(world, {
    UpgradeInfo: {
      Upgrade: upgradeEsVersion !== engine || upgradeApackVersion !== apack,
      CurRepoVersion: '1.7.3',
      UpdateRepoVersion: '1.7.3',
      curApackVersion: apack,
      upgradeApackVersion,
      curEsVersion: engine,
      upgradeEsVersion,
    },
  });
}

function text(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

/** Newest first; `process` is a percentage as text, times are milliseconds since the epoch. */
function records(cluster: SimulatedResource, request: SimulatedRequest, world: World): Reply {
  const { page = '1', size = '10', requestId, actionNames, startTime, endTime } = request.query;
  const [number, count] = [Number(page), Number(size)];
  if (!(Number.isInteger(number) && number >= 1 && Number.isInteger(count) && count >= 1 && count <= MAX_PAGE)) {
    return failure(world, 'InvalidParameter', 'page begins at 1, size is at most 100.');
  }
  const found = world
    .records()
    .filter((operation) => operation.resource === cluster.id)
    .filter((operation) => requestId === undefined || operation.requestId === requestId)
    .filter(() => actionNames === undefined || actionNames.includes(ACTION))
    .filter((operation) => startTime === undefined || operation.acceptedAt >= Number(startTime))
    .filter((operation) => endTime === undefined || operation.acceptedAt <= Number(endTime));
  return ok(
    world,
    found.slice((number - 1) * count, number * count).map((operation) => recordBody(operation, world)),
  );
}

function recordBody(operation: SimulatedOperation, world: World): Json {
  const stateType = stateOf(stageOf(operation, world.now));
  const end = endedAt(operation, world.now);
  const process = `${percentOf(operation, world.now)}%`;
  const progress = {
    stateType,
    process,
    startTime: operation.acceptedAt,
    ...(end === null ? {} : { endTime: end }),
  };
  const step = {
    ...progress,
    nodeCount: 3,
    completeNodeCount: Math.floor((percentOf(operation, world.now) * 3) / 100),
    latencyMills: (end ?? world.now) - operation.acceptedAt,
    ...(stateType === 'failed'
      ? { exception: 'Node upgrade failed; the cluster was restored to its previous version.' }
      : {}),
  };
  return {
    ...RECORD_SCENERY,
    ...progress,
    actionName: ACTION,
    instanceId: operation.resource,
    requestId: operation.requestId,
    statusInfo: [{ ...step, subState: 'upgradeNodes', subStatusInfo: [{ ...step, subState: 'upgradeDataNodes' }] }],
  };
}

function stateOf(stage: Stage): string {
  switch (stage) {
    case 'pending':
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

/** What the request wants: which component, and to which version. */
interface Wanted {
  readonly component: 'engine' | 'apack';
  readonly version: string;
}

function upgrade(request: SimulatedRequest, world: World): Reply {
  const id = request.params['id'] ?? '';
  const dryRun = isDryRun(request);
  const refuse = (code: string, message: string): Reply => {
    if (!dryRun) world.refuse(id, code);
    return failure(world, code, message);
  };
  const cluster = world.find(id);
  if (cluster === null) return refuse('InstanceNotFound', INSTANCE_NOT_FOUND);
  const wanted = wantedOf(request.body);
  if (wanted === null) return refuse('InvalidParameter', 'The type and the version do not fit.');

  const token = request.query['clientToken'];
  if (token !== undefined && !CLIENT_TOKEN.test(token)) {
    world.violation('client-token-too-long', id);
    return refuse('InvalidParameter', 'The clientToken has at most 64 ASCII characters.');
  }
  const parameters = digest(id, JSON.stringify(wanted), String(dryRun), request.query['updateStrategy'] ?? '');
  const first = token === undefined ? null : world.remembered(token);
  if (first !== null) {
    if (first.parameters !== parameters) {
      return refuse('IdempotentParameterMismatch', 'The clientToken was used before with other parameters.');
    }
    if (!dryRun) world.replayed(id);
    return ok(world, first.result);
  }
  const objection = objectionTo(cluster, wanted, world);
  if (objection !== null) return refuse(...objection);

  const result = checks(cluster);
  if (!dryRun && checksOf(cluster).size > 0) {
    world.violation('submit-against-failed-check', id);
    world.refuse(id, 'validation failed');
    return ok(world, result);
  }
  if (!dryRun) {
    const to = { [wanted.component]: offersOf(cluster, world)[wanted.component] };
    world.accept(cluster, to, { id: world.uuid('operation'), clientToken: token ?? null });
  }
  if (token !== undefined) world.remember(token, parameters, result);
  return ok(world, result);
}

/** `type` is `engineVersion` when left out; a version `ali1.2.0` is for `aliVersion` only, `6.7` for the other. */
function wantedOf(body: Readonly<Record<string, unknown>>): Wanted | null {
  const { version, type = 'engineVersion' } = body;
  if (typeof version !== 'string') return null;
  if (type === 'engineVersion' && /^\d+(\.\d+){1,2}$/.test(version)) return { component: 'engine', version };
  const patch = /^ali(\d+(?:\.\d+){1,2})$/.exec(version);
  return type === 'aliVersion' && patch?.[1] !== undefined ? { component: 'apack', version: patch[1] } : null;
}

/** A request for `6.7` ends at `6.7.0`. */
function fullVersion(version: string): string {
  return version.split('.').length === 2 ? `${version}.0` : version;
}

/** Why the cluster takes no such upgrade now, dry or not. */
function objectionTo(cluster: SimulatedResource, wanted: Wanted, world: World): [code: string, message: string] | null {
  const status = statusOf(cluster, world);
  if (status === 'activating') return ['InstanceActivating', 'Instance is activating.'];
  if (cluster.facts['conflict'] === true) {
    return ['ConcurrencyUpdateInstanceConflict', 'The instance is being updated by another request.'];
  }
  if (status !== 'active') {
    return ['InstanceStatusNotSupportCurrentAction', `The status ${status} does not support the action.`];
  }
  const current = world.versions(cluster)[wanted.component] ?? '';
  const wish = wanted.component === 'engine' ? fullVersion(wanted.version) : wanted.version;
  // `6.7` is met by any 6.7.
  const met = wanted.version.split('.').length === 2 && current.startsWith(`${wanted.version}.`);
  if (met || compareDotted(wish, current) === 0) {
    return ['RepetitionOperationError', 'The instance has the version already.'];
  }
  if (compareDotted(wish, current) < 0) return ['InvalidParameter', 'The version is lower than the current one.'];
  if (wanted.component === 'engine' && current.startsWith('7.') && !wish.startsWith('7.')) {
    return ['InvalidParameter', 'Version 7 cannot be upgraded to a later major version.'];
  }
  const offered = offersOf(cluster, world)[wanted.component];
  if (compareDotted(wish, offered) !== 0 && !offered.startsWith(`${wanted.version}.`)) {
    return ['InvalidParameter', `The version is not offered to the instance; ${offered} is.`];
  }
  return null;
}

interface Problem {
  readonly check: string;
  readonly errorType: string;
}

/** The four checks, and what each can find (spelt as the document spells it). */
const PROBLEMS: Record<string, Problem> = {
  ClusterStatusNotHealth: { check: 'checkClusterHealth', errorType: 'clusterStatus' },
  ClusterYamlNotCompatible: { check: 'checkConfigCompatible', errorType: 'clusterConfigYml' },
  ClusterPluginsNotSupport: { check: 'checkConfigCompatible', errorType: 'clusterConfigPlugins' },
  ClusterResourceNotEnough: { check: 'checkClusterResource', errorType: 'clusterResource' },
  ClusterSnapshotNotAvaild: { check: 'checkClusterSnapshot', errorType: 'clusterSnapshot' },
};
const CHECKS = ['checkClusterHealth', 'checkConfigCompatible', 'checkClusterResource', 'checkClusterSnapshot'];

/** The problems that this cluster's dry run finds, by code. */
function checksOf(cluster: SimulatedResource): Set<string> {
  const { failingChecks } = cluster.facts;
  return new Set(Array.isArray(failingChecks) ? failingChecks.filter((code) => typeof code === 'string') : []);
}

/** HTTP 200 whatever it finds. */
function checks(cluster: SimulatedResource): Json {
  const failing = checksOf(cluster);
  return CHECKS.map((validateType) => {
    const codes = Object.keys(PROBLEMS).filter((code) => failing.has(code) && PROBLEMS[code]?.check === validateType);
    return {
      validateType,
      status: codes.length === 0 ? 'success' : 'failed',
      validateResult: codes.map((errorCode) => ({
        errorType: PROBLEMS[errorCode]?.errorType,
        errorCode,
        errorMsg: errorCode,
      })),
    };
  });
}

/** Versions that are in use, and what is offered for each. */
const OFFERS: readonly [[string, string], ...[string, string][]] = [
  ['6.3.2', '6.7.0'],
  ['6.3.2', '6.7.0'],
  ['5.6.16', '6.3.2'],
];

/** One cluster of a seeded fleet. */
export function seedCluster(given: ResourceSeed): SimulatedResource {
  const { seed, index, owner, region, durationMs, rollbackMs, fate } = given;
  const of = (what: string): [string, string, number, string] => [seed, FAMILY, index, what];
  const [engine, offeredEngine] = pick(OFFERS, ...of('version'));
  const code = pick(
    ['ClusterResourceNotEnough', 'ClusterSnapshotNotAvaild', 'ClusterPluginsNotSupport', 'ClusterStatusNotHealth'],
    ...of('check'),
  );
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
  const id = [...digest(...of('id')).matchAll(/../g)]
    .slice(0, 17)
    .map(([pair]) => alphabet[Number.parseInt(pair, 16) % 36]);
  return {
    family: FAMILY,
    owner,
    region,
    id: `es-cn-${id.join('')}`,
    name: `${pick(['logs', 'orders', 'catalog', 'audit', 'traces'], ...of('name'))}-${String(index + 1).padStart(2, '0')}`,
    tags: { env: index % 3 === 0 ? 'canary' : 'prod', team: pick(['search', 'platform', 'data'], ...of('team')) },
    versions: { engine, apack: '1.1.0' },
    status: 'active',
    durationMs,
    rollbackMs,
    fate,
    facts: { offeredEngine, offeredApack: '1.2.0', failingChecks: fate === 'precheck-fails' ? [code] : [] },
  };
}
