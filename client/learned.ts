/** What the server knows, for a plan that may be made without one. */
import { connect } from 'node:net';
import type { Client } from '@temporalio/client';
import { configuredTarget, connectClient } from '../temporal/connection.js';
import { readLedger } from '../temporal/ledger.js';
import { serverTarget, type ServerOptions } from './context.js';
import { ATTRIBUTES } from '../workflows/contracts/search-attributes.js';
import { type Learned, type Lease, NOTHING_LEARNED } from './forecast.js';

/** A server that is there takes a connection at once. */
const CONNECTS_WITHIN_MS = 1_500;
const ANSWERS_WITHIN_MS = 5_000;

export async function readLearned(client: Client): Promise<Learned> {
  const [durations, freezes, quarantine, leases] = await Promise.all([
    readLedger(client, 'durations'),
    readLedger(client, 'freezes'),
    readLedger(client, 'quarantine'),
    readLeases(client),
  ]);
  return { durations, freezes, quarantine, leases };
}

/** As visibility has them, about a second behind. */
async function readLeases(client: Client): Promise<Lease[]> {
  const leases: Lease[] = [];
  const query = "WorkflowType = 'upgrade' AND ExecutionStatus = 'Running'";
  for await (const { workflowId, startTime, typedSearchAttributes } of client.workflow.list({ query })) {
    const rollout = typedSearchAttributes.get(ATTRIBUTES.rollout) ?? 'none';
    leases.push({ workflowId, rollout, startedAt: startTime.getTime() });
  }
  return leases;
}

/** Without a server: nothing; and `why`, where one was named. */
export async function learnedIfAny(
  options: ServerOptions,
): Promise<{ readonly learned: Learned; readonly why: string | null }> {
  const target = serverTarget(options);
  const nothing = (why: string) => ({ learned: NOTHING_LEARNED, why });
  if (!(await answers(target.address))) {
    const isNamed = options.address !== undefined || configuredTarget() !== null;
    return isNamed
      ? nothing(`no Temporal server answers at ${target.address}`)
      : { learned: NOTHING_LEARNED, why: null };
  }
  try {
    const client = await connectClient(target);
    const read = () => readLearned(client);
    return { learned: await client.withDeadline(Date.now() + ANSWERS_WITHIN_MS, read), why: null };
  } catch (error) {
    return nothing((error as Error).message.split('\n')[0] ?? '');
  }
}

function answers(address: string): Promise<boolean> {
  const [, host = address, port = '7233'] = /^(.*?)(?::(\d+))?$/.exec(address) ?? [];
  return new Promise((resolve) => {
    const socket = connect({ host: host.replaceAll(/^\[|\]$/g, ''), port: Number(port), timeout: CONNECTS_WITHIN_MS });
    const tell = (does: boolean) => () => {
      socket.destroy();
      resolve(does);
    };
    socket.once('connect', tell(true)).once('error', tell(false)).once('timeout', tell(false));
  });
}
