import { describe, expect, it } from 'vitest';
import type { ResourceState } from '../../activities/clouds/port.js';
import { driftFrom, snapshotOf } from '../../activities/drift.js';
import type { Snapshot, UpgradeSpec } from '../../workflows/contracts/upgrade.js';

const planned: Snapshot = { version: '2.3.1', status: '200', size: '1', tags: { env: 'prod' } };
const asPlanned: ResourceState = {
  id: 'g1',
  name: 'g1',
  status: '200',
  condition: 'ready',
  version: '2.3.1',
  size: '1',
  tags: { env: 'prod', owner: 'ada' },
};

describe('drift', () => {
  it.each<[string, Partial<ResourceState>, UpgradeSpec['drift'], unknown]>([
    ['nothing', {}, undefined, null],
    ['a tag that did not choose it', { tags: { env: 'prod', owner: 'bob' } }, undefined, null],
    ['its version', { version: '2.3.2' }, undefined, { rule: 'fail', shown: 'version 2.3.1 then, 2.3.2 now' }],
    ['its status', { status: '210' }, undefined, { rule: 'proceed', shown: 'status 200 then, 210 now' }],
    ['its size', { size: '2' }, undefined, { rule: 'fail', shown: 'size 1 then, 2 now' }],
    ['its size, which is held', { size: '2' }, { size: 'hold' }, { rule: 'hold', shown: 'size 1 then, 2 now' }],
    [
      'the tag that chose it',
      { tags: { env: 'test' } },
      undefined,
      { rule: 'fail', shown: 'tag env prod then, test now' },
    ],
    [
      'a tag that is gone',
      { tags: {} },
      { tags: 'proceed' },
      { rule: 'proceed', shown: 'tag env prod then, none now' },
    ],
    [
      'several fields: the most severe rule',
      { version: '2.3.2', size: '2', status: '210' },
      { version: 'proceed', size: 'hold' },
      { rule: 'hold', shown: 'version 2.3.1 then, 2.3.2 now; status 200 then, 210 now; size 1 then, 2 now' },
    ],
  ])('of %s', (_name, now, drift, expected) => {
    const spec = drift === undefined ? { planned } : { planned, drift };
    expect(driftFrom(spec, { ...asPlanned, ...now })).toEqual(expected);
  });

  it('is not looked for without a snapshot', () => {
    expect(driftFrom({}, { ...asPlanned, version: '9' })).toBeNull();
  });

  it('keeps of the tags only those that chose it', () => {
    expect(snapshotOf(asPlanned, ['env', 'tier'])).toEqual({ ...planned, tags: { env: 'prod', tier: null } });
  });
});
