/** What a chaos run does follows from its seed, and is as much as it says. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { seedFleet } from '../../chaos/fleet.js';
import { faultMix } from '../../chaos/mix.js';
import { killsIn, planStrikes } from '../../chaos/strikes.js';
import { searchForSecrets } from '../../chaos/traces.js';
import { faultRule } from '../../simulator/faults.js';

it('the same seed gives the same fleet, faults and strikes, and another one others', () => {
  const all = (seed: string) => {
    const fleet = seedFleet(seed, 60);
    return JSON.stringify([fleet, faultMix(seed, fleet.planned), planStrikes(seed, 60)]);
  };
  expect(all('7')).toBe(all('7'));
  expect(all('7')).not.toBe(all('8'));
});

it('a fleet has as many upgrades as were asked for, of all five services', () => {
  const { planned } = seedFleet('7', 500);
  expect(new Set(planned.map(({ resource }) => resource.id)).size).toBe(500);
  expect(new Set(planned.map(({ spec }) => spec.resource.service))).toEqual(
    new Set(['ges-v1', 'ges-v2', 'cse', 'dcs', 'elasticsearch']),
  );
  expect(planned.filter(({ resource }) => resource.fate === 'stuck').length).toBeGreaterThan(0);
});

it('a mix has every kind of fault, for each of them rules that the simulator takes', () => {
  const rules = faultMix('7', seedFleet('7', 500).planned).map((rule) => faultRule.parse(rule));
  const kinds = faultRule.shape.fault.options.map((option) => option.shape.kind.value);
  expect(new Set(rules.map(({ fault }) => fault.kind))).toEqual(new Set(kinds));
});

it('strikes are spread over the run, with every kind of kill among them', () => {
  const plan = planStrikes('7', 500);
  const kinds = plan.map(({ kind }) => kind);
  const counts = Object.fromEntries(kinds.map((kind) => [kind, kinds.filter((one) => one === kind).length]));
  expect(killsIn(counts)).toBeGreaterThanOrEqual(20);
  for (const kind of ['kill -9 a worker', 'kill -9 both workers', 'kill -9 the server', 'stop a worker for a while']) {
    expect(counts[kind], kind).toBeGreaterThan(0);
  }
  const at = plan.map(({ atSubmits }) => atSubmits);
  expect(at).toEqual(at.toSorted((a, b) => a - b));
  expect(at.at(-1)).toBeGreaterThan(250);
});

it('a secret in a file is found, as is a token, and only there', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'uplift-search-'));
  try {
    await writeFile(join(directory, 'worker.log'), 'a marker');
    await writeFile(join(directory, 'one.credentials.yaml'), 'hush');
    const search = () => searchForSecrets(directory, ['hush'], 'marker');
    expect(await search()).toMatchObject({ files: 1, marked: 1, breaches: [] });
    await writeFile(join(directory, 'temporal.db'), Buffer.from([0, 255, ...Buffer.from('hush'), 0]));
    await writeFile(join(directory, 'more.log'), `token MII${'a1+/'.repeat(20)}`);
    expect((await search()).breaches.toSorted()).toEqual([
      'more.log holds a token',
      'temporal.db holds a secret of an account',
    ]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
