import { describe, expect, it } from 'vitest';
import { answerOf } from '../../activities/answer.js';
import { apiFor, CLOUD_APIS } from '../../activities/clouds/index.js';
import type { CloudApi, SubmitAnswer } from '../../activities/clouds/port.js';
import type { Sent } from '../../activities/clouds/session.js';

function api(service: string): CloudApi {
  const found = apiFor(CLOUD_APIS, service);
  if (found === undefined) throw new Error(`no api ${service}`);
  return found;
}

function answered(status: number, body: unknown): Sent {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    kind: 'answered',
    at: 0,
    response: { status, headers: {}, json: typeof body === 'string' ? undefined : body, text },
  };
}

/** What came back from a submit, and the one class that it belongs to. */
const cases: readonly [service: string, what: string, Sent, SubmitAnswer['kind']][] = [
  ['ges-v1', 'a job id', answered(200, { jobId: 'f99f60f1-bba6-4cde-bd1a-ff4bdd1fd500000168232' }), 'accepted'],
  ['ges-v2', 'a job id', answered(200, { job_id: 'f99f60f1-bba6-4cde-bd1a-ff4bdd1fd500000168232' }), 'accepted'],
  ['elasticsearch', 'a request id', answered(200, { RequestId: 'F99407AB', Result: true }), 'accepted'],

  ['ges-v1', 'the other API’s job id', answered(200, { job_id: 'j' }), 'unknown'],
  ['ges-v2', 'a 200 without its id', answered(200, {}), 'unknown'],
  ['ges-v2', 'a 200 with an empty id', answered(200, { job_id: '' }), 'unknown'],
  ['ges-v2', 'a 200 with an error inside', answered(200, { error_code: 'GES.7006', error_msg: 'internal' }), 'unknown'],
  ['elasticsearch', 'a 200 without its id', answered(200, { Result: true }), 'unknown'],
  ['ges-v2', 'a 200 that is HTML', answered(200, '<html>maintenance</html>'), 'unknown'],
  ['ges-v2', 'truncated JSON', answered(200, '{"job_id": "f99f'), 'unknown'],
  ['ges-v2', 'a 400 that is HTML', answered(400, '<html>bad gateway</html>'), 'unknown'],
  ['ges-v2', 'a 500', answered(500, { error_code: 'GES.7006', error_msg: 'internal' }), 'unknown'],
  ['ges-v2', 'a gateway that gave up', answered(504, { error_code: 'APIGW.0201', error_msg: 'timeout' }), 'unknown'],
  ['ges-v1', 'a backend that is away', answered(408, { errorCode: 'GES.7005', errorMessage: 'away' }), 'unknown'],
  ['elasticsearch', 'a 503', answered(503, { Code: 'ServiceUnavailable', Message: 'try later' }), 'unknown'],
  ['ges-v2', 'nothing', { kind: 'unanswered', at: 0, reason: 'reset' }, 'unknown'],
  // Our nonces are never repeated; whoever repeated this one may have brought the first one there as well.
  ['elasticsearch', 'a used nonce', answered(400, { Code: 'SignatureNonceUsed', Message: 'used' }), 'unknown'],

  ['ges-v2', 'a bad request', answered(400, { error_code: 'GES.7016', error_msg: 'bad' }), 'refused'],
  ['ges-v2', 'not found, as 400', answered(400, { error_code: 'GES.7000', error_msg: 'no graph' }), 'refused'],
  [
    'ges-v1',
    'not found, by the document',
    answered(400, { errorCode: 'GES.8011', errorMessage: 'not found' }),
    'refused',
  ],
  ['elasticsearch', 'not found', answered(400, { Code: 'InstanceNotFound', Message: 'no' }), 'refused'],
  ['ges-v2', 'no permission', answered(403, { error_code: 'APIGW.0305', error_msg: 'no' }), 'refused'],

  ['ges-v2', 'not running', answered(400, { error_code: 'GES.7001', error_msg: 'not running' }), 'busy'],
  ['ges-v2', 'backing up', answered(400, { error_code: 'GES.7002', error_msg: 'backup' }), 'busy'],
  ['elasticsearch', 'activating', answered(400, { Code: 'InstanceActivating', Message: 'activating' }), 'busy'],
  [
    'elasticsearch',
    'a conflict',
    answered(409, { Code: 'ConcurrencyUpdateInstanceConflict', Message: 'conflict' }),
    'busy',
  ],

  ['ges-v2', 'not above the current', answered(400, { error_code: 'GES.7036', error_msg: 'earlier' }), 'already-done'],
  ['elasticsearch', 'repetition', answered(400, { Code: 'RepetitionOperationError', Message: 'r' }), 'already-done'],

  ['ges-v2', '429', answered(429, { error_code: 'APIGW.0308', error_msg: 'limit:10' }), 'throttled'],
  ['elasticsearch', 'throttled at 400', answered(400, { Code: 'Throttling.User', Message: 'slow down' }), 'throttled'],

  ['ges-v2', 'a refused connection', { kind: 'not-sent', reason: 'ECONNREFUSED', retryInMs: 1 }, 'not-sent'],
  ['ges-v2', 'an old token', answered(401, { error_code: 'APIGW.0307', error_msg: 'token' }), 'not-sent'],
  ['elasticsearch', 'a skewed clock', answered(400, { Code: 'InvalidTimeStamp.Expired', Message: 'old' }), 'not-sent'],
];

describe('answerOf', () => {
  it.each(cases)('%s: %s', (service, _what, sent, kind) => {
    expect(answerOf(api(service), sent, 'id').kind).toBe(kind);
  });

  it('hands the operation’s id on', () => {
    expect(answerOf(api('ges-v2'), answered(200, { job_id: 'job-9' }), 'id')).toEqual({
      kind: 'accepted',
      operationId: 'job-9',
    });
  });
});
