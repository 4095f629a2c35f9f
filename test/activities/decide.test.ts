import { describe, expect, it } from 'vitest';
import { decide, type Decision, type Evidence } from '../../activities/decide.js';
import type { OperationRecord } from '../../activities/clouds/port.js';

const ready: Evidence = {
  state: { id: 'g1', name: 'graph', status: '200', condition: 'ready', version: '2.3.0', tags: {} },
  standing: 'below',
  operations: [],
  expectedVersion: '2.3.0',
  mayHaveSent: false,
  settled: false,
  seenAt: '2026-11-21T10:00:00.000Z',
};

function evidence(more: Partial<Omit<Evidence, 'state'>>, state: Partial<Evidence['state']> = {}): Evidence {
  return { ...ready, ...more, state: { ...ready.state, ...state } };
}

function operation(state: OperationRecord['state'], id = 'job-1'): OperationRecord {
  return { state, operation: { id, since: '2026-11-21T09:59:00.000Z' }, reason: state };
}

const upgrading = { condition: 'upgrading', status: '201' } as const;

/** Every case of the decision: what was read, and what follows. */
const cases: readonly [name: string, Evidence, expected: Decision['do'], own?: boolean][] = [
  ['a ready resource below its target, nothing sent', ready, 'send'],
  ['some components at target, others not', evidence({ standing: 'partly' }), 'send'],
  [
    'an upgrade began and failed since the precheck, and none of ours is known',
    evidence({ operations: [operation('failed')] }),
    'drifted',
  ],
  ['at target, nothing sent', evidence({ standing: 'at' }), 'done', false],
  ['at target and broken, by no upgrade of ours', evidence({ standing: 'at' }, { condition: 'broken' }), 'refuse'],
  ['at target and busy, by no upgrade of ours', evidence({ standing: 'at' }, { condition: 'busy' }), 'wait'],
  [
    'at target and broken after a send with a lost answer: verify tells',
    evidence({ standing: 'at', mayHaveSent: true }, { condition: 'broken' }),
    'done',
    true,
  ],
  ['at target after a send with a lost answer', evidence({ standing: 'at', mayHaveSent: true }), 'done', true],
  ['at target but still upgrading', evidence({ standing: 'at' }, upgrading), 'follow', false],
  ['upgrading, nothing sent: someone else began it', evidence({}, upgrading), 'follow', false],
  ['upgrading after a lost answer', evidence({ mayHaveSent: true }, upgrading), 'follow', true],
  [
    'a job runs though the status does not show it yet',
    evidence({ operations: [operation('running')] }),
    'follow',
    false,
  ],
  [
    'a job runs after a lost answer',
    evidence({ mayHaveSent: true, operations: [operation('running')] }),
    'follow',
    true,
  ],
  [
    'our job failed and rolled back before we looked',
    evidence({ mayHaveSent: true, settled: true, operations: [operation('failed')] }),
    'follow',
    true,
  ],
  [
    'our job says success over the old version',
    evidence({ mayHaveSent: true, settled: true, operations: [operation('succeeded')] }),
    'follow',
    true,
  ],
  [
    'rolling back after a lost answer',
    evidence({ mayHaveSent: true }, { condition: 'rolling-back', status: '203' }),
    'follow',
    true,
  ],
  ['rolling back from an upgrade of somebody else', evidence({}, { condition: 'rolling-back', status: '203' }), 'wait'],
  ['no trace of a send, not settled', evidence({ mayHaveSent: true }), 'look-again'],
  ['no trace of a send, settled', evidence({ mayHaveSent: true, settled: true }), 'send'],
  [
    'broken after a send that has not settled',
    evidence({ mayHaveSent: true }, { condition: 'broken', status: '300' }),
    'look-again',
  ],
  ['busy with something else', evidence({}, { condition: 'busy', status: '204' }), 'wait'],
  ['stopped', evidence({}, { condition: 'stopped', status: '900' }), 'refuse'],
  ['broken', evidence({}, { condition: 'broken', status: '300' }), 'refuse'],
  ['above its target', evidence({ standing: 'above' }), 'refuse'],
  ['a version that says nothing about the target', evidence({ standing: 'not-comparable' }), 'refuse'],
  ['another version than planned', evidence({}, { version: '2.3.5' }), 'drifted'],
  ['no version was planned', evidence({ expectedVersion: null }, { version: '2.3.5' }), 'send'],
];

describe('decide', () => {
  it.each(cases)('%s', (_name, given, expected, own) => {
    const decision = decide(given);
    expect(decision.do).toBe(expected);
    if (own !== undefined) expect(decision).toMatchObject({ own });
  });

  it('follows the job that runs by its own id', () => {
    const decision = decide(evidence({ mayHaveSent: true, operations: [operation('running', 'job-7')] }, upgrading));
    expect(decision).toMatchObject({ do: 'follow', operation: { id: 'job-7' } });
  });

  it('never says send while an earlier send may be alive, whatever else was read', () => {
    const standings = ['below', 'partly', 'at', 'above', 'not-comparable'] as const;
    const conditions = ['ready', 'upgrading', 'rolling-back', 'busy', 'stopped', 'broken'] as const;
    const operations = [[], [operation('running')], [operation('succeeded')], [operation('failed')]];
    for (const standing of standings) {
      for (const condition of conditions) {
        for (const records of operations) {
          const given = evidence({ standing, operations: records, mayHaveSent: true, settled: false }, { condition });
          expect(decide(given).do, JSON.stringify(given)).not.toBe('send');
        }
      }
    }
  });
});
