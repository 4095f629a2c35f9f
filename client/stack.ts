/** A whole installation on one machine: Temporal with its UI, the simulated clouds if wanted, and a worker. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connectClient, localTarget, type ServerTarget } from '../temporal/connection.js';
import { startDevServer, type DevServer } from '../temporal/dev-server.js';
import { ensureNamespace } from '../temporal/namespace.js';
import type { TemporalSource } from '../temporal/resolve.js';
import { supervise, type Running, type Supervised } from './supervisor.js';

export interface StackOptions {
  /** A server that runs already, or the program to run one by. */
  readonly temporal: TemporalSource;
  /** Holds the server's database and the processes' logs. */
  readonly directory: string;
  readonly accountsFile: string;
  /** 0 is any free one. */
  readonly port: number;
  readonly uiPort: number;
  /** Arguments of `uplift simulator`; without them no simulator is started. */
  readonly simulator?: readonly string[];
  /** How many worker processes; one when left out. */
  readonly workers?: number;
  /** Further arguments of `uplift worker`. */
  readonly workerArguments?: readonly string[];
  /** `full` when real accounts are upgraded: a power cut then takes nothing back. */
  readonly durability: 'normal' | 'full';
  readonly env: NodeJS.ProcessEnv;
  readonly report: (line: string) => void;
}

export interface Stack {
  readonly server: ServerTarget;
  /** `null` for a server of somebody else: it may have its UI anywhere. */
  readonly uiUrl: string | null;
  /** Process ids as they are now: a process that died has a new one. */
  pids(): { readonly temporal: number | null; readonly workers: readonly number[]; readonly simulator: number | null };
  /** Ends the workers first, then the simulator, then the server: nothing is left waiting for another. */
  stop(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const STOPS_WITHIN_MS = 65_000;
/**
 * glibc gives each thread of the SDK's native part a heap of its own, up to eight per core, and takes little back from
 * any; and once a large block was freed, it takes such from its heaps as well, where they leave gaps. Read at the start of a
 * process only.
 */
export const BOUNDED_MALLOC = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };

/** Starts everything and keeps it alive. The first start of each process has to succeed; later ones are tried again. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { directory, report } = options;
  await mkdir(directory, { recursive: true });
  const started: Supervised<Running>[] = [];
  const keep = async <T extends Running>(name: string, start: () => Promise<T>): Promise<Supervised<T>> => {
    const supervised = await supervise(name, start, report);
    started.unshift(supervised);
    return supervised;
  };
  const stop = async () => {
    for (const supervised of started) await supervised.stop();
  };

  try {
    const { temporal } = options;
    const embedded =
      temporal.kind === 'embedded'
        ? await keep('the Temporal server', serverStarter(options, temporal.binary.path))
        : null;
    const server = temporal.kind === 'server' ? temporal.target : localTarget(embedded?.current().address);
    if (temporal.kind === 'server') await prepare(server, report);
    const env = embedded === null ? options.env : { ...options.env, TEMPORAL_ADDRESS: server.address };

    const { simulator: simulatorArguments } = options;
    const simulator =
      simulatorArguments === undefined
        ? null
        : await keep('the simulator', () =>
            startCommand(['simulator', ...simulatorArguments], /http:\/\//, env, join(directory, 'simulator.log')),
          );
    const workerEnv = { ...BOUNDED_MALLOC, ...env };
    const workers: Supervised<Running>[] = [];
    for (let number = 1; number <= (options.workers ?? 1); number += 1) {
      const [name, log] = number === 1 ? ['the worker', 'worker.log'] : [`worker ${number}`, `worker-${number}.log`];
      // The same name again after a restart: the others, and the server, take it for the one that died.
      const identity = `worker-${number}.${process.pid}@${hostname()}`;
      const command = [
        'worker',
        '--accounts',
        options.accountsFile,
        '--name',
        identity,
        ...(options.workerArguments ?? []),
      ];
      workers.push(await keep(name, () => startCommand(command, /worker is ready/, workerEnv, join(directory, log))));
    }
    return {
      server,
      uiUrl: embedded?.current().uiUrl ?? null,
      pids: () => ({
        temporal: embedded?.current().pid ?? null,
        workers: workers.map((worker) => worker.current().pid),
        simulator: simulator?.current().pid ?? null,
      }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts the embedded server, and again where everybody looks for it. */
function serverStarter(options: StackOptions, binary: string): () => Promise<DevServer> {
  let ports = { port: options.port, uiPort: options.uiPort };
  return async () => {
    const server = await startDevServer({
      ...ports,
      binary,
      dbFile: join(options.directory, 'temporal.db'),
      durability: options.durability,
      fastTimers: true,
      detached: true,
    });
    ports = { port: portOf(`http://${server.address}`), uiPort: portOf(server.uiUrl) };
    return server;
  };
}

/** What an embedded server gets by itself: retention and search attributes. */
async function prepare(server: ServerTarget, report: (line: string) => void): Promise<void> {
  const client = await connectClient(server);
  try {
    for (const { ok, what, remedy } of await ensureNamespace(client, { fix: true })) {
      if (!ok) report(`${what} (${remedy})`);
    }
  } finally {
    await client.connection.close();
  }
}

/**
 * Runs `uplift …` as a process of its own, out of the terminal's group, so that Ctrl-C reaches only its owner. Resolves
 * when it has written a line that matches `ready`.
 */
async function startCommand(
  args: readonly string[],
  ready: RegExp,
  env: NodeJS.ProcessEnv,
  logFile: string,
): Promise<Running> {
  const child = spawn(process.execPath, [MAIN, ...args], { env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  const log = createWriteStream(logFile, { flags: 'a' });
  const killNow = () => child.kill('SIGKILL');
  process.once('exit', killNow);
  const ended = endOf(child).finally(() => {
    process.off('exit', killNow);
    log.end();
  });
  await Promise.race([
    new Promise<void>((resolve) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        log.write(`${line}\n`);
        if (ready.test(line)) resolve();
      });
    }),
    ended.then((how) => {
      throw new Error(`uplift ${args[0]} did not start (${how}); see ${logFile}`);
    }),
  ]);
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

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      resolve(error.message);
    });
    child.once('close', (code, signal) => {
      resolve(signal ?? `exit code ${code}`);
    });
  });
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
