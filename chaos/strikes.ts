/** What happens to our own processes: planned from the seed, by how far the clouds' own record has come. */
import { setTimeout as delay } from 'node:timers/promises';
import { fraction, pick } from '../simulator/random.js';

export type StrikeKind =
  | 'kill -9 a worker'
  | 'kill -9 both workers'
  | 'kill -9 the server'
  /** SIGSTOP past every time-out by which a dead worker is noticed, then SIGCONT. */
  | 'stop a worker for a while'
  /** What a changed password does. */
  | 'revoke all tokens';

export interface Strike {
  readonly kind: StrikeKind;
  /** When so many submits have been accepted. */
  readonly atSubmits: number;
  /** And so much later: in the middle of whatever is going on then. */
  readonly afterMs: number;
  /** 0 or 1. */
  readonly worker: number;
  /** For how long a worker is stopped. */
  readonly forMs: number;
}

/** After so large a share of the submits nothing strikes any more. */
const LAST_STRIKE_AT = 0.85;
const KILLS: readonly [StrikeKind, ...StrikeKind[]] = [
  'kill -9 a worker',
  'kill -9 a worker',
  'kill -9 a worker',
  'kill -9 the server',
  'kill -9 the server',
  'kill -9 both workers',
];

/** One kill for 18 upgrades, at least four, and among them one of each kind. */
export function planStrikes(seed: string, upgrades: number): Strike[] {
  const kills = Math.max(4, Math.ceil(upgrades / 18));
  const others = Math.max(1, Math.floor(upgrades / 100));
  const kinds: StrikeKind[] = [
    ...Array.from({ length: kills }, (_, index) => KILLS[index + 2] ?? pick(KILLS, seed, 'kill', index)),
    ...Array<StrikeKind>(others).fill('stop a worker for a while'),
    ...Array<StrikeKind>(others).fill('revoke all tokens'),
  ];
  const shuffled = kinds
    .map((kind, index) => ({ kind, at: fraction(seed, 'strike order', index) }))
    .toSorted((a, b) => a.at - b.at);
  return shuffled.map(({ kind }, index) => {
    const roll = (what: string): number => fraction(seed, 'strike', index, what);
    return {
      kind,
      atSubmits: 1 + Math.floor(((index + roll('at')) / shuffled.length) * upgrades * LAST_STRIKE_AT),
      afterMs: Math.round(roll('after') * 500),
      worker: roll('worker') < 0.5 ? 0 : 1,
      forMs: Math.round(4_000 + roll('for') * 6_000),
    };
  });
}

export interface Battlefield {
  /** Submits that the clouds have accepted by now. */
  accepted(): number;
  pids(): { readonly temporal: number | null; readonly workers: readonly number[] };
  revokeTokens(): void;
  /** Told one line of each strike. */
  report(line: string): void;
}

const LOOK_EVERY_MS = 50;

/**
 * Carries the plan out until it is done or `signal` aborts. Nothing is killed twice: what was killed is waited for.
 *
 * @returns how often each kind really struck
 */
export async function strike(
  plan: readonly Strike[],
  field: Battlefield,
  signal: AbortSignal,
): Promise<Partial<Record<StrikeKind, number>>> {
  const struck: Partial<Record<StrikeKind, number>> = {};
  const killed = new Set<number>();
  const wait = (ms: number) => delay(ms, undefined, { signal }).catch(() => {});
  const kill = async (pid: () => number | null | undefined): Promise<boolean> => {
    while (!signal.aborted) {
      const now = pid();
      if (now !== null && now !== undefined && !killed.has(now)) {
        killed.add(now);
        process.kill(now, 'SIGKILL');
        return true;
      }
      await wait(LOOK_EVERY_MS);
    }
    return false;
  };
  const worker = (index: number) => () => field.pids().workers[index];
  const carryOut = async ({ kind, worker: index, forMs }: Strike): Promise<boolean> => {
    switch (kind) {
      case 'kill -9 a worker':
        return kill(worker(index));
      case 'kill -9 both workers':
        return (await kill(worker(0))) && (await kill(worker(1)));
      case 'kill -9 the server':
        return kill(() => field.pids().temporal);
      case 'stop a worker for a while': {
        const pid = worker(index)();
        if (pid === undefined || killed.has(pid)) return false;
        process.kill(pid, 'SIGSTOP');
        try {
          await wait(forMs);
        } finally {
          process.kill(pid, 'SIGCONT');
        }
        return true;
      }
      case 'revoke all tokens':
        field.revokeTokens();
        return true;
    }
  };

  for (const one of plan) {
    while (!signal.aborted && field.accepted() < one.atSubmits) await wait(LOOK_EVERY_MS);
    await wait(one.afterMs);
    if (signal.aborted) break;
    field.report(`${field.accepted()} submits accepted: ${one.kind}`);
    if (await carryOut(one)) struck[one.kind] = (struck[one.kind] ?? 0) + 1;
  }
  return struck;
}

/** How many processes were ended by SIGKILL. */
export function killsIn(struck: Partial<Record<StrikeKind, number>>): number {
  const of = (kind: StrikeKind): number => struck[kind] ?? 0;
  return of('kill -9 a worker') + 2 * of('kill -9 both workers') + of('kill -9 the server');
}
