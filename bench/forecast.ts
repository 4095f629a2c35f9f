/**
 * The forecast against reality: 200 upgrades of four kinds in waves of ten, each wave forecast right before it begins,
 * from what ended earlier only. Reality has its own durations and its own, slow, way of starting what may start: the
 * rule of the shards, asked anew at each instant.
 */
import { recurrenceOf } from '../calendar/forms.js';
import { Gates } from '../calendar/gate.js';
import { knowledgeOf, usualOf } from '../forecast/durations.js';
import { forecast, type WaveForecast } from '../forecast/forecast.js';
import { normal, type Random, randomOf } from '../forecast/random.js';
import type { RolloutWindows } from '../workflows/contracts/calendar.js';
import { durationClass, type Durations, learn } from '../workflows/contracts/durations.js';
import { drawn, startable } from '../workflows/limits.js';

const MINUTE = 60_000;
const UPGRADES = 200;
const WAVE = 10;
const LIMITS = { slots: 3, 'account:b': 1 };
const SEEDS = Array.from({ length: 10 }, (_, at) => `forecast-${at + 1}`);

/** What a plan would say of each kind, and how it really is. */
const KINDS: readonly { service: string; size: string; p50: number; p90: number; takes: (random: Random) => number }[] =
  [
    { service: 'ges-v2', size: '1', p50: 25, p90: 45, takes: (random) => 20 * Math.exp(0.35 * normal(random)) },
    { service: 'ges-v2', size: '4', p50: 45, p90: 70, takes: (random) => 35 * Math.exp(0.25 * normal(random)) },
    // One in four restarts twice.
    {
      service: 'dcs',
      size: '16',
      p50: 15,
      p90: 30,
      takes: (random) => (random() < 0.25 ? 36 : 12) * (0.9 + 0.2 * random()),
    },
    { service: 'elasticsearch', size: '3', p50: 60, p90: 90, takes: (random) => 30 + 50 * random() },
  ];

/** Every night, five hours, an upgrade has to begin an hour before its end. */
const WINDOWS: RolloutWindows = {
  calendars: [
    {
      windows: [
        {
          name: 'night',
          recurrence: recurrenceOf({
            days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
            start: '22:00',
            duration: '5h',
            timezone: 'Europe/Berlin',
          }),
        },
      ],
      blackouts: [],
    },
  ],
  gates: [{ calendar: 0, needsMs: 60 * MINUTE }],
  since: '2027-01-04T12:00:00.000Z',
  missedWindow: 'next',
};

interface Planned {
  readonly kind: number;
  readonly draws: readonly string[];
  /** Milliseconds. */
  readonly takes: number;
}

/** Shares that ended by their P90. */
interface Kept {
  /** Each as forecast when it started. */
  readonly alone: number;
  /** Each as forecast before its wave began, with the wait for its turn and for the window. */
  readonly upgrades: number;
  readonly waves: number;
}

function kept(seed: string): Kept {
  const random = randomOf(`reality ${seed}`);
  const gates = new Gates(WINDOWS);
  let learned: Durations = {};
  let now = Date.parse(WINDOWS.since);
  const counts = { alone: 0, upgrades: 0, waves: 0 };
  for (let at = 0; at < UPGRADES; at += WAVE) {
    const wave = Array.from({ length: WAVE }, (): Planned => {
      const kind = Math.floor(random() * KINDS.length);
      const takes = (KINDS[kind]?.takes(random) ?? 0) * MINUTE;
      return { kind, takes, draws: ['slots', `account:${random() < 0.5 ? 'a' : 'b'}`] };
    });
    const told = forecastOf(`${seed} ${at}`, now, learned, wave);
    const ends = played(wave, gates, now);
    const last = Math.max(...ends);
    if (last <= p90Of(told)) counts.waves += 1;
    // One after the other as they ended: each start knows what had ended by then.
    const order = wave.map(({ takes }, index) => ({
      index,
      starts: (ends[index] ?? 0) - takes,
      ends: ends[index] ?? 0,
    }));
    const finished = order.toSorted((a, b) => a.ends - b.ends);
    const before = learned;
    const learnedBy = (until: number) =>
      finished.filter((one) => one.ends <= until).reduce((known, { index }) => withOne(known, wave[index]), before);
    for (const { index, starts, ends: end } of order) {
      const one = wave[index];
      if (end <= p90Of(told?.upgrades[index])) counts.upgrades += 1;
      if (one === undefined) continue;
      const alone = forecastOf(`${seed} ${at + index} alone`, starts, learnedBy(starts), [one], starts);
      if (end <= p90Of(alone)) counts.alone += 1;
    }
    learned = learnedBy(last);
    now = last;
  }
  return {
    alone: counts.alone / UPGRADES,
    upgrades: counts.upgrades / UPGRADES,
    waves: (counts.waves * WAVE) / UPGRADES,
  };
}

function forecastOf(
  seed: string,
  now: number,
  learned: Durations,
  wave: readonly Planned[],
  startedAt: number | null = null,
): WaveForecast | undefined {
  return forecast({
    seed,
    now,
    windows: WINDOWS,
    hasStarted: true,
    kinds: KINDS.map(({ service, size, p50, p90 }) =>
      knowledgeOf(learned, { service, size, usual: usualOf(p50 * MINUTE, p90 * MINUTE) }, 1),
    ),
    waves: [
      {
        name: 'wave',
        limits: LIMITS,
        soakMs: 0,
        upgrades: wave.map(({ kind, draws }, index) => ({
          workflowId: `upgrade/${index}`,
          id: String(index),
          kind,
          draws,
          after: [],
          provides: [],
          gate: 0,
          notBefore: 0,
          startedAt,
        })),
      },
    ],
  }).waves[0];
}

function withOne(known: Durations, one: Planned | undefined): Durations {
  const { service = '', size = '' } = KINDS[one?.kind ?? 0] ?? {};
  return learn(known, { [durationClass(service, size)]: [Math.round(one?.takes ?? 0)] });
}

/** Epoch milliseconds; of what does not end in one run of ten, `Infinity`. */
function p90Of(told: Pick<WaveForecast, 'ends'> | undefined): number {
  return told === undefined || told.ends.p90 === null ? Infinity : Date.parse(told.ends.p90);
}

/** When each really ends, epoch milliseconds. */
function played(wave: readonly Planned[], gates: Gates, begin: number): number[] {
  const ends = wave.map(() => Infinity);
  let queue = wave.map((one, index) => ({ ...one, index }));
  let inFlight: (Planned & { readonly ends: number })[] = [];
  for (let now = begin; queue.length > 0;) {
    const { open, until } = gates.state(0, now, true);
    inFlight = inFlight.filter((one) => one.ends > now);
    const begun = open ? startable(queue, drawn(Object.keys(LIMITS), inFlight), LIMITS) : [];
    for (const one of begun) {
      ends[one.index] = now + one.takes;
      inFlight.push({ ...one, ends: now + one.takes });
    }
    queue = queue.filter((one) => !begun.includes(one));
    now = Math.min(...inFlight.map((one) => one.ends), until === null ? Infinity : Date.parse(until));
  }
  return ends;
}

/** A line for each seed, and one for all of them. */
export function forecastRow(): string {
  const rows = SEEDS.map((seed) => ({ seed, ...kept(seed) }));
  const mean = (of: (row: Kept) => number) => rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
  const all = {
    alone: mean((row) => row.alone),
    upgrades: mean((row) => row.upgrades),
    waves: mean((row) => row.waves),
  };
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`.padStart(13);
  const line = (seed: string, { alone, upgrades, waves }: Kept) =>
    `  ${seed.padEnd(12)}${percent(alone)}${percent(upgrades)}${percent(waves)}`;
  return [
    `P90 kept, ${UPGRADES} upgrades and ${UPGRADES / WAVE} waves a seed, each forecast from earlier ones only (aim: 85 to 95 %)`,
    '  seed             at start  before wave   whole wave',
    ...rows.map((row) => line(row.seed, row)),
    line('all', all),
  ].join('\n');
}
