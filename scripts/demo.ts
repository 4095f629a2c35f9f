/**
 * The demo: a Temporal server with its UI, the simulated clouds and a worker on this machine, and a rollout of 25
 * resources in three waves by the same commands that a user types. Exits 0 when every resource was upgraded once.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FLEET } from '../client/rehearsal.js';
import { listRollouts } from '../client/rollouts.js';
import { startStack, type Stack } from '../client/stack.js';
import { duplicates, type Truth } from '../simulator/truth.js';
import { connectClient } from '../temporal/connection.js';
import { freePorts } from '../temporal/ports.js';
import { resolveTemporal } from '../temporal/resolve.js';
import { rolloutWorkflowId } from '../workflows/contracts/ids.js';
import { optionsOf } from './options.js';

const MAIN = fileURLToPath(new URL('../client/main.js', import.meta.url));

const options = optionsOf('demo', {
  /** Leaves everything running at the end, until Ctrl-C. */
  keep: { type: 'boolean', default: false },
  /** Holds database, logs and state; a new folder that goes away at the end unless one is named. */
  directory: { type: 'string' },
  port: { type: 'string', default: '0' },
  'ui-port': { type: 'string', default: '0' },
});

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** Runs `uplift …` in this terminal; resolves with its exit code. */
async function uplift(env: NodeJS.ProcessEnv, ...args: string[]): Promise<number> {
  say(`\n$ uplift ${args.join(' ')}`);
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

async function demo(): Promise<number> {
  const temporal = await resolveTemporal({ report: say });
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'uplift-demo-')));
  const simulator = join(directory, 'simulator');
  const accounts = join(simulator, 'accounts.yaml');
  const [simulatorPort] = (await freePorts(1)) as [number];

  const { CLOUD_SDK_AK: _ak, CLOUD_SDK_SK: _sk, ...env } = process.env;
  const stack = await startStack({
    temporal,
    directory,
    accountsFile: accounts,
    port: Number(options.port),
    uiPort: Number(options['ui-port']),
    simulator: [
      ['--directory', simulator, '--port', String(simulatorPort), '--seed', 'demo'],
      ['--min', '2s', '--max', '6s'],
    ].flat(),
    durability: 'normal',
    env,
    report: say,
  });
  const asked = Promise.race(['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => once(process, signal))).then(() => 130);
  try {
    const pids = stack.pids();
    const server = pids.temporal === null ? '' : ` (pid ${pids.temporal})`;
    say(`Temporal ${stack.server.address}${server}, worker (pid ${pids.workers.join(', ')}), logs in ${directory}`);
    if (stack.uiUrl !== null) say(`UI       ${stack.uiUrl}`);
    say('Kill -9 the worker or the server meanwhile, if you like: both come back, and the rollout goes on.');
    const ended = await Promise.race([asked, rollOut(stack, env, simulator)]);
    const isRight = ended === 0 && (await tellTruth(`http://127.0.0.1:${simulatorPort}/_simulator/truth`));
    if (options.keep) {
      say('Everything stays up until Ctrl-C.');
      await asked;
    }
    return isRight ? 0 : ended === 0 ? 1 : ended;
  } finally {
    await stack.stop();
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
  }
}

/** Plan in, report out; resolves with the exit code of the rollout. */
async function rollOut(stack: Stack, env: NodeJS.ProcessEnv, simulator: string): Promise<number> {
  const connected = { ...env, TEMPORAL_ADDRESS: stack.server.address };
  const accounts = join(simulator, 'accounts.yaml');
  const plan = join(simulator, 'rollout.yaml');
  const applied = await uplift(connected, 'apply', plan, '--accounts', accounts, '--watch');

  const client = await connectClient(stack.server);
  try {
    const [latest] = await listRollouts(client, 1);
    if (latest === undefined) return applied;
    const reported = await uplift(connected, 'report', latest.rollout);
    const page = encodeURIComponent(rolloutWorkflowId(latest.rollout));
    const { namespace } = stack.server;
    if (stack.uiUrl !== null) {
      say(`\nIts page in the Temporal UI: ${stack.uiUrl}/namespaces/${namespace}/workflows/${page}`);
    }
    return applied === 0 ? reported : applied;
  } finally {
    await client.connection.close();
  }
}

/** What the clouds saw, whatever Uplift believes: `true` when each resource had exactly one accepted submit. */
async function tellTruth(url: string): Promise<boolean> {
  const truth = (await (await fetch(url)).json()) as Truth;
  const total = Object.values(FLEET).reduce((sum, number) => sum + number, 0);
  const upgraded = new Set(truth.submits.map(({ resource }) => resource));
  const twice = duplicates(truth);
  say(
    `\nThe clouds' own record: ${truth.submits.length} accepted submits for ${upgraded.size} of ${total} resources, ` +
      `${twice.length} upgraded twice, ${truth.violations.length} protocol violations, ${truth.calls} calls.`,
  );
  return truth.submits.length === total && upgraded.size === total && truth.violations.length === 0;
}

try {
  process.exitCode = await demo();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
