/** The CLI as a real process, and the processes it is tried with. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { freePorts } from '../../temporal/ports.js';

const MAIN = fileURLToPath(new URL('../../dist/client/main.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Nothing of this machine's own settings reaches the process. */
function cleanEnv(env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, ...env };
}

export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string): ChildProcess {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is not there: build first, by \`npm run build\``);
  return spawn(process.execPath, [MAIN, ...args], { env: cleanEnv(env), cwd, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs `uplift …` to its end. */
export async function uplift(args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string): Promise<Ended> {
  return endOf(start(args, env, cwd));
}

export async function endOf(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

export function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** A process that serves until it is stopped. */
export interface Service {
  stop(): Promise<Ended>;
}

/** Resolves once `ready` matches a line on stderr. */
export async function serve(args: readonly string[], ready: RegExp, env: NodeJS.ProcessEnv = {}): Promise<Service> {
  const child = start(args, env);
  const ended = endOf(child);
  await Promise.race([
    new Promise<void>((resolve) => {
      if (child.stderr === null) return;
      createInterface({ input: child.stderr }).on('line', (line) => {
        if (ready.test(line)) resolve();
      });
    }),
    ended.then(({ code, stderr }) => {
      throw new Error(`uplift ${args.join(' ')} ended with ${code}: ${stderr}`);
    }),
  ]);
  return {
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

export interface Rehearsal extends Service {
  readonly directory: string;
  readonly url: string;
  readonly accounts: string;
  readonly plan: string;
  /** Every key of the simulated accounts: what may be found nowhere else. */
  readonly secrets: readonly string[];
  dispose(): Promise<void>;
}

/** Nothing keeps a free port until it is used: where another test was quicker, the next one is taken. */
async function serveSimulator(args: readonly string[], triesLeft = 3): Promise<{ port: number; service: Service }> {
  const [port] = (await freePorts(1)) as [number];
  try {
    return { port, service: await serve(['simulator', '--port', String(port), ...args], /http:\/\//) };
  } catch (error) {
    if (triesLeft === 0 || !String(error).includes('is taken')) throw error;
    return serveSimulator(args, triesLeft - 1);
  }
}

/** `uplift simulator` in a folder of its own. */
export async function rehearsal(...args: string[]): Promise<Rehearsal> {
  const directory = await mkdtemp(join(tmpdir(), 'uplift-cli-'));
  const { port, service } = await serveSimulator(['--directory', directory, ...args]);
  const secrets = readdirSync(directory)
    .filter((name) => name.endsWith('.credentials.yaml'))
    .map((name) => (parse(readFileSync(join(directory, name), 'utf8')) as { secretKey: string }).secretKey);
  return {
    ...service,
    directory,
    url: `http://127.0.0.1:${port}`,
    accounts: join(directory, 'accounts.yaml'),
    plan: join(directory, 'rollout.yaml'),
    secrets,
    dispose: async () => {
      await service.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
