/** Freezes, for people: created, listed and lifted in the ledger, which needs no worker for that. */
import { randomUUID } from 'node:crypto';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { mapAtOnce } from '../temporal/reads.js';
import { LedgerRefusal, readLedger, writeLedger } from '../temporal/ledger.js';
import type { Act } from '../workflows/contracts/control.js';
import { covers, endOf, type Freeze, isActive } from '../workflows/contracts/freezes.js';
import type { RolloutInput } from '../workflows/contracts/rollout.js';
import { upgradesOf } from './inventory.js';
import { NotTakenError } from './upgrades.js';

type Signed = Pick<Act, 'actor' | 'reason'>;

/**
 * Freezes what `scope` covers: from when this returns, every submit is refused within seconds, wherever its worker is.
 *
 * @throws NotTakenError
 */
export async function createFreeze(
  client: Client,
  { scope, except, until }: Pick<Freeze, 'scope' | 'except' | 'until'>,
  { actor, reason }: Signed,
): Promise<Freeze> {
  const id = `freeze-${randomUUID().slice(0, 8)}`;
  const freeze = { id, scope, except, until, reason, owner: actor };
  const after = await taken(() => writeLedger(client, 'freezes', { kind: 'create', freeze }));
  return one(after, id);
}

/**
 * Lifts a freeze before its end. It takes another person than the one who created it.
 *
 * @throws NotTakenError saying why not
 */
export async function liftFreeze(client: Client, id: string, { actor, reason }: Signed): Promise<Freeze> {
  return one(await taken(() => writeLedger(client, 'freezes', { kind: 'lift', id, by: actor, reason })), id);
}

/** Those that hold now, the latest last; with `all` also those that have ended in the last 90 days. */
export async function listFreezes(client: Client, { all }: { readonly all: boolean }): Promise<readonly Freeze[]> {
  const freezes = await readLedger(client, 'freezes');
  return all ? freezes : freezes.filter((freeze) => isActive(freeze, Date.now()));
}

/** Freezes that held something of a rollout while it ran. */
export async function freezesDuring(
  client: Client,
  run: Pick<WorkflowExecutionDescription, 'startTime' | 'closeTime'>,
  { rollout, waves }: RolloutInput,
): Promise<readonly Freeze[]> {
  const freezes = await readLedger(client, 'freezes');
  const until = run.closeTime?.getTime() ?? Date.now();
  const during = freezes.filter(
    (freeze) => Date.parse(freeze.since) <= until && endOf(freeze) >= run.startTime.getTime(),
  );
  if (during.length === 0) return [];
  const specs = (await mapAtOnce(waves, (wave) => upgradesOf(client, wave))).flat();
  return during.filter((freeze) =>
    specs.some(({ resource, tags = {} }) => covers(freeze, { resource, rollout, tags })),
  );
}

function one(freezes: readonly Freeze[], id: string): Freeze {
  const found = freezes.find((freeze) => freeze.id === id);
  if (found === undefined) throw new NotTakenError(`${id} was removed again meanwhile`);
  return found;
}

async function taken<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof LedgerRefusal) throw new NotTakenError(error.message);
    throw error;
  }
}
