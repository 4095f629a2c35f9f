/** A chaos run: one rollout over a whole fleet, everything done to it that can be done, and the promises checked. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { systemClock, type Clock } from '../activities/clock.js';
import { startRollout } from '../client/rollouts.js';
import { rolloutReport } from '../client/rows.js';
import { describeRollout } from '../client/runs.js';
import { startStack, type Stack } from '../client/stack.js';
import type { ResourceRow } from '../client/views.js';
import { fraction } from '../simulator/random.js';
import { startSimulator, type Simulator } from '../simulator/server.js';
import { connectClient } from '../temporal/connection.js';
import type { ServerBinary } from '../temporal/binary.js';
import { RATES, SCALE, seedFleet, writeAccounts, type Fleet } from './fleet.js';
import { type Allowed, objectionTo, offencesIn, realityOf, type Reality } from './judge.js';
import { faultMix } from './mix.js';
import { planStrikes, strike, SubmitGate, type StrikeKind } from './strikes.js';
import { replayAll, searchForSecrets, type Search } from './traces.js';

export interface ChaosOptions {
  /** Everything random follows from it. */
  readonly seed: string;
  readonly upgrades: number;
  /** So long there are faults and kills; then there is peace, and what has not ended `PEACE_MS` later is lost. */
  readonly minutes: number;
  /** Holds database, logs and accounts. */
  readonly directory: string;
  readonly binary: ServerBinary;
  readonly env: NodeJS.ProcessEnv;
  readonly report: (line: string) => void;
}

export interface ChaosResult {
  readonly seconds: number;
  readonly upgrades: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly struck: Partial<Record<StrikeKind, number>>;
  /** By `outcome, really`. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly submits: { readonly accepted: number; readonly answersLost: number; readonly refused: number };
  readonly calls: number;
  /** Most calls of one account within a second, most submits among them, and how many were allowed. */
  readonly callsPeak: Peak;
  readonly submitsPeak: Peak;
  /** The longest that the simulated clouds answered nobody, in milliseconds: a busy machine is a fault of its own. */
  readonly longestStallMs: number;
  readonly search: Search;
  readonly replayed: number;
  readonly breaches: Breaches;
}

interface Peak {
  readonly seen: number;
  readonly allowed: number;
}

/** One line each; all of them empty, or a promise was broken. */
export interface Breaches {
  readonly lost: readonly string[];
  readonly duplicates: readonly string[];
  readonly wrongReports: readonly string[];
  readonly protocol: readonly string[];
  readonly rates: readonly string[];
  readonly secrets: readonly string[];
  readonly replay: readonly string[];
}

const PEACE_MS = 8 * 60_000;
/** So many upgrades in flight: the accounts' rates are what holds them back. */
const CONCURRENCY = 100;
const TOKEN_MS = 40_000;
/** The clouds' clock is off by up to a minute, as clocks are that nobody watches. */
const CLOCK_OFFSET_MS = 60_000;
const ROLLOUT = 'chaos';

/** Runs, judges and tells; it throws only for what keeps it from doing so. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, upgrades, directory, report } = options;
  const fleet = seedFleet(seed, upgrades);
  const clock = offsetClock((fraction(seed, 'clock') * 2 - 1) * CLOCK_OFFSET_MS);
  const submits = new SubmitGate();
  const stalls = monitorEventLoopDelay();
  stalls.enable();
  const simulator = await startSimulator({
    seed,
    clock,
    credentials: fleet.credentials,
    inventory: fleet.planned.map(({ resource }) => resource),
    tokenMs: TOKEN_MS,
    onCall: submits.watch,
  });
  let stack: Stack | null = null;
  try {
    stack = await startStack({
      temporal: { kind: 'embedded', binary: options.binary },
      directory,
      accountsFile: writeAccounts(join(directory, 'accounts'), fleet, simulator.url),
      port: 0,
      uiPort: 0,
      workers: 2,
      workerArguments: ['--time-scale', String(SCALE)],
      durability: 'normal',
      env: options.env,
      report,
    });
    const client = await connectClient(stack.server);
    const startedAt = Date.now();
    const struck = await breakEverything(options, fleet, { simulator, submits, stack, client });
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    report('everything has ended, or should have: judging');
    // What arrives while the clouds stand still is seen at once.
    const within = (rate: number): number => Math.ceil(rate * (1 + stalls.max / 1e9));
    const allowed = { calls: within(RATES.reads + RATES.writes), submits: within(RATES.writes) };
    const judged = await judge(client, fleet, simulator, clock, allowed);
    const { replayed, breaches: replay } = await replayAll(client);
    await client.connection.close();
    await stack.stop();
    stack = null;
    const search = await searchForSecrets(directory, fleet.secrets, ROLLOUT);
    const secrets = search.marked > 0 ? search.breaches : ['the search for secrets finds nothing at all'];
    return {
      ...judged,
      seconds,
      longestStallMs: Math.round(stalls.max / 1e6),
      upgrades,
      struck,
      search,
      replayed,
      breaches: { ...judged.breaches, replay, secrets },
    };
  } finally {
    await stack?.stop();
    await simulator.close();
  }
}

interface Running {
  readonly simulator: Simulator;
  readonly submits: SubmitGate;
  readonly stack: Stack;
  readonly client: Client;
}

/** Starts the rollout and strikes until it has ended, or its time is up and peace has not helped either. */
async function breakEverything(
  { seed, upgrades, minutes, report }: ChaosOptions,
  fleet: Fleet,
  { simulator, submits, stack, client }: Running,
): Promise<Partial<Record<StrikeKind, number>>> {
  simulator.faults.add(...faultMix(seed, fleet.planned));
  await startRollout(client, {
    rollout: ROLLOUT,
    planDigest: seed,
    startedBy: 'chaos',
    waves: [{ name: 'all', concurrency: CONCURRENCY, upgrades: fleet.planned.map(({ spec }) => spec) }],
    budget: { max: upgrades, mode: 'loose' },
    accountLimits: {},
    timing: { scale: SCALE },
  });
  const peace = new AbortController();
  const striking = strike(
    planStrikes(seed, upgrades),
    {
      accepted: () => simulator.truth().submits.length,
      pids: () => stack.pids(),
      revokeTokens: () => simulator.iam.revokeTokens(),
      submits,
      report,
    },
    peace.signal,
  );
  const hasEnded = async (byMs: number): Promise<boolean> => {
    while (Date.now() < byMs) {
      if (await rolloutHasEnded(client)) return true;
      await delay(500);
    }
    return false;
  };
  const endsInTime = await hasEnded(Date.now() + minutes * 60_000);
  peace.abort();
  if (!endsInTime) {
    report(`${minutes} minutes are over: no more faults`);
    simulator.faults.clear();
    await hasEnded(Date.now() + PEACE_MS);
  }
  return striking;
}

/** `false` too while the server is away. */
async function rolloutHasEnded(client: Client): Promise<boolean> {
  try {
    return (await describeRollout(client, ROLLOUT)).status.name !== 'RUNNING';
  } catch {
    return false;
  }
}

async function judge(client: Client, fleet: Fleet, simulator: Simulator, clock: Clock, allowed: Allowed) {
  const { rows } = await rolloutReport(client, ROLLOUT);
  const runs = await runsByWorkflow(client);
  const now = clock.now();
  const truth = simulator.truth();
  const realities = new Map<string, Reality>(
    fleet.planned.map(({ resource, to }) => [
      resource.id,
      realityOf(resource, to, simulator.inventory.operations(resource.id), now),
    ]),
  );
  const lost: string[] = [];
  const wrongReports: string[] = [];
  const outcomes: Record<string, number> = {};
  for (const { spec } of fleet.planned) {
    const { id, service } = spec.resource;
    const ends = rows.filter(({ resourceId }) => resourceId === id);
    const [row] = ends;
    const is = realities.get(id);
    if (row?.outcome === undefined || row.outcome === null || ends.length !== 1 || is === undefined) {
      lost.push(`${service} ${id} has no end: ${row === undefined ? 'no row' : standingOf(row)}`);
      continue;
    }
    const really = is.stage ?? 'upgraded by nobody';
    const key = `${row.outcome}, really ${really}${is.elsewhere > 0 ? ' (begun elsewhere)' : ''}`;
    outcomes[key] = (outcomes[key] ?? 0) + 1;
    const objection = objectionTo(is, { ...row, runs: runs.get(row.workflowId) ?? 0 });
    if (objection !== null) wrongReports.push(`${service} ${id} ${objection}`);
  }
  const { duplicates, protocol, rates } = offencesIn(truth, realities, allowed);
  return {
    outcomes,
    faults: truth.faults,
    submits: {
      accepted: truth.submits.length,
      answersLost: truth.submits.filter(({ answerLost }) => answerLost).length,
      refused: truth.refused.length,
    },
    calls: truth.calls,
    callsPeak: { seen: highest(truth.callsPerSecondPeak), allowed: allowed.calls },
    submitsPeak: { seen: highest(truth.submitsPerSecondPeak), allowed: allowed.submits },
    breaches: { lost, wrongReports, duplicates, protocol, rates },
  };
}

function highest(peaks: Readonly<Record<string, number>>): number {
  return Math.max(0, ...Object.values(peaks));
}

/** How many runs each workflow id of an upgrade has had. */
async function runsByWorkflow(client: Client): Promise<Map<string, number>> {
  const runs = new Map<string, number>();
  for await (const { workflowId } of client.workflow.list({ query: "WorkflowType = 'upgrade'" })) {
    runs.set(workflowId, (runs.get(workflowId) ?? 0) + 1);
  }
  return runs;
}

/** A cloud's clock: ours, and off. */
function offsetClock(offsetMs: number): Clock {
  return { now: () => systemClock.now() + Math.round(offsetMs), sleep: (ms, signal) => systemClock.sleep(ms, signal) };
}

function standingOf({ phase, reason, await: seen }: ResourceRow): string {
  return [phase, reason, seen?.state].filter((part) => part !== undefined && part !== '').join(', ');
}
