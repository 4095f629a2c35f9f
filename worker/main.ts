/** The worker process: accounts, credentials, connection, workers, and an orderly end. */
import { hostname } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { Client } from '@temporalio/client';
import type { WorkerDeploymentVersion } from '@temporalio/common';
import { Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';
import { systemClock } from '../activities/clock.js';
import { ALONE } from '../activities/limiter.js';
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { openSessions } from '../activities/clouds/sessions.js';
import { VisibleTerminations } from '../activities/terminations.js';
import { createTransport } from '../activities/transport.js';
import { type Account, loadAccounts, loadWebhooks } from '../plan/accounts.js';
import { connectWorker, type ServerTarget } from '../temporal/connection.js';
import { dataConverterFrom } from '../temporal/data-converter.js';
import { lineOf } from '../temporal/errors.js';
import { keepSchedules } from '../temporal/schedules.js';
import { METRICS } from '../workflows/contracts/metrics.js';
import { queueOf } from '../workflows/contracts/queues.js';
import { ApiKeyFile, withApiKey } from './api-key.js';
import { ownBuildId } from './bundle.js';
import { serveHealth, type HealthServer } from './health.js';
import { createLog, temporalLogger } from './logging.js';
import { telemetry, watchState } from './metrics.js';
import { Peers } from './peers.js';
import { SettingsError, type WorkerSettings, workerSettings } from './settings.js';
import { atMost } from './together.js';
import { createWorkers, type Workers } from './workers.js';

export interface WorkerProcessOptions {
  readonly accountsFile: string;
  readonly server: ServerTarget;
  /** As a plan's `timeScale`, for what belongs to accounts and to no rollout: pauses after a throttled answer. */
  readonly timeScale?: number;
  /**
   * What the server and the other workers know this one by. One that is started again under its old name takes the
   * dead one's share of the accounts' rates at once; two that live at the same time must not share a name.
   */
  readonly name?: string;
  readonly log?: Logger;
  /** Called once every queue is polled. */
  readonly onReady?: () => void;
}

/**
 * V8 lets garbage grow to several times what lives before it collects it, and an activity lives long enough to become
 * such garbage: 50 MB that live were seen to take up to 125 (of 200 upgrades in flight). With this at most half as much
 * garbage as lives, in the threads of the workflows as well, for a collection every half minute.
 */
const GARBAGE_FLAG = '--heap-growing-percent=50';

/** Nothing that is still under way after the workers' end changes anything. */
const CLOSING_MS = 3_000;

/**
 * Runs a worker until SIGINT or SIGTERM; waits under way are handed over at once, and a send under way is finished. Then,
 * or with its error, it is for the caller to end the process: calls that nobody answers may be left.
 *
 * @throws SettingsError for variables that cannot be used, InputError for such an accounts file, TemporalSetupError for a
 *   server that is not there, WorkerEndError when a queue is not served any more, or the shutdown takes too long.
 */
export async function runWorker(options: WorkerProcessOptions): Promise<void> {
  setFlagsFromString(GARBAGE_FLAG);
  const log = options.log ?? createLog();
  const settings = workerSettings(process.env);
  log.level = settings.UPLIFT_LOG_LEVEL;
  const accounts = servedAccounts(loadAccounts(options.accountsFile, CLOUD_APIS), settings);
  const webhooks = loadWebhooks(options.accountsFile, CLOUD_APIS);
  const dataConverter = dataConverterFrom(process.env);
  const apiKey = settings.UPLIFT_API_KEY_FILE === undefined ? null : new ApiKeyFile(settings.UPLIFT_API_KEY_FILE);
  const failures = new Map<string, unknown>();
  installRuntime(log, settings, failures);

  const target = apiKey === null ? options.server : withApiKey(options.server, apiKey.read());
  const connection = await connectWorker(target);
  const identity = options.name ?? `${process.pid}@${hostname()}`;
  const { namespace } = options.server;
  const client = new Client({
    connection,
    namespace,
    dataConverter: { payloadCodecs: dataConverter.payloadCodecs ?? [] },
  });
  // An account's rates are divided among those that serve its queue.
  const peers = new Map(
    settings.UPLIFT_QUEUES.map((name) => [
      name,
      new Peers({
        connection,
        namespace,
        taskQueue: queueOf('main', name === 'main' ? undefined : name),
        identity,
        clock: systemClock,
        log: (line) => {
          log.info(line);
        },
      }),
    ]),
  );
  const transport = createTransport({ clock: systemClock });
  const meter = Runtime.instance().metricMeter;
  const throttles = meter.createCounter(METRICS.throttled.name, undefined, METRICS.throttled.about);
  const sessions = openSessions({
    accounts,
    clock: systemClock,
    transport,
    env: process.env,
    scale: options.timeScale ?? 1,
    // One that it only reads, for a plan, has its turns among those of everybody.
    turn: ({ queue = 'main' }) => (peers.get(queue) ?? peers.get('main'))?.turn() ?? ALONE,
    log: (line, account) => {
      log.warn({ account }, line);
    },
    throttled: (account) => {
      throttles.add(1, { account });
    },
  });
  const ending = new AbortController();
  const meanwhile: Promise<void>[] = [];
  let health: HealthServer | null = null;
  let workers: Workers | null = null;
  try {
    if (settings.UPLIFT_HEALTH_ADDRESS !== undefined) {
      health = await serveHealth(settings.UPLIFT_HEALTH_ADDRESS, {
        broken: () => (workers?.states().includes('FAILED') ? 'a queue is not served any more' : null),
        notReady: () => {
          const states = workers?.states() ?? [];
          const isRunning = states.length > 0 && states.every((state) => state === 'RUNNING');
          const objections = [...peers.values()].map((one) => one.objection());
          return isRunning ? (objections.find((one) => one !== null) ?? null) : 'it is starting or ending';
        },
      });
    }
    const deployment = deploymentOf(settings);
    workers = await createWorkers({
      connection,
      namespace,
      identity,
      dataConverter,
      settings,
      deployment,
      failureOf: (taskQueue) => failures.get(taskQueue),
      log: (about, message) => {
        log.info(about, message);
      },
      deps: {
        apis: CLOUD_APIS,
        sessions,
        accounts,
        webhooks,
        clock: systemClock,
        terminations: new VisibleTerminations(client, systemClock),
      },
    });
    if (apiKey !== null) meanwhile.push(apiKey.follow(connection, systemClock, log, ending.signal));
    const warn = (line: string) => {
      log.warn(line);
    };
    meanwhile.push(keepSchedules(client, systemClock, warn, ending.signal));
    if (settings.UPLIFT_METRICS_ADDRESS !== undefined) {
      meanwhile.push(watchState(client, meter, systemClock, warn, ending.signal));
    }
    log.info({ server: options.server.address, accounts: [...accounts.keys()], ...deployment }, 'worker is ready');
    options.onReady?.();
    for (const one of peers.values()) one.start();
    await workers.run();
    log.info('worker has ended');
  } finally {
    ending.abort();
    // A call that the server does not answer has no end, and a connection stays while a worker holds on to it.
    await atMost(CLOSING_MS, async () => {
      await health?.close();
      await Promise.all([...meanwhile, ...[...peers.values()].map((one) => one.stop())]);
      await transport.close();
      await connection.close();
    }).catch((error: unknown) => {
      log.debug(`the connection to Temporal was not closed: ${lineOf(error)}`);
    });
  }
}

/**
 * The accounts whose steps may come here. With `main` all of them: for plans and soaks of accounts that have no queue in common.
 *
 * @throws SettingsError for a queue that no account names
 */
function servedAccounts(
  accounts: ReadonlyMap<string, Account>,
  { UPLIFT_QUEUES: served }: WorkerSettings,
): ReadonlyMap<string, Account> {
  const named = new Set([...accounts.values()].flatMap(({ queue }) => queue ?? []));
  const unknown = served.filter((name) => name !== 'main' && !named.has(name));
  if (unknown.length > 0) {
    throw new SettingsError([
      `UPLIFT_QUEUES: no account has the queue ${unknown.join(', ')} (write it as the account's \`queue\` into the accounts file)`,
    ]);
  }
  if (served.includes('main')) return accounts;
  return new Map([...accounts].filter(([, { queue }]) => queue !== undefined && served.includes(queue)));
}

/** @throws SettingsError for an address of the metrics that cannot be listened on */
function installRuntime(
  log: Logger,
  { UPLIFT_METRICS_ADDRESS: address }: WorkerSettings,
  failures: Map<string, unknown>,
): void {
  try {
    Runtime.install({
      logger: temporalLogger(log, failures),
      telemetryOptions: { logging: { filter: 'WARN', forward: {} }, ...telemetry(address) },
    });
  } catch (error) {
    if (address === undefined) throw error;
    const place = `${address.host}:${address.port}`;
    throw new SettingsError([
      `UPLIFT_METRICS_ADDRESS: ${place} cannot be listened on: ${lineOf(error)} (free it, or use another)`,
    ]);
  }
}

/** `null` where workers are not versioned. */
function deploymentOf(settings: WorkerSettings): WorkerDeploymentVersion | null {
  const { UPLIFT_DEPLOYMENT: deploymentName, UPLIFT_BUILD_ID: buildId = ownBuildId() } = settings;
  return deploymentName === undefined ? null : { deploymentName, buildId };
}
