/** What `uplift plan` says of when, as a real process. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { RolloutForecast } from '../../client/forecast.js';
import { freePorts } from '../../temporal/ports.js';
import { rehearsal, type Rehearsal, uplift } from './cli.js';

let place: Rehearsal;
let address: string;

beforeAll(async () => {
  place = await rehearsal('--seed', 'forecast', '--graphs', '3', '--clusters', '0');
  address = `127.0.0.1:${(await freePorts(1))[0]}`;
});
afterAll(() => place.dispose());

/** A plan of its graphs in two waves, real in time, with this added to its spec. */
async function planned(name: string, more: Record<string, unknown>, ...args: string[]) {
  const document = parse(readFileSync(place.plan, 'utf8')) as { spec: Record<string, unknown> };
  const plan = join(place.directory, `${name}.yaml`);
  const waves = [
    { name: 'canary', percent: 34 },
    { name: 'rest', rest: true, concurrency: 2 },
  ];
  const { timeScale: _scale, ...spec } = document.spec;
  writeFileSync(plan, stringify({ ...document, spec: { ...spec, waves, ...more } }));
  return uplift(['plan', plan, '--accounts', place.accounts, '--address', address, ...args]);
}

const WINDOWS = [
  { name: 'new year', rrule: 'FREQ=YEARLY', start: '2030-01-01T22:00', duration: '2h', timezone: 'Europe/Berlin' },
];

it('says when each wave and each resource starts and ends', async () => {
  const durations = { 'ges-v1': { p50: '30m', p90: '40m' }, 'ges-v2': { p50: '30m', p90: '40m' } };
  const { code, stdout, stderr } = await planned('new-year', { windows: WINDOWS, durations });
  expect(stderr).toContain(`no Temporal server answers at ${address}`);
  expect(stdout).toMatch(
    /wave canary: starts Tue 2030-01-01 22:00 CET, ends 22:(2[89]|3[012]) \(P50\) … 22:(3[6-9]|4\d) \(P90\)/,
  );
  expect(stdout).toMatch(
    /wave rest: starts Tue 2030-01-01 22:(2[89]|3[012]) CET, ends 23:0\d \(P50\) … 23:[12]\d \(P90\)/,
  );
  expect(stdout).toMatch(/Tue 2030-01-01 22:00 CET – 22:(2[89]|3[012]) … 22:(3[6-9]|4\d)/);
  expect(code).toBe(2);

  const json = await planned('new-year', { windows: WINDOWS, durations }, '-o', 'json');
  const { forecast } = JSON.parse(json.stdout) as { forecast: RolloutForecast };
  expect(forecast.zone).toBe('Europe/Berlin');
  expect(forecast.waves.map(({ upgrades }) => upgrades.length)).toEqual([1, 2]);
  expect(forecast.waves[0]?.starts).toEqual({ p50: '2030-01-01T21:00:00.000Z', p90: '2030-01-01T21:00:00.000Z' });
});

it('says what does not fit, and refuses what never can', async () => {
  const durations = { 'ges-v1': '70m', 'ges-v2': '70m' };
  const bounds = { windows: WINDOWS, durations, missedWindow: 'expire' };
  const some = await planned('some', bounds);
  // The canary takes 47 minutes or more, and who starts needs 70.
  expect(some.stdout).toMatch(/\d( to \d)? of 2 upgrades (do|may) not fit before Tue 2030-01-01 22:50 CET/);

  const none = await planned('none', { ...bounds, durations: { 'ges-v1': '115m', 'ges-v2': '115m' } });
  expect(none.stderr).toMatch(
    /none\.yaml: spec: wave "rest": .* and 1 other can never start: .*lengthen the windows, set `durations`/,
  );
  expect(none.code).toBe(1);
});

it('forecasts what can be upgraded, and names what cannot and what waits for it', async () => {
  const gone = '00000000-0000-4000-8000-000000000000';
  const document = parse(readFileSync(place.plan, 'utf8')) as { spec: { targets: { ids: string[] }[] } };
  const [first, second] = document.spec.targets;
  const more = {
    windows: WINDOWS,
    targets: [{ ...first, after: [gone] }, second, { ...second, ids: [gone] }],
    waves: [{ name: 'all', rest: true, concurrency: 4 }],
  };
  const { stdout, code } = await planned('blocked', more);
  expect(stdout).toMatch(/wave all: starts Tue 2030-01-01 22:00 CET/);
  expect(stdout).toContain(`without ${gone}: `);
  expect(code).toBe(1);

  const { forecast } = JSON.parse((await planned('blocked', more, '-o', 'json')).stdout) as {
    forecast: RolloutForecast;
  };
  expect(forecast.waves[0]?.upgrades.map(({ id }) => id)).toEqual(second?.ids);
  const why = new Map(forecast.without.map(({ id, reason }) => [id, reason]));
  expect([...why.keys()].toSorted()).toEqual([gone, ...(first?.ids ?? [])].toSorted());
  expect(why.get(first?.ids[0] ?? '')).toBe(`it waits for ${gone}`);
  expect(why.get(gone)).not.toBe('');
});
