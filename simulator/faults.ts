/** Seeded faults: what networks and clouds do to a client, by probability or by an exact plan. */
import { parse } from 'yaml';
import { z } from 'zod';
import { fraction } from './random.js';
import { count } from './truth.js';

/** What goes wrong. `processed` says whether the cloud acted on the request all the same. */
const fault = z.discriminatedUnion(
  'kind',
  [
    /** 429 at Huawei, HTTP 400 `Throttling.User` at Alibaba; never processed. */
    z.strictObject({ kind: z.literal('throttled') }),
    z.strictObject({
      kind: z.literal('status'),
      status: z.union([z.literal(500), z.literal(502), z.literal(503), z.literal(504)]),
      processed: z.boolean().default(false),
    }),
    z.strictObject({ kind: z.literal('reset'), processed: z.boolean() }),
    /** `processed: 'first'` acts at once and answers late; `'late'` does both after the delay, even if nobody waits any more. */
    z.strictObject({ kind: z.literal('slow'), delayMs: z.number().positive(), processed: z.enum(['first', 'late']) }),
    z.strictObject({ kind: z.literal('truncated') }),
    /** The connection breaks in the middle of the answer; the request was processed. */
    z.strictObject({ kind: z.literal('cut') }),
    /** The gateway's clock is so far ahead that it refuses the signature; never processed. A token has no clock. */
    z.strictObject({ kind: z.literal('clock-skew') }),
    /** The page of some proxy; the request was processed. */
    z.strictObject({ kind: z.literal('html'), status: z.number().int().default(200) }),
    z.strictObject({ kind: z.literal('extra-field') }),
    /** Drops `field`, or else a submit's id and a read's first field, at the top level of a good answer. */
    z.strictObject({ kind: z.literal('missing-field'), field: z.string().optional() }),
    /** Of the accepted submit, jobs and records are gone after `afterMs`. */
    z.strictObject({ kind: z.literal('vanishing-records'), afterMs: z.number().nonnegative().default(0) }),
    /** The accepted submit stays invisible in every read for `lagMs`; with `answerLost` its answer is a reset besides. */
    z.strictObject({
      kind: z.literal('visibility-lag'),
      lagMs: z.number().positive(),
      answerLost: z.boolean().default(false),
    }),
    /** Somebody at the console is a moment faster: an upgrade to `to`, a version per component, begins before the call. */
    z.strictObject({ kind: z.literal('race'), to: z.record(z.string(), z.string()) }),
  ],
  { error: ({ code }) => (code === 'invalid_union' ? `use one of ${FAULT_KINDS.join(', ')}` : undefined) },
);
export type Fault = z.output<typeof fault>;

/** The sorts of calls that rules can name. */
export const CALLS = ['submit', 'dry-run', 'read', 'list', 'job', 'jobs', 'offer', 'records', 'health'] as const;
export type Call = (typeof CALLS)[number];

export const faultRule = z.strictObject({
  fault,
  /** Where it applies; what is left out matches everything. `calls` left out: every call. */
  calls: z.array(z.enum(CALLS)).optional(),
  family: z.string().optional(),
  resource: z.string().optional(),
  account: z.string().optional(),
  /** Each matching request fails with this chance; left out: every one does. */
  probability: z.number().min(0).max(1).default(1),
  /** Matching requests that pass unharmed before it begins. */
  skip: z.number().int().nonnegative().default(0),
  /** Fires at most so often; left out: an exact plan (without `probability`) fires once, a chance without end. */
  times: z.number().int().positive().optional(),
});
/** As written: `{ fault: { kind: 'reset', processed: true }, calls: ['submit'], resource: id }`. */
export type FaultRule = z.input<typeof faultRule>;

/** What can go wrong, by the word that a rule has for it. */
export const FAULT_KINDS: readonly string[] = fault.options.map(({ shape }) => shape.kind.value);

/**
 * A rule as somebody types it: YAML or JSON on one line.
 * @throws Error in one line that says what is wrong, and where
 */
export function parseFaultRule(text: string): FaultRule {
  let rule: unknown;
  try {
    rule = parse(text, { prettyErrors: false });
  } catch (error) {
    throw new Error(`is neither YAML nor JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = faultRule.safeParse(rule);
  // As written, without defaults: a rule that names no chance fires once.
  if (parsed.success) return rule as FaultRule;
  throw new Error(
    parsed.error.issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': ')).join('; '),
  );
}

interface ArmedRule {
  readonly rule: z.output<typeof faultRule>;
  readonly times: number | null;
  /** Which stream of chance it draws from. */
  readonly stream: number;
  matched: number;
  fired: number;
}

/** What the faults remember: part of the state on disk. */
export interface FaultState {
  rules: ArmedRule[];
  /** Rules ever armed: gives each its own stream of chance. */
  armed: number;
}

export interface Asked {
  readonly call: Call;
  readonly family: string;
  readonly resource: string | null;
  readonly account: string;
}

/** A fault chosen for one request. */
export interface Drawn {
  readonly fault: Fault;
  /** Once: whether it really happened. One that did not is still to come. */
  settle(happened: boolean): void;
}

/** The rules in force. The first that matches and draws decides; one request suffers one fault at most. */
export class Faults {
  readonly #state: FaultState;
  readonly #seed: string;
  readonly #fired: Record<string, number>;
  readonly #changed: () => void;

  /** `fired` is where firings are counted by kind: the truth record's own. */
  constructor(state: FaultState, seed: string, fired: Record<string, number>, changed: () => void) {
    this.#state = state;
    this.#seed = seed;
    this.#fired = fired;
    this.#changed = changed;
  }

  /** @throws ZodError for a rule that is none */
  add(...rules: readonly FaultRule[]): void {
    for (const given of rules) {
      const rule = faultRule.parse(given);
      const times = rule.times ?? (given.probability === undefined ? 1 : null);
      this.#state.rules.push({ rule, times, stream: this.#state.armed, matched: 0, fired: 0 });
      this.#state.armed += 1;
    }
    this.#changed();
  }

  clear(): void {
    this.#state.rules = [];
    this.#changed();
  }

  /** Firings by kind, since the beginning. */
  fired(): Readonly<Record<string, number>> {
    return { ...this.#fired };
  }

  /** The fault that this request shall suffer, or `null`. */
  draw(asked: Asked): Drawn | null {
    for (const armed of this.#state.rules) {
      const { rule } = armed;
      if (!matches(rule, asked) || (armed.times !== null && armed.fired >= armed.times)) continue;
      armed.matched += 1;
      if (armed.matched <= rule.skip) continue;
      if (fraction(this.#seed, 'fault', armed.stream, armed.matched) >= rule.probability) continue;
      armed.fired += 1;
      this.#changed();
      return {
        fault: rule.fault,
        settle: (happened) => {
          if (happened)
            count(this.#fired, rule.fault.kind === 'status' ? `status-${rule.fault.status}` : rule.fault.kind);
          else armed.fired -= 1;
          this.#changed();
        },
      };
    }
    return null;
  }
}

/** Faults of an accepted submit: they can happen to nothing else. */
export function befallsAcceptedSubmits(fault: Fault): boolean {
  return fault.kind === 'vanishing-records' || fault.kind === 'visibility-lag';
}

function matches(rule: ArmedRule['rule'], asked: Asked): boolean {
  if (befallsAcceptedSubmits(rule.fault) && asked.call !== 'submit') return false;
  return (
    (rule.calls?.includes(asked.call) ?? true) &&
    (rule.family ?? asked.family) === asked.family &&
    (rule.resource ?? asked.resource) === asked.resource &&
    (rule.account ?? asked.account) === asked.account
  );
}
