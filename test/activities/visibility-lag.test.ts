/** A submit that was accepted and shows late: nothing that was before it is taken for its end. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { awaitOperation } from '../../activities/await.js';
import { apiFor, CLOUD_APIS } from '../../activities/clouds/index.js';
import { precheck } from '../../activities/precheck.js';
import { submit } from '../../activities/submit.js';
import { verify } from '../../activities/verify.js';
import type {
  AwaitInput,
  AwaitResult,
  PrecheckResult,
  SubmitResult,
  VerifyResult,
} from '../../workflows/contracts/steps.js';
import { type Clouds, simulatedClouds } from '../support/clouds.js';
import { VirtualClock } from '../support/virtual-clock.js';

const DURATION_MS = 10 * 60_000;

let clouds: Clouds;
let clock: VirtualClock;
afterEach(() => clouds.close());

/** Submitted at `scale`, and in no read for almost as long as the service may take to show it. */
async function submitted(family: string, scale: number): Promise<AwaitInput> {
  clock = new VirtualClock();
  const durationMs = { min: DURATION_MS * scale, max: DURATION_MS * scale };
  clouds = await simulatedClouds({ clock, graphs: 1, engines: 1, caches: 1, clusters: 1, durationMs, scale });
  const [spec] = clouds.specs(family);
  const api = apiFor(CLOUD_APIS, spec?.resource.service ?? '');
  if (spec === undefined || api === undefined) throw new Error(`no resource of ${family}`);
  const step = { rollout: 'r', rolloutRun: 'run', spec, timing: { scale } };
  const checked: PrecheckResult = await new MockActivityEnvironment().run(() => precheck(clouds.deps, step));
  const lagMs = (api.pace.visibilityLagMs - 2_000) * scale;
  clouds.simulator.faults.add({ fault: { kind: 'visibility-lag', lagMs }, calls: ['submit'] });
  const startedAt = new Date(clock.now()).toISOString();
  const { version: expectedVersion, knownOperations } = checked;
  const input = { ...step, expectedVersion, knownOperations, submission: 1, unresolvedSince: null, startedAt };
  const { operation }: SubmitResult = await new MockActivityEnvironment({ scheduledTimestampMs: Date.now() }).run(() =>
    submit(clouds.deps, input),
  );
  if (operation === null) throw new Error('not submitted');
  return { ...step, operation, overdue: false };
}

describe.each(['ges', 'cse', 'dcs', 'elasticsearch'])('an upgrade of %s that shows late', (family) => {
  it.each([1, 0.01])('is followed to its end, at scale %s', async (scale) => {
    const following = await submitted(family, scale);
    const end: AwaitResult = await new MockActivityEnvironment().run(() => awaitOperation(clouds.deps, following));
    expect(end).toMatchObject({ ended: true, providerSays: 'succeeded' });
    expect(clock.now()).toBeGreaterThanOrEqual(Date.parse(following.operation.since) + DURATION_MS * scale);
  });

  it('is not judged by the version that it had before', async () => {
    const following = await submitted(family, 1);
    const verified: VerifyResult = await new MockActivityEnvironment().run(() => verify(clouds.deps, following));
    expect(verified.verdict).toBe('at-target');
  });
});
