/** What a rollout's gates take from the durations that were learned. */
import { expect, it } from 'vitest';
import { FittedGates } from '../../activities/fits.js';
import { Gates } from '../../calendar/gate.js';
import { planOf } from '../../plan/plan.js';
import { parseSource } from '../../plan/source.js';
import type { Durations } from '../../workflows/contracts/durations.js';
import { ACCOUNTS, FAKE_APIS } from './fake-api.js';

const MINUTE = 60_000;
const now = Date.parse('2026-11-21T12:00:00Z');

/** When the upgrades of a plan's first target may outlast an opening, in minutes before its end. */
function riskOf(spec: string, learned: Durations): number | undefined {
  const text = `apiVersion: uplift/v1
kind: Rollout
metadata: { name: spring }
spec:
  targets:
    - { service: kite-v1, account: north, ids: [kite-1], version: "2.0" }
  windows: [{ name: daily, rrule: FREQ=DAILY, start: "22:00", duration: 4h, timezone: UTC }]
${spec.replace(/^/gm, '  ')}
`;
  const plan = planOf(parseSource(text, 'plan.yaml'), { apis: FAKE_APIS, accounts: ACCOUNTS, now });
  const fitted = new FittedGates(plan, learned);
  const [target] = plan.waves.flatMap(({ targets }) => targets);
  if (target === undefined) throw new Error('no target');
  const gate = fitted.gateOf(target, null);
  if (fitted.windows === null || gate === undefined) throw new Error('no gate');
  const { gates } = fitted.windows;
  const opening = new Gates({ ...fitted.windows, gates, since: new Date(now).toISOString() }).openingFrom(now);
  expect(opening?.riskMs).toBe(gates[gate]?.riskMs);
  return opening?.riskMs === undefined ? undefined : Math.round(opening.riskMs / MINUTE);
}

const learned = (minutes: number): Durations => ({
  'kite-v1 -': Array.from({ length: 20 }, (_, at) => (minutes + at / 100) * MINUTE),
});
const NOTIFY = 'notify: [{ webhook: ops }]';
const ANY_TIME = `${NOTIFY}\nstartOnlyIfFits: false`;

it('is warned of as early as nine of ten take, where they start although they do not fit', () => {
  expect(riskOf(ANY_TIME, learned(58))).toBe(60);
  expect(riskOf(ANY_TIME, learned(3))).toBe(5);
  // The plan's own word says too little.
  expect(riskOf(`${NOTIFY}\ndurations: { kite-v1: 20m }`, learned(58))).toBe(60);
});

it('is warned of shortly before the end, where they start only if they fit', () => {
  expect(riskOf(NOTIFY, learned(58))).toBe(10);
  expect(riskOf(NOTIFY, learned(3))).toBe(5);
});

it('is a fixed time where too little was learned, and none where nobody is told', () => {
  expect(riskOf(ANY_TIME, {})).toBe(10);
  expect(riskOf('startOnlyIfFits: false', learned(58))).toBeUndefined();
});
