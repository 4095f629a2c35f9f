/** The worker process: accounts, credentials, connection, workers, and an orderly end. */
import { hostname } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { Client } from '@temporalio/client';
import { Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';
import { systemClock } from '../activities/clock.js';
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { openSessions } from '../activities/clouds/sessions.js';
import { VisibleTerminations } from '../activities/terminations.js';
import { createTransport } from '../activities/transport.js';
import { loadAccounts } from '../plan/accounts.js';
import { connectWorker, type ServerTarget } from '../temporal/connection.js';
import { dataConverterFrom } from '../temporal/data-converter.js';
import { QUEUES } from '../workflows/contracts/queues.js';
import { createLog, temporalLogger } from './logging.js';
import { Peers } from './peers.js';
import { createWorkers } from './workers.js';

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

/**
 * Runs a worker until SIGINT or SIGTERM; waits under way are handed over at once, and a send under way is finished.
 *
 * @throws InputError for an accounts file that cannot be used, TemporalSetupError for a server that is not there.
 */
export async function runWorker(options: WorkerProcessOptions): Promise<void> {
  setFlagsFromString(GARBAGE_FLAG);
  const log = options.log ?? createLog();
  const accounts = loadAccounts(options.accountsFile, CLOUD_APIS);
  const dataConverter = dataConverterFrom(process.env);
  Runtime.install({
    logger: temporalLogger(log),
    telemetryOptions: { logging: { filter: 'WARN', forward: {} } },
  });

  const connection = await connectWorker(options.server);
  const identity = options.name ?? `${process.pid}@${hostname()}`;
  const { namespace } = options.server;
  const peers = new Peers({
    connection,
    namespace,
    taskQueue: QUEUES.main,
    identity,
    clock: systemClock,
    log: (line) => {
      log.info(line);
    },
  });
  const transport = createTransport({ clock: systemClock });
  const sessions = openSessions({
    accounts,
    clock: systemClock,
    transport,
    env: process.env,
    scale: options.timeScale ?? 1,
    turn: () => peers.turn(),
    log: (line) => {
      log.warn(line);
    },
  });
  try {
    const workers = await createWorkers({
      connection,
      namespace,
      identity,
      dataConverter,
      deps: {
        apis: CLOUD_APIS,
        sessions,
        accounts,
        clock: systemClock,
        terminations: new VisibleTerminations(new Client({ connection, namespace }), systemClock),
      },
    });
    log.info({ server: options.server.address, accounts: [...accounts.keys()] }, 'worker is ready');
    options.onReady?.();
    peers.start();
    await workers.run();
    log.info('worker has ended');
  } finally {
    await peers.stop();
    await connection.close();
    await transport.close();
  }
}
