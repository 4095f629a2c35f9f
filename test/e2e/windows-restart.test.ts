/**
 * Server and worker are killed before an opening, and come back within it, or after it: what may still be sent is sent
 * within the same opening, what came too late waits for the next one or expires, and nothing is ever accepted outside.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../activities/clock.js';
import { rolloutStatus, startRollout, type StartedRollout } from '../../client/rollouts.js';
import type { RolloutView } from '../../client/views.js';
import type { CalendarEntry, RolloutWindows } from '../../workflows/contracts/calendar.js';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { type Installation, install, SCALE } from '../life/installation.js';

const EACH = 4;
/** From the start: time for three rollouts to be told that they wait, on a busy machine. */
const OPENS_IN_MS = 45_000;
/** Of the opening that is missed. */
const MISSED_MS = 8_000;
/** From the end of the missed opening to the next one: time for server and worker to be back before it. */
const NEXT_IN_MS = 60_000;

let life: Installation;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'uplift-windows-'));
  const fleet = { seed: 'windows', graphs: 3 * EACH, durationMs: { min: 2_000, max: 2_000 } };
  life = await install(fleet, { dbFile: join(folder, 'temporal.db') });
});
afterAll(async () => {
  await life.close();
  await rm(folder, { recursive: true, force: true });
});

interface Span {
  readonly opens: number;
  readonly closes: number;
}

/** In whole seconds, as windows are. */
function span(opens: number, lastsMs: number): Span {
  const second = Math.ceil(opens / 1000) * 1000;
  return { opens: second, closes: second + lastsMs };
}

function windowOf({ opens, closes }: Span): CalendarEntry {
  const wall = (ms: number) => new Date(ms).toISOString().slice(0, 19);
  return { name: 'w', recurrence: { start: wall(opens), end: wall(closes), duration: 'PT0S', timezone: 'UTC' } };
}

interface Begun {
  readonly started: StartedRollout;
  readonly specs: readonly UpgradeSpec[];
}

async function begin(
  name: string,
  spans: readonly Span[],
  missedWindow: RolloutWindows['missedWindow'],
): Promise<Begun> {
  const specs = Array.from({ length: EACH }, (_, at) => life.take(at % 2 === 0 ? 'ges-v1' : 'ges-v2'));
  const started = await startRollout(life.env.client, {
    rollout: name,
    planDigest: 'digest',
    startedBy: 'test',
    waves: [{ name: 'all', concurrency: EACH, upgrades: specs.map((spec) => ({ ...spec, gate: 0 })) }],
    budget: { max: EACH, mode: 'loose' },
    accountLimits: {},
    timing: { scale: SCALE },
    windows: {
      calendars: [{ windows: spans.map(windowOf), blackouts: [] }],
      gates: [{ calendar: 0, needsMs: 0 }],
      since: new Date().toISOString(),
      missedWindow,
    },
  });
  return { started, specs };
}

/** When the clouds accepted submits for these, by their own record. */
function accepted({ specs }: Begun): number[] {
  const ids = specs.map(({ resource }) => resource.id);
  return life.clouds.simulator
    .truth()
    .submits.filter(({ resource }) => ids.includes(resource))
    .map(({ at }) => at);
}

async function statusOnce({ started }: Begun, isSo: (view: RolloutView) => boolean): Promise<RolloutView> {
  for (;;) {
    const view = await rolloutStatus(life.env.client, started.rollout);
    if (isSo(view)) return view;
    await systemClock.sleep(200);
  }
}

async function startAll(): Promise<void> {
  await life.startServer();
  await life.worker();
}

it('goes on in the opening that still lasts, or in the next one, or not at all', { timeout: 400_000 }, async () => {
  const worker = await life.worker();
  const missed = span(Date.now() + OPENS_IN_MS, MISSED_MS);
  const lasting = span(missed.opens, 900_000);
  const next = span(missed.closes + NEXT_IN_MS, 900_000);
  const all = await Promise.all([
    begin('lasts', [lasting], 'next'),
    begin('next', [missed, next], 'next'),
    begin('expire', [missed, next], 'expire'),
  ]);
  const [within, later, never] = all;
  await Promise.all(all.map((one) => statusOnce(one, ({ state }) => state === 'Waiting')));

  process.kill(life.server().pid, 'SIGKILL');
  worker.signal('SIGKILL');
  await Promise.all([life.server().ended, worker.ended]);
  await systemClock.sleep(missed.closes - Date.now());
  expect(life.clouds.simulator.truth().submits).toEqual([]);
  const backAt = Date.now();
  await startAll();

  const opens = new Date(next.opens).toISOString();
  const told = await statusOnce(later, ({ reason }) => reason.includes(opens));
  expect(told).toMatchObject({
    state: 'Waiting',
    reason: `waits for its window, which opens ${opens}: outside every window`,
  });
  const ends = await Promise.all(all.map((one) => statusOnce(one, ({ endedAt }) => endedAt !== null)));

  expect(ends.map(({ state, counts }) => ({ state, counts }))).toEqual([
    { state: 'Succeeded', counts: { Succeeded: EACH } },
    { state: 'Succeeded', counts: { Succeeded: EACH } },
    { state: 'Failed', counts: { NotStarted: EACH } },
  ]);
  expect(accepted(within)).toHaveLength(EACH);
  for (const at of accepted(within)) expect(at).toBeGreaterThan(backAt);
  expect(accepted(later)).toHaveLength(EACH);
  for (const at of accepted(later)) expect(at).toBeGreaterThanOrEqual(next.opens);
  expect(accepted(never)).toEqual([]);
  expect(Math.max(...accepted(within), ...accepted(later))).toBeLessThan(lasting.closes);
  console.log(
    `back ${backAt - missed.opens} ms after the opening: ${accepted(within)
      .map((at) => at - missed.opens)
      .join(', ')}; ` +
      `for the next one ${accepted(later)
        .map((at) => at - next.opens)
        .join(', ')} ms after its opening`,
  );
});
