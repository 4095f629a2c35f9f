/** The freezes that hold: read from the ledger, at most about once a second by each process, however many ask. */
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { readLedger } from '../temporal/ledger.js';
import { type Freeze, isActive } from '../workflows/contracts/freezes.js';
import type { FreezeSteps, FreezeWaits } from '../workflows/contracts/steps.js';
import { type Clock, Stopwatch } from './clock.js';
import { beating } from './step.js';

/** How long the server may take to answer, and how much of it a worker may have a task of the ledger. */
const WITHIN_MS = 5_000;
const TAKEN_MS = 4_000;
/** An answer is as old as its question, and used for so long. */
const FRESH_MS = 1_000;
/** Between two looks for the end of a freeze. */
const LOOK_EVERY_MS = 2_000;
const BEAT_MS = 8_000;

/** All freezes that the ledger knows, also those that have ended: whoever asks has his own clock. */
export type FreezesOf = () => Promise<readonly Freeze[]>;

/** @throws the server's error: who cannot ask may not send, and no older answer stands in for one */
export function freezesReader(clock: Clock, clientOf: () => Client = () => Context.current().client): FreezesOf {
  let latest: { readonly age: Stopwatch; readonly answer: Promise<readonly Freeze[]> } | null = null;
  return async () => {
    if (latest === null || latest.age.atMost() > FRESH_MS) {
      const client = clientOf();
      const asked = {
        age: new Stopwatch(clock),
        answer: client.withDeadline(Date.now() + WITHIN_MS, () => readLedger(client, 'freezes', TAKEN_MS)),
      };
      latest = asked;
      asked.answer.catch(() => {
        if (latest === asked) latest = null;
      });
    }
    return latest.answer;
  };
}

/** Those that hold now. */
export async function holding(clock: Clock, freezesOf: FreezesOf): Promise<readonly Freeze[]> {
  return (await freezesOf()).filter((freeze) => isActive(freeze, clock.now()));
}

export function freezeSteps(clock: Clock, freezesOf: FreezesOf): FreezeSteps {
  return { readFreezes: () => holding(clock, freezesOf) };
}

export function freezeWaits(clock: Clock, freezesOf: FreezesOf): FreezeWaits {
  return {
    freezesEnded: async (ids) => {
      const signal = Context.current().cancellationSignal;
      return beating(
        BEAT_MS,
        () => ids,
        async () => {
          for (;;) {
            const left = await holding(clock, freezesOf);
            if (ids.some((id) => left.every((freeze) => freeze.id !== id))) return left;
            await clock.sleep(LOOK_EVERY_MS, signal);
          }
        },
      );
    },
  };
}
