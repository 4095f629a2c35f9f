/**
 * A sixth API, invented here and known nowhere else: adapter, schemas and simulator half in this one file, planned by
 * the planner and upgraded by the workflows as they are.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { systemClock } from '../../activities/clock.js';
import { classifyBy, type ErrorTable } from '../../activities/clouds/classify.js';
import { APIGW_ERRORS } from '../../activities/clouds/huawei/errors.js';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import type { CloudApi, OperationRecord, ResourceState } from '../../activities/clouds/port.js';
import { openSessions } from '../../activities/clouds/sessions.js';
import { compareDotted } from '../../activities/clouds/versions.js';
import { createTransport, type Transport } from '../../activities/transport.js';
import { type PlanReading, preparePlan, resolvePlan, toRolloutInput } from '../../activities/planner.js';
import { plain } from '../../client/render/paint.js';
import { renderPlan } from '../../client/render/plan.js';
import { startRollout } from '../../client/rollouts.js';
import { accountsOf } from '../../plan/accounts.js';
import { jsonSchemas } from '../../plan/json-schema.js';
import { parseSource } from '../../plan/source.js';
import { DEMO_PROJECT, seedInventory } from '../../simulator/inventory.js';
import {
  isRunning,
  percentOf,
  stageOf,
  type SimulatedOperation,
  type SimulatedResource,
} from '../../simulator/model.js';
import { SERVICES, startSimulator, type Simulator } from '../../simulator/server.js';
import type { Reply, SimulatedService } from '../../simulator/service.js';
import type { World } from '../../simulator/world.js';
import { createWorkers } from '../../worker/workers.js';
import type { RolloutResult } from '../../workflows/contracts/rollout.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import { type RealEnvironment, realEnvironment, workflowBundle } from '../support/environment.js';

// The adapter: what would be activities/clouds/huawei/courier.ts.

const courierTarget = z.strictObject({
  release: z.string().regex(/^\d+\.\d+$/, 'must be a release such as 4.2'),
  drainSeconds: z.int().nonnegative().optional(),
});
type CourierTarget = z.infer<typeof courierTarget>;

const queue = z.object({
  queue_id: z.string(),
  title: z.string(),
  mood: z.string(),
  release: z.string(),
  labels: z.record(z.string(), z.string()),
});
const queues = z.object({ queues: z.array(queue), more: z.boolean() });
const move = z.object({
  move_id: z.string(),
  began_at: z.number(),
  mood: z.enum(['MOVING', 'MOVED', 'MOVED_BACK']),
  percent: z.number(),
  remark: z.string(),
});
const moves = z.object({ moves: z.array(move) });
type Move = z.infer<typeof move>;

const CONDITIONS: Readonly<Record<string, ResourceState['condition']>> = { CALM: 'ready', MOVING: 'upgrading' };
const COURIER_ERRORS: ErrorTable = {
  permanent: ['COURIER.0400'],
  'not-found': ['COURIER.0404'],
  busy: ['COURIER.0409'],
  'already-done': ['COURIER.0410'],
};
const CLOCK_TOLERANCE_MS = 15 * 60_000;

const at = (projectId: string, ...rest: string[]): readonly string[] => ['v7', projectId, 'queues', ...rest];

function stateOf({ queue_id, title, mood, release, labels }: z.infer<typeof queue>): ResourceState {
  const condition = CONDITIONS[mood] ?? 'busy';
  return { id: queue_id, name: title, status: mood, condition, version: release, tags: labels };
}

function stateOfMove({ mood }: Move): 'running' | 'succeeded' | 'rolled-back' {
  return mood === 'MOVING' ? 'running' : mood === 'MOVED' ? 'succeeded' : 'rolled-back';
}

function recordOf(found: Move): OperationRecord {
  const state = stateOfMove(found);
  return {
    operation: { id: found.move_id, since: new Date(found.began_at).toISOString() },
    state: state === 'rolled-back' ? 'failed' : state,
    reason: `move ${found.mood}`,
  };
}

const courier: CloudApi<CourierTarget> = {
  cloud: 'huawei',
  service: 'courier',
  family: 'courier',
  pace: {
    expectedMs: 10 * 60_000,
    deadlineMs: 60 * 60_000,
    pollMinMs: 10_000,
    pollMaxMs: 60_000,
    stableReads: 2,
    stableEveryMs: 10_000,
    visibilityLagMs: 30_000,
  },
  id: { pattern: /^q-[0-9a-f]{8}$/, hint: 'use the id of a queue, such as q-0a1b2c3d' },
  target: courierTarget,
  label: ({ release }) => release,
  objection: ({ drainSeconds }) => (drainSeconds === 0 ? 'drainSeconds: 0 loses messages (leave it out)' : null),

  describe: async (reader, id) => stateOf(await reader.read({ path: at(reader.projectId, id) }, queue)),
  async list(reader, page) {
    const found = await reader.read({ path: at(reader.projectId), query: { page: String(page) } }, queues);
    return { resources: found.queues.map(stateOf), next: found.more ? page + 1 : null };
  },
  standing: ({ version }, { release }) => compareDotted(version, release),
  precheck: () => Promise.resolve([]),

  submission: ({ projectId }, id, { release, drainSeconds }) => ({
    method: 'PUT',
    path: at(projectId, id, 'release'),
    body: { release, ...(drainSeconds === undefined ? {} : { drain_seconds: drainSeconds }) },
  }),
  accepted({ status, json }) {
    const body = z.object({ move_id: z.string() }).safeParse(json);
    return body.success
      ? { kind: 'accepted', operationId: body.data.move_id }
      : { kind: 'unknown', reason: `HTTP ${status} without a move id` };
  },

  async operations(reader, id, since) {
    const found = await reader.read({ path: at(reader.projectId, id, 'moves') }, moves);
    return found.moves.filter(({ began_at }) => began_at >= since - CLOCK_TOLERANCE_MS).map(recordOf);
  },
  async poll(reader, id, _target, operation) {
    const found = await reader.read({ path: at(reader.projectId, id, 'moves') }, moves);
    const own = found.moves.find(({ move_id }) => move_id === operation.id);
    if (own === undefined) return { state: 'vanished', detail: 'no such move', percent: null, remainingMs: null };
    return { state: stateOfMove(own), detail: own.remark, percent: own.percent, remainingMs: null };
  },
  health: (_reader, _id, { status }) => Promise.resolve({ healthy: status === 'CALM', detail: `mood ${status}` }),
  classify: (error) => classifyBy([COURIER_ERRORS, APIGW_ERRORS], error),
};

// The simulator's half: what would be simulator/huawei/courier.ts.

const QUEUES = '/v7/{owner}/queues';
const PAGE = 2;

const error = (status: number, error_code: string, error_msg: string): Reply => ({
  status,
  body: { error_code, error_msg },
});

function moodOf(resource: SimulatedResource, world: World): string {
  return world.running(resource) === null ? resource.status : 'MOVING';
}

function queueBody(resource: SimulatedResource, world: World) {
  return {
    queue_id: resource.id,
    title: resource.name,
    mood: moodOf(resource, world),
    release: world.versions(resource)['queue'] ?? '',
    labels: { ...resource.tags },
  };
}

function moveBody(operation: SimulatedOperation, now: number) {
  const stage = stageOf(operation, now);
  return {
    move_id: operation.id,
    began_at: operation.acceptedAt,
    mood: isRunning(stage) ? 'MOVING' : stage === 'succeeded' ? 'MOVED' : 'MOVED_BACK',
    percent: percentOf(operation, now),
    remark: `${stage}, to ${operation.to['queue']}`,
  };
}

/** A route's answer for the queue that its path names. */
function withQueue(answer: (resource: SimulatedResource, world: World, body: Record<string, unknown>) => Reply) {
  return ({ params, body }: { params: Readonly<Record<string, string>>; body: object }, world: World): Reply => {
    const resource = world.find(params['id'] ?? '');
    return resource === null ? error(404, 'COURIER.0404', 'no such queue') : answer(resource, world, { ...body });
  };
}

const simulatedCourier: SimulatedService = {
  family: 'courier',
  cloud: 'huawei',
  describe: (resource, world) => ({
    status: moodOf(resource, world),
    version: world.versions(resource)['queue'] ?? '',
  }),
  routes: [
    {
      method: 'GET',
      path: QUEUES,
      call: 'list',
      handle: ({ query }, world) => {
        const from = Number(query['page'] ?? 0) * PAGE;
        const all = world.resources();
        const shown = all.slice(from, from + PAGE).map((resource) => queueBody(resource, world));
        return { status: 200, body: { queues: shown, more: from + PAGE < all.length } };
      },
    },
    {
      method: 'GET',
      path: `${QUEUES}/{id}`,
      call: 'read',
      handle: withQueue((resource, world) => ({ status: 200, body: queueBody(resource, world) })),
    },
    {
      method: 'GET',
      path: `${QUEUES}/{id}/moves`,
      call: 'jobs',
      handle: withQueue((resource, world) => {
        const own = world.records().filter((operation) => operation.resource === resource.id);
        return { status: 200, body: { moves: own.map((operation) => moveBody(operation, world.now)) } };
      }),
    },
    {
      method: 'PUT',
      path: `${QUEUES}/{id}/release`,
      call: 'submit',
      answerId: 'move_id',
      fields: ['release', 'drain_seconds'],
      handle: withQueue((resource, world, { release }) => {
        if (world.running(resource) !== null) {
          world.refuse(resource.id, 'COURIER.0409');
          return error(409, 'COURIER.0409', 'the queue is moving');
        }
        const { id } = world.accept(resource, { queue: String(release) }, { id: world.uuid('move') });
        return { status: 202, body: { move_id: id } };
      }),
    },
  ],
};

function seedQueue(number: number, versions: string, fate: SimulatedResource['fate'] = 'succeeds'): SimulatedResource {
  return {
    family: 'courier',
    owner: DEMO_PROJECT,
    region: 'eu-west-101',
    id: `q-0000000${number}`,
    name: `letters-${number}`,
    tags: { tier: number < 6 ? 'gold' : 'tin' },
    versions: { queue: versions },
    status: 'CALM',
    durationMs: 1_500,
    rollbackMs: 500,
    fate,
    facts: {},
  };
}

// All that the rest needs to be told: the two halves, in the lists that they belong to.

const APIS: readonly CloudApi[] = [...CLOUD_APIS, courier];
const SIMULATED: readonly SimulatedService[] = [...SERVICES, simulatedCourier];

const SCALE = 0.05;
const ENV = { CLOUD_SDK_AK: 'SIXTHKEY', CLOUD_SDK_SK: 'sixth-secret' };
const ROOT = new URL('../..', import.meta.url).pathname;

let env: RealEnvironment;
let simulator: Simulator;
let transport: Transport;
let reading: PlanReading;

beforeAll(async () => {
  env = await realEnvironment();
  simulator = await startSimulator({
    seed: 'sixth',
    services: SIMULATED,
    inventory: [
      ...[1, 2, 3].map((number) => seedQueue(number, '4.1')),
      seedQueue(4, '4.1', 'rolls-back'),
      seedQueue(5, '4.2'),
      seedQueue(6, '4.1'),
      ...seedInventory({ seed: 'sixth', graphs: 1, durationMs: { min: 1_000, max: 1_500 } }),
    ],
    credentials: [
      {
        account: 'hw',
        cloud: 'huawei',
        owner: DEMO_PROJECT,
        accessKeyId: ENV.CLOUD_SDK_AK,
        secret: ENV.CLOUD_SDK_SK,
      },
    ],
  });
  transport = createTransport({ clock: systemClock });
  const hw = {
    cloud: 'huawei',
    region: 'eu-west-101',
    projectId: DEMO_PROJECT,
    endpoints: { ges: simulator.url, courier: simulator.url },
    rates: { reads: 200, writes: 100 },
  };
  const accounts = accountsOf(parseSource(stringify({ accounts: { hw } }), 'accounts.yaml'), APIS);
  const sessions = openSessions({ accounts, clock: systemClock, transport, env: ENV, scale: SCALE });
  reading = { accounts, sessions, apis: APIS };
});
afterAll(async () => {
  await transport.close();
  await simulator.close();
  await env.teardown();
});

it('has its place in the JSON Schemas of both files', () => {
  const schemas = jsonSchemas(APIS);
  expect(schemas['rollout.schema.json']).toContain('"drainSeconds"');
  expect(schemas['accounts.schema.json']).toContain('"courier"');
});

it('is planned and upgraded from end to end, beside a graph', async () => {
  const graph = simulator.inventory.now().find(({ family }) => family === 'ges')?.id;
  const document = {
    apiVersion: 'uplift/v1',
    kind: 'Rollout',
    metadata: { name: 'sixth' },
    spec: {
      targets: [
        { service: 'courier', account: 'hw', release: '4.2', drainSeconds: 30, select: { tags: { tier: 'gold' } } },
        { service: 'ges-v2', account: 'hw', version: '9.9.9', id: graph },
      ],
      waves: [{ name: 'all', concurrency: 10, rest: true }],
      failureBudget: { max: 3, mode: 'loose' },
      timeScale: SCALE,
    },
  };
  const plan = await resolvePlan(parseSource(stringify(document), 'sixth.yaml'), reading);
  const prepared = await preparePlan({ ...reading, plan });
  console.log(renderPlan(prepared, 120, plain));
  expect(prepared.counts).toMatchObject({ upgrade: 5, 'no-change': 1, error: 0, blocked: 0 });
  expect(prepared.waves[0]?.targets[0]?.call).toEqual({
    method: 'PUT',
    path: `/v7/${DEMO_PROJECT}/queues/q-00000001/release`,
    body: { release: '4.2', drain_seconds: 30 },
  });
  expect(simulator.truth().submits).toEqual([]);

  // One answer is lost on its way back: its move must be found, not made again.
  simulator.faults.add({
    fault: { kind: 'reset', processed: true },
    calls: ['submit'],
    resource: 'q-00000002',
    times: 1,
  });
  const input = toRolloutInput(prepared, { startedBy: 'test' });
  const result = await run(input);
  expect(result).toMatchObject({
    outcome: 'SucceededWithFailures',
    counts: { Succeeded: 4, RolledBack: 1, AlreadyAtTarget: 1 },
  });

  const truth = simulator.truth();
  const sent = ['q-00000001', 'q-00000002', 'q-00000003', 'q-00000004', graph];
  expect(new Set(truth.submits.map(({ resource }) => resource))).toEqual(new Set(sent));
  expect(truth.submits).toHaveLength(sent.length);
  expect(truth.submits.filter(({ answerLost }) => answerLost)).toHaveLength(1);
  expect([truth.violations, truth.signatureFailures, truth.unknownPaths]).toEqual([[], {}, {}]);
  const now = new Map(simulator.inventory.now().map(({ id, version }) => [id, version]));
  expect(['q-00000001', 'q-00000002', 'q-00000003', 'q-00000004'].map((id) => now.get(id))).toEqual([
    '4.2',
    '4.2',
    '4.2',
    '4.1',
  ]);

  const [, first] = input.waves[0]?.upgrades ?? [];
  if (first === undefined) throw new Error('the rollout lost its upgrades');
  const { searchAttributes } = await env.client.workflow.getHandle(upgradeWorkflowId(first.resource)).describe();
  expect(Object.values(searchAttributes).flat()).toEqual(expect.arrayContaining(['courier', 'q-00000002', '4.2']));
});

it('is known to no other file', () => {
  const folders = ['activities', 'client', 'plan', 'simulator', 'temporal', 'worker', 'workflows'];
  const files = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(ts|json)$/.test(file))
      .map((file) => join(folder, file)),
  );
  expect(files.length).toBeGreaterThan(50);
  expect(files.filter((file) => /courier/i.test(readFileSync(join(ROOT, file), 'utf8')))).toEqual([]);

  const own = readFileSync(new URL(import.meta.url), 'utf8').split('\n');
  const [adapter, half, lists] = ['// The adapter', '// The simulator', '// All that'].map((start) =>
    own.findIndex((line) => line.startsWith(start)),
  ) as [number, number, number];
  console.log(
    `a sixth API needed ${half - adapter} lines of adapter and ${lists - half} of simulator, ` +
      `one entry in each of two lists, and changes in none of the ${files.length} files of ${folders.join(', ')}`,
  );
});

async function run(input: ReturnType<typeof toRolloutInput>): Promise<RolloutResult> {
  const workers = await createWorkers({
    connection: env.nativeConnection,
    namespace: env.namespace,
    deps: { apis: APIS, sessions: reading.sessions, clock: systemClock },
    workflowBundle: await workflowBundle(),
  });
  const running = workers.run();
  try {
    const { workflowId } = await startRollout(env.client, input);
    return (await env.client.workflow.getHandle(workflowId).result()) as RolloutResult;
  } finally {
    workers.shutdown();
    await running;
  }
}
