import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import type { Report } from './cache.js';
import { isAlive } from './cache.js';
import { DEFAULT_PORT, connectClient, localTarget } from './connection.js';
import { TemporalSetupError, lineOf } from './errors.js';
import { ensureNamespace } from './namespace.js';
import { LOOPBACK, accepts, assertPortFree, freePorts } from './ports.js';

export const DEFAULT_UI_PORT = 8233;

/**
 * Its heap may grow to three times what is in use before garbage is collected, instead of twice: that takes a tenth of
 * its CPU (by profile), and its heap is small.
 */
const GARBAGE_PERCENT = '200';

const SERVES_WITHIN_MS = 60_000;
const STOPS_WITHIN_MS = 10_000;
const LAST_LINES = 3;
const STARTS = 3;
/** So a panic begins, after a line or two of what led to it; the rest says where each of its threads was. */
const PANIC = /^(panic|fatal error): /;
/** What may be otherwise at the next start. It and we choose free ports, of which another program may take one meanwhile. */
const MAY_PASS = /address already in use|\b(panic|fatal error): /;

export interface DevServerOptions {
  /** Path of the `temporal` program; see `findServerBinary`. */
  readonly binary: string;
  /** SQLite file, made with its folder when it is not there. Without it everything is in memory. */
  readonly dbFile?: string;
  /** For gRPC; 0 is any free one. Default 7233. */
  readonly port?: number;
  /** For the web UI; 0 is any free one. Default 8233. */
  readonly uiPort?: number;
  /**
   * SQLite's `synchronous`. With `normal` a power cut may take the last moments back (a killed process does not);
   * with `full` every commit is on disk, at 2 to 3 times the cost.
   */
  readonly durability?: 'normal' | 'full';
  /**
   * Fires timers, time-outs and retries within 10 ms instead of about 1 s, which only several hosts with clocks of their
   * own need.
   */
  readonly fastTimers?: boolean;
  /** Further settings of the server's own, by name, each as JSON. */
  readonly dynamicConfig?: Readonly<Record<string, string>>;
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'never';
  /** The server's log, a line at a time. */
  readonly onLog?: Report;
  /** Out of the terminal's process group: Ctrl-C then reaches only the owner, who ends its workers before it. */
  readonly detached?: boolean;
}

export interface DevServer {
  /** host:port for gRPC. */
  readonly address: string;
  readonly uiUrl: string;
  readonly pid: number;
  /** Resolves when it has ended, asked or not, with one line saying how. */
  readonly ended: Promise<string>;
  /** Ends it: by SIGTERM, after 10 s by SIGKILL. Nothing that was acknowledged is lost by either. */
  stop(): Promise<void>;
}

/**
 * Starts Temporal's development server on loopback with its web UI, and makes its namespace `default` ready for us.
 * Resolves when it serves. Starting again on the same file continues everything that was running. One that panics on the
 * way, or has lost a port that was free, is started again, twice at most.
 *
 * @throws TemporalSetupError when a port is taken, the file is in use or the server dies on the way.
 */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  for (let start = 1; ; start += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (start === STARTS || !(error instanceof DiedError) || !MAY_PASS.test(error.message)) throw error;
      options.onLog?.(`${error.message}: it is started again`);
    }
  }
}

/** It has ended before it served. */
class DiedError extends TemporalSetupError {}

async function startOnce(options: DevServerOptions): Promise<DevServer> {
  const { port, uiPort } = await choosePorts(options.port ?? DEFAULT_PORT, options.uiPort ?? DEFAULT_UI_PORT);
  const address = `${LOOPBACK}:${port}`;
  const release = options.dbFile === undefined ? noRelease : await claim(options.dbFile, address);

  const child = spawn(options.binary, serverArguments(options, port, uiPort), {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: options.detached ?? false,
    env: { GOGC: GARBAGE_PERCENT, ...process.env },
  });
  const ended = watchEnd(child, options.onLog).then(async (how) => {
    await release.now();
    return how;
  });
  // Else an owner that ends without stopping it would leave it behind.
  const killNow = () => child.kill('SIGKILL');
  process.once('exit', killNow);
  void ended.then(() => process.off('exit', killNow));

  const stop = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(killNow, STOPS_WITHIN_MS);
    await ended;
    clearTimeout(late);
  };
  const starting = new AbortController();
  try {
    await release.holdFor(child.pid);
    await Promise.race([
      becomeReady(address, starting.signal),
      ended.then((how) => {
        throw new DiedError(`The Temporal server ${options.binary} did not start: ${how}`, remedyFor(how));
      }),
    ]);
  } catch (error) {
    starting.abort();
    await stop();
    throw error;
  }
  return { address, uiUrl: `http://${LOOPBACK}:${uiPort}`, pid: child.pid as number, ended, stop };
}

async function choosePorts(port: number, uiPort: number): Promise<{ port: number; uiPort: number }> {
  const [free, freeUi] = (await freePorts(2)) as [number, number];
  if (port !== 0) await assertPortFree(port, 'the Temporal server');
  if (uiPort !== 0) await assertPortFree(uiPort, 'the Temporal UI');
  return { port: port === 0 ? free : port, uiPort: uiPort === 0 ? freeUi : uiPort };
}

function serverArguments(options: DevServerOptions, port: number, uiPort: number): string[] {
  const args = ['server', 'start-dev', '--ip', LOOPBACK, '--port', String(port), '--ui-port', String(uiPort)];
  args.push('--log-level', options.logLevel ?? 'warn');
  if (options.dbFile !== undefined) {
    // The default pragmas cost 2 to 3 times the disk writes and as much throughput.
    args.push('--db-filename', options.dbFile, '--sqlite-pragma', 'journal_mode=wal');
    args.push('--sqlite-pragma', `synchronous=${options.durability ?? 'normal'}`);
  }
  for (const { name } of Object.values(ATTRIBUTES)) args.push('--search-attribute', `${name}=Keyword`);
  const settings = {
    // By default it reads all it knows of search attributes anew for each that is written, so that new ones are there at
    // once: a quarter of what an upgrade costs it. Ours are there from its start.
    'system.forceSearchAttributesCacheRefreshOnRead': 'false',
    // A queue whose tasks were all of one namespace at its checkpoint is kept apart from what comes later; for half a minute,
    // each new task then has all the later ones copied: a fifth of a busy server's CPU. So no queue is told apart by that.
    'history.queueMaxPredicateSize': '1',
    ...(options.fastTimers === true ? { 'history.timerProcessorMaxTimeShift': '"10ms"' } : {}),
    ...options.dynamicConfig,
  };
  for (const [name, value] of Object.entries(settings)) args.push('--dynamic-config-value', `${name}=${value}`);
  return args;
}

/** Follows a child to its end; resolves with how it ended and its last words. */
function watchEnd(child: ChildProcess, onLog: Report | undefined): Promise<string> {
  const lines: string[] = [];
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      onLog?.(line);
      if (PANIC.test(lines.at(-1) ?? '')) return;
      lines.push(line);
      if (lines.length > LAST_LINES) lines.shift();
    });
  }
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => {
      const how = signal === null ? `exit code ${code}` : signal;
      resolve(code === 0 || lines.length === 0 ? how : `${how}: ${lines.join(' | ')}`);
    });
  });
}

function remedyFor(how: string): string {
  if (how.includes('address already in use')) return 'choose another port, or stop what listens there';
  if (how.includes('database file')) return 'choose a file that can be written';
  return 'try again; if the program is broken, delete it to have another one found';
}

async function becomeReady(address: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + SERVES_WITHIN_MS;
  while (!(await accepts(address))) {
    if (signal.aborted) return;
    if (Date.now() > deadline) {
      throw new TemporalSetupError(`The Temporal server on ${address} does not serve`, 'try again');
    }
    await delay(50);
  }
  const client = await connectClient(localTarget(address));
  try {
    const unmet = (await ensureNamespace(client, { fix: true })).filter((finding) => !finding.ok);
    if (unmet.length > 0) {
      throw new TemporalSetupError(unmet.map((finding) => finding.what).join('; '), unmet[0]?.remedy ?? '');
    }
  } finally {
    await client.connection.close();
  }
}

interface Claim {
  /** From now on the claim lives as long as this process. */
  holdFor(pid: number | undefined): Promise<void>;
  now(): Promise<void>;
}

const noRelease: Claim = { holdFor: async () => {}, now: async () => {} };

/** Time in which a server that was just started need not listen yet. */
const STARTING_MS = 60_000;

/**
 * Claims a database file by a file beside it. The server itself starts without complaint on one that another server
 * is using, and both would go on to spoil it.
 */
async function claim(dbFile: string, address: string): Promise<Claim> {
  const file = `${dbFile}.server`;
  const write = (pid: number, flag: 'wx' | 'w') => writeFile(file, JSON.stringify({ pid, address }), { flag });
  try {
    await mkdir(dirname(dbFile), { recursive: true });
    await write(process.pid, 'wx').catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      await assertAbandoned(dbFile, file);
      await write(process.pid, 'w');
    });
  } catch (error) {
    if (error instanceof TemporalSetupError) throw error;
    throw new TemporalSetupError(`${dbFile} cannot be used: ${lineOf(error)}`, 'choose a file that can be written');
  }
  return {
    holdFor: async (pid) => (pid === undefined ? undefined : write(pid, 'w')),
    now: () => rm(file, { force: true }),
  };
}

/** Throws when the holder lives. A process id alone proves little after a reboot, so it must listen as well. */
async function assertAbandoned(dbFile: string, file: string): Promise<void> {
  let holder: { pid: number; address: string };
  try {
    holder = JSON.parse(await readFile(file, 'utf8')) as typeof holder;
  } catch {
    return;
  }
  if (!isAlive(holder.pid)) return;
  const starting = Date.now() - (await stat(file)).mtimeMs < STARTING_MS;
  if (!starting && !(await accepts(holder.address))) return;
  throw new TemporalSetupError(
    `${dbFile} is in use by the Temporal server with process id ${holder.pid} on ${holder.address}`,
    `set TEMPORAL_ADDRESS=${holder.address} to use that one, or stop it`,
  );
}
