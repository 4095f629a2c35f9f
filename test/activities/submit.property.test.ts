import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AttemptPlan,
  type CallFate,
  play,
  SPOILT,
  type SubmitPlan,
  TURNED_AWAY,
} from '../support/submit-model.js';
import { seeded } from '../support/properties.js';

/** Five times as many take about a minute; `PROPERTY_RUNS` and `PROPERTY_SEED` give more and others. */
const RUNS = 25;

const callFate = (delayMs: fc.Arbitrary<number>): fc.Arbitrary<CallFate> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ reaches: fc.constant(true), delayMs, answer: fc.constant('whole') }) },
    { weight: 4, arbitrary: fc.record({ reaches: fc.constant(true), delayMs, answer: fc.constantFrom(...SPOILT) }) },
    {
      weight: 2,
      arbitrary: fc.record({ reaches: fc.constant(false), delayMs, answer: fc.constantFrom(...TURNED_AWAY) }),
    },
  ) as fc.Arbitrary<CallFate>;

/** The cloud deals with a request before its sender gives up, or not at all: what the settling time rests on. */
const send = callFate(
  fc.oneof(fc.constant(20), fc.integer({ min: 25_000, max: 29_999 }), fc.integer({ min: 0, max: 29_999 })),
);
const read = callFate(fc.oneof(fc.constant(20), fc.integer({ min: 0, max: 20_000 })));

const place = fc.oneof(
  { weight: 2, arbitrary: fc.constant('submit' as const) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 6 }) },
);
const attempt = (...begins: AttemptPlan['begins'][]): fc.Arbitrary<AttemptPlan> =>
  fc.record({
    begins: fc.constantFrom(...begins),
    afterMs: fc.oneof(fc.integer({ min: 0, max: 15_000 }), fc.integer({ min: 0, max: 400_000 })),
    skewMs: fc.integer({ min: -5_000, max: 5_000 }),
    freezes: fc.array(
      fc.record({
        before: place,
        ms: fc.oneof(fc.integer({ min: 25_000, max: 30_000 }), fc.integer({ min: 1_000, max: 200_000 })),
      }),
      { maxLength: 2 },
    ),
    dies: fc.option(fc.record({ at: place, when: fc.constantFrom('before', 'after') })),
    isLeftAlive: fc.boolean(),
    isUnheard: fc.boolean(),
  });

const attempts = (...begins: AttemptPlan['begins'][]): fc.Arbitrary<AttemptPlan[]> =>
  fc.array(attempt(...begins), { minLength: 1, maxLength: 5 });

/**
 * Who resets an upgrade to its very beginning begins it anew: after one that has failed by then this is another submit,
 * and meant to be. Everywhere else nothing justifies a second one.
 */
const endings: fc.Arbitrary<Pick<SubmitPlan, 'fate' | 'attempts'>> = fc.oneof(
  fc.record({
    fate: fc.constantFrom('succeeds', 'stuck'),
    attempts: attempts('retried', 'replayed', 'reset', 'reset-to-the-beginning', 'applied-anew'),
  }),
  fc.record({
    fate: fc.constantFrom('rolls-back', 'job-says-success-but-old-version', 'ends-broken'),
    attempts: attempts('retried', 'replayed', 'reset'),
  }),
);

const closeTo = (ms: number) => fc.integer({ min: ms - 5_000, max: ms - 1 });

/**
 * Where everything is as late as it may be: an attempt that is held to be dead sends at the end of its window, the
 * cloud deals with that at the last moment, and shows it after its whole lag. A settling time that is shorter than its
 * parts ends before.
 */
const lastMoment: fc.Arbitrary<Pick<SubmitPlan, 'fate' | 'attempts' | 'sends' | 'lag' | 'durationMs'>> = fc.record({
  fate: fc.constant('succeeds'),
  lag: fc.constant(1),
  durationMs: fc.constant(7_200_000),
  sends: fc.tuple(
    fc.record({ reaches: fc.constant(true), delayMs: closeTo(30_000), answer: fc.constantFrom('whole', ...SPOILT) }),
  ) as fc.Arbitrary<CallFate[]>,
  attempts: fc
    .tuple(
      fc.record({ skewMs: fc.integer({ min: -5_000, max: 5_000 }), ms: closeTo(30_000) }),
      attempt('retried', 'replayed', 'reset', 'reset-to-the-beginning', 'applied-anew'),
    )
    .map(([{ skewMs, ms }, next]) => [
      {
        begins: 'retried',
        afterMs: 0,
        skewMs,
        freezes: [{ before: 'submit', ms }],
        dies: null,
        isLeftAlive: true,
        isUnheard: false,
      },
      { ...next, afterMs: next.afterMs % 3_000, freezes: [], dies: null },
    ]),
});

const planFor = (family: string): fc.Arbitrary<SubmitPlan> =>
  fc
    .tuple(
      fc.record({
        family: fc.constant(family),
        startsAt: fc.constantFrom(Date.UTC(2026, 10, 21, 5, 26), Date.UTC(2026, 10, 21, 23, 59, 20)),
        lag: fc.constantFrom(0, 0.5, 1, 1),
        durationMs: fc.constantFrom(60_000, 600_000, 7_200_000),
        sends: fc.array(send, { maxLength: 3 }),
        reads: fc.array(read, { maxLength: 8 }),
      }),
      fc.oneof(endings, lastMoment),
    )
    .map(([rest, ending]) => ({ ...rest, ...ending }));

const SERVICES = [
  ['ges-v2', 'ges#0'],
  ['ges-v1', 'ges#1'],
  ['cse', 'cse'],
  ['dcs', 'dcs'],
  ['elasticsearch', 'elasticsearch'],
] as const;

describe('whatever befalls it, a submit', () => {
  it.each(SERVICES)(
    'to %s is accepted once and never sent while an earlier one may be alive',
    async (_name, family) => {
      const property = fc.asyncProperty(planFor(family), async (plan) => {
        const played = await play(plan);
        expect(played.violations).toEqual([]);
        expect(played.accepted).toBe(1);
        expect(['submitted', 'adopted', 'already-at-target']).toContain(played.verdict);
      });
      await fc.assert(property, seeded(RUNS));
    },
  );
});
