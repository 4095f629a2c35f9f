/**
 * Every documented error code, service by service: its class, and which of the seven answers it is to a submit, in each
 * envelope that the service writes. And the other way round: every code of every table has a row here.
 */
import { describe, expect, it } from 'vitest';
import { answerOf } from '../../activities/answer.js';
import { elasticsearch, ES_ERRORS } from '../../activities/clouds/alibaba/elasticsearch.js';
import type { ErrorTable } from '../../activities/clouds/classify.js';
import { errorOf } from '../../activities/clouds/envelopes.js';
import { cse, CSE_ERRORS } from '../../activities/clouds/huawei/cse.js';
import { DCS_ERRORS } from '../../activities/clouds/huawei/dcs-errors.js';
import { dcs } from '../../activities/clouds/huawei/dcs.js';
import { APIGW_ERRORS } from '../../activities/clouds/huawei/errors.js';
import { gesV1 } from '../../activities/clouds/huawei/ges-v1.js';
import { gesV2 } from '../../activities/clouds/huawei/ges-v2.js';
import { GES_ERRORS } from '../../activities/clouds/huawei/ges.js';
import { iam } from '../../activities/clouds/huawei/iam.js';
import type { CloudApi, ErrorClass, SubmitAnswer } from '../../activities/clouds/port.js';

type Row = readonly [status: number, code: string, errorClass: ErrorClass];
type Envelope = (code: string, message: string) => Record<string, unknown>;

const rows = (status: number, errorClass: ErrorClass, codes: string, prefix = ''): Row[] =>
  codes.split(' ').map((code) => [status, `${prefix}${code}`, errorClass]);

const CAMEL: Envelope = (errorCode, errorMessage) => ({ errorCode, errorMessage });
const JOB_LIST: Envelope = (errCode, externalMessage) => ({ errCode, externalMessage });
const SNAKE: Envelope = (error_code, error_msg) => ({ error_code, error_msg });
const WITH_REQUEST: Envelope = (error_code, error_msg) => ({ error_code, error_msg, request_id: 'r' });
const WITH_DETAIL: Envelope = (error_code, error_msg) => ({ error_code, error_msg, detail: 'more' });
const WITH_EXTENSION: Envelope = (error_code, error_msg) => ({ error_code, error_msg, error_ext_msg: 'more' });
const NESTED: Envelope = (code, message) => ({ error: { code, message } });
const ALIBABA: Envelope = (Code, Message) => ({ RequestId: 'r', Code, Message });

const GATEWAY: readonly Row[] = [
  ...rows(404, 'permanent', 'APIGW.0101 APIGW.0103'),
  // One code for a bad request, one that is too large, and a backend's time-out.
  [400, 'APIGW.0201', 'permanent'],
  [413, 'APIGW.0201', 'permanent'],
  [502, 'APIGW.0201', 'transient'],
  [504, 'APIGW.0201', 'transient'],
  ...rows(401, 'denied', 'APIGW.0301 APIGW.0302 APIGW.0304 APIGW.0305 APIGW.0306'),
  ...rows(403, 'denied', 'APIGW.0302 APIGW.0304 APIGW.0305 APIGW.0306'),
  [401, 'APIGW.0303', 'clock-skew'],
  [401, 'APIGW.0307', 'token'],
  [429, 'APIGW.0308', 'throttled'],
];
const GES: readonly Row[] = [
  ...rows(400, 'permanent', '0001 7009 7016 7048 7049 7050 8011', 'GES.'),
  ...rows(400, 'denied', '7041', 'GES.'),
  ...rows(400, 'not-found', '0016 7000 7054 7007 8301', 'GES.'),
  ...rows(400, 'busy', '7001 7015 7002 7003 7042', 'GES.'),
  ...rows(400, 'transient', '7004 7051 7006', 'GES.'),
  [408, 'GES.7005', 'transient'],
  [400, 'GES.7036', 'already-done'],
  // In no table: its status decides.
  [400, 'GES.9999', 'permanent'],
  [500, 'GES.9999', 'transient'],
];
const CSE: readonly Row[] = [
  ...rows(400, 'not-found', '00501116 00401116 00501125 00501152 00501153', 'SVCSTG.'),
  ...rows(401, 'not-found', '00501116 00401116 00501125', 'SVCSTG.'),
  ...rows(400, 'busy', '00501117 00501149', 'SVCSTG.'),
  ...rows(400, 'permanent', '00501103 00501104 00501105 00501111 00501112 00501133 00501134 00501201', 'SVCSTG.'),
  [400, 'SVCSTG.00501999', 'permanent'],
  [500, 'SVCSTG.00501999', 'transient'],
];
/** After `DCS.4`, and after `111400` as they were written before and still are. */
const DCS_BUSY = '017 026 049 096 097 104 108 111 113 114 115 116 117 118 120 121 231 918 975';
const DCS_BAD = '002 004 005 027 061 062 063 070 094 800';
const DCS: readonly Row[] = [
  ...rows(400, 'permanent', DCS_BAD, 'DCS.4'),
  ...rows(400, 'permanent', DCS_BAD, '111400'),
  [400, 'DCS.4053', 'already-done'],
  [400, '111400053', 'already-done'],
  ...rows(400, 'busy', DCS_BUSY, 'DCS.4'),
  ...rows(400, 'busy', DCS_BUSY, '111400'),
  [400, 'CBC.99003651', 'busy'],
  // Another user changes its configuration: as a server's error, so a submit's outcome is open.
  [500, 'DCS.4069', 'busy'],
  [500, '111400069', 'busy'],
  ...rows(400, 'not-found', 'DCS.4119 111400119'),
  ...rows(404, 'not-found', 'DCS.3022 111404022'),
  ...rows(403, 'denied', 'DCS.2003 DCS.2007 DCS.3002 111403002 111403003'),
  ...rows(401, 'token', 'DCS.1001 DCS.1002 DCS.1003 DCS.1004 111401001 111401002 111401003 111401004'),
  ...rows(404, 'permanent', 'DCS.4001 111404001'),
  ...rows(405, 'permanent', 'DCS.5001 111405001'),
  ...rows(500, 'transient', 'DCS.5000 DCS.5006 DCS.5017 DCS.5024 DCS.5091 DCS.5095 111500000 111500006'),
  [400, 'DCS.9999', 'permanent'],
];
const ELASTICSEARCH: readonly Row[] = [
  // HTTP 400, not 404.
  [400, 'InstanceNotFound', 'not-found'],
  ...rows(400, 'busy', 'InstanceActivating InstanceStatusNotSupportCurrentAction InstanceDuplicateScheduledTask'),
  ...rows(409, 'busy', 'ConcurrencyUpdateInstanceConflict'),
  ...rows(400, 'busy', 'ConcurrencyUpdateInstanceConflict TokenPreviousRequestProcessError'),
  ...rows(400, 'throttled', 'Throttling Throttling.User Throttling.Api Rejected.Throttling'),
  ...rows(429, 'throttled', 'Throttling.User'),
  [400, 'QPS Limit Exceeded', 'throttled'],
  [503, 'ServiceUnavailable', 'transient'],
  [500, 'InternalServerError', 'transient'],
  [400, 'RepetitionOperationError', 'already-done'],
  [400, 'IdempotentParameterMismatch', 'permanent'],
  [400, 'SignatureNonceUsed', 'transient'],
  [400, 'InvalidTimeStamp.Expired', 'clock-skew'],
  [400, 'SignatureDoesNotMatch', 'denied'],
  [404, 'InvalidAccessKeyId.NotFound', 'denied'],
  [400, 'InvalidSecurityToken.Expired', 'denied'],
  ...rows(403, 'denied', 'Forbidden.RAM NoPermission'),
  [400, 'SomethingNew', 'permanent'],
  [500, 'SomethingNew', 'transient'],
];

const SERVICES: readonly {
  readonly api: CloudApi;
  readonly own: readonly Row[];
  readonly tables: readonly ErrorTable[];
  readonly envelopes: readonly Envelope[];
}[] = [
  { api: gesV1, own: GES, tables: [GES_ERRORS], envelopes: [CAMEL, JOB_LIST] },
  { api: gesV2, own: GES, tables: [GES_ERRORS], envelopes: [SNAKE] },
  { api: cse as CloudApi, own: CSE, tables: [CSE_ERRORS], envelopes: [WITH_DETAIL] },
  { api: dcs as CloudApi, own: DCS, tables: [DCS_ERRORS], envelopes: [WITH_EXTENSION, NESTED] },
  { api: elasticsearch as CloudApi, own: ELASTICSEARCH, tables: [ES_ERRORS], envelopes: [ALIBABA] },
];

/** The seven answers to a submit; a server's error leaves its outcome open, whatever it says. */
function expectedAnswer(status: number, errorClass: ErrorClass): SubmitAnswer['kind'] {
  if (status >= 500) return 'unknown';
  const answers: Record<ErrorClass, SubmitAnswer['kind']> = {
    permanent: 'refused',
    'not-found': 'refused',
    denied: 'refused',
    busy: 'busy',
    'already-done': 'already-done',
    throttled: 'throttled',
    token: 'not-sent',
    'clock-skew': 'not-sent',
    transient: 'unknown',
  };
  return answers[errorClass];
}

describe.each(SERVICES)('$api.service', ({ api, own, tables, envelopes }) => {
  const ofGateway = api.cloud === 'huawei' ? GATEWAY : [];

  it.each([...own, ...ofGateway])('HTTP %s %s is %s', (status, code, errorClass) => {
    expect(api.classify({ status, code, message: 'why' })).toBe(errorClass);
    const written = ofGateway.some((row) => row[1] === code) ? [WITH_REQUEST] : envelopes;
    for (const envelope of written) {
      const json = envelope(code, 'why');
      expect(errorOf(json)).toMatchObject({ code, message: expect.stringMatching(/^why/) as string });
      const response = { status, headers: {}, json, text: JSON.stringify(json) };
      expect(answerOf(api, { kind: 'answered', at: 0, response }, 'id')).toMatchObject({
        kind: expectedAnswer(status, errorClass),
        reason: expect.stringContaining(code) as string,
      });
    }
  });

  it('has a row for every code of its tables', () => {
    const all = [...own, ...ofGateway].map(([, code, errorClass]) => ({ code, errorClass }));
    for (const table of [...tables, ...(api.cloud === 'huawei' ? [APIGW_ERRORS] : [])]) {
      for (const [errorClass, codes] of Object.entries(table)) {
        for (const known of codes) {
          const isIt = (code: string): boolean =>
            known.endsWith('*') ? code.startsWith(known.slice(0, -1)) : code === known;
          expect(
            all.filter((row) => isIt(row.code) && row.errorClass === errorClass),
            known,
          ).not.toEqual([]);
        }
      }
    }
  });

  it.each<[number, ErrorClass]>([
    [400, 'permanent'],
    [401, 'denied'],
    [403, 'denied'],
    [404, 'not-found'],
    [408, 'transient'],
    [429, 'throttled'],
    [500, 'transient'],
    [502, 'transient'],
    [503, 'transient'],
    [504, 'transient'],
  ])('HTTP %s without a code is %s to a read, and an unknown answer to a submit', (status, errorClass) => {
    expect(api.classify({ status, code: null, message: '' })).toBe(errorClass);
    for (const json of [{}, undefined]) {
      const response = { status, headers: {}, json, text: '' };
      expect(answerOf(api, { kind: 'answered', at: 0, response }, 'id').kind).toBe('unknown');
    }
  });
});

it('IAM’s own envelope is read, and its gateway’s codes are classified', () => {
  expect(errorOf(NESTED('401', 'why'))).toEqual({ code: '401', message: 'why' });
  expect(errorOf({ error: { code: 401, message: 'why', title: 'Unauthorized' } })).toMatchObject({ code: '401' });
  for (const [status, code, errorClass] of GATEWAY) {
    expect(iam.classify({ status, code, message: '' })).toBe(errorClass);
  }
});

it('GES.8011 is a missing graph where it says so, as in the upgrade’s own document', () => {
  for (const api of [gesV1, gesV2]) {
    const classOf = (message: string): ErrorClass => api.classify({ status: 400, code: 'GES.8011', message });
    expect(classOf('graph [demo] is not found')).toBe('not-found');
    expect(classOf('failed to export')).toBe('permanent');
  }
});
