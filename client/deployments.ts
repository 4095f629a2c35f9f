/** Worker deployments: which build of the workers gets the tasks, and what older builds have still to end. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { isNotFound } from '../temporal/reads.js';
import { identitiesOf, type Poller, type Queue, queues, servedQueues } from './queues.js';

/**
 * `new`: it has never been promoted, and gets nothing. `current`: it gets all that is new. `ramping`: it gets a part of that
 * (Temporal's own commands set this). `draining`: it gets only what began on it. `drained`: nothing is left on it.
 */
export type VersionState = 'new' | 'current' | 'ramping' | 'draining' | 'drained';

export interface VersionView {
  readonly buildId: string;
  readonly state: VersionState;
  /** Running upgrades that end on this build and on no other. */
  readonly upgrades: number;
  readonly workers: readonly string[];
  /** Queues that none of its workers polls. */
  readonly unserved: readonly string[];
}

export interface DeploymentView {
  readonly name: string;
  /** Build id of the current version; `null`: what is new goes to the workers that are not versioned. */
  readonly current: string | null;
  /** The newest first. */
  readonly versions: readonly VersionView[];
}

/** What a deployment does not allow: one sentence with its remedy. */
class DeploymentError extends Error {
  override readonly name = 'DeploymentError';
}

/** WorkerDeploymentVersionStatus, as the wire has it. */
const STATES: Readonly<Record<number, VersionState>> = { 2: 'current', 3: 'ramping', 4: 'draining', 5: 'drained' };

const LOOK_EVERY_MS = 1_000;

/** A server on a busy machine says for a moment of a deployment that it knows that there is none (seen with 1.29). */
const LOOKS_FOR_ONE = 4;

const IDLE = 'an idle one polls once a minute';

/**
 * @param own the names of accounts' own queues, which its workers have to poll as well
 * @throws DeploymentError when no worker of the deployment has ever polled
 */
export async function deployment(client: Client, name: string, own: readonly string[]): Promise<DeploymentView> {
  for (let look = 1; ; look += 1) {
    const view = await describe(client, name, await servedQueues(client, own));
    if (view !== null) return view;
    if (look === LOOKS_FOR_ONE) {
      throw new DeploymentError(
        `the server knows no worker deployment ${name} (start a worker with UPLIFT_DEPLOYMENT=${name}, or check the name)`,
      );
    }
    await delay(LOOK_EVERY_MS);
  }
}

/** Those that the workers of these queues belong to. */
export async function deployments(client: Client, polled: readonly Queue[]): Promise<DeploymentView[]> {
  const names = new Set(polled.flatMap(({ pollers }) => pollers.flatMap(({ version }) => version?.deployment ?? [])));
  const views = await Promise.all([...names].toSorted().map((name) => describe(client, name, polled)));
  return views.filter((view) => view !== null);
}

/**
 * Makes a build the one that gets what is new, once its workers have polled every queue since they were looked for: the
 * server names those that have ended for minutes. `null`: the workers that are not versioned.
 *
 * @param options.own the names of accounts' own queues
 * @param options.waitMs for how long its workers are waited for
 * @returns the build that was current before
 * @throws DeploymentError when some queue would be served by nobody
 */
export async function promote(
  client: Client,
  name: string,
  buildId: string | null,
  options: {
    readonly own: readonly string[];
    readonly actor: string;
    readonly waitMs: number;
    readonly told: (line: string) => void;
  },
): Promise<string | null> {
  const deadline = Date.now() + options.waitMs;
  const fresh = new FreshPolls();
  for (let said = ''; ; await delay(LOOK_EVERY_MS)) {
    const polled = await queues(client, options.own);
    const notYet = unservedBy(fresh.of(polled), name, buildId);
    if (notYet.length === 0) break;
    const never = unservedBy(polled, name, buildId);
    const isNamed = never.length === 0;
    const unserved = isNamed ? notYet : never;
    const polls = isNamed ? 'has polled since this began:' : 'polls';
    const lack = `no worker ${titleOf(name, buildId)} ${polls} ${unserved.join(', ')}`;
    if (Date.now() >= deadline) {
      const start = buildId === null ? 'without UPLIFT_DEPLOYMENT' : `with ${variablesOf(name, buildId)}`;
      const rest = isNamed ? `; ${IDLE}` : '';
      throw new DeploymentError(`${lack}, so that what is new would stand still (start one ${start}${rest})`);
    }
    if (lack !== said) options.told(`waiting: ${(said = lack)}${isNamed ? ` (${IDLE})` : ''}`);
  }
  const { current } = await deployment(client, name, options.own);
  if (current === buildId) return current;
  await client.workflowService.setWorkerDeploymentCurrentVersion({
    namespace: client.options.namespace,
    deploymentName: name,
    buildId: buildId ?? '',
    identity: options.actor,
  });
  return current;
}

/** Which pollers have polled since the first look: by the server's clock alone, which may be another than ours. */
class FreshPolls {
  private before: ReadonlyMap<string, number> | null = null;

  /** The queues with those of their pollers alone. */
  of(polled: readonly Queue[]): Queue[] {
    const idOf = ({ name }: Queue, poller: Poller) => JSON.stringify([name, poller.identity, poller.version]);
    this.before ??= new Map(
      polled.flatMap((queue) => queue.pollers.map((poller) => [idOf(queue, poller), poller.polledAt] as const)),
    );
    const { before } = this;
    return polled.map((queue) => ({
      name: queue.name,
      pollers: queue.pollers.filter((poller) => poller.polledAt > (before.get(idOf(queue, poller)) ?? 0)),
    }));
  }
}

/**
 * Waits until nothing is left to end on a build, or, for `null`, on any build that is not current any more. The server
 * says so, some minutes after the last one ended.
 *
 * @param options.own the names of accounts' own queues
 * @returns whether it came to that within `timeoutMs`
 * @throws DeploymentError for a build that is not known, or that gets new tasks
 */
export async function drain(
  client: Client,
  name: string,
  buildId: string | null,
  options: { readonly own: readonly string[]; readonly timeoutMs: number; readonly told: (line: string) => void },
): Promise<boolean> {
  const deadline = Date.now() + options.timeoutMs;
  for (let said = ''; ; await delay(LOOK_EVERY_MS)) {
    const { versions } = await deployment(client, name, options.own);
    const left = versions
      .filter((version) => buildId === null || version.buildId === buildId)
      .filter(({ state }) => state === 'draining');
    if (buildId !== null) assertMayDrain(versions, name, buildId);
    if (left.length === 0) return true;
    const line = left.map((version) => stillHeld(name, version)).join('; ');
    if (line !== said) options.told((said = line));
    if (Date.now() >= deadline) return false;
  }
}

function assertMayDrain(versions: readonly VersionView[], name: string, buildId: string): void {
  const state = versions.find((version) => version.buildId === buildId)?.state;
  if (state === undefined) {
    const known = versions.map((version) => version.buildId).join(', ');
    throw new DeploymentError(`${name} has no build ${buildId} (it has ${known})`);
  }
  if (state === 'current' || state === 'ramping') {
    throw new DeploymentError(`${buildId} is ${state}: it gets new upgrades (promote another build first)`);
  }
}

/** `0.1.0-1f2e3d4c: 3 upgrades have to end on it, and no worker of it runs (…)`. */
function stillHeld(name: string, { buildId, upgrades, workers }: VersionView): string {
  if (upgrades === 0) return `${buildId}: no upgrade is left on it; the server makes sure, which takes some minutes`;
  const have = upgrades === 1 ? '1 upgrade has' : `${upgrades} upgrades have`;
  const start = `start one with ${variablesOf(name, buildId)}`;
  const stuck = workers.length > 0 ? '' : `, and no worker of it runs (${start})`;
  return `${buildId}: ${have} to end on it${stuck}`;
}

/** `null` for a deployment that the server does not know. */
async function describe(client: Client, name: string, polled: readonly Queue[]): Promise<DeploymentView | null> {
  const { namespace } = client.options;
  const info = await client.workflowService
    .describeWorkerDeployment({ namespace, deploymentName: name })
    .then(({ workerDeploymentInfo }) => workerDeploymentInfo ?? null)
    .catch((error: unknown) => {
      if (isNotFound(error)) return null;
      throw error;
    });
  if (info === null) return null;
  const versions = await Promise.all(
    (info.versionSummaries ?? []).map(async ({ deploymentVersion, status }) => {
      const buildId = deploymentVersion?.buildId ?? '';
      const pinned = [
        `TemporalWorkerDeploymentVersion = ${JSON.stringify(`${name}:${buildId}`)}`,
        'TemporalWorkflowVersioningBehavior = "Pinned"',
        'ExecutionStatus = "Running"',
      ];
      const { count } = await client.workflow.count(pinned.join(' AND '));
      return {
        buildId,
        state: STATES[Number(status)] ?? 'new',
        upgrades: count,
        workers: identitiesOf(polled.flatMap(({ pollers }) => pollers.filter(isOf(name, buildId)))),
        unserved: unservedBy(polled, name, buildId),
      };
    }),
  );
  return { name, current: info.routingConfig?.currentDeploymentVersion?.buildId || null, versions };
}

/** The queues that no worker of a build polls; for `null`, none that is not versioned. */
export function unservedBy(polled: readonly Queue[], name: string, buildId: string | null): string[] {
  return polled.filter(({ pollers }) => !pollers.some(isOf(name, buildId))).map((queue) => queue.name);
}

function isOf(name: string, buildId: string | null): (poller: Poller) => boolean {
  return ({ version }) =>
    buildId === null ? version === null : version?.deployment === name && version.buildId === buildId;
}

/** What its workers have to be told. */
export function variablesOf(name: string, buildId: string): string {
  return `UPLIFT_DEPLOYMENT=${name} UPLIFT_BUILD_ID=${buildId}`;
}

function titleOf(name: string, buildId: string | null): string {
  return buildId === null ? 'without a deployment' : `of ${name}, build ${buildId},`;
}
