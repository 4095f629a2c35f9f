/** The read-back on a virtual clock, over an API whose reads are scripted. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { describe, expect, it } from 'vitest';
import { dcs } from '../../activities/clouds/huawei/dcs.js';
import type { CloudApi, CloudReader, ResourceState } from '../../activities/clouds/port.js';
import type { StepDeps } from '../../activities/step.js';
import { verify } from '../../activities/verify.js';
import type { VerifyInput, VerifyResult } from '../../workflows/contracts/steps.js';
import { VirtualClock } from '../support/virtual-clock.js';

const TARGET = { engineMinorVersion: '6.0.2', proxyMinorVersion: '3.1.0' };
const both = { engine: { version: '6.0.2', offer: null }, proxy: { version: '3.1.0', offer: null } };
const engineOnly = { engine: both.engine };

interface Read extends Partial<ResourceState> {
  readonly healthy?: boolean;
  /** The machine sleeps for so long before the answer is read. */
  readonly sleptMs?: number;
}

/** Verifies once; `script` says what each read finds. */
async function verified(script: (read: number) => Read): Promise<{ result: VerifyResult; reads: number }> {
  const clock = new VirtualClock();
  let reads = 0;
  let healthy = true;
  const api: CloudApi = {
    ...(dcs as CloudApi),
    describe: async () => {
      reads += 1;
      const { healthy: isHealthy = true, sleptMs = 0, ...state } = script(reads);
      healthy = isHealthy;
      if (sleptMs > 0) await clock.sleep(sleptMs);
      return {
        id: 'd1',
        name: 'd1',
        status: 'RUNNING',
        condition: 'ready',
        version: 'as scripted',
        tags: {},
        components: both,
        ...state,
      };
    },
    health: () => Promise.resolve({ healthy, detail: healthy ? 'well' : 'unwell' }),
  };
  const sessions = { reader: () => Promise.resolve({} as CloudReader) } as unknown as StepDeps['sessions'];
  const input: VerifyInput = {
    rollout: 'r',
    rolloutRun: 'run',
    spec: {
      resource: { account: 'a', cloud: 'huawei', service: 'dcs', family: 'dcs', region: 'r', id: 'd1' },
      target: TARGET,
      targetLabel: 'engine 6.0.2, proxy 3.1.0',
      plannedFrom: null,
    },
    timing: { scale: 1 },
    operation: { id: 'task-1', since: new Date(clock.now() - 3_600_000).toISOString() },
  };
  const result: VerifyResult = await new MockActivityEnvironment().run(() =>
    verify({ apis: [api], sessions, clock }, input),
  );
  return { result, reads };
}

describe('verify', () => {
  it('takes good reads in a row for the truth, and no fewer', async () => {
    const { result, reads } = await verified((read) => ({ healthy: read !== 2 }));
    expect(result.verdict).toBe('at-target');
    expect(reads).toBe(2 + dcs.pace.stableReads);
  });

  it('does not take one good read for the end because its time is over', async () => {
    const { result } = await verified((read) => ({ healthy: read % 2 === 0 }));
    expect(result).toMatchObject({ verdict: 'still-running' });
    expect(result.reason).toContain('does not hold still');
  });

  it('does not take one bad read for the end because the machine slept meanwhile', async () => {
    const { result } = await verified((read) => (read === 1 ? { healthy: false, sleptMs: 3_600_000 } : {}));
    expect(result.verdict).toBe('at-target');
  });

  it('tells what stays unhealthy, once its time is over', async () => {
    const { result } = await verified(() => ({ healthy: false }));
    expect(result.verdict).toBe('unhealthy');
  });

  it('calls one component of two not at its target', async () => {
    const { result } = await verified(() => ({ components: { ...both, proxy: { version: '3.0.0', offer: null } } }));
    expect(result.verdict).toBe('not-at-target');
  });

  it('holds what cannot be compared, instead of guessing that it is not at its target', async () => {
    const { result } = await verified(() => ({ components: engineOnly }));
    expect(result.verdict).toBe('unreadable');
    expect((await verified((read) => (read < 4 ? { components: engineOnly } : {}))).result.verdict).toBe('at-target');
  });
});
