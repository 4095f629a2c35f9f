/**
 * A worker that dies by SIGKILL at an exact point of a submit. One upgrade of each service is held there, so that one
 * kill meets all five; then a new worker takes over.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UpgradeSpec } from '../../workflows/contracts/upgrade.js';
import { upgradeWorkflowId } from '../../workflows/contracts/ids.js';
import type { Hold } from '../support/calls.js';
import { type FrontendProxy, startFrontendProxy } from '../support/frontend-proxy.js';
import { type Installation, install, pendingSteps, SERVICES, type UpgradeHandle } from './installation.js';

interface Place {
  readonly life: Installation;
  readonly proxy: FrontendProxy;
}

interface Held {
  readonly spec: UpgradeSpec;
  readonly handle: UpgradeHandle;
}

interface Point {
  readonly name: string;
  /** Accepted submits of each resource by the time of the kill. */
  readonly acceptedBefore: number;
  /** Starts the upgrades and resolves when each is at the point; `release` lets go of what is held for a dead worker. */
  hold(
    place: Place,
    specs: readonly UpgradeSpec[],
  ): Promise<{ readonly held: readonly Held[]; readonly release: () => void }>;
}

/** What a look reads last. The precheck reads it once, so the second time it is the look before the send. */
function isLastRead(call: string): boolean {
  return call === 'jobs' || call === 'records';
}

function releaser(holds: readonly Hold[]): () => void {
  return () => {
    for (const hold of holds) hold.release();
  };
}

const POINTS: readonly Point[] = [
  {
    name: 'before the send',
    acceptedBefore: 0,
    async hold({ life }, specs) {
      const held: Held[] = [];
      const holds: Hold[] = [];
      // One after the other: the list of a project's jobs names no graph.
      for (const spec of specs) {
        let reads = 0;
        const hold = life.calls.hold(
          ({ call, point, family }) =>
            family === spec.resource.family && isLastRead(call) && point === 'processed' && ++reads === 2,
        );
        holds.push(hold);
        held.push({ spec, handle: await life.begin(spec) });
        await hold.reached;
      }
      return { held, release: releaser(holds) };
    },
  },
  {
    name: 'after the send, before the answer',
    acceptedBefore: 1,
    async hold({ life }, specs) {
      const holds = specs.map(({ resource }) =>
        life.calls.hold(
          ({ call, point, resource: id }) => call === 'submit' && point === 'processed' && id === resource.id,
        ),
      );
      const held = await Promise.all(specs.map(async (spec) => ({ spec, handle: await life.begin(spec) })));
      await Promise.all(holds.map(({ reached }) => reached));
      // What the first point takes for the last read before the send is that.
      const calls = life.calls.seen.filter(({ point }) => point === 'processed');
      for (const { resource } of specs) {
        const own = calls.filter(({ resource: id, family }) =>
          id === null ? family === resource.family : id === resource.id,
        );
        const sent = own.findIndex(({ call }) => call === 'submit');
        expect(isLastRead(own[sent - 1]?.call ?? 'none'), resource.service).toBe(true);
      }
      return { held, release: releaser(holds) };
    },
  },
  {
    name: 'after the answer, before its completion',
    acceptedBefore: 1,
    async hold({ life, proxy }, specs) {
      const swallowed = specs.map(({ resource }) =>
        proxy.swallow(
          ({ method, message }) =>
            method === 'RespondActivityTaskCompleted' &&
            message.includes(upgradeWorkflowId(resource)) &&
            message.includes('"verdict":"submitted"'),
        ),
      );
      const held = await Promise.all(specs.map(async (spec) => ({ spec, handle: await life.begin(spec) })));
      await Promise.all(swallowed);
      return { held, release: () => {} };
    },
  },
];

interface End {
  readonly endedBy: number | NodeJS.Signals;
  readonly atTheKill: string;
  readonly outcome: string;
  readonly accepted: number;
}

describe.each(POINTS)('a worker killed $name', ({ name }) => {
  it.each(SERVICES)('%s: one accepted submit, and it succeeds', (service) => {
    const { acceptedBefore } = POINTS.find((point) => point.name === name) as Point;
    expect(ends.get(`${name} ${service}`)).toEqual({
      endedBy: 'SIGKILL',
      atTheKill: `submit, attempt 1, accepted ${acceptedBefore}`,
      outcome: 'Succeeded',
      accepted: 1,
    });
  });
});

it('no call broke a rule of the clouds', () => {
  expect(places.flatMap(({ life }) => life.clouds.simulator.truth().violations)).toEqual([]);
});

const ends = new Map<string, End>();
const places: Place[] = [];

/** Each point in an installation of its own: the kills one after the other, the recoveries side by side. */
beforeAll(async () => {
  const recoveries: Promise<void>[] = [];
  for (const point of POINTS) {
    const durationMs = { min: 1_000, max: 4_000 };
    const life = await install({ seed: point.name, graphs: 2, engines: 1, caches: 1, clusters: 1, durationMs });
    const place = { life, proxy: await startFrontendProxy(life.env.server.address) };
    places.push(place);

    const doomed = await life.worker({ address: place.proxy.address });
    const { held, release } = await point.hold(
      place,
      SERVICES.map((service) => life.take(service)),
    );
    doomed.signal('SIGKILL');
    const endedBy = await doomed.ended;
    const atTheKill = await Promise.all(
      held.map(async ({ spec, handle }) => [...(await pendingSteps(handle)), `accepted ${life.accepted(spec)}`]),
    );
    release();
    await life.worker();
    recoveries.push(
      ...held.map(async ({ spec, handle }, index) => {
        const { outcome } = await handle.result();
        ends.set(`${point.name} ${spec.resource.service}`, {
          endedBy,
          atTheKill: (atTheKill[index] ?? []).join(', '),
          outcome,
          accepted: life.accepted(spec),
        });
      }),
    );
  }
  await Promise.all(recoveries);
});
afterAll(async () => {
  for (const { life, proxy } of places) {
    await life.close();
    await proxy.close();
  }
});
