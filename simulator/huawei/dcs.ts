/**
 * Huawei Cloud DCS: minor versions of a cache's engine and of its proxy. No status says that an upgrade runs; a flag, a
 * task id and the task list do. A failed upgrade leaves the old versions, and does not go through a rollback status.
 *
 * What no document says, and is a guess here: the name of an upgrade's task and its steps, the word of a task that
 * failed (both that clients wait for are given), and what the undocumented field `task` holds.
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
import { fraction, pick, uuid } from '../random.js';
import type { Reply, SimulatedRequest, SimulatedService } from '../service.js';
import { compareDotted } from '../versions.js';
import type { World } from '../world.js';
import { INSTANCE_SCENERY, LISTED_SCENERY } from './dcs-scenery.js';

const FAMILY = 'dcs';
const INSTANCES = '/v2/{owner}/instances';
const DEFAULT_LIMIT = 10;
const PARTS = ['engine', 'proxy'] as const;
const STEPS = ['CheckInstance', 'UpgradeReplicas', 'SwitchOver', 'UpgradeMaster', 'CheckResult'] as const;

export const dcs: SimulatedService = {
  family: FAMILY,
  cloud: 'huawei',
  routes: [
    { method: 'GET', path: INSTANCES, call: 'list', handle: listInstances },
    { method: 'GET', path: `${INSTANCES}/{id}`, call: 'read', handle: showInstance },
    { method: 'GET', path: `${INSTANCES}/{id}/version`, call: 'offer', handle: showVersions },
    { method: 'GET', path: `${INSTANCES}/{id}/tasks`, call: 'jobs', handle: listTasks },
    { method: 'GET', path: `${INSTANCES}/{id}/tasks/{task}/progress`, call: 'job', handle: showProgress },
    {
      method: 'POST',
      path: `${INSTANCES}/{id}/minor-version/upgrade`,
      call: 'submit',
      answerId: 'task_id',
      fields: ['engine_minor_version', 'proxy_minor_version'],
      handle: submit,
    },
  ],
  describe: (cache, world) => {
    const versions = world.versions(cache);
    const parts = PARTS.flatMap((part) => (versions[part] === undefined ? [] : `${part} ${versions[part]}`));
    return { status: statusOf(cache, world), version: parts.join(', ') };
  },
};

/** An error of this instance's: its cell still writes the old numbers, or does not. */
function error(cache: SimulatedResource, number: number, message: string): Reply {
  return { status: 400, body: { error_code: codeOf(cache, number), error_msg: message, error_ext_msg: null } };
}

/** `111400053` is what DCS.4053 was called. */
function codeOf(cache: SimulatedResource, number: number): string {
  return cache.facts['oldErrorCodes'] === true ? `111400${String(number).slice(1)}` : `DCS.${number}`;
}

const NOT_FOUND = 'DCS.3022';

function notFound(): Reply {
  return {
    status: 404,
    body: { error_code: NOT_FOUND, error_msg: 'This DCS instance does not exist.', error_ext_msg: null },
  };
}

function statusOf(cache: SimulatedResource, world: World): string {
  const last = world.operations(cache).at(-1);
  return last !== undefined && stageOf(last, world.now) === 'broken' ? 'ERROR' : cache.status;
}

function showInstance(request: SimulatedRequest, world: World): Reply {
  const cache = world.find(request.params['id'] ?? '');
  if (cache === null) return notFound();
  const cacheMode = cache.versions['proxy'] === undefined ? 'ha' : 'proxy';
  return { status: 200, body: { ...instanceFields(cache, world), cache_mode: cacheMode, ...INSTANCE_SCENERY } };
}

function listInstances(request: SimulatedRequest, world: World): Reply {
  const page = pageOf(request);
  if (page === null) {
    return { status: 400, body: { error_code: 'DCS.4062', error_msg: 'Invalid limit parameter in the request.' } };
  }
  const caches = world.resources();
  return {
    status: 200,
    body: {
      instance_num: caches.length,
      instances: page(caches).map((cache) => ({ ...instanceFields(cache, world), ...LISTED_SCENERY })),
    },
  };
}

/** What a list and a read of its own both tell. */
function instanceFields(cache: SimulatedResource, world: World): Record<string, Json> {
  const running = world.running(cache);
  const { runningTask = null } = cache.facts;
  const task = running === null ? runningTask : 'UPGRADING';
  return {
    instance_id: cache.id,
    name: cache.name,
    status: statusOf(cache, world),
    service_upgrade: running !== null,
    service_task_id: running?.id ?? null,
    ...(task === null ? {} : { task }),
    tags: Object.entries(cache.tags).map(([key, value]) => ({ key, value })),
  };
}

function offerOf(cache: SimulatedResource, part: (typeof PARTS)[number]): string {
  const offer = cache.facts[part === 'engine' ? 'latestEngine' : 'latestProxy'];
  if (typeof offer !== 'string') throw new Error(`${cache.id} has no ${part} on offer`);
  return offer;
}

function showVersions(request: SimulatedRequest, world: World): Reply {
  const cache = world.find(request.params['id'] ?? '');
  if (cache === null) return notFound();
  const versions = world.versions(cache);
  const body: Record<string, Json> = {};
  for (const part of PARTS) {
    const version = versions[part];
    const latest = version === undefined ? null : offerOf(cache, part);
    body[`${part}_minor_version`] = version ?? null;
    body[`latest_${part}_minor_version`] = latest;
    body[`${part}_minor_version_upgradable`] =
      version !== undefined && latest !== null && compareDotted(latest, version) > 0;
  }
  return { status: 200, body };
}

function submit(request: SimulatedRequest, world: World): Reply {
  const id = request.params['id'] ?? '';
  const cache = world.find(id);
  if (cache === null) {
    world.refuse(id, NOT_FOUND);
    return notFound();
  }
  const refuse = (number: number, message: string): Reply => {
    world.refuse(id, codeOf(cache, number));
    return error(cache, number, message);
  };
  const versions = world.versions(cache);
  const to: Record<string, string> = {};
  for (const part of PARTS) {
    const asked = request.body[`${part}_minor_version`];
    if (asked === undefined || asked === null) continue;
    const version = versionFor(cache, versions, part, asked);
    if (version === null) return refuse(4063, `Invalid ${part}_minor_version parameter in the request.`);
    to[part] = version;
  }
  if (Object.keys(to).length === 0) return refuse(4004, 'Empty request body.');
  if (world.running(cache) !== null) return refuse(4116, 'Upgrading the DCS instance... Please try again later.');
  if (cache.facts['runningTask'] !== undefined) return refuse(4017, 'This DCS instance job task is still running.');
  const status = statusOf(cache, world);
  if (status !== 'RUNNING') return refuse(WHY_NOT[status] ?? 4049, `The instance is ${status}.`);
  if (Object.entries(to).some(([part, version]) => compareDotted(version, versions[part] ?? '') === 0)) {
    return refuse(4053, 'The target version is the same as the current version.');
  }
  const task = world.accept(cache, to, { id: world.uuid('task').replaceAll('-', '') });
  return { status: 200, body: { task_id: task.id } };
}

/** The version that is asked for; `null` for none of this instance's: below the current one, or not on offer. */
function versionFor(
  cache: SimulatedResource,
  versions: Readonly<Record<string, string>>,
  part: (typeof PARTS)[number],
  asked: unknown,
): string | null {
  const current = versions[part];
  if (typeof asked !== 'string' || current === undefined) return null;
  const offer = offerOf(cache, part);
  if (asked === 'latest') return offer;
  const isVersion = /^\d+(\.\d+)+$/.test(asked);
  return isVersion && compareDotted(asked, current) >= 0 && compareDotted(asked, offer) <= 0 ? asked : null;
}

/** The error's number for a status that takes no upgrade. */
const WHY_NOT: Readonly<Record<string, number>> = {
  CREATING: 4118,
  RESTARTING: 4111,
  EXTENDING: 4113,
  RESTORING: 4097,
  FLUSHING: 4026,
  FROZEN: 4120,
};

function listTasks(request: SimulatedRequest, world: World): Reply {
  const cache = world.find(request.params['id'] ?? '');
  if (cache === null) return notFound();
  const page = pageOf(request);
  const from = timeOf(request.query['start_time']);
  const to = timeOf(request.query['end_time']);
  if (page === null || Number.isNaN(from) || Number.isNaN(to)) {
    return error(cache, 4062, 'Invalid query parameter in the request.');
  }
  const tasks = world
    .records()
    .filter(({ resource }) => resource === cache.id)
    .filter(({ acceptedAt }) => acceptedAt >= (from ?? 0) && acceptedAt <= (to ?? Infinity));
  return {
    status: 200,
    // A string, by the vendor's own model.
    body: { task_count: String(tasks.length), tasks: page(tasks).map((task) => taskBody(task, world)) },
  };
}

function taskBody(task: SimulatedOperation, world: World): Json {
  const stage = stageOf(task, world.now);
  return {
    id: task.id,
    name: 'UpgradeInstanceMinorVersion',
    status: taskStatus(task, stage),
    // Text, by the vendor's own model.
    params: JSON.stringify({ old_versions: task.from, new_versions: task.to }),
    user_name: 'ops',
    user_id: '6d0977e4c9b74ae7b5a083a8d0d8fafa',
    enable_show: true,
    created_at: new Date(task.acceptedAt).toISOString(),
    updated_at: new Date(endedAt(task, world.now) ?? world.now).toISOString(),
  };
}

function taskStatus(task: SimulatedOperation, stage: Stage): string {
  if (isRunning(stage)) return 'EXECUTING';
  if (stage !== 'rolled-back') return 'SUCCESS';
  return fraction(task.id, 'word') < 0.5 ? 'FAIL' : 'FAILED';
}

function showProgress(request: SimulatedRequest, world: World): Reply {
  const cache = world.find(request.params['id'] ?? '');
  if (cache === null) return notFound();
  const { task: id } = request.params;
  const task = world.records().find((record) => record.id === id && record.resource === cache.id);
  if (task === undefined) return error(cache, 4070, 'Invalid task ID format.');
  const progress = percentOf(task, world.now);
  const end = task.acceptedAt + task.durationMs;
  const remaining = isRunning(stageOf(task, world.now)) ? Math.max(1, Math.ceil((end - world.now) / 1000)) : 0;
  return {
    status: 200,
    body: {
      progress,
      remain_time: task.fate === 'stuck' ? null : remaining,
      step_details: stepDetails(task, progress, world),
    },
  };
}

/** Steps share the time evenly. One that finished well has an error code all the same, as in the document's sample. */
function stepDetails(task: SimulatedOperation, progress: number, world: World): Json[] {
  const hasFailed = stageOf(task, world.now) === 'rolled-back';
  const current = Math.floor((progress / 100) * STEPS.length);
  return STEPS.map((name, index) => {
    const isLast = index === STEPS.length - 1;
    const status =
      hasFailed && isLast ? 'FAILED' : index < current ? 'FINISH' : index === current ? 'EXECUTING' : 'WAITING';
    const at = (step: number): string =>
      new Date(task.acceptedAt + Math.round((task.durationMs * step) / STEPS.length)).toISOString();
    const times = {
      begin_time: at(index),
      end_time: status === 'FINISH' || status === 'FAILED' ? at(index + 1) : null,
      error_code: status === 'FAILED' ? 'DCS.5091' : status === 'FINISH' ? 'DCS.0000' : null,
    };
    return {
      step_id: `${task.id}-${index + 1}`,
      step_name: name,
      step_status: status,
      ...times,
      sub_step_details: [
        {
          sub_step_id: `${task.id}-${index + 1}-1`,
          sub_step_name: name,
          sub_step_status: status,
          detail: '',
          ...times,
        },
      ],
    };
  });
}

/** `20260327081405`, UTC, as epoch ms; `NaN` for what is none. */
function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text) ?? [];
  const [year, month, day, hour, minute, second] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** Cuts the page that the request asks for; `null` when it asks for none. */
function pageOf(request: SimulatedRequest): (<T>(all: readonly T[]) => T[]) | null {
  const { offset = '0', limit = String(DEFAULT_LIMIT) } = request.query;
  if (!/^\d{1,9}$/.test(offset) || !/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > 1000) return null;
  return (all) => all.slice(Number(offset), Number(offset) + Number(limit));
}

/** One cache of a seeded fleet: every other one has a proxy, every third answers with the old error numbers. */
export function seedCache(given: ResourceSeed): SimulatedResource {
  const { seed, index, owner, region, durationMs, rollbackMs, fate } = given;
  const of = (what: string): [string, string, number, string] => [seed, FAMILY, index, what];
  const purpose = pick(['sessions', 'carts', 'prices', 'limits', 'feeds'], ...of('name'));
  const hasProxy = index % 2 === 0;
  return {
    family: FAMILY,
    owner,
    region,
    id: uuid(...of('id')),
    name: `dcs-${purpose}-${String(index + 1).padStart(2, '0')}`,
    tags: { env: index % 3 === 0 ? 'canary' : 'prod', team: pick(['shop', 'identity', 'search'], ...of('team')) },
    versions: {
      engine: pick(['5.0.10.1', '5.0.12.3', '5.0.14'], ...of('version')),
      ...(hasProxy ? { proxy: pick(['5.0.12', '5.0.14'], ...of('proxy')) } : {}),
    },
    status: 'RUNNING',
    durationMs,
    rollbackMs,
    fate,
    facts: {
      latestEngine: '5.0.14.2',
      ...(hasProxy ? { latestProxy: '5.0.14.1' } : {}),
      oldErrorCodes: index % 3 === 2,
    },
  };
}
