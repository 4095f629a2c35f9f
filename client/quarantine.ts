/** Resources that keep failing, for people: listed and released in the ledger, which needs no worker for that. */
import type { Client } from '@temporalio/client';
import { LedgerRefusal, readLedger, writeLedger } from '../temporal/ledger.js';
import type { Act } from '../workflows/contracts/control.js';
import type { Failing } from '../workflows/contracts/quarantine.js';
import { NotTakenError } from './upgrades.js';

export interface QuarantineRow extends Failing {
  /** The upgrade's workflow id, which names cloud, service, region and resource. */
  readonly workflowId: string;
}

/** Those that fail now, the most often first; with `all` also those that people released. */
export async function listQuarantine(
  client: Client,
  { all }: { readonly all: boolean },
): Promise<readonly QuarantineRow[]> {
  const known = Object.entries(await readLedger(client, 'quarantine'));
  return known
    .map(([workflowId, failing]) => ({ workflowId, ...failing }))
    .filter(({ failures }) => all || failures > 0)
    .toSorted((a, b) => b.failures - a.failures || (a.workflowId < b.workflowId ? -1 : 1));
}

/**
 * Lets a resource be tried again: it counts from nothing.
 *
 * @param resource its id, or the workflow id of its upgrade where several resources have the same
 * @throws NotTakenError saying why not
 */
export async function releaseFromQuarantine(
  client: Client,
  resource: string,
  { actor, reason }: Pick<Act, 'actor' | 'reason'>,
): Promise<QuarantineRow> {
  const failing = await listQuarantine(client, { all: false });
  const meant = failing.filter(({ workflowId }) => workflowId === resource || workflowId.endsWith(`/${resource}`));
  const [one, ...others] = meant;
  if (one === undefined) throw new NotTakenError(`no failure of ${resource} is known: uplift quarantine list`);
  if (others.length > 0) {
    throw new NotTakenError(
      `${resource} may be any of ${meant.map(({ workflowId }) => workflowId).join(', ')}: name one of these`,
    );
  }
  const { workflowId } = one;
  try {
    const after = await writeLedger(client, 'quarantine', { kind: 'release', workflowId, by: actor, reason });
    return { workflowId, ...(after[workflowId] ?? one) };
  } catch (error) {
    if (error instanceof LedgerRefusal) throw new NotTakenError(error.message);
    throw error;
  }
}
