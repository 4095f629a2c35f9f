/** A simulated fleet that outlives servers and workers, and the commands of somebody who upgrades it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { ResourceCall } from '../../client/views.js';
import { duplicates, type Truth } from '../../simulator/truth.js';
import { freePorts } from '../../temporal/ports.js';
import type { PhaseBegin } from '../../workflows/contracts/upgrade.js';
import { serve, uplift } from '../cli/cli.js';

/** A rollout of 25 resources takes about a minute; this is for a machine with much else to do. */
const WITHIN_MS = 5 * 60_000;

export interface Rehearsal {
  readonly accounts: string;
  /** What the clouds have seen until now, by their own record. */
  truth(): Promise<Truth>;
  /** Resolves when so many submits have been accepted. */
  submitted(count: number): Promise<void>;
  /** Starts the rollout of all that there is; resolves with its id. */
  begin(address: string): Promise<string>;
  /** The report once the rollout has ended, with the exit code of `uplift watch`: 124 when it does not end. */
  end(address: string, rollout: string): Promise<{ readonly code: number | null; readonly report: unknown }>;
}

/** Starts a simulator that ends with the test; `options` are those of `uplift simulator`, as typed. */
export async function startRehearsal(directory: string, options: string): Promise<Rehearsal> {
  await mkdir(directory, { recursive: true });
  const [port] = (await freePorts(1)) as [number];
  const at = ['--directory', directory, '--port', String(port)];
  const simulator = await serve(['simulator', ...at, ...options.split(' ')], /http:\/\//);
  onTestFinished(async () => void (await simulator.stop()));
  const accounts = join(directory, 'accounts.yaml');
  const truth = async (): Promise<Truth> =>
    (await (await fetch(`http://127.0.0.1:${port}/_simulator/truth`)).json()) as Truth;
  return {
    accounts,
    truth,
    submitted: async (count) => {
      const deadline = Date.now() + WITHIN_MS;
      for (let seen = 0; seen < count; seen = (await truth()).submits.length) {
        if (Date.now() > deadline) throw new Error(`only ${seen} of ${count} submits were accepted`);
        await delay(50);
      }
    },
    begin: async (address) => {
      const plan = join(directory, 'rollout.yaml');
      const applied = await uplift(['apply', plan, '--accounts', accounts, '-o', 'json'], {
        TEMPORAL_ADDRESS: address,
      });
      if (applied.code !== 0) throw new Error(`uplift apply: ${applied.code} ${applied.stderr}`);
      return (JSON.parse(applied.stdout) as { rollout: string }).rollout;
    },
    end: async (address, rollout) => {
      const env = { TEMPORAL_ADDRESS: address };
      const { code } = await uplift(['watch', rollout, '--timeout', `${WITHIN_MS}ms`], env);
      const { stdout } = await uplift(['report', rollout, '-o', 'json'], env);
      return { code, report: JSON.parse(stdout) as unknown };
    },
  };
}

/** Resources that took in more than one submit, and every other breach of the clouds' rules. */
export function offences(truth: Truth): unknown[] {
  return [...duplicates(truth), ...truth.violations];
}

/** Of a report, or of one resource's result in it, where they name none. */
type Call = Partial<ResourceCall>;

const byResource = (one: Call, other: Call) => (one.resourceId ?? '').localeCompare(other.resourceId ?? '');

/**
 * A report without what no two runs share: moments, ids that server and clouds gave, how often was polled, and who had to
 * wait for its turn. All that Uplift itself names and decides is left.
 */
export function normalised(value: unknown, key = ''): unknown {
  // Those of resources in flight together come in any order; each resource's own stay in theirs.
  if (key === 'calls') return normalised((value as Call[]).toSorted(byResource));
  // Where reading took longer than a send may lie behind it, the upgrade waits and looks again.
  if (key === 'phases') return normalised((value as PhaseBegin[]).filter(({ phase }) => phase !== 'Waiting'));
  if (Array.isArray(value)) return value.map((one) => normalised(one));
  if (typeof value === 'object' && value !== null) {
    const parts = Object.entries(value).map(([name, part]) => {
      const isOperation = key === 'operation' && name === 'id';
      return [name, normalised(part, isOperation ? 'operationId' : name)];
    });
    return Object.fromEntries(parts) as unknown;
  }
  if (value === null) return null;
  if (['runId', 'requestId', 'operationId', 'polls'].includes(key)) return key;
  if (typeof value !== 'string') return value;
  // A wave's workflow id holds the beginning of its rollout's run id.
  return value.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/, 'moment').replace(/^(wave\/[^/]+)\/[0-9a-f]{8}\//, '$1/runId/');
}
