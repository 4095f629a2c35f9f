/** What happens to our own processes: planned from the seed, by how far the clouds' own record has come. */
import { setTimeout as delay } from 'node:timers/promises';
import { fraction, pick } from '../simulator/random.js';
import type { CallWatcher } from '../simulator/requests.js';

export type StrikeKind =
  | 'kill -9 a worker'
  | 'kill -9 both workers'
  | 'kill -9 the server'
  /** SIGSTOP past every time-out by which a dead worker is noticed, then SIGCONT. */
  | 'stop a worker for a while'
  /** What a changed password does. */
  | 'revoke all tokens';

/** Before the cloud acts on a submit, before its answer is out, and right after. */
type Moment = 'arrived' | 'processed' | 'answered';

export interface Strike {
  readonly kind: StrikeKind;
  /** When so many submits have been accepted. */
  readonly atSubmits: number;
  /** And so much later: in the middle of whatever is going on then. */
  readonly afterMs: number;
  /** And then exactly when the next submit gets there; `any`: at once. */
  readonly moment: Moment | 'any';
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

const MOMENTS = ['any', 'arrived', 'processed', 'answered'] as const;

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
      moment: pick(MOMENTS, seed, 'moment', index),
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
  readonly submits: SubmitGate;
  /** Told one line of each strike. */
  report(line: string): void;
}

const LOOK_EVERY_MS = 50;

const ANSWER_IS_OUT_MS = 5;

/** Lets something be done in the middle of the next submit. */
export class SubmitGate {
  private waiting: { readonly moment: Moment; readonly act: () => void } | null = null;

  readonly watch: CallWatcher = ({ call, point }) => {
    const { waiting } = this;
    if (call !== 'submit' || waiting === null || (waiting.moment === 'arrived') !== (point === 'arrived')) return;
    this.waiting = null;
    if (waiting.moment === 'answered') setTimeout(waiting.act, ANSWER_IS_OUT_MS);
    else waiting.act();
  };

  /** Nobody waits for a submit. */
  get isOpen(): boolean {
    return this.waiting === null;
  }

  /** Resolves when `act` was done, or `signal` aborted before there was a submit. */
  async at(moment: Moment, act: () => void, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const leave = (): void => {
        this.waiting = null;
        resolve();
      };
      this.waiting = {
        moment,
        act: () => {
          signal.removeEventListener('abort', leave);
          act();
          resolve();
        },
      };
      signal.addEventListener('abort', leave, { once: true });
    });
  }
}

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
  /** Until a stopped worker goes on again. */
  let stopped = Promise.resolve();
  const wait = (ms: number) => delay(ms, undefined, { signal }).catch(() => {});
  const alive = (pid: number | null | undefined): pid is number => typeof pid === 'number' && !killed.has(pid);
  /** The processes that a strike is for. */
  const targets = ({ kind, worker }: Strike): (number | null | undefined)[] => {
    const { workers, temporal } = field.pids();
    switch (kind) {
      case 'kill -9 a worker':
      case 'stop a worker for a while':
        return [workers[worker]];
      case 'kill -9 both workers':
        return [workers[0], workers[1]];
      case 'kill -9 the server':
        return [temporal];
      case 'revoke all tokens':
        return [];
    }
  };
  const carryOut = (one: Strike): void => {
    field.report(`${field.accepted()} submits accepted (${one.moment}): ${one.kind}`);
    for (const pid of targets(one).filter(alive)) {
      if (one.kind === 'stop a worker for a while') {
        send(pid, 'SIGSTOP');
        stopped = wait(one.forMs).finally(() => send(pid, 'SIGCONT'));
      } else {
        send(pid, 'SIGKILL');
        killed.add(pid);
      }
    }
    if (one.kind === 'revoke all tokens') field.revokeTokens();
    struck[one.kind] = (struck[one.kind] ?? 0) + 1;
  };

  for (const one of plan) {
    while (!signal.aborted && field.accepted() < one.atSubmits) await wait(LOOK_EVERY_MS);
    await wait(one.afterMs);
    // A submit is held up only for what takes no time.
    while (!signal.aborted && !targets(one).every(alive)) await wait(LOOK_EVERY_MS);
    if (signal.aborted) break;
    if (one.moment === 'any') carryOut(one);
    else await field.submits.at(one.moment, () => carryOut(one), signal);
    await stopped;
  }
  return struck;
}

/** To a process that may have ended by itself a moment ago. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** How many processes were ended by SIGKILL. */
export function killsIn(struck: Partial<Record<StrikeKind, number>>): number {
  const of = (kind: StrikeKind): number => struck[kind] ?? 0;
  return of('kill -9 a worker') + 2 * of('kill -9 both workers') + of('kill -9 the server');
}
