/** Places in groups that members keep while they wait: who is kept from them, and by whom. */
import { describe, expect, it } from 'vitest';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { KeptPlaces, unbound } from '../../workflows/kept-places.js';
import { spec } from './scripted-steps.js';

const waiting = (id: string, more: Partial<UpgradeSpec>) => ({ spec: { ...spec(id), ...more } });
const broken = (id: string, more: Partial<UpgradeSpec>) => waiting(id, { ...more, unwellBefore: true });

it('what a keeper waits for is kept from no place, directly or through others', () => {
  const keeper = broken('keeper', { after: ['engines'] });
  const engine = waiting('engine', { provides: ['engines'], after: ['networks', 'engines'] });
  const network = waiting('network', { provides: ['zones', 'networks'] });
  const other = waiting('other', { provides: ['other'], after: ['engines'] });
  expect([...unbound([other, network, engine, keeper])]).toEqual([keeper, engine, network]);
});

describe('why a member waits for its group', () => {
  const groups = { wide: 9, pool: 2 };
  const why = (keepers: number) => {
    const queue = Array.from({ length: keepers }, (_, at) => broken(`k${at}`, { groups }));
    const next = waiting('next', { groups });
    return new KeptPlaces([...queue, next]).whyKept(next);
  };
  const label = 'no more than 2 of group pool may be unavailable';

  it.each([
    [1, null],
    [2, `${label}, and k0, k1 ended failed, held or unhealthy before`],
    [3, `${label}, and k0, k1, k2 ended failed, held or unhealthy before`],
    [4, `${label}, and k0, k1, k2 and 1 more ended failed, held or unhealthy before`],
    [8, `${label}, and k0, k1, k2 and 5 more ended failed, held or unhealthy before`],
  ])('names the first of %i that keep places', (keepers, words) => {
    expect(why(keepers)).toBe(words);
  });

  it('is told of none that keeps a place, or is in no group', () => {
    const [one, other] = [broken('one', { groups }), broken('other', { groups })];
    const free = waiting('free', {});
    const places = new KeptPlaces([one, other, free]);
    expect([one, other, free].map((next) => places.whyKept(next))).toEqual([null, null, null]);
  });
});
