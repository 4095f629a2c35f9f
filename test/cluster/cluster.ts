/** Temporal on PostgreSQL as docker-compose.yml has it: every container of it as a process, on an address of its own. */
import { execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Running, supervise, type Supervised } from '../../client/supervisor.js';
import { accepts, LOOPBACK } from '../../temporal/ports.js';
import { composeService, type Process, processOf, variablesOf } from '../support/compose.js';
import type { Image } from './image.js';
import { type Postgres, startPostgres } from './postgres.js';
import type { ClusterPrograms } from './programs.js';

const execute = promisify(execFile);

const SERVER = ['temporal-history', 'temporal-matching', 'temporal', 'temporal-worker'] as const;
type ServerService = (typeof SERVER)[number];

const POSTGRES_PORT = 5432;
const FRONTEND_PORT = 7233;
const METRICS_PORT = 8000;
const PASSWORD = 'only-for-this-test';
const SERVES_WITHIN_MS = 90_000;
const STOPS_WITHIN_MS = 20_000;

export interface Node {
  readonly service: ServerService;
  /** 127.x.y.z: each process can have its own, as each container has. */
  readonly host: string;
  pid(): number;
}

export interface Worker extends Supervised<Running> {
  /** Holds what it wrote. */
  readonly log: string;
  /** What its container's health check says. */
  isHealthy(): Promise<boolean>;
}

export interface Cluster {
  /** host:port of the frontend. */
  readonly address: string;
  readonly postgres: Postgres;
  nodes(service: ServerService): Node[];
  /** What a node serves to Prometheus. */
  metrics(node: Node): Promise<string>;
  /** The one-shot service once more; resolves with what it printed. */
  setUpNamespaces(): Promise<string>;
  startServer(): Promise<void>;
  stopServer(): Promise<void>;
  /**
   * An `uplift worker` as the compose file runs it; started again whenever it ends unasked.
   *
   * @param uid whom it belongs to; left out: whoever runs this
   */
  startWorker(name: string, accountsFile: string, uid?: number): Promise<Worker>;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly programs: ClusterPrograms;
  /** Folder of PostgreSQL's programs. */
  readonly postgresBin: string;
  readonly image: Image;
  /** Holds the databases and the processes' logs. */
  readonly directory: string;
  readonly report: (line: string) => void;
}

/** Runs the one-shot services and starts the others; resolves when all of it is ready for workers. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { programs, image, directory, report } = options;
  await mkdir(directory, { recursive: true });
  const network = `127.${randomInt(1, 255)}.${randomInt(256)}`;
  const host = (number: number): string => `${network}.${number}`;
  const path = { PATH: `${programs.folder}:${process.env['PATH'] ?? ''}` };
  const user = composeEnv('postgres', 'POSTGRES_USER');
  const postgres = await startPostgres({
    bin: options.postgresBin,
    host: host(1),
    port: POSTGRES_PORT,
    user,
    password: PASSWORD,
    directory: join(directory, 'postgres'),
  });
  const address = `${host(2)}:${FRONTEND_PORT}`;
  const nodes: (Node & { supervised: Supervised<Running> })[] = [];
  let workers = 100;

  const stopServer = async (): Promise<void> => {
    for (const { supervised } of nodes.splice(0).toReversed()) await supervised.stop();
  };
  const startServer = async (): Promise<void> => {
    let number = 2;
    const startAll = (services: readonly ServerService[]) =>
      services.flatMap((service) =>
        Array.from({ length: composeService(service).scale ?? 1 }, async () => {
          // The frontend is where everybody looks for it.
          const own = service === 'temporal' ? host(2) : host((number += 1));
          const values = { POSTGRES_ADDRESS: `${host(1)}:${POSTGRES_PORT}`, POSTGRES_PASSWORD: PASSWORD };
          const container = processOf(service, values);
          const start = (): Promise<Running> =>
            startProcess(
              { ...container, env: { ...container.env, ...path, BIND_ON_IP: own } },
              {
                cwd: directory,
                log: join(directory, `${service}-${own}.log`),
                ready: () => accepts(`${own}:${portOf(service)}`),
              },
            );
          const supervised = await supervise(`${service} on ${own}`, start, report);
          nodes.push({ service, host: own, pid: () => supervised.current().pid, supervised });
        }),
      );
    const isFirst = (service: ServerService): boolean => !SERVER.some((other) => dependsOn(service, other));
    await Promise.all(startAll(SERVER.filter(isFirst)));
    await Promise.all(startAll(SERVER.filter((service) => !isFirst(service))));
  };
  const stop = async (): Promise<void> => {
    await stopServer();
    await postgres.stop();
  };
  const setUpNamespaces = async (): Promise<string> => {
    const { command, args, env } = processOf('setup-namespaces', { TEMPORAL_ADDRESS: address });
    return (await execute(command, args, { cwd: image.directory, env: { ...env, ...path } })).stdout;
  };

  try {
    const schema = processOf('setup-schema', { SQL_HOST: host(1), SQL_PASSWORD: PASSWORD });
    const schemaEnv = { ...schema.env, ...path, SCHEMAS: programs.schemas };
    // At the next start it must find nothing to do.
    for (const _ of ['first start', 'next start']) await execute(schema.command, schema.args, { env: schemaEnv });
    await startServer();
    report((await setUpNamespaces()).trim());
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    address,
    postgres,
    nodes: (service) => nodes.filter((node) => node.service === service),
    metrics: async (node) => (await fetch(`http://${node.host}:${METRICS_PORT}/metrics`)).text(),
    setUpNamespaces,
    startServer,
    stopServer,
    startWorker: async (name, accountsFile, uid) => {
      const own = host((workers += 1));
      const at = (variable: string): string => composeEnv('worker', variable).replace(/^[^:]+/, own);
      const values = {
        TEMPORAL_ADDRESS: address,
        UPLIFT_ACCOUNTS: accountsFile,
        UPLIFT_HEALTH_ADDRESS: at('UPLIFT_HEALTH_ADDRESS'),
        UPLIFT_METRICS_ADDRESS: at('UPLIFT_METRICS_ADDRESS'),
      };
      const { command, args, env } = processOf('worker', values, image.entrypoint);
      const log = join(directory, `${name}.log`);
      const healthy = () => isHealthy('worker', own);
      const start = () =>
        startProcess(
          { command, args: [...args, '--name', name], env: { ...image.env, ...env, ...path, HOME: directory } },
          { cwd: image.directory, log, ready: healthy, ...(uid === undefined ? {} : { uid }) },
        );
      return { ...(await supervise(name, start, report)), log, isHealthy: healthy };
    },
    stop,
  };
}

function composeEnv(service: string, variable: string): string {
  const value = new Map(variablesOf(composeService(service))).get(variable);
  if (value === undefined) throw new Error(`service ${service} has no variable ${variable}`);
  return value;
}

/** Whether docker-compose starts `service` only when `other` is healthy. */
function dependsOn(service: ServerService, other: ServerService): boolean {
  return other in (composeService(service).depends_on ?? {});
}

/** What the service's own health check says of its process on `host`. */
async function isHealthy(service: string, host: string): Promise<boolean> {
  const [, command = '', ...args] = composeService(service).healthcheck?.test ?? [];
  const own = args.map((arg) => arg.replace(LOOPBACK, host));
  return execute(command, own).then(
    () => true,
    () => false,
  );
}

/** Where its health check knocks. */
function portOf(service: ServerService): number {
  const check = composeService(service).healthcheck?.test.join(' ') ?? '';
  const [, port] = / (\d+)$/.exec(check) ?? [];
  if (port === undefined) throw new Error(`the health check of ${service} names no port: ${check}`);
  return Number(port);
}

interface StartOptions {
  readonly cwd: string;
  readonly log: string;
  /** Asked again and again, with what it wrote so far. */
  readonly ready: (said: string) => boolean | Promise<boolean>;
  readonly uid?: number;
}

async function startProcess({ command, args, env }: Process, options: StartOptions): Promise<Running> {
  const { cwd, log, ready, uid } = options;
  const output = createWriteStream(log, { flags: 'a' });
  const child = spawn(command, args, {
    cwd,
    env,
    ...(uid === undefined ? {} : { uid, gid: uid }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.pipe(output, { end: false });
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  }
  const killNow = (): void => void child.kill('SIGKILL');
  process.once('exit', killNow);
  let hasEnded = false;
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  }).finally(() => {
    hasEnded = true;
    process.off('exit', killNow);
    output.end();
  });
  const deadline = Date.now() + SERVES_WITHIN_MS;
  while (!(await ready(said))) {
    if (hasEnded) throw new Error(`${[command, ...args].join(' ')} ended (${await ended}): see ${log}`);
    if (Date.now() > deadline) throw new Error(`${[command, ...args].join(' ')} is not ready: see ${log}`);
    await delay(100);
  }
  return {
    pid: child.pid ?? 0,
    ended,
    stop: async () => {
      child.kill('SIGTERM');
      const late = setTimeout(killNow, STOPS_WITHIN_MS);
      await ended;
      clearTimeout(late);
    },
  };
}
