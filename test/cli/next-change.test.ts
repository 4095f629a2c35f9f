/** What a status, or a retry that comes too early, tells as next: with the commands that change it, as they are typed. */
import { expect, it } from 'vitest';
import { checkEnded } from '../../client/retry.js';
import { nextChange } from '../../client/views.js';

const view: Parameters<typeof nextChange>[0] = {
  rollout: 'spring-1a2b3c4d',
  state: 'Running',
  waves: [{ name: 'all', state: 'Running', total: 2, counts: {}, concurrency: 1, charged: 0, workflowId: 'w' }],
  budget: { max: 1, mode: 'strict' },
  charged: 0,
  approval: null,
};
const approval = { title: 'wave all', quorum: 1, given: [], may: ['ben'], expiresAt: '2026-12-01T00:00:00.000Z' };
const soak = { state: 'Running', forMs: 60_000, progress: null, startedAt: null, endedAt: null } as const;
const freeze = (id: string, until: string) => ({
  resources: 1,
  freeze: { id, scope: [], except: [], until, reason: 'fair', owner: 'ana', since: '2026-11-01T00:00:00.000Z' },
});

it.each([
  [{ state: 'Paused' }, 'resume spring-1a2b3c4d'],
  [{ state: 'Waiting', approval }, 'approve spring-1a2b3c4d'],
  [{ state: 'Waiting', approval }, 'reject spring-1a2b3c4d'],
  [{ state: 'Waiting', waves: view.waves.map((wave) => ({ ...wave, soak })) }, 'waive spring-1a2b3c4d'],
  // The one that ends first.
  [
    {
      freezes: [freeze('freeze-2', '2026-12-02T00:00:00.000Z'), freeze('freeze-1', '2026-12-01T00:00:00.000Z')],
    },
    'freeze lift freeze-1',
  ],
] as const)('%j: uplift %s', (changed, command) => {
  expect(nextChange({ ...view, ...changed })).toContain(`\`uplift ${command} --reason …\``);
});

it('only what is not stopped yet is to be stopped before a retry', () => {
  const rollout = 'spring-1a2b3c4d';
  expect(() => checkEnded({ rollout, state: 'Stopping' }, [])).toThrow(
    '(it ends once what was submitted has ended: uplift watch spring-1a2b3c4d)',
  );
  expect(() => checkEnded({ rollout, state: 'Running' }, [])).toThrow(
    '(end it first: uplift stop spring-1a2b3c4d --reason …)',
  );
});
