import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerOf } from '../../activities/answer.js';
import { CLOUD_APIS } from '../../activities/clouds/index.js';
import type { Sent } from '../../activities/clouds/session.js';
import { decide, type Evidence } from '../../activities/decide.js';
import { seeded } from '../support/properties.js';

const record = fc.record({
  operation: fc.record({ id: fc.option(fc.string()), since: fc.constant('2026-11-21T05:26:00.000Z') }),
  state: fc.constantFrom('running', 'succeeded', 'failed'),
  reason: fc.string(),
});

const evidence: fc.Arbitrary<Evidence> = fc.record({
  state: fc.record({
    id: fc.constant('r'),
    name: fc.constant('r'),
    status: fc.string(),
    condition: fc.constantFrom('ready', 'upgrading', 'rolling-back', 'busy', 'stopped', 'broken'),
    version: fc.constantFrom('1.0', '2.0'),
    tags: fc.constant({}),
  }),
  standing: fc.constantFrom('below', 'partly', 'at', 'above', 'not-comparable'),
  operations: fc.array(record, { maxLength: 3 }),
  expectedVersion: fc.constantFrom(null, '1.0', '2.0'),
  mayHaveSent: fc.boolean(),
  settled: fc.boolean(),
  seenAt: fc.constant('2026-11-21T05:30:00.000Z'),
});

describe('decide, on any evidence', () => {
  it('sends only when nothing sent can be alive and the resource is ready, below and as planned', () => {
    let sends = 0;
    fc.assert(
      fc.property(evidence, (seen) => {
        if (decide(seen).do !== 'send') return;
        sends += 1;
        const { state, standing, operations, expectedVersion, mayHaveSent, settled } = seen;
        expect(state.condition).toBe('ready');
        expect(['below', 'partly']).toContain(standing);
        expect(operations.map((one) => one.state)[0]).not.toBe('running');
        expect([null, state.version]).toContain(expectedVersion);
        expect(!mayHaveSent || (settled && operations.length === 0)).toBe(true);
      }),
      seeded(20_000),
    );
    expect(sends).toBeGreaterThan(100);
  });

  it('never takes time alone, or less evidence, for a reason to send while a send may be out', () => {
    fc.assert(
      fc.property(evidence, (seen) => {
        const unsettled = { ...seen, mayHaveSent: true, settled: false };
        expect(['send', 'wait']).not.toContain(decide(unsettled).do);
        expect(decide({ ...unsettled, operations: [] }).do).not.toBe('send');
      }),
      seeded(20_000),
    );
  });
});

/** Codes that are somewhere in the tables, and others. */
const KNOWN_CODES =
  'GES.7000 GES.7001 GES.7006 GES.7016 GES.7036 APIGW.0201 APIGW.0307 APIGW.0308 SVCSTG.00500401 DCS.4022 DCS.4082 ' +
  'Throttling.User InstanceActivating InternalServerError RepetitionOperationError InvalidTimeStamp.Expired ' +
  'SignatureNonceUsed Forbidden.RAM 0 200';
const code = fc.oneof(fc.constantFrom(...KNOWN_CODES.split(' ')), fc.string());
const body = fc.oneof(
  code.map((errorCode) => ({ errorCode, errorMessage: 'm' })),
  code.map((error_code) => ({ error_code, error_msg: 'm' })),
  code.map((errCode) => ({ errCode, externalMessage: 'm' })),
  code.map((Code) => ({ Code, Message: 'm', RequestId: 'F99407AB' })),
  fc.record({ job_id: code, jobId: code, RequestId: code, id: code, jobId2: fc.integer() }, { requiredKeys: [] }),
  fc.jsonValue(),
  fc.constant(undefined),
);
const api = fc.constantFrom(...CLOUD_APIS);

function answered(status: number, json: unknown): Sent {
  return {
    kind: 'answered',
    at: 0,
    response: { status, headers: {}, json, text: json === undefined ? '<html>' : JSON.stringify(json) },
  };
}

describe('answerOf, on any answer', () => {
  const kindOf = (status: number) =>
    fc.tuple(api, body).map(([one, json]) => answerOf(one, answered(status, json), 'id').kind);

  it('takes nothing but a 2xx for an acceptance, and a 2xx for nothing else that is certain', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 299 }).chain((status) => kindOf(status)),
        (kind) => {
          expect(['accepted', 'unknown']).toContain(kind);
        },
      ),
      seeded(5_000),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 400, max: 499 }).chain((status) => kindOf(status)),
        (kind) => {
          expect(kind).not.toBe('accepted');
        },
      ),
      seeded(5_000),
    );
  });

  it('leaves open whatever is no 2xx and no 4xx, has no readable error, or brought no answer', () => {
    const odd = fc.oneof(fc.integer({ min: 300, max: 399 }), fc.integer({ min: 500, max: 599 }));
    fc.assert(
      fc.property(odd.chain(kindOf), (kind) => {
        expect(kind).toBe('unknown');
      }),
      seeded(5_000),
    );
    fc.assert(
      fc.property(api, fc.integer({ min: 200, max: 599 }), (one, status) => {
        expect(answerOf(one, answered(status, undefined), 'id').kind).toBe('unknown');
        expect(answerOf(one, { kind: 'unanswered', at: 0, reason: 'reset' }, 'id').kind).toBe('unknown');
      }),
      seeded(1_000),
    );
  });
});
